"""What the search expects in a trigger cell before it looks at the latents: odds of the 4E3M codes.

They depend on what the decoder network gives the cell, what it gives the six nearest ones, and how many cells of the
module it takes for occupied: three numbers in steps, `KINDS` kinds of cell. For each kind the codes of simulated
modules are counted, once for a network. Kinds of which few were seen lean on those with the same first two, then the
same first number.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.detector.geometry import ground_distance
from sim.hgcal_encoder.float_code import CELL

__all__ = ["CODES", "KINDS", "NEIGHBOURS", "kinds", "neighbours", "odds"]

Float64 = npt.NDArray[np.float64]

CODES = CELL.max_code + 1
NEIGHBOURS = 6
"""Nearest trigger cells of each one."""
_OWN, _OWN_STEP = 20, 3
"""Kinds by the code of the cell's own charge, and codes of a kind."""
_BESIDE, _BESIDE_STEP = 12, 4
"""Kinds by the code of the mean charge of its neighbours, and codes of a kind."""
_OCCUPIED = (5, 9, 14, 20, 28)
"""Occupied cells of the module from which the next kind counts."""
KINDS = _OWN * _BESIDE * (len(_OCCUPIED) + 1)
_LEAN = 30.0
"""Cells for which the wider kind counts in the odds of a kind."""
_BLUR = 1.5
"""Standard deviation, in codes, by which what was counted is spread: neighbouring codes are alike."""
_RARE = 1e-7
"""Least odds of a code."""


def neighbours() -> IntArray:
    """The nearest trigger cells of each one, shape (48, 6)."""
    order: IntArray = np.argsort(ground_distance(), axis=1, kind="stable")[:, 1 : 1 + NEIGHBOURS]
    return order


@numba.njit(cache=True)
def _codes(charges, levels, out):  # type: ignore[no-untyped-def]
    for row in range(len(charges)):
        chip = levels[row % len(levels)]
        for cell in range(charges.shape[1]):
            charge, known = charges[row, cell], chip[cell]
            above = min(np.searchsorted(known, charge), known.size - 1)
            below = max(above - 1, 0)
            # from half a pedestal on a cell is not empty
            out[row, cell] = below if 2.0 * charge <= known[below] + known[above] else above


def _nearest_codes(charges: Float64, levels: IntArray) -> IntArray:
    """Codes (n, 48) whose charges are nearest; no charge is code 0."""
    out = np.empty(charges.shape, np.int64)
    _codes(np.ascontiguousarray(charges, np.float64), levels, out)
    return np.where(charges > 0, out, 0)


def kinds(known: Float64, levels: IntArray) -> IntArray:
    """Kind of each trigger cell.

    Parameters
    ----------
    known : ndarray of float64, shape (n, 48)
        Charges that the decoder network gives, 0 where it sees none, in trigger cell order.
    levels : ndarray of int64, shape (1, 48, 128) or (n, 48, 128)
        Calibrated charge of each trigger cell for each code.

    Returns
    -------
    ndarray of int64, shape (n, 48)
        From 0 to `KINDS` - 1.
    """
    own = _nearest_codes(known, levels)
    beside = _nearest_codes(known[:, neighbours()].mean(axis=2), levels)
    occupied = np.digitize((own > 0).sum(axis=1), _OCCUPIED)
    out: IntArray = (
        np.minimum((own + _OWN_STEP - 2) // _OWN_STEP, _OWN - 1) * _BESIDE
        + np.minimum((beside + _BESIDE_STEP - 1) // _BESIDE_STEP, _BESIDE - 1)
    ) * (len(_OCCUPIED) + 1) + occupied[:, None]
    return out


def odds(known: Float64, charges: Float64, levels: IntArray) -> Float64:
    """Minus the logarithm of the odds of each code in each kind of cell, shape (KINDS, 128).

    Parameters
    ----------
    known : ndarray of float64, shape (n, 48)
        As `kinds` takes it.
    charges : ndarray of float64, shape (n, 48)
        True ones of the same modules.
    levels : ndarray of int64, shape (1, 48, 128)
    """
    found, codes = kinds(known, levels).ravel(), _nearest_codes(charges, levels).ravel()
    counts = np.bincount(found * CODES + codes, minlength=KINDS * CODES).reshape(KINDS, CODES).astype(np.float64)
    steps = np.arange(CODES)
    spread = np.exp(-0.5 * ((steps[:, None] - steps) / _BLUR) ** 2)
    # code 0 is no charge, which is like no other
    spread[0, 1:] = spread[1:, 0] = 0.0
    alike = (counts @ (spread / spread.sum(axis=1, keepdims=True))).reshape(_OWN, _BESIDE, -1, CODES)
    widest = alike.sum(axis=(1, 2)) + 1.0 / CODES
    widest /= widest.sum(axis=1, keepdims=True)
    wide = alike.sum(axis=2) + _LEAN * widest[:, None]
    wide /= wide.sum(axis=2, keepdims=True)
    out = alike + _LEAN * wide[:, :, None]
    out /= out.sum(axis=3, keepdims=True)
    prices: Float64 = -np.log(np.maximum(out, _RARE)).reshape(KINDS, CODES)
    return prices
