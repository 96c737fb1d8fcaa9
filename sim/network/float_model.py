"""Layers in floating point that holds every integer exactly: what makes the golden model fast.

A layer works in float32 while none of its values can leave 2**24, else in float64 up to 2**53; bounds come from formats
and from the weights. Sums are BLAS' matrix products; powers of two scale exactly, so nothing is approximated. What
follows a sum is one compiled pass where it rounds once and clips, its scale being folded into weights and biases;
otherwise NumPy's vectorised floor, rint, minimum and maximum in place. A layer that fits neither type, or rounds single
products, has no such form; `sim.network.model` computes it in int64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, Overflow, Rounding
from sim.network.nodes import Store, WeightedSum

__all__ = ["Block", "FloatLayer", "encode_rows", "store_layer", "sum_layer"]

Reals = npt.NDArray[Any]
"""Integers as float32 or float64."""
Step = tuple[Any, ...]
"""Word and numbers of an operation in place; see `_Stores.run`."""
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
        Codes of its result from codes of its input, in any type; the input is not changed. With a second array, of
        `kind` and of at least as many rows, the result lies there: fresh memory would cost as much as the sums.
    bounds : tuple of int
        Smallest and largest code of the result that these weights allow.
    kind : type
        Of the result.
    """

    compute: Callable[..., Reals]
    bounds: tuple[int, int]
    kind: Any


class _Stores:
    """Steps that store integers between bounds, and the largest magnitude on the way."""

    def __init__(self, fraction: int, bounds: tuple[int, int]) -> None:
        self.fraction, self.bounds = fraction, bounds
        self.steps: list[Step] = []
        self.most = max(map(abs, bounds))

    def scale(self, up: int) -> None:
        """Append fraction bits, or make integers into multiples of ``2**up`` that are to be rounded."""
        self.steps.append(("scale", up))
        if up > 0:
            self.bounds = self.bounds[0] << up, self.bounds[1] << up
        # a half more, before it is rounded down, takes one bit more
        self.most = max(self.most, *map(abs, self.bounds), max(map(abs, self.bounds)) + (1 << max(-up, 0)))
        self.fraction += up

    def rectify(self, most: int | None) -> None:
        """``max(x, 0)``, and ``min(x, most)`` in units where there is a limit."""
        if self.bounds[0] < 0:
            self.steps.append(("low", 0))
        self.bounds = max(0, self.bounds[0]), max(0, self.bounds[1])
        if most is None:
            return
        if self.fraction < 0:
            self.scale(-self.fraction)
        limit = most << self.fraction
        if self.bounds[1] > limit:
            self.steps.append(("high", limit))
            self.bounds = min(self.bounds[0], limit), limit

    def store(self, form: FixedPoint) -> None:
        """`FixedPoint.requantise`; what cannot happen between the bounds is left out."""
        drop = self.fraction - form.fraction
        if drop:
            self.scale(-drop)
        if drop > 0:
            self.steps.append(("round", form.rounding))
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
                    self.steps.append(("low", low))
                if self.bounds[1] > high:
                    self.steps.append(("high", high))
            case Overflow.SAT_ZERO:
                self.steps.append(("zero", low, high))
            case Overflow.WRAP:
                self.steps.append(("wrap", form.width, form.signed))
                self.most = max(self.most, max(map(abs, self.bounds)) + (1 << form.width))
        self.bounds = low, high

    def follow(self, stores: Sequence[Store]) -> None:
        """Steps of nodes that store, one after the other."""
        for store in stores:
            if store.relu:
                self.rectify(store.most)
            self.store(store.result)

    def run(self, x: Reals) -> Reals:
        """Do all of it, in place."""
        for step in self.steps:
            match step:
                case ("scale", up):
                    np.multiply(x, x.dtype.type(2.0**up), out=x)
                case ("low", low):
                    np.maximum(x, low, out=x)
                case ("high", high):
                    np.minimum(x, high, out=x)
                case ("zero", low, high):
                    np.copyto(x, 0, where=(x < low) | (x > high))
                case ("round", mode):
                    _round(x, mode)
                case ("wrap", width, signed):
                    _wrap(x, width, signed)
        return x

    def one_pass(self) -> tuple[int, int, float, float] | None:
        """The steps as a scale ``2**up``, one rounding by its number, and a clip; None if they are more than that.

        A limit before the rounding may come after it where it is a multiple of the step that is rounded to.
        """
        up, mode = 0, _KEPT
        limits: list[Any] = [-inf, inf]  # fractions, once they are limits
        for step in self.steps:
            match step:
                case ("scale", more) if mode == _KEPT:
                    up += more
                    limits = [limit * Fraction(2) ** more if abs(limit) < inf else limit for limit in limits]
                case ("low", low):
                    limits = [max(limit, low) for limit in limits]
                case ("high", high):
                    limits = [min(limit, high) for limit in limits]
                case ("round", rounding) if mode == _KEPT and rounding in _ROUNDINGS:
                    if any(Fraction(limit).denominator > 1 for limit in limits if abs(limit) < inf):
                        return None
                    mode = _ROUNDINGS[rounding]
                case _:
                    return None
        return up, mode, float(limits[0]), float(limits[1])


def store_layer(store: Store, fraction: int, bounds: tuple[int, int]) -> FloatLayer | None:
    """A store of codes that have that many fraction bits and lie between bounds; None if no type is exact."""
    stores = _Stores(fraction, bounds)
    stores.follow([store])
    kind = _exact_type(stores.most)
    if kind is None:
        return None
    return FloatLayer(lambda x, _=None: stores.run(x.astype(kind)), stores.bounds, kind)


def sum_layer(
    node: WeightedSum, x: FixedPoint, bounds: tuple[int, int], blocks: Sequence[Block], biases: IntArray,
    stores: Sequence[Store] = (),
) -> FloatLayer | None:  # fmt: skip
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
    stores : sequence of Store
        Nodes that follow; codes are those of the last of them.

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
    steps = _Stores(node.accumulator.fraction, (int(low.min()), int(high.max())))
    steps.fit(node.accumulator)
    steps.store(node.result)
    steps.follow(stores)
    kind = _exact_type(max(steps.most, int(most.max())))
    if kind is None:
        return None
    short = steps.one_pass()
    factor = kind(2.0 ** short[0]) if short else kind(1)
    matrices = [
        (_slice(block.inputs), _slice(block.outputs), (block.weights << up).astype(kind) * factor) for block in blocks
    ]
    constants = biases.astype(kind) * factor

    whole = len(matrices) == 1 and isinstance(matrices[0][1], slice) and matrices[0][2].shape[1] == len(constants)

    def compute(values: npt.NDArray[Any], out: Reals | None = None) -> Reals:
        values = values.astype(kind, copy=False)
        sums = np.empty((len(values), len(constants)), kind) if out is None else out[: len(values)]
        for inputs, outputs, matrix in matrices:
            if whole:
                np.matmul(values[:, inputs], matrix, out=sums)
            else:
                sums[:, outputs] = values[:, inputs] @ matrix
        if short is None:
            sums += constants
            return steps.run(sums)
        _finish(sums, constants, short[1], kind(0.5), kind(short[2]), kind(short[3]))
        return sums

    return FloatLayer(compute, steps.bounds, kind)


def encode_rows(reals: Reals, form: FixedPoint) -> Reals | None:
    """Codes of real values as float32 in one compiled pass, `FixedPoint.encode`.

    Parameters
    ----------
    reals : ndarray of float32 or float64, shape (n, elements)
    form : FixedPoint

    Returns
    -------
    ndarray of float32
        None for formats and values that take more than that: other modes, a scale that could lose bits, values that are
        not finite or, scaled, reach 2**24.
    """
    simple = form.overflow in (Overflow.WRAP, Overflow.SAT) and 0 <= form.fraction <= 24 and form.width <= 22
    if not simple or form.rounding not in _ROUNDINGS:
        return None
    kind = reals.dtype.type
    codes = np.empty(reals.shape, np.float32)
    span = 1 << form.width
    numbers = [
        kind(number) for number in (2.0**form.fraction, 0.5, form.min_code, form.max_code, span, 1 / span, 1 << 24)
    ]
    wild = _encode(reals, codes, _ROUNDINGS[form.rounding], form.overflow is Overflow.WRAP, *numbers)
    return None if wild else codes


_KEPT, _FLOOR, _NEAREST, _HALF_UP = range(4)
_ROUNDINGS = {Rounding.TRN: _FLOOR, Rounding.RND_CONV: _NEAREST, Rounding.RND: _HALF_UP}
"""What the compiled passes know."""


@numba.njit(cache=True, nogil=True)
def _finish(sums: Reals, constants: Reals, mode: int, half: Any, low: Any, high: Any) -> None:
    """Biases, one rounding, and limits, in place."""
    for row in range(sums.shape[0]):
        # a loop for each mode: it becomes vector instructions
        if mode == _NEAREST:
            for column in range(sums.shape[1]):
                sums[row, column] = min(max(np.rint(sums[row, column] + constants[column]), low), high)
        elif mode == _FLOOR:
            for column in range(sums.shape[1]):
                sums[row, column] = min(max(np.floor(sums[row, column] + constants[column]), low), high)
        elif mode == _HALF_UP:
            for column in range(sums.shape[1]):
                sums[row, column] = min(max(np.floor(sums[row, column] + constants[column] + half), low), high)
        else:
            for column in range(sums.shape[1]):
                sums[row, column] = min(max(sums[row, column] + constants[column], low), high)


@numba.njit(cache=True, nogil=True)
def _encode(
    reals: Reals, codes: Reals, mode: int, wraps: bool, scale: Any, half: Any, low: Any, high: Any, span: Any,
    inverse: Any, most: Any,
) -> int:  # fmt: skip
    """Codes of real values; the number of values that were too large or not finite, whose codes are wrong."""
    wild = 0
    for row in range(reals.shape[0]):
        for column in range(reals.shape[1]):
            value = reals[row, column] * scale
            wild += not (abs(value) < most)
            whole = np.floor(value)
            if mode == _NEAREST:
                whole = np.rint(value)
            elif mode == _HALF_UP and value - whole >= half:  # a half is not added: that could round
                whole += half + half
            if wraps:
                whole -= np.floor((whole - low) * inverse) * span
            else:
                whole = min(max(whole, low), high)
            codes[row, column] = whole
    return wild


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
