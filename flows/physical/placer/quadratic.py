"""A first placement by quadratic wire length: springs between pins, solved by conjugate gradients.

Springs are those of the bound-to-bound model: the two outermost pins of a net hold each other and every pin between
them, with weights that make the squared length equal the half-perimeter at the positions where they were set up
(P. Spindler, U. Schlichtmann, F. M. Johannes, Kraftwerk2: a fast force-directed quadratic placement approach using an
accurate net model, IEEE TCAD 27, 2008). Cells overlap afterwards; `spreading` takes them apart.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.sparse import coo_matrix

from flows.physical.placer.circuit import Circuit

__all__ = ["quadratic"]

Floats = npt.NDArray[np.float64]


@njit(cache=True, nogil=True)
def _springs(net_start, pin_cell, offset, centre, number, nearest, plain, one, two, weight, rest):  # type: ignore[no-untyped-def]
    """Springs of all nets along one axis: cells `one` and `two` (-1: fixed, its place in `rest`), weight."""
    count = 0
    for net in range(len(net_start) - 1):
        first, last = net_start[net], net_start[net + 1]
        pins = last - first
        if pins < 2:
            continue
        low, high = first, first
        at = centre[pin_cell[first]] + offset[first]
        least, most = at, at
        for pin in range(first + 1, last):
            at = centre[pin_cell[pin]] + offset[pin]
            if at < least:
                low, least = pin, at
            if at >= most:
                high, most = pin, at
        if low == high:
            high = first if low != first else first + 1
        for pin in range(first, last):
            for bound in (low, high):
                if pin == bound or (pin == low and bound == high):
                    continue
                a, b = pin_cell[pin], pin_cell[bound]
                i, j = number[a], number[b]
                if a == b or (i < 0 and j < 0):
                    continue
                distance = abs(centre[a] + offset[pin] - centre[b] - offset[bound])
                w = 1.0 / (pins - 1)
                if not plain:
                    w /= max(distance, nearest)
                # w (x_i + o_i - x_j - o_j)^2; a fixed end is a number
                if i < 0:
                    i, j, a, b = j, i, b, a
                    step = offset[pin] - offset[bound]
                else:
                    step = offset[bound] - offset[pin]
                one[count], two[count], weight[count] = i, j, w
                rest[count] = step + (centre[b] if j < 0 else 0.0)
                count += 1
    return count


@njit(cache=True, nogil=True)
def _solve(start, column, value, diagonal, right, x, tolerance, limit):  # type: ignore[no-untyped-def]
    """Conjugate gradients with the diagonal as preconditioner, in place; sums in a fixed order."""
    n = len(x)
    residual, direction, image = np.empty(n), np.empty(n), np.empty(n)
    norm = 0.0
    rho = 0.0
    for i in range(n):
        total = diagonal[i] * x[i]
        for k in range(start[i], start[i + 1]):
            total += value[k] * x[column[k]]
        residual[i] = right[i] - total
        direction[i] = residual[i] / diagonal[i]
        rho += residual[i] * direction[i]
        norm += right[i] * right[i] / diagonal[i]
    for _ in range(limit):
        if rho <= tolerance * tolerance * norm:
            break
        curvature = 0.0
        for i in range(n):
            total = diagonal[i] * direction[i]
            for k in range(start[i], start[i + 1]):
                total += value[k] * direction[column[k]]
            image[i] = total
            curvature += total * direction[i]
        step = rho / curvature
        fresh = 0.0
        for i in range(n):
            x[i] += step * direction[i]
            residual[i] -= step * image[i]
            fresh += residual[i] * residual[i] / diagonal[i]
        ratio = fresh / rho
        rho = fresh
        for i in range(n):
            direction[i] = residual[i] / diagonal[i] + ratio * direction[i]


def _axis(
    circuit: Circuit, offset: Floats, centre: Floats, low: float, high: float, nearest: float, rounds: int
) -> Floats:
    """Centres along one axis after some rounds of springs."""
    movable = circuit.movable
    number = np.full(len(circuit.width), -1, np.int64)
    number[movable] = np.arange(len(movable))
    room = 2 * len(circuit.pin_cell)
    one, two = np.empty(room, np.int64), np.empty(room, np.int64)
    weight, rest = np.empty(room), np.empty(room)
    middle = (low + high) / 2
    for turn in range(rounds):
        count = _springs(
            circuit.net_start, circuit.pin_cell, offset, centre, number, nearest, turn == 0, one, two, weight, rest
        )
        i, j, w, r = one[:count], two[:count], weight[:count], rest[:count]
        n, inner = len(movable), j >= 0
        diagonal = np.bincount(i, w, n) + np.bincount(j[inner], w[inner], n)
        right = np.bincount(i, w * r, n) - np.bincount(j[inner], (w * r)[inner], n)
        # a weak hold in the middle: cells without a way to a port have a place, too
        weak = 1e-4 * float(diagonal.mean() or 1.0)
        held, pulled = diagonal + weak, right + weak * middle
        ends = (np.concatenate([i[inner], j[inner]]), np.concatenate([j[inner], i[inner]]))
        matrix = coo_matrix((np.concatenate([-w[inner]] * 2), ends), (n, n)).tocsr()
        x = centre[movable]
        _solve(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, held, pulled, x, 1e-2, 60)
        centre[movable] = np.clip(x, low, high)
    return centre


def quadratic(
    circuit: Circuit, x: Floats, y: Floats, pool: ThreadPoolExecutor, *, seed: int = 0, rounds: int = 3
) -> tuple[Floats, Floats]:
    """Place movable cells where their springs are at rest; density does not count.

    Parameters
    ----------
    circuit : Circuit
    x, y : ndarray, shape (cells,)
        Lower left corners; only those of fixed cells are read.
    pool : ThreadPoolExecutor
        Two workers solve the two axes.
    seed : int
        Of the first positions, from which outermost pins are chosen.
    rounds : int
        How often springs are set up.

    Returns
    -------
    x, y : ndarray, shape (cells,)
        Lower left corners inside the region.
    """
    left, bottom, right, top = circuit.region
    rng = np.random.default_rng(seed)
    centres = []
    for at, size, low, high in ((x, circuit.width, left, right), (y, circuit.height, bottom, top)):
        centre = at + size / 2
        spread = 0.01 * (high - low)
        centre[circuit.movable] = (low + high) / 2 + rng.uniform(-spread, spread, len(circuit.movable))
        centres.append(centre)
    upright = np.where(circuit.fixed[circuit.pin_cell], circuit.pin_y - circuit.height[circuit.pin_cell] / 2, 0.0)
    offsets = (circuit.pin_x - circuit.width[circuit.pin_cell] / 2, upright)
    jobs = [
        pool.submit(_axis, circuit, offset, centre, low, high, circuit.row_height, rounds)
        for offset, centre, (low, high) in zip(offsets, centres, ((left, right), (bottom, top)), strict=True)
    ]
    found = [job.result() for job in jobs]
    for centre, size, low, high in ((found[0], circuit.width, left, right), (found[1], circuit.height, bottom, top)):
        centre[circuit.movable] = np.clip(
            centre[circuit.movable], low + size[circuit.movable] / 2, high - size[circuit.movable] / 2
        )
    return found[0] - circuit.width / 2, found[1] - circuit.height / 2
