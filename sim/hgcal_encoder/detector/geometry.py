"""Geometry of the hexagonal 8-inch module and of its 48 trigger cells, derived from the cell lattice.

A module is a hexagon whose sensor cells are small hexagons on a lattice with two axes ``u`` and ``v`` at
120 degrees.  With ``N = 4 n`` cells along one edge (n = 2 low density, n = 3 high density) the three rhombi

* A: ``u >= N, v >= N``,
* B: ``v < N, 1 <= u - v <= N``,
* C: ``u < N, 0 <= v - u < N``

around the module centre hold ``3 N**2`` cells (192 or 432).  Each rhombus is cut into 4 x 4 trigger cells of
n x n sensor cells, so a trigger cell has its own coordinates (U, V) obeying the same three conditions with
``N = 4``.  Everything below (centres, outlines, neighbours, maps to the network's grids, the ground distance
of the metric) follows from these rules; nothing is copied from a mapping file.

Sources: CMS collaboration, "The Phase-2 Upgrade of the CMS Endcap Calorimeter", CERN-LHCC-2017-023, chapter 2
(hexagonal modules, 192 and 432 cells, trigger cells of 2 x 2 and 3 x 3 cells); G. Di Guglielmo et al., "A
Reconfigurable Neural Network ASIC for Detector Front-End Data Compression at the HL-LHC", IEEE Trans. Nucl.
Sci. 68 (2021) 2179, arXiv 2105.01683 (the arrangement of the 48 trigger cells as an image).
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MODULE_PITCH_MM",
    "N_TRIGGER_CELLS",
    "Density",
    "ModuleGeometry",
    "econ_t_inputs",
    "ground_distance",
    "image_4x4x3",
    "image_8x8",
    "module_geometry",
    "nearest_lattice_point",
    "trigger_cell_uv",
]

#: Distance between the centres of neighbouring modules, which is also the flat-to-flat width (mm).
MODULE_PITCH_MM = 167.4408
#: Trigger cells of one module, for both densities.
N_TRIGGER_CELLS = 48

Density = Literal["low", "high"]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_SIDE = 4  # trigger cells along one edge of a rhombus
_E_U = np.array([0.0, 1.0])
_E_V = np.array([math.sqrt(3.0) / 2.0, -0.5])


def _sector(u: int, v: int, side: int) -> int:
    """Rhombus of lattice point (u, v): 0 for A, 1 for B, 2 for C, -1 outside the module."""
    if side <= u < 2 * side and side <= v < 2 * side:
        return 0
    if 0 <= v < side and 1 <= u - v <= side:
        return 1
    if 0 <= u < side and 0 <= v - u < side:
        return 2
    return -1


@lru_cache(maxsize=1)
def _trigger_cell_uv() -> IntArray:
    """(48, 2) array of (U, V), see `trigger_cell_uv`."""
    out: list[tuple[int, int]] = []
    # The chip numbers the cells of each rhombus with the same two nested loops, each rhombus being the previous
    # one turned by 120 degrees: outer loop along one axis, inner loop along the other.
    for v in range(_SIDE, 2 * _SIDE):  # A: from the far corner inwards
        out += [(u, v) for u in range(2 * _SIDE - 1, _SIDE - 1, -1)]
    for d in range(1, _SIDE + 1):  # B: u - v = d outwards
        out += [(v + d, v) for v in range(_SIDE)]
    for u in range(_SIDE - 1, -1, -1):  # C: u inwards to outwards
        out += [(u, u + d) for d in range(_SIDE - 1, -1, -1)]
    uv = np.array(out, dtype=np.int64)
    uv.setflags(write=False)
    return uv


def trigger_cell_uv() -> IntArray:
    """Lattice coordinates of the 48 trigger cells.

    Returns
    -------
    ndarray of int64, shape (48, 2)
        (U, V) of trigger cell 0 ... 47, each 0 ... 7.
    """
    return _trigger_cell_uv().copy()


@lru_cache(maxsize=1)
def _grid_rows_columns() -> IntArray:
    """(48, 2) row and column of each trigger cell in the 8 x 8 image."""
    out = np.empty((N_TRIGGER_CELLS, 2), dtype=np.int64)
    for tc, (u, v) in enumerate(_trigger_cell_uv()):
        sector = _sector(int(u), int(v), _SIDE)
        if sector == 0:
            out[tc] = 2 * _SIDE - 1 - u, v
        elif sector == 1:
            out[tc] = _SIDE - (u - v), v
        else:
            out[tc] = _SIDE + v - u, u
    out.setflags(write=False)
    return out


def image_8x8() -> IntArray:
    """Trigger cell at each pixel of the 8 x 8 image of the ``ECON_T`` network.

    Rhombus B fills the upper left, A the upper right and C the lower left quarter; the lower right stays empty.

    Returns
    -------
    ndarray of int64, shape (8, 8)
        Trigger cell number, -1 where the image holds no trigger cell.
    """
    grid = np.full((2 * _SIDE, 2 * _SIDE), -1, dtype=np.int64)
    for tc, (row, column) in enumerate(_grid_rows_columns()):
        grid[row, column] = tc
    return grid


def econ_t_inputs() -> IntArray:
    """Trigger cell that each of the 48 inputs of the ``ECON_T`` network takes: the multiplexer setting for physics.

    The chip fills its 8 x 8 grid from inputs q0 ... q47 in reading order, skipping the empty quarter, so with
    eRx words in trigger cell order the multiplexer has to apply this permutation.

    Returns
    -------
    ndarray of int64, shape (48,)
    """
    grid = image_8x8().ravel()
    return grid[grid >= 0]


def image_4x4x3() -> IntArray:
    """Trigger cell at each pixel of the 4 x 4 x 3 image of the ``TNS_2021`` network.

    The three channels are the three rhombi, turned by 120 degrees so that equal pixels are images of each other.

    Returns
    -------
    ndarray of int64, shape (4, 4, 3)
        Trigger cell number.
    """
    return np.arange(N_TRIGGER_CELLS, dtype=np.int64).reshape(3, _SIDE, _SIDE).transpose(1, 2, 0).copy()


def nearest_lattice_point(a: FloatArray, b: FloatArray) -> tuple[IntArray, IntArray]:
    """Nearest point of the hexagonal lattice with axes at 120 degrees.

    Parameters
    ----------
    a, b : ndarray of float
        Oblique coordinates: position = a e_u + b e_v in units of the pitch.

    Returns
    -------
    u, v : ndarray of int64, shapes of `a` and `b`
    """
    # a, -b and b - a are the three coordinates of a hexagonal lattice that sum to zero; rounding each and repairing
    # the one with the largest error finds the nearest point exactly.
    q = np.asarray(a, dtype=np.float64)
    r = -np.asarray(b, dtype=np.float64)
    s = -q - r
    rq, rr, rs = np.rint(q), np.rint(r), np.rint(s)
    dq, dr, ds = np.abs(rq - q), np.abs(rr - r), np.abs(rs - s)
    fix_q = (dq > dr) & (dq > ds)
    fix_r = ~fix_q & (dr > ds)
    u = np.where(fix_q, -rr - rs, rq)
    v = -np.where(fix_r, -rq - rs, rr)
    return u.astype(np.int64), v.astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class ModuleGeometry:
    """Cells, trigger cells and outlines of one module, in mm, the module centre at (0, 0).

    Parameters
    ----------
    density : {"low", "high"}
        Low density: 192 cells, trigger cells of 4; high density: 432 cells, trigger cells of 9.

    Raises
    ------
    ValueError
        If `density` is something else.
    """

    density: Density = "low"

    def __post_init__(self) -> None:
        if self.density not in ("low", "high"):
            raise ValueError(f"density must be 'low' or 'high', got {self.density!r}")

    @property
    def cells_per_trigger_cell_side(self) -> int:
        """n: a trigger cell holds n x n sensor cells."""
        return 2 if self.density == "low" else 3

    @property
    def cells_per_edge(self) -> int:
        """N = 4 n, sensor cells along one edge of a rhombus."""
        return _SIDE * self.cells_per_trigger_cell_side

    @property
    def n_cells(self) -> int:
        """Sensor cells of the module, 3 N**2."""
        return 3 * self.cells_per_edge**2

    @property
    def cell_pitch_mm(self) -> float:
        """Distance between neighbouring sensor cells: the cells' lattice is turned by 30 degrees to the modules'."""
        return MODULE_PITCH_MM / (self.cells_per_edge * math.sqrt(3.0))

    @cached_property
    def cell_uv(self) -> IntArray:
        """(n_cells, 2) lattice coordinates, ordered by trigger cell, n*n cells each."""
        n = self.cells_per_trigger_cell_side
        out: list[tuple[int, int]] = []
        for u, v in _trigger_cell_uv().tolist():
            block = [(i, j) for i in range(n) for j in range(n)]
            sector = _sector(u, v, _SIDE)
            if sector == 0:
                out += [(n * u + i, n * v + j) for i, j in block]
            elif sector == 1:  # here u - v and v are the axes, u - v starting at 1
                out += [(n * (u - v - 1) + 1 + i + n * v + j, n * v + j) for i, j in block]
            else:  # u and v - u
                out += [(n * u + i, n * u + i + n * (v - u) + j) for i, j in block]
        return np.array(out, dtype=np.int64)

    @cached_property
    def cell_trigger_cell(self) -> IntArray:
        """(n_cells,) trigger cell of each sensor cell."""
        return np.repeat(np.arange(N_TRIGGER_CELLS), self.cells_per_trigger_cell_side**2).astype(np.int64)

    @cached_property
    def origin_mm(self) -> FloatArray:
        """Position of the lattice point u = v = 0 when the module centre is at (0, 0)."""
        centroid: FloatArray = (self.cell_uv @ np.stack([_E_U, _E_V])).mean(axis=0) * self.cell_pitch_mm
        return -centroid

    @cached_property
    def cell_centers_mm(self) -> FloatArray:
        """(n_cells, 2) x and y of the cell centres."""
        out: FloatArray = self.cell_uv @ np.stack([_E_U, _E_V]) * self.cell_pitch_mm + self.origin_mm
        return out

    @cached_property
    def centers_mm(self) -> FloatArray:
        """(48, 2) x and y of the trigger cell centres: the mean of their cells."""
        out: FloatArray = self.cell_centers_mm.reshape(N_TRIGGER_CELLS, -1, 2).mean(axis=1)
        return out

    def lattice_coordinates(self, xy_mm: FloatArray) -> FloatArray:
        """Oblique coordinates (a, b) in units of the cell pitch of positions relative to the module centre.

        Parameters
        ----------
        xy_mm : ndarray of float, shape (..., 2)

        Returns
        -------
        ndarray of float64, shape (..., 2)
        """
        relative = (np.asarray(xy_mm, dtype=np.float64) - self.origin_mm) / self.cell_pitch_mm
        b = relative[..., 0] / _E_V[0]
        a = relative[..., 1] - b * _E_V[1]
        return np.stack([a, b], axis=-1)

    def trigger_cell_at(self, xy_mm: FloatArray) -> IntArray:
        """Trigger cell under positions relative to the module centre, -1 outside.

        Parameters
        ----------
        xy_mm : ndarray of float, shape (..., 2)

        Returns
        -------
        ndarray of int64, shape (...)
        """
        ab = self.lattice_coordinates(xy_mm)
        u, v = nearest_lattice_point(ab[..., 0], ab[..., 1])
        side = 2 * self.cells_per_edge
        table = np.full((side + 2, side + 2), -1, dtype=np.int64)
        table[self.cell_uv[:, 0], self.cell_uv[:, 1]] = self.cell_trigger_cell
        inside = (u >= 0) & (u <= side) & (v >= 0) & (v <= side)
        out: IntArray = np.where(inside, table[np.clip(u, 0, side), np.clip(v, 0, side)], -1)
        return out

    @cached_property
    def module_outline_mm(self) -> FloatArray:
        """(6, 2) corners of the module's hexagon, counter-clockwise."""
        # Flats are perpendicular to the second-neighbour directions of the cell lattice, so corners lie along e_u.
        angles = math.pi / 2 + math.pi / 3 * np.arange(6)
        radius = MODULE_PITCH_MM / math.sqrt(3.0)
        out: FloatArray = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return out

    @cached_property
    def outlines_mm(self) -> tuple[FloatArray, ...]:
        """48 closed polygons, each the union of the trigger cell's hexagonal sensor cells.

        Each is (k, 2), counter-clockwise, the first corner not repeated.
        """
        angles = math.pi / 3 * np.arange(6)
        corners = self.cell_pitch_mm / math.sqrt(3.0) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        tolerance = 1e-3 * self.cell_pitch_mm
        out = []
        for tc in range(N_TRIGGER_CELLS):
            edges: dict[tuple[int, int], tuple[int, int]] = {}
            points: dict[tuple[int, int], FloatArray] = {}
            for center in self.cell_centers_mm[self.cell_trigger_cell == tc]:
                ring = center + corners
                keys = [(round(x / tolerance), round(y / tolerance)) for x, y in ring]
                keys = [_same_key(points, key) for key in keys]
                points.update(zip(keys, ring, strict=True))
                for start, end in zip(keys, keys[1:] + keys[:1], strict=True):
                    if edges.get(end) == start:  # shared by two cells of this trigger cell: interior
                        del edges[end]
                    else:
                        edges[start] = end
            start = next(iter(edges))
            walk = [start]
            while edges[walk[-1]] != start:
                walk.append(edges[walk[-1]])
            out.append(np.array([points[key] for key in walk]))
        return tuple(out)

    @cached_property
    def rhombi_mm(self) -> FloatArray:
        """(48, 4, 2) idealised trigger cells: the three rhombi cut into 4 x 4, filling the hexagon exactly."""
        step = self.cells_per_trigger_cell_side * self.cell_pitch_mm
        axes = {0: (_E_U, _E_V), 1: (_E_U, -(_E_U + _E_V)), 2: (_E_V, -(_E_U + _E_V))}
        out = np.empty((N_TRIGGER_CELLS, 4, 2))
        for tc, (u, v) in enumerate(_trigger_cell_uv().tolist()):
            sector = _sector(u, v, _SIDE)
            # (i, j): steps from the module centre outwards along the two axes of the rhombus
            i, j = {
                0: (u - _SIDE, v - _SIDE),
                1: (u - v - 1, _SIDE - 1 - v),
                2: (v - u, _SIDE - 1 - u),
            }[sector]
            p, q = axes[sector]
            corner = i * p + j * q
            out[tc] = step * np.array([corner, corner + p, corner + p + q, corner + q])
        return out

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """Trigger cells that share at least one cell edge, for each of the 48."""
        positions = self.cell_centers_mm
        distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        near = distance < 1.1 * self.cell_pitch_mm
        touch = np.zeros((N_TRIGGER_CELLS, N_TRIGGER_CELLS), dtype=bool)
        a, b = np.nonzero(near)
        touch[self.cell_trigger_cell[a], self.cell_trigger_cell[b]] = True
        np.fill_diagonal(touch, False)
        return tuple(tuple(np.flatnonzero(row).tolist()) for row in touch)


def _same_key(points: dict[tuple[int, int], FloatArray], key: tuple[int, int]) -> tuple[int, int]:
    """The key of `points` within one step of `key` (corners computed from different cells round differently)."""
    for dx in (0, -1, 1):
        for dy in (0, -1, 1):
            near = (key[0] + dx, key[1] + dy)
            if near in points:
                return near
    return key


@lru_cache(maxsize=2)
def module_geometry(density: Density = "low") -> ModuleGeometry:
    """The shared, cached `ModuleGeometry` of a density.

    Parameters
    ----------
    density : {"low", "high"}

    Returns
    -------
    ModuleGeometry
    """
    return ModuleGeometry(density=density)


@lru_cache(maxsize=2)
def _ground_distance(density: Density) -> FloatArray:
    geometry = module_geometry(density)
    # One unit is half a low-density trigger cell, whichever density the centres come from.
    unit = module_geometry("low").cell_pitch_mm
    centers = geometry.centers_mm
    out: FloatArray = np.linalg.norm(centers[:, None] - centers[None], axis=-1) / unit
    out.setflags(write=False)
    return out


def ground_distance(density: Density = "low") -> FloatArray:
    """Ground distance of the Earth Mover's Distance between trigger cell centres.

    Parameters
    ----------
    density : {"low", "high"}, optional
        Module whose centres are used; published figures use the low-density module.

    Returns
    -------
    ndarray of float64, shape (48, 48)
        Euclidean distance in units of one low-density sensor cell (12.08 mm); for the low-density module
        1.80 between the nearest and 13.76 between the farthest trigger cells.
    """
    return _ground_distance(density).copy()
