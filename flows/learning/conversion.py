"""One network on four engines: QKeras, hls4ml's C++, the golden model, the generated hardware; compared layer by layer.

Every engine takes the same pixels and answers with a `NetworkTrace`: the pixels as it read them, the activations of the
convolution, the latents, all as integer codes of the spec. `compare` names each difference by layer, place and codes.

hls4ml stores every product in the accumulator's type before it adds, so an accumulator with fewer fraction bits than a
product rounds each product on its own: with the types that `Hls4mlNetwork` sets, its C simulation is defined to do what
an `EncoderSpec` says, the chip's rules included. QKeras computes in floating point and rounds results only: it equals
the others for specs that keep whole products and round results to nearest, ties to even, such as
`sim.hgcal_encoder.spec.ECON_T_EXACT`.

TensorFlow, QKeras and hls4ml (extra `train`) are imported when used.
"""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from flows.learning.legacy_keras import import_hls4ml, import_qkeras, import_tensorflow, legacy_keras
from flows.simulation.native import NativeModel, build_native
from hw.common.export import to_verilog
from hw.common.hierarchy import place
from hw.hgcal_encoder.convolution import Convolution
from hw.hgcal_encoder.dense import Dense
from sim.fixed_point import FixedPoint, IntArray, Overflow, Rounding
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.files.keras_files import keras_padding
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.spec import CELLS, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.messages import shown

__all__ = [
    "LAYERS", "Backend", "Comparison", "Difference", "Hls4mlNetwork", "HardwareNetwork", "NetworkTrace", "compare",
    "compare_file", "file_model", "qkeras_codes", "qkeras_expresses", "qkeras_model", "qkeras_weights", "sample_pixels",
    "trace_model", "trace_qkeras",
]  # fmt: skip

LAYERS = ("pixels", "activations", "latents")
"""Layers of a trace in the order of the data path."""
ACCUMULATOR_INTEGER = 14
"""Integer bits of an hls4ml accumulator, sign included: more than any sum of a layer needs."""
# names of the public ECON-T encoders
_INPUT, _CONV, _ACTIVATION, _DENSE, _LATENT = "input_qa", "conv2d_0_m", "accum1_qa", "encoded_vector", "encod_qa"
_LAYER_OF = {"pixels": _INPUT, "activations": _ACTIVATION, "latents": _LATENT}


class Backend(StrEnum):
    """hls4ml back ends whose C++ g++ compiles: one per family of integer types."""

    VITIS = "Vitis"
    """``ap_fixed`` of AMD's tools."""
    CATAPULT = "Catapult"
    """``ac_fixed`` of Siemens' tools."""
    QUARTUS = "Quartus"
    """``ac_fixed`` of Intel's tools."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkTrace:
    """What one engine computed, as codes of the spec.

    Attributes
    ----------
    engine : str
    spec : EncoderSpec
    pixels : ndarray of int64, shape (n, grid positions)
        The image, row-major, channel last.
    activations : ndarray of int64, shape (n, activations)
    latents : ndarray of int64, shape (n, latents)
    """

    engine: str
    spec: EncoderSpec
    pixels: IntArray
    activations: IntArray
    latents: IntArray


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One code on which two engines disagree.

    Attributes
    ----------
    layer : str
        One of `LAYERS`.
    image : int
        Row of the input.
    place : tuple of int
        Row, column and channel (pixels) or filter (activations); number of the latent.
    expected, found : int
        Codes.
    """

    layer: str
    image: int
    place: tuple[int, ...]
    expected: int
    found: int

    def __str__(self) -> str:
        return f"{self.layer}{list(self.place)} of image {self.image}: expected {self.expected}, got {self.found}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two engines on the same images.

    Attributes
    ----------
    reference, engine : str
    compared : dict of str to int
        Codes compared, by layer.
    different : dict of str to int
        Codes that differ, by layer.
    largest : dict of str to int
        Largest difference in codes, by layer.
    differences : tuple of Difference
        All of them, in the order of the data path, image by image.
    """

    reference: str
    engine: str
    compared: dict[str, int]
    different: dict[str, int]
    largest: dict[str, int]
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether every code agrees."""
        return not self.differences

    def __str__(self) -> str:
        if self.equal:
            return f"{self.engine} equals {self.reference} on {sum(self.compared.values()):,} codes"
        shares = ", ".join(
            f"{layer} {self.different[layer]:,} of {self.compared[layer]:,} "
            f"({100 * self.different[layer] / self.compared[layer]:.1f} %, up to {self.largest[layer]} codes)"
            for layer in self.different
            if self.different[layer]
        )
        return f"{self.engine} against {self.reference}: {shares}; first {self.differences[0]}"


def compare(reference: NetworkTrace, other: NetworkTrace) -> Comparison:
    """Every code on which two traces of the same images disagree, layer by layer.

    Raises
    ------
    ValueError
        If the traces differ in shape or hold no image.
    """
    return _compare(reference, other.engine, {layer: getattr(other, layer) for layer in LAYERS})


def _compare(reference: NetworkTrace, engine: str, layers: dict[str, IntArray]) -> Comparison:
    spec = reference.spec
    shapes = {
        "pixels": spec.grid,
        "activations": (*spec.output_shape, spec.filters),
        "latents": (spec.latents,),
    }
    compared, different, largest = {}, {}, {}
    differences = []
    for layer, found in layers.items():
        expected = getattr(reference, layer)
        if expected.shape != found.shape or not expected.size:
            raise ValueError(
                f"{layer}: {reference.engine} has shape {expected.shape}, {engine} has {found.shape}; "
                "expected the same, of one image at least"
            )
        wrong = np.argwhere(expected != found)
        compared[layer], different[layer] = expected.size, len(wrong)
        largest[layer] = int(np.abs(expected - found).max())
        differences += [
            Difference(
                layer=layer,
                image=int(image),
                place=tuple(int(i) for i in np.unravel_index(index, shapes[layer])),
                expected=int(expected[image, index]),
                found=int(found[image, index]),
            )
            for image, index in wrong
        ]
    return Comparison(
        reference=reference.engine,
        engine=engine,
        compared=compared,
        different=different,
        largest=largest,
        differences=tuple(differences),
    )


def sample_pixels(spec: EncoderSpec, rng: np.random.Generator, images: int) -> IntArray:
    """Pixel codes of trigger cells that reach the corners: full, sparse, extreme images, single cells, zero, all ones.

    Returns
    -------
    ndarray of int64, shape (images, 48)
    """
    top = spec.pixel.max_code
    extreme = rng.choice([0, 1, top - 1, top], (images, CELLS))
    full = rng.integers(0, top + 1, (images, CELLS))
    sparse = np.where(rng.random((images, CELLS)) < 0.15, full, 0)
    mixed = np.choose(rng.integers(0, 3, (images, 1)), [full, sparse, extreme])
    corners = [np.zeros((1, CELLS), np.int64), np.full((1, CELLS), top), top * np.eye(CELLS, dtype=np.int64)]
    pixels: IntArray = np.concatenate([*corners, mixed])[:images].astype(np.int64)
    return pixels


# ------------------------------------------------------------------------------------------------ golden model
def trace_model(weights: Weights, pixels: npt.ArrayLike) -> NetworkTrace:
    """Trace of the golden model.

    Parameters
    ----------
    weights : Weights
    pixels : array_like of int, shape (n, 48)
        Codes of ``spec.pixel`` by trigger cell.
    """
    spec = weights.spec
    image = to_grid(_checked(pixels, spec), spec)
    activations = convolve(image, weights.kernel, weights.kernel_bias, spec).reshape(len(image), -1)
    latents = dense(activations, weights.dense, weights.dense_bias, spec)
    flat = image.reshape(len(image), -1)
    return NetworkTrace(engine="golden model", spec=spec, pixels=flat, activations=activations, latents=latents)


def _checked(pixels: npt.ArrayLike, spec: EncoderSpec) -> IntArray:
    codes = spec.pixel.check(pixels, "pixels")
    if codes.ndim != 2 or codes.shape[1] != CELLS:
        raise ValueError(f"pixels: expected shape (n, {CELLS}), got {codes.shape}")
    return codes


# ------------------------------------------------------------------------------------------------------ QKeras
def qkeras_model(weights: Weights) -> Any:
    """The network as a QKeras model with the layers and layer names of the public ECON-T encoders.

    Its quantisers have the widths of the spec. QKeras rounds to nearest (ties to even) and saturates, whatever the spec
    says, and keeps products whole.

    Raises
    ------
    ValueError
        If Keras cannot pad as the spec does, or the weight format is not QKeras' (one bit for the sign, the others
        split into integer and fraction bits).
    """
    tf, qkeras = import_tensorflow(), import_qkeras()

    spec = weights.spec
    if spec.weight.integer < 1:
        raise ValueError(f"QKeras has no weights with {spec.weight.integer} integer bits, got {spec.weight}")

    def weight() -> Any:
        return qkeras.quantized_bits(spec.weight.width, spec.weight.integer - 1, alpha=1)

    def unsigned(form: FixedPoint) -> Any:
        return qkeras.quantized_relu(form.width, form.integer)

    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.InputLayer(spec.grid, name="pixel"),
            qkeras.QActivation(unsigned(spec.pixel), name=_INPUT),
            qkeras.QConv2D(
                spec.filters,
                spec.kernel,
                (spec.stride, spec.stride),
                keras_padding(spec),
                kernel_quantizer=weight(),
                bias_quantizer=weight(),
                name=_CONV,
            ),
            qkeras.QActivation(unsigned(spec.activation), name=_ACTIVATION),
            layers.Flatten(name="flatten"),
            qkeras.QDense(spec.latents, kernel_quantizer=weight(), bias_quantizer=weight(), name=_DENSE),
            qkeras.QActivation(unsigned(spec.latent), name=_LATENT),
        ],
        name="encoder",
    )
    values = weights.to_float()
    model.get_layer(_CONV).set_weights([values["kernel"], values["kernel_bias"]])
    model.get_layer(_DENSE).set_weights([values["dense"], values["dense_bias"]])
    return model


def qkeras_weights(model: Any, spec: EncoderSpec) -> Weights:
    """Weights of a QKeras model of the topology of `spec`, as its quantisers make them.

    Raises
    ------
    ValueError
        If the model has not exactly one convolution and one dense layer of that shape, or a quantised weight is no
        code of ``spec.weight``; see also `sim.hgcal_encoder.weights.Weights`.
    """
    found: dict[str, IntArray] = {}
    for kind, names in (("Conv2D", ("kernel", "kernel_bias")), ("Dense", ("dense", "dense_bias"))):
        layers = [layer for layer in model.layers if type(layer).__name__.endswith(kind)]
        if len(layers) != 1:
            raise ValueError(f"expected one {kind} layer in {model.name!r}, got {len(layers)}")
        for name, array, quantiser in zip(names, layers[0].get_weights(), layers[0].get_quantizers(), strict=True):
            scaled = np.ldexp(np.asarray(array if quantiser is None else quantiser(array), float), spec.weight.fraction)
            found[name] = np.rint(scaled).astype(np.int64)
            if not np.array_equal(found[name], scaled):
                raise ValueError(f"{layers[0].name}: {name} is off the grid of {spec.weight}")
    return Weights(spec=spec, **found)


def qkeras_codes(values: npt.ArrayLike, form: FixedPoint, what: str) -> IntArray:
    """Codes of real values of a format.

    Raises
    ------
    ValueError
        If a value lies between codes: the engine did not use the format.
    """
    scaled = np.ldexp(np.asarray(values, np.float64), form.fraction)
    codes = scaled.astype(np.int64)
    if not np.array_equal(codes, scaled):
        index = tuple(int(i) for i in np.argwhere(codes != scaled)[0])
        raise ValueError(f"{what}{list(index)} is off the grid of {form}: its type was not taken over")
    return codes


def trace_qkeras(model: Any, spec: EncoderSpec, pixels: npt.ArrayLike) -> NetworkTrace:
    """Trace of `qkeras_model`, or of a model with the same layer names.

    Parameters
    ----------
    model : Keras model
    spec : EncoderSpec
    pixels : array_like of int, shape (n, 48)
        Codes of ``spec.pixel`` by trigger cell.
    """
    tf = import_tensorflow()
    values = spec.pixel.decode(to_grid(_checked(pixels, spec), spec)).astype(np.float32)
    probe = tf.keras.Model(model.inputs, [model.get_layer(_LAYER_OF[layer]).output for layer in LAYERS])
    results = probe(values)
    return _trace("QKeras", spec, dict(zip(LAYERS, (result.numpy() for result in results), strict=True)))


def _trace(engine: str, spec: EncoderSpec, values: dict[str, npt.NDArray[Any]]) -> NetworkTrace:
    forms = {"pixels": spec.pixel, "activations": spec.activation, "latents": spec.latent}
    codes = {
        layer: qkeras_codes(values[layer].reshape(len(values[layer]), -1), form, f"{engine}, {layer}")
        for layer, form in forms.items()
    }
    return NetworkTrace(engine=engine, spec=spec, **codes)


# ------------------------------------------------------------------------------------------- model of a file
def file_model(path: Path, convolution: str, dense: str) -> Any:
    """The encoder in a file of Keras 2 or QKeras as that file describes it, its own weights and quantisers included.

    Parameters
    ----------
    path : Path
        ``.h5`` or ``.hdf5``, with the description inside or in a file ``NAME.json`` beside it.
    convolution, dense : str
        Names of the two layers.

    Returns
    -------
    Keras model
        From pixels to latents: to the activation that follows the dense layer, if one does.

    Raises
    ------
    ValueError
        If Keras 2 with QKeras cannot build it, as those of Keras 3 and HGQ2.
    """
    tf = import_tensorflow()
    utils = importlib.import_module(f"{import_qkeras().__name__}.utils")
    h5py = importlib.import_module("h5py")
    beside = path.with_suffix(".json")
    try:
        with h5py.File(path, "r") as file:
            inside = "model_config" in file.attrs
        if inside:
            whole = utils.load_qmodel(str(path), compile=False)
        else:
            whole = utils.quantized_model_from_json(beside.read_text(encoding="utf-8-sig"))
            whole.load_weights(str(path))
    except Exception as error:  # Keras raises whatever its layers raise
        what = shown(error, quoted=False)
        raise ValueError(f"{path}: Keras 2 with QKeras cannot run its model, so it is not compared: {what}") from None
    for model in _models(whole):
        by_name = {layer.name: layer for layer in model.layers}
        if {convolution, dense} <= set(by_name):
            last = by_name[dense]
            followers = [layer for layer in model.layers if layer.input is last.output and _is_activation(layer)]
            return tf.keras.Model(model.inputs, (followers[0] if followers else last).output)
    raise ValueError(f"{path}: layers {convolution!r} and {dense!r} are not in one model")


def _models(model: Any) -> Iterator[Any]:
    """A model and those inside it."""
    yield model
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _models(layer)


def _is_activation(layer: Any) -> bool:
    return type(layer).__name__ in ("QActivation", "Activation", "ReLU", "LeakyReLU")


def compare_file(reference: NetworkTrace, model: Any, pixels: npt.ArrayLike) -> Comparison:
    """Latents of the golden model against those of `file_model`, brought to codes by the rule of the spec.

    Parameters
    ----------
    reference : NetworkTrace
    model : Keras model
    pixels : array_like of int, shape (n, 48)
        Codes of ``spec.pixel`` by trigger cell, those of the reference.
    """
    spec = reference.spec
    values = spec.pixel.decode(to_grid(_checked(pixels, spec), spec)).astype(np.float32)
    latents = np.asarray(model(values), np.float64)
    rule = np.rint if spec.latent.rounding is Rounding.RND_CONV else np.floor
    codes = np.clip(rule(np.ldexp(latents, spec.latent.fraction)), 0, spec.latent.max_code).astype(np.int64)
    return _compare(reference, "model of the file", {"latents": codes})


# ------------------------------------------------------------------------------------------------------ hls4ml
class Hls4mlNetwork:
    """The QKeras model of the network converted to C++ by hls4ml and compiled with g++ (``io_parallel``).

    Traps that are avoided here: hls4ml types an unsigned ``quantized_bits`` as signed, and drops a quantiser after the
    last layer in some forms; so every result type is set, the pixels' included. Quartus would transform 3x3 kernels
    (Winograd), whose products are not those of the network: its convolution is set to the plain form.

    Parameters
    ----------
    weights : Weights
        Weights and, in them, the spec: geometry and every number format.
    directory : Path
        Folder for the generated project.
    backend : Backend or str
    trace : bool
        Keep what every layer computes, for `trace`; otherwise `predict` and `latents` are there.

    Raises
    ------
    ValueError
        See `qkeras_model`.
    ImportError
        If hls4ml, TensorFlow or QKeras is missing.
    RuntimeError
        If the generated C++ does not compile.
    """

    def __init__(
        self, weights: Weights, directory: Path, backend: Backend | str = Backend.VITIS, *, trace: bool = False
    ) -> None:
        hls4ml = import_hls4ml()
        self.backend = Backend(backend)
        self.spec = spec = weights.spec
        self._log = io.StringIO()
        with contextlib.redirect_stdout(self._log), legacy_keras():
            self.model = hls4ml.converters.convert_from_keras_model(
                qkeras_model(weights),
                hls_config=_hls4ml_config(spec, trace),
                output_dir=str(directory),
                project_name=spec.name.lower(),
                backend=self.backend.value,
                io_type="io_parallel",
            )
            if not trace:
                self._attempt(self.model.compile)

    def _attempt(self, action: Any, *values: Any) -> Any:
        try:
            return action(*values)
        except Exception as error:  # hls4ml raises bare exceptions
            lines = [line for line in self._log.getvalue().splitlines() if "rror" in line]
            raise RuntimeError(f"hls4ml, {self.backend}: {error} {lines[0] if lines else ''}".rstrip()) from None

    def pixels(self, image: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Codes of ``spec.pixel`` as the real numbers that hls4ml takes."""
        return np.ascontiguousarray(self.spec.pixel.decode(image), dtype=np.float32)

    def predict(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """hls4ml's own ``predict``: values of latents, shape (n, latents)."""
        result: npt.NDArray[np.float32] = self.model.predict(pixels).reshape(len(pixels), self.spec.latents)
        return result

    def latents(self, image: npt.ArrayLike) -> IntArray:
        """Latent codes of images of pixel codes, shape (n, rows, columns, channels).

        Raises
        ------
        ValueError
            If a result lies off the latents' grid.
        """
        return qkeras_codes(self.predict(self.pixels(image)), self.spec.latent, f"hls4ml {self.backend}, latents")

    def trace(self, pixels: npt.ArrayLike) -> NetworkTrace:
        """Trace; compiles the C++ with its probes.

        Parameters
        ----------
        pixels : array_like of int, shape (n, 48)
            Codes of ``spec.pixel`` by trigger cell, two images at least.

        Raises
        ------
        RuntimeError
            If the generated C++ does not compile.
        ValueError
            If a result lies off the grid of its format.
        """
        image = to_grid(_checked(pixels, self.spec), self.spec)
        if len(image) < 2:
            raise ValueError(f"hls4ml traces two images at least, got {len(image)}")
        with contextlib.redirect_stdout(self._log), legacy_keras():
            _, layers = self._attempt(self.model.trace, self.pixels(image))
        return _trace(
            f"hls4ml {self.backend}", self.spec, {layer: np.asarray(layers[name]) for layer, name in _LAYER_OF.items()}
        )


def _precision(form: FixedPoint) -> str:
    """A number format as hls4ml writes it."""
    return f"{'' if form.signed else 'u'}fixed<{form.width},{form.integer},{form.rounding},{form.overflow}>"


def _hls4ml_config(spec: EncoderSpec, trace: bool) -> dict[str, Any]:
    def sums(fraction: int, rounding: Rounding, width: int | None) -> str:
        bits = ACCUMULATOR_INTEGER + fraction if width is None else width
        return _precision(FixedPoint(width=bits, fraction=fraction, signed=True, rounding=rounding))

    conv = sums(spec.conv_product_fraction, spec.conv_product_rounding, spec.conv_sum_width)
    last = sums(spec.dense_product_fraction, spec.dense_product_rounding, spec.dense_sum_width)
    weight, pixel, activation = _precision(spec.weight), _precision(spec.pixel), _precision(spec.activation)
    layers: dict[str, dict[str, Any]] = {
        "pixel": {"Precision": {"result": pixel}},
        _INPUT: {"Precision": {"result": pixel}},
        _CONV: {
            "Precision": {"weight": weight, "bias": weight, "accum": conv, "result": conv},
            "Implementation": "im2col",
        },
        # inserted by hls4ml between a layer and its quantiser, with the model's precision unless named
        f"{_CONV}_linear": {"Precision": {"result": conv}},
        _ACTIVATION: {"Precision": {"result": activation}},
        "flatten": {"Precision": {"result": activation}},
        _DENSE: {"Precision": {"weight": weight, "bias": weight, "accum": last, "result": last}},
        f"{_DENSE}_linear": {"Precision": {"result": last}},
        _LATENT: {"Precision": {"result": _precision(spec.latent)}},
    }
    for name in _LAYER_OF.values():
        layers[name]["Trace"] = trace
    return {"Model": {"Precision": conv, "ReuseFactor": 1, "Strategy": "Latency"}, "LayerName": layers}


# ---------------------------------------------------------------------------------------------------- hardware
class _Network(Component):  # type: ignore[misc]
    """Convolution and dense layer as the encoder has them, with everything between their ports in sight."""

    def __init__(self, *, spec: EncoderSpec) -> None:
        self._spec = spec
        weight = spec.weight.width
        super().__init__(
            {
                "pixels": In(ArrayLayout(spec.pixel.width, CELLS)),
                "kernel": In(ArrayLayout(ArrayLayout(weight, spec.filters), spec.kernel_taps)),
                "kernel_bias": In(ArrayLayout(weight, spec.filters)),
                "weights": In(ArrayLayout(ArrayLayout(weight, spec.activations), spec.latents)),
                "bias": In(ArrayLayout(weight, spec.latents)),
                "activations": Out(ArrayLayout(spec.activation.width, spec.activations)),
                "latents": Out(ArrayLayout(spec.latent.width, spec.latents)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        conv = place(m, platform, "convolution", Convolution, spec=self._spec)
        last = place(m, platform, "dense", Dense, spec=self._spec)
        m.d.comb += [
            conv.pixels.eq(self.pixels),
            conv.kernel.eq(self.kernel),
            conv.bias.eq(self.kernel_bias),
            self.activations.eq(conv.activations),
            last.activations.eq(conv.activations),
            last.weights.eq(self.weights),
            last.bias.eq(self.bias),
            self.latents.eq(last.latents),
        ]
        return m


class HardwareNetwork:
    """The generated convolution and dense layer of a spec, simulated natively.

    Parameters
    ----------
    spec : EncoderSpec
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, spec: EncoderSpec, timeout_s: float = 900.0) -> None:
        self.spec = spec
        self._network = _Network(spec=spec)
        top = f"{spec.name}_network"
        self._library, self._ports = build_native(to_verilog(self._network, top), top, timeout_s=timeout_s)

    def trace(self, weights: Weights, pixels: npt.ArrayLike) -> NetworkTrace:
        """Trace.

        Parameters
        ----------
        weights : Weights
            Of the spec of the hardware.
        pixels : array_like of int, shape (n, 48)
            Codes of ``spec.pixel`` by trigger cell.
        """
        spec = self.spec
        if weights.spec != spec:
            raise ValueError(f"weights of {weights.spec.name}, but the hardware is {spec.name}")
        codes = _checked(pixels, spec)
        names = {port.name for port in self._ports}
        given = {
            "pixels": codes,
            "kernel": weights.kernel.reshape(spec.kernel_taps, spec.filters)[None],
            "kernel_bias": weights.kernel_bias[None],
            "weights": weights.dense.T[None],
            "bias": weights.dense_bias[None],
        }
        widths = {"pixels": spec.pixel.width}
        with NativeModel(self._library, self._ports, None) as model:
            stimulus = {
                name: _packed(values, widths.get(name, spec.weight.width), len(codes))
                for name, values in given.items()
                if name in names
            }
            response = model.unpack(model.run_rows(model.pack(stimulus, len(codes))))
        return NetworkTrace(
            engine="hardware",
            spec=spec,
            pixels=to_grid(codes, spec).reshape(len(codes), -1),
            activations=_unpacked(response["activations"], spec.activation.width, spec.activations),
            latents=_unpacked(response["latents"], spec.latent.width, spec.latents),
        )


def _packed(values: IntArray, width: int, rows: int) -> npt.NDArray[np.int64]:
    """32-bit words, low word first, of an array of fields per row; one row serves for all."""
    fields = values.reshape(len(values), -1)
    bits = (fields[:, :, None] >> np.arange(width)) & 1
    flat = bits.reshape(len(values), -1).astype(np.uint8)
    packed = np.packbits(np.pad(flat, ((0, 0), (0, -flat.shape[1] % 32))), axis=1, bitorder="little").view("<u4")
    return np.broadcast_to(packed.astype(np.int64), (rows, packed.shape[1]))


def _unpacked(words: npt.NDArray[np.int64], width: int, count: int) -> IntArray:
    """Inverse of `_packed`, unsigned fields; also from the single value of a narrow port."""
    if words.ndim == 1:
        words = np.stack([words & 0xFFFF_FFFF, words >> 32], axis=1)
    raw = np.ascontiguousarray(words.astype("<u4")).view(np.uint8)
    bits = np.unpackbits(raw, axis=1, bitorder="little")[:, : width * count].astype(np.int64)
    result: IntArray = bits.reshape(len(words), count, width) @ (1 << np.arange(width))
    return result


def qkeras_expresses(spec: EncoderSpec) -> bool:
    """Whether QKeras computes what the spec says: whole products, whole sums, results to nearest even and saturated."""
    whole = (
        (spec.conv_sum_width, spec.dense_sum_width) == (None, None)
        and spec.conv_product_fraction == spec.pixel.fraction + spec.weight.fraction
        and spec.dense_product_fraction == spec.activation.fraction + spec.weight.fraction
    )
    return whole and all(
        form.rounding is Rounding.RND_CONV and form.overflow is Overflow.SAT for form in (spec.activation, spec.latent)
    )
