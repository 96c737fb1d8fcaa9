"""Readout with weights of 1 bit that learns one task after another and keeps what it knew.

Each weight is a sign; what is trained is its field theta, off the chip: the weight is +1 with the probability
``1 / (1 + exp(-2 beta theta))``, of mean ``mu = tanh(beta theta)`` and variance ``1 - mu^2``. With centred, scaled
counts a of N features, an output sees

    z = sum(mu a) / sqrt(N) + eps sqrt(sum((1 - mu^2) a^2) / N),   eps normal, one for each output and sample,

and with the softmax's error K = p - target of it, and v the standard deviation beside eps,

    dC/dtheta = beta (1 - mu^2) [K a / sqrt(N) - K eps a^2 mu / (N v)].

What earlier tasks said is the prior: the Kullback-Leibler divergence of two such weights has the gradient
``beta^2 (1 - mu^2) (theta - theta_prior)``, theta_prior being the field after the last task, and no prior in the first.
One divergence for all samples of a task is exact; `FieldOptions.prior_weight` counts it that many times. At inference
the weight is the sign of its field, and nothing else: the chip's integers are what validation and test see.

Source: C. Li, Z. Huang, W. Zou and H. Huang, "Statistical mechanics of continual learning: variational principle and
mean-field potential", Phys. Rev. E 108 (2023) 014309, arXiv 2212.02846 (fields, forward, gradient); there the
prior is the field of the previous update, here that of the last task, as in C. V. Nguyen et al., "Variational continual
learning", ICLR 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.files import write_arrays
from sim.fixed_point import IntArray
from sim.foreign_files import read_npz
from sim.lsm_crossbar.learning.readout_training import accuracy
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["ContinualReadout", "FieldOptions", "Task", "forgetting", "task_of"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FieldOptions:
    """How fields are trained.

    Attributes
    ----------
    beta : float
        Inverse temperature: how sharply a field decides its weight.
    learning_rate : float
        Of Adam with the decays 0.9 and 0.99.
    batch, updates : int
        Samples of a batch; steps of a task, however many samples it has.
    initial : float
        Standard deviation of the fields before the first task: the smaller, the fewer weights that no task needed are
        decided when a later task comes.
    prior_weight : float
        Times that the divergence from the last task's field counts; 0: no memory, 1: exact.
    seed : int
        Of initial fields, noise and batches.
    """

    beta: float = 1.0
    learning_rate: float = 0.01
    batch: int = 64
    updates: int = 200
    initial: float = 0.1
    prior_weight: float = 8.0
    seed: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Samples of one task; labels are outputs of the readout, which tasks may share.

    Attributes
    ----------
    counts : ndarray of int, shape (n, windows, neurons)
    labels : ndarray of int, shape (n,)
    """

    counts: IntArray
    labels: IntArray


def task_of(counts: IntArray, labels: IntArray, classes: Sequence[int]) -> Task:
    """The samples of some classes; the first of `classes` is output 0, the next output 1, and so on."""
    rows = np.flatnonzero(np.isin(labels, np.asarray(classes)))
    place = {label: output for output, label in enumerate(classes)}
    return Task(counts=counts[rows], labels=np.array([place[int(label)] for label in labels[rows]], np.int64))


class ContinualReadout:
    """Fields of a readout of signs, and what they have learnt so far.

    Parameters
    ----------
    spec : CrossbarSpec
        With ``readout_weight_bits = 1``.
    options : FieldOptions, optional

    Raises
    ------
    ValueError
        A spec with wider weights.
    """

    def __init__(self, spec: CrossbarSpec, options: FieldOptions | None = None) -> None:
        if spec.readout_weight_bits != 1:
            raise ValueError(f"readout_weight_bits: expected 1 for weights of signs, got {spec.readout_weight_bits}")
        self.spec, self.options = spec, options or FieldOptions()
        self.field: Float64 = np.zeros((spec.outputs, spec.features))
        self._mean: Float64 = np.zeros(spec.features)
        self._scale = 1.0
        self.tasks = 0

    def learn(self, task: Task, advance: Callable[[int], None] | None = None) -> None:
        """Train on one task, with the field of the last one as prior; mean and scale of counts are the first task's.

        Raises
        ------
        ValueError
            No sample, counts of another shape, or a label that is no output.
        """
        spec, options = self.spec, self.options
        rng = np.random.default_rng((options.seed, self.tasks))
        counts = np.asarray(task.counts, np.float64).reshape(len(task.counts), -1)
        if not len(counts) or counts.shape[1] != spec.features or len(task.labels) != len(counts):
            raise ValueError(f"expected labelled counts of {spec.features} features, got {task.counts.shape}")
        if task.labels.min() < 0 or task.labels.max() >= spec.outputs:
            raise ValueError(
                f"labels: expected 0 to {spec.outputs - 1}, got {task.labels.min()} to {task.labels.max()}"
            )
        weight = 0.0
        if self.tasks:
            weight = options.prior_weight / len(counts)
        else:
            self._mean = counts.mean(axis=0)
            self._scale = max(float(np.sqrt(np.mean((counts - self._mean) ** 2))), np.finfo(float).tiny)
            self.field = rng.normal(scale=options.initial, size=self.field.shape)
        prior = self.field.copy()
        inputs = (counts - self._mean) / self._scale
        targets = np.eye(spec.outputs)[task.labels]
        first, second = np.zeros_like(prior), np.zeros_like(prior)
        order = np.zeros(0, np.int64)
        for number in range(1, options.updates + 1):
            if not len(order):
                order = rng.permutation(len(inputs))
            rows, order = order[: options.batch], order[options.batch :]
            noise = rng.normal(size=(len(rows), spec.outputs))
            slope = gradient(self.field, inputs[rows], targets[rows], noise, options.beta)
            mean = np.tanh(options.beta * self.field)
            slope += weight * options.beta**2 * (1 - mean**2) * (self.field - prior)
            first += 0.1 * (slope - first)
            second += 0.01 * (slope**2 - second)
            corrected = first / (1 - 0.9**number)
            spread = np.sqrt(second / (1 - 0.99**number)) + 1e-8
            self.field = self.field - options.learning_rate * corrected / spread
            if advance is not None:
                advance(1)
        self.tasks += 1

    def readout(self) -> Readout:
        """The signs of the fields, in the chip's integers; the bias takes the mean counts out."""
        spec = self.spec
        weights = np.where(self.field < 0, -1, 1).astype(np.int64)
        bias = np.clip(np.rint(-weights @ self._mean), -spec.bias_max - 1, spec.bias_max).astype(np.int64)
        return Readout(spec, weights.reshape(spec.outputs, spec.windows, spec.all_neurons), bias)

    def save(self, path: Path) -> None:
        """Write fields, mean and scale, so that another session goes on with the next task."""
        write_arrays(path, {
            "field": self.field, "mean": self._mean, "scale": np.array(self._scale), "tasks": np.array(self.tasks),
        })  # fmt: skip

    @classmethod
    def load(cls, path: Path, spec: CrossbarSpec, options: FieldOptions | None = None) -> ContinualReadout:
        """Read a file of `save`. Raises ValueError if it is none, or one of another spec."""
        stored = read_npz(path)
        found = cls(spec, options)
        shapes = {"field": found.field.shape, "mean": found._mean.shape, "scale": (), "tasks": ()}
        for name, shape in shapes.items():
            if name not in stored or stored[name].shape != shape or stored[name].dtype.kind not in "fi":
                got = f"{stored[name].dtype} of shape {stored[name].shape}" if name in stored else "none"
                raise ValueError(f"{path}: {name}: expected numbers of shape {shape} for {spec.name}, got {got}")
            if not np.isfinite(stored[name]).all():
                raise ValueError(f"{path}: {name}: expected finite numbers")
        if stored["tasks"].dtype.kind != "i" or stored["tasks"] < 1 or not stored["scale"] > 0:
            raise ValueError(f"{path}: expected at least one task and a positive scale")
        found.field, found._mean = stored["field"].astype(np.float64), stored["mean"].astype(np.float64)
        found._scale, found.tasks = float(stored["scale"]), int(stored["tasks"])
        return found


def gradient(field: Float64, inputs: Float64, targets: Float64, noise: Float64, beta: float) -> Float64:
    """Gradient of the mean cross-entropy of a batch by the field, for the noise that was drawn.

    Parameters
    ----------
    field : ndarray, shape (outputs, features)
    inputs : ndarray, shape (n, features)
    targets : ndarray, shape (n, outputs)
    noise : ndarray, shape (n, outputs)
        eps of every sample and output.
    beta : float
    """
    features = field.shape[1]
    mean = np.tanh(beta * field)
    variance = 1 - mean**2
    squared = inputs**2
    deviation = np.sqrt(squared @ variance.T / features) + 1e-12
    score = inputs @ mean.T / np.sqrt(features) + noise * deviation
    score -= score.max(axis=1, keepdims=True)
    share = np.exp(score)
    error = (share / share.sum(axis=1, keepdims=True) - targets) / len(inputs)
    by_mean = error.T @ inputs / np.sqrt(features) - (error * noise / deviation).T @ squared * mean / features
    result: Float64 = beta * variance * by_mean
    return result


def forgetting(readouts: Sequence[Readout], tasks: Sequence[Task]) -> Float64:
    """Accuracy on task j with the readout after task i, shape (readouts, tasks); tasks not yet learnt, too."""
    return np.array([[accuracy(readout, task.counts, task.labels) for task in tasks] for readout in readouts])
