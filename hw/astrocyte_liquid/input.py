"""Input events: what the input neurons receive in a step."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Input", "event_layout", "group_bits", "input_group_bits"]


def event_layout(spec: AstrocyteSpec) -> StructLayout:
    """An event of the input stream: input neuron in the low bits, end of step in the highest."""
    return StructLayout({"source": max(1, (spec.first_neuron - 1).bit_length()), "end": 1})


def group_bits(spec: AstrocyteSpec) -> int:
    """Bits of the number of a group of lanes."""
    return max(1, (spec.groups - 1).bit_length())


def input_group_bits(spec: AstrocyteSpec) -> int:
    """Bits of the number of a group of inputs."""
    return max(1, (spec.input_groups - 1).bit_length())


class Input(Component):
    """Collects the events of one step in a memory, a bit for each input neuron, until `take`.

    An event marks its input neuron; a second one changes nothing. An event with `end` carries no neuron: it closes the
    step, and the stream stalls (`ready` low) until `take`. Events of inputs that there are not are dropped. Marks of
    the group of the last event are written when an event of another group comes. The sweep clears what it reads.

    Throughput one event per clock. Reset: all marks are cleared first, a group a clock, in which the stream stalls;
    asynchronous.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    i_events : In(stream of `event_layout`)
    take : In(1)
        The next step opens: all groups were swept.
    closed : Out(1)
        The step is complete.
    sweep : In(1)
        Read and clear the marks of `group`; only while `closed`.
    group : In(bits of spec.input_groups)
    kicked : Out(spec.lanes)
        Those marks, a clock later.
    write_address, write_data, write_enable, read_address, read_enable, read_data
        Memory of spec.lanes bits, a word for each group of inputs.
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        groups = input_group_bits(spec)
        super().__init__(
            {
                "i_events": In(stream.Signature(event_layout(spec))),
                "take": In(1),
                "closed": Out(1),
                "sweep": In(1),
                "group": In(groups),
                "kicked": Out(spec.lanes),
                "write_address": Out(groups),
                "write_data": Out(spec.lanes),
                "write_enable": Out(1),
                "read_address": Out(groups),
                "read_enable": Out(1),
                "read_data": In(spec.lanes),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec, events = self._spec, self.i_events
        m = Module()
        lane_bits = (spec.lanes - 1).bit_length()
        cleared = Signal()
        accepted = Signal()
        # the group that is marked at present: its word was read, `marks` come to it
        open_ = Signal()
        open_group = Signal(input_group_bits(spec))
        marks = Signal(spec.lanes, reset_less=True)
        member = Signal(spec.lanes)
        another = Signal()
        swept = Signal()
        ends = Signal()
        group = Signal(input_group_bits(spec))
        source = events.payload.source
        m.d.comb += [
            events.ready.eq(cleared & ~self.closed),
            ends.eq(events.valid & events.ready & events.payload.end),
            accepted.eq(events.valid & events.ready & ~events.payload.end & (source < spec.inputs)),
            member.eq(1 << source[:lane_bits]),
            group.eq(source[lane_bits:] if spec.input_groups > 1 else 0),
            another.eq(accepted & ~(open_ & (group == open_group))),
            self.kicked.eq(self.read_data),
            self.read_address.eq(Mux(self.sweep, self.group, group)),
            self.read_enable.eq(self.sweep | another),
            # the sweep reads in one clock and clears in the next: `open_group` follows it
            self.write_address.eq(open_group),
            self.write_data.eq(Mux(open_, self.read_data | marks, 0)),
            self.write_enable.eq(~cleared | swept | (open_ & (another | ends))),
        ]
        m.d.sync += swept.eq(self.sweep)
        with m.If(~cleared):
            m.d.sync += [open_group.eq(open_group + 1), cleared.eq(open_group == spec.input_groups - 1)]
        with m.Elif(self.sweep):
            m.d.sync += open_group.eq(self.group)
        with m.Elif(another):
            m.d.sync += open_group.eq(group)
        with m.If(accepted):
            m.d.sync += marks.eq(Mux(another, 0, marks) | member)
        with m.If(another | ends):
            m.d.sync += open_.eq(another)
        with m.If(ends | self.take):
            m.d.sync += self.closed.eq(ends)
        return m
