"""Best choice: the trigger cells with the largest charges, with their positions, and the sum of the rest.

Frame, most significant bit of eTx 0 first, zero-padded to the links:

* 4 bits counter (15 at crossing 0, else the crossing modulo 8), 8 bits 5E3M sum of the cells that are not sent;
* from 8 cells on: 48 bits of map, trigger cell 0 first, then 7 bits 4E3M per cell sent, in trigger cell order;
* below 8 cells: 6 bits of trigger cell number for each cell sent, in rising order, then 7 bits 4E3M for each.

All charges, in the sum too, lose ``drop`` low bits first and end at 2**18 - 1, the largest value that 4E3M tells apart.
The cells are found by Batcher's merge exchange over the truncated charges (D. E. Knuth, "The Art of Computer
Programming" 3, 2nd ed. 1998, section 5.2.2, algorithm M); between
equal charges the network decides, not the trigger cell number, and a comparator never exchanges equal charges.
Number of cells on 1 to 13 links: 1, 4, 6, 9, 14, 18, 23, 28, 32, 37, 41, 46, 48.

Checked bit for bit against the vectors ``BC_5eTx`` (14 cells). The vectors leave open the layout below 8 cells: 4 cells
on 2 links fill 64 bits exactly without a count, so there is none; and what is sent for a chosen cell of charge 0: here
7 zero bits. Source: ECON-T emulator and its vectors; public trigger emulation of CMS.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.algorithms.algorithm import FixedFrame
from sim.hgcal_encoder.algorithms.output_buffer import Bits, fields, from_frames, numbers
from sim.hgcal_encoder.float_code import CELL, SUM
from sim.hgcal_encoder.normalise import check_charges
from sim.hgcal_encoder.spec import CELLS

CELLS_SENT = (1, 4, 6, 9, 14, 18, 23, 28, 32, 37, 41, 46, 48)
"""Trigger cells sent on 1 to 13 links."""
MAP_FROM = 8
"""Cells from which on a map of 48 bits is shorter than cell numbers."""
_COUNTER, _HEADER = 4, 12
_CHARGE_MAX = (1 << 18) - 1
"""Largest charge that is sorted and summed, after dropping bits."""

Residual = Literal["none", "even"]


@lru_cache(maxsize=4)
def merge_exchange(size: int) -> tuple[tuple[IntArray, IntArray], ...]:
    """Comparators of Batcher's merge exchange, in groups that touch every element at most once.

    Parameters
    ----------
    size : int
        Elements to sort, at least 2.

    Returns
    -------
    tuple of (lower, upper)
        Positions that each group compares.
    """
    if size < 2:
        raise ValueError(f"expected at least 2 elements, got {size}")
    top = 1 << ((size - 1).bit_length() - 1)
    out = []
    p = top
    while p:
        q, r, d = top, 0, p
        while True:
            lower = np.array([i for i in range(size - d) if i & p == r], np.int64)
            out.append((lower, lower + d))
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return tuple(out)


def sort_descending(values: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Rows sorted by the network, largest first.

    Parameters
    ----------
    values : array_like of int, shape (n, k)

    Returns
    -------
    ordered : ndarray of int64, shape (n, k)
    positions : ndarray of int64, shape (n, k)
        Where each came from; equal values stand in the order the network leaves them in.
    """
    # columns are contiguous: each group of comparators exchanges whole rows of the transposed array
    value = np.ascontiguousarray(np.asarray(values, dtype=np.int64).T)
    # one integer holds value and position, so that an exchange moves both; only the value is compared
    size = len(value)
    position_bits = (size - 1).bit_length()
    packed = (value << position_bits) | np.arange(size)[:, None]
    for lower, upper in merge_exchange(size):
        a, b = packed[lower], packed[upper]
        swap = (a >> position_bits) < (b >> position_bits)
        packed[lower], packed[upper] = np.where(swap, b, a), np.where(swap, a, b)
    return (packed >> position_bits).T, (packed & ((1 << position_bits) - 1)).T


@dataclass(frozen=True, kw_only=True)
class BestChoice(FixedFrame):
    """Golden model of best choice. The links decide how many cells are sent.

    Attributes
    ----------
    full_sum : bool
        Register use_sum: send the sum of all cells instead of those that are not sent.
    """

    full_sum: bool = False

    @property
    def cells(self) -> int:
        """Trigger cells sent."""
        return CELLS_SENT[self.etx_count - 1]

    @property
    def bits(self) -> int:
        """Bits of a frame that carry something."""
        return self._charges_from + CELL.width * self.cells

    @property
    def _charges_from(self) -> int:
        return _HEADER + (CELLS if self.cells >= MAP_FROM else 6 * self.cells)

    def _dropped(self, charges: npt.ArrayLike) -> IntArray:
        """Charges as they are sorted and summed."""
        kept: IntArray = np.minimum(check_charges(charges) >> self.dropped, _CHARGE_MAX)
        return kept

    def sent(self, charges: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which cells are sent, shape (n, 48).

        Raises
        ------
        ValueError
            If a charge is out of range; the message names its index.
        """
        array = self._dropped(charges)
        chosen = np.zeros(array.shape, np.bool_)
        np.put_along_axis(chosen, sort_descending(array)[1][:, : self.cells], True, axis=1)
        return chosen

    def _encode(self, charges: npt.ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
        """Cells sent, their codes, both (n, cells), and the code of the sum, (n,)."""
        array = self._dropped(charges)
        chosen = self.sent(charges)
        cells = np.nonzero(chosen)[1].reshape(-1, self.cells)
        total = np.where(chosen & (not self.full_sum), 0, array).sum(axis=1)
        return cells, CELL.encode(np.take_along_axis(array, cells, axis=1)), SUM.encode(total)

    def _fields(self, charges: IntArray) -> list[Bits]:
        cells, codes, sums = self._encode(charges)
        if self.cells >= MAP_FROM:
            places = np.zeros((len(cells), CELLS), np.uint8)
            np.put_along_axis(places, cells, np.uint8(1), axis=1)
        else:
            places = fields(cells, 6)
        return [fields(sums, SUM.width), places, fields(codes, CELL.width)]

    def receive(self, frames: npt.ArrayLike, *, residual: Residual = "none") -> npt.NDArray[np.float64]:
        """Charges that a receiver reads out of frames.

        Parameters
        ----------
        frames : array_like of int, shape (n, 13)
        residual : {"none", "even"}
            What becomes of the sum of the cells not sent: left out, or spread evenly over them.

        Returns
        -------
        ndarray of float64, shape (n, 48)
            In counts of CALQ.
        """
        bits = from_frames(frames, self.etx_count)
        places = bits[:, _HEADER : self._charges_from]
        cells = np.nonzero(places)[1].reshape(-1, self.cells) if self.cells >= MAP_FROM else numbers(places, 6)
        codes = numbers(bits[:, self._charges_from : self.bits], CELL.width)
        return self._image(cells, codes, numbers(bits[:, _COUNTER:_HEADER], SUM.width)[:, 0], residual)

    def reconstruct(self, charges: npt.ArrayLike, *, residual: Residual = "none") -> npt.NDArray[np.float64]:
        """What arrives for charges (n, 48); as `receive` of `frames`, without building words."""
        return self._image(*self._encode(charges), residual)

    def _image(self, cells: IntArray, codes: IntArray, sums: IntArray, residual: Residual) -> npt.NDArray[np.float64]:
        charges = CELL.decode(codes, self.dropped)
        image = np.zeros((len(cells), CELLS))
        np.put_along_axis(image, cells, charges, axis=1)
        if residual == "even" and self.cells < CELLS:
            rest = SUM.decode(sums, self.dropped)
            if self.full_sum:
                rest = np.maximum(rest - charges.sum(axis=1), 0.0)
            unsent = np.ones(image.shape, np.bool_)
            np.put_along_axis(unsent, cells, False, axis=1)
            image += unsent * (rest / (CELLS - self.cells))[:, None]
        return image
