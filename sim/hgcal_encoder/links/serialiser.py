"""Transmitter: words to bits, with an alignment in bits and a test pattern."""

from __future__ import annotations

from dataclasses import dataclass

from sim.hgcal_encoder.link_spec import WORD_BITS, LinkSpec
from sim.hgcal_encoder.links.patterns import PRBS7_ORDER, advance, prbs

__all__ = ["PRBS7_PATTERN", "Serialiser"]

PRBS7_PATTERN = 1
"""Value of ``etx_pattern`` that sends PRBS7."""
_WORD = (1 << WORD_BITS) - 1
_ALL = (1 << PRBS7_ORDER) - 1


@dataclass(kw_only=True)
class Serialiser:
    """Words on their way to the pin.

    With an alignment of k the link is late by k bits, 0 to 63. The pattern is PRBS7 for ``etx_pattern`` 1, and data for
    any other value (choice: 2 to 7 are unpublished). While data is sent the pattern stands at its start, all ones.
    A new alignment or inversion shows in the next crossing.

    Attributes
    ----------
    spec : LinkSpec
    words : int
        The last two words, newest lowest, in the order in which bits leave: the first one in bit 31.
    bits : int
        What is on the link in the next crossing.
    pattern : int
        Last bits of PRBS7.
    """

    spec: LinkSpec
    words: int = 0
    bits: int = 0
    pattern: int = _ALL

    def step(self, word: int, *, align: int = 0, etx_pattern: int = 0, invert: bool = False) -> int:
        """One crossing: the 32 bits on the link, first one in bit 31, for the word before that of this crossing."""
        sent = self.bits
        if etx_pattern == PRBS7_PATTERN:
            new = prbs(self.pattern, PRBS7_ORDER, WORD_BITS)
            self.pattern = advance(self.pattern, PRBS7_ORDER, WORD_BITS) & _ALL
        else:
            self.pattern = _ALL
            new = word if self.spec.etx_first_bit == WORD_BITS - 1 else int(f"{word:032b}"[::-1], 2)
        words = self.words << WORD_BITS | new
        self.bits = words >> align & _WORD ^ (_WORD if invert else 0)
        self.words = words & ((1 << 2 * WORD_BITS) - 1)
        return sent
