"""Stage 3: the 4E3M floating-point code of a trigger cell, expanded to an integer charge.

A code stands for a run of integers (`sim.hgcal_encoder.float_code`) from which the sender dropped low bits, 1 at low
and 3 at high density. The charge is the middle of all that it can stand for: lowest << drop, plus half of the width of
that interval, the half LSB that undoes the truncation of the sender. Code 0 is therefore not 0: an empty cell decodes
to 1 at low and to 4 at high density. Source: ECON-T emulator and its vectors, see the data sheet.
"""

from __future__ import annotations

import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.hgcal_encoder.float_code import CELL

DROP_LOW_DENSITY = 1
DROP_HIGH_DENSITY = 3
CHARGE_MAX = 2_031_616
"""Largest decoded charge (code 127 at high density); 21 bits."""


def dropped_bits(high_density: bool) -> int:
    """Low bits that the front end drops from a trigger cell before it encodes it."""
    return DROP_HIGH_DENSITY if high_density else DROP_LOW_DENSITY


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
    code = check_range(codes, 0, CELL.max_code, "trigger-cell codes")
    return (2 * CELL.lowest[code] + CELL.integers(code)) << (dropped_bits(high_density) - 1)
