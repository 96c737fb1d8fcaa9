"""Status that is held from the moment of a command until it is cleared, so that a slow bus reads one moment."""

from typing import ClassVar

from amaranth.hdl import Module, Mux
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

__all__ = ["StatusCaptureLogic"]


class StatusCaptureLogic(Component):
    """Next state and output of a held status; for `Registered`.

    `shown` is `live` until `capture`; from the clock after it what `live` was then, until `release`. A capture while
    something is held takes its place.

    Parameters
    ----------
    width : int
        Bits.

    Attributes
    ----------
    reset : int
        0: nothing is held.

    Members
    -------
    live : In(width)
    capture, release : In(1)
        `release` wins.
    shown : Out(width)
    state : In, next_state : Out
    """

    reset: ClassVar[int] = 0

    def __init__(self, *, width: int):
        layout = data.StructLayout({"kept": width, "held": 1})
        super().__init__({
            "live": In(width), "capture": In(1), "release": In(1), "shown": Out(width), "state": In(layout),
            "next_state": Out(layout),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        m.d.comb += [
            n.kept.eq(Mux(self.capture, self.live, s.kept)),
            n.held.eq(~self.release & (s.held | self.capture)),
            self.shown.eq(Mux(s.held, s.kept, self.live)),
        ]
        return m
