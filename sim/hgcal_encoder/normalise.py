"""Stage 5: module sum, its 5E4M code, and charges divided by the power of two below the sum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, check_range
from sim.hgcal_encoder.float_code import WIDE_SUM
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH


def check_charges(charges: npt.ArrayLike) -> IntArray:
    """Calibrated charges as int64 of shape (n, 48).

    Raises
    ------
    ValueError
        If the shape differs or a charge does not fit 22 bits; the message names the index.
    """
    array = check_range(charges, 0, (1 << CHARGE_WIDTH) - 1, "calibrated charges")
    if array.ndim != 2 or array.shape[1] != CELLS:
        raise ValueError(f"calibrated charges: expected shape (n, {CELLS}), got {array.shape}")
    return array


def leading_one(sums: IntArray) -> IntArray:
    """Index of the highest set bit, floor(log2 sum); 0 for a sum of 0."""
    # frexp is exact below 2**53: sum = f * 2**e with 0.5 <= f < 1
    return np.maximum(np.frexp(sums.astype(np.float64))[1].astype(np.int64) - 1, 0)


def sum_code(sums: npt.ArrayLike) -> IntArray:
    """9-bit 5E4M codes of module sums, exponent in bits 8:4; see `sim.hgcal_encoder.float_code`."""
    return WIDE_SUM.encode(sums)


def normalise(charges: npt.ArrayLike, pixel: FixedPoint) -> tuple[IntArray, IntArray]:
    """Divide charges by the largest power of two not above the module sum.

    Parameters
    ----------
    charges : array_like of int, shape (n, 48)
        Calibrated charges.
    pixel : FixedPoint
        Format of the result (unsigned, one integer bit, truncated).

    Returns
    -------
    sums : ndarray of int64, shape (n,)
        Module sums, 28 bits.
    pixels : ndarray of int64, shape (n, 48)
        Codes of `pixel`: values in [0, 2).
    """
    array = check_charges(charges)
    sums = array.sum(axis=1)
    # the barrel shifter ends at the width of a charge: larger sums shift no further, and no pixel can overflow
    m = np.minimum(leading_one(sums), CHARGE_WIDTH - 1)
    shift = (m - pixel.fraction)[:, None]
    return sums, np.where(shift >= 0, array >> np.maximum(shift, 0), array << np.maximum(-shift, 0))
