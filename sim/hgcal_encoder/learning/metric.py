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

from sim.hgcal_encoder.detector.geometry import N_TRIGGER_CELLS, ground_distance, image_8x8, module_geometry

__all__ = [
    "BINS",
    "ETA_BINS",
    "FINE_BINS",
    "QUANTITIES",
    "BinSummary",
    "Comparison",
    "compare",
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

#: Pseudorapidity bins of the endcap: lower edge inclusive, upper edge exclusive.
ETA_BINS: tuple[tuple[float, float], ...] = ((1.5, 1.8), (1.8, 2.1), (2.1, 2.4), (2.4, 2.7), (2.7, 3.1))
#: What `compare` computes for every image, in the order of its tables.
QUANTITIES = ("emd", "telescoping", "response", "shift_mm")

_MAX_ITERATIONS = 1_000_000
ONE_SIGMA = (0.158655253931457, 0.841344746068543)  # normal distribution function at -1 and 1
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
    gives, takes = excess.sum(axis=1), lack.sum(axis=1)
    # all mass from one cell, or all into one: nothing to choose; most modules have few cells
    for few, one, others, sign in ((takes == 1, lack, excess, 1.0), (gives == 1, excess, lack, -1.0)):
        rows = np.flatnonzero(few & (gives > 0) & (takes > 0))
        place = one[rows].argmax(axis=1)
        masses = np.where(others[rows], sign * difference[rows], 0.0)
        result[rows] = np.einsum("ij,ij->i", metric[place], masses)
        if potentials:
            potential[rows] = sign * metric[place] + (metric[place].max(axis=1, keepdims=True) if sign < 0 else 0.0)
    # one pass over the others: cells that give and cells that take, in row order
    rows = np.flatnonzero((gives > 1) & (takes > 1))
    source_cells, target_cells = np.nonzero(excess[rows])[1], np.nonzero(lack[rows])[1]
    source_ends, target_ends = np.cumsum(gives[rows]).tolist(), np.cumsum(takes[rows]).tolist()
    supplies, demands = difference[rows][excess[rows]], -difference[rows][lack[rows]]
    source = target = 0
    for i, source_end, target_end in zip(rows.tolist(), source_ends, target_ends, strict=True):
        sources, targets = source_cells[source:source_end], target_cells[target:target_end]
        supply, demand = supplies[source:source_end], demands[target:target_end]
        source, target = source_end, target_end
        # the solver wants equal masses to the last bit
        demand = demand * (supply.sum() / demand.sum())
        cost = metric.take(sources, axis=0).take(targets, axis=1)
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
    """Distribution of a quantity in one bin of occupancy and, if asked for, of pseudorapidity.

    Attributes
    ----------
    lowest, highest : int
        Occupancy, both inclusive.
    eta_lowest, eta_highest : float or None
        Pseudorapidity, upper edge exclusive; None where all are taken together.
    count : int
        Images in the bin with a defined value.
    median, mean : float
        NaN in an empty bin.
    median_error : float
        Standard error of the median from order statistics: half the distance between the quantiles at one
        binomial standard deviation either side of one half.
    width : float
        Half the distance between the 15.87 % and 84.13 % quantiles, the standard deviation of a normal distribution:
        the resolution, if the quantity is a response.
    weighted_mean : float
        Mean with the weights that were given, usually the module's energy; NaN without weights.
    """

    lowest: int
    highest: int
    eta_lowest: float | None = None
    eta_highest: float | None = None
    count: int
    median: float
    mean: float
    median_error: float
    width: float
    weighted_mean: float = float("nan")


def summarise(
    values: ArrayLike,
    occupancies: ArrayLike,
    bins: Sequence[tuple[int, int]] = BINS,
    *,
    etas: ArrayLike | None = None,
    eta_bins: Sequence[tuple[float, float]] = ETA_BINS,
    weights: ArrayLike | None = None,
) -> tuple[BinSummary, ...]:
    """Median, mean and width by occupancy, or by occupancy and pseudorapidity.

    Parameters
    ----------
    values : array_like, shape (n,)
        NaN values are left out.
    occupancies : array_like of int, shape (n,)
    bins : sequence of (int, int), optional
        Lowest and highest occupancy of each bin, inclusive.
    etas : array_like of float, shape (n,), optional
        Pseudorapidity of each module. With it every occupancy bin is split.
    eta_bins : sequence of (float, float), optional
        Lower edge, inclusive, and upper edge, exclusive; only used with `etas`.
    weights : array_like, shape (n,), optional
        Of `BinSummary.weighted_mean`.

    Returns
    -------
    tuple of BinSummary
        In the order of `bins`; with `etas` the bins of pseudorapidity follow each other within each.

    Raises
    ------
    ValueError
        If the vectors differ in length or a bin is empty by its limits.
    """
    value, count = np.asarray(values, dtype=np.float64), np.asarray(occupancies)
    if value.shape != count.shape or value.ndim != 1:
        raise ValueError(f"values and occupancies must be equal vectors, got {value.shape} and {count.shape}")
    eta = None if etas is None else np.asarray(etas, dtype=np.float64)
    if eta is not None and eta.shape != value.shape:
        raise ValueError(f"values and etas must be equal vectors, got {value.shape} and {eta.shape}")
    weight = np.full(len(value), np.nan) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != value.shape:
        raise ValueError(f"values and weights must be equal vectors, got {value.shape} and {weight.shape}")
    regions: Sequence[tuple[float | None, float | None]] = [(None, None)] if eta is None else list(eta_bins)
    out = []
    for lowest, highest in bins:
        if lowest > highest:
            raise ValueError(f"occupancy bin ({lowest}, {highest}): lowest exceeds highest")
        inside = (count >= lowest) & (count <= highest) & np.isfinite(value)
        for low, high in regions:
            if eta is None or low is None or high is None:
                chosen = inside
            elif low >= high:
                raise ValueError(f"pseudorapidity bin ({low}, {high}): the lower edge must be below the upper")
            else:
                chosen = inside & (eta >= low) & (eta < high)
            figures = _statistics(value[chosen], weight[chosen])
            out.append(BinSummary(lowest=lowest, highest=highest, eta_lowest=low, eta_highest=high, **figures))
    return tuple(out)


def _statistics(values: FloatArray, weights: FloatArray) -> dict[str, Any]:
    """Fields of `BinSummary` beyond the limits of the bin."""
    n = len(values)
    if not n:
        return {"count": 0} | dict.fromkeys(("median", "mean", "median_error", "width"), float("nan"))
    half = 0.5 / np.sqrt(n)
    points = [max(0.5 - half, 0.0), 0.5, min(0.5 + half, 1.0), *ONE_SIGMA]
    low, median, high, lower, upper = np.quantile(values, points).tolist()
    return {
        "count": n,
        "median": median,
        "mean": float(values.mean()),
        "median_error": (high - low) / 2,
        "width": (upper - lower) / 2,
        "weighted_mean": float(values @ weights / weights.sum()) if weights.sum() > 0 else float("nan"),
    }


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Every quantity of every image, and where the image belongs; made by `compare`.

    Attributes
    ----------
    occupancies : ndarray of int64, shape (n,)
    etas : ndarray of float64, shape (n,), or None
        Pseudorapidity, if it is known.
    energies : ndarray of float64, shape (n,)
        True module sums, the weights of `BinSummary.weighted_mean`.
    emd : ndarray of float64, shape (n,)
        `earth_movers_distance`, in low-density cells.
    telescoping : ndarray of float64, shape (n,)
        `telescoping_distance` of charges divided by the largest power of two not above the true sum, as published.
    response : ndarray of float64, shape (n,)
        Decoded over true module sum.
    shift_mm : ndarray of float64, shape (n,)
        Length of `position_shift`.
    """

    occupancies: IntArray
    etas: FloatArray | None
    energies: FloatArray
    emd: FloatArray
    telescoping: FloatArray
    response: FloatArray
    shift_mm: FloatArray

    def summarise(
        self,
        bins: Sequence[tuple[int, int]] = BINS,
        *,
        by_eta: bool = False,
        eta_bins: Sequence[tuple[float, float]] = ETA_BINS,
    ) -> dict[str, tuple[BinSummary, ...]]:
        """Summaries of all `QUANTITIES` by name.

        Parameters
        ----------
        bins, eta_bins
            As in the function `summarise`.
        by_eta : bool, optional
            Split by pseudorapidity as well.

        Raises
        ------
        ValueError
            If `by_eta` is asked for and the pseudorapidity is not known.
        """
        if by_eta and self.etas is None:
            raise ValueError("no pseudorapidity is known for these images: CALQ tables do not carry it")
        etas = self.etas if by_eta else None
        return {
            name: summarise(
                getattr(self, name), self.occupancies, bins, etas=etas, eta_bins=eta_bins, weights=self.energies
            )
            for name in QUANTITIES
        }


def compare(
    truth: ArrayLike, decoded: ArrayLike, *, occupancies: ArrayLike | None = None, etas: ArrayLike | None = None
) -> Comparison:
    """All measures of quality of a reconstruction, image by image.

    Parameters
    ----------
    truth, decoded : array_like, shape (n, 48)
        Charges in trigger cell order, in the same unit.
    occupancies : array_like of int, shape (n,), optional
        Trigger cells above zero in `truth` if not given; give the hits where the truth carries a pedestal.
    etas : array_like of float, shape (n,), optional
        Pseudorapidity of the modules.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If shapes differ or a value is negative or not finite.
    """
    a, b = _pair(truth, decoded)
    hits = occupancy(a) if occupancies is None else np.asarray(occupancies, dtype=np.int64)
    eta = None if etas is None else np.asarray(etas, dtype=np.float64)
    for name, vector in (("occupancies", hits), ("etas", eta)):
        if vector is not None and vector.shape != (len(a),):
            raise ValueError(f"{name}: expected shape ({len(a)},), got {vector.shape}")
    total = a.sum(axis=1)
    # frexp: sum = f 2**e with 0.5 <= f < 1, so the power of two below the sum is 2**(e - 1)
    scale = np.exp2(1.0 - np.frexp(np.where(total > 0, total, 1.0))[1])[:, None]
    return Comparison(
        occupancies=hits,
        etas=eta,
        energies=total,
        emd=earth_movers_distance(a, b),
        telescoping=np.where(total > 0, telescoping_distance(a * scale, b * scale), np.nan),
        response=module_energy_response(a, b),
        shift_mm=np.linalg.norm(position_shift(a, b), axis=1),
    )
