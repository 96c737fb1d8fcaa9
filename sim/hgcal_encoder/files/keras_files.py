"""Reader of encoders that Keras, QKeras, FKeras or HGQ2 saved, without any of them: the files are HDF5.

An encoder file holds one convolution and one dense layer, alone or inside an autoencoder:

* HDF5 of Keras 2 (``save``, ``save_weights``; ``.h5``, ``.hdf5``), the form of the public ECON-T encoders, whose layers
  are called ``conv2d_0_m`` and ``encoded_vector``. Weights alone carry no description of the layers; a file
  ``NAME.json`` (``to_json``) beside ``NAME.hdf5``, as the public training script writes it, supplies one.
* ``.keras`` of Keras 2 and 3 (a ZIP with ``config.json`` and ``model.weights.h5``), and ``.weights.h5``.

Layers are found by shape, kernel and bias together: an autoencoder's last transposed convolution has the same kernel
shape as the encoder's convolution, but another bias. A quantisation-aware model stores floating-point weights and a
quantiser; where the file describes the quantiser, it is applied, since only its result is what the model computes with.

Sources: keras.io, "Save, serialize, and export models"; C. N. Coelho et al., "Automatic heterogeneous quantization of
deep neural networks for low-latency inference on the edge", Nat. Mach. Intell. 3 (2021) 675 (QKeras,
``quantized_bits``); C. Sun et al., "HGQ: High Granularity Quantization for Real-time Neural Networks on FPGAs",
arXiv 2405.00645 (HGQ2's fixed-point quantisers); layer names: github.com/oliviaweng/Ecoder, rohanshenoy/Ecoder-emd.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.fixed_point import IntArray
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = ["KerasEncoder", "keras_padding", "read_keras_encoder"]

Float64 = NDArray[np.float64]
Quantiser = Callable[[Float64], Float64]

_NOT_LAYERS = frozenset({"optimizer", "optimizer_weights", "metrics", "seed_generator"})
_RECTIFIED = frozenset({"relu", "linear", "quantized_relu", "quantized_bits"})
_BIT_ROUNDING: dict[str, Callable[[Float64], Float64]] = {
    "TRN": np.floor,
    "RND": lambda x: np.floor(x + 0.5),
    "RND_CONV": np.rint,
}


@dataclass(frozen=True, kw_only=True)
class KerasEncoder:
    """What a file held.

    Attributes
    ----------
    weights : Weights
    layers : dict of str to str
        Place in the file of ``convolution`` and ``dense``.
    described : bool
        Whether the file describes its layers: stride, padding and quantisers were checked. Without a description only
        shapes are.
    quantised : bool
        Whether quantisers of the model were applied.
    rounded : int
        Weights off the grid of ``spec.weight`` that were moved to the nearest code.
    largest_step : float
        Largest of those moves, in codes.
    clipped : int
        Weights beyond the range that were clipped.
    """

    weights: Weights
    layers: dict[str, str]
    described: bool
    quantised: bool
    rounded: int
    largest_step: float
    clipped: int


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A layer's kernel and bias in a file."""

    path: str
    name: str
    kernel: Float64
    bias: Float64
    group: Any


def read_keras_encoder(
    path: Path, spec: EncoderSpec, *, round_to_grid: bool = False, clip: bool = False
) -> KerasEncoder:
    """Weights of an encoder that Keras, QKeras, FKeras or HGQ2 saved.

    Parameters
    ----------
    path : Path
        ``.h5``, ``.hdf5`` or ``.keras``.
    spec : EncoderSpec
        Topology that the file must have.
    round_to_grid : bool
        Move weights that lie between two codes to the nearest one, ties to even.
    clip : bool
        Bring weights beyond the range of ``spec.weight`` to its end.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If h5py is missing.
    ValueError
        If the file is none of these, holds no such encoder or several, its stride, padding or activation differs, or
        a weight is no code of ``spec.weight``; the message says what was expected, what came, and where.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no Keras model at {path}")
    try:
        with _open(path) as file:
            return _read(file, _description(path, file), spec, round_to_grid, clip)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: {error}") from None


def _open(path: Path) -> Any:
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise ImportError("reading Keras files needs h5py: install liquidcal[train]") from None
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "model.weights.h5" not in archive.namelist():
                raise ValueError(f"expected a .keras file with model.weights.h5, it holds {archive.namelist()[:5]}")
            return h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
    if not h5py.is_hdf5(path):
        raise ValueError("neither HDF5 nor a .keras archive")
    return h5py.File(path, "r")


def _description(path: Path, file: Any) -> Any:
    """Configuration of the model: in the file, or in the JSON file beside it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    if "model_config" in file.attrs:
        text = file.attrs["model_config"]
        return json.loads(text.decode() if isinstance(text, bytes) else text)
    beside = path.with_suffix(".json")
    return json.loads(beside.read_text()) if beside.is_file() else None


def _read(file: Any, description: Any, spec: EncoderSpec, round_to_grid: bool, clip: bool) -> KerasEncoder:
    parts = list(_parts(file, ""))
    configs = list(_layer_configs(description))
    shapes = {
        "convolution": ((*spec.kernel, spec.grid[2], spec.filters), (spec.filters,)),
        "dense": ((spec.activations, spec.latents), (spec.latents,)),
    }
    values: dict[str, Float64] = {}
    places = {}
    quantised = False
    for layer, (kernel_shape, bias_shape) in shapes.items():
        part = _find(parts, layer, kernel_shape, bias_shape, spec)
        places[layer] = part.path
        kernel_quantiser = bias_quantiser = None
        if description is not None:
            config = _config_of(configs, part, layer, spec)
            _check_config(config, layer, spec)
            kernel_quantiser = _quantiser(config, part, "kernel")
            bias_quantiser = _quantiser(config, part, "bias")
        names = ("kernel", "kernel_bias") if layer == "convolution" else ("dense", "dense_bias")
        for name, array, quantiser in zip(
            names, (part.kernel, part.bias), (kernel_quantiser, bias_quantiser), strict=True
        ):
            values[name] = array if quantiser is None else np.broadcast_to(quantiser(array), array.shape)
            quantised |= quantiser is not None
    codes: dict[str, IntArray] = {}
    rounded, largest, clipped = 0, 0.0, 0
    for name, value in values.items():
        codes[name], moved, step, cut = _codes(name, value, spec, round_to_grid, clip)
        rounded, largest, clipped = rounded + moved, max(largest, step), clipped + cut
    return KerasEncoder(
        weights=Weights(spec=spec, **codes),
        layers=places,
        described=description is not None,
        quantised=quantised,
        rounded=rounded,
        largest_step=largest,
        clipped=clipped,
    )


def _parts(group: Any, path: str) -> Iterator[_Part]:
    """Every kernel with its bias below a group: ``kernel:0`` and ``bias:0``, or ``vars/0`` and ``vars/1``."""
    import h5py

    arrays = {key: item for key, item in group.items() if isinstance(item, h5py.Dataset)}
    for kernel, bias in (("kernel:0", "bias:0"), ("kernel", "bias"), ("0", "1")):
        if kernel in arrays and bias in arrays:
            place = path.removesuffix("/vars")
            name = group.attrs.get("name", place.rsplit("/", 1)[-1])
            yield _Part(
                path=place,
                name=name.decode() if isinstance(name, bytes) else str(name),
                kernel=np.asarray(arrays[kernel][()], np.float64),
                bias=np.asarray(arrays[bias][()], np.float64),
                group=group.parent if path.endswith("/vars") else group,
            )
            break
    for key, item in group.items():
        if isinstance(item, h5py.Group) and key not in _NOT_LAYERS:
            yield from _parts(item, f"{path}/{key}" if path else key)


def _find(parts: list[_Part], layer: str, kernel: tuple[int, ...], bias: tuple[int, ...], spec: EncoderSpec) -> _Part:
    found = [part for part in parts if part.kernel.shape == kernel and part.bias.shape == bias]
    if len(found) == 1:
        return found[0]
    expected = f"{layer} of {spec.name}: expected one kernel of shape {kernel} with a bias of shape {bias}"
    if found:
        raise ValueError(f"{expected}, got {', '.join(part.path for part in found)}")
    there = [f"{part.path} {part.kernel.shape}, {part.bias.shape}" for part in parts if part.kernel.ndim > 1]
    raise ValueError(f"{expected}, got {'; '.join(there) if there else 'no layer with kernel and bias'}")


def _layer_configs(description: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Class and configuration of every layer, those of models within models included."""
    if isinstance(description, Mapping):
        config = description.get("config")
        if isinstance(config, Mapping) and "class_name" in description:
            yield str(description["class_name"]).rpartition(">")[2], config
        for value in description.values():
            yield from _layer_configs(value)
    elif isinstance(description, list):
        for value in description:
            yield from _layer_configs(value)


def _config_of(
    configs: list[tuple[str, Mapping[str, Any]]], part: _Part, layer: str, spec: EncoderSpec
) -> Mapping[str, Any]:
    """Configuration of a layer: by its name, else the only one of its kind and size."""
    suffix, size, value = ("Conv2D", "filters", spec.filters) if layer == "convolution" else (
        "Dense", "units", spec.latents
    )  # fmt: skip
    kind = [config for name, config in configs if name.endswith(suffix) and name != "DepthwiseConv2D"]
    named = [config for config in kind if config.get("name") == part.name]
    sized = named or [config for config in kind if config.get(size) == value]
    if len(sized) != 1:
        raise ValueError(f"{layer} {part.path}: expected one {suffix} layer in the description, got {len(sized)}")
    return sized[0]


def _check_config(config: Mapping[str, Any], layer: str, spec: EncoderSpec) -> None:
    name = config.get("name")
    expected: dict[str, Any] = {}
    if layer == "convolution":
        expected = {
            "strides": [spec.stride] * 2,
            "padding": keras_padding(spec),
            "data_format": "channels_last",
            "dilation_rate": [1, 1],
            "groups": 1,
        }
    for key, value in expected.items():
        got = config.get(key, value)
        if (list(got) if isinstance(got, list | tuple) else got) != value:
            raise ValueError(f"{layer} {name!r}: {spec.name} needs {key} {value}, got {got}")
    activation = config.get("activation")
    if isinstance(activation, Mapping):
        activation = activation.get("class_name", activation)
    if activation is not None and str(activation).partition("(")[0] not in _RECTIFIED:
        raise ValueError(f"{layer} {name!r}: expected ReLU or none as its activation, got {activation!r}")


def keras_padding(spec: EncoderSpec) -> str:
    """``valid`` or ``same``: what Keras calls the padding of a spec.

    Raises
    ------
    ValueError
        If Keras has no name for it.
    """
    if not any(spec.padding):
        return "valid"
    rows, columns, _ = spec.grid
    if spec.padding == _same(rows, spec.kernel[0], spec.stride) + _same(columns, spec.kernel[1], spec.stride):
        return "same"
    raise ValueError(f"padding {spec.padding} of {spec.name} is neither none nor Keras' same")


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros that Keras' ``same`` puts in front and behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def _quantiser(config: Mapping[str, Any], part: _Part, which: str) -> Quantiser | None:
    """The quantiser of a kernel or a bias; None for plain floating point."""
    hgq = config.get("kq_conf" if which == "kernel" else "bq_conf")
    if hgq is not None:
        return _hgq_quantiser(hgq["config"], part, "kq" if which == "kernel" else "bq")
    given = config.get(f"{which}_quantizer")
    if given is None:
        return None
    name = given.get("class_name") if isinstance(given, Mapping) else given
    if name != "quantized_bits" or not isinstance(given, Mapping):
        raise ValueError(f"{part.path}: expected the {which} quantiser quantized_bits, got {name!r}")
    return _quantized_bits(given["config"], part.path)


def _quantized_bits(config: Mapping[str, Any], path: str) -> Quantiser:
    """QKeras' ``quantized_bits`` with fixed scale: round to nearest, ties to even, then clip."""
    alpha = config.get("alpha")
    if isinstance(alpha, str):
        raise ValueError(f"{path}: quantized_bits with alpha {alpha!r} scales by its data; expected alpha 1")
    scale = 1.0 if alpha is None else float(alpha)
    signed = int(config.get("keep_negative", 1))
    codes = 2.0 ** (int(config["bits"]) - signed)
    step = 2.0 ** int(config["integer"]) / codes
    low = signed * (-codes + int(config.get("symmetric", 0)))
    return lambda value: scale * step * np.clip(np.rint(value / step), low, codes - 1)


def _hgq_quantiser(config: Mapping[str, Any], part: _Part, which: str) -> Quantiser:
    """HGQ2's fixed-point quantiser; every weight has its own sign k, integer bits i, fraction bits f or all bits b."""
    for key in ("scaler", "affine"):
        if config.get(key) is not None:
            raise ValueError(f"{part.path}: expected an HGQ2 quantiser without {key}, got {config[key]!r}")
    kind = config["q_type"]
    rounding, overflow = config["round_mode"].removeprefix("S_"), config["overflow_mode"]
    if kind not in ("kif", "kbi") or rounding not in _BIT_ROUNDING or overflow not in ("WRAP", "SAT", "SAT_SYM"):
        raise ValueError(f"{part.path}: HGQ2 quantiser {kind} {rounding} {overflow} is not supported")
    variables = part.group[f"{which}/quantizer/vars"]
    arrays = [np.asarray(variables[str(i)][()]) for i in range(len(variables))]
    # trainable variables come first in the file: only the sign is an integer, and i trains unless values wrap
    (sign,) = (array.astype(np.float64) for array in arrays if array.dtype.kind == "u")
    first, second = (np.rint(array.astype(np.float64)) for array in arrays if array.dtype.kind == "f" and array.ndim)
    if kind == "kbi":
        integer, fraction = second, first - second
    else:
        integer, fraction = (second, first) if overflow == "WRAP" else (first, second)

    def quantise(value: Float64) -> Float64:
        step = 2.0**-fraction
        result = _BIT_ROUNDING[rounding](value / step) * step
        high = 2.0**integer
        if overflow == "WRAP":
            low = -sign * high
            result = low + np.mod(result - low, high - low)
        else:
            result = np.clip(result, -sign * (high - (step if overflow == "SAT_SYM" else 0.0)), high - step)
        return np.where(sign + integer + fraction > 0, result, 0.0)

    return quantise


def _codes(
    name: str, value: Float64, spec: EncoderSpec, round_to_grid: bool, clip: bool
) -> tuple[IntArray, int, float, int]:
    """Codes of values, how many were rounded, the largest move in codes, how many were clipped."""
    if not np.isfinite(value).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
        raise ValueError(f"{name}{list(index)}: expected a finite value, got {value[index]}")
    form = spec.weight
    scaled = np.ldexp(value, form.fraction)
    codes = np.rint(scaled)
    off = codes != scaled
    if off.any() and not round_to_grid:
        index = tuple(int(i) for i in np.argwhere(off)[0])
        raise ValueError(
            f"{name}{list(index)} = {value[index]:g} is no multiple of {form.lsb:g}, nor are {int(off.sum()) - 1} more "
            f"of {off.size}; rounding to the nearest must be asked for (--round)"
        )
    beyond = (codes < form.min_code) | (codes > form.max_code)
    if beyond.any() and not clip:
        index = tuple(int(i) for i in np.argwhere(beyond)[0])
        raise ValueError(
            f"{name}{list(index)} = {value[index]:g} is outside {form.min_code * form.lsb:g} to "
            f"{form.max_code * form.lsb:g}, as are {int(beyond.sum()) - 1} more of {beyond.size}; clipping must be "
            "asked for (--clip)"
        )
    step = float(np.abs(codes - scaled)[off].max()) if off.any() else 0.0
    limited = np.clip(codes, form.min_code, form.max_code).astype(np.int64)
    return limited, int(off.sum()), step, int(beyond.sum())
