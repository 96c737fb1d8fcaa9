"""Reader of Keras files: public layouts written by h5py, files of Keras and QKeras, a file that HGQ2 wrote."""

import json
import re
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.files.keras_files import keras_padding, read_keras_encoder
from sim.hgcal_encoder.spec import ECON_T, TNS_2021, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from tests.conftest import need_module
from tests.specs import SMALL

h5py = need_module("h5py", "train")

DATA = Path(__file__).parent / "data"


def public_file(path: Path, weights: Weights, group: str = "", conv: str = "conv2d_0_m") -> Path:
    """An encoder as the public training code saves it (``save_weights`` of Keras 2), decoder beside it."""
    values = weights.to_float()
    spec = weights.spec
    rows, columns, channels = spec.kernel[0], spec.kernel[1], spec.grid[2]
    with h5py.File(path, "w") as file:
        for layer, kernel, bias in (
            (conv, values["kernel"], values["kernel_bias"]),
            ("encoded_vector", values["dense"], values["dense_bias"]),
        ):
            place = f"{group}{layer}" if group else f"{layer}/{layer}"
            file[f"{place}/kernel:0"] = kernel.astype(np.float32)
            file[f"{place}/bias:0"] = bias.astype(np.float32)
        if group:
            decoder = {
                "de_dense_final": ((spec.latents, spec.activations), (spec.activations,)),
                # a transposed convolution stores (rows, columns, out, in): the last one looks like the encoder's
                "conv2D_t_0": ((rows, columns, spec.filters, spec.filters), (spec.filters,)),
                "conv2d_t_final": ((rows, columns, channels, spec.filters), (channels,)),
            }
            for layer, (kernel_shape, bias_shape) in decoder.items():
                file[f"decoder/{layer}/kernel:0"] = np.full(kernel_shape, 0.3, np.float32)
                file[f"decoder/{layer}/bias:0"] = np.zeros(bias_shape, np.float32)
            file["optimizer_weights/Adam/m/conv/kernel:0"] = values["kernel"].astype(np.float32)
            file["optimizer_weights/Adam/m/conv/bias:0"] = values["kernel_bias"].astype(np.float32)
    return path


def description(
    spec: EncoderSpec,
    conv: dict[str, Any] | None = None,
    dense: dict[str, Any] | None = None,
    before: list[dict[str, Any]] | None = None,
    between: list[dict[str, Any]] | None = None,
    after: list[dict[str, Any]] | None = None,
) -> str:
    """What ``to_json`` of Keras 2 says about such an encoder, as far as the reader looks."""
    quantiser = {"class_name": "quantized_bits", "config": {"bits": 6, "integer": 0, "keep_negative": 1, "alpha": 1}}
    quantisers = {"kernel_quantizer": quantiser, "bias_quantizer": quantiser}
    layers = [
        {
            "class_name": "FQConv2D",
            "config": {
                "name": "conv2d_0_m",
                "filters": spec.filters,
                "strides": [spec.stride] * 2,
                "padding": keras_padding(spec),
                "data_format": "channels_last",
                "activation": "relu",
                **quantisers,
                **(conv or {}),
            },
        },
        *(between or []),
        {
            "class_name": "FQDense",
            "config": {
                "name": "encoded_vector", "units": spec.latents, "activation": "relu", **quantisers, **(dense or {})
            },
        },
        *(after or []),
    ]  # fmt: skip
    layers = [*(before or []), *layers]
    return json.dumps({"class_name": "Functional", "config": {"name": "encoder", "layers": layers}})


@pytest.mark.parametrize("spec", [ECON_T, TNS_2021, SMALL], ids=lambda spec: spec.name)
@pytest.mark.parametrize("group", ["", "encoder/"])
def test_public_layouts(spec: EncoderSpec, group: str, tmp_path: Path) -> None:
    weights = Weights.random(spec, np.random.default_rng(1))
    found = read_keras_encoder(public_file(tmp_path / "e.hdf5", weights, group), spec)
    assert found.weights == weights
    assert not found.described
    assert (found.rounded, found.clipped, found.quantised) == (0, 0, False)
    assert found.layers["convolution"].startswith(group or "conv2d_0_m")


def test_weights_of_training_pass_the_quantiser_that_the_file_beside_describes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    weights = Weights.random(SMALL, rng)
    path = public_file(tmp_path / "encoder_small.hdf5", weights)
    with h5py.File(path, "r+") as file:
        for layer in ("conv2d_0_m", "encoded_vector"):
            for which in ("kernel:0", "bias:0"):
                data = file[f"{layer}/{layer}/{which}"]
                # training leaves weights anywhere within half a code, and beyond the range where that code is the last
                data[...] = data[...] + rng.uniform(-0.49, 0.49, data.shape) / 32
        file["conv2d_0_m/conv2d_0_m/kernel:0"][0, 0, 0, 0] = 1.7
    path.with_suffix(".json").write_text(description(SMALL))
    found = read_keras_encoder(path, SMALL)
    expected = weights.kernel.copy()
    expected[0, 0, 0, 0] = 31
    assert np.array_equal(found.weights.kernel, expected)
    assert np.array_equal(found.weights.dense, weights.dense)
    assert found.described
    assert found.quantised
    assert (found.rounded, found.clipped) == (0, 0)


def test_rounding_and_clipping_only_on_request_and_counted(tmp_path: Path) -> None:
    weights = Weights.random(SMALL, np.random.default_rng(3))
    path = public_file(tmp_path / "e.h5", weights)
    with h5py.File(path, "r+") as file:
        dense = file["encoded_vector/encoded_vector/kernel:0"]
        dense[2, 1] = 0.40625 + 0.01  # code 13 and a third
        dense[3, 0] = -1.25
    with pytest.raises(ValueError, match=r"e\.h5: dense\[2, 1\] = 0\.41625 is no multiple of 0\.03125"):
        read_keras_encoder(path, SMALL)
    with pytest.raises(ValueError, match=r"dense\[3, 0\] = -1\.25 is outside -1 to 0\.96875"):
        read_keras_encoder(path, SMALL, round_to_grid=True)
    found = read_keras_encoder(path, SMALL, round_to_grid=True, clip=True)
    assert (found.rounded, found.clipped) == (1, 1)
    assert found.largest_step == pytest.approx(0.32, abs=1e-3)
    assert found.weights.dense[2, 1] == 13
    assert found.weights.dense[3, 0] == -32


@pytest.mark.parametrize(
    ("conv", "dense", "message"),
    [
        ({"strides": [1, 1]}, None, "needs strides [2, 2], got [1, 1]"),
        ({"padding": "same"}, None, "needs padding valid, got same"),
        ({"data_format": "channels_first"}, None, "needs data_format channels_last"),
        ({"dilation_rate": [2, 2]}, None, "needs dilation_rate [1, 1]"),
        (None, {"activation": "sigmoid"}, "as its activation got sigmoid"),
        (
            {"kernel_quantizer": {"class_name": "ternary", "config": {}}},
            None,
            "quantiser quantized_bits, got 'ternary'",
        ),
        (
            {
                "kernel_quantizer": {
                    "class_name": "quantized_bits",
                    "config": {"bits": 6, "integer": 0, "alpha": "auto"},
                }
            },
            None,
            "alpha 'auto' scales by its data",
        ),
        ({"name": "other", "filters": 9}, None, "expected one Conv2D layer in the description, got 0"),
    ],
)
def test_a_description_that_differs_is_refused(
    conv: dict[str, Any] | None, dense: dict[str, Any] | None, message: str, tmp_path: Path
) -> None:
    path = public_file(tmp_path / "e.hdf5", Weights.random(SMALL, np.random.default_rng(4)))
    path.with_suffix(".json").write_text(description(SMALL, conv, dense))
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        read_keras_encoder(path, SMALL)
    assert str(error.value).startswith(f"{path}: ")


def test_wrong_shapes_and_ambiguity_name_what_is_there(tmp_path: Path) -> None:
    weights = Weights.random(SMALL, np.random.default_rng(5))
    path = public_file(tmp_path / "e.hdf5", weights)
    with pytest.raises(ValueError, match=r"kernel of shape \(3, 3, 1, 8\) .* got conv2d_0_m/conv2d_0_m \(2, 2, 1, 2\)"):
        read_keras_encoder(path, ECON_T)
    with h5py.File(path, "r+") as file:
        file.copy("encoded_vector", "second")
    with pytest.raises(ValueError, match="got encoded_vector/encoded_vector, second/encoded_vector"):
        read_keras_encoder(path, SMALL)
    with h5py.File(path, "r+") as file:
        del file["second"]
        file["encoded_vector/encoded_vector/kernel:0"][1, 1] = np.nan
    with pytest.raises(ValueError, match=r"dense\[1, 1\]: expected a finite value"):
        read_keras_encoder(path, SMALL)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no Keras model at"):
        read_keras_encoder(tmp_path / "none.h5", SMALL)
    text = tmp_path / "text.h5"
    text.write_text("weights")
    with pytest.raises(ValueError, match="neither HDF5 nor"):
        read_keras_encoder(text, SMALL)
    archive = tmp_path / "a.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme", "")
    with pytest.raises(ValueError, match=r"expected a \.keras file with model\.weights\.h5"):
        read_keras_encoder(archive, SMALL)
    empty = tmp_path / "empty.h5"
    with h5py.File(empty, "w"):
        pass
    with pytest.raises(ValueError, match="got no layer with kernel and bias"):
        read_keras_encoder(empty, SMALL)


def test_hgq2_file_gives_the_weights_that_hgq2_computes_with() -> None:
    """`hgq2_small.keras` was saved by HGQ2 0.2.0 (Keras 3.15.1) with own bits for every weight.

    Its quantisers have both parametrisations, all overflow rules and three roundings; the JSON beside it holds what
    ``qkernel`` and ``qbias`` said.
    """
    found = read_keras_encoder(DATA / "hgq2_small.keras", SMALL)
    expected = json.loads((DATA / "hgq2_small.json").read_text())
    assert found.described
    assert found.quantised
    assert set(expected) == {"kernel", "kernel_bias", "dense", "dense_bias"}
    for name, values in found.weights.to_float().items():
        assert np.array_equal(values, np.array(expected[name])), name
    # one bit fewer, and the file does not fit
    narrow = replace(SMALL, weight=FixedPoint(width=4, fraction=3, signed=True))
    with pytest.raises(ValueError, match=r"is no multiple of 0\.125"):
        read_keras_encoder(DATA / "hgq2_small.keras", narrow)


def test_hgq2_scaler_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / "scaled.keras"
    with zipfile.ZipFile(DATA / "hgq2_small.keras") as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1]["config"]["kq_conf"]["config"]["scaler"] = 0.5
                content = json.dumps(config).encode()
            target.writestr(name, content)
    with pytest.raises(ValueError, match="without scaler, got 0.5"):
        read_keras_encoder(copy, SMALL)


@pytest.mark.parametrize("name", ["a.h5", "a.keras", "a.weights.h5"])
def test_files_of_qkeras_itself(name: str, tmp_path: Path) -> None:
    """An autoencoder with optimizer state, in the three formats that its Keras writes."""
    tensorflow = need_module("tensorflow", "train")
    need_module("qkeras", "train")
    from flows.learning.conversion import qkeras_model

    weights = Weights.random(SMALL, np.random.default_rng(6))
    encoder = qkeras_model(weights)
    keras = tensorflow.keras
    decoder = keras.Sequential([keras.layers.Input((SMALL.latents,)), keras.layers.Dense(8)], name="decoder")
    model = keras.Model(encoder.inputs, decoder(encoder.outputs[0]), name="autoencoder")
    model.compile("sgd", "mse")
    path = tmp_path / name
    with np.errstate(all="ignore"):
        model.save_weights(path) if "weights" in name else model.save(path)
    found = read_keras_encoder(path, SMALL)
    assert found.weights == weights
    assert found.described == ("weights" not in name)


def test_the_reader_needs_neither_tensorflow_nor_hgq() -> None:
    import subprocess
    import sys

    code = (
        "import sys, pathlib; from sim.hgcal_encoder.files.keras_files import read_keras_encoder;"
        "from tests.specs import SMALL;"
        f"read_keras_encoder(pathlib.Path({str(DATA / 'hgq2_small.keras')!r}), SMALL);"
        "print(sorted({'tensorflow', 'keras', 'hgq', 'qkeras'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_arrays_of_codes_round_trip(tmp_path: Path) -> None:
    weights = Weights.random(SMALL, np.random.default_rng(7))
    weights.save_arrays(tmp_path / "w.npz")
    assert Weights.load(tmp_path / "w.npz", SMALL) == weights
    other = replace(SMALL, name="OTHER")
    with pytest.raises(ValueError, match="weights of SMALL, but the encoder is OTHER"):
        Weights.load(tmp_path / "w.npz", other)
    assert not [p for p in tmp_path.iterdir() if p.name != "w.npz"]


# ---- what lies between the layers ----------------------------------------------------------------------------------


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": f"my_{kind.lower()}", **config}}


FLAT = layer("Flatten", data_format="channels_last")
LINEAR = {"activation": "linear"}


def read(tmp_path: Path, weights: Weights, spec: EncoderSpec = SMALL, **parts: Any) -> Weights:
    path = public_file(tmp_path / "e.hdf5", weights)
    path.with_suffix(".json").write_text(description(spec, **parts))
    return read_keras_encoder(path, spec).weights


def relu(spec: EncoderSpec = SMALL, **other: Any) -> dict[str, Any]:
    config = {"bits": spec.activation.width, "integer": spec.activation.integer, **other}
    return layer("QActivation", activation={"class_name": "quantized_relu", "config": config})


@pytest.mark.parametrize(
    "parts",
    [
        {"between": [FLAT]},
        {"conv": LINEAR, "between": [relu(), FLAT]},
        {"conv": LINEAR, "between": [layer("QActivation", activation="quantized_relu(8,1)"), FLAT]},
        {"conv": LINEAR, "between": [layer("ReLU", max_value=None, negative_slope=0.0), layer("Dropout"), FLAT]},
        {"conv": LINEAR, "between": [layer("Activation", activation="relu"), layer("Reshape", target_shape=[-1])]},
        {"dense": LINEAR, "after": [layer("QActivation", activation="quantized_relu(bits=9, integer=1)")]},
        {"before": [layer("QActivation", activation="quantized_relu(8,1)"), layer("Reshape", target_shape=[4, 4, 1])]},
        {"after": [layer("Dense", units=7)]},
    ],
    ids=str,
)  # fmt: skip
def test_layers_that_the_spec_expresses(parts: dict[str, Any], tmp_path: Path) -> None:
    weights = Weights.random(SMALL, np.random.default_rng(7))
    assert read(tmp_path, weights, **parts) == weights


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"conv": LINEAR, "between": [FLAT]}, "convolution 'conv2d_0_m': expected a ReLU .* got none"),
        ({"dense": LINEAR}, "dense 'encoded_vector': expected a ReLU after it, got none"),
        ({"conv": LINEAR, "between": [layer("QActivation", activation="quantized_relu(4,0)")]},
         r"layer 'my_qactivation' \(QActivation\): expected ReLU or quantized_relu of 8 bits, 1 .* got .*bits 4"),
        ({"conv": LINEAR, "between": [layer("QActivation", activation="quantized_bits(8,1)")]}, "bits bits 8"),
        ({"conv": LINEAR, "between": [relu(negative_slope=0.25)]}, "negative_slope 0.25"),
        ({"conv": LINEAR, "between": [layer("LeakyReLU", alpha=0.25)]}, "'my_leakyrelu' .* negative_slope 0.25"),
        ({"conv": LINEAR, "between": [layer("ReLU", max_value=6.0)]}, "'my_relu' .* max_value 6.0"),
        ({"conv": {"activation": "tanh"}}, "conv2d_0_m.*got tanh"),
        ({"conv": {"activation": "quantized_bits(8,1)"}}, "conv2d_0_m.*got quantized_bits"),
        ({"dense": {"activation": "softmax"}}, "encoded_vector.*got softmax"),
        ({"between": [layer("MaxPooling2D")]}, r"layer 'my_maxpooling2d' \(MaxPooling2D\) is none that SMALL computes"),
        ({"between": [layer("Lambda")]}, "'my_lambda'"),
        ({"between": [layer("BatchNormalization", axis=[3])]}, "'my_batchnormalization'"),
        ({"between": [FLAT, layer("Permute", dims=[3, 1, 2])]}, "'my_permute'"),
        ({"between": [layer("Permute", dims=[3, 1, 1])]}, "'my_permute': expected an order of the axes"),
        ({"before": [layer("Lambda")]}, "'my_lambda'"),
        ({"before": [layer("QActivation", activation="quantized_bits(8,1)")]}, "expected pixels of 8 bits, 1"),
        ({"before": [layer("ZeroPadding2D", padding=[[0, 1], [0, 1]])]},
         r"SMALL pads \(0, 0, 0, 0\) .* got \(0, 1, 0, 1\) of a layer and valid"),
        ({"dense": LINEAR, "after": [layer("Concatenate")]}, "'my_concatenate'"),
    ],
    ids=str,
)  # fmt: skip
def test_layers_that_it_does_not_are_refused_by_name(parts: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, Weights.random(SMALL, np.random.default_rng(7)), **parts)


def test_the_padding_of_the_chip_as_a_layer(tmp_path: Path) -> None:
    """ZeroPadding2D at bottom and right, then a convolution without padding, as public conditional autoencoders do."""
    weights = Weights.random(ECON_T, np.random.default_rng(8))
    pads = layer("ZeroPadding2D", padding=[[0, 1], [0, 1]])
    assert read(tmp_path, weights, ECON_T, conv={"padding": "valid"}, before=[pads]) == weights
    for parts in (
        {"conv": {"padding": "valid"}},
        {"before": [pads]},
        {"conv": {"padding": "valid"}, "before": [layer("ZeroPadding2D", padding=[1, 1])]},
    ):
        with pytest.raises(ValueError, match=r"padding same, got valid|ECON_T pads \(0, 1, 0, 1\)"):
            read(tmp_path, weights, ECON_T, **parts)


def test_a_permutation_before_flattening_reorders_the_dense_matrix(tmp_path: Path) -> None:
    """The weights of the chip compute, on activations in its order, what the file computes on permuted ones."""
    weights = Weights.random(SMALL, np.random.default_rng(9))
    for dims in ((3, 1, 2), (2, 1, 3), (3, 2, 1)):
        found = read(tmp_path, weights, between=[layer("Permute", dims=list(dims)), FLAT])
        activations = np.random.default_rng(1).integers(0, 255, (5, *SMALL.output_shape, SMALL.filters))
        permuted = activations.transpose(0, *dims).reshape(5, -1)
        assert np.array_equal(activations.reshape(5, -1) @ found.dense, permuted @ weights.dense)
        assert np.array_equal(found.kernel, weights.kernel)


@pytest.mark.parametrize("after", ["convolution", "dense"])
def test_batch_normalisation_is_folded(after: str, tmp_path: Path) -> None:
    """What layer and normalisation compute together, in rationals; values chosen so that every weight is a code."""
    rng = np.random.default_rng(10)
    weights = Weights.random(SMALL, rng)
    part = "kernel" if after == "convolution" else "dense"
    halved = replace(weights, **{part: getattr(weights, part) // 4 * 2, f"{part}_bias": weights.kernel_bias * 0
                                 if after == "convolution" else weights.dense_bias * 0})  # fmt: skip
    size = SMALL.filters if after == "convolution" else SMALL.latents
    norm = layer("BatchNormalization", axis=[3 if after == "convolution" else 1], epsilon=0.25, scale=True, center=True)
    path = public_file(tmp_path / "e.hdf5", halved)
    beta = rng.integers(-8, 8, size) / 32
    with h5py.File(path, "r+") as file:
        for name, values in (
            ("gamma", np.full(size, 0.5)), ("beta", beta), ("moving_mean", np.zeros(size)),
            ("moving_variance", np.full(size, 0.75)),
        ):  # fmt: skip
            file[f"my_batchnormalization/my_batchnormalization/{name}:0"] = values
    parts: dict[str, Any] = (
        {"conv": LINEAR, "between": [norm, relu(), FLAT]}
        if after == "convolution"
        else {"dense": LINEAR, "after": [norm, layer("ReLU")]}
    )
    path.with_suffix(".json").write_text(description(SMALL, **parts))
    found = read_keras_encoder(path, SMALL).weights
    # gamma / sqrt(variance + epsilon) = 0.5
    assert np.array_equal(getattr(found, part), getattr(halved, part) // 2)
    assert np.array_equal(getattr(found, f"{part}_bias"), beta * 32)
    other = "dense" if part == "kernel" else "kernel"
    assert np.array_equal(getattr(found, other), getattr(halved, other))
    with h5py.File(path, "r+") as file:
        del file["my_batchnormalization/my_batchnormalization/moving_mean:0"]
    with pytest.raises(ValueError, match="layer 'my_batchnormalization': expected moving_mean with"):
        read_keras_encoder(path, SMALL)


def test_a_layer_without_bias_has_bias_0(tmp_path: Path) -> None:
    weights = Weights.random(SMALL, np.random.default_rng(11))
    path = public_file(tmp_path / "e.hdf5", weights)
    path.with_suffix(".json").write_text(description(SMALL, conv={"use_bias": False}))
    with h5py.File(path, "r+") as file:
        del file["conv2d_0_m/conv2d_0_m/bias:0"]
    found = read_keras_encoder(path, SMALL).weights
    assert np.array_equal(found.kernel, weights.kernel)
    assert not found.kernel_bias.any()


def test_rounding_to_the_code_below(tmp_path: Path) -> None:
    """As in the published images; with it the stored weights count, not what a quantiser rounds them to."""
    weights = Weights.random(SMALL, np.random.default_rng(12))
    path = public_file(tmp_path / "e.hdf5", weights)
    with h5py.File(path, "r+") as file:
        kernel = file["conv2d_0_m/conv2d_0_m/kernel:0"]
        kernel[...] = kernel[...] + 0.7 / 32
    for name in ("", description(SMALL)):
        if name:
            path.with_suffix(".json").write_text(name)
        found = read_keras_encoder(path, SMALL, round_to_grid=True, clip=True, rounding="floor")
        assert np.array_equal(found.weights.kernel, weights.kernel)
        assert found.rounded == weights.kernel.size
        nearest = read_keras_encoder(path, SMALL, round_to_grid=True, clip=True)
        assert np.array_equal(nearest.weights.kernel, np.minimum(weights.kernel + 1, 31))


def test_descriptions_that_are_none(tmp_path: Path) -> None:
    """The error names the file that is wrong: the description, not the weights beside it."""
    path = public_file(tmp_path / "e.hdf5", Weights.random(SMALL, np.random.default_rng(13)))
    beside = path.with_suffix(".json")
    for text, message in (
        ("[" * 100_000 + "]" * 100_000, r"^[^ ]*e\.json: nested deeper than 50 levels"),
        ("no json", r"^[^ ]*e\.json: not a JSON text"),
        ('{"a": 1, "a": 2}', r"^[^ ]*e\.json: 'a' occurs twice in one table"),
        (description(SMALL, conv={"kq_conf": {"init_bw": 2}}), "got one of HGQ 1"),
    ):
        beside.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            read_keras_encoder(path, SMALL)
        assert len(str(caught.value)) < 400 + len(str(path))
    beside.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"e\.json: not a JSON text"):
        read_keras_encoder(path, SMALL)
    (tmp_path / "saved").mkdir()
    for name in ("saved", "graph.pb"):
        with pytest.raises(ValueError, match=r"expected \.h5, \.hdf5 or \.keras; save a TensorFlow graph"):
            read_keras_encoder(tmp_path / name, SMALL)
