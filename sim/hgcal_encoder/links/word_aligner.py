"""Word aligner of one receiver: finds where words begin in the raw bits, checks headers and patterns."""

from __future__ import annotations

from dataclasses import dataclass

from sim.hgcal_encoder.link_spec import ALIGNED_SELECT, SNAPSHOT_BITS, WORD_BITS, LinkSpec
from sim.hgcal_encoder.links.orbit_counter import OrbitEvents
from sim.hgcal_encoder.links.patterns import PRBS15_ORDER, advance, prbs

__all__ = ["AlignerRegisters", "ChannelRegisters", "WordAligner", "find_pattern"]

_WORD = (1 << WORD_BITS) - 1
_PATTERN = (1 << 64) - 1
DATA_BITS = 28
_DATA = (1 << DATA_BITS) - 1
_COUNTER, _LONG_COUNTER = 0xFF, 0xFFFF


@dataclass(frozen=True, kw_only=True)
class AlignerRegisters:
    """Registers of the block Aligner that all channels read, at their reset values of production."""

    match_pattern_val: int = 0x9AAAAAAA
    match_mask_val: int = 0xFFFFFFFF00000000
    orbsyn_hdr_val: int = 0x9
    orbsyn_hdr_mask: int = 0
    idle_hdr_val: int = 0xA
    idle_hdr_mask: int = 0
    freeze_output_enable: int = 1
    freeze_output_enable_all_channels_locked: int = 1


@dataclass(frozen=True, kw_only=True)
class ChannelRegisters:
    """Registers of a channel, at their reset values of production."""

    per_ch_align_en: int = 1
    sel_override_en: int = 0
    sel_override_val: int = 0
    patt_en: int = 0
    patt_sel: int = 0
    prbs28_en: int = 0
    prbs_chk_en: int = 0
    force_ch_outputs: int = 0
    seed_in: int = 0
    user_word: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class ChannelErrors:
    """Errors of one word.

    Attributes
    ----------
    header, orbit_header : bool
        Wrong header in an ordinary crossing, and in crossing 0.
    prbs : bool
        The word does not continue the sequence of the word before it.
    """

    header: bool
    orbit_header: bool
    prbs: bool


def find_pattern(snapshot: int, registers: AlignerRegisters, spec: LinkSpec) -> int | None:
    """Lowest `select` at which a snapshot holds the pattern; None if there is none.

    Parameters
    ----------
    snapshot : int
        192 bits, oldest at the top.
    """
    for select in range(ALIGNED_SELECT, spec.select_max + 1):
        window = snapshot >> select - ALIGNED_SELECT & _PATTERN
        if (window ^ registers.match_pattern_val) & ~registers.match_mask_val & _PATTERN == 0:
            return select
    return None


@dataclass(kw_only=True)
class WordAligner:
    """State of a channel after each crossing.

    The newest 192 bits of the link lie in `history`. `select` says how many bits too new its lowest 32 bits are,
    counted from 32 for a link whose words come whole; values outside 32 to `spec.select_max` act like the nearer end.
    When the orbit counter says so, the channel copies its history into `snapshot`, and with ``per_ch_align_en`` it
    looks for the pattern, one position in a crossing from 32 upwards, and takes the first one; the search always takes
    192 crossings, in which the snapshot goes once around, and every channel starts to use what it found in the same
    crossing. Without a match the channel keeps its `select` (choice).

    With ``freeze_output_enable`` the data bits of a channel are 0 from LinkReset ROC-T until its search ends, with
    ``freeze_output_enable_all_channels_locked`` until the pattern was found on every channel whose receiver is enabled.

    Attributes
    ----------
    spec : LinkSpec
    history, snapshot : int
        192 bits.
    select : int
    word : int
        Aligned word of this crossing.
    left : int
        Crossings until the search ends; 0: no search.
    found : int
        What the search found, 0 for nothing.
    match, valid : bool
        Status bits ``pattern_match`` and ``snapshot_dv``.
    waiting : bool
        Between LinkReset ROC-T and the end of the search.
    unmatched : bool
        The search after the last LinkReset ROC-T found no pattern yet.
    header_count : int
        Wrong ordinary headers; stops at 65535, as on the chip.
    orbit_header_count, prbs_count : int
        Stop at 255 (choice).
    before : int
        The last 15 bits of the word before this one.
    checking : bool
        The PRBS checker saw a word.
    generator, turn : int
        State of the pattern generator and number of the next user word.
    """

    spec: LinkSpec
    history: int = 0
    snapshot: int = 0
    select: int = ALIGNED_SELECT
    word: int = 0
    left: int = 0
    found: int = 0
    match: bool = False
    valid: bool = False
    waiting: bool = False
    unmatched: bool = False
    header_count: int = 0
    orbit_header_count: int = 0
    prbs_count: int = 0
    before: int = 0
    checking: bool = False
    generator: int = 1
    turn: int = 0

    def output(self, channel: ChannelRegisters, registers: AlignerRegisters, *, all_matched: bool) -> int:
        """Word for the algorithms in this crossing.

        Parameters
        ----------
        all_matched : bool
            No channel with an enabled receiver is `unmatched`.
        """
        if channel.force_ch_outputs:
            return channel.user_word[0]
        if channel.patt_en:
            if channel.patt_sel:
                return channel.user_word[self.turn]
            if channel.prbs28_en:
                return self.word & ~_DATA | prbs(self.generator, PRBS15_ORDER, DATA_BITS)
            return prbs(self.generator, PRBS15_ORDER, WORD_BITS)
        own = registers.freeze_output_enable and self.waiting
        all_ = registers.freeze_output_enable_all_channels_locked and not all_matched
        return self.word & ~_DATA if self.spec.freeze_data and (own or all_) else self.word

    def errors(self, channel: ChannelRegisters, registers: AlignerRegisters, crossing: int) -> ChannelErrors:
        """Errors of the word of this crossing, which has the number `crossing`."""
        special = crossing == 0
        value, mask = (
            (registers.orbsyn_hdr_val, registers.orbsyn_hdr_mask)
            if special
            else (registers.idle_hdr_val, registers.idle_hdr_mask)
        )
        wrong = (self.word >> DATA_BITS ^ value) & ~mask & 0xF != 0
        width = DATA_BITS if channel.prbs28_en else WORD_BITS
        shown = self.word & ((1 << width) - 1)
        return ChannelErrors(
            header=wrong and not special,
            orbit_header=wrong and special,
            prbs=self.checking and bool(channel.prbs_chk_en) and shown != prbs(self.before, PRBS15_ORDER, width),
        )

    def step(
        self,
        raw: int,
        channel: ChannelRegisters,
        registers: AlignerRegisters,
        events: OrbitEvents,
        *,
        crossing: int,
        clear: bool = False,
    ) -> None:
        """One crossing.

        Parameters
        ----------
        raw : int
            The newest 32 bits of the link, oldest in bit 31.
        events : OrbitEvents
        crossing : int
            Number of the crossing of `word`, before this step.
        clear : bool
            Register ``rw_err_clr``: error counters other than that of ordinary headers stay 0.
        """
        spec = self.spec
        wrong = self.errors(channel, registers, crossing)
        self.header_count = 0 if events.restart else min(self.header_count + wrong.header, _LONG_COUNTER)
        self.orbit_header_count = 0 if clear else min(self.orbit_header_count + wrong.orbit_header, _COUNTER)
        self.prbs_count = 0 if clear else min(self.prbs_count + wrong.prbs, _COUNTER)
        width = DATA_BITS if channel.prbs28_en else WORD_BITS
        self.checking = bool(channel.prbs_chk_en)
        self.before = self.word & ((1 << PRBS15_ORDER) - 1)
        # pattern generator
        if channel.patt_en:
            self.generator = advance(self.generator, PRBS15_ORDER, width) & ((1 << PRBS15_ORDER) - 1)
            self.turn = self.turn + 1 & 3
        else:
            self.generator = channel.seed_in & ((1 << PRBS15_ORDER) - 1) or 1
            self.turn = 0
        # the word of the next crossing
        select = channel.sel_override_val if channel.sel_override_en else self.select
        shift = min(max(select, ALIGNED_SELECT), spec.select_max) - ALIGNED_SELECT
        self.word = self.history >> shift & _WORD
        # snapshot and search
        if events.take:
            self.snapshot = self.history
            self.match = False
            self.found = 0
            searching = bool(channel.per_ch_align_en)
            self.left = SNAPSHOT_BITS if searching else 0
            self.valid = not searching
            self.waiting = self.waiting and searching
            self.unmatched = self.unmatched and searching
        elif self.left:
            position = SNAPSHOT_BITS - self.left + ALIGNED_SELECT
            window = self.snapshot & _PATTERN
            equal = (window ^ registers.match_pattern_val) & ~registers.match_mask_val & _PATTERN == 0
            if equal and not self.found and position <= spec.select_max:
                self.found = position
            self.snapshot = self.snapshot >> 1 | (self.snapshot & 1) << SNAPSHOT_BITS - 1
            self.left -= 1
            if not self.left:
                self.valid, self.waiting = True, False
                self.match = self.found != 0
                self.unmatched = self.unmatched and not self.match
                self.select = self.found or self.select
        if events.begins:
            self.waiting = self.unmatched = True
        self.history = (self.history << WORD_BITS | raw) & ((1 << SNAPSHOT_BITS) - 1)
        if events.reset:
            vars(self).update(vars(WordAligner(spec=spec)))
