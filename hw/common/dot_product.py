"""Truncated dot product: sum over taps of ``round(x * w / 2**shift)`` plus a bias, every product rounded on its own.

Structure
---------
Weights are static, activations move, and each activation is multiplied by many weights. So everything that can be
done once per activation or once per weight is taken out of the multiplier:

* The weight is read in offset binary, ``u = w + 2**(m - 1)``, so that no row is ever negative; the excess
  ``2**(m - 1) * x`` is a multiple of ``2**shift``, passes through the floor unchanged, and is subtracted once for
  all neurons that see the same activations (`ActivationOffset`).
* Weight bits below ``shift`` take part in the truncation. They are taken two at a time: a radix-4 digit 0..3 picks
  nothing, x, 2x or 3x. 3x is formed once per activation (`ActivationMultiples`), the one-hot digit once per weight
  (`WeightRecoder`); what remains per row bit is one and-or of three (AOI222).
* Weight bits at or above ``shift`` are linear. There, one row serves *two taps*: the bits of equal weight of two
  weights pick nothing, xa, xb or xa + xb, again formed once per pair (distributed arithmetic: A. Croisier et al.,
  US patent 3,777,130, 1973; S. A. White, "Applications of distributed arithmetic to digital signal processing",
  IEEE ASSP Magazine 6(3), 1989, p. 4, eq. 5).
* The floor needs no adder per product: of the columns below ``shift`` only the *carries* into column ``shift`` matter
  (their sum bits are never formed), and all bits of all taps from column ``shift`` up go into one carry-save tree.
* And-or-invert gates give inverted rows. A full adder is self-dual, so the tree adds the inverted rows as they are; all
  constants that this needs are folded into the shared offset, and the one inversion left is at the output.

An activation of zero makes all its rows constant whatever the weight: nothing toggles behind a ReLU that is off.

Activations in two's complement (`DotProductFormat.signed`) cost nothing more: a row's top bit weighs ``-2**k``, and
``-b * 2**k = (1 - b) * 2**k - 2**k``, so it enters the tree with the other polarity, and its constant joins the offset.
The carries below `shift` are as before, because no top bit is among the bits that are dropped.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib.wiring import Component, In, Member, Out

from hw.common.carry_save import balanced_sum, column_carries
from hw.common.hierarchy import place
from sim.fixed_point import FixedPoint, Rounding

__all__ = [
    "ActivationMultiples",
    "ActivationOffset",
    "DotProduct",
    "DotProductFormat",
    "DotProductRow",
    "PartialDotProduct",
    "WeightRecoder",
]

PRODUCT_ROUNDINGS = (Rounding.TRN, Rounding.RND, Rounding.RND_CONV)
"""How single products may be rounded."""


@dataclass(frozen=True, kw_only=True)
class DotProductRow:
    """One row of partial products: one of up to three multiples, picked by a one-hot select.

    Attributes
    ----------
    taps : tuple of int
        One tap: select bits 0, 1, 2 pick x, 2x, 3x. Two taps a, b: they pick xa, xb, xa + xb.
    bit : int
        Weight of the row: column of its bit 0.
    digit : int
        Bits of each weight that the row stands for: 2 (radix-4 digit) or 1.
    """

    taps: tuple[int, ...]
    bit: int
    digit: int


@dataclass(frozen=True, kw_only=True)
class DotProductFormat:
    """Widths and arithmetic of one dot product; what its components have in common.

    The result is ``sum(round(x[i] * w[i] / 2**shift)) + (bias << bias_shift)``, exact unless a `width` is given:
    `sum_width` is derived from the extremes, so that it cannot overflow.

    Attributes
    ----------
    taps : int
        Number of products; taps that are always zero (padding) are left out by the caller.
    activation_width : int
        Bits of the activations: unsigned, or two's complement if `signed`.
    weight_width : int
        Bits of the two's complement weights.
    shift : int
        Fraction bits that each product loses.
    bias_width : int
        Bits of the two's complement bias.
    bias_shift : int
        Left shift that brings the bias to the fraction of the products.
    rounding : Rounding
        How each product loses its bits. `TRN` (floor) is the case that the structure is made for.
    accumulated : int
        Products of a sum that grows by `taps` products at a time; 0 for a sum that is formed at once.
    width : int or None
        Bits of the sum, which wraps where they are fewer than the extremes need; None for all.
    signed : bool
        Activations in two's complement, of more bits than `shift`: whoever has fewer extends their sign.

    Raises
    ------
    ValueError
        If a count or width is below 1, a shift is negative, fewer products are accumulated than there are taps, or the
        bias does not fit `width`; if signed activations have no more bits than `shift`.
    """

    taps: int
    activation_width: int = 8
    weight_width: int = 6
    shift: int
    bias_width: int = 6
    bias_shift: int = 0
    rounding: Rounding = Rounding.TRN
    accumulated: int = 0
    width: int | None = None
    signed: bool = False

    @classmethod
    def of_layer(
        cls, *, taps: int, activation: FixedPoint, weight: FixedPoint, product_fraction: int, rounding: Rounding,
        width: int | None, accumulated: int = 0,
    ) -> Self:  # fmt: skip
        """Dot product of a neuron whose bias has the format of its weights.

        Parameters
        ----------
        taps, rounding, width, accumulated
            As the attributes.
        activation, weight : FixedPoint
        product_fraction : int
            Fraction bits of a rounded product.
        """
        return cls(
            taps=taps, activation_width=activation.width, weight_width=weight.width,
            shift=activation.fraction + weight.fraction - product_fraction, bias_width=weight.width,
            bias_shift=product_fraction - weight.fraction, rounding=rounding, accumulated=accumulated, width=width,
        )  # fmt: skip

    def __post_init__(self) -> None:
        if self.width is not None and self.width < self.bias_width + self.bias_shift:
            raise ValueError(
                f"width of a sum: expected at least {self.bias_width + self.bias_shift} for the bias, got {self.width}"
            )
        if self.accumulated and self.accumulated < self.taps:
            raise ValueError(f"accumulated products: expected at least the {self.taps} taps, got {self.accumulated}")
        for name in ("taps", "activation_width", "weight_width", "bias_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of a dot product must be at least 1, got {getattr(self, name)}")
        for name in ("shift", "bias_shift"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} of a dot product must not be negative, got {getattr(self, name)}")
        object.__setattr__(self, "rounding", Rounding(self.rounding))
        if self.signed and self.activation_width <= self.shift:
            raise ValueError(
                f"signed activations: expected more bits than the {self.shift} that products lose, "
                f"got {self.activation_width}"
            )
        if self.shift and self.rounding not in PRODUCT_ROUNDINGS:
            raise ValueError(
                f"rounding of a product: expected {' or '.join(PRODUCT_ROUNDINGS)}, got {self.rounding}, which depends "
                "on its sign"
            )

    def round_product(self, product: int) -> int:
        """``product / 2**shift`` as an integer, by the rounding mode."""
        floor = product >> self.shift
        if self.rounding == Rounding.TRN or self.shift == 0:
            return floor
        twice = 2 * (product - (floor << self.shift))
        unit = 1 << self.shift
        if self.rounding == Rounding.RND:
            return floor + (twice >= unit)
        return floor + (twice > unit or (twice == unit and floor & 1))

    @property
    def offset_bits(self) -> int:
        """Width m of the offset binary weight ``u = w + 2**(m - 1)``.

        Wide enough for ``2**(m - 1) * x`` to be a multiple of ``2**shift``; of twice that when ties go to even, since
        the excess must not change the parity.
        """
        to_even = self.rounding == Rounding.RND_CONV and self.shift > 0
        return max(self.weight_width, self.shift + (2 if to_even else 1))

    @property
    def excess_shift(self) -> int:
        """The excess per tap is ``x << excess_shift`` after the products have lost their bits."""
        return self.offset_bits - 1 - self.shift

    @cached_property
    def rows(self) -> tuple[DotProductRow, ...]:
        """All rows, those of one tap first in the order of taps, then those of pairs."""
        whole = self.rounding == Rounding.RND_CONV and self.shift > 0
        # Bits that belong to one tap alone: all below `shift`, rounded up to whole digits.
        own = self.offset_bits if whole else min(self.offset_bits, self.shift + self.shift % 2)
        rows = [self._digit(tap, bit, own) for tap in range(self.taps) for bit in range(0, own, 2)]
        for a in range(0, self.taps - 1, 2):
            rows += [DotProductRow(taps=(a, a + 1), bit=bit, digit=1) for bit in range(own, self.offset_bits)]
        if self.taps % 2:
            rows += [self._digit(self.taps - 1, bit, self.offset_bits) for bit in range(own, self.offset_bits, 2)]
        return tuple(rows)

    @staticmethod
    def _digit(tap: int, bit: int, stop: int) -> DotProductRow:
        return DotProductRow(taps=(tap,), bit=bit, digit=min(2, stop - bit))

    @property
    def pairs(self) -> int:
        """Number of pair sums ``x[2i] + x[2i + 1]`` that the rows use."""
        return self.taps // 2 if any(len(row.taps) == 2 for row in self.rows) else 0

    def row_width(self, row: DotProductRow) -> int:
        """Bits of a row: of 3x, of xa + xb, or of x."""
        return self.activation_width + (1 if len(row.taps) == 2 else 2 if row.digit == 2 else 0)

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest possible result, before it wraps."""
        b = 1 << (self.bias_width - 1)
        products = self.accumulated or self.taps
        low = products * self.round_product(min(self._corners)) - (b << self.bias_shift)
        high = products * self.round_product(max(self._corners)) + ((b - 1) << self.bias_shift)
        return low, high

    @property
    def _corners(self) -> list[int]:
        """Products of the extreme activations and weights."""
        w = 1 << (self.weight_width - 1)
        x = 1 << (self.activation_width - 1)
        ends = (-x, x - 1) if self.signed else (0, 2 * x - 1)
        return [a * b for a in ends for b in (-w, w - 1)]

    @property
    def activation_shape(self) -> Shape:
        """Shape of an activation."""
        return self.shape(self.activation_width)

    def shape(self, width: int) -> Shape:
        """Shape of a multiple of an activation, or of a sum of them."""
        return signed(width) if self.signed else unsigned(width)

    @property
    def sum_width(self) -> int:
        """Bits of the two's complement result."""
        low, high = self.bounds
        exact = 1 + max((-low - 1).bit_length(), high.bit_length())
        return exact if self.width is None else min(exact, self.width)


def _at(value: Value, column: int) -> Value:
    return Cat(Const(0, column), value) if column else value


def _times(value: Value, shift: int) -> Value:
    """``value << shift``, with its sign if it has one."""
    shifted = _at(value, shift)
    return shifted.as_signed() if value.shape().signed else shifted


class ActivationMultiples(Component):
    """What every weight needs of an activation: 3x, and for pairs of neighbours their sum.

    Combinational; once per set of activations, shared by all neurons that read them.

    Parameters
    ----------
    count : int
        Number of activations.
    width : int
        Bits of each.
    pairs : int
        Number of pair sums, of activations (0, 1), (2, 3), ...
    twos_complement : bool
        Activations, and so their multiples, are signed.

    Members
    -------
    x : In(width) * count
        Activations.
    triple : Out(width + 2) * count
        3x.
    pair : Out(width + 1) * pairs
        ``x[2i] + x[2i + 1]``.

    Raises
    ------
    ValueError
        If `count` is below 1 or there are not enough activations for the pairs.
    """

    def __init__(self, *, count: int, width: int, pairs: int = 0, twos_complement: bool = False):
        if count < 1 or not 0 <= pairs <= count // 2:
            raise ValueError(f"expected at least 1 activation and at most count // 2 pairs, got {count} and {pairs}")
        self._count = count
        self._pairs = pairs
        shape = signed if twos_complement else unsigned
        super().__init__(
            {
                "x": In(shape(width)).array(count),
                "triple": Out(shape(width + 2)).array(count),
                "pair": Out(shape(width + 1)).array(pairs),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        for i in range(self._count):
            m.d.comb += self.triple[i].eq(self.x[i] + _times(self.x[i], 1))
        for i in range(self._pairs):
            m.d.comb += self.pair[i].eq(self.x[2 * i] + self.x[2 * i + 1])
        return m


class ActivationOffset(Component):
    """Offset of a dot product: the excess of its offset binary weights and the constants of its inverted rows.

    Combinational; once per set of activations, shared by all neurons that read them. The constants belong to the
    `DotProduct` of the same format.

    Parameters
    ----------
    dot_format : DotProductFormat
        Format of the dot products served.

    Members
    -------
    x : In(activation_width) * taps
        Activations.
    pair : In(activation_width + 1) * pairs
        Pair sums from `ActivationMultiples`.
    offset : Out(sum_width)
        Offset modulo ``2**sum_width``.
    """

    def __init__(self, *, dot_format: DotProductFormat):
        self._format = dot_format
        super().__init__(
            {
                "x": In(dot_format.activation_shape).array(dot_format.taps),
                "pair": In(dot_format.shape(dot_format.activation_width + 1)).array(dot_format.pairs),
                "offset": Out(dot_format.sum_width),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        f = self._format
        m = Module()
        terms: list[Value] = [self.pair[i] for i in range(f.pairs)]
        terms += [self.x[i] for i in range(2 * f.pairs, f.taps)]
        constant = _inversion_constant(f) % (1 << f.sum_width)
        m.d.comb += self.offset.eq(_times(balanced_sum(terms), f.excess_shift) + constant)
        return m


class WeightRecoder(Component):
    """Weights to one-hot selects of the rows of a dot product.

    Combinational. Where several dot products share their weights (the positions of a convolution), so does the recoder.

    Parameters
    ----------
    dot_format : DotProductFormat
        Format of the dot products served.

    Members
    -------
    weight : In(weight_width) * taps
        Weights, two's complement.
    select : Out(3) * len(rows)
        At most one bit of each is set; see `DotProductRow`.
    """

    def __init__(self, *, dot_format: DotProductFormat):
        self._format = dot_format
        super().__init__(
            {
                "weight": In(dot_format.weight_width).array(dot_format.taps),
                "select": Out(3).array(len(dot_format.rows)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        f = self._format
        m = Module()
        codes = []
        for i in range(f.taps):
            w = self.weight[i]
            sign = w[-1]
            # Sign-extend to offset_bits and invert the top bit.
            codes.append(Cat(w[:-1], sign.replicate(f.offset_bits - f.weight_width), ~sign))
        for select, row in zip(self.select, f.rows, strict=True):
            if len(row.taps) == 2:
                low, high = (codes[tap][row.bit] for tap in row.taps)
            elif row.digit == 2:
                low, high = codes[row.taps[0]][row.bit], codes[row.taps[0]][row.bit + 1]
            else:
                low, high = codes[row.taps[0]][row.bit], Const(0, 1)
            m.d.comb += select.eq(Cat(low & ~high, high & ~low, high & low))
        return m


def _inverted(f: DotProductFormat, bits: Value) -> Value:
    """A row as the tree takes it: inverted, but for the top bit of a signed one, which is inverted twice."""
    return Cat(~bits[:-1], bits[-1]) if f.signed else ~bits


def _kept_bits(f: DotProductFormat, row: DotProductRow) -> tuple[int, int]:
    """First bit of a row that reaches column `shift`, and the column above `shift` that it falls into."""
    return max(0, f.shift - row.bit), max(0, row.bit - f.shift)


def _carry_columns(f: DotProductFormat) -> list[int]:
    """How many bits of one tap fall into each column below `shift`; the constant of `RND` included."""
    heights = [0] * f.shift
    for row in f.rows:
        if row.taps == (0,):
            for column in range(row.bit, min(f.shift, row.bit + f.row_width(row))):
                heights[column] += 1
    if f.rounding == Rounding.RND and f.shift:
        heights[-1] += 1
    return heights


def _carry_count(f: DotProductFormat) -> int:
    """Number of carries into column `shift` per tap."""
    return len(column_carries([[Const(0, 1)] * height for height in _carry_columns(f)]))


def _inversion_constant(f: DotProductFormat) -> int:
    """What the sum of inverted terms is short of ``-1 - result``, the excess aside.

    A sum that is accumulated enters inverted, as -1 less the sum so far, and takes the place of the bias.
    """
    if f.rounding == Rounding.RND_CONV and f.shift:
        rounded = f.activation_width + f.offset_bits - f.shift - f.signed
        all_ones = f.taps * ((1 << rounded) - 1)
    else:
        all_ones = f.taps * _carry_count(f)
        for row in f.rows:
            first, column = _kept_bits(f, row)
            all_ones += ((1 << max(0, f.row_width(row) - first - f.signed)) - 1) << column
    if f.accumulated:
        return -all_ones
    # The bias enters as 2**(width - 1) - 1 - bias, which is never negative.
    all_ones += ((1 << (f.bias_width - 1)) - 1) << f.bias_shift
    return -1 - all_ones


class _Rows(Component):
    """What a dot product and a part of one have in common: rows picked by `select`, inverted, ready to be added.

    Parameters
    ----------
    dot_format : DotProductFormat
        Of the taps that the component has.
    members : dict
        Its ports beside those of the taps.
    """

    def __init__(self, dot_format: DotProductFormat, members: dict[str, Member]):
        self._format = dot_format
        super().__init__(
            {
                "x": In(dot_format.activation_shape).array(dot_format.taps),
                "triple": In(dot_format.shape(dot_format.activation_width + 2)).array(dot_format.taps),
                "pair": In(dot_format.shape(dot_format.activation_width + 1)).array(dot_format.pairs),
                "select": In(3).array(len(dot_format.rows)),
                **members,
            }
        )

    @property
    def dot_format(self) -> DotProductFormat:
        """Widths and arithmetic."""
        return self._format

    def _terms(self, m: Module) -> list[Value]:
        """Rows and carries, unsigned, whose sum is short of -1 less the products by `_inversion_constant`."""
        f = self._format
        terms: list[Value] = []
        low: list[list[list[Value]]] = [[[] for _ in range(f.shift)] for _ in range(f.taps)]
        whole: list[list[Value]] = [[] for _ in range(f.taps)]
        for index, row in enumerate(f.rows):
            bits = self._row(m, index, row)
            if f.rounding == Rounding.RND_CONV and f.shift:
                whole[row.taps[0]].append(_times(bits, row.bit))
                continue
            first, column = _kept_bits(f, row)
            terms.append(_at(_inverted(f, bits[first:]), column))
            for position in range(min(first, len(bits))):
                low[row.taps[0]][row.bit + position].append(bits[position])
        for tap in range(f.taps):
            if f.rounding == Rounding.RND_CONV and f.shift:
                terms.append(_inverted(f, self._to_even(m, tap, balanced_sum(whole[tap]))))
                continue
            if f.rounding == Rounding.RND and f.shift:
                low[tap][-1].append(Const(1, 1))
            for number, carry in enumerate(column_carries(low[tap])):
                inverted = Signal(name=f"carry_{tap}_{number}_n")
                m.d.comb += inverted.eq(~carry)
                terms.append(inverted)
        return terms

    def _row(self, m: Module, index: int, row: DotProductRow) -> Signal:
        f = self._format
        width = f.row_width(row)
        tap = row.taps[0]
        if len(row.taps) == 2:
            multiples = [self.x[tap], self.x[row.taps[1]], self.pair[tap // 2]]
        elif row.digit == 2:
            multiples = [self.x[tap], _at(self.x[tap], 1), self.triple[tap]]
        else:
            multiples = [self.x[tap]]
        bits = Signal(f.shape(width), name="row_" + "_".join(map(str, row.taps)) + f"_bit_{row.bit}")
        picked: Value = Const(0, width)
        for number, multiple in enumerate(multiples):
            if f.signed:
                multiple = Cat(multiple, multiple[-1].replicate(width - len(multiple)))
            picked = picked | (multiple & self.select[index][number].replicate(len(multiple)))
        m.d.comb += bits.eq(picked)
        return bits

    def _to_even(self, m: Module, tap: int, product: Value) -> Signal:
        f = self._format
        exact = Signal(f.activation_width + f.offset_bits, name=f"product_{tap}")
        rounded = Signal(len(exact) - f.shift, name=f"rounded_{tap}")
        kept, half, below = exact[f.shift :], exact[f.shift - 1], exact[: f.shift - 1]
        up = half & (kept[0] | below.any())
        m.d.comb += [exact.eq(product), rounded.eq(kept + up)]
        return rounded


class PartialDotProduct(_Rows):
    """The products of a few neighbouring taps, added up: rows inverted, without offset and bias.

    Combinational. Its one sum is all that leaves it, so that a placer finds the same taps of all neurons a place of
    their own, where the wires of their activations are short.

    Parameters
    ----------
    dot_format : DotProductFormat
        Of these taps alone.

    Members
    -------
    x, triple, pair, select
        As `DotProduct`, of these taps.
    sum : Out(width)
        Sum of the inverted rows and carries, exact.
    """

    latency = 0

    def __init__(self, *, dot_format: DotProductFormat):
        super().__init__(dot_format, {"sum": Out(_partial_width(dot_format))})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += self.sum.eq(balanced_sum(self._terms(m)))
        return m


def _partial_width(f: DotProductFormat) -> int:
    """Bits of the sum of all rows and carries, each at its largest."""
    if f.rounding == Rounding.RND_CONV and f.shift:
        return (f.taps * ((1 << (f.activation_width + f.offset_bits - f.shift)) - 1)).bit_length()
    most = f.taps * _carry_count(f)
    for row in f.rows:
        first, column = _kept_bits(f, row)
        most += ((1 << max(0, f.row_width(row) - first)) - 1) << column
    return most.bit_length()


class DotProduct(_Rows):
    """Exact sum of individually rounded products, plus bias; see the module's docstring for the structure.

    Combinational: no registers. ``sum = sum(round(x[i] * w[i] / 2**shift)) + (bias << bias_shift)`` where `select`
    comes from a `WeightRecoder`, `triple` and `pair` from `ActivationMultiples` and `offset` from an
    `ActivationOffset` of the same format and the same activations. The width of `sum` follows from the extremes,
    ``taps * round(-2**(weight_width - 1) * (2**activation_width - 1) / 2**shift)`` and its positive counterpart with
    the extreme biases, so it cannot overflow, unless the format gives a smaller `width`: then the sum wraps. Rounding
    modes other than `TRN` are right, not small.

    Parameters
    ----------
    dot_format : DotProductFormat
        Widths and arithmetic.
    group : int
        Taps that are added up in a module of their own (`PartialDotProduct`), an even number of neighbours; 0: all in
        one tree.

    Raises
    ------
    ValueError
        If `group` is odd or negative.

    Members
    -------
    x : In(activation_width) * taps
        Activations, unsigned.
    triple : In(activation_width + 2) * taps
        3x.
    pair : In(activation_width + 1) * pairs
        ``x[2i] + x[2i + 1]``.
    select : In(3) * len(rows)
        Recoded weights.
    bias : In(bias_width)
        Bias, two's complement; not in a format that accumulates.
    partial : In(sum_width)
        The sum so far with the bias in it, inverted; in a format that accumulates only.
    offset : In(sum_width)
        Shared offset.
    sum : Out(signed(sum_width))
        Result.

    Attributes
    ----------
    latency : int
        0.
    """

    latency = 0

    def __init__(self, *, dot_format: DotProductFormat, group: int = 0):
        if group < 0 or group % 2:
            raise ValueError(f"group: expected an even number of taps, or 0, got {group}")
        self._group = group
        first = {"partial": In(dot_format.sum_width)} if dot_format.accumulated else {"bias": In(dot_format.bias_width)}
        super().__init__(
            dot_format,
            {**first, "offset": In(dot_format.sum_width), "sum": Out(signed(dot_format.sum_width))},
        )

    def elaborate(self, platform: object) -> Module:
        f = self._format
        m = Module()
        terms = self._parts(m, platform) if self._group else self._terms(m)
        terms.append(self.partial if f.accumulated else _at(Cat(~self.bias[:-1], self.bias[-1]), f.bias_shift))
        terms.append(self.offset)
        total = Signal(f.sum_width)
        m.d.comb += [total.eq(balanced_sum(terms)), self.sum.eq((~total).as_signed())]
        return m

    def _parts(self, m: Module, platform: object) -> list[Value]:
        """A sum for each group of taps."""
        f = self._format
        index = {(row.taps, row.bit): number for number, row in enumerate(f.rows)}
        sums: list[Value] = []
        for first in range(0, f.taps, self._group):
            own = replace(f, taps=min(self._group, f.taps - first), accumulated=0)
            part = place(m, platform, f"taps_{first}", PartialDotProduct, dot_format=own)
            m.d.comb += [part.x[tap].eq(self.x[first + tap]) for tap in range(own.taps)]
            m.d.comb += [part.triple[tap].eq(self.triple[first + tap]) for tap in range(own.taps)]
            m.d.comb += [part.pair[pair].eq(self.pair[first // 2 + pair]) for pair in range(own.pairs)]
            for number, row in enumerate(own.rows):
                taps = tuple(first + tap for tap in row.taps)
                m.d.comb += part.select[number].eq(self.select[index[taps, row.bit]])
            sums.append(part.sum)
        return sums
