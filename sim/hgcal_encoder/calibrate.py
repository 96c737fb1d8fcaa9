"""Stage 4: calibration. Each charge times its own unsigned 1.11 factor, truncated."""

from __future__ import annotations

import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, check_range

CALIBRATION = FixedPoint(width=12, fraction=11, signed=False)
"""Format of a calibration factor; code 2048 is 1.0."""


def calibrate(charges: IntArray, factors: npt.ArrayLike) -> IntArray:
    """``(charge * factor) >> 11`` per trigger cell.

    Parameters
    ----------
    charges : ndarray of int64, shape (n, 48)
        Decoded charges.
    factors : array_like of int, shape (48,)
        Codes of `CALIBRATION`.

    Returns
    -------
    ndarray of int64, shape (n, 48)
        Calibrated charges (CALQ), at most 22 bits.

    Raises
    ------
    ValueError
        If a factor or charge is out of range.
    """
    codes = CALIBRATION.check(factors, "calibration factors")
    array = check_range(charges, 0, (1 << 21) - 1, "decoded charges")
    return (array * codes) >> CALIBRATION.fraction
