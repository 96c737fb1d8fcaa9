"""Spike scan of a lane: names the sources that fire in a step, one after another, in ascending order."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.input import group_bits
from hw.common.one_hot import encode, lowest
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Scan", "spikes_layout"]


def spikes_layout(spec: AstrocyteSpec) -> StructLayout:
    """A group of sources of which at least one fires: who does, and the number of the group."""
    return StructLayout({"fires": spec.lanes, "group": group_bits(spec)})


class Scan(Component):
    """Keeps the groups of sources that fire in a memory, in the order in which they are swept.

    Groups in which none fires take no word and cost no clock. Every lane has a scan of its own, so that none waits for
    another one.

    Throughput one source per clock; the first one is there four clocks after its group was loaded. Reset: empty,
    asynchronous.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    load : In(1)
        `fires` are those of the sources of `group`; groups come in ascending order. Never together with `take`.
    group : In(bits of spec.groups)
    fires : In(spec.lanes)
    clear : In(1)
        Nothing fires any more.
    take : In(1)
        Go on from `source` to the next one; only while `valid`.
    source : Out(spec.source_bits)
        Without `valid` it means nothing.
    valid : Out(1)
    waiting : Out(1)
        There are sources that were not taken.
    write_address, write_data, write_enable, read_address, read_enable, read_data
        Memory of `spikes_layout`, a word for each group.
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
                "waiting": Out(1),
                "write_address": Out(group_bits(spec)),
                "write_data": Out(spikes_layout(spec)),
                "write_enable": Out(1),
                "read_address": Out(group_bits(spec)),
                "read_enable": Out(1),
                "read_data": In(spikes_layout(spec)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        stored = Signal(range(spec.groups + 1))
        following = Signal(range(spec.groups + 1))
        # the word that was read names its sources at once, later those that are left
        fetched = Signal()
        left = Signal(spec.lanes)
        members = Signal(spec.lanes)
        rest = Signal(spec.lanes)
        more = Signal()
        m.d.comb += members.eq(Mux(fetched, self.read_data.fires, left))
        member = lowest(m, members, "member")
        lane_bits = (spec.lanes - 1).bit_length()
        place = encode(member)[:lane_bits] if lane_bits else Cat()
        m.d.comb += [
            rest.eq(members & ~member),
            more.eq(following != stored),
            self.valid.eq(members.any()),
            self.waiting.eq(self.valid | more),
            self.source.eq(Cat(place, self.read_data.group)),
            self.write_address.eq(stored),
            self.write_data.fires.eq(self.fires),
            self.write_data.group.eq(self.group),
            self.write_enable.eq(self.load & self.fires.any()),
            self.read_address.eq(following),
            self.read_enable.eq(more & ~self.clear & ~Mux(self.take, rest, members).any()),
        ]
        m.d.sync += fetched.eq(self.read_enable)
        with m.If(self.clear | self.write_enable):
            m.d.sync += stored.eq(Mux(self.clear, 0, stored + 1))
        with m.If(self.clear | self.read_enable):
            m.d.sync += following.eq(Mux(self.clear, 0, following + 1))
        with m.If(self.clear | fetched | self.take):
            m.d.sync += left.eq(Mux(self.clear, 0, Mux(self.take, rest, members)))
        return m
