"""Word aligner of one receiver: finds where words begin in the raw bits, checks headers and patterns."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.hgcal_encoder.links.patterns import advanced, next_bits
from sim.hgcal_encoder.link_spec import ALIGNED_SELECT, SNAPSHOT_BITS, WORD_BITS, LinkSpec

__all__ = ["CHANNEL_REGISTERS", "SHARED_REGISTERS", "WordAlignerLogic"]

_DATA_BITS = 28
_PRBS = 15
CHANNEL_REGISTERS = {
    "per_ch_align_en": 1, "sel_override_en": 1, "sel_override_val": 8, "patt_en": 1, "patt_sel": 1, "prbs28_en": 1,
    "prbs_chk_en": 1, "force_ch_outputs": 1, "seed_in": _PRBS, "user_word": 4 * WORD_BITS,
}  # fmt: skip
"""Registers of a channel and their bits; of a longer seed the lowest fifteen count."""
SHARED_REGISTERS = {
    "match_pattern_val": 64, "match_mask_val": 64, "orbsyn_hdr_val": 4, "orbsyn_hdr_mask": 4, "idle_hdr_val": 4,
    "idle_hdr_mask": 4, "freeze_output_enable": 1, "freeze_output_enable_all_channels_locked": 1,
}  # fmt: skip
"""Registers that all channels read and their bits."""
_STATUS = {
    "snapshot": SNAPSHOT_BITS, "select": 8, "match": 1, "valid": 1, "searching": 1, "unmatched": 1, "header_wrong": 1,
    "orbit_header_wrong": 1, "prbs_wrong": 1, "header_count": 16, "orbit_header_count": 8, "prbs_count": 8,
}  # fmt: skip


class WordAlignerLogic(Component):
    """Next state and outputs of a channel; for `Registered`.

    Rules: `sim.hgcal_encoder.links.word_aligner.WordAligner`. Latency: an aligned word is at `word` two clocks after
    the clock with its last bits at `raw`, and up to four more as `select` says.

    Parameters
    ----------
    spec : LinkSpec

    Attributes
    ----------
    reset : int
        `select` 32, all else 0.

    Members
    -------
    raw : In(32)
        The newest bits of the link, oldest in bit 31.
    <register> : In
        As `CHANNEL_REGISTERS` and `SHARED_REGISTERS`.
    take, restart, begins, chip_sync : In(1), crossing : In(12)
        Those of the orbit counter.
    clear : In(1)
        Error counters but that of ordinary headers stay 0.
    all_matched : In(1)
        No channel with an enabled receiver is `unmatched`.
    word : Out(32)
        For the algorithms.
    snapshot : Out(192), select : Out(8), match, valid, searching, unmatched : Out(1)
        Status.
    header_wrong, orbit_header_wrong, prbs_wrong : Out(1)
        Errors of this clock.
    header_count : Out(16), orbit_header_count, prbs_count : Out(8)
    state : In, next_state : Out
    """

    STATE: ClassVar[data.StructLayout] = data.StructLayout({
        "history": SNAPSHOT_BITS, "snapshot": SNAPSHOT_BITS, "select": 8, "word": WORD_BITS, "left": 8, "found": 8,
        "match": 1, "valid": 1, "waiting": 1, "unmatched": 1, "header_count": 16, "orbit_header_count": 8,
        "prbs_count": 8, "before": _PRBS, "checking": 1, "generator": _PRBS, "turn": 2,
    })  # fmt: skip

    def __init__(self, *, spec: LinkSpec):
        self._spec = spec
        registers = {name: In(width) for name, width in (CHANNEL_REGISTERS | SHARED_REGISTERS).items()}
        super().__init__({
            "raw": In(WORD_BITS), **registers, "take": In(1), "restart": In(1), "begins": In(1), "chip_sync": In(1),
            "crossing": In(12), "clear": In(1), "all_matched": In(1), "word": Out(WORD_BITS),
            **{name: Out(width) for name, width in _STATUS.items()},
            "state": In(self.STATE), "next_state": Out(self.STATE),
        })  # fmt: skip

    @property
    def reset(self) -> int:
        """State after reset."""
        return int(self.STATE.const({"select": ALIGNED_SELECT, "generator": 1}).as_value().value)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        self._headers(m)
        self._patterns(m)
        self._search(m)
        # the word of the next clock
        select, shift = Signal(8), Signal(8, name="shift")
        m.d.comb += select.eq(Mux(self.sel_override_en, self.sel_override_val, s.select))
        last = self._spec.select_max - ALIGNED_SELECT
        with m.If(select < ALIGNED_SELECT):
            m.d.comb += shift.eq(0)
        with m.Elif(select > self._spec.select_max):
            m.d.comb += shift.eq(last)
        with m.Else():
            m.d.comb += shift.eq(select - ALIGNED_SELECT)
        # whole words first, then bits within a word
        words = last // WORD_BITS + 1
        near, far = Signal(WORD_BITS), Signal(WORD_BITS, name="far")
        with m.Switch(shift[5:]):
            for word in range(words):
                with m.Case(word):
                    m.d.comb += near.eq(s.history.word_select(word, WORD_BITS))
                    m.d.comb += far.eq(s.history.word_select(word + 1, WORD_BITS))
        m.d.comb += [
            n.word.eq((Cat(near, far) >> shift[:5])[:WORD_BITS]),
            n.history.eq(Cat(self.raw, s.history)),
        ]
        m.d.comb += [getattr(self, name).eq(getattr(s, name)) for name in (
            "snapshot", "select", "match", "valid", "unmatched", "header_count", "orbit_header_count", "prbs_count",
        )]  # fmt: skip
        m.d.comb += self.searching.eq(s.left != 0)
        with m.If(self.chip_sync):
            m.d.comb += n.as_value().eq(self.reset)
        return m

    def _headers(self, m: Module) -> None:
        """Check the header of the word that is shown."""
        s, n = self.state, self.next_state
        special, wrong = Signal(), Signal(name="wrong")
        header = s.word[_DATA_BITS:]
        m.d.comb += [
            special.eq(self.crossing == 0),
            wrong.eq(Mux(
                special, (header ^ self.orbsyn_hdr_val) & ~self.orbsyn_hdr_mask,
                (header ^ self.idle_hdr_val) & ~self.idle_hdr_mask,
            ) != 0),
            self.header_wrong.eq(wrong & ~special),
            self.orbit_header_wrong.eq(wrong & special),
            n.header_count.eq(Mux(self.restart, 0, _saturated(s.header_count, self.header_wrong))),
            n.orbit_header_count.eq(Mux(self.clear, 0, _saturated(s.orbit_header_count, self.orbit_header_wrong))),
        ]  # fmt: skip

    def _patterns(self, m: Module) -> None:
        """PRBS checker and generator, user words, what is shown to the algorithms."""
        s, n = self.state, self.next_state
        expected = Mux(
            self.prbs28_en, next_bits(s.before, _PRBS, _DATA_BITS) ^ s.word[:_DATA_BITS],
            next_bits(s.before, _PRBS, WORD_BITS) ^ s.word,
        )  # fmt: skip
        long, short = advanced(s.generator, _PRBS, WORD_BITS), advanced(s.generator, _PRBS, _DATA_BITS)
        seed = self.seed_in | (self.seed_in == 0)
        m.d.comb += [
            self.prbs_wrong.eq(s.checking & self.prbs_chk_en & (expected != 0)),
            n.prbs_count.eq(Mux(self.clear, 0, _saturated(s.prbs_count, self.prbs_wrong))),
            n.checking.eq(self.prbs_chk_en),
            n.before.eq(s.word),
            n.generator.eq(Mux(self.patt_en, Mux(self.prbs28_en, short[:_PRBS], long[:_PRBS]), seed)),
            n.turn.eq(Mux(self.patt_en, s.turn + 1, 0)),
        ]
        frozen = Signal()
        if self._spec.freeze_data:
            m.d.comb += frozen.eq(
                (self.freeze_output_enable & s.waiting)
                | (self.freeze_output_enable_all_channels_locked & ~self.all_matched)
            )
        header = s.word[_DATA_BITS:]
        with m.If(self.force_ch_outputs):
            m.d.comb += self.word.eq(self.user_word[:WORD_BITS])
        with m.Elif(self.patt_en & self.patt_sel):
            m.d.comb += self.word.eq(self.user_word.word_select(s.turn, WORD_BITS))
        with m.Elif(self.patt_en & self.prbs28_en):
            m.d.comb += self.word.eq(Cat(short[:_DATA_BITS], header))
        with m.Elif(self.patt_en):
            m.d.comb += self.word.eq(long[:WORD_BITS])
        with m.Else():
            m.d.comb += self.word.eq(Cat(Mux(frozen, 0, s.word[:_DATA_BITS]), header))

    def _search(self, m: Module) -> None:
        """Snapshot, and the search that takes it once around."""
        s, n = self.state, self.next_state
        equal, position, found = Signal(), Signal(8), Signal(8, name="found")
        m.d.comb += [
            equal.eq(((s.snapshot[:64] ^ self.match_pattern_val) & ~self.match_mask_val) == 0),
            position.eq(SNAPSHOT_BITS + ALIGNED_SELECT - s.left),
            found.eq(s.found),
            n.snapshot.eq(s.snapshot), n.left.eq(s.left), n.found.eq(found), n.match.eq(s.match),
            n.valid.eq(s.valid), n.select.eq(s.select), n.waiting.eq(s.waiting), n.unmatched.eq(s.unmatched),
        ]  # fmt: skip
        with m.If(self.take):
            m.d.comb += [
                n.snapshot.eq(s.history), n.match.eq(0), n.found.eq(0),
                n.left.eq(Mux(self.per_ch_align_en, SNAPSHOT_BITS, 0)), n.valid.eq(~self.per_ch_align_en),
                n.waiting.eq(s.waiting & self.per_ch_align_en), n.unmatched.eq(s.unmatched & self.per_ch_align_en),
            ]  # fmt: skip
        with m.Elif(s.left != 0):
            with m.If(equal & (s.found == 0) & (position <= self._spec.select_max)):
                m.d.comb += found.eq(position)
            m.d.comb += [n.snapshot.eq(Cat(s.snapshot[1:], s.snapshot[0])), n.left.eq(s.left - 1)]
            with m.If(s.left == 1):
                m.d.comb += [
                    n.valid.eq(1), n.waiting.eq(0), n.match.eq(found != 0),
                    n.unmatched.eq(s.unmatched & (found == 0)), n.select.eq(Mux(found == 0, s.select, found)),
                ]  # fmt: skip
        with m.If(self.begins):
            m.d.comb += [n.waiting.eq(1), n.unmatched.eq(1)]


def _saturated(count: Value, event: Value) -> Value:
    return count + (event & ~count.all())
