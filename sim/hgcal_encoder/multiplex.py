"""Stage 2: the 48 to 48 multiplexer that brings the inputs into trigger-cell order."""

from __future__ import annotations

import numpy.typing as npt

from sim.fixed_point import IntArray, check_range


def multiplex(codes: IntArray, select: npt.ArrayLike) -> IntArray:
    """Trigger cell i takes input ``select[i]``.

    Parameters
    ----------
    codes : ndarray of int64, shape (n, 48)
        Codes in input order.
    select : array_like of int, shape (48,)
        Input per trigger cell; inputs may be taken twice or not at all.

    Returns
    -------
    ndarray of int64, shape (n, 48)

    Raises
    ------
    ValueError
        If a selection names no input.
    """
    chosen = check_range(select, 0, codes.shape[1] - 1, "multiplexer selection")
    return codes[:, chosen]
