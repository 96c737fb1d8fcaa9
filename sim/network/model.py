"""The golden model: codes of every node from codes of the input, exactly.

Layers that lose no bit of a product, and stores, are computed in floating point that holds every integer exactly
(`sim.network.float_model`); layers that round single products have a compiled kernel, the rest is in int64.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, Rounding, wrap
from sim.network.float_model import Block, FloatLayer, encode_rows, store_layer, sum_layer
from sim.network.nodes import Add, ArgMax, Node, Pool, Store, Tensor, WeightedSum, Wire
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights

__all__ = ["Network", "finished"]

_CHUNK = 1 << 11
"""Samples at a time: what they need stays in the cache."""

Codes = npt.NDArray[Any]
"""Codes in int64, float32 or float64."""


class Network:
    """A network with its weights.

    Parameters
    ----------
    weights : NetworkWeights
    """

    def __init__(self, weights: NetworkWeights) -> None:
        self.weights = weights
        self.spec: NetworkSpec = weights.spec

    def encode(self, values: npt.ArrayLike) -> IntArray:
        """Real input values as codes, shape (n, elements).

        Parameters
        ----------
        values : array_like of float, shape (n, *input_shape) or (n, elements)

        Raises
        ------
        ValueError
            If the shape is another, or a value is not finite.
        """
        return self.spec.input.encode(self._shaped(values))

    def _shaped(self, values: npt.ArrayLike) -> npt.NDArray[Any]:
        reals = np.asarray(values)
        if reals.dtype != np.float32:
            reals = reals.astype(np.float64, copy=False)
        size = self.spec.tensors[INPUT].size
        if reals.ndim < 1 or reals.shape[1:] not in (self.spec.input_shape, (size,)):
            raise ValueError(
                f"input: expected shape (n, {', '.join(map(str, self.spec.input_shape))}), got {reals.shape}"
            )
        return reals.reshape(-1, size)

    def trace(self, codes: npt.ArrayLike) -> dict[str, IntArray]:
        """Codes of the input and of every node, each of shape (n, elements).

        Raises
        ------
        ValueError
            If the input has another shape, or codes that its format has not.
        """
        found: dict[str, Codes] = {INPUT: self._checked(codes)}
        for name, node in self.spec.nodes.items():
            found[name] = self._node(name, node, found)
        return {name: _integers(values) for name, values in found.items()}

    def codes(self, codes: npt.ArrayLike) -> IntArray:
        """Codes of all outputs side by side, shape (n, elements of all outputs).

        Parameters
        ----------
        codes : array_like of int, shape (n, elements of the input)

        Raises
        ------
        ValueError
            As `trace`.
        """
        rows = self._checked(codes)
        results = np.empty((len(rows), self._outputs), np.int64)
        buffers: dict[str, Codes] = {}
        for first in range(0, len(rows), _CHUNK):
            self._run(rows[first : first + _CHUNK], results[first : first + _CHUNK], buffers)
        return results

    def predict(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real values of all outputs side by side, of real input values; see `encode` and `codes`."""
        reals = self._shaped(values)
        results = np.empty((len(reals), self._outputs), np.float64)
        buffers: dict[str, Codes] = {}
        for first in range(0, len(reals), _CHUNK):
            rows = reals[first : first + _CHUNK]
            codes: Codes | None = encode_rows(rows, self.spec.input)
            if codes is None:
                if not np.isfinite(rows).all():
                    self.encode(reals)  # says which
                codes = self.spec.input.encode(rows)
            self._run(codes, results[first : first + _CHUNK], buffers)
        fractions = [self.spec.tensors[name].form.fraction for name in self.spec.outputs]
        sizes = [self.spec.tensors[name].size for name in self.spec.outputs]
        np.ldexp(results, -np.repeat(fractions, sizes), out=results)
        return results

    @cached_property
    def _outputs(self) -> int:
        """Elements of all outputs."""
        return sum(self.spec.tensors[name].size for name in self.spec.outputs)

    def _run(self, codes: Codes, results: Codes, buffers: dict[str, Codes]) -> None:
        """Results of a chunk, written into theirs; buffers of layers are kept from chunk to chunk."""
        found: dict[str, Codes] = {INPUT: codes}
        for name, node in self.spec.nodes.items():
            if name in self._joined:
                continue
            if (joined := self._joined_layers.get(name)) is not None:
                last, layer = joined
                if name not in buffers:
                    buffers[name] = np.empty((len(codes), self.spec.tensors[last].size), layer.kind)
                found[last] = layer.compute(found[node.inputs[0]], buffers[name])
            else:
                found[name] = self._node(name, node, found)
        np.concatenate([found[name] for name in self.spec.outputs], axis=1, out=results, casting="unsafe")

    def _checked(self, codes: npt.ArrayLike) -> IntArray:
        size = self.spec.tensors[INPUT].size
        rows = self.spec.input.check(codes, "input")
        if rows.ndim != 2 or rows.shape[1] != size:
            raise ValueError(f"input: expected codes of shape (n, {size}), got {rows.shape}")
        return rows

    def _node(self, name: str, node: Node, found: dict[str, Codes]) -> Codes:
        if (layer := self._float_layers.get(name)) is not None:
            return layer.compute(found[node.inputs[0]])
        if isinstance(node, Wire):
            return _wired(node, [found[x] for x in node.inputs])
        inputs = [_integers(found[x]) for x in node.inputs]
        tensors = [self.spec.tensors[x] for x in node.inputs]
        match node:
            case WeightedSum():
                return self._weighted(name, node, inputs[0], tensors[0])
            case Store():
                return _stored(node, inputs[0], tensors[0].form)
            case Pool():
                return _pooled(node, inputs[0], tensors[0].form)
            case Add():
                fraction = max(x.form.fraction for x in tensors)
                a, b = (x << (fraction - t.form.fraction) for x, t in zip(inputs, tensors, strict=True))
                return node.result.requantise(a - b if node.subtract else a + b, fraction)
            case ArgMax():
                first = np.argmax(inputs[0], axis=1)
                one = int(node.result.requantise(1, 0))
                return np.where(np.arange(inputs[0].shape[1]) == first[:, None], one, 0)
        raise TypeError(f"{name}: expected a known kind of node, got {type(node).__name__}")

    @cached_property
    def _joined_layers(self) -> dict[str, tuple[str, FloatLayer]]:
        """Layers that floating point computes exactly, with the stores behind them: name of the result, and layer."""
        layers: dict[str, tuple[str, FloatLayer]] = {}
        for name, node in self.spec.layers.items():
            followers = self.spec.stores_behind(name)
            if followers or name in self._float_layers:
                stores = [store for follower in followers if isinstance(store := self.spec.nodes[follower], Store)]
                form = self.spec.tensors[node.inputs[0]].form
                layer = sum_layer(node, form, self._bounds(node), self._blocks[name], self._biases[name], stores)
                if layer is not None:
                    layers[name] = (name, *followers)[-1], layer
        return layers

    @cached_property
    def _joined(self) -> set[str]:
        """Stores that are part of a joined layer."""
        return {store for name in self._joined_layers for store in self.spec.stores_behind(name)}

    def _bounds(self, node: Node) -> tuple[int, int]:
        """Smallest and largest code of the input of a node."""
        before = self._float_layers.get(node.inputs[0])
        form = self.spec.tensors[node.inputs[0]].form
        return before.bounds if before else (form.min_code, form.max_code)

    @cached_property
    def _float_layers(self) -> dict[str, FloatLayer]:
        """Nodes that floating point computes exactly, by name; bounds of their results decide about the next."""
        layers: dict[str, FloatLayer] = {}
        for name, node in self.spec.nodes.items():
            tensor = self.spec.tensors[node.inputs[0]]
            before = layers.get(node.inputs[0])
            bounds = before.bounds if before else (tensor.form.min_code, tensor.form.max_code)
            layer = None
            if isinstance(node, WeightedSum):
                layer = sum_layer(node, tensor.form, bounds, self._blocks[name], self._biases[name])
            elif isinstance(node, Store):
                layer = store_layer(node, tensor.form.fraction, bounds)
            if layer is not None:
                layers[name] = layer
        return layers

    @cached_property
    def _blocks(self) -> dict[str, list[Block]]:
        """For each layer its outputs by the inputs that they read."""
        result = {}
        for name, node in self.spec.layers.items():
            alike: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
            for output, taps in enumerate(node.taps(self.spec.size_into(name))):
                alike.setdefault(tuple(x for x, _ in taps), []).append((output, tuple(w for _, w in taps)))
            codes = self.weights.weights[name]
            result[name] = [
                Block(
                    np.array(inputs, np.int64), np.array([output for output, _ in of]),
                    codes[np.array([weights for _, weights in of], np.int64).T],
                )
                for inputs, of in alike.items()
            ]  # fmt: skip
        return result

    @cached_property
    def _biases(self) -> dict[str, IntArray]:
        """For each layer the biases of its outputs, in the accumulator's fraction bits."""
        result = {}
        for name, node in self.spec.layers.items():
            outputs = self.spec.tensors[name].size
            codes = self.weights.biases[name][[node.bias_of(output) for output in range(outputs)]]
            result[name] = codes << (node.accumulator.fraction - node.bias.fraction)
        return result

    def _weighted(self, name: str, node: WeightedSum, x: IntArray, tensor: Tensor) -> IntArray:
        return finished(node, self._sums(name, node, x, tensor))

    def _sums(self, name: str, node: WeightedSum, x: IntArray, tensor: Tensor) -> IntArray:
        """Sums with bias in the accumulator's fraction bits, before they wrap."""
        form, shift = node.accumulator, node.shift(tensor.form)
        sums = np.empty((len(x), self.spec.tensors[name].size), np.int64)
        for block in self._blocks[name]:
            rows = np.ascontiguousarray(x[:, block.inputs])
            sums[:, block.outputs] = _rounded_products(rows, block.weights, max(shift, 0), _MODES[form.rounding])
        if shift < 0:
            sums <<= -shift
        sums += self._biases[name]
        return sums

    def sums(self, name: str, found: dict[str, IntArray]) -> IntArray:
        """Sums of a layer with weights before they wrap, of what `trace` found.

        Parameters
        ----------
        name : str
            Of the layer.
        found : dict of str to ndarray of int64
            Codes by node.
        """
        node = self.spec.layers[name]
        x = node.inputs[0]
        return self._sums(name, node, found[x], self.spec.tensors[x])

    def after(self, name: str, codes: IntArray, found: dict[str, IntArray]) -> IntArray:
        """Codes of all outputs side by side where one node gives other codes.

        Parameters
        ----------
        name : str
            Of the node.
        codes : ndarray of int64, shape (m n, elements)
            In its place: m times for each of the n samples, one set of samples after the other.
        found : dict of str to ndarray of int64
            Codes of the samples by node, from `trace`.
        """
        changed: dict[str, Codes] = {name: codes}
        times = len(codes) // len(found[name])
        for other, node in self.spec.nodes.items():
            if other != name and any(x in changed for x in node.inputs):
                inputs = {x: changed[x] if x in changed else np.tile(found[x], (times, 1)) for x in node.inputs}
                changed[other] = self._node(other, node, inputs)
        return np.concatenate(
            [
                _integers(changed[output]) if output in changed else np.tile(found[output], (times, 1))
                for output in self.spec.outputs
            ],
            axis=1,
        )


def finished(node: WeightedSum, sums: IntArray) -> IntArray:
    """Results of sums in the accumulator's fraction bits."""
    form = node.accumulator
    # only WRAP acts here: a spec with another overflow is one in which no sum leaves the range
    return node.result.requantise(_fit(sums, form), form.fraction)


def _integers(values: Codes) -> IntArray:
    return values.astype(np.int64, copy=False)


def _wired(node: Wire, inputs: list[Codes]) -> Codes:
    if len({values.dtype for values in inputs}) > 1:
        inputs = [_integers(values) for values in inputs]
    rows = np.concatenate([*inputs, np.zeros((len(inputs[0]), 1), inputs[0].dtype)], axis=1)
    return rows[:, list(node.sources)]


def _fit(sums: IntArray, form: FixedPoint) -> IntArray:
    return wrap(sums, form.width) if form.signed else sums & ((1 << form.width) - 1)


def _stored(node: Store, x: IntArray, form: FixedPoint) -> IntArray:
    # a scaled integer in units: the limit need not be a multiple of its step
    fraction = max(form.fraction, 0)
    x = x << (fraction - form.fraction)
    if node.relu:
        x = np.clip(x, 0, None if node.most is None else node.most << fraction)
    return node.result.requantise(x, fraction)


def _pooled(node: Pool, x: IntArray, form: FixedPoint) -> IntArray:
    result = np.empty((len(x), len(node.windows)), np.int64)
    for place, window in enumerate(node.windows):
        seen = x[:, list(window)]
        if node.mean:
            result[:, place] = node.result.requantise(seen.sum(axis=1), form.fraction + len(window).bit_length() - 1)
        else:
            result[:, place] = node.result.requantise(seen.max(axis=1), form.fraction)
    return result


_MODES = {mode: number for number, mode in enumerate(Rounding)}
_TRN, _RND, _RND_CONV, _RND_ZERO, _RND_INF, _RND_MIN_INF, _TRN_ZERO = range(7)
assert list(_MODES) == [
    Rounding.TRN, Rounding.RND, Rounding.RND_CONV, Rounding.RND_ZERO, Rounding.RND_INF, Rounding.RND_MIN_INF,
    Rounding.TRN_ZERO,
]  # fmt: skip


@numba.njit(cache=True)
def _rounded_products(x: IntArray, weights: IntArray, shift: int, mode: int) -> IntArray:
    """``sum over k of round(x[n, k] * weights[k, m] / 2**shift)``, each product by a mode of rounding."""
    sums = np.zeros((x.shape[0], weights.shape[1]), np.int64)
    half = (1 << shift) >> 1
    for n in range(x.shape[0]):
        for k in range(x.shape[1]):
            factor = x[n, k]
            if mode == _TRN:
                for m in range(weights.shape[1]):
                    sums[n, m] += (factor * weights[k, m]) >> shift
                continue
            for m in range(weights.shape[1]):
                product = factor * weights[k, m]
                floor = product >> shift
                dropped = product - (floor << shift)
                up = dropped > half
                if mode == _RND:
                    up = dropped >= half and shift > 0
                elif mode == _TRN_ZERO:
                    up = dropped > 0 and product < 0
                elif dropped == half and shift > 0:
                    if mode == _RND_CONV:
                        up = floor & 1 == 1
                    elif mode == _RND_ZERO:
                        up = product < 0
                    elif mode == _RND_INF:
                        up = product >= 0
                sums[n, m] += floor + up
    return sums
