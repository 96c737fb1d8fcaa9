"""Corrects single errors of a code word on its way to the data path."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.common.word_code import WordCode, WordSyndrome

__all__ = ["WordCorrector"]


class WordCorrector(Component):
    """Data bits of a code word with at most one wrong bit. Combinational.

    The parity check is not looked at: it tells single errors from double ones, and with two errors the word is wrong
    whatever stands here (a third bit may be inverted). `WordStore` looks at all check bits before it stores anything.

    Parameters
    ----------
    width : int
        Data bits of the code.
    used : tuple of int
        Data bits that the word has, ascending; others are 0.

    Members
    -------
    raw : In
        Used data bits, then check bits without the parity bit.
    data : Out
        Used data bits.
    """

    latency = 0

    def __init__(self, *, width: int, used: tuple[int, ...]):
        self._code, self._used = WordCode(width=width), used
        super().__init__({"raw": In(len(used) + self._code.check_bits - 1), "data": Out(len(used))})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        code, used = self._code, self._used
        bits = {bit: self.raw[i] for i, bit in enumerate(used)}
        given = code.cut(Cat(self.raw[len(used) :], Const(0, 1)))
        found = code.syndrome(m, "word", bits, given)
        kept = WordSyndrome(
            group=Signal(code.split[0], name="group"), place=Signal(code.split[1], name="place"), parity=Const(0, 1)
        )
        m.d.comb += [kept.group.eq(found.group), kept.place.eq(found.place)]
        wrong = code.wrong(m, "word", kept, bits)
        m.d.comb += self.data.eq(Cat(bits[bit] ^ wrong[bit] for bit in used))
        return m
