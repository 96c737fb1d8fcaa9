"""A short queue of sources: lanes with many synapses of one source need not hold up the others."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Queue"]


class Queue(Component):
    """First in, first out; words move towards the exit.

    Throughput one word per clock, latency 1. Reset: empty, asynchronous.

    Parameters
    ----------
    width, depth : int
        Bits of a word, words.

    Members
    -------
    push : In(1)
        Only while not `full`.
    i : In(width)
    full : Out(1)
    pop : In(1)
        Only while `valid`.
    o : Out(width)
        The oldest word.
    valid : Out(1)
    """

    clocked = True
    latency = 1

    def __init__(self, *, width: int, depth: int):
        self._width, self._depth = width, depth
        super().__init__(
            {
                "push": In(1),
                "i": In(width),
                "full": Out(1),
                "pop": In(1),
                "o": Out(width),
                "valid": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        words = [Signal(self._width, name=f"word_{place}") for place in range(self._depth)]
        count = Signal(range(self._depth + 1))
        after = Signal(range(self._depth + 1))
        m.d.comb += [
            self.full.eq(count == self._depth),
            self.valid.eq(count != 0),
            self.o.eq(words[0]),
            after.eq(count - self.pop),
        ]
        m.d.sync += count.eq(after + self.push)
        for place, word in enumerate(words):
            behind = words[place + 1] if place + 1 < self._depth else word
            with m.If(self.pop | self.push):
                m.d.sync += word.eq(Mux(self.push & (after == place), self.i, Mux(self.pop, behind, word)))
        return m
