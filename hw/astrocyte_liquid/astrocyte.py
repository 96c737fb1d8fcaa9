"""The astrocyte: it compares what the liquid does with its input, and sets the rate of depression."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.arithmetic import decayed, part, saturated
from sim.astrocyte_liquid.spec import RATE_DECAY, AstrocyteSpec

__all__ = ["Astrocyte", "potentiation_rate_bits"]


def potentiation_rate_bits(spec: AstrocyteSpec) -> int:
    """Bits of A+, which never exceeds what it starts from (unsigned)."""
    return max(1, spec.potentiation_code.bit_length())


class _State(Enum, shape=3):
    REST = 0
    FADE_DEPRESSION = 1
    FADE_POTENTIATION = 2
    FADE_WEIGHT = 3
    FADE_BIAS = 4
    OPEN = 5


class Astrocyte(Component):
    """Rates of plasticity, and what moves them.

    ``A- <- A- + (w_a (liquid - inputs) + b_a - A-) / 100``; in a sample that fades, all four rates then lose a
    hundredth. A step opens with ``b_a - A-``, and every spike adds or subtracts w_a: there is no multiplier. The four
    rates fade one after another.

    Reset: rates 0, asynchronous; `start` loads them.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    start : In(1)
        The rates of the start of a sample.
    input_spike, liquid_spike : In(1)
        A spike; none from `start` or `update` on for six clocks.
    update : In(1)
        End of a step: three clocks later A- and A+ are those of the next one.
    fades : In(1)
        All rates lose a hundredth per step.
    potentiation : Out(`potentiation_rate_bits`)
    depression : Out(signed(spec.rate_bits))
        A+ and A-.
    """

    clocked = True
    latency = 3

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        super().__init__(
            {
                "start": In(1),
                "input_spike": In(1),
                "liquid_spike": In(1),
                "update": In(1),
                "fades": In(1),
                "potentiation": Out(potentiation_rate_bits(spec)),
                "depression": Out(signed(spec.rate_bits)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        state = Signal(_State)
        # neither exceeds what it starts from
        weight = Signal(max(1, spec.astrocyte_code.bit_length()))
        bias = Signal(max(1, spec.bias_code.bit_length()))
        most = spec.difference_max * spec.astrocyte_code + spec.bias_code + spec.rate_max + 1
        drive = Signal(signed(most.bit_length() + 1))
        moved = Signal(signed(len(drive) + 1))
        held = Signal(signed(spec.rate_bits))
        chosen = Signal(signed(spec.rate_bits))
        faded = Signal(signed(spec.rate_bits))
        m.d.comb += [
            moved.eq(self.depression + part(drive, RATE_DECAY)),
            held.eq(saturated(moved, -spec.rate_max - 1, spec.rate_max)),
            faded.eq(decayed(chosen, RATE_DECAY)),
        ]
        with m.Switch(state):
            with m.Case(_State.FADE_DEPRESSION):
                m.d.comb += chosen.eq(self.depression)
                m.d.sync += self.depression.eq(faded)
            with m.Case(_State.FADE_POTENTIATION):
                m.d.comb += chosen.eq(self.potentiation)
                m.d.sync += self.potentiation.eq(faded)
            with m.Case(_State.FADE_WEIGHT):
                m.d.comb += chosen.eq(weight)
                m.d.sync += weight.eq(faded)
            with m.Case(_State.FADE_BIAS):
                m.d.comb += chosen.eq(bias)
                m.d.sync += bias.eq(faded)
        with m.If(self.start):
            m.d.sync += [
                state.eq(_State.OPEN),
                self.potentiation.eq(spec.potentiation_code),
                self.depression.eq(spec.bias_code),
                weight.eq(spec.astrocyte_code),
                bias.eq(spec.bias_code),
            ]
        with m.Elif(self.update):
            m.d.sync += [state.eq(Mux(self.fades, _State.FADE_DEPRESSION, _State.OPEN)), self.depression.eq(held)]
        with m.Elif(state == _State.OPEN):
            m.d.sync += state.eq(_State.REST)
        with m.Elif(state != _State.REST):
            m.d.sync += state.eq(state.as_value() + 1)
        with m.If(state == _State.OPEN):
            m.d.sync += drive.eq(bias - self.depression)
        with m.Elif(self.input_spike | self.liquid_spike):
            m.d.sync += drive.eq(drive + Mux(self.input_spike, -weight, weight))
        return m
