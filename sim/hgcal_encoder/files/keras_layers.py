"""The layers of an encoder in the description of a Keras model: what leads from pixels to latents, step by step.

Nothing between the input and the latents may be overlooked: a layer is expressed by the spec (padding, ReLU), folded
into the weights (batch normalisation, a permutation before flattening), without effect after training (dropout), or
refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.spec import EncoderSpec
from sim.messages import shown

__all__ = ["Encoding", "Layer", "encoding", "keras_padding", "layers_of"]

_IDENTITY = frozenset({
    "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization",
})  # fmt: skip
"""Layers that act in training alone."""
_ACTIVATIONS = frozenset({"Activation", "QActivation", "ReLU", "LeakyReLU", "FQActivation"})


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of a description.

    Attributes
    ----------
    kind : str
        Class, without its package.
    config : mapping
    inputs : tuple of str
        Names of the layers that it takes.
    """

    kind: str
    config: Mapping[str, Any]
    inputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name in the model."""
        return str(self.config.get("name"))


@dataclass(kw_only=True)
class Encoding:
    """What becomes of the weights beside their quantisers.

    Attributes
    ----------
    permutation : tuple of int or None
        Order of rows, columns and filters before flattening.
    convolution_norm, dense_norm : Layer or None
        Batch normalisation after the layer.
    """

    permutation: tuple[int, ...] | None = None
    convolution_norm: Layer | None = None
    dense_norm: Layer | None = field(default=None)


def layers_of(description: Any) -> Iterator[list[Layer]]:
    """The layers of every model in a description, in their order, those of models within models too."""
    if isinstance(description, list):
        for value in description:
            yield from layers_of(value)
    if not isinstance(description, Mapping):
        return
    config = description.get("config")
    found = config.get("layers") if isinstance(config, Mapping) else None
    if isinstance(found, list):
        layers: list[Layer] = []
        for entry in found:
            if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), Mapping):
                continue
            inputs = tuple(dict.fromkeys(_inbound(entry.get("inbound_nodes"))))
            if not inputs and layers and not str(entry.get("class_name")).endswith("InputLayer"):
                # a sequential model: each layer takes the one before
                inputs = (layers[-1].name,)
            kind = str(entry.get("class_name")).rpartition(">")[2]
            layers.append(Layer(kind=kind, config=entry["config"], inputs=inputs))
        yield layers
    for value in description.values():
        yield from layers_of(value)


def _inbound(nodes: Any) -> Iterator[str]:
    """Names in the connections of a layer, as Keras 2 (lists) and Keras 3 (``keras_history``) write them."""
    if isinstance(nodes, Mapping):
        history = nodes.get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
            return
        for value in nodes.values():
            yield from _inbound(value)
    elif isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int):
            yield nodes[0]
            return
        for value in nodes:
            yield from _inbound(value)


def encoding(description: Any, convolution: str, dense: str, spec: EncoderSpec) -> Encoding:
    """Check everything between the input and the latents.

    Parameters
    ----------
    description : mapping
        Configuration of the model.
    convolution, dense : str
        Names of the two layers.
    spec : EncoderSpec

    Raises
    ------
    ValueError
        If a layer is none that the spec expresses; the message names it, what was expected and what came.
    """
    models = [found for found in layers_of(description) if {convolution, dense} <= {layer.name for layer in found}]
    if not models:
        raise ValueError(f"layers {convolution!r} and {dense!r} are not in one model")
    layers = models[-1]
    by_name = {layer.name: layer for layer in layers}
    result = Encoding()
    _check_input(_chain(by_name, convolution, None), by_name[convolution], spec)
    _check_between(_chain(by_name, dense, convolution), by_name[convolution], spec, result)
    _check_end(layers, by_name[dense], spec, result)
    return result


def _chain(by_name: Mapping[str, Layer], last: str, first: str | None) -> list[Layer]:
    """Layers before `last`, from the input of the model, or after `first`, on."""
    found: list[Layer] = []
    layer = by_name[last]
    for _ in range(len(by_name) + 1):
        sources = [name for name in layer.inputs if name in by_name]
        if not sources and first is None:
            return found[::-1]
        if len(sources) != 1:
            raise ValueError(f"layer {layer.name!r} ({layer.kind}): expected one input, got {len(sources)}")
        if sources[0] == first:
            return found[::-1]
        layer = by_name[sources[0]]
        found.append(layer)
    raise ValueError(f"layer {last!r}: its inputs lead in a circle")


def _check_input(before: Sequence[Layer], convolution: Layer, spec: EncoderSpec) -> None:
    """Layers that bring pixels to the convolution, and its padding."""
    pads = (0, 0, 0, 0)
    for layer in before:
        if layer.kind == "InputLayer" or layer.kind in _IDENTITY:
            continue
        if layer.kind == "ZeroPadding2D" and pads == (0, 0, 0, 0):
            pads = _zeros(layer)
        elif layer.kind == "Reshape" and tuple(layer.config.get("target_shape", ())) == spec.grid:
            continue
        elif layer.kind in _ACTIVATIONS:
            name, given = _activation(layer)
            if not (name == "linear" or _holds(name, given, spec.pixel)):
                raise _other(layer, f"pixels of {_text(spec.pixel)}", name, given)
        else:
            raise _refused(layer, spec)
    own = convolution.config.get("padding", keras_padding(spec))
    if pads == (0, 0, 0, 0):
        if own != keras_padding(spec):
            raise ValueError(
                f"convolution {convolution.name!r}: {spec.name} needs padding {keras_padding(spec)}, got {own}"
            )
    elif own != "valid" or pads != spec.padding:
        raise ValueError(
            f"convolution {convolution.name!r}: {spec.name} pads {spec.padding} (top, bottom, left, right), "
            f"got {pads} of a layer and {own}"
        )


def _zeros(layer: Layer) -> tuple[int, int, int, int]:
    given = layer.config.get("padding")
    match given:
        case int():
            return (given, given, given, given)
        case [[int(), int()] as rows, [int(), int()] as columns]:
            return (rows[0], rows[1], columns[0], columns[1])
        case [int() as rows, int() as columns]:
            return (rows, rows, columns, columns)
    raise ValueError(f"layer {layer.name!r}: expected zeros on two axes, got {shown(given)}")


def _check_between(between: Sequence[Layer], convolution: Layer, spec: EncoderSpec, result: Encoding) -> None:
    """Layers between convolution and dense layer."""
    rectified = _own_activation(convolution, spec.activation)
    flat = False
    for layer in between:
        if layer.kind in _IDENTITY:
            continue
        if layer.kind == "BatchNormalization" and not rectified and not flat and result.convolution_norm is None:
            result.convolution_norm = layer
        elif layer.kind in _ACTIVATIONS:
            rectified |= _rectifies(layer, spec.activation)
        elif layer.kind == "Permute" and not flat and result.permutation is None:
            dims = tuple(layer.config.get("dims", ()))
            if sorted(dims) != [1, 2, 3]:
                raise ValueError(f"layer {layer.name!r}: expected an order of the axes 1, 2, 3, got {shown(dims)}")
            result.permutation = tuple(axis - 1 for axis in dims)
        elif _flattens(layer, spec) and not flat:
            flat = True
        else:
            raise _refused(layer, spec)
    if not rectified:
        raise ValueError(f"convolution {convolution.name!r}: expected a ReLU between it and the dense layer, got none")


def _flattens(layer: Layer, spec: EncoderSpec) -> bool:
    if layer.kind == "Flatten":
        if layer.config.get("data_format", "channels_last") != "channels_last":
            raise ValueError(f"layer {layer.name!r}: expected data_format channels_last")
        return True
    return layer.kind == "Reshape" and tuple(layer.config.get("target_shape", ())) in ((-1,), (spec.activations,))


def _check_end(layers: Sequence[Layer], dense: Layer, spec: EncoderSpec, result: Encoding) -> None:
    """Layers after the dense layer, up to the ReLU that makes the latents."""
    rectified = _own_activation(dense, spec.latent)
    layer = dense
    while True:
        after = [other for other in layers if layer.name in other.inputs]
        if len(after) != 1:
            break
        layer = after[0]
        if layer.kind in _IDENTITY:
            continue
        if layer.kind == "BatchNormalization" and not rectified and result.dense_norm is None:
            result.dense_norm = layer
        elif layer.kind in _ACTIVATIONS:
            rectified |= _rectifies(layer, spec.latent)
        elif rectified:
            # the decoder begins
            break
        else:
            raise _refused(layer, spec)
    if not rectified:
        raise ValueError(f"dense {dense.name!r}: expected a ReLU after it, got none")


def _own_activation(layer: Layer, form: FixedPoint) -> bool:
    """Whether the layer's own activation is the ReLU of the spec; False without one."""
    name, given = _parse(layer.config.get("activation"))
    if name == "linear":
        return False
    if (name == "relu" and not given) or _holds(name, given, form):
        return True
    raise _other(layer, f"ReLU or quantized_relu of {_text(form)} as its activation", name, given)


def _rectifies(layer: Layer, form: FixedPoint) -> bool:
    name, given = _activation(layer)
    if name == "linear":
        return False
    if (name == "relu" and not given) or _holds(name, given, form):
        return True
    raise _other(layer, f"ReLU or quantized_relu of {_text(form)}", name, given)


def _activation(layer: Layer) -> tuple[str, dict[str, Any]]:
    """Name of an activation layer, and what it sets beside the defaults."""
    if layer.kind in ("ReLU", "LeakyReLU"):
        config = layer.config
        slope = config.get("negative_slope", config.get("alpha", 0.3 if layer.kind == "LeakyReLU" else 0))
        given = {"negative_slope": slope, "max_value": config.get("max_value"), "threshold": config.get("threshold")}
        return "relu", {key: value for key, value in given.items() if value}
    return _parse(layer.config.get("activation"))


_POSITIONS = ("bits", "integer", "use_sigmoid", "negative_slope")


def _parse(given: Any) -> tuple[str, dict[str, Any]]:
    """Name and settings of an activation: ``relu``, ``quantized_relu(8,1)``, or a table with class and config."""
    if given is None:
        return "linear", {}
    if isinstance(given, Mapping):
        config = given.get("config")
        name = str(given.get("class_name"))
        if isinstance(config, str):
            # Keras 3 writes functions as a table
            return config, {}
        settings = dict(config) if isinstance(config, Mapping) else {}
        return name, settings
    text = str(given)
    if not (found := re.fullmatch(r"(\w+)\((.*)\)", text)):
        return text, {}
    settings = {}
    for place, part in enumerate(filter(None, (part.strip() for part in found[2].split(",")))):
        key, equals, value = part.rpartition("=")
        name = key.strip() if equals else _POSITIONS[place] if place < len(_POSITIONS) else f"argument {place + 1}"
        settings[name] = _number(value.strip())
    return found[1], settings


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return {"True": 1, "False": 0, "None": None}.get(text, text)


def _holds(name: str, given: Mapping[str, Any], form: FixedPoint) -> bool:
    """Whether a quantised ReLU has exactly the codes of an unsigned format."""
    signed = name == "quantized_bits"
    if name != "quantized_relu" and not (signed and not given.get("keep_negative", 1)):
        return False
    bits, integer = given.get("bits", 8), given.get("integer", 0)
    others = {key: value for key, value in given.items() if key in ("use_sigmoid", "negative_slope") and value}
    return (bits, integer) == (form.width, form.integer) and not others


def _text(form: FixedPoint) -> str:
    return f"{form.width} bits, {form.integer} of them integer,"


def _other(layer: Layer, expected: str, name: str, given: Mapping[str, Any]) -> ValueError:
    settings = ", ".join(f"{key} {value}" for key, value in given.items() if value not in (None, False))
    got = shown(f"{name} {settings}".strip(), quoted=False)
    return ValueError(f"layer {layer.name!r} ({layer.kind}): expected {expected} got {got}")


def _refused(layer: Layer, spec: EncoderSpec) -> ValueError:
    return ValueError(
        f"layer {shown(layer.name)} ({shown(layer.kind, quoted=False)}) is none that {spec.name} computes, and it "
        "cannot be folded into the weights"
    )


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
    """Zeros that Keras' ``same`` puts before and after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
