"""Training: its forward pass is the chip's arithmetic, its losses are what they say, it learns."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from sim.fixed_point import Overflow, Rounding
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.learning import training as t
from sim.hgcal_encoder.learning.decoder import Decoder, TrainedModel, truncate_latents
from sim.hgcal_encoder.learning.losses import multiscale_matrices
from sim.hgcal_encoder.learning.metric import earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.network import Network
from sim.hgcal_encoder.learning.training_images import (
    BATCH_MIX,
    Images,
    TrainingSet,
    physics_multiplexer,
    recipes,
    simulate_images,
)
from sim.hgcal_encoder.normalise import normalise, sum_code
from sim.hgcal_encoder.spec import ECON_T, TNS_2021
from sim.hgcal_encoder.weights import Weights
from tests.conftest import need_module

tf = need_module("tensorflow", "train")

ROUNDED = replace(
    ECON_T,
    name="ROUNDED",
    conv_product_fraction=9,
    conv_product_rounding=Rounding.RND,
    dense_product_rounding=Rounding.RND,
)
SMALL = replace(ECON_T, name="SMALL", kernel=(2, 2), stride=2, padding=(0, 0, 0, 0), filters=3, latents=5)

OTHER_RULES = replace(
    SMALL,
    name="OTHER_RULES",
    conv_product_rounding=Rounding.RND,
    dense_product_rounding=Rounding.RND_CONV,
    conv_sum_width=9,
    dense_sum_width=11,
    activation=replace(SMALL.activation, rounding=Rounding.RND_CONV, overflow=Overflow.WRAP),
    latent=replace(SMALL.latent, rounding=Rounding.RND, overflow=Overflow.WRAP),
)
"""Every rounding, sums and results that wrap."""


@pytest.fixture(scope="module")
def simulated():
    """About ten thousand simulated images."""
    return simulate_images(seed=3, scale=0.006)


def _decoder(rng, latents):
    return Decoder(
        kind="mlp",
        arrays={
            "weight0": rng.normal(0, 1, (latents + 4, 48)).astype(np.float32),
            "bias0": np.zeros(48, np.float32),
        },
    )


def _loaded_network(spec, weights, kept, decoder=None):
    """The training's network holding given weights."""
    decoder = decoder if decoder is not None else _decoder(np.random.default_rng(0), spec.latents)
    model = TrainedModel(
        weights=weights,
        decoder=decoder,
        elinks=5,
        kept_bits=kept,
        multiplexer=physics_multiplexer(spec),
    )
    network = Network(spec, kept_bits=kept, decoder=decoder.kind, units=(), seed=1)
    network.load(model)
    return network, model


@pytest.mark.parametrize("spec", [ECON_T, TNS_2021, ROUNDED, SMALL, OTHER_RULES], ids=lambda s: s.name)
@pytest.mark.parametrize("kept", [9, 3])
def test_forward_pass_is_the_chip(simulated, spec, kept):
    """Random and extreme weights, real and extreme images: every latent as the golden model has it."""
    rng = np.random.default_rng(7)
    extreme = np.array([spec.weight.min_code, spec.weight.max_code, 0, -1])
    choices = [
        Weights.random(spec, rng),
        Weights.from_codes(rng.choice(extreme, spec.parameters), spec),
        Weights.from_codes(np.abs(Weights.random(spec, rng).to_codes()) % 32 // 4, spec),
    ]
    images = np.concatenate(
        [simulated.images.seen[:300], np.eye(48, dtype=np.int64) * 4_000_000, np.full((1, 48), 4_194_303)]
    )
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


def test_verification_notices_one_wrong_weight(simulated):
    rng = np.random.default_rng(8)
    weights = Weights.random(ECON_T, rng)
    network, model = _loaded_network(ECON_T, weights, 9)
    codes = weights.to_codes()
    codes[80] ^= 1
    other = replace(model, weights=Weights.from_codes(codes, ECON_T))
    with pytest.raises(RuntimeError, match="differ in .* latents, first at image"):
        t.verify_latents(other, network.latents, simulated.images.seen[:300])


def test_gradient_is_that_of_the_unrounded_network(simulated):
    """Straight-through: derivative of the latents against finite differences of the same network in floating point."""
    rng = np.random.default_rng(9)
    weights = Weights.from_codes(np.clip(np.rint(rng.normal(2, 4, ECON_T.parameters)), -32, 31).astype(int), ECON_T)
    network, model = _loaded_network(ECON_T, weights, 9)
    inputs = simulated.images.seen[:40][:, model.multiplexer]
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


def test_multiscale_follows_the_exact_distance(simulated):
    rng = np.random.default_rng(10)
    truth = simulated.images.charges[rng.permutation(len(simulated.images))[:600]]
    truth = truth[occupancy(truth) > 2]
    p = truth / truth.sum(axis=1, keepdims=True)
    q = p * np.exp(rng.normal(0, 0.7, p.shape)) + 0.3 * np.roll(p, 1, axis=1)
    q /= q.sum(axis=1, keepdims=True)
    blur, positions = multiscale_matrices()
    value = np.abs((q - p) @ blur).sum(axis=1) + np.linalg.norm((q - p) @ positions, axis=1)
    exact = earth_movers_distance(p, q)
    assert np.corrcoef(value, exact)[0, 1] > 0.9
    assert np.median(value / exact) == pytest.approx(1.0, abs=0.2)


def test_simulated_charges(simulated):
    images, origin = simulated.images, simulated.origin
    assert sum(origin.values()) == len(images)
    assert set(origin) == {recipe.name for recipe in recipes()}
    assert min(origin.values()) > 0
    assert sum(origin.values()) > 5000
    assert images.charges.any(axis=1).all()
    hits = occupancy(images.charges)
    assert (hits <= 3).mean() > 0.3
    assert (hits >= 16).mean() > 0.02
    assert simulated.etas.shape == images.charges.shape[:1]
    assert simulated.etas.min() > 1.4
    assert simulated.etas.max() < 3.2


@pytest.fixture(scope="module")
def few():
    """Modules that all reach the chip as charges of a file do."""
    return simulate_images(seed=4, scale=0.001, plain=1.0)


def test_simulated_charges_follow_from_the_seed(few):
    again = simulate_images(seed=4, scale=0.001, plain=1.0)
    assert np.array_equal(few.images.seen, again.images.seen)
    assert np.array_equal(few.images.charges, again.images.charges)
    assert np.array_equal(few.etas, again.etas)


def test_simulated_charges_are_what_words_give(simulated, few):
    """A quarter of a step of 4E3M and a count of calibration at most beside the charge; in empty cells the pedestal."""
    plain = few.images
    assert (plain.pedestals == 48).all()
    assert (plain.seen[plain.charges < 2] == 1).all()
    assert (plain.charges == np.rint(plain.charges)).all()
    own = simulate_images(seed=4, scale=0.001, plain=0.0).images
    # factors are below one: half a step of one count is nothing at low density, that of four at most a count or two
    assert 0 < (own.pedestals > 0).mean() < 0.5
    assert own.pedestals.max() <= 2 * 48
    for images in (plain, own, simulated.images):
        sent = images.charges >= 8
        off = np.abs(images.seen - images.charges)[sent]
        assert (off <= images.charges[sent] / 16 + 3).all()
        assert off.mean() > 0.3
    with pytest.raises(ValueError, match="plain"):
        simulate_images(seed=4, plain=1.5)
    with pytest.raises(ValueError, match="busy"):
        simulate_images(seed=4, busy=0.0)


def test_busy_takes_more_of_each_crossing_with_pile_up(few):
    one, three = few.origin, simulate_images(seed=4, scale=0.001, plain=1.0, busy=3.0).origin
    assert {name for name in one if one[name] != three[name]} == {name for name in one if "pile-up" in name}
    assert three["top pairs in pile-up 200"] > 2 * one["top pairs in pile-up 200"]


def test_batches_hold_the_mix(simulated):
    data = TrainingSet(simulated.images, ECON_T, seed=1)
    pixels, sums, shares = (np.concatenate(parts) for parts in zip(*data.batches(400, 5), strict=True))
    assert pixels.shape == shares.shape == (2000, 48)
    assert sums.shape == (2000, 4)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert sums.min() >= 0.0
    hits = (shares > 0).sum(axis=1)
    for low, high, share in BATCH_MIX:
        assert ((hits >= low) & (hits <= high)).mean() == pytest.approx(share, abs=0.01)
    # inputs are charge and pedestal on the network's grid, in pixel codes
    order = physics_multiplexer(ECON_T)
    charge, pedestal = shares[:, order] * (1 - sums[:, 2:3]), sums[:, 2:3] / 48
    busy = (pixels.max(axis=1) > 30) & (sums[:, 3] * 16 > 8)
    assert busy.sum() > 500
    assert np.abs(pixels - (charge + pedestal) * (128 * (1 + sums[:, :1])))[busy].max() < 12


def test_a_frozen_encoder_is_computed_once(simulated):
    """Latents instead of pixels, of the same images."""
    model = _loaded_network(ECON_T, Weights.random(ECON_T, np.random.default_rng(3)), 5)[1]
    encode = partial(t.sent_latents, model)
    some = simulated.images[np.arange(len(simulated.images)) < 400]
    latents, sums, shares = next(TrainingSet(some, ECON_T, seed=1, encode=encode).batches(100, 1))
    pixels, same_sums, same_shares = next(TrainingSet(some, ECON_T, seed=1).batches(100, 1))
    assert np.array_equal(sums, same_sums)
    assert np.array_equal(shares, same_shares)
    network, _ = _loaded_network(ECON_T, model.weights, 5)
    assert np.array_equal(latents, network.latents(pixels).numpy())
    assert latents.any()


@pytest.mark.parametrize(("decoder", "loss"), [("mlp", "emd"), ("published", "telescoping")])
def test_training_learns(simulated, decoder, loss):
    lines = []
    arguments = {
        "spec": ECON_T, "elinks": 3, "seed": 5, "loss": loss, "decoder": decoder, "units": (64,), "batch": 128,
        "validations": 10,
    }  # fmt: skip
    first, before = t.train(simulated.images, t.TrainingPlan(steps=1, **arguments))
    plan = t.TrainingPlan(steps=200, phases=(0.7, 0.95), learning_rate=4e-3, **arguments)
    model, history = t.train(simulated.images, plan, progress=lines.append)
    assert (model.elinks, model.kept_bits) == (3, 5)
    assert model.weights != first.weights
    assert min(history.validation) < 0.85 * before.validation[-1]
    assert history.loss[-1] < history.loss[0]
    assert len(lines) == len(history.step) == 10
    assert history.step[-1] == 200
    assert not history.stopped
    # what was validated in TensorFlow is what NumPy and the golden model compute
    images = simulated.images
    held = np.random.default_rng(5).permutation(len(images))[round(0.95 * len(images)) :][:3000]
    latents, sums = t.sent_latents(model, images.seen[held]), sum_code(images.seen[held].sum(axis=1))
    decoded = model.decoder.shares(latents, sums, np.repeat(images.pedestals[held, None] / 48, 48, axis=1))
    score, _ = t.validation_score(images.charges[held], decoded)
    assert score == pytest.approx(min(history.validation), rel=1e-3)
    assert history.step[history.validation.index(min(history.validation))] == history.best


def test_frozen_encoder_keeps_its_weights(simulated):
    arguments = {"spec": ECON_T, "elinks": 5, "seed": 6, "units": (32,), "batch": 64, "phases": (1.0, 1.0)}
    model, before = t.train(simulated.images, t.TrainingPlan(steps=20, **arguments))
    tuned, after = t.train(simulated.images, t.TrainingPlan(steps=60, freeze_encoder=True, **arguments), start=model)
    assert tuned.weights == model.weights
    assert min(after.validation) < min(before.validation)


def test_a_bare_image_keeps_its_weights_until_it_has_a_decoder(simulated):
    """Of ten steps the first trains the new decoder alone; with the encoder thawed, its weights move."""
    weights = Weights.from_codes(np.arange(ECON_T.parameters) % 23 - 8, ECON_T)
    arguments = {"spec": ECON_T, "elinks": 5, "seed": 6, "units": (32,), "batch": 64, "learning_rate": 0.5}
    one, _ = t.train(
        simulated.images, t.TrainingPlan(steps=10, validations=10, patience=None, **arguments), start=weights
    )
    run = t._Run(simulated.images, t.TrainingPlan(steps=10, **arguments), weights)
    batch = next(run.data.batches(64, 1))
    decoder = {name: value.numpy() for name, value in run.network.decoder_variables.items()}
    run.step(*batch, lambda *_: None)
    assert run.network.model(5).weights == weights
    assert any((value.numpy() != decoder[name]).any() for name, value in run.network.decoder_variables.items())
    assert one.weights.spec == ECON_T
    run.done = 0.2
    run.plan = replace(run.plan, steps=1000)
    for _ in range(30):
        run.step(*batch, lambda *_: None)
    assert run.network.model(5).weights != weights


class _InterruptedError(Exception):
    pass


def test_interrupted_and_resumed_is_uninterrupted(simulated, tmp_path):
    """Every weight and every validation; the interruption is between two checkpoints in the last phase of the loss."""
    stop = 47
    plan = t.TrainingPlan(
        spec=ECON_T, elinks=2, steps=60, seed=9, units=(24,), batch=64, phases=(0.2, 0.7), validations=12
    )
    whole, history = t.train(simulated.images, plan)
    file = tmp_path / "run.npz"

    def interrupt(_, count=iter(range(1, 100))):  # noqa: B008
        if next(count) == stop:
            raise _InterruptedError

    with pytest.raises(_InterruptedError):
        t.train(simulated.images, plan, checkpoint=file, advance=interrupt)
    done = []
    resumed, later = t.train(simulated.images, plan, checkpoint=file, resume=True, advance=done.append)
    assert 0 < done[0] <= stop
    assert sum(done) == 60
    assert resumed.weights == whole.weights
    for name, array in whole.decoder.arrays.items():
        assert np.array_equal(array, resumed.decoder.arrays[name]), name
    assert (later.validation, later.loss, later.step, later.best) == (
        history.validation, history.loss, history.step, history.best
    )  # fmt: skip
    # a training that is through resumes to its own result
    again, _ = t.train(simulated.images, plan, checkpoint=file, resume=True)
    assert again.weights == whole.weights


def test_checkpoints_of_another_training_are_refused(simulated, tmp_path):
    plan = t.TrainingPlan(spec=ECON_T, elinks=3, steps=3, seed=1, units=(8,), batch=16)
    file = tmp_path / "run.npz"
    with pytest.raises(FileNotFoundError, match="no checkpoint to resume from"):
        t.train(simulated.images, plan, checkpoint=file, resume=True)
    t.train(simulated.images, plan, checkpoint=file)
    with pytest.raises(ValueError, match="another training: elinks was 3 and is 4"):
        t.train(simulated.images, replace(plan, elinks=4), checkpoint=file, resume=True)
    with pytest.raises(ValueError, match="another training: images was"):
        t.train(simulated.images[np.arange(len(simulated.images)) > 0], plan, checkpoint=file, resume=True)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="not a checkpoint"):
        t.train(simulated.images, plan, checkpoint=file, resume=True)
    with pytest.raises(ValueError, match="expected the checkpoint"):
        t.train(simulated.images, plan, resume=True)


def test_training_stops_when_validation_does_not_improve(simulated):
    """A vanishing learning rate improves nothing: the first validation is the best, `patience` more follow it.

    Of few steps all are taken: validations are at least ten steps apart.
    """
    plan = t.TrainingPlan(
        spec=ECON_T, elinks=5, steps=60, seed=2, units=(8,), batch=16, validations=20, patience=3, learning_rate=1e-9
    )
    _, history = t.train(simulated.images, plan)
    assert history.stopped
    assert history.step == (10, 20, 30, 40)
    _, history = t.train(simulated.images, replace(plan, steps=25, validations=40, patience=8))
    assert not history.stopped
    assert history.step == (13, 25)


def test_time_limit_ends_the_schedule(simulated):
    plan = t.TrainingPlan(
        spec=ECON_T, elinks=5, steps=10**6, seed=2, units=(8,), batch=16, max_seconds=1.0, validations=4, patience=None
    )
    _, history = t.train(simulated.images, plan)
    assert history.step[-1] < 10**5
    assert history.seconds[-1] >= 1.0
    assert len(history.step) <= 4


def test_event_files_hold_the_validation_scores(simulated, tmp_path):
    plan = t.TrainingPlan(spec=ECON_T, elinks=5, steps=4, seed=2, units=(8,), batch=16, validations=2)
    _, history = t.train(simulated.images, plan, tensorboard=tmp_path)
    (file,) = tmp_path.glob("events.out.tfevents.*")
    found = [
        float(tf.make_ndarray(value.tensor))
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
        if value.tag == "validation score"
    ]
    assert found == pytest.approx(history.validation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"elinks": 14}, "eTx"),
        ({"loss": "mse"}, "loss"),
        ({"decoder": "cnn"}, "decoder"),
        ({"steps": 0}, "steps"),
        ({"seed": -1}, "seed"),
        ({"units": (8, 0)}, "units"),
        ({"patience": 0}, "patience"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"max_seconds": 0.0}, "max_seconds"),
        ({"phases": (0.5, 0.2)}, "phases"),
        ({"spec": TNS_2021, "decoder": "published"}, "8 x 8"),
    ],
)
def test_wrong_plans_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        t.TrainingPlan(**({"spec": ECON_T, "elinks": 5, "steps": 1, "seed": 1} | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": Images.of_charges(np.zeros((30, 48), dtype=np.int64))}, "empty image"),
        ({"images": Images.of_charges(np.ones((5, 48), dtype=np.int64))}, "5 images are too few"),
        ({"start": Weights.random(TNS_2021, np.random.default_rng(1))}, "weights of ECON_T, got weights of TNS_2021"),
    ],
)
def test_what_does_not_fit_the_training_is_refused(simulated, change, message):
    arguments = {"images": simulated.images, "spec": ECON_T, "start": None} | change
    plan = t.TrainingPlan(spec=arguments["spec"], elinks=5, steps=1, seed=1)
    with pytest.raises(ValueError, match=message):
        t.train(arguments["images"], plan, start=arguments["start"])
