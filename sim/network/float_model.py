"""Layers in floating point that holds every integer exactly: what makes the golden model fast.

A layer works in float32 while none of its values can leave 2**24, else in float64 up to 2**53; bounds come from formats
and from the weights. Sums are BLAS' matrix products, and a format is stored in place by NumPy's vectorised floor, rint,
minimum and maximum: powers of two scale exactly, so nothing is approximated. A layer that fits neither type, or rounds
single products, has no such form; `sim.network.model` computes it in int64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, Overflow, Rounding
from sim.network.nodes import Store, WeightedSum

__all__ = ["Block", "FloatLayer", "store_layer", "sum_layer"]

Reals = npt.NDArray[Any]
"""Integers as float32 or float64."""
Operation = Callable[[Reals], object]
"""Changes an array in place."""
_TYPES = ((np.float32, 24), (np.float64, 53))


@dataclass(frozen=True, eq=False)
class Block:
    """Outputs that read the same inputs: a matrix of weights, shape (inputs, outputs)."""

    inputs: IntArray
    outputs: IntArray
    weights: IntArray


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """One node in floating point.

    Attributes
    ----------
    compute : callable
        Codes of its result from codes of its input, in any type; the input is not changed.
    bounds : tuple of int
        Smallest and largest code of the result that these weights allow.
    """

    compute: Callable[[npt.NDArray[Any]], Reals]
    bounds: tuple[int, int]


class _Stores:
    """Operations in place that store integers between bounds, and the largest magnitude on the way."""

    def __init__(self, fraction: int, bounds: tuple[int, int]) -> None:
        self.fraction, self.bounds = fraction, bounds
        self.operations: list[Operation] = []
        self.most = max(map(abs, bounds))

    def scale(self, up: int) -> None:
        """Append fraction bits, or make integers into multiples of ``2**up`` that are to be rounded."""
        self.operations.append(lambda x: np.multiply(x, x.dtype.type(2.0**up), out=x))
        if up > 0:
            self.bounds = self.bounds[0] << up, self.bounds[1] << up
        # a half more, before it is rounded down, takes one bit more
        self.most = max(self.most, *map(abs, self.bounds), max(map(abs, self.bounds)) + (1 << max(-up, 0)))
        self.fraction += up

    def rectify(self, most: int | None) -> None:
        """``max(x, 0)``, and ``min(x, most)`` in units where there is a limit."""
        if self.bounds[0] < 0:
            self.operations.append(lambda x: np.maximum(x, 0, out=x))
        self.bounds = max(0, self.bounds[0]), max(0, self.bounds[1])
        if most is None:
            return
        if self.fraction < 0:
            self.scale(-self.fraction)
        limit = most << self.fraction
        if self.bounds[1] > limit:
            self.operations.append(lambda x: np.minimum(x, limit, out=x))
            self.bounds = min(self.bounds[0], limit), limit

    def store(self, form: FixedPoint) -> None:
        """`FixedPoint.requantise`; what cannot happen between the bounds is left out."""
        drop = self.fraction - form.fraction
        if drop:
            self.scale(-drop)
        if drop > 0:
            mode = form.rounding
            self.operations.append(lambda x: _round(x, mode))
            self.bounds = self.bounds[0] >> drop, (self.bounds[1] >> drop) + 1
        self.fit(form)

    def fit(self, form: FixedPoint) -> None:
        """`FixedPoint.fit`."""
        low, high = form.min_code, form.max_code
        if low <= self.bounds[0] and self.bounds[1] <= high:
            return
        match form.overflow:
            case Overflow.SAT | Overflow.SAT_SYM:
                if self.bounds[0] < low:
                    self.operations.append(lambda x: np.maximum(x, low, out=x))
                if self.bounds[1] > high:
                    self.operations.append(lambda x: np.minimum(x, high, out=x))
            case Overflow.SAT_ZERO:
                self.operations.append(lambda x: np.copyto(x, 0, where=(x < low) | (x > high)))
            case Overflow.WRAP:
                width, signed = form.width, form.signed
                self.operations.append(lambda x: _wrap(x, width, signed))
                self.most = max(self.most, max(map(abs, self.bounds)) + (1 << width))
        self.bounds = low, high

    def run(self, values: Reals) -> Reals:
        """Do all of it."""
        for operation in self.operations:
            operation(values)
        return values


def store_layer(store: Store, fraction: int, bounds: tuple[int, int]) -> FloatLayer | None:
    """A store of codes that have that many fraction bits and lie between bounds; None if no type is exact."""
    stores = _Stores(fraction, bounds)
    if store.relu:
        stores.rectify(store.most)
    stores.store(store.result)
    kind = _exact_type(stores.most)
    if kind is None:
        return None
    return FloatLayer(lambda x: stores.run(x.astype(kind)), stores.bounds)


def sum_layer(
    node: WeightedSum, x: FixedPoint, bounds: tuple[int, int], blocks: Sequence[Block], biases: IntArray
) -> FloatLayer | None:
    """A layer with weights.

    Parameters
    ----------
    node : WeightedSum
    x : FixedPoint
        Format of the inputs.
    bounds : tuple of int
        Smallest and largest code of the inputs.
    blocks : sequence of Block
    biases : ndarray of int64, shape (outputs,)
        In the accumulator's fraction bits.

    Returns
    -------
    FloatLayer
        None if single products are rounded, or no type is exact.
    """
    up = -node.shift(x)
    if up < 0:
        return None
    low, high, most = (biases.copy() for _ in range(3))
    for block in blocks:
        positive, negative = ((side(block.weights, 0).sum(0) << up) for side in (np.maximum, np.minimum))
        low[block.outputs] += positive * bounds[0] + negative * bounds[1]
        high[block.outputs] += positive * bounds[1] + negative * bounds[0]
        # in whatever order the products are added
        most[block.outputs] = abs(most[block.outputs]) + (positive - negative) * max(map(abs, bounds))
    stores = _Stores(node.accumulator.fraction, (int(low.min()), int(high.max())))
    stores.fit(node.accumulator)
    stores.store(node.result)
    kind = _exact_type(max(stores.most, int(most.max())))
    if kind is None:
        return None
    matrices = [(_slice(block.inputs), _slice(block.outputs), (block.weights << up).astype(kind)) for block in blocks]
    constants = biases.astype(kind)

    def compute(values: npt.NDArray[Any]) -> Reals:
        values = values.astype(kind, copy=False)
        sums = np.empty((len(values), len(constants)), kind)
        for inputs, outputs, matrix in matrices:
            sums[:, outputs] = values[:, inputs] @ matrix
        sums += constants
        return stores.run(sums)

    return FloatLayer(compute, stores.bounds)


def _exact_type(most: int) -> Any:
    """The smallest type in which integers below that magnitude are exact; None if there is none."""
    return next((kind for kind, bits in _TYPES if most < 1 << bits), None)


def _slice(numbers: IntArray) -> IntArray | slice:
    """Numbers that ascend by one as a slice, which copies nothing."""
    if len(numbers) and np.array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers))):
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def _round(x: Reals, mode: Rounding) -> None:
    """Round to integers in place."""
    match mode:
        case Rounding.TRN:
            np.floor(x, out=x)
        case Rounding.TRN_ZERO:
            np.trunc(x, out=x)
        case Rounding.RND_CONV:
            np.rint(x, out=x)
        case Rounding.RND:
            np.floor(np.add(x, 0.5, out=x), out=x)
        case Rounding.RND_MIN_INF:
            np.ceil(np.subtract(x, 0.5, out=x), out=x)
        case Rounding.RND_ZERO:
            np.copysign(np.ceil(np.abs(x) - x.dtype.type(0.5)), x, out=x)
        case Rounding.RND_INF:
            # a tie moves away from zero
            np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x, out=x)


def _wrap(x: Reals, width: int, signed: bool) -> None:
    """Keep the low bits of integers, in place."""
    kind = x.dtype.type
    turns = x + kind(2.0 ** (width - 1) if signed else 0.0)
    np.floor(np.multiply(turns, kind(2.0**-width), out=turns), out=turns)
    x -= np.multiply(turns, kind(2.0**width), out=turns)
