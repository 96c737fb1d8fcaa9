"""Bits to eTx words, and the buffer that lets a variable-size format share fixed links.

A format hands over bits, most significant first, in words of 16. Two of them make a 32-bit eTx word, the earlier one in
the upper half. Threshold sum writes as many words as the crossing needs into a buffer, of which 2 n leave per crossing
on n links. With Nbuf words waiting and N to come the buffer takes

* the truncated word (one word, module sum only) if Nbuf + N > T1 (no room), or if Nbuf > T2 and N <= T3,
* the full data otherwise.

When it runs empty the links carry idle words: counter in bits 15:11, link synchronisation pattern in bits 10:0.
Source: ECON-T emulator (BufferBlock) and the vectors ``TS_Thr47_5eTx_MRL``, which reach the first rule only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.frame import counter
from sim.hgcal_encoder.spec import ETX_WORDS

__all__ = [
    "SYNC_RESET",
    "SYNC_WIDTH",
    "Admission",
    "Bits",
    "BufferThresholds",
    "Frames",
    "admit",
    "check_links",
    "fields",
    "from_frames",
    "numbers",
    "short_counter",
    "to_frames",
    "to_packets",
    "transmit",
]

Bits = npt.NDArray[np.uint8]
Frames = npt.NDArray[np.uint32]

SYNC_WIDTH = 11
"""Bits of the synchronisation pattern in an idle word."""
SYNC_RESET = 290
"""Pattern in the published settings (``link_reset_pattern``)."""


def check_links(etx_count: int) -> None:
    """Refuse a number of links outside 1 ... 13."""
    if not 1 <= etx_count <= ETX_WORDS:
        raise ValueError(f"expected 1 to {ETX_WORDS} eTx links, got {etx_count}")


def short_counter(bx: IntArray) -> IntArray:
    """4-bit counter of best choice and super trigger cells: 15 at crossing 0, otherwise the crossing modulo 8."""
    return np.where(bx == 0, 15, bx & 7)


def fields(values: npt.ArrayLike, width: int) -> Bits:
    """Values as bits, most significant first: shape (n, k * width) for (n, k) or (n,) values."""
    array = np.asarray(values, dtype=np.int64)
    array = array.reshape(len(array), -1)
    bits = (array[:, :, None] >> np.arange(width - 1, -1, -1)) & 1
    return bits.reshape(len(array), array.shape[1] * width).astype(np.uint8)


def numbers(bits: npt.ArrayLike, width: int) -> IntArray:
    """Inverse of `fields`: shape (n, k) for (n, k * width) bits."""
    array = np.asarray(bits, dtype=np.int64)
    out: IntArray = array.reshape(len(array), -1, width) @ (1 << np.arange(width - 1, -1, -1))
    return out


def to_frames(bits: Bits, etx_count: int) -> Frames:
    """eTx words of bits that fit the links, zero-padded, shape (n, 13)."""
    check_links(etx_count)
    if bits.shape[1] > 32 * etx_count:
        raise ValueError(f"{bits.shape[1]} bits do not fit {etx_count} links of 32")
    padded = np.zeros((len(bits), 32 * ETX_WORDS), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return np.packbits(padded, axis=1).view(">u4").astype(np.uint32)


def from_frames(frames: npt.ArrayLike, etx_count: int) -> Bits:
    """Bits of eTx words, shape (n, 32 * links).

    Raises
    ------
    ValueError
        If the shape is not (n, 13).
    """
    check_links(etx_count)
    words = np.asarray(frames, dtype=np.uint32)
    if words.ndim != 2 or words.shape[1] != ETX_WORDS:
        raise ValueError(f"output words: expected shape (n, {ETX_WORDS}), got {words.shape}")
    return np.unpackbits(words[:, :etx_count].astype(">u4").view(np.uint8).reshape(len(words), -1), axis=1)


class Admission(IntEnum):
    """What the buffer took of a crossing."""

    FULL = 0
    NO_ROOM = 1
    """Truncated, because the full data would exceed T1."""
    EARLY = 2
    """Truncated, because the buffer is above T2 and the data is short."""


@dataclass(frozen=True, kw_only=True)
class BufferThresholds:
    """Registers buff_t1, buff_t2, buff_t3, in 16-bit words.

    Attributes
    ----------
    t1, t2, t3 : int
        See the module's text; 0 to 511, 511 and 31.

    Raises
    ------
    ValueError
        If a value does not fit its register of 9, 9 or 5 bits.
    """

    t1: int
    t2: int
    t3: int

    def __post_init__(self) -> None:
        for name, width in (("t1", 9), ("t2", 9), ("t3", 5)):
            value = getattr(self, name)
            if not 0 <= value < 1 << width:
                raise ValueError(f"buff_{name}: expected 0 to {(1 << width) - 1}, got {value}")

    @classmethod
    def for_links(cls, etx_count: int) -> BufferThresholds:
        """The chip's reset values (48, 511, 0 on 2 links) for any number: 12 crossings of delay, second rule off."""
        return cls(t1=24 * etx_count, t2=511, t3=0)


def admit(lengths: npt.ArrayLike, thresholds: BufferThresholds, etx_count: int) -> tuple[IntArray, IntArray]:
    """Run the buffer over consecutive crossings.

    Parameters
    ----------
    lengths : array_like of int, shape (n,) or (n, chips)
        16-bit words of the full data, crossing by crossing; every column is a chip of its own.
    thresholds : BufferThresholds
    etx_count : int

    Returns
    -------
    admissions : ndarray of int64, shape of `lengths`
        `Admission` of every crossing.
    waiting : ndarray of int64, shape of `lengths`
        Words in the buffer when the crossing arrived.
    """
    check_links(etx_count)
    length = np.asarray(lengths, dtype=np.int64)
    admissions, waiting = np.zeros_like(length), np.zeros_like(length)
    level = np.zeros(length.shape[1:], np.int64)
    for row, new in enumerate(length):
        waiting[row] = level
        full = level + new > thresholds.t1
        early = ~full & (level > thresholds.t2) & (new <= thresholds.t3)
        admissions[row] = np.where(full, Admission.NO_ROOM, np.where(early, Admission.EARLY, Admission.FULL))
        level = np.maximum(level + np.where(full | early, 1, new) - 2 * etx_count, 0)
    return admissions, waiting


def transmit(packets: Sequence[npt.NDArray[np.uint16]], bx: IntArray, etx_count: int, sync: int) -> Frames:
    """Send admitted packets over the links, 2 n words per crossing, idle words when there is nothing to send.

    Parameters
    ----------
    packets : sequence of ndarray of uint16
        What `admit` let in, one per crossing.
    bx : ndarray of int64, shape (n,)
    etx_count : int
    sync : int
        11-bit pattern of idle words.

    Returns
    -------
    ndarray of uint32, shape (n, 13)
    """
    check_links(etx_count)
    size = 2 * etx_count
    out = np.zeros((len(packets), 2 * ETX_WORDS), np.uint32)
    waiting: list[int] = []
    for row, packet in enumerate(packets):
        waiting += packet.tolist()
        sent = waiting[:size]
        out[row, : len(sent)] = sent
        out[row, len(sent) : size] = int(counter(bx[row : row + 1])[0]) << SYNC_WIDTH | sync
        del waiting[:size]
    return (out[:, 0::2] << np.uint32(16)) | out[:, 1::2]


def to_packets(bits: Sequence[Bits]) -> list[npt.NDArray[np.uint16]]:
    """Rows of bits of different lengths as 16-bit words, zero-padded."""
    return [np.packbits(np.pad(row, (0, -len(row) % 16))).view(">u2").astype(np.uint16) for row in bits]
