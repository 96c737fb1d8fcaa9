"""Readout training against textbook formulas, quantisation in exact rationals, and the model that ships."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.special import log_softmax

from sim.lsm_crossbar.learning.model import TrainedCrossbar, shipped_models
from sim.lsm_crossbar.learning.readout_training import (
    LinearReadout,
    accuracy,
    confusion_matrix,
    quantise,
    ridge,
    softmax,
    train,
)
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import ENCODINGS, Encoding
from sim.lsm_crossbar.recordings.speech import tidigits_like
from sim.lsm_crossbar.spec import CrossbarSpec

SPEC = CrossbarSpec(
    name="SMALL", inputs=4, neurons=6, steps=12, outputs=3, threshold=4, leak=(-2,), windows=2, rows=16, columns=16,
    columns_per_adc=2,
)  # fmt: skip


def blobs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts of three classes, (n, windows, neurons), that a line can mostly tell apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    centres = np.random.default_rng(5).uniform(0.5, 5.5, (3, 2, 6))
    return np.clip(np.rint(rng.normal(centres[labels], 1.2)), 0, 6).astype(np.int64), labels


def test_ridge_solves_its_own_least_squares() -> None:
    """The penalised problem as plain least squares: stacked rows sqrt(n penalty v) I, solved by another routine."""
    counts, labels = blobs(80, 1)
    X, Y = counts.reshape(80, 12).astype(float), np.where(labels[:, None] == np.arange(3), 1.0, -1.0)
    penalty = 0.05
    centred = X - X.mean(axis=0)
    strength = np.sqrt(80 * penalty * centred.var(axis=0).mean())
    stacked = np.vstack([centred, strength * np.eye(12)])
    expected = np.linalg.lstsq(stacked, np.vstack([Y - Y.mean(axis=0), np.zeros((12, 3))]), rcond=None)[0]
    (found,) = ridge(counts, labels, 3, [penalty])
    assert found.weights == pytest.approx(expected.T, abs=1e-9)
    assert X @ found.weights.T + found.bias == pytest.approx(centred @ expected + Y.mean(axis=0), abs=1e-9)


def test_ridge_limits() -> None:
    """A large penalty leaves the mean target; features that never change get no weight and do no harm."""
    counts, labels = blobs(60, 2)
    counts[:, 0, 0] = 3
    light, heavy = ridge(counts, labels, 3, [1e-6, 1e9])
    assert light.weights[:, 0] == pytest.approx(0, abs=1e-9)
    assert heavy.weights == pytest.approx(0, abs=1e-6)
    assert heavy.bias == pytest.approx(np.bincount(labels, minlength=3) / 60 * 2 - 1, abs=1e-5)


def test_softmax_is_at_its_minimum() -> None:
    """The gradient of the penalised cross-entropy, by differences of scipy's own log-softmax, vanishes."""
    counts, labels = blobs(90, 3)
    penalty = 0.02
    found = softmax(counts, labels, 3, penalty, iterations=2000)
    X = counts.reshape(90, 12).astype(float)
    X -= X.mean(axis=0)
    scale = np.sqrt(np.mean(X**2))

    def loss(weights: np.ndarray, bias: np.ndarray) -> float:
        likelihood = log_softmax(counts.reshape(90, 12) @ weights.T + bias, axis=1)[np.arange(90), labels]
        return float(-likelihood.mean() + penalty / 2 * np.sum((weights * scale) ** 2))

    best, rng = loss(found.weights, found.bias), np.random.default_rng(4)
    for _ in range(20):
        step = rng.normal(0, 1e-3, (3, 13))
        up = loss(found.weights + step[:, :12], found.bias + step[:, 12])
        down = loss(found.weights - step[:, :12], found.bias - step[:, 12])
        assert min(up, down) >= best - 1e-9
        assert abs(up - down) < 2e-2 * (up + down - 2 * best) + 1e-6


def test_training_needs_proper_samples() -> None:
    counts, labels = blobs(10, 1)
    with pytest.raises(ValueError, match=r"labels\[2\]: expected a class from 0 to 2, got 3"):
        ridge(counts, np.array([0, 1, 3, *labels[3:]]), 3, [0.1])
    with pytest.raises(ValueError, match="one for each of the 10 samples"):
        softmax(counts, labels[:4], 3, 0.1)
    with pytest.raises(ValueError, match="penalties must be positive, got 0"):
        ridge(counts, labels, 3, [0.1, 0])
    with pytest.raises(ValueError, match="at least one sample"):
        ridge(counts[:0], labels[:0], 3, [0.1])
    with pytest.raises(ValueError, match="methods: expected ridge, softmax or both, got lasso"):
        train(SPEC, counts, labels, counts, labels, methods=["lasso"])


def test_quantised_scores_in_rationals() -> None:
    """Integer scores are those of the float readout but for a common shift and the weights' rounding."""
    counts, labels = blobs(200, 6)
    (linear,) = ridge(counts, labels, 3, [0.01])
    readout = quantise(linear, SPEC)
    assert np.abs(readout.weights).max() == 127
    shifted = linear.weights - linear.weights.mean(axis=0)
    scale = Fraction(127) / Fraction(float(np.abs(shifted).max()))
    scores = readout.scores(counts)
    for row, one in zip(scores[:20], counts[:20].reshape(20, 12), strict=True):
        exact = [
            sum((Fraction(float(w)) * int(c) for w, c in zip(weights, one, strict=True)), Fraction(float(bias)))
            for weights, bias in zip(shifted, linear.bias - linear.bias.mean(), strict=True)
        ]
        bound = Fraction(int(one.sum()) + 1, 2) + Fraction(1, 10**6)
        assert all(abs(int(score) - scale * value) <= bound for score, value in zip(row, exact, strict=True))
    flat = LinearReadout(weights=np.ones((3, 12)), bias=np.zeros(3))
    assert not quantise(flat, SPEC).weights.any()
    with pytest.raises(ValueError, match=r"expected weights of shape \(3, 12\)"):
        quantise(LinearReadout(weights=np.zeros((3, 5)), bias=np.zeros(3)), SPEC)


@pytest.mark.parametrize("method", ["ridge", "softmax"])
def test_train_chooses_on_validation(method: str) -> None:
    counts, labels = blobs(300, 7)
    check, targets = blobs(200, 8)
    test, truth = blobs(400, 9)
    trained = train(SPEC, counts, labels, check, targets, methods=[method])
    assert trained.chosen.method == method
    assert trained.chosen.validation_accuracy == max(c.validation_accuracy for c in trained.candidates)
    assert accuracy(trained.readout, test, truth) > 0.9
    # without refit the readout is the very candidate that was judged
    alone = train(SPEC, counts, labels, check, targets, methods=[method], refit=False)
    assert accuracy(alone.readout, check, targets) == alone.chosen.validation_accuracy
    # validation decides: with labels of chance no candidate is better than chance by much
    chance = train(SPEC, counts, np.random.default_rng(1).permutation(labels), check, targets, methods=[method])
    assert chance.chosen.validation_accuracy < 0.6


def test_confusion_matrix() -> None:
    matrix = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


# -------------------------------------------------------------------------------------------------- the model
def small_model() -> TrainedCrossbar:
    model = shipped()
    rng = np.random.default_rng(0)
    spec = replace(model.spec, windows=1)
    readout = Readout(spec, rng.integers(-128, 128, (10, 1, 200)), rng.integers(-500, 500, 10))
    return replace(model, spec=spec, readout=readout)


def shipped() -> TrainedCrossbar:
    return TrainedCrossbar.load("n_mnist")


def test_save_and_load(tmp_path: Path) -> None:
    model = small_model()
    for name in ("a.npz", "b.npz"):
        model.save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = TrainedCrossbar.load(tmp_path / "a.npz")
    assert (again.spec, again.seed, again.encoding, again.step_us) == (
        model.spec, model.seed, model.encoding, model.step_us,
    )  # fmt: skip
    assert np.array_equal(again.readout.weights, model.readout.weights)
    assert again.sha256 == model.sha256


def test_bad_models(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such model file; shipped models: n_mnist"):
        TrainedCrossbar.load(tmp_path / "none.npz")
    (tmp_path / "x.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"x\.npz: not a complete \.npz archive"):
        TrainedCrossbar.load(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", seed=1)
    with pytest.raises(ValueError, match="not a model of the crossbar: spec, conductances_sha256"):
        TrainedCrossbar.load(tmp_path / "x.npz")
    model = shipped()
    with pytest.raises(ValueError, match="encoding: expected one of centre_crop, .* got 'mine'"):
        replace(model, encoding=Encoding(name="mine", left=0, top=0, columns=1, rows=1))
    narrow = replace(model.spec, inputs=64)
    with pytest.raises(ValueError, match="drives 256 word lines, N_MNIST has 64"):
        replace(model, spec=narrow, encoding=ENCODINGS["centre_crop"])
    with pytest.raises(ValueError, match="seed 9 of N_MNIST has the hash .* the readout was trained on"):
        _ = replace(model, seed=9).conductances


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights", np.full((10, 5, 200), np.nan), r"weights: expected integers, got float64 of shape \(10, 5, 200\)"),
        ("weights", np.full((10, 5, 200), 1.5), "weights: expected integers, got float64"),
        ("weights", np.ones((10, 5, 200), bool), "weights: expected integers, got bool"),
        ("weights", np.ones((10, 5, 199), int), r"readout weights: expected the shape \(10, 5, 200\)"),
        ("weights", np.full((10, 5, 200), 300), "readout weight: expected -128 to 127, got 300"),
        ("bias", np.full(10, np.inf), "bias: expected integers, got float64"),
        ("seed", np.array([1, 2]), r"seed: expected one integer, got int64 of shape \(2,\)"),
        ("seed", np.array(1.5), "seed: expected one integer, got float64"),
        ("seed", np.array(-1), "seed: expected at least 0, got -1"),
        ("step_us", np.array(0), "step_us: expected at least 1, got 0"),
        ("step_us", np.array("6400"), "step_us: expected one integer, got <U4"),
        ("spec", np.array(3), "spec: expected one text, got int64"),
        ("encoding", np.array("x" * 999), "encoding: expected one of .*, got 'x{100,180}"),
    ],
)
def test_a_model_is_checked_by_type_and_range(tmp_path: Path, name: str, value: np.ndarray, message: str) -> None:
    with np.load(shipped_models()["n_mnist"]) as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "m.npz", **(arrays | {name: value}))
    with pytest.raises(ValueError, match=rf"m\.npz: {message}") as error:
        TrainedCrossbar.load(tmp_path / "m.npz")
    assert len(str(error.value)) < 500


def test_shipped_model_and_its_card() -> None:
    """The macro is drawn again from the seed; card, file and draw carry the same hashes."""
    model = shipped()
    card = shipped_models()["n_mnist"].with_suffix(".md").read_text()
    assert isinstance(model.conductances, Conductances)
    assert f"`{model.conductances.sha256}`" in card
    assert f"`{model.sha256}`" in card
    assert f"`{model.encoding.name}`" in card


def test_shipped_model_on_synthesised_digits() -> None:
    """40 digits that it was not trained on, by a camera that it has not met; a few samples on the NumPy engine."""
    model = shipped()
    digits = mnist_digits("first_thousand").take(np.arange(0, 1000, 25))
    events = EventCamera(seed=77).record_all(digits.images)
    classes = model.classify(events)
    assert np.mean(classes == digits.labels) >= 0.85
    assert model.classify(events[:2], "numpy").tolist() == classes[:2].tolist()
    counts = Liquid(model.spec, model.conductances).counts(model.spikes(events))
    assert np.mean(np.random.default_rng(0).permutation(classes) == digits.labels) < 0.5
    assert 0.02 < counts.sum() / (40 * 200 * 50) < 0.3


def test_shipped_model_that_hears() -> None:
    """The shipped readout on the shipped clips, by the chip's integers; its card says the same hashes."""
    model = TrainedCrossbar.load("spoken_digits")
    spoken = tidigits_like()
    assert model.hears
    few = np.arange(0, 484, 11)  # every eleventh clip, all by other voices, is the same word: take a diagonal
    few = few + np.arange(len(few)) % 11
    counts = Liquid(model.spec, model.conductances).counts(spoken.spikes[few])
    assert np.mean(model.readout.classify(counts) == spoken.labels[few]) > 0.9
    card = shipped_models()["spoken_digits"].with_suffix(".md").read_text()
    assert model.sha256 in card
    assert model.conductances_sha256 in card
