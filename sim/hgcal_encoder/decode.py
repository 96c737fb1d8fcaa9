"""Stage 3: the 4E3M floating-point code of a trigger cell, expanded to an integer charge.

With e = code >> 3 and m = code & 7 the mantissa is M = 2 m + 1 for e = 0 and M = 2 (m + 8) + 1 otherwise: the
trailing 1 is the half LSB that undoes the truncation of the sender. The charge is M << (drop - 1 + max(e - 1, 0)),
where drop (1 at low, 3 at high density) restores the bits that the sender dropped. Code 0 is therefore not 0.
Source: ECON-T emulator and its vectors, see the data sheet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range

DROP_LOW_DENSITY = 1
DROP_HIGH_DENSITY = 3
CHARGE_MAX = 2_031_616
"""Largest decoded charge (code 127 at high density); 21 bits."""


def mantissa(codes: npt.ArrayLike) -> IntArray:
    """5-bit odd mantissa M of 7-bit codes."""
    array = check_range(codes, 0, 127, "trigger-cell codes")
    return 2 * ((array & 7) + 8 * (array > 7)) + 1


def exponent(codes: npt.ArrayLike) -> IntArray:
    """Shift max(e - 1, 0) of 7-bit codes, 0 to 14."""
    shift: IntArray = np.maximum((check_range(codes, 0, 127, "trigger-cell codes") >> 3) - 1, 0)
    return shift


def decode(codes: npt.ArrayLike, high_density: bool) -> IntArray:
    """Charges of 4E3M codes.

    Parameters
    ----------
    codes : array_like of int
        7-bit codes, any shape.
    high_density : bool
        Density of the module.

    Returns
    -------
    ndarray of int64
        Charges up to `CHARGE_MAX`, same shape.

    Raises
    ------
    ValueError
        If a code does not fit 7 bits.
    """
    drop = DROP_HIGH_DENSITY if high_density else DROP_LOW_DENSITY
    return mantissa(codes) << (exponent(codes) + drop - 1)
