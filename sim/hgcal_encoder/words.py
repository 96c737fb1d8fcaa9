"""Stage 1: eRx input words. 4-bit header, then four 7-bit trigger-cell codes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.hgcal_encoder.spec import CELLS, ERX_WORDS, WordOrder

ORBIT_HEADER = 0x9
"""Header of bunch crossing 0 of an orbit."""
HEADER = 0xA
"""Header of every other bunch crossing."""
ORBIT_LENGTH = 3564
"""Bunch crossings in an LHC orbit."""


def shifts(order: WordOrder) -> IntArray:
    """Bit position of the least significant bit of each of the four cells of a word."""
    positions = 7 * np.arange(4)
    return positions if order is WordOrder.P1 else positions[::-1].copy()


def unpack(words: npt.ArrayLike, order: WordOrder) -> tuple[IntArray, IntArray]:
    """Split words into headers and trigger-cell codes.

    Parameters
    ----------
    words : array_like of int, shape (n, 12)
        32-bit words, header in bits 31:28.
    order : WordOrder
        Order of the cells in bits 27:0.

    Returns
    -------
    headers : ndarray of int64, shape (n, 12)
        4-bit headers.
    codes : ndarray of int64, shape (n, 48)
        7-bit 4E3M codes, input 4i + k from word i.

    Raises
    ------
    ValueError
        If the shape is not (n, 12) or a word does not fit 32 bits.
    """
    array = check_words(words)
    codes = (array[:, :, None] >> shifts(order)) & 0x7F
    return array >> 28, codes.reshape(len(array), CELLS)


def pack(codes: npt.ArrayLike, order: WordOrder, first_bx: int = 0) -> npt.NDArray[np.uint32]:
    """Build words from trigger-cell codes, with the header of each bunch crossing.

    Parameters
    ----------
    codes : array_like of int, shape (n, 48)
        7-bit codes.
    order : WordOrder
        Order of the cells in a word.
    first_bx : int
        Bunch crossing of the first row, counted in an orbit of 3564.

    Returns
    -------
    ndarray of uint32, shape (n, 12)

    Raises
    ------
    ValueError
        If a code does not fit 7 bits.
    """
    array = check_range(codes, 0, 127, "trigger-cell codes")
    if array.ndim != 2 or array.shape[1] != CELLS:
        raise ValueError(f"trigger-cell codes: expected shape (n, {CELLS}), got {array.shape}")
    body = (array.reshape(-1, ERX_WORDS, 4) << shifts(order)).sum(axis=2)
    bx = (first_bx + np.arange(len(array))) % ORBIT_LENGTH
    header = np.where(bx == 0, ORBIT_HEADER, HEADER)
    words: npt.NDArray[np.uint32] = (body | (header[:, None] << 28)).astype(np.uint32)
    return words


def bunch_crossings(headers: npt.ArrayLike, first_bx: int = 0) -> IntArray:
    """Number the rows: bunch crossing 0 wherever word 0 carries the orbit header, counting up from there.

    Parameters
    ----------
    headers : array_like of int, shape (n, 12) or (n,)
        Headers; those of word 0 decide.
    first_bx : int
        Number of the first row, if that row does not carry the orbit header.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    first_word = np.asarray(headers)
    if first_word.ndim == 2:
        first_word = first_word[:, 0]
    rows = np.arange(len(first_word))
    starts = np.maximum.accumulate(np.where(first_word == ORBIT_HEADER, rows, -1)) if len(rows) else rows
    return np.where(starts >= 0, rows - starts, rows + first_bx)


def wrong_headers(words: npt.ArrayLike) -> IntArray:
    """Words whose header is not what an aligned link sends, as (row, link), shape (k, 2).

    All links of a bunch crossing carry the same header: `ORBIT_HEADER` at crossing 0 of an orbit, `HEADER` otherwise.
    The data path of the chip reads only word 0's; the others tell that a link is not aligned.

    Raises
    ------
    ValueError
        If a word is out of range; the message names its index.
    """
    headers = check_words(words) >> 28
    expected = np.where((headers == ORBIT_HEADER).sum(axis=1) > ERX_WORDS // 2, ORBIT_HEADER, HEADER)
    return np.argwhere(headers != expected[:, None])


def check_words(words: npt.ArrayLike) -> IntArray:
    """Input words as int64 of shape (n, 12); see `unpack` for what is refused."""
    array = check_range(words, 0, 0xFFFF_FFFF, "input words")
    if array.ndim != 2 or array.shape[1] != ERX_WORDS:
        raise ValueError(f"input words: expected shape (n, {ERX_WORDS}), got {array.shape}")
    return array
