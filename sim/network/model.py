"""The golden model: codes of every node from codes of the input, exactly.

Sums that lose nothing go through the floating-point matrix product of NumPy, which is exact as long as no sum leaves
2**53 and far faster than integers; layers that round single products have a compiled kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, Rounding, wrap
from sim.network.nodes import Add, ArgMax, Node, Pool, Store, Tensor, WeightedSum, Wire
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights

__all__ = ["Network"]

_CHUNK = 1 << 12
"""Samples at a time: what they need stays in the cache."""
_EXACT = 53
"""Bits of an integer that float64 holds."""


@dataclass(frozen=True, eq=False)
class _Block:
    """Outputs that read the same inputs: a matrix of weights."""

    inputs: IntArray
    outputs: IntArray
    weights: IntArray


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
        reals = np.asarray(values, np.float64)
        size = self.spec.tensors[INPUT].size
        if reals.ndim < 1 or reals.shape[1:] not in (self.spec.input_shape, (size,)):
            raise ValueError(
                f"input: expected shape (n, {', '.join(map(str, self.spec.input_shape))}), got {reals.shape}"
            )
        return self.spec.input.encode(reals).reshape(-1, size)

    def trace(self, codes: npt.ArrayLike) -> dict[str, IntArray]:
        """Codes of the input and of every node, each of shape (n, elements).

        Raises
        ------
        ValueError
            If the input has another shape, or codes that its format has not.
        """
        found = {INPUT: self._checked(codes)}
        for name, node in self.spec.nodes.items():
            found[name] = self._node(name, node, found)
        return found

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
        results = np.empty((len(rows), sum(self.spec.tensors[name].size for name in self.spec.outputs)), np.int64)
        for first in range(0, len(rows), _CHUNK):
            found = {INPUT: rows[first : first + _CHUNK]}
            for name, node in self.spec.nodes.items():
                found[name] = self._node(name, node, found)
            results[first : first + _CHUNK] = np.concatenate([found[name] for name in self.spec.outputs], axis=1)
        return results

    def predict(self, values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real values of all outputs side by side, of real input values; see `encode` and `codes`."""
        codes = self.codes(self.encode(values))
        fractions = [self.spec.tensors[name].form.fraction for name in self.spec.outputs]
        sizes = [self.spec.tensors[name].size for name in self.spec.outputs]
        reals: npt.NDArray[np.float64] = np.ldexp(codes.astype(np.float64), -np.repeat(fractions, sizes))
        return reals

    def _checked(self, codes: npt.ArrayLike) -> IntArray:
        size = self.spec.tensors[INPUT].size
        rows = self.spec.input.check(codes, "input")
        if rows.ndim != 2 or rows.shape[1] != size:
            raise ValueError(f"input: expected codes of shape (n, {size}), got {rows.shape}")
        return rows

    def _node(self, name: str, node: Node, found: dict[str, IntArray]) -> IntArray:
        inputs = [found[x] for x in node.inputs]
        tensors = [self.spec.tensors[x] for x in node.inputs]
        match node:
            case WeightedSum():
                return self._weighted(name, node, inputs[0], tensors[0])
            case Store():
                return _stored(node, inputs[0], tensors[0].form)
            case Wire():
                rows = np.concatenate([*inputs, np.zeros((len(inputs[0]), 1), np.int64)], axis=1)
                return rows[:, list(node.sources)]
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
    def _blocks(self) -> dict[str, list[_Block]]:
        """For each layer its outputs by the inputs that they read."""
        result = {}
        for name, node in self.spec.layers.items():
            alike: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
            for output, taps in enumerate(node.taps(self.spec.size_into(name))):
                alike.setdefault(tuple(x for x, _ in taps), []).append((output, tuple(w for _, w in taps)))
            codes = self.weights.weights[name]
            result[name] = [
                _Block(
                    np.array(inputs, np.int64), np.array([output for output, _ in of]),
                    codes[np.array([weights for _, weights in of], np.int64).T],
                )
                for inputs, of in alike.items()
            ]  # fmt: skip
        return result

    def _weighted(self, name: str, node: WeightedSum, x: IntArray, tensor: Tensor) -> IntArray:
        form = node.accumulator
        blocks = self._blocks[name]
        shift = node.shift(tensor.form)
        low, high = node.bounds(tensor.form, max(len(block.inputs) for block in blocks))
        exact = shift <= 0 and max(abs(low), abs(high)) < 1 << _EXACT
        sums = np.empty((len(x), sum(len(block.outputs) for block in blocks)), np.int64)
        reals = x.astype(np.float64) if exact else None
        for block in blocks:
            if not len(block.inputs):
                sums[:, block.outputs] = 0
            elif reals is not None:
                products = reals[:, block.inputs] @ block.weights.astype(np.float64)
                sums[:, block.outputs] = products.astype(np.int64)
            else:
                rows = np.ascontiguousarray(x[:, block.inputs])
                sums[:, block.outputs] = _rounded_products(rows, block.weights, max(shift, 0), _MODES[form.rounding])
        if shift < 0:
            sums <<= -shift
        biases = self.weights.biases[name] << (form.fraction - node.bias.fraction)
        sums += biases[[node.bias_of(output) for output in range(sums.shape[1])]]
        # only WRAP acts here: a spec with another overflow is one in which no sum leaves the range
        return node.result.requantise(_fit(sums, form), form.fraction)


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
