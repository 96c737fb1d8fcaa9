"""Taking cells apart at the least wire length: cells as charges in a field, nets as smooth half-perimeters.

Density is a charge; the field that evens it out is the solution of Poisson's equation with no flow through the edges,
by cosine transforms (J. Lu et al., ePlace: electrostatics-based placement using fast Fourier transform and Nesterov's
method, ACM TODAES 20, 2015). Half-perimeters are smoothed by weighted averages (M.-K. Hsu, Y.-W. Chang, V. Balabanov,
TSV-aware analytical placement for 3-D IC designs, DAC 2011). Both are minimised together by Nesterov's method, the
field growing stronger with every step until little area lies above the density allowed.

Where a bin wants more wire than it has tracks, cells become wider for the time of spreading: fewer of them then share
the bin (as in C.-K. Cheng et al., RePlAce: advancing solution quality and routability validation in global placement,
IEEE TCAD 38, 2019).

Sums are made in a fixed order, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.fft import dctn, idct, idst, next_fast_len

from flows.physical.placer.circuit import Circuit

__all__ = ["Routing", "routing_use", "spread"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Routing:
    """What wires want and what tracks there are.

    Attributes
    ----------
    tracks : (horizontal, vertical)
        Tracks per length across them: their sum over the routing layers.
    bin : float
        Side of the square bins in which wires and tracks are compared, from the region's lower left corner.
    factor : ndarray, shape (nets,)
        Length of a net's wire over its half-perimeter.
    limit : float
        Share of the tracks that a bin may use before its cells make room.
    """

    tracks: tuple[float, float]
    bin: float
    factor: Floats
    limit: float = 0.92


# --- wires ------------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _wire(net_start, pin_node, offset, position, gamma, gradient):  # type: ignore[no-untyped-def]
    """Gradient of the smooth length along one axis into `gradient`; the exact length is returned."""
    for i in range(len(gradient)):
        gradient[i] = 0.0
    total = 0.0
    scale = 1.0 / gamma
    at = np.empty(4096)
    up = np.empty(4096)
    for net in range(len(net_start) - 1):
        first, last = net_start[net], net_start[net + 1]
        pins = last - first
        if pins < 2:
            continue
        if pins == 2:
            a, b = pin_node[first], pin_node[first + 1]
            span = position[a] + offset[first] - position[b] - offset[first + 1]
            total += abs(span)
            t = np.exp(-abs(span) * scale)
            # the derivative of |span| made smooth by two weighted averages
            force = (1.0 - t * t + 2.0 * t * abs(span) * scale) / ((1.0 + t) * (1.0 + t))
            if span < 0:
                force = -force
            gradient[a] += force
            gradient[b] -= force
            continue
        if pins > len(at):
            at = np.empty(2 * pins)
            up = np.empty(2 * pins)
        least, most = np.inf, -np.inf
        for k in range(pins):
            p = position[pin_node[first + k]] + offset[first + k]
            at[k] = p
            least, most = min(least, p), max(most, p)
        total += most - least
        span = (most - least) * scale
        up_sum, up_mean, down_sum, down_mean = 0.0, 0.0, 0.0, 0.0
        if span < 600.0:
            bottom = np.exp(-span)
            for k in range(pins):
                e = np.exp((at[k] - most) * scale)
                up[k] = e
                up_sum += e
                up_mean += e * (at[k] - most)
                d = bottom / e
                down_sum += d
                down_mean += d * (at[k] - least)
            up_mean /= up_sum
            down_mean /= down_sum
            for k in range(pins):
                e = up[k]
                force = e / up_sum * (1.0 + (at[k] - most - up_mean) * scale)
                force -= bottom / e / down_sum * (1.0 - (at[k] - least - down_mean) * scale)
                gradient[pin_node[first + k]] += force
        else:
            for k in range(pins):
                e, d = np.exp((at[k] - most) * scale), np.exp((least - at[k]) * scale)
                up_sum += e
                up_mean += e * (at[k] - most)
                down_sum += d
                down_mean += d * (at[k] - least)
            up_mean /= up_sum
            down_mean /= down_sum
            for k in range(pins):
                e, d = np.exp((at[k] - most) * scale), np.exp((least - at[k]) * scale)
                force = e / up_sum * (1.0 + (at[k] - most - up_mean) * scale)
                force -= d / down_sum * (1.0 - (at[k] - least - down_mean) * scale)
                gradient[pin_node[first + k]] += force
    return total


# --- density ----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, inline="always")
def _clip(centre, half, size):  # type: ignore[no-untyped-def]
    return min(max(centre - half, 0.0), max(size - 2 * half, 0.0))


@njit(cache=True, nogil=True)
def _charge(x, y, half_x, half_y, charge, first, last, bin_x, bin_y, grid):  # type: ignore[no-untyped-def]
    """Charge of boxes from `first` to `last` into the bins they cover, by area."""
    rows, columns = grid.shape
    for k in range(rows):
        for m in range(columns):
            grid[k, m] = 0.0
    for i in range(first, last):
        left = _clip(x[i], half_x[i], columns * bin_x)
        low = _clip(y[i], half_y[i], rows * bin_y)
        right, high = left + 2 * half_x[i], low + 2 * half_y[i]
        per_area = charge[i] / (4 * half_x[i] * half_y[i])
        column_0, column_1 = int(left / bin_x), min(int(right / bin_x), columns - 1)
        row_0, row_1 = int(low / bin_y), min(int(high / bin_y), rows - 1)
        for row in range(row_0, row_1 + 1):
            tall = min(high, (row + 1) * bin_y) - max(low, row * bin_y)
            for column in range(column_0, column_1 + 1):
                wide = min(right, (column + 1) * bin_x) - max(left, column * bin_x)
                grid[row, column] += per_area * tall * wide


@njit(cache=True, nogil=True)
def _field(x, y, half_x, half_y, charge, first, last, bin_x, bin_y, field_x, field_y, force_x, force_y):  # type: ignore[no-untyped-def]
    """Force on each box: its charge times the field, averaged over the box."""
    rows, columns = field_x.shape
    for i in range(first, last):
        left = _clip(x[i], half_x[i], columns * bin_x)
        low = _clip(y[i], half_y[i], rows * bin_y)
        right, high = left + 2 * half_x[i], low + 2 * half_y[i]
        per_area = charge[i] / (4 * half_x[i] * half_y[i])
        column_0, column_1 = int(left / bin_x), min(int(right / bin_x), columns - 1)
        row_0, row_1 = int(low / bin_y), min(int(high / bin_y), rows - 1)
        fx, fy = 0.0, 0.0
        for row in range(row_0, row_1 + 1):
            tall = min(high, (row + 1) * bin_y) - max(low, row * bin_y)
            for column in range(column_0, column_1 + 1):
                wide = min(right, (column + 1) * bin_x) - max(left, column * bin_x)
                fx += tall * wide * field_x[row, column]
                fy += tall * wide * field_y[row, column]
        force_x[i], force_y[i] = per_area * fx, per_area * fy


class _Poisson:
    """Field of a density on a grid, with no flow through the edges."""

    def __init__(self, rows: int, columns: int, bin_x: float, bin_y: float) -> None:
        wave_x = np.pi * np.arange(columns) / (columns * bin_x)
        wave_y = np.pi * np.arange(rows)[:, None] / (rows * bin_y)
        square = wave_x**2 + wave_y**2
        square[0, 0] = 1.0
        self._over_x, self._over_y = wave_x / square, wave_y / square

    def field(self, density: Floats) -> tuple[Floats, Floats]:
        """Field that pushes charges from where the density is high."""
        workers = 2 if density.size > 16384 else 1
        waves = dctn(density, type=2, workers=workers)
        part_x, part_y = waves * self._over_x, waves * self._over_y
        # sines start at the first harmonic, cosines at the zeroth
        part_x[:, :-1], part_x[:, -1] = part_x[:, 1:].copy(), 0.0
        part_y[:-1], part_y[-1] = part_y[1:].copy(), 0.0
        field_x = idct(idst(part_x, type=2, axis=1, workers=workers), type=2, axis=0, workers=workers)
        field_y = idst(idct(part_y, type=2, axis=1, workers=workers), type=2, axis=0, workers=workers)
        return field_x, field_y


# --- tracks -----------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _demand(net_start, pin_node, offset_x, offset_y, x, y, factor, side, grid):  # type: ignore[no-untyped-def]
    """Wire of each net, even over the bins of its box, as differences at the box's corners."""
    rows, columns = grid.shape[1] - 1, grid.shape[2] - 1
    for net in range(len(net_start) - 1):
        first, last = net_start[net], net_start[net + 1]
        if last - first < 2:
            continue
        left, right, low, high = np.inf, -np.inf, np.inf, -np.inf
        for pin in range(first, last):
            px, py = x[pin_node[pin]] + offset_x[pin], y[pin_node[pin]] + offset_y[pin]
            left, right, low, high = min(left, px), max(right, px), min(low, py), max(high, py)
        column_0 = min(max(int(left / side), 0), columns - 1)
        column_1 = min(max(int(right / side), 0), columns - 1) + 1
        row_0, row_1 = min(max(int(low / side), 0), rows - 1), min(max(int(high / side), 0), rows - 1) + 1
        each = factor[net] / ((column_1 - column_0) * (row_1 - row_0))
        for axis, length in enumerate((right - left, high - low)):
            amount = length * each
            grid[axis, row_0, column_0] += amount
            grid[axis, row_0, column_1] -= amount
            grid[axis, row_1, column_0] -= amount
            grid[axis, row_1, column_1] += amount


def _use(
    net_start: Ints, pin_node: Ints, offsets: tuple[Floats, Floats], at: tuple[Floats, Floats], factor: Floats,
    tracks: tuple[float, float], side: float, size: tuple[float, float],
) -> Floats:  # fmt: skip
    columns, rows = (max(1, int(np.ceil(length / side - 1e-9))) for length in size)
    corners = np.zeros((2, rows + 1, columns + 1))
    _demand(net_start, pin_node, *offsets, *at, factor, side, corners)
    use = corners.cumsum(1).cumsum(2)[:, :rows, :columns]
    return np.asarray(use / (np.array(tracks)[:, None, None] * side * side))


def routing_use(circuit: Circuit, x: Floats, y: Floats, routing: Routing) -> Floats:
    """Wire wanted over tracks there, by direction (horizontal, vertical) and bin.

    Parameters
    ----------
    circuit : Circuit
    x, y : ndarray, shape (cells,)
        Lower left corners.
    routing : Routing

    Returns
    -------
    ndarray, shape (2, rows, columns)
    """
    left, bottom, right, top = circuit.region
    offset_y = np.where(
        circuit.mirrored(y)[circuit.pin_cell], circuit.height[circuit.pin_cell] - circuit.pin_y, circuit.pin_y
    )
    return _use(
        circuit.net_start, circuit.pin_cell, (circuit.pin_x, offset_y), (x - left, y - bottom), routing.factor,
        routing.tracks, routing.bin, (right - left, top - bottom),
    )  # fmt: skip


# --- Nesterov ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def _combine(wire, force, strength, pins, charge, gradient):  # type: ignore[no-untyped-def]
    """Gradient of length and field energy over the diagonal of the curvature."""
    for i in range(len(gradient)):
        gradient[i] = (wire[i] - strength * force[i]) / max(1.0, pins[i] + strength * charge[i])


@njit(cache=True, nogil=True)
def _step(reference, main, gradient, length, momentum, low, high, fresh_main, fresh_reference):  # type: ignore[no-untyped-def]
    for i in range(len(gradient)):
        u = min(max(reference[i] - length * gradient[i], low[i]), high[i])
        fresh_main[i] = u
        fresh_reference[i] = min(max(u + momentum * (u - main[i]), low[i]), high[i])


@njit(cache=True, nogil=True)
def _distances(a, b, p, q):  # type: ignore[no-untyped-def]
    """Squared distances of two pairs of vectors."""
    one, two = 0.0, 0.0
    for i in range(len(p)):
        one += (a[i] - b[i]) * (a[i] - b[i])
        two += (p[i] - q[i]) * (p[i] - q[i])
    return one, two


class _Spreader:
    """State of one run; positions are centres from the region's corner, in units of a bin's mean side."""

    def __init__(
        self, circuit: Circuit, x: Floats, y: Floats, pool: ThreadPoolExecutor, density: float, seed: int,
        routing: Routing | None,
    ) -> None:  # fmt: skip
        self.pool, self.density, self.routing, self.circuit = pool, density, routing, circuit
        left, bottom, right, top = circuit.region
        wide, tall = right - left, top - bottom
        movable, cells = circuit.movable, len(circuit.width)
        side = max(sqrt(wide * tall / max(len(movable), 256)), circuit.row_height * 0.75)
        self.columns, self.rows = (int(next_fast_len(max(8, round(length / side)))) for length in (wide, tall))
        self.unit = sqrt(wide / self.columns * tall / self.rows)
        self.bin_x, self.bin_y = wide / self.columns / self.unit, tall / self.rows / self.unit
        self.size = (wide / self.unit, tall / self.unit)
        # nodes: movable cells, fillers, fixed cells
        area = circuit.width[movable] * circuit.height[movable]
        self.fixed_density = self._fixed_density()
        free = float((1 - self.fixed_density).sum()) * self.bin_x * self.bin_y
        self.free_area = free
        taken = float(area.sum()) / self.unit**2
        if taken > free * (1 + 1e-9):
            raise ValueError(f"cells take {taken * self.unit**2:g} of area, and {free * self.unit**2:g} is free")
        self.density = density = min(1.0, max(density, 1.02 * taken / free))
        room = max(0.0, density * free - taken)
        order = np.sort(area)
        middle = order[len(order) // 20 : max(len(order) // 20 + 1, len(order) - len(order) // 20)]
        typical = float(middle.mean()) / self.unit**2
        # fillers larger than cells: fewer of them, as smooth
        typical = max(typical, 1.0)
        fillers = max(0, round(room / typical))
        self.cells, self.nodes = len(movable), len(movable) + fillers
        number = np.empty(cells, np.int64)
        number[movable] = np.arange(len(movable))
        fixed = np.flatnonzero(circuit.fixed)
        number[fixed] = self.nodes + np.arange(len(fixed))
        self.pin_node = number[circuit.pin_cell]
        turned = np.where(circuit.fixed[circuit.pin_cell], circuit.pin_y - circuit.height[circuit.pin_cell] / 2, 0.0)
        self.offsets = ((circuit.pin_x - circuit.width[circuit.pin_cell] / 2) / self.unit, turned / self.unit)
        rng = np.random.default_rng(seed)
        half = 0.5 * sqrt(typical)
        self.half = [
            np.concatenate([size[movable] / self.unit / 2, np.full(fillers, half)])
            for size in (circuit.width, circuit.height)
        ]
        self.area = np.concatenate([area / self.unit**2, np.full(fillers, room / max(fillers, 1))])
        self.own_area = self.area[: self.cells].copy()
        self.at = []
        for low, corner, size, length in (
            (left, x, circuit.width, self.size[0]),
            (bottom, y, circuit.height, self.size[1]),
        ):
            centre = (corner + size / 2 - low) / self.unit
            self.at.append(np.concatenate([centre[movable], rng.uniform(0, length, fillers), centre[fixed]]))
        counted = np.diff(circuit.net_start) >= 2
        self.pins = np.zeros(self.nodes)
        start = np.bincount(self.pin_node[counted[circuit.pin_net]], minlength=self.nodes)[: self.nodes]
        self.pins[:] = start
        self.poisson = _Poisson(self.rows, self.columns, self.bin_x, self.bin_y)
        self.grids = [np.zeros((self.rows, self.columns)) for _ in range(2)]
        self.own_half = [half[: self.cells].copy() for half in self.half]
        self.wider = np.ones(self.cells)
        self._boxes()

    def _fixed_density(self) -> Floats:
        """Share of each bin that obstacles take."""
        grid = np.zeros((self.rows, self.columns))
        c, (left, bottom) = self.circuit, self.circuit.region[:2]
        for cell in c.obstacles:
            sides = []
            for low, length, step, count in (
                ((c.y[cell] - bottom) / self.unit, c.height[cell] / self.unit, self.bin_y, self.rows),
                ((c.x[cell] - left) / self.unit, c.width[cell] / self.unit, self.bin_x, self.columns),
            ):
                first = min(max(int(low / step), 0), count)
                last = min(max(int(np.ceil((low + length) / step)), first), count)
                edges = np.clip(np.arange(first, last + 1) * step, low, low + length)
                sides.append((slice(first, last), np.diff(edges) / step))
            (rows, tall), (columns, wide) = sides
            grid[rows, columns] += np.outer(tall, wide)
        return np.minimum(grid, 1.0)

    def _boxes(self) -> None:
        """Boxes at least a bin's diagonal wide, of the same charge: the field stays smooth."""
        self.box = [np.maximum(half, b / sqrt(2)) for half, b in zip(self.half, (self.bin_x, self.bin_y), strict=True)]
        self.low = [half.copy() for half in self.half]
        self.high = [np.maximum(length - half, half) for half, length in zip(self.half, self.size, strict=True)]

    def _submit(self, job: Any, *arguments: Any) -> Future[Any]:
        """A job for the workers; small ones run at once, which is quicker than waiting for a thread."""
        if self.nodes > 3000:
            return self.pool.submit(job, *arguments)
        done: Future[Any] = Future()
        done.set_result(job(*arguments))
        return done

    def _both(self, job: Any, *arguments: Any) -> list[Any]:
        """One job for each axis, on two workers; arguments are pairs."""
        waiting = [self._submit(job, *(argument[axis] for argument in arguments)) for axis in (0, 1)]
        return [one.result() for one in waiting]

    def evaluate(self, at: list[Floats], gamma: float) -> tuple[list[Floats], list[Floats], float]:
        """Gradients of length and forces of the field; sets `length` and `overflow`."""
        half, n = self.nodes // 2, self.nodes
        parts = [
            self._submit(
                _charge, *at, *self.box, self.area, first, last, self.bin_x, self.bin_y, grid
            )
            for (first, last), grid in zip(((0, half), (half, n)), self.grids, strict=True)
        ]  # fmt: skip
        wire = [np.empty(len(at[0])) for _ in range(2)]
        jobs = [
            self._submit(
                _wire, self.circuit.net_start, self.pin_node, self.offsets[axis], at[axis], gamma, wire[axis]
            )
            for axis in (0, 1)
        ]  # fmt: skip
        for part in parts:
            part.result()
        density = (self.grids[0] + self.grids[1]) / (self.bin_x * self.bin_y) + self.density * self.fixed_density
        lengths = [job.result() for job in jobs]
        field = self.poisson.field(density)
        force = [np.empty(n), np.empty(n)]
        parts = [
            self._submit(
                _field, *at, *self.box, self.area, first, last, self.bin_x, self.bin_y, *field, *force
            )
            for first, last in ((0, half), (half, n))
        ]  # fmt: skip
        for part in parts:
            part.result()
        return wire, force, sum(lengths)

    def overflow(self, at: list[Floats]) -> float:
        """Area of cells above the density allowed, over all area of cells."""
        half = self.cells // 2
        parts = [
            self._submit(_charge, *at, *self.box, self.area, first, last, self.bin_x, self.bin_y, grid)
            for (first, last), grid in zip(((0, half), (half, self.cells)), self.grids, strict=True)
        ]
        for part in parts:
            part.result()
        area = self.bin_x * self.bin_y
        over = (self.grids[0] + self.grids[1]) - self.density * (1 - self.fixed_density) * area
        return float(np.maximum(over, 0).sum() / self.area[: self.cells].sum())

    def make_room(self, at: list[Floats]) -> float:
        """Widen the cells of bins that want more tracks than allowed; empty space gets less. Returns the worst use."""
        routing, n = self.routing, self.cells
        assert routing is not None
        side = routing.bin / self.unit
        tracks = (routing.tracks[0] * self.unit, routing.tracks[1] * self.unit)
        use = _use(
            self.circuit.net_start, self.pin_node, self.offsets, (at[0], at[1]), routing.factor, tracks, side, self.size
        )
        worst = use.max(0)
        wanted = (worst / routing.limit) ** _ROOM_POWER
        column = np.clip(at[0][:n] / side, 0, worst.shape[1] - 1).astype(np.int64)
        row = np.clip(at[1][:n] / side, 0, worst.shape[0] - 1).astype(np.int64)
        growth = np.clip(wanted[row, column], 0.8, 1.5)
        self.wider = np.clip(self.wider * growth, 1.0, _WIDEST)
        extra = self.own_area * (self.wider - 1)
        room = self.density * self.free_area - float(self.own_area.sum())
        share = min(1.0, 0.9 * room / max(float(extra.sum()), 1e-12))
        wider = 1 + share * (self.wider - 1)
        self.area[:n] = self.own_area * wider
        fillers = self.nodes - n
        if fillers:
            left = (room - share * float(extra.sum())) / fillers
            self.area[n:] = left
            for half in self.half:
                half[n:] = 0.5 * sqrt(max(left, 1e-12))
        for half, own, power in zip(self.half, self.own_half, (0.5, 0.5), strict=True):
            half[:n] = own * wider**power
        self._boxes()
        return float(worst.max())

    def run(
        self, *, growth: float, stop: float, limit: int, check: Callable[[], None], start: float = 1.0,
        strength: float | None = None,
    ) -> tuple[float, float]:  # fmt: skip
        """Nesterov's method until the overflow is below `stop`, or stays; the last length and strength of the field.

        The field begins with `strength`, or with `start` times that at which it pulls as hard as all wires.
        """
        n = self.nodes
        at = [a.copy() for a in self.at]
        gamma = _gamma(self.overflow(at))
        wire, force, length = self.evaluate(at, gamma)
        total_wire = sum(float(np.abs(w[:n]).sum()) for w in wire)
        total_force = sum(float(np.abs(f[: self.cells]).sum()) for f in force)
        if strength is None:
            strength = start * total_wire / max(total_force, 1e-12) or 1.0

        def slope(wire: list[Floats], force: list[Floats]) -> list[Floats]:
            gradient = [np.empty(n), np.empty(n)]
            constants = ((strength,) * 2, (self.pins,) * 2, (self.area,) * 2)
            self._both(_combine, wire, force, *constants, gradient)
            return gradient

        main = [a.copy() for a in at]
        gradient = slope(wire, force)
        # a first small step tells the curvature
        small = 0.01 / max(max(float(np.abs(g).max()) for g in gradient), 1e-12)
        probe = [a.copy() for a in at]
        for axis in (0, 1):
            probe[axis][:n] -= small * gradient[axis]
        other = slope(*self.evaluate(probe, gamma)[:2])
        step = _ratio(self._both(_distances, at, probe, gradient, other), small)
        momentum, before = 1.0, length
        best, best_turn = np.inf, 0
        for turn in range(limit):
            check()
            following = (1 + sqrt(4 * momentum * momentum + 1)) / 2
            weight = (momentum - 1) / following
            for _ in range(3):
                fresh, moved = [a.copy() for a in at], [a.copy() for a in at]
                self._both(_step, at, main, gradient, (step,) * 2, (weight,) * 2, self.low, self.high, moved, fresh)
                wire, force, length = self.evaluate(fresh, gamma)
                other = slope(wire, force)
                found = _ratio(self._both(_distances, fresh, at, other, gradient), step)
                accepted, step = found >= 0.95 * step, found
                if accepted:
                    break
            main, at, momentum = moved, fresh, following
            overflow = self.overflow(main)
            gamma = _gamma(overflow)
            if overflow < stop:
                break
            if overflow < best - 1e-4:
                best, best_turn = overflow, turn
            elif turn - best_turn > _PATIENCE:
                break
            # the field grows faster while lengths grow less than their share
            change = (length - before) / max(before, 1e-12) / growth
            before = length
            faster = min(max(1.1 ** (1 - change), 0.95), 1.05)
            # wires that hold everything together must not hold the field back for ever
            strength *= faster if turn - best_turn < _PATIENCE // 4 else 1.05
            if self.routing is not None and overflow < _ROOM_FROM and turn % _ROOM_EVERY == 0:
                self.make_room(main)
                wire, force, length = self.evaluate(at, gamma)
            # the same places under the new strength
            gradient = slope(wire, force)
        self.at = main
        return length, strength


_STARTS = (1.0, 10.0, 100.0)
"""Strengths of the field to begin with; the one with the shortest wires goes on."""
_CHOICE = 0.4
"""Overflow at which the shortest is chosen."""
_PATIENCE = 200
"""Steps without less overflow after which spreading ends."""
_ROOM_FROM, _ROOM_EVERY = 0.3, 10
"""Overflow below which cells make room for wires, and after how many steps again."""
_ROOM_POWER, _WIDEST = 1.0, 3.0
"""Area of a cell grows with this power of the use of its bin, up to this factor."""


def _gamma(overflow: float) -> float:
    """Smoothing of wire lengths, in bins (Lu et al. 2015, equation 38)."""
    return float(8.0 * 10.0 ** (20 / 9 * (min(overflow, 1.0) - 0.1) - 1))


def _ratio(squares: list[tuple[float, float]], default: float) -> float:
    """Step length: distance of places over distance of gradients."""
    places, gradients = (sum(pair[k] for pair in squares) for k in (0, 1))
    return sqrt(places / gradients) if gradients > 0 and places > 0 else default


def spread(
    circuit: Circuit, x: Floats, y: Floats, pool: ThreadPoolExecutor, *, density: float = 1.0, seed: int = 0,
    routing: Routing | None = None, growth: float = 0.03,
    stop: float = 0.07, limit: int = 4000, check: Callable[[], None] = lambda: None,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Take cells apart until hardly any bin is above the density allowed.

    Parameters
    ----------
    circuit : Circuit
    x, y : ndarray, shape (cells,)
        Lower left corners to start from, as `quadratic` leaves them.
    pool : ThreadPoolExecutor
        Two workers.
    density : float
        Largest share of the free area of a bin that cells may take, up to 1; raised to what they need at least.
    seed : int
        Of the places where empty space starts.
    routing : Routing, optional
        Make room where wires want more than the tracks.
    growth : float
        Share by which lengths may grow in a step before the field is held back: the less, the longer it takes and the
        shorter wires get.
    stop : float
        Area above the density over all cell area at which spreading ends.
    limit : int
        Most steps.
    check : callable
        Called at every step; what it raises ends the run.

    Returns
    -------
    x, y : ndarray, shape (cells,)
        Lower left corners, on no row or site yet.

    Raises
    ------
    ValueError
        Cells take more area than there is.
    """
    best: tuple[float, float, _Spreader] | None = None
    for number, start in enumerate(_STARTS):
        one = _Spreader(circuit, x, y, pool, density, seed + number, routing)
        length, strength = one.run(growth=growth, stop=_CHOICE, limit=limit, check=check, start=start)
        if best is None or (one.overflow(one.at) < _CHOICE and length < best[0]):
            best = length, strength, one
    assert best is not None
    _, strength, spreader = best
    spreader.run(growth=growth, stop=stop, limit=limit, check=check, strength=strength)
    x, y = x.copy(), y.copy()
    movable = circuit.movable
    x[movable] = spreader.at[0][: len(movable)] * spreader.unit + circuit.region[0] - circuit.width[movable] / 2
    y[movable] = spreader.at[1][: len(movable)] * spreader.unit + circuit.region[1] - circuit.height[movable] / 2
    return x, y
