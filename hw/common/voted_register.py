"""A register of a pipeline in three copies with a voter."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.replica import Replica, majority
from hw.common.reset_value import check_register

__all__ = ["VotedRegister"]


class VotedRegister(Component):
    """Takes the place of `PipelineRegister`: three replicas, one voter.

    The flip of one replica, of any number of its bits, never shows at `o`, and is gone one clock later, when the next
    word is loaded. Not triplicated: voter, clock, reset, and the logic in front.

    Throughput one word per clock, latency 1. Reset: `reset`, asynchronous.

    Parameters
    ----------
    width : int
        Bits.
    reset : int
        Value after reset.

    Members
    -------
    i : In(width)
    o : Out(width)
    error : Out(1)
        The replicas differ.

    Raises
    ------
    ValueError
        If the width is below 1 or the reset value does not fit.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int = 0):
        self._kept = {"width": width, "reset": reset}
        check_register(width, reset)
        super().__init__({"i": In(width), "o": Out(width), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = [place(m, platform, f"replica_{k}", Replica, **self._kept) for k in range(3)]
        m.d.comb += [copy.i.eq(self.i) for copy in copies]
        a, b, c = (copy.o for copy in copies)
        m.d.comb += [self.o.eq(majority(a, b, c)), self.error.eq(((a ^ b) | (a ^ c)).any())]
        return m
