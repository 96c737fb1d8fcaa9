"""Training of the linear readout: ridge regression and softmax regression, quantised to the chip's weights.

Both learn from the liquid's spike counts alone; the liquid is fixed. Every candidate (method and penalty) is quantised
to the spec's weight format and judged on a validation set in the chip's own integer arithmetic
(`sim.lsm_crossbar.readout.Readout`). A test set never enters this module.

Sources: A. E. Hoerl and R. W. Kennard, "Ridge regression", Technometrics 12 (1970) 55; D. C. Liu and J. Nocedal, "On
the limited memory BFGS method for large scale optimization", Math. Program. 45 (1989) 503 (minimiser of the softmax
regression).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve
from scipy.optimize import minimize

from sim.fixed_point import IntArray
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "RIDGE_PENALTIES",
    "SOFTMAX_PENALTIES",
    "Candidate",
    "LinearReadout",
    "TrainedReadout",
    "accuracy",
    "confusion_matrix",
    "quantise",
    "ridge",
    "softmax",
    "train",
]

Float64 = NDArray[np.float64]

RIDGE_PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
"""Penalties that `train` tries for ridge regression, in units of the features' mean variance."""
SOFTMAX_PENALTIES = (1e-4, 1e-3, 1e-2)
"""Penalties that `train` tries for softmax regression, for features of unit mean variance."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearReadout:
    """A readout before quantisation: ``score = bias + weights @ features``.

    Attributes
    ----------
    weights : ndarray of float64, shape (outputs, features)
    bias : ndarray of float64, shape (outputs,)
    """

    weights: Float64
    bias: Float64


def _checked(features: NDArray[Any], labels: NDArray[Any], outputs: int) -> tuple[Float64, IntArray]:
    """Features as float64 of shape (n, features) and labels as integers."""
    if not len(features):
        raise ValueError("need at least one sample to train on, got none")
    flat = np.asarray(features, np.float64).reshape(len(features), -1)
    classes = np.asarray(labels, np.int64)
    if classes.shape != (len(flat),):
        raise ValueError(f"labels: expected one for each of the {len(flat)} samples, got shape {classes.shape}")
    bad = np.flatnonzero((classes < 0) | (classes >= outputs))
    if bad.size:
        raise ValueError(f"labels[{bad[0]}]: expected a class from 0 to {outputs - 1}, got {classes[bad[0]]}")
    return flat, classes


def ridge(
    features: NDArray[Any], labels: NDArray[Any], outputs: int, penalties: Sequence[float]
) -> list[LinearReadout]:
    """Ridge regression onto targets +1 (the class) and -1 (all others), in closed form.

    With centred features X and targets Y it is ``W = (X^T X / n + penalty * v * I)^-1 X^T Y / n``, v the mean variance
    of a feature.

    Parameters
    ----------
    features : array_like, shape (n, ...)
        Spike counts; all axes but the first are one vector.
    labels : array_like of int, shape (n,)
    outputs : int
        Classes.
    penalties : sequence of float
        Positive.

    Returns
    -------
    list of LinearReadout
        One per penalty.

    Raises
    ------
    ValueError
        Labels that do not fit, no sample, or a penalty that is not positive.
    """
    X, classes = _checked(features, labels, outputs)
    if bad := [penalty for penalty in penalties if not penalty > 0]:
        raise ValueError(f"penalties must be positive, got {bad[0]}")
    Y = np.where(classes[:, None] == np.arange(outputs), 1.0, -1.0)
    mean, target = X.mean(axis=0), Y.mean(axis=0)
    X = X - mean
    covariance = X.T @ X / len(X)
    towards = X.T @ (Y - target) / len(X)
    scale = max(float(np.trace(covariance)) / X.shape[1], np.finfo(float).tiny)
    result = []
    for penalty in penalties:
        penalised = covariance + penalty * scale * np.eye(X.shape[1])
        weights = solve(penalised, towards, assume_a="pos").T
        result.append(LinearReadout(weights=weights, bias=target - weights @ mean))
    return result


def softmax(
    features: NDArray[Any], labels: NDArray[Any], outputs: int, penalty: float, iterations: int = 100
) -> LinearReadout:
    """Softmax regression: mean cross-entropy plus ``penalty / 2`` times the squared weights, minimised by L-BFGS.

    The penalty applies to weights of features that are centred and divided by the square root of their mean variance.

    Parameters and errors as `ridge`; `iterations` bounds those of the minimiser.
    """
    X, classes = _checked(features, labels, outputs)
    if not penalty > 0:
        raise ValueError(f"penalties must be positive, got {penalty}")
    mean = X.mean(axis=0)
    X = X - mean
    scale = max(float(np.sqrt(np.mean(X**2))), np.finfo(float).tiny)
    X /= scale
    n, width = X.shape
    Y = (classes[:, None] == np.arange(outputs)).astype(np.float64)

    def loss(parameters: Float64) -> tuple[float, Float64]:
        table = parameters.reshape(outputs, width + 1)
        weights, bias = table[:, :-1], table[:, -1]
        score = X @ weights.T + bias
        score -= score.max(axis=1, keepdims=True)
        exponential = np.exp(score)
        total = exponential.sum(axis=1, keepdims=True)
        value = float(np.mean(np.log(total[:, 0]) - np.sum(Y * score, axis=1)) + 0.5 * penalty * np.sum(weights**2))
        error = (exponential / total - Y) / n
        gradient = np.empty_like(table)
        gradient[:, :-1] = error.T @ X + penalty * weights
        gradient[:, -1] = error.sum(axis=0)
        return value, gradient.ravel()

    found = minimize(
        loss, np.zeros(outputs * (width + 1)), jac=True, method="L-BFGS-B", options={"maxiter": iterations}
    )
    table = found.x.reshape(outputs, width + 1)
    weights = table[:, :-1] / scale
    return LinearReadout(weights=weights, bias=table[:, -1] - weights @ mean)


def quantise(linear: LinearReadout, spec: CrossbarSpec) -> Readout:
    """The readout in the chip's integers: one scale for all weights, the largest of which just fits.

    Weights of 1 bit are the signs, at the scale that brings their mean magnitude to 1.

    A common shift of all classes' weights does not change the class; it is taken out first (mean over the classes),
    so that no weight bit is spent on it. Biases are rounded at the weights' scale.

    Raises
    ------
    ValueError
        If the readout's shape is not that of `spec`.
    """
    if linear.weights.shape != (spec.outputs, spec.features):
        raise ValueError(
            f"expected weights of shape {(spec.outputs, spec.features)} for {spec.name}, got {linear.weights.shape}"
        )
    weights = linear.weights - linear.weights.mean(axis=0)
    bias = linear.bias - linear.bias.mean()
    magnitude = np.abs(weights)
    if spec.readout_weight_bits == 1:
        mean = magnitude.mean()
        scale = 1 / mean if mean > 0 else 1.0
        integers = np.where(weights < 0, -1, 1)
    else:
        scale = spec.readout_weight_max / magnitude.max() if magnitude.any() else 1.0
        integers = np.rint(weights * scale).astype(np.int64)
    return Readout(
        spec,
        integers.reshape(spec.outputs, spec.windows, spec.all_neurons),
        np.clip(np.rint(bias * scale), -spec.bias_max - 1, spec.bias_max).astype(np.int64),
    )


def accuracy(readout: Readout, counts: NDArray[Any], labels: NDArray[Any]) -> float:
    """Fraction of samples whose class, in exact integer arithmetic, is their label."""
    return float(np.mean(readout.classify(counts) == np.asarray(labels)))


def confusion_matrix(labels: NDArray[Any], classes: NDArray[Any], outputs: int) -> IntArray:
    """Samples by label (row) and class (column); shape (outputs, outputs)."""
    matrix = np.zeros((outputs, outputs), np.int64)
    np.add.at(matrix, (np.asarray(labels, np.int64), np.asarray(classes, np.int64)), 1)
    return matrix


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A method, its penalty, and how its quantised readout fares on validation."""

    method: str
    penalty: float
    validation_accuracy: float


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedReadout:
    """What `train` chose.

    Attributes
    ----------
    readout : Readout
        The quantised readout.
    chosen : Candidate
        Method and penalty of `readout`, and its validation accuracy when trained on the training set alone.
    candidates : tuple of Candidate
        All that were tried.
    """

    readout: Readout
    chosen: Candidate
    candidates: tuple[Candidate, ...]


def train(
    spec: CrossbarSpec,
    counts: NDArray[Any],
    labels: NDArray[Any],
    validation_counts: NDArray[Any],
    validation_labels: NDArray[Any],
    *,
    methods: Sequence[str] = ("ridge", "softmax"),
    ridge_penalties: Sequence[float] = RIDGE_PENALTIES,
    softmax_penalties: Sequence[float] = SOFTMAX_PENALTIES,
    refit: bool = True,
) -> TrainedReadout:
    """Choose method and penalty on validation, then train the chosen one.

    Parameters
    ----------
    spec : CrossbarSpec
        Format of counts and weights.
    counts, validation_counts : ndarray of int, shape (n, windows, neurons)
        Spike counts of the liquid.
    labels, validation_labels : ndarray of int, shape (n,)
    methods : sequence of str
        Out of ``"ridge"`` and ``"softmax"``.
    ridge_penalties, softmax_penalties : sequence of float
        Penalties to try.
    refit : bool
        Train the chosen candidate once more on training and validation samples together.

    Raises
    ------
    ValueError
        An unknown or no method, or samples that do not fit the spec.
    """
    if not methods or any(method not in ("ridge", "softmax") for method in methods):
        raise ValueError(f"methods: expected ridge, softmax or both, got {', '.join(methods) or 'none'}")
    found: list[tuple[Candidate, Readout]] = []
    for method in methods:
        penalties = ridge_penalties if method == "ridge" else softmax_penalties
        for penalty, linear in zip(penalties, _fit(method, spec, counts, labels, penalties), strict=True):
            readout = quantise(linear, spec)
            score = accuracy(readout, validation_counts, validation_labels)
            found.append((Candidate(method=method, penalty=penalty, validation_accuracy=score), readout))
    chosen, readout = max(found, key=lambda entry: entry[0].validation_accuracy)
    if refit:
        everything = np.concatenate([counts, validation_counts])
        targets = np.concatenate([labels, validation_labels])
        readout = quantise(_fit(chosen.method, spec, everything, targets, [chosen.penalty])[0], spec)
    return TrainedReadout(readout=readout, chosen=chosen, candidates=tuple(entry[0] for entry in found))


def _fit(
    method: str, spec: CrossbarSpec, counts: NDArray[Any], labels: NDArray[Any], penalties: Sequence[float]
) -> list[LinearReadout]:
    if method == "ridge":
        return ridge(counts, labels, spec.outputs, penalties)
    return [softmax(counts, labels, spec.outputs, penalty) for penalty in penalties]
