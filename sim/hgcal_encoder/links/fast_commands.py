"""Decoder of the fast commands: finds the phase of the codes on the 320 Mb/s line, checks them, counts them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sim.hgcal_encoder.link_spec import (
    BITS_PER_COMMAND,
    COUNTED,
    IDLE,
    SAMPLES_PER_COMMAND_BIT,
    WORD_BITS,
    Action,
    LinkSpec,
    actions_of,
)

__all__ = ["FastCommandDecoder", "command_samples"]

_INVERTED_IDLE = IDLE ^ 0xFF
_TOP = 255


def command_samples(codes: Iterable[int], shift: int = 0) -> list[int]:
    """What the receiver samples of codes on the line, 32 samples for each crossing, oldest in bit 31.

    Parameters
    ----------
    codes : iterable of int
        One code in each crossing, sent from bit 7 on.
    shift : int
        Bits by which the line is late, 0 to 7; the line carries 0 before the first code.
    """
    bits = [0] * shift
    for code in codes:
        bits += [code >> 7 - place & 1 for place in range(BITS_PER_COMMAND)]
    words = []
    for start in range(0, len(bits) - shift, BITS_PER_COMMAND):
        word = 0
        for bit in bits[start : start + BITS_PER_COMMAND]:
            word = word << SAMPLES_PER_COMMAND_BIT | ((1 << SAMPLES_PER_COMMAND_BIT) - 1 if bit else 0)
        words.append(word)
    return words


@dataclass(kw_only=True)
class FastCommandDecoder:
    """State of the decoder after each crossing.

    `spec.command_loss` IDLEs in a row at one phase lock; as many in a row at another phase lose the lock, and then the
    count starts anew. While locked, an IDLE at a wrong phase or a code without four ones is an error. A code with four
    ones at the own phase acts whatever is seen at another phase (choice: two good codes in a row may hold the bits of
    an IDLE between them). Counters stop at 255 (choice).

    Attributes
    ----------
    spec : LinkSpec
    previous : int
        The last seven bits of the line.
    in_row : list of int
        IDLEs in a row, by phase.
    locked, inverted : bool
    phase : int
    counts : list of int
        By `Action`.
    lock_count : int
        Times that it locked.
    """

    spec: LinkSpec
    previous: int = 0
    in_row: list[int] = field(default_factory=lambda: [0] * BITS_PER_COMMAND)
    locked: bool = False
    inverted: bool = False
    phase: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * COUNTED)
    lock_count: int = 0

    def step(
        self, samples: int, *, rising: bool = True, invert: bool = False, clear: bool = False, force_error: bool = False
    ) -> frozenset[Action]:
        """One crossing.

        Parameters
        ----------
        samples : int
            32 samples of the line, oldest in bit 31: four of each bit.
        rising : bool
            Register ``edge_sel_t1``: take the second sample of each bit, otherwise the fourth.
        invert : bool
            Register ``invert_command_rx``.
        clear : bool
            Counters and `inverted` are 0 afterwards.
        force_error : bool
            Register ``force_fc_error`` of first silicon.

        Returns
        -------
        frozenset of Action
            What the code of this crossing asks for.
        """
        place = 2 if rising else 0
        bits = 0
        for first in range(WORD_BITS - SAMPLES_PER_COMMAND_BIT, -1, -SAMPLES_PER_COMMAND_BIT):
            bits = bits << 1 | (samples >> first + place & 1)
        if invert:
            bits ^= 0xFF
        window = self.previous << BITS_PER_COMMAND | bits
        codes = [window >> 7 - phase & 0xFF for phase in range(BITS_PER_COMMAND)]
        idle = [code == IDLE for code in codes]
        limit = self.spec.command_loss
        in_row = [min(count + 1, limit) if here else 0 for count, here in zip(self.in_row, idle, strict=True)]
        done: set[Action] = set()
        if self.locked:
            code = codes[self.phase]
            elsewhere = any(here for phase, here in enumerate(idle) if phase != self.phase)
            balanced = code.bit_count() == 4
            if elsewhere or not balanced or force_error:
                done.add(Action.ERROR)
            if balanced:
                done |= set(actions_of(code, self.spec))
            if any(count == limit for phase, count in enumerate(in_row) if phase != self.phase):
                self.locked = False
                in_row = [0] * BITS_PER_COMMAND
        elif limit in in_row:
            self.locked, self.phase = True, in_row.index(limit)
            self.lock_count = min(self.lock_count + 1, _TOP)
        self.in_row = in_row
        self.inverted = self.inverted or _INVERTED_IDLE in codes
        self.counts = [min(count + (number in done), _TOP) for number, count in enumerate(self.counts)]
        if clear:
            self.counts, self.lock_count, self.inverted = [0] * COUNTED, 0, False
        self.previous = bits & 0x7F
        return frozenset(done)
