"""Readout, protocol, models and digits of the astrocyte liquid."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from sim.astrocyte_liquid.learning.criticality import branching_factor, criticality
from sim.astrocyte_liquid.learning.images import image_events, probabilities
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.learning.protocol import initialise
from sim.astrocyte_liquid.learning.readout_training import LinearReadout, quantise, soft_targets, train_readout
from sim.astrocyte_liquid.learning.stimuli import Images
from sim.astrocyte_liquid.liquid import Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.readout import Readout
from sim.astrocyte_liquid.spec import NALSM_216, NALSM_1000
from sim.digits import mnist_digits, read_digits


def test_readout_finds_what_softmax_regression_can() -> None:
    """Classes of Poisson counts with known means; and the published targets, softmax of +1 and -1."""
    rng = np.random.default_rng(0)
    centres = rng.poisson(4, (10, 60)) + 1.0
    labels = rng.integers(0, 10, 1200)
    counts = rng.poisson(centres[labels])
    found = train_readout(
        counts[:800], labels[:800], counts[800:1000], labels[800:1000], 10, learning_rate=1.0, passes=60
    )
    assert (found.classify(counts[1000:]) == labels[1000:]).mean() > 0.95
    # as read in the published code
    assert np.allclose(soft_targets(np.array([3]), 10)[0], np.where(np.arange(10) == 3, 0.4508, 0.0610), atol=1e-4)


@pytest.mark.parametrize("one_hot", [False, True])
def test_the_first_step_of_a_readout_is_that_of_adadelta_towards_its_targets(one_hot: bool) -> None:
    """By hand: from weights of 0 every probability is a tenth; decay 0.95 and epsilon 1e-8 as in TensorFlow."""
    rng = np.random.default_rng(3)
    counts, labels = rng.poisson(5, (40, 6)) + 1, rng.integers(0, 10, 40)
    found = train_readout(counts, labels, counts, labels, 10, penalty=0.0, batch=40, passes=1, one_hot=one_hot)
    shares = counts / counts.sum(axis=1, keepdims=True)
    high, low = (1.0, 0.0) if one_hot else (np.e / (np.e + 9 / np.e), (1 / np.e) / (np.e + 9 / np.e))
    targets = np.where(labels[:, None] == np.arange(10), high, low)
    gradient = (shares / shares.max()).T @ (0.1 - targets) / 40
    step = -0.1 * gradient * np.sqrt(1e-8 / (0.05 * gradient**2 + 1e-8))
    assert np.allclose(found.weights, step, rtol=1e-3, atol=1e-9)


def test_a_bias_is_part_of_the_weights() -> None:
    """Integers without a bias decide as floating point on shares of the counts with one."""
    rng = np.random.default_rng(1)
    spec = NALSM_216
    readout = LinearReadout(
        weights=rng.normal(size=(216, 10)).astype(np.float32), bias=rng.normal(size=10).astype(np.float32) * 3,
        scale=0.02, passes=1, validation=0.0,
    )  # fmt: skip
    counts = rng.integers(0, 60, (2_000, 216))
    same = quantise(readout, spec).classify(counts) == readout.classify(counts)
    assert same.mean() > 0.97  # 8 bits of a weight leave ties


def test_readout_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"readout weights: expected the shape \(10, 216\)"):
        Readout(NALSM_216, np.zeros((10, 215), np.int64))
    with pytest.raises(ValueError, match="readout weight"):
        Readout(NALSM_216, np.full((10, 216), 128))


def test_an_interrupted_initialisation_goes_on(tmp_path: Path) -> None:
    digits = Images(probabilities(mnist_digits().images[::500], NALSM_216)[0])
    network, file = draw(NALSM_216, 1), tmp_path / "checkpoint.npz"
    whole, first, second = (Liquid(network) for _ in range(3))
    initialise(whole, digits, 150, 5)
    initialise(first, digits, 100, 5, checkpoint=file)
    told: list[int] = []
    initialise(second, digits, 150, 5, checkpoint=file, advance=told.append)
    assert (second.weights == whole.weights).all()
    assert (second.trace == whole.trace).all()
    assert told == [100, 50]
    with pytest.raises(ValueError, match="a checkpoint of another run"):
        initialise(Liquid(network), digits, 150, 6, checkpoint=file)


def test_a_model_reads_back(tmp_path: Path) -> None:
    network = draw(NALSM_216, 2)
    readout = Readout(NALSM_216, np.random.default_rng(0).integers(-100, 100, (10, 216)))
    model = TrainedLiquid(
        spec=NALSM_216, seed=2, scale=0.01, plastic=False, weights=Liquid(network).weights, readout=readout
    )
    model.save(tmp_path / "a.npz")
    again = TrainedLiquid.load(tmp_path / "a.npz")
    again.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    images = Images(probabilities(mnist_digits().images[::2000], NALSM_216, model.scale)[0])
    assert (again.classify(images) == model.classify(images)).all()
    np.savez(tmp_path / "bad.npz", spec=NALSM_216.to_toml())
    with pytest.raises(ValueError, match="bad.npz: not a model of an astrocyte liquid: seed, scale"):
        TrainedLiquid.load(tmp_path / "bad.npz")


def test_images_become_probabilities_as_published() -> None:
    images = mnist_digits().images[:100]
    probability, scale = probabilities(images, NALSM_1000)
    flat = images.reshape(100, -1).astype(float)
    share = flat / flat.sum(axis=1, keepdims=True)
    assert scale == share.max()
    assert np.allclose(probability, share / share.max())
    with pytest.raises(ValueError, match="image 0: expected ink, got none"):
        probabilities(np.zeros((1, 28, 28), np.uint8), NALSM_1000)


def test_branching_of_a_chain_and_of_a_fork() -> None:
    """A wave along a ring has one spike after and one before each; a neuron that wakes two has a branching of 2."""
    ring = np.zeros((200, 10), np.uint8)
    ring[np.arange(200), np.arange(200) % 10] = 1
    forward = np.roll(np.eye(10, dtype=bool), 1, axis=1)
    assert branching_factor(ring, forward) == 1.0
    fork = np.zeros((200, 3), np.uint8)
    fork[::10, 0] = 1
    fork[1::10, 1:] = 1
    connected = np.zeros((3, 3), bool)
    connected[0, 1:] = True
    # neuron 0 wakes two, those wake none: the mean over neurons that spiked is 2/3
    assert np.isclose(branching_factor(fork, connected), 2 / 3)
    assert branching_factor(np.zeros((200, 3), np.uint8), connected) == 0.0


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_the_original_files_of_mnist_are_read(tmp_path: Path) -> None:
    digits = mnist_digits()
    rows = np.arange(0, 10_000, 400)
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    for name, array in zip(names, (digits.images[rows], digits.labels[rows]) * 2, strict=True):
        content = idx(array)
        if name.startswith("t10k"):
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (tmp_path / name).write_bytes(content)
    training, test = read_digits(tmp_path)
    for found in (training, test):
        assert (found.images == digits.images[rows]).all()
        assert (found.labels == digits.labels[rows]).all()
    images = tmp_path / names[0]
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte: expected \(25, 28, 28\) bytes, got 19,599"):
        read_digits(tmp_path)
    images.write_bytes(b"not an idx file at all")
    with pytest.raises(ValueError, match="expected an IDX file of bytes with 3 axes"):
        read_digits(tmp_path)
    images.unlink()
    with pytest.raises(FileNotFoundError, match="no train-images-idx3-ubyte and no"):
        read_digits(tmp_path)
    np.savez(
        tmp_path / "mnist.npz", x_train=digits.images[:9], y_train=digits.labels[:9], x_test=digits.images[:4],
        y_test=digits.labels[:4],
    )  # fmt: skip
    assert [len(part) for part in read_digits(tmp_path / "mnist.npz")] == [9, 4]


def test_a_missing_event_is_forgotten_without_recurrence_and_spreads_with_much_of_it() -> None:
    """On both sides of the edge of chaos: recurrent weights of 0, and of three times the inputs'."""
    digits = mnist_digits()
    shown = np.random.default_rng(0).permutation(len(digits))[:12]
    probability, _ = probabilities(digits.images[shown], NALSM_216)
    events = image_events(probability, 250, np.arange(12))
    network = draw(NALSM_216, 1)
    recurrent = network.source >= NALSM_216.first_neuron
    quiet, wild = (
        criticality(
            Liquid(network, "published", weights=network.sign * np.where(recurrent, strength, 1.0)),
            events, digits.labels[shown],
        )
        for strength in (0.0, 3.0)
    )  # fmt: skip
    assert quiet.radius == 0
    assert wild.radius > 1
    assert 0 < quiet.growth < 0.95
    assert wild.growth > 1.2
    assert quiet.memory > wild.memory > 0
