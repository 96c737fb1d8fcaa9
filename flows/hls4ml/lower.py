"""A graph of hls4ml as a network: every layer with its very arithmetic, or a refusal that names layer and reason.

What is equal to hls4ml's C++ is: products stored one by one in ``accum_t``, sums that wrap, results stored in
``result_t``, rectifiers as a second store; batch normalisation exact and stored once; weights rounded to the decimals
that hls4ml's writer prints before their type truncates them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, Overflow, Rounding
from sim.network.nodes import (
    Add,
    ArgMax,
    Convolution,
    Dense,
    Node,
    Pool,
    Scale,
    Store,
    Tensor,
    WeightedSum,
    Wire,
    exact_accumulator,
)
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights

__all__ = ["RefusedLayerError", "lower"]


_Maker = Callable[[dict[str, Any]], WeightedSum]
"""Makes a node of the four formats of a weighted sum."""


class RefusedLayerError(ValueError):
    """A layer of the graph that would not be exact; the message says which, why, and what helps."""


def _refuse(node: Any, reason: str) -> RefusedLayerError:
    return RefusedLayerError(f"layer {node.name} ({node.class_name}): {reason}")


def fixed_point(node: Any, role: str, precision: Any) -> FixedPoint:
    """A precision of hls4ml as a number format.

    Raises
    ------
    RefusedLayerError
        If it is no fixed-point type, or one that no `FixedPoint` can be.
    """
    kind = type(precision).__name__
    if kind not in ("FixedPrecisionType", "IntegerPrecisionType"):
        raise _refuse(node, f"{role}: expected a fixed-point type, got {precision} ({kind})")
    if getattr(precision, "saturation_bits", 0):
        raise _refuse(node, f"{role}: expected no saturation bits, got {precision}")
    try:
        return FixedPoint(
            width=int(precision.width), fraction=int(precision.width) - int(precision.integer),
            signed=bool(precision.signed), rounding=Rounding(str(precision.rounding_mode)),
            overflow=Overflow(str(precision.saturation_mode)),
        )  # fmt: skip
    except ValueError as error:
        raise _refuse(node, f"{role}: {error}") from None


@dataclass(frozen=True)
class _Value:
    """What an output variable of the graph is in the network."""

    name: str
    shape: tuple[int, ...]


class _Lowering:
    """One pass over a graph."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.nodes: dict[str, Node] = {}
        self.tensors: dict[str, Tensor] = {}
        self.values: dict[str, _Value] = {}
        self.weights: dict[str, IntArray] = {}
        self.biases: dict[str, IntArray] = {}
        self.input_shape: tuple[int, ...] = ()

    # --- graph ------------------------------------------------------------------------------------------------------

    def run(self, name: str, clock_period_ns: float) -> NetworkWeights:
        for node in self.graph.get_layers():
            step = _STEPS.get(node.class_name)
            if step is None:
                known = ", ".join(sorted(_STEPS))
                raise _refuse(node, f"no exact counterpart; layers that have one: {known}")
            value = step(self, node)
            self.values.update(dict.fromkeys(node.outputs, value))
        outputs = tuple(self.values[variable].name for variable in self.graph.outputs)
        if not self.nodes or INPUT in outputs:
            raise RefusedLayerError(f"{name}: expected a network with layers, got none")
        spec = NetworkSpec(
            name=name, input_shape=self.input_shape, input=self.tensors[INPUT].form, nodes=self.nodes,
            outputs=outputs, clock_period_ns=clock_period_ns,
        )  # fmt: skip
        return NetworkWeights(spec=spec, weights=self.weights, biases=self.biases)

    def source(self, node: Any, number: int = 0) -> _Value:
        """What the node reads."""
        return self.values[node.inputs[number]]

    def result(self, node: Any) -> FixedPoint:
        """Format of the result of a node."""
        return fixed_point(node, "result", node.get_output_variable().type.precision)

    def add(self, layer: Any, new: Node, shape: tuple[int, ...], suffix: str = "") -> _Value:
        """Put a node into the network."""
        name = re.sub(r"\W", "_", layer.name) + suffix
        name = f"n_{name}" if name[0].isdigit() or name == INPUT else name
        while name in self.nodes:
            name += "_"
        try:
            new.check_fields()
            self.tensors[name] = new.output(tuple(self.tensors[x] for x in new.inputs))
        except ValueError as error:
            raise _refuse(layer, str(error)) from None
        self.nodes[name] = new
        return _Value(name, shape)

    def form(self, value: _Value) -> FixedPoint:
        return self.tensors[value.name].form

    # --- layers -----------------------------------------------------------------------------------------------------

    def input(self, node: Any) -> _Value:
        if self.input_shape:
            raise _refuse(node, "expected one input, got a second")
        self.input_shape = tuple(int(size) for size in node.get_output_variable().shape)
        size = int(np.prod(self.input_shape))
        self.tensors[INPUT] = Tensor(size=size, form=self.result(node))
        return _Value(INPUT, self.input_shape)

    def dense(self, node: Any) -> _Value:
        source = self.source(node)
        units = int(node.get_attr("n_out"))
        if len(source.shape) == 1:
            return self.weighted(
                node, source, (units,), "weight", lambda forms: Dense(inputs=(source.name,), units=units, **forms)
            )
        rows, columns, channels = (1, int(np.prod(source.shape[:-1])), source.shape[-1])
        return self.weighted(
            node, source, (*source.shape[:-1], units), "weight",
            lambda forms: Convolution(
                inputs=(source.name,), shape=(rows, columns, channels), kernel=(1, 1), filters=units, **forms
            ),
        )  # fmt: skip

    def convolution(self, node: Any) -> _Value:
        source = self.source(node)
        one = "1D" in node.class_name
        if node.get_attr("data_format", "channels_last") != "channels_last":
            raise _refuse(node, "expected channels last")
        if any(int(node.get_attr(key, 1) or 1) != 1 for key in ("dilation", "dilation_height", "dilation_width")):
            raise _refuse(node, "a dilated kernel has no exact counterpart")
        channels, depthwise = int(node.get_attr("n_chan")), "Depthwise" in node.class_name
        filters = int(node.get_attr("n_filt"))
        shape = (1 if one else _count(node, "in_height"), _count(node, "in_width"), channels)
        kernel = (1 if one else _count(node, "filt_height"), _count(node, "filt_width"))
        out = (1 if one else _count(node, "out_height"), _count(node, "out_width"), filters)
        stride = (1 if one else _count(node, "stride_height"), _count(node, "stride_width"))
        return self.weighted(
            node, source, out[1:] if one else out, "weight",
            lambda forms: Convolution(
                inputs=(source.name,), shape=shape, kernel=kernel, depthwise=depthwise,
                filters=filters // channels if depthwise else filters,
                stride=stride, padding=_padding(node, shape, kernel, out, stride), **forms,
            ),
        )  # fmt: skip

    def scale(self, node: Any) -> _Value:
        source = self.source(node)
        channels = int(np.prod(node.weights["scale"].data.shape))
        size = int(np.prod(source.shape))
        if node.weights["bias"].data.size != channels:
            raise _refuse(node, f"expected as many biases as scales, got {node.weights['bias'].data.size}")
        count = channels if channels > 1 or size == 1 else 1
        return self.weighted(
            node, source, source.shape, "scale", lambda forms: Scale(inputs=(source.name,), channels=count, **forms)
        )

    def weighted(
        self,
        node: Any,
        source: _Value,
        shape: tuple[int, ...],
        role: str,
        make: Callable[[dict[str, Any]], WeightedSum],
    ) -> _Value:
        """A layer with weights: those of its formats that are not two's complement are widened, nothing is lost."""
        form = self.form(source)
        weight, weights = _codes(node, role)
        bias, biases = _codes(node, "bias")
        result = self.result(node)
        if role == "scale":
            accumulator = exact_accumulator(form, weight, bias, 1)
        else:
            accumulator = fixed_point(node, "accum", node.get_attr("accum_t").precision)
            bias, biases = _in_accumulator(bias, biases, accumulator)
        value = self.add(
            node, make({"weight": weight, "bias": bias, "accumulator": accumulator, "result": result}), shape
        )
        count = self.nodes[value.name]
        assert isinstance(count, WeightedSum)
        expected = count.counts(int(np.prod(source.shape)))
        if (weights.size, biases.size) != expected:
            raise _refuse(node, f"expected {expected} weights and biases, got {(weights.size, biases.size)}")
        self.weights[value.name], self.biases[value.name] = weights, biases
        return value

    def activation(self, node: Any) -> _Value:
        source, result = self.source(node), self.result(node)
        kind = str(node.get_attr("activation")).lower()
        if kind == "linear":
            return self.add(node, Store(inputs=(source.name,), result=result), source.shape)
        if kind == "relu":
            return self.add(node, Store(inputs=(source.name,), result=result, relu=True), source.shape)
        if kind in ("relu1", "relu6"):
            most = int(kind[-1])
            return self.add(node, Store(inputs=(source.name,), result=result, relu=True, most=most), source.shape)
        raise _refuse(node, f"expected the activation linear, relu, relu1, relu6 or softmax (argmax), got {kind}")

    def quantiser(self, node: Any) -> _Value:
        """A quantiser of HGQ2: a format for each element, or one for all; elements without bits are zero."""
        source, result = self.source(node), self.result(node)
        masks = [np.broadcast_to(np.asarray(mask), (1, *source.shape)).ravel().astype(int) for mask in node.mask_kbi]
        rounding, overflow = Rounding(str(node.RND)), Overflow(str(node.SAT))
        found: dict[tuple[int, ...], list[int]] = {}
        for place, mask in enumerate(zip(*masks, strict=True)):
            found.setdefault(mask, []).append(place)
        names, order, first = [], np.full(len(masks[0]), -1), 0
        for number, ((signed, width, integer), places) in enumerate(found.items()):
            if width < 1:
                continue
            try:
                form = FixedPoint(
                    width=width, fraction=width - integer, signed=bool(signed), rounding=rounding, overflow=overflow
                )
            except ValueError as error:
                raise _refuse(node, f"element {places[0]}: {error}") from None
            chosen = source
            if len(found) > 1:
                chosen = self.wire(node, (source.name,), np.array(places), f"_in_{number}")
            chosen = self.add(node, Store(inputs=(chosen.name,), result=form), chosen.shape, f"_to_{number}")
            if form != result:
                chosen = self.add(node, Store(inputs=(chosen.name,), result=result), chosen.shape, f"_of_{number}")
            names.append(chosen.name)
            order[places] = np.arange(first, first + len(places))
            first += len(places)
        if not names:
            raise _refuse(node, "no element has a bit")
        if len(found) == 1:
            return _Value(names[0], source.shape)
        return self.wire(node, tuple(names), order.reshape(source.shape))

    def softmax(self, node: Any) -> _Value:
        source = self.source(node)
        if node.get_attr("skip", False):
            return source
        if node.get_attr("implementation") == "argmax" and len(source.shape) == 1:
            return self.add(node, ArgMax(inputs=(source.name,), result=self.result(node)), source.shape)
        raise _refuse(
            node, f"a softmax by tables ({node.get_attr('implementation')}) has no exact counterpart; expected "
            "'Implementation': 'argmax' or 'Skip': True in the configuration of the layer",
        )  # fmt: skip

    def reshape(self, node: Any) -> _Value:
        return _Value(self.source(node).name, tuple(int(size) for size in node.get_output_variable().shape))

    def transpose(self, node: Any) -> _Value:
        source = self.source(node)
        order = np.transpose(_numbers(source.shape), node.get_attr("perm"))
        return self.wire(node, (source.name,), order)

    def padding(self, node: Any) -> _Value:
        source = self.source(node)
        numbers = _numbers(source.shape)
        widths = [(_count(node, "pad_left"), _count(node, "pad_right")), (0, 0)]
        if "2D" in node.class_name:
            widths = [(_count(node, "pad_top"), _count(node, "pad_bottom")), *widths]
        return self.wire(node, (source.name,), np.pad(numbers, widths, constant_values=-1))

    def cropping(self, node: Any) -> _Value:
        source = self.source(node)
        numbers = _numbers(source.shape)
        cut = numbers[..., _count(node, "crop_left") : numbers.shape[-2] - _count(node, "crop_right"), :]
        if "2D" in node.class_name:
            cut = cut[_count(node, "crop_top") : len(cut) - _count(node, "crop_bottom")]
        return self.wire(node, (source.name,), cut)

    def concatenate(self, node: Any) -> _Value:
        result = self.result(node)
        numbers, names, first = [], [], 0
        for place in range(len(node.inputs)):
            source = self.source(node, place)
            value = self.add(node, Store(inputs=(source.name,), result=result), source.shape, f"_{place}")
            numbers.append(_numbers(source.shape) + first)
            names.append(value.name)
            first += int(np.prod(source.shape))
        axis = int(node.get_attr("axis"))
        return self.wire(node, tuple(names), np.concatenate(numbers, axis=axis - 1 if axis > 0 else axis))

    def wire(self, node: Any, inputs: tuple[str, ...], order: npt.NDArray[np.int64], suffix: str = "") -> _Value:
        sources = tuple(int(number) for number in order.ravel())
        return self.add(node, Wire(inputs=inputs, sources=sources), order.shape, suffix)

    def merge(self, node: Any) -> _Value:
        operation = str(node.get_attr("op")).lower()
        a, b = self.source(node, 0), self.source(node, 1)
        if operation not in ("add", "subtract") or a.shape != b.shape:
            raise _refuse(node, f"expected add or subtract of equal shapes, got {operation} of {a.shape} and {b.shape}")
        new = Add(inputs=(a.name, b.name), result=self.result(node), subtract=operation == "subtract")
        return self.add(node, new, a.shape)

    def pool(self, node: Any) -> _Value:
        source, result = self.source(node), self.result(node)
        one, whole = "1D" in node.class_name, "Global" in node.class_name
        if node.get_attr("data_format", "channels_last") != "channels_last":
            raise _refuse(node, "expected channels last")
        shape = (1, *source.shape) if one else source.shape
        numbers = _numbers(shape)
        size = stride = shape[:2]
        pads = [(0, 0)] * 3
        if not whole:
            size = (1 if one else _count(node, "pool_height"), _count(node, "pool_width"))
            stride = (1 if one else _count(node, "stride_height"), _count(node, "stride_width"))
            pads[1] = (_count(node, "pad_left"), _count(node, "pad_right"))
            pads[0] = (0, 0) if one else (_count(node, "pad_top"), _count(node, "pad_bottom"))
        mean = node.get_attr("pool_op") == "Average"
        if any(map(any, pads)) and mean:
            raise _refuse(node, "a mean over padding has no exact counterpart")
        if any(map(any, pads)) and not self.form(source).signed:
            raise _refuse(node, "hls4ml pads unsigned inputs of a maximum with half of their range; pad them before it")
        numbers = np.pad(numbers, pads, constant_values=-1)
        rows = range(0, numbers.shape[0] - size[0] + 1, stride[0])
        columns = range(0, numbers.shape[1] - size[1] + 1, stride[1])
        windows = tuple(
            tuple(int(i) for i in numbers[row : row + size[0], column : column + size[1], channel].ravel() if i >= 0)
            for row in rows
            for column in columns
            for channel in range(numbers.shape[2])
        )
        if mean:
            self._exact_mean(node, self.form(source), windows)
        elif not _holds(fixed_point(node, "accum", node.get_attr("accum_t").precision), self.form(source)):
            raise _refuse(node, "expected an accumulator that holds every input")
        out = (numbers.shape[2],) if whole else (len(rows), len(columns), numbers.shape[2])
        return self.add(
            node,
            Pool(inputs=(source.name,), windows=windows, result=result, mean=mean),
            out[1:] if one and not whole else out,
        )

    def _exact_mean(self, node: Any, form: FixedPoint, windows: tuple[tuple[int, ...], ...]) -> None:
        """hls4ml divides in the accumulator; only one that keeps sum and quotient whole gives the mean."""
        accumulator = fixed_point(node, "accum", node.get_attr("accum_t").precision)
        grown = max(map(len, windows)).bit_length() - 1
        needed = replace(form, width=form.width + 2 * grown, fraction=form.fraction + grown)
        if not _holds(accumulator, needed):
            raise _refuse(
                node, f"a mean of {max(map(len, windows))} elements needs an accumulator of {needed.integer} integer "
                f"and {needed.fraction} fraction bits to be exact, got {accumulator}",
            )  # fmt: skip


def _holds(form: FixedPoint, other: FixedPoint) -> bool:
    """Whether every value of another format is one of this format."""
    sign = int(form.signed and not other.signed)
    return (
        (form.signed or not other.signed) and form.fraction >= other.fraction and form.integer >= other.integer + sign
    )


def _numbers(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)


def _count(node: Any, key: str) -> int:
    """An attribute that counts; 0 where the layer has none."""
    return int(node.get_attr(key, 0) or 0)


def _padding(
    node: Any, shape: tuple[int, ...], kernel: tuple[int, int], out: tuple[int, ...], stride: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Padding at top and left as the layer has it, at bottom and right what its output shape needs."""
    top = _count(node, "pad_top") if "2D" in node.class_name else 0
    left = _count(node, "pad_left")
    bottom = max(0, (out[0] - 1) * stride[0] + kernel[0] - shape[0] - top)
    right = max(0, (out[1] - 1) * stride[1] + kernel[1] - shape[1] - left)
    return top, bottom, left, right


def _codes(node: Any, role: str) -> tuple[FixedPoint, IntArray]:
    """Weights as their type stores them, in a two's complement format."""
    variable = node.weights[role]
    precision = variable.type.precision
    printed = np.array([float(text) for text in variable], np.float64)
    if type(precision).__name__ == "XnorPrecisionType":
        return FixedPoint(width=2, fraction=0, signed=True), np.where(printed == 0, -1, 1)
    if type(precision).__name__ == "ExponentPrecisionType":
        raise _refuse(node, f"{role}: powers of two are not stored as codes; expected a fixed-point type")
    form = fixed_point(node, role, precision)
    codes = form.encode(printed)
    return (form if form.signed else replace(form, width=form.width + 1, signed=True)), codes


def _in_accumulator(bias: FixedPoint, codes: IntArray, accumulator: FixedPoint) -> tuple[FixedPoint, IntArray]:
    """Biases as the sum starts from them, stored in the accumulator's format, in no more bits than both formats have.

    Every bias that the format of the layer has can be loaded so, not only the trained ones.
    """
    fraction = min(bias.fraction, accumulator.fraction)
    integer = min(bias.integer, accumulator.integer)
    form = FixedPoint(width=max(1, integer + fraction), fraction=fraction, signed=True)
    return form, form.requantise(accumulator.requantise(codes, bias.fraction), accumulator.fraction)


_STEPS: dict[str, Callable[[_Lowering, Any], _Value]] = {
    "Input": _Lowering.input,
    "Dense": _Lowering.dense,
    **dict.fromkeys(
        ("Conv1D", "Conv2D", "PointwiseConv1D", "PointwiseConv2D", "DepthwiseConv1D", "DepthwiseConv2D"),
        _Lowering.convolution,
    ),
    **dict.fromkeys(("BatchNormalization", "ApplyAlpha"), _Lowering.scale),
    "Activation": _Lowering.activation,
    **dict.fromkeys(("FixedPointQuantizer", "HGQ>FixedPointQuantizer"), _Lowering.quantiser),
    "Softmax": _Lowering.softmax,
    "Reshape": _Lowering.reshape,
    "Transpose": _Lowering.transpose,
    **dict.fromkeys(("ZeroPadding1D", "ZeroPadding2D"), _Lowering.padding),
    **dict.fromkeys(("Cropping1D", "Cropping2D"), _Lowering.cropping),
    "Concatenate": _Lowering.concatenate,
    "Merge": _Lowering.merge,
    **dict.fromkeys(("Pooling1D", "Pooling2D", "GlobalPooling1D", "GlobalPooling2D"), _Lowering.pool),
}
"""By the class of a layer. Those of hls4ml that are missing here have arithmetic (tables, states) that no node has."""


def lower(graph: Any) -> NetworkWeights:
    """The network of a graph with its weights.

    Parameters
    ----------
    graph : hls4ml.model.graph.ModelGraph
        After the flows of the backend.

    Raises
    ------
    RefusedLayerError
        If a layer has no exact counterpart.
    """
    name = re.sub(r"\W", "_", str(graph.config.get_project_name()))
    return _Lowering(graph).run(name, float(graph.config.get_config_value("ClockPeriod", 25.0)))
