"""Reaches every code word of a store in turn: scrubs it, and merges and reads single bytes on the way."""

from amaranth.hdl import Module, Mux
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

__all__ = ["WordAccessLogic"]


class WordAccessLogic(Component):
    """One code word per clock, from the first to the last and again. For `Registered`.

    Behind a write every word is reached once with `merge`: `WordStore` changes the bits of the byte in each word that
    has some. In other clocks the bits of the byte at the address are collected in `byte`, which starts from 0 whenever
    the address moves. So a byte is stored within `period` clocks of its write, and read within as many clocks of a
    new address; the bus leaves more time between two bytes.

    Parameters
    ----------
    words : int
        Code words.

    Attributes
    ----------
    reset : int
        0.
    period : int
        Clocks from a word to the same word.

    Members
    -------
    write : In(1), write_data : In(8)
        Store a byte. Its address is that of the store while `merge` is high.
    moved : In(1)
        Another address to read from at the next clock edge.
    found, read : In(8)
        Bits of the byte that the word has, and their values.
    word : Out
        Number of the word.
    merge : Out(1), value : Out(8)
        Change the bits of the byte to this value.
    byte : Out(8)
        Byte at the address.
    state : In, next_state : Out
    """

    reset = 0

    def __init__(self, *, words: int):
        if words < 1:
            raise ValueError(f"expected at least one code word, got {words}")
        self._words = words
        number = words.bit_length()
        layout = data.StructLayout({"word": number, "left": number, "value": 8, "byte": 8})
        super().__init__({
            "write": In(1), "write_data": In(8), "moved": In(1), "found": In(8), "read": In(8), "word": Out(number),
            "merge": Out(1), "value": Out(8), "byte": Out(8), "state": In(layout), "next_state": Out(layout),
        })  # fmt: skip

    @property
    def period(self) -> int:
        """Clocks from a word to the same word."""
        return self._words

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        waiting = s.left != 0
        collected = Mux(waiting, s.byte, (s.byte & ~self.found) | (self.read & self.found))
        m.d.comb += [
            n.word.eq(Mux(s.word >= self._words - 1, 0, s.word + 1)),
            n.left.eq(Mux(self.write, self._words, Mux(waiting, s.left - 1, 0))),
            n.value.eq(Mux(self.write, self.write_data, s.value)),
            n.byte.eq(Mux(self.moved, 0, collected)),
            self.word.eq(s.word),
            self.merge.eq(waiting),
            self.value.eq(s.value),
            self.byte.eq(s.byte),
        ]
        return m
