"""Readout of signs: format by hand, gradient against differences, memory of an earlier task, files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.lsm_crossbar.learning.continual import (
    ContinualReadout,
    FieldOptions,
    Task,
    forgetting,
    gradient,
    task_of,
)
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.registers import register_writes, weight_address
from sim.lsm_crossbar.spec import N_MNIST
from tests.crossbars import SMALL_CROSSBAR

SPEC = replace(N_MNIST, inputs=4, neurons=20, steps=20, windows=1, outputs=2, readout_weight_bits=1)


def test_signs_by_hand() -> None:
    """+1 is stored as 0 and -1 as 1; the score is a sum of counts with signs."""
    spec = replace(SMALL_CROSSBAR, readout_weight_bits=1)
    assert (spec.readout_weight_min, spec.readout_weight_max) == (-1, 1)
    # the largest sum is features * count_max
    assert spec.bias_width == (spec.features * spec.count_max).bit_length() + 1
    weights = np.ones((spec.outputs, spec.windows, spec.neurons), np.int64)
    weights[1, 0, 2] = -1
    counts = np.zeros((1, spec.windows, spec.neurons), np.int64)
    counts[0, 0, 2], counts[0, 0, 0] = 3, 1
    assert Readout(spec, weights, np.zeros(spec.outputs, int)).scores(counts)[0, :2].tolist() == [4, -2]
    writes = dict(register_writes(spec, weights=weights))
    assert writes[weight_address(spec, 2)] == 0b10
    assert sum(writes.values()) == 0b10
    assert spec.readout_weights_of(spec.readout_weight_codes(weights)).tolist() == weights.tolist()
    with pytest.raises(ValueError, match=r"readout weight\[1, 0, 2\]: expected -1 or 1, got 0"):
        spec.checked_readout_weights(np.where(weights < 0, 0, weights))
    with pytest.raises(ValueError, match="readout weight"):
        spec.checked_readout_weights(2 * weights)
    wide = replace(SMALL_CROSSBAR, readout_weight_bits=4)
    assert wide.readout_weight_codes([-8, -1, 0, 7]).tolist() == [8, 15, 0, 7]
    assert wide.readout_weights_of([8, 15, 0, 7]).tolist() == [-8, -1, 0, 7]


def test_gradient_is_that_of_the_loss() -> None:
    """Central differences of the mean cross-entropy, written here from the formula of the forward."""
    rng = np.random.default_rng(0)
    field, inputs, noise = rng.normal(size=(3, 5)), rng.normal(size=(7, 5)), rng.normal(size=(7, 3))
    labels = rng.integers(0, 3, 7)

    def loss(theta: np.ndarray) -> float:
        total = 0.0
        for a, label, eps in zip(inputs, labels, noise, strict=True):
            z = []
            for output in range(3):
                plus = 1 / (1 + np.exp(-2 * 0.7 * theta[output]))
                mean = plus - (1 - plus)
                z.append(mean @ a / 5**0.5 + eps[output] * np.sqrt(4 * plus * (1 - plus) @ a**2 / 5))
            total += np.log(np.exp(z).sum()) - z[label]
        return total / 7

    found = gradient(field, inputs, np.eye(3)[labels], noise, 0.7)
    for index in np.ndindex(field.shape):
        step = np.zeros_like(field)
        step[index] = 1e-5
        assert found[index] == pytest.approx((loss(field + step) - loss(field - step)) / 2e-5, abs=1e-8)


def _tasks(n: int, seed: int) -> list[Task]:
    """Two tasks on disjoint neurons of one liquid, the rest of the counts being noise that the other task needs."""
    rng = np.random.default_rng(seed)
    tasks = []
    for own in (slice(0, 10), slice(10, 20)):
        counts = rng.integers(0, 3, (n, 1, 20))
        labels = rng.integers(0, 2, n)
        counts[:, 0, own] += 3 * (labels[:, None] ^ (np.arange(10) % 2))
        tasks.append(Task(counts=counts, labels=labels))
    return tasks


def test_the_prior_keeps_the_first_task() -> None:
    """Without a prior the noise on the first task's neurons moves their fields; with one it cannot."""
    learn, test = _tasks(400, 1), _tasks(400, 2)
    distance = {}
    for weight in (0.0, 100.0):
        learner = ContinualReadout(SPEC, FieldOptions(prior_weight=weight, updates=100))
        learner.learn(learn[0])
        after_one, before = learner.readout(), learner.field.copy()
        learner.learn(learn[1])
        distance[weight] = float(np.abs(learner.field - before)[:, :10].mean())
        curve = forgetting([after_one, learner.readout()], test)
        assert curve[0, 0] > 0.97
        if weight:
            assert curve[1].min() > 0.95
            assert learner.tasks == 2
    assert distance[100.0] < 0.5 * distance[0.0]


def test_it_goes_on_from_its_file(tmp_path: Path) -> None:
    """A session that stops after the first task ends where one without a break does."""
    tasks, options = _tasks(60, 3), FieldOptions(updates=10)
    whole = ContinualReadout(SPEC, options)
    for task in tasks:
        whole.learn(task)
    part = ContinualReadout(SPEC, options)
    part.learn(tasks[0])
    part.save(tmp_path / "field.npz")
    again = ContinualReadout.load(tmp_path / "field.npz", SPEC, options)
    again.learn(tasks[1])
    assert np.array_equal(again.field, whole.field)
    assert np.array_equal(again.readout().bias, whole.readout().bias)
    with pytest.raises(ValueError, match=r"field: expected numbers of shape \(3, 20\)"):
        ContinualReadout.load(tmp_path / "field.npz", replace(SPEC, outputs=3))
    with pytest.raises(ValueError, match="readout_weight_bits: expected 1"):
        ContinualReadout(replace(SPEC, readout_weight_bits=8))
    with pytest.raises(ValueError, match="labels: expected 0 to 1"):
        whole.learn(Task(counts=tasks[0].counts, labels=tasks[0].labels + 1))


def test_outputs_are_shared_by_tasks() -> None:
    counts = np.arange(6)[:, None, None]
    task = task_of(counts, np.array([7, 4, 5, 4, 7, 9]), (7, 4))
    assert (task.counts.ravel().tolist(), task.labels.tolist()) == ([0, 1, 3, 4], [0, 1, 1, 0])
