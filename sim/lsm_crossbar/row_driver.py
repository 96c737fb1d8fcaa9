"""Row driver: which word lines are active in which read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.lsm_crossbar.spec import CrossbarSpec


def active_rows(inputs: npt.ArrayLike, spikes: npt.ArrayLike, spec: CrossbarSpec) -> IntArray:
    """Rows that a step drives, ascending.

    Parameters
    ----------
    inputs : array_like of bool, shape (inputs,)
        Input spikes of this step, rows 0 and up.
    spikes : array_like of bool, shape (neurons,)
        The liquid's spikes of the previous step, rows `inputs` and up.
    spec : CrossbarSpec

    Returns
    -------
    ndarray of int64, shape (active,)
    """
    rows: IntArray = np.concatenate([np.flatnonzero(inputs), spec.inputs + np.flatnonzero(spikes)])
    return rows


def batches(rows: IntArray, spec: CrossbarSpec) -> list[IntArray]:
    """Cut ascending active rows into reads of at most `rows_per_read`, in order; no row, no read.

    No read has rows of two macros of a tile.
    """
    found: list[IntArray] = []
    for part in np.split(rows, np.searchsorted(rows, np.cumsum(spec.tile_rows)[:-1])):
        found += [part[first : first + spec.rows_per_read] for first in range(0, len(part), spec.rows_per_read)]
    return found
