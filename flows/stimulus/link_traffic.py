"""What arrives at a concentrator's receivers: orbits of words with skew, slips and bit errors, and fast commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sim.hgcal_encoder.link_spec import BITS_PER_COMMAND, ERX_LINKS, IDLE, WORD_BITS

__all__ = ["LinkTraffic", "command_bits", "raw_words"]

Words = npt.NDArray[np.int64]
TRAINING_CROSSINGS = 256
"""Crossings in which a ROC sends idle words after LinkReset ROC-T."""
_DATA = (1 << 28) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class LinkTraffic:
    """Twelve links over `crossings` crossings; crossing 0 of an orbit is row `start` and every `orbit` rows from there.

    Attributes
    ----------
    orbit : int
        Crossings of an orbit; short ones make short tests.
    start : int
        Row of the first crossing 0.
    delays : ndarray of int64, shape (crossings, 12)
        Bits by which each link is late, row by row: a change is a slip.
    data : ndarray of int64, shape (crossings, 12)
        28 bits of each word.
    idle : int
        28 bits of idle words.
    training : tuple of int
        Rows from which on all links send idle words for 256 crossings.
    headers : mapping of (int, int) to int
        Wrong headers by row and link.
    flips : mapping of (int, int) to int
        Bits that arrive inverted, by row and link, as a mask.
    """

    orbit: int
    start: int
    delays: Words
    data: Words
    idle: int
    training: tuple[int, ...] = ()
    headers: Mapping[tuple[int, int], int] = field(default_factory=dict)
    flips: Mapping[tuple[int, int], int] = field(default_factory=dict)

    @property
    def crossings(self) -> int:
        """Rows."""
        return len(self.data)

    def words(self) -> Words:
        """Words as the ROCs send them, shape (crossings, 12)."""
        data = self.data & _DATA
        for first in self.training:
            data[first : first + TRAINING_CROSSINGS] = self.idle
        number = (np.arange(self.crossings) - self.start) % self.orbit
        words = np.where(number == 0, 0x9, 0xA)[:, None] << 28 | data
        for (row, link), header in self.headers.items():
            words[row, link] = header << 28 | (words[row, link] & _DATA)
        return words

    def raw(self) -> Words:
        """The 32 bits that arrive on each link in each row, oldest in bit 31, shape (crossings, 12)."""
        raw = raw_words(self.words(), self.delays)
        for (row, link), mask in self.flips.items():
            raw[row, link] ^= mask
        return raw


def raw_words(words: Words, delays: Words) -> Words:
    """Words cut from late links.

    Parameters
    ----------
    words : ndarray of int64, shape (n, links)
    delays : ndarray of int64, shape (n, links)
        Bits by which a link is late in a row; before its first word a link carries 0.
    """
    places = np.arange(WORD_BITS - 1, -1, -1)
    bits = (words[:, :, None] >> places & 1).transpose(1, 0, 2).reshape(words.shape[1], -1)
    late = np.repeat(delays.T, WORD_BITS, axis=1)
    index = np.arange(bits.shape[1])[None, :] - late
    shifted = np.where(index >= 0, np.take_along_axis(bits, np.maximum(index, 0), axis=1), 0)
    raw: Words = shifted.reshape(words.shape[1], -1, WORD_BITS) @ (1 << places)
    return raw.T.copy()


def command_bits(codes: Mapping[int, int], rows: int, shift: int) -> Words:
    """Samples of the fast-command line, four of each bit, shape (rows,): IDLE where `codes` has none for a row.

    Parameters
    ----------
    codes : mapping of int to int
        Code by row.
    rows : int
    shift : int
        Bits by which the line is late, 0 to 7.
    """
    sent = np.array([codes.get(row, IDLE) for row in range(rows)], np.int64)
    bits = (sent[:, None] >> np.arange(BITS_PER_COMMAND - 1, -1, -1) & 1).reshape(-1)
    late = np.concatenate([np.zeros(shift, np.int64), bits])[: len(bits)].reshape(rows, BITS_PER_COMMAND)
    samples: Words = np.repeat(late, 4, axis=1) @ (1 << np.arange(WORD_BITS - 1, -1, -1))
    return samples


def constant_delays(delays: Sequence[int], rows: int) -> Words:
    """Delays that stay, shape (rows, 12)."""
    return np.tile(np.asarray(delays, np.int64).reshape(1, ERX_LINKS), (rows, 1))
