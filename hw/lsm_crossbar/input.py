"""Input events: what arrives during a step is collected beside the step that runs."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Input", "event_layout"]


def event_layout(spec: CrossbarSpec) -> StructLayout:
    """An event of the input stream: word line of the macro in the low bits, end of step in the highest."""
    return StructLayout({"row": spec.row_bits, "end": 1})


class Input(Component):
    """Collects the events of one step; the second half of the double buffer is the row driver.

    An event sets the bit of its row; a second event of the same row changes nothing. An event with `end` carries no
    row: it closes the step. The collected rows then wait for `take`, and the stream stalls (`ready` low) meanwhile.
    Rows that are no inputs are dropped and noted.

    Throughput one event per clock. Reset: empty, nothing dropped; asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    i_events : In(stream of `event_layout`)
    take : In(1)
        The row driver loads `rows` at the next clock edge; collecting starts again. Ignored unless `full`.
    forget : In(1)
        Clears `dropped`.
    rows : Out(spec.inputs)
        Input rows that are active in the step.
    full : Out(1)
        The step is closed.
    dropped : Out(1)
        An event named a row that is no input since the last `forget`.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(
            {
                "i_events": In(stream.Signature(event_layout(spec))),
                "take": In(1),
                "forget": In(1),
                "rows": Out(spec.inputs),
                "full": Out(1),
                "dropped": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        events = self.i_events
        m.d.comb += events.ready.eq(~self.full)
        accepted = Signal()
        legal = Signal()
        m.d.comb += [
            accepted.eq(events.valid & events.ready & ~events.payload.end),
            legal.eq(events.payload.row < spec.inputs),
        ]
        # 16 rows share the decoder of their high bits, and an enable, so that a clock gate stands before them
        low, high = events.payload.row[:4], events.payload.row[4:]
        column, clear = Signal(16), Signal(name="clear")
        m.d.comb += [column.eq(1 << low), clear.eq(self.take & self.full)]
        for number, first in enumerate(range(0, spec.inputs, 16)):
            group = self.rows[first : first + 16]
            with m.If(clear | (accepted & (high == number))):
                m.d.sync += group.eq(Mux(clear, 0, group | column))
        m.d.sync += [
            self.full.eq(Mux(self.full, ~self.take, events.valid & events.payload.end)),
            self.dropped.eq((self.dropped & ~self.forget) | (accepted & ~legal)),
        ]
        return m
