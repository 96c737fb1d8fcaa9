"""What each element of a network can be when its weights are constants: interval arithmetic, code by code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, round_shift
from sim.network.nodes import Add, ArgMax, Node, Pool, Store, Tensor, WeightedSum, Wire
from sim.network.spec import INPUT, NetworkSpec

__all__ = ["code_ranges"]

Ranges = npt.NDArray[np.int64]
"""Smallest and largest code of each element; shape (elements, 2)."""


def code_ranges(spec: NetworkSpec, weights: Mapping[str, Any]) -> dict[str, Ranges]:
    """Smallest and largest code of every element of the input and of every node; shape (elements, 2) each.

    Elements are taken as independent of each other, so that a range may be wider than what occurs, never narrower.

    Parameters
    ----------
    spec : NetworkSpec
    weights : mapping of str
        Of each layer an object with the codes of its ``weights`` and ``biases``.
    """
    size = spec.tensors[INPUT].size
    found = {INPUT: np.tile(np.array([spec.input.min_code, spec.input.max_code]), (size, 1))}
    for name, node in spec.nodes.items():
        inputs = [found[x] for x in node.inputs]
        found[name] = _node(node, inputs, [spec.tensors[x] for x in node.inputs], weights.get(name))
    return found


def _node(node: Node, inputs: list[Ranges], tensors: list[Tensor], weights: Any) -> Ranges:
    fraction = tensors[0].form.fraction
    match node:
        case WeightedSum():
            return _stored(_sums(node, inputs[0], tensors[0], weights), node.accumulator.fraction, node.result)
        case Store():
            return _kept(node, inputs[0], fraction)
        case Wire():
            return np.concatenate([*inputs, np.zeros((1, 2), np.int64)])[list(node.sources)]
        case Pool(mean=True):
            each = [inputs[0][list(window)].sum(axis=0) for window in node.windows]
            bits = [len(window).bit_length() - 1 for window in node.windows]
            return np.stack([_stored(e[None], fraction + b, node.result)[0] for e, b in zip(each, bits, strict=True)])
        case Pool():
            each = [inputs[0][list(window)].max(axis=0) for window in node.windows]
            return _stored(np.stack(each), fraction, node.result)
        case Add():
            common = max(tensor.form.fraction for tensor in tensors)
            left, right = (x << (common - t.form.fraction) for x, t in zip(inputs, tensors, strict=True))
            return _stored(left - right[:, ::-1] if node.subtract else left + right, common, node.result)
        case ArgMax():
            one = int(node.result.requantise([1], 0)[0])
            return np.tile(np.array([min(0, one), max(0, one)]), (len(inputs[0]), 1))
    raise TypeError(f"expected a kind of node that is known, got {node.kind}")


def _sums(node: WeightedSum, x: Ranges, tensor: Tensor, weights: Any) -> Ranges:
    """Sums of a layer, wrapped as the accumulator wraps them."""
    drop, mode, form = node.shift(tensor.form), node.accumulator.rounding, node.accumulator
    up = form.fraction - node.bias.fraction
    sums = []
    for output, taps in enumerate(node.taps(tensor.size)):
        bias = int(weights.biases[node.bias_of(output)]) << up
        sources = [source for source, _ in taps]
        # a product is monotonous in its input, and so is its rounding
        ends = x[sources] * np.array([int(weights.weights[w]) for _, w in taps], np.int64)[:, None]
        rounded = round_shift(ends, drop, mode)
        sums.append((bias + int(rounded.min(axis=1).sum()), bias + int(rounded.max(axis=1).sum())))
    return _fitted(np.array(sums, np.int64).reshape(-1, 2), form)


def _kept(node: Store, x: Ranges, fraction: int) -> Ranges:
    """A store; the limit of its rectifier counts in units."""
    whole = max(fraction, 0)
    x = x << (whole - fraction)
    if node.relu:
        x = np.clip(x, 0, None if node.most is None else node.most << whole)
    return _stored(x, whole, node.result)


def _stored(values: Ranges, fraction: int, form: FixedPoint) -> Ranges:
    return _fitted(round_shift(values, fraction - form.fraction, form.rounding), form)


def _fitted(values: IntArray, form: FixedPoint) -> Ranges:
    """Ranges after the overflow rule of a format: its whole range where a value may leave it."""
    inside = (values[:, :1] >= form.min_code) & (values[:, 1:] <= form.max_code)
    clipped = form.fit(values)
    # clipping keeps the order of values, the other rules do not
    ordered = inside if form.overflow not in ("SAT", "SAT_SYM") else np.ones_like(inside)
    fitted: Ranges = np.where(ordered, clipped, np.array([[form.min_code, form.max_code]]))
    return fitted
