"""Training: its forward pass is the chip's arithmetic, its losses are what they say, it learns."""

from dataclasses import replace

import numpy as np
import pytest

from sim.fixed_point import Overflow, Rounding
from sim.hgcal_encoder import training as t
from sim.hgcal_encoder.decoder import Decoder, TrainedModel, truncate_latents
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.metric import earth_movers_distance, occupancy
from sim.hgcal_encoder.normalise import normalise, sum_code
from sim.hgcal_encoder.spec import ECON_T, TNS_2021
from sim.hgcal_encoder.weights import Weights

tf = pytest.importorskip("tensorflow")

ROUNDED = replace(
    ECON_T,
    name="ROUNDED",
    conv_product_fraction=9,
    conv_product_rounding=Rounding.RND,
    dense_product_rounding=Rounding.RND,
)
SMALL = replace(ECON_T, name="SMALL", kernel=(2, 2), stride=2, padding=(0, 0, 0, 0), filters=3, latents=5)


@pytest.fixture(scope="module")
def charges():
    """About ten thousand simulated images."""
    return t.simulate_training_charges(seed=3, scale=0.006)


def _decoder(rng, latents):
    return Decoder(
        kind="mlp",
        arrays={
            "weight0": rng.normal(0, 1, (latents + 2, 48)).astype(np.float32),
            "bias0": np.zeros(48, np.float32),
        },
    )


def _loaded_network(spec, weights, kept, decoder=None):
    """The training's network holding given weights."""
    decoder = decoder if decoder is not None else _decoder(np.random.default_rng(0), spec.latents)
    model = TrainedModel(
        weights=weights, decoder=decoder, elinks=5, kept_bits=kept, multiplexer=t.physics_multiplexer(spec)
    )
    network = t._Network(spec, kept_bits=kept, decoder=decoder.kind, units=(), seed=1)
    network.load(model)
    return network, model


@pytest.mark.parametrize("spec", [ECON_T, TNS_2021, ROUNDED, SMALL], ids=lambda s: s.name)
@pytest.mark.parametrize("kept", [9, 3])
def test_forward_pass_is_the_chip(charges, spec, kept):
    """Random and extreme weights, real and extreme images: every latent as the golden model has it."""
    rng = np.random.default_rng(7)
    extreme = np.array([spec.weight.min_code, spec.weight.max_code, 0, -1])
    choices = [
        Weights.random(spec, rng),
        Weights.from_codes(rng.choice(extreme, spec.parameters), spec),
        Weights.from_codes(np.abs(Weights.random(spec, rng).to_codes()) % 32 // 4, spec),
    ]
    images = np.concatenate([charges[0][:300], np.eye(48, dtype=np.int64) * 4_000_000, np.full((1, 48), 4_194_303)])
    nonzero = 0
    for weights in choices:
        network, model = _loaded_network(spec, weights, kept)
        inputs = images[:, model.multiplexer]
        expected = truncate_latents(Encoder(spec, weights).latents(inputs), kept)
        found = network.latents(normalise(inputs, spec.pixel)[1].astype(np.float32)).numpy()
        assert np.array_equal(found, expected)
        t.verify_latents(model, network.latents, images)
        nonzero += len(np.unique(expected))
    assert nonzero > 20 if kept == 9 else nonzero > 8


def test_verification_notices_one_wrong_weight(charges):
    rng = np.random.default_rng(8)
    weights = Weights.random(ECON_T, rng)
    network, model = _loaded_network(ECON_T, weights, 9)
    codes = weights.to_codes()
    codes[80] ^= 1
    other = replace(model, weights=Weights.from_codes(codes, ECON_T))
    with pytest.raises(RuntimeError, match="differ in .* latents, first at image"):
        t.verify_latents(other, network.latents, charges[0][:300])


def test_gradient_is_that_of_the_unrounded_network(charges):
    """Straight-through: derivative of the latents against finite differences of the same network in floating point."""
    rng = np.random.default_rng(9)
    weights = Weights.from_codes(np.clip(np.rint(rng.normal(2, 4, ECON_T.parameters)), -32, 31).astype(int), ECON_T)
    network, model = _loaded_network(ECON_T, weights, 9)
    inputs = charges[0][:40][:, model.multiplexer]
    pixels = normalise(inputs, ECON_T.pixel)[1].astype(np.float32)
    with tf.GradientTape() as tape:
        latents = network.latents(pixels)
        total = tf.reduce_sum(latents[:, 3])
    found = tape.gradient(total, network.encoder_variables["dense"]).numpy()
    # latent = sum a w in steps of 1/256, with a in steps of 1/128: d latent / d w = 2 a where neither limit is hit
    from sim.hgcal_encoder.convolution import convolve
    from sim.hgcal_encoder.grid import to_grid

    activations = convolve(
        to_grid(pixels.astype(np.int64), ECON_T), weights.kernel, weights.kernel_bias, ECON_T
    ).reshape(len(pixels), -1)
    free = (latents[:, 3].numpy() > 0) & (latents[:, 3].numpy() < 511)
    slope = np.where(free, 1.0, 0.02)
    assert free.any()
    assert np.allclose(found[:, 3], 2.0 * (activations * slope[:, None]).sum(axis=0), rtol=1e-4, atol=1e-3)
    assert not np.delete(found, 3, axis=1).any()


def test_multiscale_follows_the_exact_distance(charges):
    rng = np.random.default_rng(10)
    truth = charges[0][rng.permutation(len(charges[0]))[:600]]
    truth = truth[occupancy(truth) > 2]
    p = truth / truth.sum(axis=1, keepdims=True)
    q = p * np.exp(rng.normal(0, 0.7, p.shape)) + 0.3 * np.roll(p, 1, axis=1)
    q /= q.sum(axis=1, keepdims=True)
    blur, positions = t.multiscale_matrices()
    value = np.abs((q - p) @ blur).sum(axis=1) + np.linalg.norm((q - p) @ positions, axis=1)
    exact = earth_movers_distance(p, q)
    assert np.corrcoef(value, exact)[0, 1] > 0.9
    assert np.median(value / exact) == pytest.approx(1.0, abs=0.2)


def test_simulated_charges(charges):
    images, origin = charges
    assert sum(origin.values()) == len(images)
    assert set(origin) == {recipe.name for recipe in t.recipes()}
    assert min(origin.values()) > 0
    assert images.any(axis=1).all()
    hits = occupancy(images)
    assert (hits <= 3).mean() > 0.3
    assert (hits >= 16).mean() > 0.02
    again, _ = t.simulate_training_charges(seed=3, scale=0.006)
    assert np.array_equal(images, again)


def test_batches_hold_the_mix(charges):
    data = t.TrainingSet(charges[0], ECON_T, seed=1)
    pixels, sums, shares = (np.concatenate(parts) for parts in zip(*data.batches(400, 5), strict=True))
    assert pixels.shape == shares.shape == (2000, 48)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert sums.min() >= 0.0
    hits = (shares > shares.min(axis=1, keepdims=True)).sum(axis=1)
    for low, high, share in t.BATCH_MIX:
        assert ((hits >= low) & (hits <= high)).mean() == pytest.approx(share, abs=0.01)
    # inputs are the shares on the network's grid, in pixel codes
    order = t.physics_multiplexer(ECON_T)
    scale = pixels.sum(axis=1, keepdims=True)
    assert np.abs(pixels / scale - shares[:, order]).max() < 0.2
    busy = pixels.max(axis=1) > 30
    assert np.abs(pixels - shares[:, order] * (128 * (1 + sums[:, :1])))[busy].max() < 9


@pytest.mark.parametrize(("decoder", "loss"), [("mlp", "emd"), ("published", "telescoping")])
def test_training_learns(charges, decoder, loss):
    lines = []
    arguments = {"elinks": 3, "seed": 5, "loss": loss, "decoder": decoder, "units": (64,), "batch": 128}
    first, before = t.train(charges[0], ECON_T, steps=1, **arguments)
    model, history = t.train(
        charges[0], ECON_T, steps=200, phases=(0.7, 0.95), progress=lines.append, learning_rate=4e-3, **arguments
    )
    assert (model.elinks, model.kept_bits) == (3, 5)
    assert model.weights != first.weights
    assert history.validation[-1] < 0.85 * before.validation[-1]
    assert history.loss[-1] < history.loss[0]
    assert len(lines) == len(history.step)
    assert history.step[-1] == 200
    # what was validated in TensorFlow is what NumPy and the golden model compute
    held = t.TrainingSet(charges[0], ECON_T, seed=5)
    _, _, shares = held.validation(6000)
    whole = np.rint(shares / shares.max(axis=1, keepdims=True) * 20000).astype(np.int64)
    emd = earth_movers_distance(whole, model.reconstruct(whole))
    assert np.median(emd) == pytest.approx(history.validation[-1], rel=0.1)


def test_frozen_encoder_keeps_its_weights(charges):
    arguments = {"elinks": 5, "seed": 6, "units": (32,), "batch": 64, "phases": (1.0, 1.0)}
    model, before = t.train(charges[0], ECON_T, steps=20, **arguments)
    tuned, after = t.train(charges[0], ECON_T, steps=60, start=model, freeze_encoder=True, **arguments)
    assert tuned.weights == model.weights
    assert after.validation[-1] < before.validation[-1]


def test_evaluation_is_by_occupancy(charges):
    rng = np.random.default_rng(11)
    _, model = _loaded_network(ECON_T, Weights.random(ECON_T, rng), 9)
    images = charges[0][:200]
    bins, emd = t.evaluate(model, images)
    assert [(b.lowest, b.highest) for b in bins] == [(1, 3), (4, 7), (8, 48)]
    shares = model.decoder.shares(
        Encoder(ECON_T, model.weights).latents(images[:, model.multiplexer]), sum_code(images.sum(axis=1))
    )
    assert np.allclose(emd, earth_movers_distance(images, shares))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elinks": 14}, "eTx"),
        ({"loss": "mse"}, "loss"),
        ({"decoder": "cnn"}, "decoder"),
        ({"steps": 0}, "steps"),
        ({"spec": TNS_2021, "decoder": "published"}, "8 x 8"),
        ({"spec": replace(ECON_T, dense_product_rounding=Rounding.RND_CONV)}, "RND_CONV"),
        ({"charges": np.zeros((30, 48), dtype=np.int64)}, "empty image"),
    ],
)
def test_wrong_arguments_are_refused(charges, change, message):
    arguments = {"charges": charges[0], "spec": ECON_T, "elinks": 5, "steps": 1, "seed": 1} | change
    with pytest.raises(ValueError, match=message):
        t.train(arguments.pop("charges"), arguments.pop("spec"), **arguments)


def test_wrapping_formats_are_refused(charges):
    spec = replace(ECON_T, latent=replace(ECON_T.latent, overflow=Overflow.WRAP))
    with pytest.raises(ValueError, match="saturate"):
        t.train(charges[0], spec, elinks=5, steps=1, seed=1)
