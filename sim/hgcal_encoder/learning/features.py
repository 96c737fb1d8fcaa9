"""What a decoder receives beside the latents: the module sum that the frame carries, and the pedestal in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.hgcal_encoder.float_code import WIDE_SUM

__all__ = ["SUM_FEATURES", "sum_features", "sum_of_code"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

SUM_FEATURES = 4
"""Values that `sum_features` adds to the latents."""


def sum_of_code(codes: ArrayLike) -> Float64:
    """Module sum that a 5E4M code stands for: the middle of its interval, exact below 32.

    Parameters
    ----------
    codes : array_like of int
        9-bit codes of `sim.hgcal_encoder.normalise.sum_code`.

    Raises
    ------
    ValueError
        If a code does not fit 9 bits.
    """
    return WIDE_SUM.decode(codes, name="sum codes")


def sum_features(codes: ArrayLike, pedestals: ArrayLike = 0) -> Float32:
    """What the decoder receives about the module sum and the pedestal in it.

    Parameters
    ----------
    codes : array_like of int, shape (n,)
        9-bit sum codes.
    pedestals : array_like, scalar or shape (n,), optional
        Sum of the pedestals of all 48 cells of the module.

    Returns
    -------
    ndarray of float32, shape (n, 4)
        Sum over the largest power of two not above it, minus 1 (0 ... 1); its binary exponent over 16; share of the
        pedestals in it (0 ... 1); binary logarithm of what is left without them, at least one count, over 16.
    """
    total = np.maximum(sum_of_code(codes), 1.0)
    empty = np.broadcast_to(np.asarray(pedestals, dtype=np.float64), total.shape)
    fraction, exponent = np.frexp(total)
    features = (
        2.0 * fraction - 1.0,
        (exponent - 1) / 16.0,
        np.minimum(empty / total, 1.0),
        np.log2(np.maximum(total - empty, 1.0)) / 16.0,
    )
    out: Float32 = np.stack(features, axis=1).astype(np.float32)
    return out
