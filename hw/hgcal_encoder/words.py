"""Stage 1: eRx input words to trigger-cell codes. Wiring and one comparison."""

from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from sim.hgcal_encoder.spec import CELLS, ERX_WORDS, EncoderSpec, WordOrder

__all__ = ["Words"]

_ORBIT_HEADER = 0x9
_CELLS_PER_WORD = 4


class Words(Component):
    """Splits the twelve words of a bunch crossing.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Parameters
    ----------
    spec : EncoderSpec

    Members
    -------
    words : In(32) x 12
        eRx words: header in bits 31:28, four 7-bit codes below.
    orbit_start : Out(1)
        Word 0 carries the header 0x9 of bunch crossing 0. Any other header counts as an ordinary crossing.
    codes : Out(7) x 48
        4E3M codes; word i holds inputs 4i to 4i + 3, ascending (P1) or descending (production) from bit 0.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec):
        self._spec = spec
        super().__init__(
            {
                "words": In(ArrayLayout(32, ERX_WORDS)),
                "orbit_start": Out(1),
                "codes": Out(ArrayLayout(7, CELLS)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += self.orbit_start.eq(self.words[0][28:32] == _ORBIT_HEADER)
        for word in range(ERX_WORDS):
            for cell in range(_CELLS_PER_WORD):
                place = cell if self._spec.word_order is WordOrder.P1 else _CELLS_PER_WORD - 1 - cell
                code = self.words[word].word_select(place, 7)
                m.d.comb += self.codes[_CELLS_PER_WORD * word + cell].eq(code)
        return m
