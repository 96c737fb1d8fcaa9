"""Deserialiser of a receiver: bits of a link to the newest 32, at the tap that was chosen."""

from __future__ import annotations

from collections.abc import Sequence

from sim.hgcal_encoder.link_spec import TAPS, WORD_BITS
from sim.hgcal_encoder.links.phase_select import edges

__all__ = ["bits_of", "deserialise", "words_of"]


def deserialise(samples: Sequence[int], *, tap: int = 0, enable: bool = True, invert: bool = False) -> tuple[int, int]:
    """What a receiver makes of one crossing.

    Parameters
    ----------
    samples : sequence of int
        32 samples of 15 taps, tap k in bit k.
    tap : int
        Tap in use; 15 acts as 14.
    enable, invert : bool
        Registers; a receiver that is not enabled gives 0 (choice).

    Returns
    -------
    word : int
        Bits, oldest in bit 31.
    edges : int
        Taps with an edge behind them in the last 31 bits, that before the first of these included.
    """
    if len(samples) != WORD_BITS:
        raise ValueError(f"expected samples of {WORD_BITS} bits, got {len(samples)}")
    word = 0
    for sample in samples:
        word = word << 1 | (enable and (sample >> min(tap, TAPS - 1) & 1) ^ invert)
    # of the first bit only its end counts: all taps as the last one
    level = (samples[0] >> TAPS - 1 & 1) * ((1 << TAPS) - 1)
    return word, edges([level, *samples[1:]])


def bits_of(words: Sequence[int]) -> list[int]:
    """Bits of words as a link sends them, most significant first."""
    return [word >> place & 1 for word in words for place in range(WORD_BITS - 1, -1, -1)]


def words_of(bits: Sequence[int]) -> list[int]:
    """Inverse of `bits_of`; bits that fill no word are dropped."""
    whole = len(bits) // WORD_BITS * WORD_BITS
    return [int("".join(map(str, bits[start : start + WORD_BITS])), 2) for start in range(0, whole, WORD_BITS)]
