"""Walks over the rows of a register file, so that each is scrubbed in turn."""

from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import Component, In, Out

__all__ = ["ScrubberLogic"]


class ScrubberLogic(Component):
    """One row per clock, from `first` to `last` and again. For `Registered`.

    From any state, also one outside the range, every row comes up within ``2**width`` clocks, and from a state within
    the range within `period`.

    Parameters
    ----------
    first, last : int
        Rows.
    width : int
        Bits of a row number.

    Attributes
    ----------
    reset : int
        `first`.

    Members
    -------
    row : Out(width)
    state : In(width), next_state : Out(width)
    """

    def __init__(self, *, first: int, last: int, width: int):
        if not 0 <= first <= last < 1 << width:
            raise ValueError(f"rows {first} to {last} are no range of {width} bits")
        self._first, self._last = first, last
        super().__init__({"row": Out(width), "state": In(width), "next_state": Out(width)})

    @property
    def reset(self) -> int:
        """State after reset."""
        return self._first

    @property
    def period(self) -> int:
        """Clocks from a row to the same row."""
        return self._last - self._first + 1

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += [
            self.row.eq(self.state),
            self.next_state.eq(Mux(self.state >= self._last, self._first, self.state + 1)),
        ]
        return m
