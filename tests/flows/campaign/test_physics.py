"""Sensitivities of weight bits against the golden model with flipped images; derivatives against differences."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from flows.campaign.hessian import LossGradient, coverage, hessian_ranking, msb_first
from flows.campaign.physics import (
    Sample,
    Sensitivity,
    flipped_latents,
    physics_sample,
    weight_place,
    weight_sensitivity,
)
from flows.report.campaign_plots import sensitivity_svg
from sim.fixed_point import Overflow, Rounding
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.learning.decoder import Decoder, TrainedModel, shipped_name, truncate_latents
from sim.hgcal_encoder.learning.metric import earth_movers_distance, telescoping_distance
from sim.hgcal_encoder.normalise import sum_code
from sim.hgcal_encoder.spec import ECON_T, ECON_T_EXACT, TNS_2021, EncoderSpec
from sim.hgcal_encoder.weights import Weights

VARIANTS = [
    ECON_T,
    TNS_2021,
    ECON_T_EXACT,
    replace(ECON_T, name="WRAPPING", latent=replace(ECON_T.latent, overflow=Overflow.WRAP)),
    replace(ECON_T, name="ROUNDING", dense_product_rounding=Rounding.RND, conv_product_rounding=Rounding.RND_CONV),
]
TINY = replace(ECON_T, name="TINY", filters=1, latents=2)


def flipped_image(weights: Weights, bit: int) -> Weights:
    """The weights of the image with one bit inverted, by way of the image itself."""
    image = bytearray(weights.to_image())
    image[bit // 8] ^= 1 << bit % 8
    return Weights.from_image(bytes(image), weights.spec)


def some_bits(spec: EncoderSpec, rng: np.random.Generator, count: int) -> list[int]:
    """Bits of every array: first and last of the image, biases, random ones."""
    width = spec.weight.width
    taps = width * spec.kernel_taps * spec.filters
    bias = range(taps, taps + width * spec.filters)
    last = range(spec.weight_bits - width * spec.latents, spec.weight_bits)
    kernel = rng.choice(taps, count, replace=False)
    chosen = rng.choice(spec.weight_bits, count, replace=False)
    return [0, *map(int, kernel), *rng.choice(bias, 3).tolist(), *map(int, chosen), *rng.choice(last, 3).tolist()]


@pytest.fixture(scope="module")
def sample() -> Sample:
    return physics_sample(24, seed=5)


@pytest.mark.parametrize("spec", VARIANTS, ids=lambda spec: spec.name)
def test_flip_equals_the_golden_model_with_the_flipped_image(spec: EncoderSpec, sample: Sample) -> None:
    rng = np.random.default_rng(3)
    weights = Weights.random(spec, rng)
    # sums of random weights: charges of any size, empty images too
    inputs = np.concatenate([sample.charges[:10], rng.integers(0, 1 << 22, (5, 48)), np.zeros((1, 48), np.int64)])
    different = 0
    for bit in some_bits(spec, rng, 10):
        expected = Encoder(spec, flipped_image(weights, bit)).latents(inputs)
        np.testing.assert_array_equal(flipped_latents(weights, inputs, bit), expected, err_msg=f"bit {bit}")
        different += bool((expected != Encoder(spec, weights).latents(inputs)).any())
    assert different > 5


def test_place_of_every_bit_is_that_of_the_image() -> None:
    plain = Weights.from_codes(np.zeros(TINY.parameters, np.int64), TINY)
    for bit in range(TINY.weight_bits):
        name, index, place = weight_place(TINY, bit)
        array = getattr(flipped_image(plain, bit), name).reshape(
            (TINY.kernel_taps, TINY.filters) if name == "kernel" else getattr(plain, name).shape
        )
        assert np.count_nonzero(array) == 1
        assert array[index] == (-32 if place == 5 else 1 << place)
    with pytest.raises(ValueError, match=f"0 to {TINY.weight_bits - 1}, got {TINY.weight_bits}"):
        weight_place(TINY, TINY.weight_bits)


@pytest.mark.parametrize("elinks", [2, 5])
def test_sensitivity_equals_brute_force(sample: Sample, elinks: int) -> None:
    model = TrainedModel.load(f"econ_t_{elinks}elinks")
    few = replace(sample, images=sample.images[:6])
    found = weight_sensitivity(model, few)
    before = model.reconstruct(few.charges, few.pedestals)
    emd = earth_movers_distance(few.truth, before)
    np.testing.assert_allclose(found.emd, emd, rtol=1e-6)
    for bit in some_bits(model.spec, np.random.default_rng(1), 12):
        after = replace(model, weights=flipped_image(model.weights, bit)).reconstruct(few.charges, few.pedestals)
        then = earth_movers_distance(few.truth, after)
        np.testing.assert_allclose(found.emd_change[bit], (then - emd).mean(), atol=2e-6)
        np.testing.assert_allclose(found.emd_shift[bit], np.abs(then - emd).mean(), atol=2e-6)
        np.testing.assert_allclose(found.median_change[bit], np.median(then) - np.median(emd), atol=2e-6)
        moved = np.abs(after - before).sum(1) / 2 / before.sum(1)
        np.testing.assert_allclose(found.displaced[bit], moved.mean(), atol=2e-6)
        assert found.changed[bit] == pytest.approx((np.abs(after - before).max(1) > 1e-3).mean(), abs=1e-9)
    # every frame carries the module sum beside the latents: no weight changes it
    assert found.energy_change.max() < 1e-12
    assert found.emd_shift.max() > 0.1


def test_sensitivities_are_kept_and_drawn(sample: Sample, tmp_path: Path) -> None:
    found = weight_sensitivity(TrainedModel.load("econ_t_5elinks"), replace(sample, images=sample.images[:2]))
    found.save(tmp_path / "s.npz")
    again = Sensitivity.load(tmp_path / "s.npz")
    assert (again.spec, again.elinks, again.source) == (found.spec, 5, sample.source)
    np.testing.assert_array_equal(again.emd_shift, found.emd_shift)
    picture = sensitivity_svg(again)
    assert picture.count("<image") == 2 * ECON_T.weight.width
    assert "bit 5" in picture
    (tmp_path / "bad.npz").write_text("no")
    with pytest.raises(ValueError, match="bad.npz"):
        Sensitivity.load(tmp_path / "bad.npz")
    with pytest.raises(FileNotFoundError, match="no sensitivities"):
        Sensitivity.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", emd=np.zeros(3))
    with pytest.raises(ValueError, match="expected arrays spec"):
        Sensitivity.load(tmp_path / "other.npz")


def test_sample_is_what_it_says(sample: Sample) -> None:
    assert sample.charges.shape == (24, 48)
    assert (sample.images.codes > 0).any(axis=1).all()
    np.testing.assert_array_equal(np.bincount(sample.images.bx), [8, 8, 8])
    np.testing.assert_array_equal(physics_sample(24, seed=5).charges, sample.charges)
    assert np.abs(sample.charges - sample.truth).max() > 0
    empty = sample.images.codes == 0
    np.testing.assert_array_equal(sample.charges[empty], sample.pedestals[empty])
    with pytest.raises(ValueError, match="at least 1"):
        physics_sample(0)


# ---------------------------------------------------------------------------------------------------------- Hessian
def tiny_model() -> TrainedModel:
    """A network of 44 parameters with a small decoder of random weights."""
    rng = np.random.default_rng(4)
    sizes = [TINY.latents + 4, 12, 12, 48]
    arrays = {f"weight{i}": rng.normal(0, 0.5, sizes[i : i + 2]).astype(np.float32) for i in range(3)}
    arrays |= {f"bias{i}": rng.normal(0, 0.2, sizes[i + 1]).astype(np.float32) for i in range(3)}
    weights = Weights.from_codes(rng.integers(-8, 24, TINY.parameters), TINY)
    decoder = Decoder(kind="mlp", arrays=arrays)
    return TrainedModel(weights=weights, decoder=decoder, elinks=1, kept_bits=9, multiplexer=np.arange(48))


def test_loss_is_the_telescoping_distance_of_the_chip(sample: Sample) -> None:
    model = TrainedModel.load(str(shipped_name(ECON_T, 3)))
    sums = sample.charges.sum(1, keepdims=True)
    encoder = Encoder(model.spec, model.weights)
    latents = truncate_latents(encoder.latents(sample.charges[:, model.multiplexer]), model.kept_bits)
    decoded = model.decoder.shares(latents, sum_code(sums[:, 0]), sample.pedestals)
    # the decoder is told the sum by its code: within the code's step
    scale = sums / 2.0 ** np.floor(np.log2(sums))
    truth = sample.truth / sample.truth.sum(1, keepdims=True)
    expected = telescoping_distance(truth * scale, decoded * scale).mean()
    gradient = LossGradient(model, sample)
    assert gradient(gradient.start)[0] == pytest.approx(expected, rel=0.1)


def test_gradient_and_hessian_equal_differences_of_the_loss(sample: Sample) -> None:
    gradient = LossGradient(tiny_model(), sample)
    start, size = gradient.start, len(gradient.start)
    assert size == TINY.parameters
    units = np.eye(size)
    step = 1e-4
    slopes = [(gradient(start + step * e)[0] - gradient(start - step * e)[0]) / (2 * step) for e in units]
    np.testing.assert_allclose(gradient(start)[1], slopes, rtol=1e-4, atol=1e-8)
    hessian = np.stack([gradient.hessian_product(e) for e in units])
    np.testing.assert_allclose(hessian, hessian.T, atol=1e-6 * np.abs(hessian).max())
    middle = gradient(start)[0]
    wide = 1e-3
    second = [(gradient(start + wide * e)[0] - 2 * middle + gradient(start - wide * e)[0]) / wide**2 for e in units]
    np.testing.assert_allclose(np.diag(hessian), second, rtol=1e-3, atol=1e-5 * np.abs(hessian).max())


def test_scores_come_from_the_largest_eigenvalues(sample: Sample) -> None:
    model = tiny_model()
    gradient = LossGradient(model, sample)
    hessian = np.stack([gradient.hessian_product(e) for e in np.eye(TINY.parameters)])
    values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
    top = np.argsort(-np.abs(values))[:3]
    ranking = hessian_ranking(model, sample, eigenvectors=3, probes=400)
    np.testing.assert_allclose(ranking.eigenvalues, values[top], rtol=1e-2)
    scores = np.abs(vectors[:, top] * values[top]).sum(1)
    powers = scores[:, None] * 2.0 ** np.arange(6)
    np.testing.assert_allclose(ranking.by_power.reshape(-1, 6), powers, rtol=0.1, atol=1e-3 * scores.max())
    # variance of Hutchinson's estimate: twice the squares off the diagonal
    spread = np.sqrt(2 * ((hessian**2).sum() - (np.diag(hessian) ** 2).sum()) / 400)
    assert ranking.trace == pytest.approx(np.trace(hessian), abs=4 * spread)
    steps = np.array([[1, 2, 4, 8, 16, -32]]) / 32 * np.where(
        (model.weights.to_codes()[:, None] >> np.arange(6)) & 1, -1, 1
    )  # fmt: skip
    taylor = np.abs(gradient(gradient.start)[1][:, None] * steps + np.diag(hessian)[:, None] * steps**2 / 2)
    assert spearmanr(ranking.taylor, taylor.ravel())[0] > 0.95


def test_orders_of_bits() -> None:
    scores = np.array([3.0, 0.0, 7.0])
    order = np.argsort(-msb_first(scores, 2), kind="stable")
    # bit 1 of the parameters 2, 0, 1, then bit 0 of the same
    assert order.tolist() == [5, 1, 3, 4, 0, 2]
    corruption = np.array([1.0, 5.0, 0.0, 2.0, 0.0, 2.0])
    np.testing.assert_allclose(coverage(corruption, msb_first(scores, 2), [0, 1, 2, 6]), [0, 0.2, 0.7, 1.0])


def test_other_decoders_are_refused(sample: Sample) -> None:
    shapes = {"dense": (16, 128), "deconv0": (3, 3, 8, 8), "deconv1": (3, 3, 1, 8)}
    arrays = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    arrays |= {"dense_bias": np.zeros(128, np.float32), "deconv0_bias": np.zeros(8), "deconv1_bias": np.zeros(1)}
    model = replace(TrainedModel.load("econ_t_5elinks"), decoder=Decoder(kind="published", arrays=arrays))
    with pytest.raises(ValueError, match="kind mlp, got published"):
        LossGradient(model, sample)
