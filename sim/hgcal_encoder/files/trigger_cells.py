"""Modules from the trigger cells of events, as the trigger ntuples of CMSSW list them: one entry of a vector per cell.

The branches are those of ``HGCalTriggerNtupleHGCTriggerCells`` with geometries that count cells by u and v (V10 and
later): ``tc_zside``, ``tc_layer``, ``tc_waferu``, ``tc_waferv`` say on which module a cell is, ``tc_cellu``,
``tc_cellv`` where on it, ``tc_uncompressedCharge`` what it holds before it is encoded. Cells of scintillators, whose
``tc_waferu`` is -999, are on no module. Only cells above the ntuple's threshold are listed, and modules without any
are not there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.detector.geometry import trigger_cell_uv
from sim.hgcal_encoder.spec import CELLS

__all__ = ["CHARGE", "PREFIX", "WANTED", "cell_branches", "modules_of_events"]

PREFIX = "tc_"
CHARGE = "uncompressedCharge"
PLACE = ("zside", "layer", "waferu", "waferv")
"""What tells one module of an event from another."""
WANTED = (*PLACE, "cellu", "cellv", CHARGE)
_NO_MODULE = -999

Numbers = npt.NDArray[np.generic]


def cell_branches(names: list[str], prefix: str) -> bool:
    """Whether a tree lists trigger cells under this prefix."""
    return f"{prefix}{CHARGE}" in names


def modules_of_events(
    columns: Mapping[str, IntArray], counts: list[int], etas: npt.NDArray[np.float64] | None, first_row: int
) -> tuple[IntArray, npt.NDArray[np.float64] | None]:
    """Charges of modules.

    Parameters
    ----------
    columns : mapping of str to ndarray of int64, shape (cells,)
        `WANTED`, cells of all events one after the other.
    counts : list of int
        Cells of each event.
    etas : ndarray of float64, shape (cells,), or None
        Pseudorapidity of each cell.
    first_row : int
        Number of the first event, for messages.

    Returns
    -------
    charges : ndarray of int64, shape (n, 48)
        One row per module with a cell, by event, side, layer and position.
    etas : ndarray of float64, shape (n,), or None
        Mean of the absolute pseudorapidities of the module's listed cells.

    Raises
    ------
    ValueError
        If a cell is none of a module, or is listed twice.
    """
    event = np.repeat(np.arange(len(counts)), counts)
    silicon = columns["waferu"] != _NO_MODULE
    event = event[silicon]
    column = {name: columns[name][silicon] for name in WANTED}
    number = np.full((8, 8), -1)
    number[tuple(trigger_cell_uv().T)] = np.arange(CELLS)
    u, v = column["cellu"], column["cellv"]
    inside = (u >= 0) & (u < 8) & (v >= 0) & (v < 8)
    cell = np.where(inside, number[np.where(inside, u, 0), np.where(inside, v, 0)], -1)
    if (bad := np.flatnonzero(cell < 0)).size:
        raise ValueError(
            f"row {first_row + event[bad[0]]}: expected the u and v of one of the {CELLS} trigger cells of a module,"
            f" got {PREFIX}cellu {u[bad[0]]}, {PREFIX}cellv {v[bad[0]]}"
        )
    keys = np.stack([event, *(column[name] for name in PLACE)], axis=1)
    modules, place = np.unique(keys, axis=0, return_inverse=True)
    slot = place.ravel() * CELLS + cell
    listed = np.bincount(slot, minlength=len(modules) * CELLS)
    if (twice := np.flatnonzero(listed > 1)).size:
        module, where = divmod(int(twice[0]), CELLS)
        found = ", ".join(f"{name} {value}" for name, value in zip(PLACE, modules[module, 1:], strict=True))
        raise ValueError(f"row {first_row + modules[module, 0]}: trigger cell {where} of {found} is listed twice")
    charges = np.zeros(len(modules) * CELLS, np.int64)
    charges[slot] = column[CHARGE]
    if etas is None:
        return charges.reshape(-1, CELLS), None
    total = np.bincount(place.ravel(), weights=np.abs(etas[silicon]), minlength=len(modules))
    cells = np.bincount(place.ravel(), minlength=len(modules))
    return charges.reshape(-1, CELLS), total / cells
