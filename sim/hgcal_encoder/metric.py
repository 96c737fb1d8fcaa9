"""Quality of a reconstruction: Earth Mover's Distance, telescoping distance, energy response, position shift.

The Earth Mover's Distance (EMD, first Wasserstein distance) between two module images, each divided by its sum, is
the least work that turns one into the other, work being mass times the ground distance between trigger cells.
It is computed exactly: mass common to both images never needs to move (the ground distance is a metric), so
W1(x, y) = W1((x - y)+, (y - x)+), a transport problem between far fewer cells, solved by the network simplex of
POT's C interface.

Sources: P. T. Komiske, E. M. Metodiev, J. Thaler, "Metric Space of Collider Events", Phys. Rev. Lett. 123 (2019)
041801; R. Flamary et al., "POT: Python Optimal Transport", J. Mach. Learn. Res. 22 (2021) 78; N. Bonneel et al.,
"Displacement Interpolation Using Lagrangian Mass Transport", ACM Trans. Graph. 30 (2011) 158 (the solver);
G. Di Guglielmo et al., arXiv 2105.01683 (the telescoping distance).
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.hgcal_encoder.geometry import N_TRIGGER_CELLS, ground_distance, image_8x8, module_geometry

__all__ = [
    "BINS",
    "FINE_BINS",
    "BinSummary",
    "earth_movers_distance",
    "earth_movers_potentials",
    "earth_movers_reference",
    "module_energy_response",
    "occupancy",
    "position_shift",
    "summarise",
    "telescoping_distance",
    "telescoping_matrices",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Occupancy bins of the published comparisons: lowest and highest number of trigger cells, both inclusive.
BINS: tuple[tuple[int, int], ...] = ((1, 3), (4, 7), (8, 48))
#: The finer binning.
FINE_BINS: tuple[tuple[int, int], ...] = (
    (1, 1), (2, 2), (3, 3), (4, 5), (6, 7), (8, 11), (12, 15), (16, 23), (24, 31), (32, 48),
)  # fmt: skip

_MAX_ITERATIONS = 1_000_000
_POT_BACKENDS = ("POT_BACKEND_DISABLE_TENSORFLOW", "POT_BACKEND_DISABLE_PYTORCH", "POT_BACKEND_DISABLE_JAX")


@lru_cache(maxsize=1)
def _pot() -> Any:
    """POT, imported late because it looks for array libraries; TensorFlow among them would cost seconds."""
    before = {name: os.environ.get(name) for name in _POT_BACKENDS}
    os.environ.update(dict.fromkeys(_POT_BACKENDS, "1"))
    try:
        import ot
        import ot.lp.emd_wrap
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return ot


def _images(values: ArrayLike, name: str) -> FloatArray:
    """Non-negative float64 images, (n, 48), contiguous."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != N_TRIGGER_CELLS:
        raise ValueError(f"{name}: expected shape (n, {N_TRIGGER_CELLS}), got {array.shape}")
    bad = np.argwhere(~(array >= 0.0) | ~np.isfinite(array))
    if bad.size:
        row, column = bad[0]
        raise ValueError(f"{name}[{row}, {column}]: expected a finite value >= 0, got {array[row, column]}")
    return array


def _pair(truth: ArrayLike, decoded: ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, b = _images(truth, "truth"), _images(decoded, "decoded")
    if a.shape != b.shape:
        raise ValueError(f"truth and decoded must have equal shapes, got {a.shape} and {b.shape}")
    return a, b


def _normalised(array: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        out: FloatArray = array / array.sum(axis=1, keepdims=True)
    return out


def earth_movers_distance(truth: ArrayLike, decoded: ArrayLike, *, distance: FloatArray | None = None) -> FloatArray:
    """Exact EMD of every pair of images.

    Parameters
    ----------
    truth, decoded : array_like, shape (n, 48)
        Charges in trigger cell order, any scale; each row is divided by its sum.
    distance : ndarray of float64, shape (48, 48), optional
        Ground distance, which must be a metric; `geometry.ground_distance` if not given.

    Returns
    -------
    ndarray of float64, shape (n,)
        In units of a low-density sensor cell; NaN where either image is empty.

    Raises
    ------
    ValueError
        If shapes differ or a value is negative or not finite.
    """
    return _transport(truth, decoded, distance, potentials=False)[0]


def earth_movers_potentials(
    truth: ArrayLike, decoded: ArrayLike, *, distance: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """EMD and its derivative with respect to the decoded image.

    By Kantorovich's duality W1 = max over 1-Lipschitz f of sum f (decoded - truth); the maximiser is a subgradient.
    The dual solution of the reduced problem is extended to the cells that need no transport by
    f(x) = min_j (d(x, j) + f(j)) over the receiving cells j (C. Villani, "Optimal Transport: Old and New", Springer
    2009, theorem 5.10).

    Parameters
    ----------
    truth, decoded, distance
        As in `earth_movers_distance`.

    Returns
    -------
    emd : ndarray of float64, shape (n,)
    potential : ndarray of float64, shape (n, 48)
        f, zero where the EMD is zero or undefined; defined up to a constant per row.
    """
    return _transport(truth, decoded, distance, potentials=True)


def _transport(
    truth: ArrayLike, decoded: ArrayLike, distance: FloatArray | None, *, potentials: bool
) -> tuple[FloatArray, FloatArray]:
    emd_c = _pot().lp.emd_wrap.emd_c
    a, b = _pair(truth, decoded)
    metric = np.ascontiguousarray(ground_distance() if distance is None else distance, dtype=np.float64)
    if metric.shape != (N_TRIGGER_CELLS, N_TRIGGER_CELLS):
        raise ValueError(f"distance: expected shape (48, 48), got {metric.shape}")
    p, q = _normalised(a), _normalised(b)
    difference = q - p
    result = np.zeros(len(a))
    result[~np.isfinite(difference).all(axis=1)] = np.nan
    potential = np.zeros((len(a), N_TRIGGER_CELLS if potentials else 0))
    # below rounding of the division nothing needs to move
    excess = difference > 1e-15
    lack = difference < -1e-15
    # one pass over all rows: cells that give and cells that take, in row order
    source_cells, target_cells = np.nonzero(excess)[1], np.nonzero(lack)[1]
    source_ends, target_ends = np.cumsum(excess.sum(axis=1)), np.cumsum(lack.sum(axis=1))
    supplies, demands = difference[excess], -difference[lack]
    for i in np.flatnonzero(excess.any(axis=1) & lack.any(axis=1)).tolist():
        here = slice(source_ends[i - 1] if i else 0, source_ends[i])
        there = slice(target_ends[i - 1] if i else 0, target_ends[i])
        sources, targets = source_cells[here], target_cells[there]
        supply, demand = supplies[here], demands[there]
        if len(sources) == 1:
            result[i] = metric[sources[0], targets] @ demand
            if potentials:
                potential[i] = metric[sources[0]].max() - metric[sources[0]]
            continue
        if len(targets) == 1:
            result[i] = metric[targets[0], sources] @ supply
            if potentials:
                potential[i] = metric[targets[0]]
            continue
        cost = metric.take(sources, axis=0).take(targets, axis=1)
        # the solver wants equal masses to the last bit
        demand = demand * (supply.sum() / demand.sum())
        _, work, _, v, status = emd_c(supply, demand, cost, _MAX_ITERATIONS, 1)
        if status != 1:
            raise RuntimeError(f"the transport solver gave up on row {i} (status {status})")
        result[i] = work
        if potentials:
            potential[i] = (metric[:, targets] - v[None, :]).min(axis=1)
    return result, potential


def earth_movers_reference(truth: ArrayLike, decoded: ArrayLike, *, distance: FloatArray | None = None) -> FloatArray:
    """EMD by POT's documented `ot.emd2` on the full images: slow, the reference of `earth_movers_distance`."""
    ot = _pot()
    a, b = _pair(truth, decoded)
    metric = ground_distance() if distance is None else distance
    out = np.full(len(a), np.nan)
    for i, (x, y) in enumerate(zip(_normalised(a), _normalised(b), strict=True)):
        if np.isfinite(x).all() and np.isfinite(y).all():
            out[i] = ot.emd2(x, y / y.sum() * x.sum(), metric)
    return out


def telescoping_matrices() -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sums of neighbouring trigger cells that the telescoping distance compares.

    The windows are the nine 2 x 2 squares of each 4 x 4 block and, across each of the three seams between blocks,
    the three sets of two neighbouring cells on either side.  A window weighs the sum, over its four cells, of one
    over the number of windows a cell belongs to, times 1/4; the cells next to the module centre belong to three
    windows and add 1/16 + 1/12 instead (so in the published code, followed here).

    Returns
    -------
    windows : ndarray of float64, shape (48, 36)
        Membership, 0 or 1.
    weights : ndarray of float64, shape (36,)
    blocks : ndarray of float64, shape (48, 3)
        Membership of the three 4 x 4 blocks.
    """
    groups: list[list[int]] = []
    blocks = np.zeros((N_TRIGGER_CELLS, 3))
    grid = image_8x8()
    squares = [grid[:4, 4:], grid[:4, :4], grid[4:, :4]]
    for number, square in enumerate(squares):
        blocks[square.ravel(), number] = 1.0
        groups += [square[r : r + 2, c : c + 2].ravel().tolist() for r in range(3) for c in range(3)]
    upper_right, upper_left, lower_left = squares
    for one, other in (
        (upper_left[:, -1], upper_right[:, 0]),
        (upper_left[-1], lower_left[0]),
        (upper_right[-1], lower_left[:, -1]),
    ):
        groups += [[*one[i : i + 2].tolist(), *other[i : i + 2].tolist()] for i in range(3)]
    windows = np.zeros((N_TRIGGER_CELLS, len(groups)))
    for column, cells in enumerate(groups):
        windows[cells, column] = 1.0
    count = windows.sum(axis=1)
    share = np.where(count == 3, 1.0 / 16.0 + 1.0 / 12.0, 0.25 / count)
    return windows, share @ windows, blocks


def telescoping_distance(truth: ArrayLike, decoded: ArrayLike) -> FloatArray:
    """Telescoping distance 4 L48 + 2 L36 + L3 of every pair.

    Each term is the mean of weight * delta**2 * max(truth, decoded), for single trigger cells (weight 1),
    for overlapping sums of four and for the three blocks (weight 1), see `telescoping_matrices`.

    Parameters
    ----------
    truth, decoded : array_like, shape (n, 48)
        Not normalised here; the published training divides charges by the power of two below their sum.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    a, b = _pair(truth, decoded)
    windows, weights, blocks = telescoping_matrices()
    out = np.zeros(len(a))
    for factor, weight, matrix in ((4.0, 1.0, None), (2.0, weights, windows), (1.0, 1.0, blocks)):
        x, y = (a, b) if matrix is None else (a @ matrix, b @ matrix)
        out += factor * np.mean(weight * (x - y) ** 2 * np.maximum(x, y), axis=1)
    return out


def occupancy(charges: ArrayLike) -> IntArray:
    """Number of trigger cells above zero.

    Parameters
    ----------
    charges : array_like, shape (n, 48)

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    out: IntArray = (_images(charges, "charges") > 0).sum(axis=1).astype(np.int64)
    return out


def module_energy_response(truth: ArrayLike, decoded: ArrayLike) -> FloatArray:
    """Decoded over true module sum, NaN for an empty module.

    Parameters
    ----------
    truth, decoded : array_like, shape (n, 48)
        In the same unit.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    a, b = _pair(truth, decoded)
    with np.errstate(invalid="ignore", divide="ignore"):
        out: FloatArray = np.where(a.sum(axis=1) > 0, b.sum(axis=1) / a.sum(axis=1), np.nan)
    return out


def position_shift(truth: ArrayLike, decoded: ArrayLike) -> FloatArray:
    """Displacement of the charge-weighted mean position in mm, NaN where either image is empty.

    Parameters
    ----------
    truth, decoded : array_like, shape (n, 48)

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Decoded minus true, x and y.
    """
    a, b = _pair(truth, decoded)
    out: FloatArray = (_normalised(b) - _normalised(a)) @ module_geometry("low").centers_mm
    return out


@dataclass(frozen=True, kw_only=True)
class BinSummary:
    """Distribution of a quantity in one occupancy bin.

    Attributes
    ----------
    lowest, highest : int
        Occupancy, both inclusive.
    count : int
        Images in the bin with a defined value.
    median, mean : float
        NaN in an empty bin.
    median_error : float
        Standard error of the median from order statistics: half the distance between the quantiles at one
        binomial standard deviation either side of one half.
    """

    lowest: int
    highest: int
    count: int
    median: float
    mean: float
    median_error: float


def summarise(
    values: ArrayLike, occupancies: ArrayLike, bins: Sequence[tuple[int, int]] = BINS
) -> tuple[BinSummary, ...]:
    """Median and mean by occupancy.

    Parameters
    ----------
    values : array_like, shape (n,)
        NaN values are left out.
    occupancies : array_like of int, shape (n,)
    bins : sequence of (int, int), optional
        Lowest and highest occupancy of each bin, inclusive.

    Returns
    -------
    tuple of BinSummary
    """
    value, count = np.asarray(values, dtype=np.float64), np.asarray(occupancies)
    if value.shape != count.shape or value.ndim != 1:
        raise ValueError(f"values and occupancies must be equal vectors, got {value.shape} and {count.shape}")
    out = []
    for lowest, highest in bins:
        if lowest > highest:
            raise ValueError(f"occupancy bin ({lowest}, {highest}): lowest exceeds highest")
        inside = value[(count >= lowest) & (count <= highest) & np.isfinite(value)]
        n = len(inside)
        if n:
            half = 0.5 / np.sqrt(n)
            low, median, high = np.quantile(inside, [max(0.5 - half, 0.0), 0.5, min(0.5 + half, 1.0)])
            figures = (float(median), float(inside.mean()), float(high - low) / 2)
        else:
            figures = (float("nan"),) * 3
        out.append(
            BinSummary(
                lowest=lowest, highest=highest, count=n, median=figures[0], mean=figures[1], median_error=figures[2]
            )
        )
    return tuple(out)
