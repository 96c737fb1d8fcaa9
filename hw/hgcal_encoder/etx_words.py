"""eTx word stage: pairs of 16-bit words on the links that are active."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.one_hot import any_of
from hw.hgcal_encoder.formatter import PACKET_WORDS, WORD_WIDTH
from sim.hgcal_encoder.concentrator_spec import MaskGaps
from sim.hgcal_encoder.spec import ETX_WORDS

__all__ = ["EtxWords"]


class EtxWords(Component):
    """Word 2 k, in the upper half, and word 2 k + 1 of a crossing go to the k-th active link, or to link k where gaps
    are kept; other links send zeros.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Parameters
    ----------
    links : int
        Links that exist; the mask of others counts as 0.
    gaps : MaskGaps
        What gaps in the mask do.

    Members
    -------
    words : In(16) x 26
    active : In(13)
        Mask of active links. Static.
    count : Out(4)
        n: active links, or those up to the last active one where gaps are kept.
    frames : Out(32) x 13
    """

    latency = 0

    def __init__(self, *, links: int, gaps: MaskGaps = MaskGaps.CLOSED):
        self._links, self._gaps = links, gaps
        super().__init__({
            "words": In(ArrayLayout(WORD_WIDTH, PACKET_WORDS)), "active": In(ETX_WORDS), "count": Out(4),
            "frames": Out(ArrayLayout(2 * WORD_WIDTH, ETX_WORDS)),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        if self._gaps is MaskGaps.KEPT:
            for link in range(self._links):
                pair = Cat(self.words[2 * link + 1], self.words[2 * link])
                m.d.comb += self.frames[link].eq(pair & self.active[link].replicate(2 * WORD_WIDTH))
                # the last active link decides
                with m.If(self.active[link]):
                    m.d.comb += self.count.eq(link + 1)
            return m
        before: Value = Const(0, 1)
        for link in range(self._links):
            active = self.active[link]
            # word pair k: as many active links stand before this one
            pairs = [
                Cat(self.words[2 * k + 1], self.words[2 * k]) & ((before == k) & active).replicate(2 * WORD_WIDTH)
                for k in range(link + 1)
            ]
            m.d.comb += self.frames[link].eq(any_of(pairs))
            through = Signal(range(link + 2), name=f"active_up_to_{link}")
            m.d.comb += through.eq(before + active)
            before = through
        m.d.comb += self.count.eq(before)
        return m
