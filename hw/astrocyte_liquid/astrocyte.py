"""The astrocyte: it compares what the liquid does with its input, and sets the rate of depression."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.arithmetic import decayed, part, saturated
from sim.astrocyte_liquid.spec import RATE_DECAY, AstrocyteSpec

__all__ = ["Astrocyte"]


class Astrocyte(Component):
    """Rates of plasticity, and the counter of spikes that moves them.

    ``A- <- A- + (w_a (liquid - inputs) + b_a - A-) / 100``; in a sample that fades, all four rates then lose a
    hundredth. The multiplier has a clock of its own.

    Reset: rates 0, asynchronous; `start` loads them.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    start : In(1)
        The rates of the start of a sample; spikes count from 0.
    input_spike, liquid_spike : In(1)
        A spike to count.
    update : In(1)
        End of a step: two clocks later the rates are those of the next one.
    fades : In(1)
        All rates lose a hundredth per step.
    potentiation : Out(spec.rate_bits - 1)
    depression : Out(signed(spec.rate_bits))
        A+, which never is negative, and A-.
    """

    clocked = True
    latency = 2

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        super().__init__(
            {
                "start": In(1),
                "input_spike": In(1),
                "liquid_spike": In(1),
                "update": In(1),
                "fades": In(1),
                "potentiation": Out(spec.rate_bits - 1),
                "depression": Out(signed(spec.rate_bits)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        difference = Signal(signed(spec.difference_max.bit_length() + 1))
        weight = Signal(spec.rate_bits - 1)
        bias = Signal(spec.rate_bits - 1)
        product = Signal(signed(spec.rate_bits + len(difference)))
        multiplied = Signal()
        with m.If(self.start | self.update):
            m.d.sync += difference.eq(0)
        with m.Else():
            m.d.sync += difference.eq(difference + self.liquid_spike - self.input_spike)
        m.d.sync += multiplied.eq(self.update & ~self.start)
        with m.If(self.update):
            m.d.sync += product.eq(weight * difference)
        moved = Signal(signed(spec.rate_bits + len(difference) + 2))
        held = Signal(signed(spec.rate_bits))
        m.d.comb += [
            moved.eq(self.depression + part(product + bias - self.depression, RATE_DECAY)),
            held.eq(saturated(moved, -spec.rate_max - 1, spec.rate_max)),
        ]
        with m.If(self.start):
            m.d.sync += [
                self.potentiation.eq(spec.potentiation_code),
                self.depression.eq(spec.bias_code),
                weight.eq(spec.astrocyte_code),
                bias.eq(spec.bias_code),
            ]
        with m.Elif(multiplied):
            m.d.sync += self.depression.eq(Mux(self.fades, decayed(held, RATE_DECAY), held))
            with m.If(self.fades):
                m.d.sync += [
                    self.potentiation.eq(decayed(self.potentiation, RATE_DECAY)),
                    weight.eq(decayed(weight, RATE_DECAY)),
                    bias.eq(decayed(bias, RATE_DECAY)),
                ]
        return m
