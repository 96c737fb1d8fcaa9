"""Stage 6: trigger cells placed on the grid that the convolution sees."""

from __future__ import annotations

import numpy as np

from sim.fixed_point import IntArray
from sim.hgcal_encoder.spec import CELLS, EncoderSpec


def to_grid(cells: IntArray, spec: EncoderSpec) -> IntArray:
    """Image of shape (n, rows, columns, channels); positions without a trigger cell are 0.

    Parameters
    ----------
    cells : ndarray, shape (n, 48)
        One value per trigger cell.
    """
    cell_map = np.asarray(spec.cell_map)
    image = np.where(cell_map >= 0, cells[:, cell_map], 0)
    return image.reshape(len(cells), *spec.grid)


def from_grid(image: IntArray, spec: EncoderSpec) -> IntArray:
    """Inverse of `to_grid`: shape (n, 48). Where several positions show a cell, the last one is read.

    Raises
    ------
    ValueError
        If the grid does not show every trigger cell.
    """
    flat = image.reshape(len(image), -1)
    position_of = {cell: position for position, cell in enumerate(spec.cell_map) if cell >= 0}
    if missing := sorted(set(range(CELLS)) - set(position_of)):
        raise ValueError(f"grid of {spec.name} shows no position for trigger cells {missing}")
    return flat[:, [position_of[cell] for cell in range(CELLS)]]
