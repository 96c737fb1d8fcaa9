"""Decoder against closed forms and Keras; models survive the disk; shipped models do what their cards say."""

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sim.hgcal_encoder.calibrate import calibrate
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.frame import frame, kept_positions
from sim.hgcal_encoder.front_end import pedestals, seen_charges
from sim.hgcal_encoder.learning import decoder as d
from sim.hgcal_encoder.learning.features import sum_features, sum_of_code
from sim.hgcal_encoder.learning.metric import earth_movers_distance, occupancy, summarise
from sim.hgcal_encoder.normalise import sum_code
from sim.hgcal_encoder.settings import Settings, keep_mask
from sim.hgcal_encoder.spec import ECON_T, TNS_2021
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import pack
from tests.conftest import need_module


def _mlp(rng, units=(7,)):
    sizes = (20, *units, 48)
    arrays = {}
    for i, (a, b) in enumerate(pairwise(sizes)):
        arrays[f"weight{i}"] = rng.normal(0, 0.3, (a, b)).astype(np.float32)
        arrays[f"bias{i}"] = rng.normal(0, 0.3, b).astype(np.float32)
    return d.Decoder(kind="mlp", arrays=arrays)


def _published(rng):
    shapes = {
        "dense": (16, 128), "dense_bias": (128,), "deconv0": (3, 3, 8, 8), "deconv0_bias": (8,),
        "deconv1": (3, 3, 1, 8), "deconv1_bias": (1,),
    }  # fmt: skip
    return d.Decoder(kind="published", arrays={k: rng.normal(0, 0.3, s).astype(np.float32) for k, s in shapes.items()})


def _model(rng, spec=ECON_T, kept=5):
    return d.TrainedModel(
        weights=Weights.random(spec, rng), decoder=_mlp(rng), elinks=3, kept_bits=kept, multiplexer=rng.permutation(48)
    )


def test_sum_code_round_trip():
    """The decoded sum lies in the interval of sums with the same code and in its middle."""
    sums = np.concatenate([np.arange(1, 5000), 2 ** np.arange(13, 28), 2 ** np.arange(13, 28) - 1])
    codes = sum_code(sums)
    decoded = sum_of_code(codes)
    assert np.array_equal(decoded[sums < 32], sums[sums < 32])
    assert (np.abs(decoded - sums) <= sums / 32).all()
    for code in np.unique(codes[:4000]):
        inside = sums[codes == code]
        inside = inside[inside < 4000]
        if len(inside) and inside.max() < 3900:
            assert decoded[sums == inside[0]][0] == (inside.min() + inside.max()) / 2
    with pytest.raises(ValueError, match=r"sum codes: expected 0 to 511, got 512 at index \(1,\)"):
        sum_of_code([3, 512])


def test_features_of_the_sum():
    features = sum_features(sum_code(np.array([1, 3, 24, 1 << 20])), [0, 0, 8, 9])
    assert features.tolist() == [
        [0.0, 0.0, 0.0, 0.0],
        [0.5, 1 / 16, 0.0, pytest.approx(np.log2(3) / 16)],
        [0.5, 4 / 16, pytest.approx(1 / 3), 4 / 16],
        [pytest.approx(1 / 32, abs=1e-4), 20 / 16, pytest.approx(0, abs=1e-5), pytest.approx(20 / 16, abs=0.01)],
    ]
    # nothing but pedestals, of which the code loses some
    assert sum_features(sum_code([48]), 60)[0, 2:].tolist() == [1.0, 0.0]


@pytest.mark.parametrize("kept", [1, 3, 5, 7, 9])
def test_mask_keeps_what_truncation_keeps(kept):
    """The frame's mask and the decoder's truncation name the same bits."""
    positions = kept_positions(keep_mask(ECON_T, kept), ECON_T)
    assert len(positions) == 16 * kept
    rng = np.random.default_rng(kept)
    latents = rng.integers(0, 512, (50, 16))
    latent, bit = np.divmod(positions, 9)
    rebuilt = np.zeros_like(latents)
    for i, b in zip(latent, bit, strict=True):
        rebuilt[:, i] |= latents[:, i] & (1 << b)
    assert np.array_equal(rebuilt, d.truncate_latents(latents, kept))


def test_shares_are_a_softmax():
    rng = np.random.default_rng(1)
    decoder = _mlp(rng, (7, 5))
    latents, sums = rng.integers(0, 512, (20, 16)), rng.integers(20, 400, 20)
    shares = decoder.shares(latents, sums)
    assert np.allclose(shares.sum(axis=1), 1)
    for i in range(20):  # scalar arithmetic
        x = [*(latents[i] / 256).tolist(), *sum_features(sums[i : i + 1])[0].tolist()]
        for layer in range(3):
            w, b = decoder.arrays[f"weight{layer}"], decoder.arrays[f"bias{layer}"]
            x = [sum(xi * float(w[j, k]) for j, xi in enumerate(x)) + float(b[k]) for k in range(w.shape[1])]
            if layer < 2:
                x = [max(v, 0.0) for v in x]
        e = np.exp(x)
        assert np.allclose(e / e.sum(), shares[i], rtol=1e-4)
    total = decoder.charges(latents, sums).sum(axis=1)
    assert np.allclose(total, sum_of_code(sums))


def test_layers_of_equal_width_pass_their_input_on():
    rng = np.random.default_rng(1)
    decoder = _mlp(rng, (7, 7))
    a = decoder.arrays
    latents, sums = rng.integers(0, 512, (20, 16)), rng.integers(20, 400, 20)
    x = np.concatenate([latents / 256, sum_features(sums)], axis=1)
    one = np.maximum(x @ a["weight0"] + a["bias0"], 0)
    two = one + np.maximum(one @ a["weight1"] + a["bias1"], 0)
    e = np.exp(two @ a["weight2"] + a["bias2"])
    assert np.allclose(e / e.sum(axis=1, keepdims=True), decoder.shares(latents, sums), rtol=1e-4)


def test_charges_without_the_pedestals():
    """Row by row: cells below half a pedestal are empty, and what is left of the sum goes to the others."""
    rng = np.random.default_rng(2)
    decoder = _mlp(rng)
    latents, pedestals = rng.integers(0, 512, (60, 16)), rng.integers(0, 5, (60, 48))
    sums = rng.integers(12, 200, 60)
    shares = decoder.shares(latents, sums, pedestals)
    assert np.abs(shares - decoder.shares(latents, sums)).max() > 1e-3  # the decoder is told
    found = decoder.charges(latents, sums, pedestals)
    left_out = 0
    for row in range(60):
        total = sum_of_code(sums[row])
        charge = max(total - pedestals[row].sum(), 1.0)
        least = min(shares[row].max() * charge, np.inf)
        empty = (shares[row] * charge < 0.5 * pedestals[row]) & (shares[row] * charge < least)
        expected = np.where(empty, 0, shares[row])
        assert np.allclose(found[row], expected / expected.sum() * charge)
        left_out += empty.sum()
    assert 100 < left_out < 60 * 47
    one = decoder.charges(latents, sums, 2)
    assert np.array_equal(one, decoder.charges(latents, sums, np.full(48, 2)))
    with pytest.raises(ValueError, match=r"pedestals: expected shape \(48,\) or \(60, 48\), got \(3,\)"):
        decoder.charges(latents, sums, [1, 2, 3])


def test_published_decoder_equals_keras():
    tf = need_module("tensorflow", "train")
    rng = np.random.default_rng(2)
    decoder = _published(rng)
    a = decoder.arrays
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Dense(128, activation="relu", input_shape=(16,)),
            layers.Reshape((4, 4, 8)),
            layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2DTranspose(1, 3, padding="same", activation="sigmoid"),
        ]
    )
    model.set_weights([a[f"{name}{end}"] for name in ("dense", "deconv0", "deconv1") for end in ("", "_bias")])
    latents = rng.integers(0, 512, (40, 16))
    image = model.predict((latents / 256).astype(np.float32), verbose=0).reshape(40, 8, 8)
    # the arrangement of trigger cells on the 8 x 8 image, as the data sheet of the chip prints it
    upper = [28, 29, 30, 31, 0, 4, 8, 12, 24, 25, 26, 27, 1, 5, 9, 13, 20, 21, 22, 23, 2, 6, 10, 14]
    upper += [16, 17, 18, 19, 3, 7, 11, 15]
    lower = [47, 43, 39, 35, 46, 42, 38, 34, 45, 41, 37, 33, 44, 40, 36, 32]
    expected = np.empty((40, 48))
    expected[:, upper] = image[:, :4].reshape(40, 32)
    expected[:, lower] = image[:, 4:, :4].reshape(40, 16)
    expected /= expected.sum(axis=1, keepdims=True)
    assert np.allclose(decoder.shares(latents, np.full(40, 200)), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("spec", [ECON_T, TNS_2021])
def test_model_survives_the_disk(tmp_path, spec):
    model = _model(np.random.default_rng(3), spec)
    half = {name: array.astype(np.float16).astype(np.float32) for name, array in model.decoder.arrays.items()}
    model = replace(model, decoder=d.Decoder(kind="mlp", arrays=half))
    model.save(tmp_path / "m.npz")
    back = d.TrainedModel.load(tmp_path / "m.npz")
    assert back.weights == model.weights == Weights.load(tmp_path / "m.npz", spec)
    assert (back.elinks, back.kept_bits, back.spec) == (3, 5, spec)
    charges = np.random.default_rng(4).integers(0, 3000, (30, 48))
    assert np.array_equal(back.reconstruct(charges), model.reconstruct(charges))
    assert [p.name for p in tmp_path.iterdir()] == ["m.npz"]


def test_reconstruction_joins_the_parts():
    """Multiplexer, golden model, truncation, sum code and decoder in this order."""
    rng = np.random.default_rng(5)
    model = _model(rng)
    charges = rng.integers(0, 3000, (40, 48))
    latents = Encoder(ECON_T, model.weights).latents(charges[:, model.multiplexer])
    expected = model.decoder.charges(latents // 16 * 16, sum_code(charges.sum(axis=1)))
    assert np.array_equal(model.reconstruct(charges), expected)
    charges[3, 9] = -5
    with pytest.raises(ValueError, match="-5"):
        model.reconstruct(charges)


@pytest.mark.parametrize("elinks", [1, 2, 3, 4, 5])
def test_frames_carry_what_the_decoder_needs(elinks):
    """From eRx words through the chip's output words and back: equal to decoding the latents themselves."""
    rng = np.random.default_rng(elinks)
    model = replace(_model(rng, kept=2 * elinks - 1), elinks=elinks)
    settings = Settings(
        select=model.multiplexer,
        high_density=False,
        keep_mask=model.keep_mask,
        etx_count=elinks,
        word_order=ECON_T.word_order,
    )
    codes = rng.integers(0, 100, (60, 48)) * (rng.random((60, 48)) < 0.4)
    codes[7] = 127
    encoder = Encoder(ECON_T, model.weights, settings)
    frames = encoder.frames(pack(codes, ECON_T.word_order))
    charges = calibrate(decode(codes, False), settings.factors)
    assert np.allclose(model.decode_frames(frames), model.reconstruct(charges), rtol=1e-12)
    assert np.allclose(model.decode_frames(frames, 1), model.reconstruct(charges, 1), rtol=1e-12)
    sums, latents = d.read_frames(frames, ECON_T, model.keep_mask, elinks)
    assert np.array_equal(sums, sum_code(charges.sum(axis=1)))
    full = Encoder(ECON_T, model.weights).latents(charges[:, model.multiplexer])
    assert np.array_equal(latents, d.truncate_latents(full, model.kept_bits))
    assert latents.any()


def test_frames_that_overflow_read_the_kept_low_bits():
    """All 144 bits on two links: the lowest 50 arrive."""
    rng = np.random.default_rng(1)
    latents = rng.integers(0, 512, (30, 16))
    mask = (1 << 144) - 1
    words = frame(np.arange(1, 31), np.full(30, 170), latents, mask, 2, ECON_T)
    sums, found = d.read_frames(words, ECON_T, mask, 2)
    assert (sums == 170).all()
    expected = latents.copy()
    expected[:, 5] &= 31  # 5 whole latents and 5 bits of the sixth
    expected[:, 6:] = 0
    assert np.array_equal(found, expected)
    with pytest.raises(ValueError, match=r"shape \(n, 13\)"):
        d.read_frames(words[:, :5], ECON_T, mask, 2)


def test_wrong_models_are_refused(tmp_path):
    rng = np.random.default_rng(6)
    with pytest.raises(FileNotFoundError, match="no model file nowhere"):
        d.TrainedModel.load("nowhere")
    (tmp_path / "text.npz").write_text("no array")
    with pytest.raises(ValueError, match=r"text\.npz: not a complete \.npz"):
        d.TrainedModel.load(tmp_path / "text.npz")
    np.savez(tmp_path / "part.npz", kernel=np.zeros(3))
    with pytest.raises(ValueError, match="missing spec, decoder"):
        d.TrainedModel.load(tmp_path / "part.npz")
    with pytest.raises(ValueError, match="expected one of mlp, published"):
        d.Decoder(kind="cnn", arrays={})
    arrays = dict(_mlp(rng).arrays)
    with pytest.raises(ValueError, match="layer 1"):
        d.Decoder(kind="mlp", arrays=arrays | {"weight1": arrays["weight1"][:5]})
    with pytest.raises(ValueError, match="expected weight0"):
        d.Decoder(kind="mlp", arrays={"weight0": arrays["weight0"]})
    with pytest.raises(ValueError, match="permutation"):
        d.TrainedModel(
            weights=Weights.random(ECON_T, rng), decoder=_mlp(rng), elinks=5, kept_bits=9,
            multiplexer=np.zeros(48, dtype=np.int64),
        )  # fmt: skip
    with pytest.raises(ValueError, match="kept_bits"):
        d.truncate_latents([1], 10)
    with pytest.raises(ValueError, match="takes 16 latents, got 3"):
        _mlp(rng).shares(np.zeros((2, 3)), np.zeros(2, dtype=int))


@pytest.fixture(scope="module")
def cms_rows(shared_data):
    """Rows of CMS simulation by the name that model cards give them."""
    files = {"ttbar": "ttbar_0PU.csv", "electron": "electron_pt20_eta15-30_0PU.csv"}
    return {
        name: np.loadtxt(shared_data / "hgcal" / file, delimiter=",", skiprows=1, dtype=np.int64)
        for name, file in files.items()
    }


@pytest.mark.parametrize("name", sorted(d.shipped_models()) or ["none"])
def test_shipped_model_keeps_its_card(cms_rows, name):
    """The EMD table of the model card, from the shared rows as a chip sees them, in exact chip arithmetic."""
    assert name != "none", "no model is shipped"
    model = d.TrainedModel.load(name)
    card = d.shipped_models()[name].with_suffix(".md").read_text()
    settings = Settings(high_density=False)
    rows = re.findall(r"^\| (ttbar|electron) \| (\d+)-(\d+) \| (\d+) \| ([\d.]+) \|", card, re.MULTILINE)
    assert len(rows) >= 6
    for data, charges in cms_rows.items():
        hits = occupancy(charges)
        bins = [(int(r[1]), int(r[2])) for r in rows if r[0] == data]
        # every fifteenth image of few cells, all busy ones: enough for the medians, and quick
        rows_used = np.flatnonzero((hits >= 8) | (np.arange(len(hits)) % 15 == 0))
        seen = seen_charges(charges[rows_used], settings)
        emd = earth_movers_distance(charges[rows_used], model.reconstruct(seen, pedestals(settings)))
        for summary, row in zip(summarise(emd, hits[rows_used], bins), [r for r in rows if r[0] == data], strict=True):
            tolerance = 0.002 if summary.lowest >= 8 else 5 * summary.median_error + 0.002
            assert summary.median == pytest.approx(float(row[4]), abs=tolerance), row
