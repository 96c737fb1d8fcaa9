"""Training of the readout: softmax regression as published, and its quantisation to the chip's weights.

Features are spike counts over their sum, over the largest such value in training (the published code divides by the
largest of each batch, also in the test, where a score then depends on its neighbours). Targets are the softmax of +1
for the class and -1 for the others, as in the published code, 0.4508 and 0.0610; or 1 and 0, which is what the loss of
the paper says. Adadelta (M. D. Zeiler,
arXiv 1212.5701) with TensorFlow's constants; the pass with the best accuracy on validation is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.readout import Readout
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.fixed_point import IntArray

__all__ = ["LinearReadout", "quantise", "soft_targets", "train_readout"]

Float32 = npt.NDArray[np.float32]
DECAY, EPSILON = 0.95, 1e-8
BLOCK = 1_000


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearReadout:
    """A readout in floating point.

    Attributes
    ----------
    weights : ndarray of float32, shape (features, outputs)
    bias : ndarray of float32, shape (outputs,)
    scale : float
        Largest share of a count in training.
    passes : int
        Passes over the training set that it has seen.
    validation : float
        Share of the validation set that it gets right.
    """

    weights: Float32
    bias: Float32
    scale: float
    passes: int
    validation: float

    def classify(self, counts: npt.NDArray[Any]) -> IntArray:
        """Class of each sample for counts of shape (n, features)."""
        return np.argmax(_features(counts, self.scale)[:, :-1] @ self.weights + self.bias, axis=1)


def _shares(counts: npt.NDArray[Any]) -> Iterator[tuple[slice, npt.NDArray[np.float64]]]:
    """Counts over their sum, in blocks: of 50,000 samples of 8,000 neurons all at once would take 3 GB."""
    for first in range(0, len(counts), BLOCK):
        rows = slice(first, first + BLOCK)
        yield rows, counts[rows] / np.maximum(counts[rows].sum(axis=1, keepdims=True), 1)


def _features(counts: npt.NDArray[Any], scale: float) -> Float32:
    """Shares over `scale`, and a last column of ones: the bias is the weight of a feature that is always 1."""
    found = np.ones((len(counts), counts.shape[1] + 1), np.float32)
    for rows, shares in _shares(counts):
        found[rows, :-1] = shares / scale
    return found


def soft_targets(labels: IntArray, outputs: int) -> Float32:
    """What the readout is trained towards; shape (n, outputs)."""
    targets = np.where(labels[:, None] == np.arange(outputs), np.e, 1 / np.e)
    shares: Float32 = (targets / targets.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def train_readout(
    counts: npt.NDArray[Any],
    labels: IntArray,
    validation: npt.NDArray[Any],
    validation_labels: IntArray,
    outputs: int,
    *,
    learning_rate: float = 0.1,
    penalty: float = 5e-10,
    batch: int = 250,
    passes: int = 5_000,
    patience: int = 500,
    one_hot: bool = False,
    seed: int = 0,
) -> LinearReadout:
    """Train a readout; the last pass counts, too.

    Parameters
    ----------
    counts, validation : ndarray, shape (n, features)
        Counts, not negative.
    labels, validation_labels : ndarray of int, shape (n,)
    outputs : int
        Classes.
    learning_rate, penalty, batch : float, float, int
        Of Adadelta, of the squared weights, samples of an update.
    passes : int
        Passes over the training set at most.
    patience : int
        Passes without a better validation after which training ends.
    one_hot : bool
        Targets of 1 and 0 in place of those of `soft_targets`.
    seed : int
        Of the order of samples.
    """
    scale = max((float(shares.max()) for _, shares in _shares(counts)), default=1.0)
    x, held_out = _features(counts, scale), _features(validation, scale)
    targets = np.eye(outputs, dtype=np.float32)[labels] if one_hot else soft_targets(labels, outputs)
    rng = np.random.default_rng([seed, 0xADA])
    # output by output in memory, and the gradient so, too: BLAS takes half the time of the other way round
    w = np.zeros((x.shape[1], outputs), np.float32, order="F")
    squares, moves = np.zeros_like(w), np.zeros_like(w)
    best, kept, since = -1.0, w, 0
    decay, epsilon, rate = np.float32(DECAY), np.float32(EPSILON), np.float32(learning_rate)
    l2 = np.float32(penalty) * np.append(np.ones(x.shape[1] - 1, np.float32), np.float32(0))[:, None]
    seen = 0
    for number in range(1, passes + 1):
        order = rng.permutation(len(x))
        for first in range(0, len(x), batch):
            rows = order[first : first + batch]
            part = x[rows]
            scores = part @ w
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=1, keepdims=True)
            gradient = ((scores - targets[rows]).T @ part).T / np.float32(len(rows)) + l2 * w
            squares *= decay
            squares += (1 - decay) * gradient * gradient
            move = gradient * np.sqrt((moves + epsilon) / (squares + epsilon))
            moves *= decay
            moves += (1 - decay) * move * move
            w -= rate * move
        right = float(np.mean(np.argmax(held_out @ w, axis=1) == validation_labels))
        if right > best:
            best, kept, since, seen = right, w.copy(), 0, number
        else:
            since += 1
            if since >= patience:
                break
    return LinearReadout(weights=kept[:-1], bias=kept[-1], scale=scale, passes=seen, validation=best)


def quantise(readout: LinearReadout, spec: AstrocyteSpec) -> Readout:
    """The chip's readout: bias into the weights (see `sim.astrocyte_liquid.readout`), rounded to its steps.

    What all outputs share does not change the class: the mean over the outputs is taken out first.
    """
    table = readout.weights.T.astype(np.float64) / readout.scale + readout.bias[:, None]
    table -= table.mean(axis=0)
    step = np.abs(table).max() / spec.readout_weight_max
    return Readout(spec, np.rint(table / max(step, 1e-30)).astype(np.int64))
