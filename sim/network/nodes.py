"""Kinds of nodes of a network: what each computes, in which number formats, and on which elements.

A node reads vectors of codes and gives one vector; images are flat, row-major, channel last. All arithmetic is exact
but where a node says that a value is *stored* in a number format: rounded, then wrapped or clipped, as a C++ assignment
to ``ap_fixed`` does it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from sim.fixed_point import FixedPoint, Overflow, round_shift
from sim.messages import shown
from sim.spec_file import check_integer

__all__ = [
    "Add", "ArgMax", "Convolution", "Dense", "KINDS", "Node", "Pool", "Scale", "Store", "Tensor", "WeightedSum", "Wire",
    "exact_accumulator",
]  # fmt: skip

MOST = 1 << 20
"""Largest count of anything: elements, taps, filters."""
MOST_BITS = 62
"""Widest sum: the golden model computes in int64."""

Tap = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A vector of codes of one number format."""

    size: int
    form: FixedPoint


@dataclass(frozen=True, kw_only=True)
class Node(ABC):
    """A node of a network.

    Attributes
    ----------
    inputs : tuple of str
        Names of the nodes that it reads; the input of the network is called ``input``.
    """

    inputs: tuple[str, ...]

    kind: ClassVar[str]
    """Word of the kind in files."""
    arity: ClassVar[int | None] = 1
    """Inputs; None: one or more."""

    def check_fields(self) -> None:  # noqa: B027 - most kinds leave nothing to check without their inputs
        """Refuse fields that are illegal whatever the inputs. Raises ValueError."""

    @abstractmethod
    def output(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Size and format of the output. Raises ValueError where inputs do not fit; see each kind."""


@dataclass(frozen=True, kw_only=True)
class WeightedSum(Node):
    """``store(sum(round(x * w)) + b)`` for each output: what dense layers, convolutions and scales have in common.

    Each product is stored in the accumulator's format on its own, the sum of them and of the bias wraps to its width,
    and the sum is stored in the format of the result: the order of hls4ml's ``accum_t`` and ``result_t``.

    Attributes
    ----------
    weight : FixedPoint
        Two's complement.
    bias : FixedPoint
        At most the accumulator's fraction bits, so that it enters the sum exactly.
    accumulator : FixedPoint
        Rounding of single products, and the width of sums. One that saturates is refused unless no sum can leave its
        range: its result would depend on the order of the sum.
    result : FixedPoint
        Format of the outputs.
    """

    weight: FixedPoint
    bias: FixedPoint
    accumulator: FixedPoint
    result: FixedPoint

    @abstractmethod
    def taps(self, size: int) -> tuple[tuple[Tap, ...], ...]:
        """For each output its (input, weight) pairs, of `size` inputs."""

    @abstractmethod
    def counts(self, size: int) -> tuple[int, int]:
        """Number of weights and of biases, for `size` inputs."""

    @abstractmethod
    def bias_of(self, output: int) -> int:
        """Number of the bias of an output."""

    def rows(self, size: int) -> tuple[tuple[int, ...], ...]:
        """For each bias the weights that outputs with it use, ascending: what is stored side by side."""
        used: list[set[int]] = [set() for _ in range(self.counts(size)[1])]
        for output, taps in enumerate(self.taps(size)):
            used[self.bias_of(output)].update(weight for _, weight in taps)
        return tuple(tuple(sorted(row)) for row in used)

    def shift(self, x: FixedPoint) -> int:
        """Fraction bits that a product of an input of that format loses; not positive where it loses none."""
        return x.fraction + self.weight.fraction - self.accumulator.fraction

    def check_fields(self) -> None:
        if not self.weight.signed:
            raise ValueError(f"weight: expected two's complement, got the unsigned format {self.weight}")
        if self.bias.fraction > self.accumulator.fraction:
            raise ValueError(
                f"bias: expected at most the {self.accumulator.fraction} fraction bits of the accumulator, "
                f"got {self.bias.fraction}"
            )

    def output(self, inputs: tuple[Tensor, ...]) -> Tensor:
        (x,) = inputs
        taps = self.taps(x.size)
        if (product := x.form.width + self.weight.width) > MOST_BITS:
            raise ValueError(f"expected products of at most {MOST_BITS} bits, got {product}")
        low, high = self.bounds(x.form, max(map(len, taps)))
        bits = 1 + max(low.bit_length(), high.bit_length())
        if bits > MOST_BITS:
            raise ValueError(f"expected sums of at most {MOST_BITS} bits, got {bits}")
        form = self.accumulator
        if form.overflow is not Overflow.WRAP and not form.min_code <= low <= high <= form.max_code:
            raise ValueError(
                f"accumulator: {form.overflow} depends on the order of the sum, whose ends {low} and {high} leave "
                f"{form}; expected WRAP or a wider accumulator"
            )
        return Tensor(size=len(taps), form=self.result)

    def bounds(self, x: FixedPoint, taps: int) -> tuple[int, int]:
        """Smallest and largest sum of that many products of inputs of a format, before it wraps, in its codes."""
        ends = [a * w for a in (x.min_code, x.max_code) for w in (self.weight.min_code, self.weight.max_code)]
        drop, mode = self.shift(x), self.accumulator.rounding
        low, high = (int(round_shift(end, drop, mode)) if drop > 0 else end << -drop for end in (min(ends), max(ends)))
        up = self.accumulator.fraction - self.bias.fraction
        return taps * low + (self.bias.min_code << up), taps * high + (self.bias.max_code << up)


def exact_accumulator(x: FixedPoint, weight: FixedPoint, bias: FixedPoint, taps: int) -> FixedPoint:
    """The accumulator in which no product and no sum of that many taps loses a bit."""
    fraction = max(x.fraction + weight.fraction, bias.fraction)
    wide = FixedPoint(width=MOST_BITS, fraction=fraction, signed=True)
    low, high = Dense(inputs=(), units=1, weight=weight, bias=bias, accumulator=wide, result=wide).bounds(x, taps)
    return replace(wide, width=1 + max((-low - 1).bit_length(), high.bit_length(), 1))


@dataclass(frozen=True, kw_only=True)
class Dense(WeightedSum):
    """Every output a sum over all inputs; weight ``input * units + output``.

    Attributes
    ----------
    units : int
        Outputs.
    """

    units: int

    kind: ClassVar[str] = "dense"

    def check_fields(self) -> None:
        super().check_fields()
        check_integer("units", self.units, 1, MOST)

    def taps(self, size: int) -> tuple[tuple[Tap, ...], ...]:
        return tuple(tuple((i, i * self.units + unit) for i in range(size)) for unit in range(self.units))

    def counts(self, size: int) -> tuple[int, int]:
        return size * self.units, self.units

    def bias_of(self, output: int) -> int:
        return output


@dataclass(frozen=True, kw_only=True)
class Convolution(WeightedSum):
    """A convolution over rows and columns; one dimension is an image of one row.

    Taps on the padding are left out: it is zero.

    Attributes
    ----------
    shape : tuple of int
        Rows, columns, channels of the input.
    kernel : tuple of int
        Rows and columns.
    filters : int
        Filters; of a depthwise convolution those of each channel.
    stride : tuple of int
        Down and right.
    padding : tuple of int
        Zero rows and columns at top, bottom, left, right.
    depthwise : bool
        Each channel by filters of its own. Weight ``(tap * channels + channel) * filters + filter`` in either case.
    """

    shape: tuple[int, int, int]
    kernel: tuple[int, int]
    filters: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    depthwise: bool = False

    kind: ClassVar[str] = "convolution"

    def check_fields(self) -> None:
        super().check_fields()
        for name, count, low in (("shape", 3, 1), ("kernel", 2, 1), ("stride", 2, 1), ("padding", 4, 0)):
            _check_integers(name, getattr(self, name), low, count)
        check_integer("filters", self.filters, 1, MOST)
        if min(self.output_shape) < 1:
            raise ValueError(f"kernel {self.kernel} with padding {self.padding} leaves no output of shape {self.shape}")

    @property
    def output_shape(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        top, bottom, left, right = self.padding
        return (
            (self.shape[0] + top + bottom - self.kernel[0]) // self.stride[0] + 1,
            (self.shape[1] + left + right - self.kernel[1]) // self.stride[1] + 1,
        )

    @property
    def _sums(self) -> int:
        """Outputs of a position."""
        return self.filters * (self.shape[2] if self.depthwise else 1)

    @cached_property
    def _taps(self) -> tuple[tuple[Tap, ...], ...]:
        rows, columns, channels = self.shape
        top, _, left, _ = self.padding
        found = []
        for place in range(self.output_shape[0] * self.output_shape[1]):
            first_row = place // self.output_shape[1] * self.stride[0] - top
            first_column = place % self.output_shape[1] * self.stride[1] - left
            seen = [
                ((row * columns + column) * channels, number * channels)
                for number in range(self.kernel[0] * self.kernel[1])
                if 0 <= (row := first_row + number // self.kernel[1]) < rows
                and 0 <= (column := first_column + number % self.kernel[1]) < columns
            ]
            for output in range(self._sums):
                channel, filter_ = divmod(output, self.filters)
                used = [channel] if self.depthwise else range(channels)
                found.append(tuple((x + c, (w + c) * self.filters + filter_) for x, w in seen for c in used))
        return tuple(found)

    def taps(self, size: int) -> tuple[tuple[Tap, ...], ...]:
        rows, columns, channels = self.shape
        if size != rows * columns * channels:
            raise ValueError(f"shape {self.shape} has {rows * columns * channels} elements, the input {size}")
        return self._taps

    def counts(self, size: int) -> tuple[int, int]:  # noqa: ARG002
        return self.kernel[0] * self.kernel[1] * self.shape[2] * self.filters, self._sums

    def bias_of(self, output: int) -> int:
        return output % self._sums


@dataclass(frozen=True, kw_only=True)
class Scale(WeightedSum):
    """``x * w + b`` by channel: a batch normalisation that is not folded into the layer before it.

    Attributes
    ----------
    channels : int
        Weights and biases; input ``i`` is of channel ``i % channels``.
    """

    channels: int

    kind: ClassVar[str] = "scale"

    def check_fields(self) -> None:
        super().check_fields()
        check_integer("channels", self.channels, 1, MOST)

    def taps(self, size: int) -> tuple[tuple[Tap, ...], ...]:
        if size % self.channels:
            raise ValueError(f"channels: expected a divisor of the {size} inputs, got {self.channels}")
        return tuple(((i, i % self.channels),) for i in range(size))

    def counts(self, size: int) -> tuple[int, int]:  # noqa: ARG002
        return self.channels, self.channels

    def bias_of(self, output: int) -> int:
        return output % self.channels


@dataclass(frozen=True, kw_only=True)
class Store(Node):
    """Every element stored in another format, after a rectifier if there is one.

    Attributes
    ----------
    result : FixedPoint
    relu : bool
        ``max(x, 0)`` first.
    most : int or None
        With `relu`: largest value that passes, ``min(max(x, 0), most)``.
    """

    result: FixedPoint
    relu: bool = False
    most: int | None = None

    kind: ClassVar[str] = "store"

    def check_fields(self) -> None:
        if self.most is not None:
            check_integer("most", self.most, 1, MOST)
            if not self.relu:
                raise ValueError(f"most: expected none without relu, got {self.most}")

    def output(self, inputs: tuple[Tensor, ...]) -> Tensor:
        return Tensor(size=inputs[0].size, form=self.result)


@dataclass(frozen=True, kw_only=True)
class Wire(Node):
    """Elements in another order, some more than once, or zeros: reshaping, padding, cropping, concatenation.

    Attributes
    ----------
    sources : tuple of int
        For each output the number of an input element, counted through all inputs; -1: zero.
    """

    sources: tuple[int, ...]

    kind: ClassVar[str] = "wire"
    arity: ClassVar[int | None] = None

    def check_fields(self) -> None:
        _check_integers("sources", self.sources, -1)

    def output(self, inputs: tuple[Tensor, ...]) -> Tensor:
        forms = {_values(x.form) for x in inputs}
        if len(forms) > 1:
            raise ValueError(f"expected inputs of one format, got {', '.join(str(x.form) for x in inputs)}")
        total = sum(x.size for x in inputs)
        if max(self.sources) >= total:
            raise ValueError(f"sources: expected at most {total - 1}, got {max(self.sources)}")
        return Tensor(size=len(self.sources), form=inputs[0].form)


@dataclass(frozen=True, kw_only=True)
class Pool(Node):
    """Largest element, or mean, of windows of the input.

    A mean is exact before it is stored, and windows have a power of two of elements: nothing is divided.

    Attributes
    ----------
    windows : tuple of tuple of int
        For each output the numbers of its input elements.
    result : FixedPoint
    mean : bool
        Mean; otherwise the largest.
    """

    windows: tuple[tuple[int, ...], ...]
    result: FixedPoint
    mean: bool = False

    kind: ClassVar[str] = "pool"

    def check_fields(self) -> None:
        if not isinstance(self.windows, tuple) or not self.windows:
            raise ValueError(f"windows: expected a list of lists of integers, got {shown(self.windows)}")
        for number, window in enumerate(self.windows):
            _check_integers(f"windows[{number}]", window, 0)
            if self.mean and len(window) & (len(window) - 1):
                raise ValueError(f"windows[{number}]: a mean takes a power of two of elements, got {len(window)}")

    def output(self, inputs: tuple[Tensor, ...]) -> Tensor:
        most = max(max(window) for window in self.windows)
        if most >= inputs[0].size:
            raise ValueError(f"windows: expected at most {inputs[0].size - 1}, got {most}")
        return Tensor(size=len(self.windows), form=self.result)


@dataclass(frozen=True, kw_only=True)
class Add(Node):
    """Sum of two vectors, or their difference, exact before it is stored.

    Attributes
    ----------
    result : FixedPoint
    subtract : bool
        Subtract the second.
    """

    result: FixedPoint
    subtract: bool = False

    kind: ClassVar[str] = "add"
    arity: ClassVar[int | None] = 2

    def output(self, inputs: tuple[Tensor, ...]) -> Tensor:
        if inputs[0].size != inputs[1].size:
            raise ValueError(f"expected inputs of one size, got {inputs[0].size} and {inputs[1].size}")
        return Tensor(size=inputs[0].size, form=self.result)


@dataclass(frozen=True, kw_only=True)
class ArgMax(Node):
    """One at the largest element, the first of equal ones; zero elsewhere.

    Attributes
    ----------
    result : FixedPoint
        Of the one, which is stored in it.
    """

    result: FixedPoint

    kind: ClassVar[str] = "argmax"

    def output(self, inputs: tuple[Tensor, ...]) -> Tensor:
        return Tensor(size=inputs[0].size, form=self.result)


KINDS: dict[str, type[Node]] = {kind.kind: kind for kind in (Dense, Convolution, Scale, Store, Wire, Pool, Add, ArgMax)}
"""By the word that files have for it."""


def _values(form: FixedPoint) -> tuple[int, int, bool]:
    """What makes codes of a format mean what they mean, without how values are stored in it."""
    return form.width, form.fraction, form.signed


def _check_integers(name: str, values: object, low: int, count: int | None = None) -> None:
    if not isinstance(values, tuple) or not values or (count is not None and len(values) != count):
        raise ValueError(f"{name}: expected a list of {count or 'some'} integers, got {shown(values)}")
    for place, value in enumerate(values):
        check_integer(f"{name}[{place}]", value, low, MOST)
