"""Input events: what the input neurons receive in a step."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.one_hot import one_of
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Input", "event_layout", "group_bits"]


def event_layout(spec: AstrocyteSpec) -> StructLayout:
    """An event of the input stream: input neuron in the low bits, end of step in the highest."""
    return StructLayout({"source": max(1, (spec.first_neuron - 1).bit_length()), "end": 1})


def group_bits(spec: AstrocyteSpec) -> int:
    """Bits of the number of a group of lanes."""
    return max(1, (spec.groups - 1).bit_length())


class Input(Component):
    """Collects the events of one step until `take`.

    An event marks its input neuron; a second one changes nothing. An event with `end` carries no neuron: it closes the
    step, and the stream stalls (`ready` low) until `take`. Events of inputs that there are not are dropped.

    Throughput one event per clock. Reset: empty; asynchronous.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    i_events : In(stream of `event_layout`)
    take : In(1)
        All marks are cleared, the next step opens.
    closed : Out(1)
        The step is complete.
    group : In(bits of spec.groups)
    kicked : Out(spec.lanes)
        Marks of this group of inputs; they mean nothing for groups of liquid neurons.
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        super().__init__(
            {
                "i_events": In(stream.Signature(event_layout(spec))),
                "take": In(1),
                "closed": Out(1),
                "group": In(group_bits(spec)),
                "kicked": Out(spec.lanes),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec, events = self._spec, self.i_events
        m = Module()
        lane_bits = (spec.lanes - 1).bit_length()
        accepted = Signal()
        member = Signal(spec.lanes)
        source = events.payload.source
        m.d.comb += [
            events.ready.eq(~self.closed),
            accepted.eq(events.valid & events.ready & ~events.payload.end & (source < spec.inputs)),
            member.eq(1 << source[:lane_bits]),
        ]
        marks, shown = [], []
        for number in range(spec.input_groups):
            mark = Signal(spec.lanes, name=f"mark_{number}")
            # one enable for a group, so that a clock gate stands before it
            with m.If(self.take | (accepted & (Cat(source[lane_bits:]) == number))):
                m.d.sync += mark.eq(Mux(self.take, 0, mark | member))
            marks.append(mark)
            shown.append(self.group[: max(1, (spec.input_groups - 1).bit_length())] == number)
        m.d.comb += self.kicked.eq(one_of(marks, shown))
        m.d.sync += self.closed.eq(Mux(self.closed, ~self.take, events.valid & events.payload.end))
        return m
