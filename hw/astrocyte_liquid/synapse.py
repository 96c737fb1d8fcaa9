"""One synapse: what its weight adds to a current, and what plasticity makes of the weight."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Synapse"]


class Synapse(Component):
    """``current + weight`` and ``clip(weight + sign * (potentiation - depression))``; combinational.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    weight : In(signed(spec.weight_bits))
    excitatory, inhibitory : In(1)
        Class of the source; neither: an input, whose weights have either sign. Inhibitory turns the sign.
    potentiation : In(spec.potentiation_bits)
        0 unless the neuron fires.
    depression : In(signed(spec.depression_bits))
        0 unless the source fires.
    changed : Out(signed(spec.weight_bits))
    rests : In(1)
        No current moves: `moved` means nothing, and the adder rests.
    current, moved : In(signed(spec.current_bits)), Out(signed(spec.current_bits))
    """

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        super().__init__(
            {
                "weight": In(signed(spec.weight_bits)),
                "excitatory": In(1),
                "inhibitory": In(1),
                "potentiation": In(spec.potentiation_bits),
                "depression": In(signed(spec.depression_bits)),
                "changed": Out(signed(spec.weight_bits)),
                "rests": In(1),
                "current": In(signed(spec.current_bits)),
                "moved": Out(signed(spec.current_bits)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        limit = spec.weight_code_max
        width = max(spec.weight_bits, spec.depression_bits, spec.potentiation_bits + 1) + 2
        change = Signal(signed(width))
        sum_ = Signal(signed(width))
        low = Signal(signed(spec.weight_bits))
        high = Signal(signed(spec.weight_bits))
        m.d.comb += [
            change.eq(self.potentiation - self.depression),
            sum_.eq(self.weight + Mux(self.inhibitory, -change, change)),
            low.eq(Mux(self.excitatory, 0, -limit)),
            high.eq(Mux(self.inhibitory, 0, limit)),
            self.changed.eq(Mux(sum_ < low, low, Mux(sum_ > high, high, sum_))),
            self.moved.eq(Mux(self.rests, 0, self.current) + Mux(self.rests, 0, self.weight)),
        ]
        return m
