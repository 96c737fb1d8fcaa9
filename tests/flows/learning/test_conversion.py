"""QKeras, hls4ml on three back ends, golden model and hardware: every code of every layer of a small network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.learning.conversion import (
    LAYERS,
    Backend,
    Difference,
    HardwareNetwork,
    Hls4mlNetwork,
    NetworkTrace,
    compare,
    compare_file,
    file_model,
    qkeras_codes,
    qkeras_expresses,
    qkeras_model,
    qkeras_weights,
    sample_pixels,
    trace_model,
    trace_qkeras,
)
from sim.fixed_point import FixedPoint, Rounding
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.spec import ECON_T, ECON_T_EXACT, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from tests.conftest import need_module
from tests.specs import SMALL

SMALL_EXACT = replace(
    SMALL,
    name="SMALL_EXACT",
    # one grid position without a trigger cell, cells out of order
    cell_map=(*range(20, 34), -1, 47),
    conv_product_fraction=ECON_T_EXACT.conv_product_fraction,
    dense_product_fraction=ECON_T_EXACT.dense_product_fraction,
    activation=ECON_T_EXACT.activation,
    latent=ECON_T_EXACT.latent,
)
"""`ECON_T_EXACT` made small."""


def network(spec: EncoderSpec, seed: int, images: int) -> tuple[Weights, np.ndarray, NetworkTrace]:
    rng = np.random.default_rng(seed)
    weights = Weights.random(spec, rng)
    weights.dense[:, 0] = np.abs(weights.dense[:, 0])  # one latent that surely reaches the top of its range
    pixels = sample_pixels(spec, rng, images)
    return weights, pixels, trace_model(weights, pixels)


def test_four_engines_agree_on_every_code_of_every_layer(tmp_path: Path) -> None:
    """Through the command: a file of QKeras is read, and the check compares all four engines."""
    for name in ("tensorflow", "qkeras", "hls4ml"):
        need_module(name, "train")
    weights, _, reference = network(SMALL_EXACT, 1, 300)
    for layer in ("activations", "latents"):
        codes = getattr(reference, layer)
        assert codes.min() == 0
        assert codes.max() == getattr(SMALL_EXACT, layer.removesuffix("s")).max_code
    model, toml, out = tmp_path / "encoder.h5", tmp_path / "small.toml", tmp_path / "image.npz"
    qkeras_model(weights).save(model)
    toml.write_text(SMALL_EXACT.to_toml())
    arguments = ["convert", model, "--out", out, "--preset", toml, "--check", "--images", 300, "--json"]
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert Weights.load(out, SMALL_EXACT) == weights
    engines = [comparison["engine"] for comparison in result["comparisons"]]
    assert engines == ["model of the file", "QKeras", "hls4ml Vitis", "hls4ml Catapult", "hls4ml Quartus", "hardware"]
    assert result["comparisons"][0]["compared"] == {"latents": 900}
    assert result["comparisons"][0]["different"] == {"latents": 0}
    for comparison in result["comparisons"][1:]:
        assert comparison["compared"] == {"pixels": 4800, "activations": 2400, "latents": 900}
        assert comparison["different"] == dict.fromkeys(LAYERS, 0)
    assert len(result["checks"]) == 6
    assert result["passed"]


def test_the_check_runs_the_model_of_the_file(tmp_path: Path) -> None:
    """Whatever the image was made from: a wrong image of a right file differs from the model that the file holds."""
    for name in ("tensorflow", "qkeras"):
        need_module(name, "train")
    h5py = need_module("h5py", "train")
    weights, pixels, reference = network(SMALL_EXACT, 1, 100)
    model = qkeras_model(weights)
    names = ("conv2d_0_m", "encoded_vector")
    model.save(tmp_path / "encoder.h5")
    with h5py.File(tmp_path / "encoder.h5") as file:
        (tmp_path / "bare.json").write_text(file.attrs["model_config"])
    model.save_weights(tmp_path / "bare.h5")
    for file in ("encoder.h5", "bare.h5"):
        same = compare_file(reference, file_model(tmp_path / file, *names), pixels)
        assert str(same) == "model of the file equals golden model on 300 codes"
    wrong = Weights(
        spec=SMALL_EXACT, kernel=weights.kernel[::-1], kernel_bias=weights.kernel_bias, dense=weights.dense,
        dense_bias=weights.dense_bias,
    )  # fmt: skip
    differs = compare_file(trace_model(wrong, pixels), file_model(tmp_path / "encoder.h5", *names), pixels)
    assert differs.different["latents"] > 30
    assert "model of the file against golden model: latents" in str(differs)
    (tmp_path / "bare.json").write_text('{"class_name": "Nothing"}')
    with pytest.raises(ValueError, match=r"bare\.h5: Keras 2 with QKeras cannot run its model, so it is not compared"):
        file_model(tmp_path / "bare.h5", *names)


def test_the_chips_rule_in_both_families_of_integer_types_and_in_hardware(tmp_path: Path) -> None:
    """Products truncated one by one; Vitis has the same in tests/sim/hgcal_encoder/test_hls4ml.py at full size."""
    for name in ("tensorflow", "qkeras", "hls4ml"):
        need_module(name, "train")
    weights, pixels, reference = network(SMALL, 2, 300)
    for backend in (Backend.CATAPULT, Backend.QUARTUS):
        found = Hls4mlNetwork(weights, tmp_path / backend.value, backend, trace=True).trace(pixels)
        assert str(compare(reference, found)) == f"hls4ml {backend} equals golden model on 8,100 codes"
    assert compare(reference, HardwareNetwork(SMALL).trace(weights, pixels)).equal


def test_qkeras_lacks_truncation_and_the_difference_is_told() -> None:
    need_module("tensorflow", "train")
    need_module("qkeras", "train")
    weights, pixels, reference = network(SMALL, 3, 200)
    result = compare(reference, trace_qkeras(qkeras_model(weights), SMALL, pixels))
    assert not result.equal
    assert result.different["pixels"] == 0
    # four products and a result lose less than a code each
    assert 0 < result.largest["activations"] <= 5
    assert len(result.differences) == sum(result.different.values())
    assert str(result).startswith("QKeras against golden model: activations ")
    assert not qkeras_expresses(SMALL)
    assert not qkeras_expresses(replace(SMALL_EXACT, latent=replace(SMALL_EXACT.latent, rounding=Rounding.RND)))
    assert not qkeras_expresses(replace(SMALL_EXACT, dense_sum_width=24))
    assert qkeras_expresses(SMALL_EXACT)
    assert qkeras_expresses(ECON_T_EXACT)


def test_a_difference_is_named_by_layer_place_and_codes() -> None:
    _, _, reference = network(ECON_T, 4, 20)
    activations, latents = reference.activations.copy(), reference.latents.copy()
    index = (2 * 4 + 1) * 8 + 5
    activations[7, index] ^= 3
    latents[0, 15] ^= 1
    other = replace(reference, engine="other", activations=activations, latents=latents)
    result = compare(reference, other)
    expected = int(reference.activations[7, index])
    assert result.differences == (
        Difference(layer="activations", image=7, place=(2, 1, 5), expected=expected, found=expected ^ 3),
        Difference(
            layer="latents",
            image=0,
            place=(15,),
            expected=int(reference.latents[0, 15]),
            found=int(reference.latents[0, 15]) ^ 1,
        ),
    )
    assert str(result.differences[0]) == f"activations[2, 1, 5] of image 7: expected {expected}, got {expected ^ 3}"
    assert result.different == {"pixels": 0, "activations": 1, "latents": 1}
    with pytest.raises(ValueError, match=r"pixels: golden model has shape \(20, 64\), other has \(19, 64\)"):
        compare(reference, replace(other, pixels=reference.pixels[1:]))


def test_the_models_trace_is_that_of_the_encoder() -> None:
    """Charges that normalise to given pixels: the encoder's own latents are the trace's."""
    rng = np.random.default_rng(5)
    weights = Weights.random(ECON_T, rng)
    charges = rng.integers(0, 3000, (50, 48)) * (rng.random((50, 48)) < 0.3)
    m = np.floor(np.log2(np.maximum(charges.sum(1), 1))).astype(int)[:, None]
    pixels = np.floor(charges * 2.0 ** (7 - m)).astype(int)
    assert np.array_equal(trace_model(weights, pixels).latents, Encoder(ECON_T, weights).latents(charges))


def test_weights_come_back_from_qkeras() -> None:
    need_module("tensorflow", "train")
    need_module("qkeras", "train")
    weights = Weights.random(SMALL, np.random.default_rng(6))
    model = qkeras_model(weights)
    assert qkeras_weights(model, SMALL) == weights
    with pytest.raises(ValueError, match="kernel: ECON_T needs shape"):
        qkeras_weights(model, ECON_T)
    coarse = replace(SMALL, weight=FixedPoint(width=4, fraction=3, signed=True))
    with pytest.raises(ValueError, match="conv2d_0_m: kernel is off the grid"):
        qkeras_weights(model, coarse)


def test_bad_input() -> None:
    weights, pixels, _ = network(SMALL, 7, 3)
    with pytest.raises(ValueError, match=r"pixels: expected shape \(n, 48\), got \(3, 47\)"):
        trace_model(weights, pixels[:, 1:])
    with pytest.raises(ValueError, match="pixels: expected 0 to 255, got 256"):
        trace_model(weights, pixels + 256)
    with pytest.raises(ValueError, match=r"x\[0\] is off the grid"):
        qkeras_codes([0.3], SMALL.latent, "x")


def test_command_tells_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    import subprocess
    import sys

    h5py = need_module("h5py", "train")
    path = tmp_path / "e.h5"
    with h5py.File(path, "w") as file:
        file["c/kernel:0"], file["c/bias:0"] = np.zeros((2, 2, 1, 2)), np.zeros(2)
        file["d/kernel:0"], file["d/bias:0"] = np.full((8, 3), 0.1), np.zeros(3)
    (tmp_path / "small.toml").write_text(SMALL.to_toml())
    code = "from flows.cli import main; main()"
    arguments = ["convert", str(path), "--out", str(tmp_path / "o.hex"), "--preset", str(tmp_path / "small.toml")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"liquidcal: {path}: dense[0, 0] = 0.1 is no multiple of 0.03125, nor are 23 more")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "o.hex").exists()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments, "--round"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "24 rounded (by up to 0.20 codes), 0 clipped" in " ".join(done.stderr.split())
    assert set(Weights.load(tmp_path / "o.hex", SMALL).dense.ravel()) == {3}
