"""What is placed: cells, nets and rows as arrays, checked once; half-perimeters of nets.

Lengths are in any one unit, the caller's. Cells are rectangles given by their lower left corner; pins are points at an
offset from it. Rows fill the region from bottom to top; every second row stands on its head (mirrored top to bottom, so
that neighbours share a power rail), the lowest does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["Circuit", "half_perimeters"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Circuit:
    """Cells, nets and rows.

    Attributes
    ----------
    width, height : ndarray, shape (cells,)
    fixed : ndarray of bool, shape (cells,)
        Cells that stay; those with an area are obstacles, those without are ports.
    net_start : ndarray of int64, shape (nets + 1,)
        First pin of each net, and after the last the number of pins.
    pin_cell : ndarray of int64, shape (pins,)
    pin_x, pin_y : ndarray, shape (pins,)
        From the lower left corner of a cell that stands upright.
    x, y : ndarray, shape (cells,)
        Lower left corners before anything is placed; those of fixed cells stay.
    region : (left, bottom, right, top)
        Where rows are: a whole number of rows high.
    row_height : float
    site : float
        Cells start at the region's left edge plus a whole number of sites.

    Raises
    ------
    ValueError
        Arrays that do not belong together, a movable cell higher than a row, or cells that cannot fit.
    """

    width: Floats
    height: Floats
    fixed: Bools
    net_start: Ints
    pin_cell: Ints
    pin_x: Floats
    pin_y: Floats
    x: Floats
    y: Floats
    region: tuple[float, float, float, float]
    row_height: float
    site: float

    def __post_init__(self) -> None:
        cells, pins = len(self.width), len(self.pin_cell)
        for name in ("height", "fixed", "x", "y"):
            if getattr(self, name).shape != (cells,):
                raise ValueError(f"{name}: expected {cells} values as in width, got shape {getattr(self, name).shape}")
        for name in ("pin_x", "pin_y"):
            if getattr(self, name).shape != (pins,):
                raise ValueError(f"{name}: expected {pins} values as in pin_cell, got {getattr(self, name).shape}")
        if len(self.net_start) == 0 or self.net_start[0] != 0 or self.net_start[-1] != pins:
            raise ValueError(f"net_start: expected to go from 0 to the number of pins, {pins}")
        if np.any(np.diff(self.net_start) < 0):
            raise ValueError("net_start: expected never to fall")
        if pins and not (self.pin_cell.min() >= 0 and self.pin_cell.max() < cells):
            raise ValueError(f"pin_cell: expected 0 to {cells - 1}, got {self.pin_cell.min()} to {self.pin_cell.max()}")
        for name in ("width", "height", "pin_x", "pin_y", "x", "y"):
            if not np.all(np.isfinite(getattr(self, name))):
                raise ValueError(f"{name}: expected finite numbers")
        if np.any(self.width < 0) or np.any(self.height < 0):
            raise ValueError("width, height: expected no negative size")
        left, bottom, right, top = self.region
        if not (self.row_height > 0 and self.site > 0):
            raise ValueError(f"row_height, site: expected above 0, got {self.row_height}, {self.site}")
        if not (right - left >= self.site and top - bottom >= self.row_height * (1 - 1e-9)):
            raise ValueError(f"region: expected at least a site and a row, got {self.region}")
        if abs((top - bottom) / self.row_height - self.rows) > 1e-6:
            raise ValueError(f"region: expected whole rows of {self.row_height:g}, got a height of {top - bottom:g}")
        movable = ~self.fixed
        if np.any(self.height[movable] > self.row_height * (1 + 1e-9)):
            raise ValueError(f"height: movable cells are at most a row of {self.row_height:g} high")
        if np.any(self.width[movable] <= 0):
            raise ValueError("width: expected above 0 for movable cells")

    @property
    def rows(self) -> int:
        """Number of rows."""
        return round((self.region[3] - self.region[1]) / self.row_height)

    @property
    def nets(self) -> int:
        """Number of nets."""
        return len(self.net_start) - 1

    @cached_property
    def movable(self) -> Ints:
        """Numbers of the cells that are placed."""
        return np.flatnonzero(~self.fixed).astype(np.int64)

    @cached_property
    def obstacles(self) -> Ints:
        """Numbers of fixed cells that take room in the region."""
        return np.flatnonzero(self.fixed & (self.width > 0) & (self.height > 0)).astype(np.int64)

    @cached_property
    def cell_pins(self) -> tuple[Ints, Ints]:
        """Pins of each cell: where they start, and their numbers."""
        order = np.argsort(self.pin_cell, kind="stable").astype(np.int64)
        start = np.zeros(len(self.width) + 1, np.int64)
        np.cumsum(np.bincount(self.pin_cell, minlength=len(self.width)), out=start[1:])
        return start, order

    @cached_property
    def pin_net(self) -> Ints:
        """Net of each pin."""
        return np.repeat(np.arange(self.nets, dtype=np.int64), np.diff(self.net_start))

    def mirrored(self, y: Floats) -> Bools:
        """Which cells stand on their head: those of every second row, fixed ones never."""
        row = np.rint((y - self.region[1]) / self.row_height).astype(np.int64)
        return np.asarray(~self.fixed & (row % 2 == 1))


@njit(cache=True, nogil=True)
def _half_perimeters(net_start, pin_cell, pin_x, pin_y, height, mirrored, x, y, result):  # type: ignore[no-untyped-def]
    for net in range(len(net_start) - 1):
        first, last = net_start[net], net_start[net + 1]
        if last - first < 2:
            continue
        left, right, low, high = np.inf, -np.inf, np.inf, -np.inf
        for pin in range(first, last):
            cell = pin_cell[pin]
            px = x[cell] + pin_x[pin]
            py = y[cell] + (height[cell] - pin_y[pin] if mirrored[cell] else pin_y[pin])
            left, right, low, high = min(left, px), max(right, px), min(low, py), max(high, py)
        result[net] = right - left + high - low


def half_perimeters(circuit: Circuit, x: Floats, y: Floats) -> Floats:
    """Half-perimeter of each net.

    Parameters
    ----------
    circuit : Circuit
    x, y : ndarray, shape (cells,)
        Lower left corners.

    Returns
    -------
    ndarray, shape (nets,)
        0 for nets of fewer than two pins.
    """
    c, result = circuit, np.zeros(circuit.nets)
    _half_perimeters(c.net_start, c.pin_cell, c.pin_x, c.pin_y, c.height, c.mirrored(y), x, y, result)
    return result
