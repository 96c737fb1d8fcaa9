"""Spike scan: names the sources that fire in a step, one per clock, in ascending order."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.input import group_bits
from hw.common.one_hot import encode, lowest, one_of
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Scan"]


class Scan(Component):
    """Holds a flag for every source; silent sources cost no clock.

    Throughput one source per clock. Reset: no flag is set, asynchronous.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    load : In(1)
        The flags of `group` become `fires`. Never together with `take`.
    group : In(bits of spec.groups)
    fires : In(spec.lanes)
    clear : In(1)
        All flags are cleared.
    take : In(1)
        The flag of `source` is cleared.
    source : Out(spec.source_bits)
        The lowest source whose flag is set; 0 without `valid`.
    valid : Out(1)
        A flag is set.
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        super().__init__(
            {
                "load": In(1),
                "group": In(group_bits(spec)),
                "fires": In(spec.lanes),
                "clear": In(1),
                "take": In(1),
                "source": Out(spec.source_bits),
                "valid": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        flags = [Signal(spec.lanes, name=f"flags_{number}") for number in range(spec.groups)]
        some = Signal(spec.groups)
        m.d.comb += some.eq(Cat(part.any() for part in flags))
        group = lowest(m, some, "lowest_group")
        chosen = Signal(spec.lanes)
        m.d.comb += chosen.eq(one_of(flags, group))
        member = lowest(m, chosen, "member")
        lane_bits = (spec.lanes - 1).bit_length()
        place = encode(member)[:lane_bits] if lane_bits else Cat()
        m.d.comb += [self.valid.eq(some.any()), self.source.eq(Cat(place, encode(group)))]
        for number, part in enumerate(flags):
            with m.If(self.clear | (self.load & (self.group == number)) | (self.take & group[number])):
                m.d.sync += part.eq(Mux(self.clear, 0, Mux(self.load, self.fires, part & ~member)))
        return m
