"""ADCs at the foot of the columns: noisy sums of conductance codes to ADC codes."""

from __future__ import annotations

import numpy as np

from sim.fixed_point import IntArray
from sim.lsm_crossbar.spec import CrossbarSpec


def adc_of_column(spec: CrossbarSpec) -> IntArray:
    """ADC that reads each column, shape (columns,)."""
    column = np.arange(spec.columns)
    return 2 * (column // 2 // spec.columns_per_adc) + column % 2


def select_of_column(spec: CrossbarSpec) -> IntArray:
    """Value of `select` at which each column is converted, shape (columns,)."""
    return np.arange(spec.columns) // 2 % spec.columns_per_adc


def convert(sums: IntArray, noise: IntArray, gain: IntArray, offset: IntArray, spec: CrossbarSpec) -> IntArray:
    """``clamp(((min(sum, limit) + noise) * gain + offset) >> conversion_shift, 0, 2**adc_bits - 1)``

    Parameters
    ----------
    sums : ndarray of int64, shape (..., columns)
        Column sums in conductance codes.
    noise : ndarray of int64, shape (..., columns)
        Read noise in conductance codes.
    gain, offset : ndarray of int64, shape (columns,)
        Of the ADC that reads the column; `spec.gain_fraction` fraction bits.
    spec : CrossbarSpec

    Returns
    -------
    ndarray of int64, shape (..., columns)
        ADC codes.
    """
    limited = sums if spec.column_limit is None else np.minimum(sums, spec.column_limit)
    codes: IntArray = np.clip(((limited + noise) * gain + offset) >> spec.conversion_shift, 0, (1 << spec.adc_bits) - 1)
    return codes
