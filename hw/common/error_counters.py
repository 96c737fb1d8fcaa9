"""Counters of corrected errors."""

from amaranth.hdl import Module, Mux
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

__all__ = ["COUNTER_BITS", "ErrorCountersLogic"]

COUNTER_BITS = 8
"""As the counters of ECON-T."""


class ErrorCountersLogic(Component):
    """One counter per kind of event; each stops at its highest value. For `Registered`.

    Parameters
    ----------
    count : int
        Kinds of events.

    Attributes
    ----------
    reset : int
        0.

    Members
    -------
    events : In(count)
        Count up by one in every clock in which the bit is set.
    clear : In(1)
        Hold all at 0.
    counts : Out(8 * count)
    state : In, next_state : Out
    """

    reset = 0

    def __init__(self, *, count: int):
        if count < 1:
            raise ValueError(f"expected at least one kind of event, got {count}")
        layout = ArrayLayout(COUNTER_BITS, count)
        super().__init__({
            "events": In(count), "clear": In(1), "counts": Out(layout), "state": In(layout), "next_state": Out(layout),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        for event, count, now, after in zip(self.events, self.counts, self.state, self.next_state, strict=True):
            m.d.comb += [count.eq(now), after.eq(Mux(self.clear, 0, now + (event & ~now.all())))]
        return m
