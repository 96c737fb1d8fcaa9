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
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.fixed_point import IntArray
from sim.foreign_files import parse_json
from sim.hgcal_encoder.files.keras_layers import Layer, encoding, keras_padding, layers_of
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.messages import shown

__all__ = ["KerasEncoder", "keras_padding", "read_keras_encoder"]

Float64 = NDArray[np.float64]
Quantiser = Callable[[Float64], Float64]
Rounding = Literal["nearest", "floor"]

_NOT_LAYERS = frozenset({"optimizer", "optimizer_weights", "metrics", "seed_generator"})
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
        Weights off the grid of ``spec.weight`` that were moved to a code.
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
    path: Path,
    spec: EncoderSpec,
    *,
    round_to_grid: bool = False,
    clip: bool = False,
    rounding: Rounding = "nearest",
) -> KerasEncoder:
    """Weights of an encoder that Keras, QKeras, FKeras or HGQ2 saved.

    Parameters
    ----------
    path : Path
        ``.h5``, ``.hdf5`` or ``.keras``.
    spec : EncoderSpec
        Topology that the file must have.
    round_to_grid : bool
        Move weights that lie between two codes to one of them.
    clip : bool
        Bring weights beyond the range of ``spec.weight`` to its end.
    rounding : {"nearest", "floor"}
        Code that a weight between two of them becomes: the nearest (ties to even), or the one below, as in the
        published images of ECON-T. With ``floor`` the stored weights are taken as they are, without the quantisers
        that the file describes, since those round to the nearest.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If h5py is missing.
    ValueError
        If the file is none of these, holds no such encoder or several, a layer or an option of it is none that the
        spec expresses, or a weight is no code of ``spec.weight``; the message says what was expected, what came, and
        where.
    """
    path = Path(path)
    if path.is_dir() or path.suffix == ".pb":
        raise ValueError(f"{path}: expected .h5, .hdf5 or .keras; save a TensorFlow graph or SavedModel from Keras")
    if not path.is_file():
        raise FileNotFoundError(f"no Keras model at {path}")
    beside = path.with_suffix(".json")
    separate = parse_json(beside.read_bytes(), str(beside)) if beside.is_file() else None
    try:
        with _open(path) as file:
            inside = _description(path, file)
            return _read(file, separate if inside is None else inside, spec, round_to_grid, clip, rounding)
    except KeyError as error:
        raise ValueError(f"{path}: {shown(error.args[0] if error.args else '', quoted=False)} is missing") from None
    except (OSError, ValueError, RuntimeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())[:1500]}") from None


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
    """Configuration of the model in the file itself; None without one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return parse_json(archive.read("config.json"), "config.json")
    if "model_config" in file.attrs:
        return parse_json(file.attrs["model_config"], "model_config")
    return None


def _read(
    file: Any, description: Any, spec: EncoderSpec, round_to_grid: bool, clip: bool, rounding: Rounding
) -> KerasEncoder:
    parts = list(_parts(file, ""))
    configs = [(layer.kind, layer.config) for layers in layers_of(description) for layer in layers]
    shapes = {
        "convolution": ((*spec.kernel, spec.grid[2], spec.filters), (spec.filters,)),
        "dense": ((spec.activations, spec.latents), (spec.latents,)),
    }
    found = {layer: _find(parts, layer, *shape, spec) for layer, shape in shapes.items()}
    kernels = {layer: part.kernel for layer, part in found.items()}
    biases = {layer: part.bias for layer, part in found.items()}
    quantised = False
    if description is not None:
        described = {layer: _config_of(configs, part, layer, spec) for layer, part in found.items()}
        for layer, config in described.items():
            _check_config(config, layer, spec)
            for which, values in (("kernel", kernels), ("bias", biases)):
                quantiser = None if rounding == "floor" else _quantiser(config, found[layer], which)
                if quantiser is not None:
                    values[layer] = np.broadcast_to(quantiser(values[layer]), values[layer].shape)
                    quantised = True
        convolution, dense = (str(described[layer].get("name")) for layer in ("convolution", "dense"))
        how = encoding(description, convolution, dense, spec)
        for layer, norm in (("convolution", how.convolution_norm), ("dense", how.dense_norm)):
            if norm is not None:
                kernels[layer], biases[layer] = _fold(file, norm, kernels[layer], biases[layer])
        if how.permutation is not None:
            shape = (*spec.output_shape, spec.filters)
            given = kernels["dense"].reshape(*(shape[axis] for axis in how.permutation), spec.latents)
            back = [how.permutation.index(axis) for axis in range(3)]
            kernels["dense"] = given.transpose(*back, 3).reshape(spec.activations, spec.latents)
    values = {
        "kernel": kernels["convolution"], "kernel_bias": biases["convolution"],
        "dense": kernels["dense"], "dense_bias": biases["dense"],
    }  # fmt: skip
    codes: dict[str, IntArray] = {}
    rounded, largest, clipped = 0, 0.0, 0
    for name, value in values.items():
        codes[name], moved, step, cut = _codes(name, value, spec, round_to_grid, clip, rounding)
        rounded, largest, clipped = rounded + moved, max(largest, step), clipped + cut
    return KerasEncoder(
        weights=Weights(spec=spec, **codes),
        layers={layer: part.path for layer, part in found.items()},
        described=description is not None,
        quantised=quantised,
        rounded=rounded,
        largest_step=largest,
        clipped=clipped,
    )


def _fold(file: Any, norm: Layer, kernel: Float64, bias: Float64) -> tuple[Float64, Float64]:
    """Kernel and bias that compute what layer and batch normalisation compute together."""
    axis = norm.config.get("axis", -1)
    last = kernel.ndim - 1
    if (axis if isinstance(axis, int) else list(axis)[-1]) not in (-1, last):
        raise ValueError(f"layer {norm.name!r}: expected normalisation over the last axis, got {shown(axis)}")
    arrays = _arrays_of(file, norm.name)
    wanted = ["gamma"] * bool(norm.config.get("scale", True)) + ["beta"] * bool(norm.config.get("center", True))
    wanted += ["moving_mean", "moving_variance"]
    by_number = all(key.isdecimal() for key in arrays)
    values = {}
    for number, name in enumerate(wanted):
        key = str(number) if by_number else name
        if key not in arrays or arrays[key].shape != bias.shape:
            raise ValueError(f"layer {norm.name!r}: expected {name} with {bias.size} values")
        values[name] = arrays[key]
    scale = values.get("gamma", 1.0) / np.sqrt(values["moving_variance"] + float(norm.config.get("epsilon", 1e-3)))
    return kernel * scale, (bias - values["moving_mean"]) * scale + values.get("beta", 0.0)


def _arrays_of(file: Any, layer: str) -> dict[str, Float64]:
    """Arrays of a layer by name, or by number as Keras 3 stores them."""
    import h5py

    found: dict[str, Float64] = {}

    def visit(path: str, item: Any) -> None:
        parts = path.split("/")
        if isinstance(item, h5py.Dataset) and layer in parts and not _NOT_LAYERS & set(parts):
            found[parts[-1].removesuffix(":0")] = np.asarray(item[()], np.float64)

    file.visititems(visit)
    return found


def _parts(group: Any, path: str) -> Iterator[_Part]:
    """Every kernel with its bias below a group: ``kernel:0`` and ``bias:0``, or ``vars/0`` and ``vars/1``.

    A layer without bias adds nothing: its bias is 0.
    """
    import h5py

    arrays = {key: item for key, item in group.items() if isinstance(item, h5py.Dataset)}
    for kernel, bias in (("kernel:0", "bias:0"), ("kernel", "bias"), ("0", "1")):
        if kernel in arrays and (bias in arrays or arrays[kernel].ndim in (2, 4)):
            place = path.removesuffix("/vars")
            name = group.attrs.get("name", place.rsplit("/", 1)[-1])
            yield _Part(
                path=place,
                name=name.decode() if isinstance(name, bytes) else str(name),
                kernel=np.asarray(arrays[kernel][()], np.float64),
                bias=np.asarray(arrays[bias][()], np.float64) if bias in arrays else np.zeros(arrays[kernel].shape[-1]),
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
            "data_format": "channels_last",
            "dilation_rate": [1, 1],
            "groups": 1,
        }
    for key, value in expected.items():
        got = config.get(key, value)
        if (list(got) if isinstance(got, list | tuple) else got) != value:
            raise ValueError(f"{layer} {name!r}: {spec.name} needs {key} {value}, got {got}")


def _quantiser(config: Mapping[str, Any], part: _Part, which: str) -> Quantiser | None:
    """The quantiser of a kernel or a bias; None for plain floating point."""
    hgq = config.get("kq_conf" if which == "kernel" else "bq_conf")
    if hgq is not None:
        if not isinstance(hgq, Mapping) or "config" not in hgq:
            raise ValueError(f"{part.path}: expected a quantiser of HGQ2 (q_type, round_mode), got one of HGQ 1")
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
    name: str, value: Float64, spec: EncoderSpec, round_to_grid: bool, clip: bool, rounding: Rounding
) -> tuple[IntArray, int, float, int]:
    """Codes of values, how many were rounded, the largest move in codes, how many were clipped."""
    if not np.isfinite(value).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
        raise ValueError(f"{name}{list(index)}: expected a finite value, got {value[index]}")
    form = spec.weight
    scaled = np.ldexp(value, form.fraction)
    codes = np.floor(scaled) if rounding == "floor" else np.rint(scaled)
    off = codes != scaled
    if off.any() and not round_to_grid:
        index = tuple(int(i) for i in np.argwhere(off)[0])
        raise ValueError(
            f"{name}{list(index)} = {value[index]:g} is no multiple of {form.lsb:g}, nor are {int(off.sum()) - 1} more "
            f"of {off.size}; rounding must be asked for (--round)"
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
