"""Energy-conserving decoding: a reconstruction updated so that it adds up to the module sum that was sent.

The reconstruction of one image is read as a normal distribution with mean mu (what the decoder says) and covariance
Sigma (how far it tends to be off). The module sum b = 1'x of the cells that work, with variance r (0 if it is exact),
is an observation of it, so the posterior mean is

    x = mu + Sigma 1 (1' Sigma 1 + r)^-1 (b - 1' mu)

which is the update of ProbConserv onto a linear constraint (D. Hansen, D. C. Maddix, S. Alizadeh, G. Gupta,
M. W. Mahoney, "Learning Physical Models that Can Respect Conservation Laws", ICML 2023, equation 8) with one row.
It shares out what is missing in proportion to how uncertain each cell is about the total. Charges cannot be negative:
the result is the maximum of that posterior over x >= 0,

    min (x - mu)' Sigma^-1 (x - mu) + (b - 1'x)^2 / r,  x >= 0

with the constraint 1'x = b if r = 0. Cells known to be dead are masked: they are conditioned on 0 first, which moves
what the decoder put there to the cells that are correlated with them.

Independent cells (a variance each) are solved exactly in one pass over sorted breakpoints for all images; a full
covariance by exchanging active sets until the conditions of Karush, Kuhn and Tucker hold.

The sum in the chip's frames is a 5E4M code, 4 bits of mantissa: `sum_variance` is what that leaves open.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.hgcal_encoder.float_code import WIDE_SUM
from sim.hgcal_encoder.spec import CELLS

__all__ = ["conserve", "relative_covariance", "sum_variance"]

FloatArray = npt.NDArray[np.float64]

_EXCHANGES = 60


def conserve(
    decoded: npt.ArrayLike,
    totals: npt.ArrayLike,
    *,
    variances: npt.ArrayLike | None = None,
    covariance: npt.ArrayLike | None = None,
    masked: npt.ArrayLike | None = None,
    total_variance: npt.ArrayLike = 0.0,
) -> FloatArray:
    """Charges that add up to the module sum.

    Parameters
    ----------
    decoded : array_like, shape (n, 48)
        Charges of the decoder.
    totals : array_like, shape (n,)
        Module sums, in the same unit.
    variances : array_like, shape (48,) or (n, 48), optional
        Variance of each cell, cells independent. Without it and `covariance` it is the decoded charge, which scales the
        image as a whole.
    covariance : array_like, shape (48, 48), optional
        Covariance of the cells of any image. A factor per image drops out while the sum is exact, so that of shares
        (`relative_covariance`) serves for charges.
    masked : array_like of bool, shape (48,) or (n, 48), optional
        Dead cells: 0 in the result.
    total_variance : array_like, scalar or shape (n,), optional
        Variance of the totals, 0 where they are exact.

    Returns
    -------
    ndarray of float64, shape (n, 48)
        Not negative. If no working cell of an image has a variance, it is returned with its dead cells cleared.

    Raises
    ------
    ValueError
        If a shape differs, a value is negative or not finite, both `variances` and `covariance` are given, or the
        covariance is not symmetric and positive semidefinite.
    """
    mean = _matrix(decoded, "decoded")
    total = _vector(totals, len(mean), "totals")
    noise = _vector(total_variance, len(mean), "total_variance")
    works = ~np.broadcast_to(np.asarray(False if masked is None else masked, dtype=np.bool_), mean.shape)
    if covariance is not None:
        if variances is not None:
            raise ValueError("expected variances or a covariance, got both")
        return _correlated(mean, _definite(covariance), total, noise, works)
    spread = mean if variances is None else np.asarray(variances, dtype=np.float64)
    if spread.shape not in ((CELLS,), mean.shape):
        raise ValueError(f"variances: expected shape ({CELLS},) or {mean.shape}, got {spread.shape}")
    if bad := np.argwhere(~(np.isfinite(spread) & (spread >= 0))).tolist():
        raise ValueError(f"variances{bad[0]}: expected a finite value >= 0, got {spread[tuple(bad[0])]}")
    return _independent(np.where(works, mean, 0.0), np.where(works, spread, 0.0), total, noise)


def relative_covariance(truth: npt.ArrayLike, decoded: npt.ArrayLike) -> FloatArray:
    """Covariance of a decoder's error in shares of the module sum, measured on images whose truth is known.

    Parameters
    ----------
    truth, decoded : array_like, shape (n, 48)
        Images with a true sum above 0.

    Returns
    -------
    ndarray of float64, shape (48, 48)
        Second moment of (decoded - truth) / sum(truth): multiply by the square of a module sum for its covariance.

    Raises
    ------
    ValueError
        If shapes differ or an image is empty.
    """
    a, b = _matrix(truth, "truth"), _matrix(decoded, "decoded")
    if a.shape != b.shape or not len(a):
        raise ValueError(f"truth and decoded must have equal shapes with rows, got {a.shape} and {b.shape}")
    total = a.sum(axis=1)
    if (empty := np.flatnonzero(total <= 0)).size:
        raise ValueError(f"truth[{empty[0]}]: expected a module sum above 0")
    error = (b - a) / total[:, None]
    out: FloatArray = error.T @ error / len(error)
    return out


def sum_variance(sum_codes: npt.ArrayLike) -> FloatArray:
    """Variance of a module sum that is known by its 5E4M code: that of a uniform distribution over its interval.

    Parameters
    ----------
    sum_codes : array_like of int
        9-bit codes.

    Returns
    -------
    ndarray of float64
        (w**2 - 1) / 12 for w integers in the interval: 0 below code 32.
    """
    width = WIDE_SUM.integers(sum_codes, "sum codes").astype(np.float64)
    out: FloatArray = (width**2 - 1.0) / 12.0
    return out


def _independent(mean: FloatArray, variance: FloatArray, total: FloatArray, noise: FloatArray) -> FloatArray:
    """Exact for a diagonal covariance: x_i = max(0, mu_i + lambda v_i), where lambda r = b - sum(x)."""
    # cell i leaves 0 at lambda = -mu_i / v_i; between two such points the condition is linear in lambda
    with np.errstate(divide="ignore", invalid="ignore"):
        leaves = np.where(variance > 0, -mean / variance, np.inf)
    order = np.argsort(leaves, axis=1)
    points = np.take_along_axis(leaves, order, axis=1)
    finite = np.isfinite(points)
    means = np.cumsum(np.where(finite, np.take_along_axis(mean, order, axis=1), 0.0), axis=1)
    slopes = np.cumsum(np.where(finite, np.take_along_axis(variance, order, axis=1), 0.0), axis=1)
    fixed = np.where(variance > 0, 0.0, mean).sum(axis=1)
    wanted = (total - fixed)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        # lambda if exactly the first k cells are above 0; the right k is the last whose own point lies below it
        lambdas = (wanted - means) / (slopes + noise[:, None])
    valid = finite & (lambdas > points)
    last = np.where(valid.any(axis=1), valid.shape[1] - 1 - valid[:, ::-1].argmax(axis=1), -1)
    chosen = np.take_along_axis(lambdas, np.maximum(last, 0)[:, None], axis=1)
    with np.errstate(invalid="ignore"):
        free = np.where(variance > 0, np.maximum(mean + chosen * variance, 0.0), mean)
    out: FloatArray = np.where((last >= 0)[:, None], free, np.where(variance > 0, 0.0, mean))
    # nothing to move: no cell has a variance
    out[~finite.any(axis=1)] = mean[~finite.any(axis=1)]
    return out


def _correlated(
    mean: FloatArray, covariance: FloatArray, total: FloatArray, noise: FloatArray, works: npt.NDArray[np.bool_]
) -> FloatArray:
    """Exchange of active sets for a full covariance; images with equal sets are solved together."""
    out = np.zeros_like(mean)
    clamped = ~works
    todo = np.flatnonzero(works.any(axis=1))
    for _ in range(_EXCHANGES):
        sets, which = np.unique(clamped[todo], axis=0, return_inverse=True)
        moved = np.zeros(len(todo), np.bool_)
        for number, zero in enumerate(sets):
            these = np.flatnonzero(which.ravel() == number)
            rows = todo[these]
            out[rows], multiplier = _conditioned(mean[rows], covariance, total[rows], noise[rows], zero)
            # a free cell below 0 is clamped; a clamped one that the rest pulls up is released, unless it is dead
            new = np.where(zero, (multiplier >= 0.0) | ~works[rows], out[rows] < 0.0)
            moved[these] = (new != zero).any(axis=1)
            clamped[rows] = new
        todo = todo[moved]
        if not len(todo):
            return out
    for row in todo.tolist():  # sets that alternate: least squares with bounds
        out[row] = _bounded(mean[row], covariance, total[row], noise[row], works[row])
    return out


def _conditioned(
    mean: FloatArray, covariance: FloatArray, total: FloatArray, noise: FloatArray, zero: npt.NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Mean given that the cells `zero` are 0 and given the sum, and the multipliers of those cells."""
    held = np.flatnonzero(zero)
    inverse = np.linalg.inv(covariance[np.ix_(held, held)])
    gain = covariance[:, held] @ inverse
    centre = mean - mean[:, held] @ gain.T
    # with all cells of the sum held, nothing is left to move
    direction = (covariance - gain @ covariance[held]).sum(axis=1) * ~zero
    step = (total - np.where(zero, 0.0, centre).sum(axis=1)) / (direction.sum() + noise)
    x = np.where(zero, 0.0, centre + step[:, None] * direction)
    multiplier = np.zeros_like(mean)
    multiplier[:, held] = -(mean[:, held] + step[:, None] * covariance[held].sum(axis=1)) @ inverse
    return x, multiplier


def _bounded(
    mean: FloatArray, covariance: FloatArray, total: float, noise: float, works: npt.NDArray[np.bool_]
) -> FloatArray:
    """One image by non-negative least squares; an exact sum is a row of great weight, then met exactly by scaling."""
    from scipy.optimize import nnls

    dead = np.flatnonzero(~works)
    free = np.flatnonzero(works)
    gain = covariance[np.ix_(free, dead)] @ np.linalg.inv(covariance[np.ix_(dead, dead)])
    left = covariance[np.ix_(free, free)] - gain @ covariance[np.ix_(dead, free)]
    centre = mean[free] - gain @ mean[dead]
    root = np.linalg.inv(np.linalg.cholesky(left))
    weight = 1.0 / np.sqrt(noise) if noise > 0 else 1e4 * np.abs(root).max()
    system = np.concatenate([root, np.full((1, len(free)), weight)])
    x = nnls(system, np.append(root @ centre, weight * total))[0]
    if noise == 0 and x.sum() > 0:
        x *= total / x.sum()
    out = np.zeros(CELLS)
    out[free] = x
    return out


def _matrix(values: npt.ArrayLike, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != CELLS:
        raise ValueError(f"{name}: expected shape (n, {CELLS}), got {array.shape}")
    if bad := np.argwhere(~(np.isfinite(array) & (array >= 0))).tolist():
        raise ValueError(f"{name}{bad[0]}: expected a finite value >= 0, got {array[tuple(bad[0])]}")
    return array


def _vector(values: npt.ArrayLike, rows: int, name: str) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (rows,)):
        raise ValueError(f"{name}: expected shape ({rows},), got {array.shape}")
    array = np.broadcast_to(array, (rows,))
    if bad := np.flatnonzero(~(np.isfinite(array) & (array >= 0))).tolist():
        raise ValueError(f"{name}[{bad[0]}]: expected a finite value >= 0, got {array[bad[0]]}")
    return array


def _definite(covariance: npt.ArrayLike) -> FloatArray:
    """A checked covariance; a singular one (shares that always add up) is made definite by a part in a million."""
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (CELLS, CELLS):
        raise ValueError(f"covariance: expected shape ({CELLS}, {CELLS}), got {matrix.shape}")
    if not np.isfinite(matrix).all() or not np.allclose(matrix, matrix.T, rtol=1e-9, atol=1e-12 * np.abs(matrix).max()):
        raise ValueError("covariance: expected a finite symmetric matrix")
    lowest, highest = np.linalg.eigvalsh(matrix)[[0, -1]]
    if highest <= 0 or lowest < -1e-9 * highest:
        raise ValueError(f"covariance: expected a positive semidefinite matrix, its least eigenvalue is {lowest:g}")
    return matrix + 1e-6 * highest * np.eye(CELLS) if lowest < 1e-9 * highest else matrix
