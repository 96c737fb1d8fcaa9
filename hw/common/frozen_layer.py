"""A layer of either kind whose weights are constants: no weight is stored, no multiplier is left.

Structure
---------
A product that is floored on its own, ``floor(w * x / 2**s)``, is no linear function of x, and a sum of such products no
product with a matrix. Split ``x = 2**s * h + l`` and ``w = 2**s * a + b``: then

    floor(w * x / 2**s) = w * h + a * l + floor(b * l / 2**s)

The first two parts are linear, in words of few bits, and go through `hw.common.constant_matrix.share` with all outputs
at once; the last is a function of the s low bits of one input, as small as ``b`` is chosen, formed once for all outputs
whose weights agree in b. Few low bits make a table, which becomes gates (`Tables`); many make the products b * l of an
input, which share their additions, and of which the high bits are taken (`Remainders`). Where nothing is dropped
(s = 0) only ``w * h`` is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed, unsigned
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.carry_save import balanced_sum
from hw.common.constant_matrix import Graph, Term, Word, share, signed_digits, smallest_graph
from hw.common.hierarchy import place
from hw.common.requantise import rectify
from sim.fixed_point import FixedPoint, Overflow, Rounding, round_shift

__all__ = ["FrozenFormat", "FrozenLayer", "Remainders", "Row", "Tables"]

Row = tuple[tuple[int, int], ...]
"""Inputs of one output and their weights."""
Table = tuple[int, ...]
"""Values of a function of a few bits, by their number."""
_GROUP = 8
"""Inputs whose tables share a module: small enough for every optimiser."""
_TABLE_BITS = 5
"""Low bits up to which a function is a table. One of six is as large as the adders of its product, and doubles with
every bit more."""


class Tables(Component):
    """Functions of the low bits of inputs, as gates. Combinational.

    Parameters
    ----------
    bits : int
        Bits of each input.
    tables : tuple of tuple of Table
        Functions of each input; not negative.

    Members
    -------
    x : In(bits) x inputs
    t_<input>_<number> : Out(width of the largest value)
    """

    latency = 0

    def __init__(self, *, bits: int, tables: tuple[tuple[Table, ...], ...]):
        self._bits = bits
        self._tables = tables
        super().__init__(
            {
                "x": In(ArrayLayout(bits, len(tables))),
                **{
                    f"t_{source}_{number}": Out(max(table).bit_length())
                    for source, several in enumerate(tables)
                    for number, table in enumerate(several)
                },
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        for source, several in enumerate(self._tables):
            known: dict[tuple[bool, ...], Value] = {}
            for number, table in enumerate(several):
                out = getattr(self, f"t_{source}_{number}")
                for place_ in range(len(out)):
                    column = tuple(bool(value >> place_ & 1) for value in table)
                    m.d.comb += out[place_].eq(self._function(m, source, column, known))
        return m

    def _function(
        self, m: Module, source: int, column: tuple[bool, ...], known: dict[tuple[bool, ...], Value]
    ) -> Value:
        """One bit as a decision diagram (Shannon), parts shared."""
        if all(column) or not any(column):
            return Const(int(column[0]), 1)
        if column in known:
            return known[column]
        negated = tuple(not value for value in column)
        made = Signal(name=f"f_{source}_{len(known)}")
        if negated in known:
            m.d.comb += made.eq(~known[negated])
        else:
            half = len(column) // 2
            bit = self.x[source][half.bit_length() - 1]
            low = self._function(m, source, column[:half], known)
            if column[:half] == column[half:]:
                m.d.comb += made.eq(low)
            elif column[:half] == negated[half:]:
                m.d.comb += made.eq(bit ^ low)
            else:
                high = self._function(m, source, column[half:], known)
                m.d.comb += made.eq((bit & high) | (~bit & low))
        known[column] = made
        return made


class Remainders(Component):
    """Constant multiples of the low bits of inputs, rounded: ``(b * x + c) >> bits``. Combinational.

    Parameters
    ----------
    bits : int
        Bits of each input, and bits that a multiple loses.
    limits : tuple of int
        Largest value of each input.
    multiples : tuple of tuple of (int, int)
        For each input b, above 0, and c, not negative and below ``2**bits``.

    Members
    -------
    x : In(bits) x inputs
    t_<input>_<number> : Out(width of the largest value)
    """

    latency = 0

    def __init__(self, *, bits: int, limits: tuple[int, ...], multiples: tuple[tuple[tuple[int, int], ...], ...]):
        self._bits, self._limits, self._multiples = bits, limits, multiples
        super().__init__(
            {
                "x": In(ArrayLayout(bits, len(limits))),
                **{
                    f"t_{source}_{number}": Out(((b * limits[source] + c) >> bits).bit_length())
                    for source, several in enumerate(multiples)
                    for number, (b, c) in enumerate(several)
                },
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        for source, several in enumerate(self._multiples):
            limit = self._limits[source]
            graph = share([limit], [[(0, b)] for b, _ in several])
            words = _shared_sums(m, graph, [self.x[source][: limit.bit_length()]], f"sum_{source}_")
            for number, (terms, (b, c)) in enumerate(zip(graph.outputs, several, strict=True)):
                width = (b * limit + c).bit_length()
                total = Signal(width, name=f"total_{source}_{number}")
                m.d.comb += total.eq(_sum_of(graph, words, terms, c, width))
                m.d.comb += getattr(self, f"t_{source}_{number}").eq(total[self._bits :])
        return m


@dataclass(frozen=True, kw_only=True)
class FrozenFormat:
    """Arithmetic and constants of a layer: ``y = store(max(sum(round(w * x / 2**shift)) + bias, 0))`` for each output.

    Without a format of the outputs ``y`` is the sum itself.

    Attributes
    ----------
    width : int
        Bits of the unsigned inputs.
    ranges : tuple of (int, int)
        Smallest and largest value of each input; an input with equal ones is a constant, too.
    rows : tuple of Row
        For each output its inputs and weights.
    bias : tuple of int
        For each output, aligned to the products.
    shift : int
        Fraction bits that each product loses.
    rounding : Rounding
        How; to nearest even only where nothing is lost.
    fraction : int
        Fraction bits of the sums.
    output : FixedPoint or None
        Unsigned format of the outputs; None: sums as two's complement.

    Raises
    ------
    ValueError
        If single products are rounded to nearest even: ties depend on all bits of a product.
    """

    width: int
    ranges: tuple[tuple[int, int], ...]
    rows: tuple[Row, ...]
    bias: tuple[int, ...]
    shift: int
    rounding: Rounding
    fraction: int
    output: FixedPoint | None = None

    def __post_init__(self) -> None:
        if self.shift and self.rounding is Rounding.RND_CONV:
            raise ValueError("frozen weights: single products cannot be rounded to nearest even, got RND_CONV")

    def round_product(self, product: int) -> int:
        """``product / 2**shift`` by the rounding mode."""
        return int(round_shift(product, self.shift, self.rounding))

    def bounds(self, output: int) -> tuple[int, int]:
        """Smallest and largest sum of an output, bias included."""
        # products are monotonous in their input
        ends = [sorted(self.round_product(w * x) for x in self.ranges[source]) for source, w in self.rows[output]]
        return self.bias[output] + sum(e[0] for e in ends), self.bias[output] + sum(e[1] for e in ends)

    def stored_bounds(self, output: int) -> tuple[int, int]:
        """Smallest and largest value that can leave an output; where it can wrap, the whole range."""
        assert self.output is not None
        low, high = (max(end, 0) for end in self.bounds(output))
        drop = self.fraction - self.output.fraction
        wraps = self.output.overflow is Overflow.WRAP
        if wraps and int(round_shift(high, drop, self.output.rounding)) > self.output.max_code:
            return 0, self.output.max_code
        stored = self.output.requantise([low, high], self.fraction)
        return int(stored[0]), int(stored[1])

    @property
    def output_shape(self) -> Shape:
        """Shape of an output."""
        if self.output is not None:
            return unsigned(self.output.width)
        ends = [end for row in range(len(self.rows)) for end in self.bounds(row)]
        return signed(1 + max(end.bit_length() if end >= 0 else (-end - 1).bit_length() for end in ends))

    def split(self, weight: int, high: int) -> tuple[int, int]:
        """Parts a and b of the weight of an input up to `high`: the pair that costs least."""
        unit = 1 << self.shift
        choices = []
        for b in (weight % unit, weight % unit - unit):
            a = (weight - b) >> self.shift
            largest = self.remainder(b, min(unit - 1, high))
            # bits that enter the tree, and about what the gates of the function cost beside a full adder
            bits = len(signed_digits(a)) * self.shift + 1.5 * largest.bit_length() + (largest > 0)
            choices.append((bits, a, b))
        return min(choices)[1:]

    def remainder(self, b: int, low: int) -> int:
        """What the low bits of an input add to a product; negated where b is negative: no value is below 0."""
        value = self.round_product(b * low)
        return -value if b < 0 else value

    def table(self, b: int, high: int) -> Table:
        """`remainder` for all values of the low bits; 0 beyond `high`, where none occurs."""
        unit = 1 << self.shift
        values = tuple(self.remainder(b, low) for low in range(min(unit, high + 1)))
        return values + (0,) * (unit - len(values))

    def multiple(self, b: int) -> tuple[int, int]:
        """``|b|`` and the c with which `remainder` is ``(|b| * low + c) >> shift``."""
        half = (1 << self.shift) // 2
        up = {Rounding.TRN: 0, Rounding.RND: half, Rounding.RND_MIN_INF: half - 1}[self.rounding]
        return abs(b), (1 << self.shift) - 1 - up if b < 0 else up


class FrozenLayer(Component):
    """All outputs of a layer at once, weights folded in. Combinational.

    Bit for bit what `hw.hgcal_encoder.neuron.Neuron` computes with the same weights.

    Parameters
    ----------
    layer : FrozenFormat
        Arithmetic and constants.

    Members
    -------
    x : In(width) x inputs
    y : Out x outputs
        `FrozenFormat.output_shape` each.
    """

    latency = 0

    def __init__(self, *, layer: FrozenFormat):
        self._layer = layer
        super().__init__(
            {
                "x": In(ArrayLayout(layer.width, len(layer.ranges))),
                "y": Out(ArrayLayout(layer.output_shape, len(layer.rows))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        layer = self._layer
        m = Module()
        limits: list[int] = []
        signals: list[Value] = []
        numbers: dict[tuple[int, str | Table | int], int] = {}
        functions: dict[int, list[Any]] = {}
        unit = 1 << layer.shift

        def feature(source: int, kind: str | Table | int) -> int:
            """Number of a word that the matrix takes."""
            if (source, kind) not in numbers:
                numbers[source, kind] = len(limits)
                high = layer.ranges[source][1]
                if isinstance(kind, str):
                    limits.append(high >> layer.shift if kind == "h" else min(high, unit - 1))
                    word = self.x[source][layer.shift :] if kind == "h" else self.x[source][: layer.shift]
                    signals.append(word[: limits[-1].bit_length()])
                else:
                    limits.append(max(kind) if isinstance(kind, tuple) else layer.remainder(kind, min(high, unit - 1)))
                    of = functions.setdefault(source, [])
                    of.append(kind)
                    signals.append(Signal(limits[-1].bit_length(), name=f"table_{source}_{len(of)}"))
            return numbers[source, kind]

        matrix: list[list[tuple[int, int]]] = []
        constants = list(layer.bias)
        for number, row in enumerate(layer.rows):
            entries: list[tuple[int, int]] = []
            for source, weight in row:
                low, high = layer.ranges[source]
                if low == high:
                    constants[number] += layer.round_product(weight * low)
                    continue
                a, b = layer.split(weight, high)
                if weight and high >> layer.shift:
                    entries.append((feature(source, "h"), weight))
                if a and layer.shift:
                    entries.append((feature(source, "l"), a))
                if layer.remainder(b, min(high, unit - 1)):
                    # equal tables of different b are one function
                    kind = layer.table(b, high) if layer.shift <= _TABLE_BITS else b
                    entries.append((feature(source, kind), -1 if b < 0 else 1))
            matrix.append(entries)

        sources = sorted(functions)
        for at in range(0, len(sources), _GROUP):
            group = sources[at : at + _GROUP]
            part = self._functions_of(m, platform, at // _GROUP, {source: functions[source] for source in group})
            for index, source in enumerate(group):
                m.d.comb += part.x[index].eq(self.x[source][: layer.shift])
                for number, kind in enumerate(functions[source]):
                    m.d.comb += signals[numbers[source, kind]].eq(getattr(part, f"t_{index}_{number}"))

        bounds = [layer.bounds(number) for number in range(len(matrix))]
        widths = [max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + (low < 0) for low, high in bounds]
        graph = smallest_graph(limits, matrix, widths)
        words = _shared_sums(m, graph, signals, "sum_")
        read = {parent.output for parent in graph.parents if parent}
        totals: dict[int, Signal] = {}
        for number in graph.order:
            low, high = bounds[number]
            if layer.output is not None and high <= 0:
                m.d.comb += self.y[number].eq(0)
                if number not in read:
                    continue
            totals[number] = total = Signal(widths[number], name=f"total_{number}")
            constant, more = constants[number], []
            if parent := graph.parents[number]:
                constant -= -constants[parent.output] if parent.negative else constants[parent.output]
                operand, offset = _from_parent(totals[parent.output], bounds[parent.output][0] < 0, parent.negative)
                constant += offset
                more = [operand]
            m.d.comb += total.eq(_sum_of(graph, words, graph.outputs[number], constant, len(total), more))
            if layer.output is None or high > 0:
                value = (total if low < 0 else Cat(total, Const(0, 1))).as_signed()
                stored = value if layer.output is None else rectify(m, value, layer.fraction, layer.output)
                m.d.comb += self.y[number].eq(stored)
        return m

    def _functions_of(self, m: Module, platform: object, number: int, functions: dict[int, list[Any]]) -> Any:
        """The module with the functions of the low bits of some inputs."""
        layer = self._layer
        several = tuple(tuple(kinds) for kinds in functions.values())
        if layer.shift <= _TABLE_BITS:
            return place(m, platform, f"tables_{number}", Tables, label="frozen", bits=layer.shift, tables=several)
        return place(
            m, platform, f"remainders_{number}", Remainders, label="frozen", bits=layer.shift,
            limits=tuple(min(layer.ranges[source][1], (1 << layer.shift) - 1) for source in functions),
            multiples=tuple(tuple(layer.multiple(b) for b in kinds) for kinds in several),
        )  # fmt: skip


def _shared_sums(m: Module, graph: Graph, inputs: Sequence[Value], name: str) -> list[Value]:
    """Inputs and sums of a graph, in its order."""
    words = [*inputs]
    for number, (step, word) in enumerate(zip(graph.sums, graph.words[len(inputs) :], strict=True)):
        made = Signal(word.width, name=f"{name}{number}")
        m.d.comb += made.eq(_operand(words, step.left) + _operand(words, step.right))
        words.append(made)
    return words


def _sum_of(
    graph: Graph, words: Sequence[Value], terms: Sequence[Term], constant: int, width: int, more: Sequence[Value] = ()
) -> Value:
    """Terms of an output, more words and a constant, modulo ``2**width``."""
    constant += sum(_offset(graph, term) for term in terms)
    operands = [*(_operand(words, term) for term in terms), *more]
    return balanced_sum([*operands, Const(constant % (1 << width), width)])


def _from_parent(total: Value, signed_: bool, negative: bool) -> tuple[Value, int]:
    """The total of another output, or its negative, as an unsigned word, and what that is short of its value."""
    half = 1 << (len(total) - 1) if signed_ else 0
    # with its sign inverted a word of two's complement is larger by half
    word = Cat(total[:-1], ~total[-1]) if signed_ else total
    return (~word, half - (1 << len(total)) + 1) if negative else (word, -half)


def _operand(words: Sequence[Value], term: Term) -> Value:
    value = words[term.word]
    value = ~value if term.negative else value
    return Cat(Const(0, term.shift), value) if term.shift else value


def _offset(graph: Graph, term: Term) -> int:
    """What a term's word is short of its value."""
    word: Word = graph.words[term.word]
    return (word.inverted() if term.negative else word).offset << term.shift
