"""Product of a matrix of constants with a vector, as a graph of shifts and additions that outputs share.

Each constant is written in signed digits -1, 0, 1 with as few digits as possible (A. D. Booth, 1951; canonic form of
G. W. Reitwiesner, 1960), so that an output is a sum of shifted inputs. A pair of terms that stands in many outputs, at
any shift and with either sign, is added once and used by all of them: greedy elimination of two-term subexpressions
(R. I. Hartley, "Subexpression sharing in filters using canonic signed digit multipliers", IEEE TCAS II 43, 1996).
What a pair is worth is counted in cells: a full adder takes three bits and leaves two, so every word that vanishes from
a tree of adders saves as many full adders as it has bits, less the width that the sum of the pair brings in its place.

Before that, an output may be formed from another one and the difference of their constants, where that has fewer
digits: a tree of nearest outputs (as in the graphs of K. Muhammad and K. Roy, "A graph theoretic approach for
synthesizing very low-complexity high-speed digital filters", IEEE TCAD 21, 2002).

Words are unsigned throughout. A word that is subtracted enters inverted, and its constant joins all others in one
constant per output: no sign is ever extended, no carry enters at the low end.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from heapq import heapify, heappop, heappush
from random import Random

import numpy as np
import numpy.typing as npt

__all__ = ["Graph", "Parent", "Sum", "Term", "Word", "share", "signed_digits", "smallest_graph"]

FULL_ADDER = 4.256
HALF_ADDER = 2.66
"""Areas in square micrometres of NanGate 45; only their ratio matters."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """Unsigned word ``u`` in ``low ... high`` that stands for the value ``u + offset``."""

    low: int = 0
    high: int
    offset: int = 0

    @property
    def width(self) -> int:
        """Bits of the word."""
        return self.high.bit_length()

    def inverted(self) -> "Word":
        """The word that its inverted bits are: it stands for the negated value."""
        ones = (1 << self.width) - 1
        return Word(low=ones - self.high, high=ones - self.low, offset=-ones - self.offset)

    def plus(self, other: "Word", shift: int, other_shift: int) -> "Word":
        """The sum of both, each shifted left."""
        return Word(
            low=(self.low << shift) + (other.low << other_shift),
            high=(self.high << shift) + (other.high << other_shift),
            offset=(self.offset << shift) + (other.offset << other_shift),
        )


@dataclass(frozen=True, kw_only=True)
class Term:
    """A word in a sum: shifted left, and subtracted where `negative`."""

    word: int
    shift: int
    negative: bool


@dataclass(frozen=True, kw_only=True)
class Sum:
    """A word that is the sum of two others."""

    left: Term
    right: Term


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The output that another one is formed from, subtracted where `negative`."""

    output: int
    negative: bool


@dataclass(frozen=True, kw_only=True)
class Graph:
    """What `share` and `smallest_graph` found.

    Attributes
    ----------
    words : tuple of Word
        Inputs, then sums in the order of their use.
    sums : tuple of Sum
        How words after the inputs are formed.
    outputs : tuple of tuple of Term
        Words whose sum, with the parent's, is the output.
    parents : tuple of Parent or None
        For each output; empty: there are none.
    """

    words: tuple[Word, ...]
    sums: tuple[Sum, ...]
    outputs: tuple[tuple[Term, ...], ...]
    parents: tuple[Parent | None, ...] = ()

    @property
    def order(self) -> tuple[int, ...]:
        """Outputs, every one after its parent."""
        children: dict[int | None, list[int]] = defaultdict(list)
        for number in range(len(self.outputs)):
            parent = self.parents[number] if self.parents else None
            children[parent.output if parent else None].append(number)
        found = list(children[None])
        for number in found:
            found += children[number]
        return tuple(found)

    def bits(self, widths: Sequence[int] = ()) -> int:
        """Full adders, as good as: bits that enter a sum of two words or of an output and do not leave it.

        Parameters
        ----------
        widths : sequence of int
            Bits of each output; needed where one has a parent.
        """
        first = len(self.words) - len(self.sums)
        total = 0
        for number, step in enumerate(self.sums):
            total += sum(self.words[t.word].width for t in (step.left, step.right)) - self.words[first + number].width
        total += sum(self.words[term.word].width for terms in self.outputs for term in terms)
        return total + sum(widths[parent.output] for parent in self.parents if parent)

    def evaluate(self, inputs: Sequence[int]) -> list[int]:
        """Values of the outputs for values of the inputs, by the graph."""
        values = list(inputs)

        def value(term: Term) -> int:
            shifted = values[term.word] << term.shift
            return -shifted if term.negative else shifted

        for step in self.sums:
            values.append(value(step.left) + value(step.right))
        results = [sum(map(value, terms)) for terms in self.outputs]
        for number in self.order:
            if self.parents and (parent := self.parents[number]):
                results[number] += -results[parent.output] if parent.negative else results[parent.output]
        return results


@cache
def signed_digits(constant: int) -> tuple[tuple[int, bool], ...]:
    """Canonic signed digits of a constant: (place, negative) of those that are not 0, lowest first."""
    digits = []
    place = 0
    while constant:
        if constant & 1:
            negative = constant & 3 == 3
            digits.append((place, negative))
            constant += 1 if negative else -1
        constant >>= 1
        place += 1
    return tuple(digits)


_Digit = tuple[int, int, bool]
_Pair = tuple[int, int, int, bool]


def _pair(a: _Digit, b: _Digit) -> _Pair:
    """What two digits share with others: their words, the distance of their shifts, whether their signs differ."""
    if a > b:
        a, b = b, a
    return a[0], b[0], b[1] - a[1], a[2] ^ b[2]


def share(inputs: Sequence[int], matrix: Sequence[Sequence[tuple[int, int]]], *, seed: int = 0) -> Graph:
    """Find a graph for a matrix of constants.

    Parameters
    ----------
    inputs : sequence of int
        Largest value of each input; the smallest is 0.
    matrix : sequence of sequences of (int, int)
        For each output its inputs and their constants; an input may stand more than once.
    seed : int
        Order of pairs of equal worth; 0 takes the first.

    Returns
    -------
    Graph
    """
    random = Random(seed)
    words = [Word(high=high) for high in inputs]
    sums: list[Sum] = []
    columns: list[set[_Digit]] = []
    for row in matrix:
        column: set[_Digit] = set()
        for source, constant in row:
            for place, negative in signed_digits(constant):
                _insert(column, (source, place, negative))
        columns.append(column)
    users: dict[int, set[int]] = defaultdict(set)
    counts: dict[_Pair, int] = defaultdict(int)
    for number, column in enumerate(columns):
        digits = sorted(column)
        for at, digit in enumerate(digits):
            users[digit[0]].add(number)
            for other in digits[at + 1 :]:
                counts[_pair(digit, other)] += 1

    worth: dict[_Pair, tuple[float, float, float]] = {}

    def gain(pair: _Pair, count: int) -> float:
        """Area saved by forming the sum of a pair once for that many uses."""
        if pair not in worth:
            word = _sum_word(words, pair)
            saved = words[pair[0]].width + words[pair[1]].width - word.width
            low, high = max(0, -pair[2]), max(0, pair[2])
            ends = sorted([low, low + words[pair[0]].width, high, high + words[pair[1]].width])
            halves = max(0, word.width - ends[2]) + 1
            worth[pair] = saved * FULL_ADDER, halves * HALF_ADDER, random.random() if seed else 0.0
        full, half, jitter = worth[pair]
        return (count - 1) * full - half + jitter

    heap = [(-gain(pair, count), pair) for pair, count in counts.items() if count > 1]
    heapify(heap)
    while heap:
        worse, pair = heappop(heap)
        count = counts.get(pair, 0)
        if count < 2:
            continue
        now = gain(pair, count)
        if now < -worse - 1e-9:
            if now > 0:
                heappush(heap, (-now, pair))
            continue
        if now <= 0:
            break
        places = _places(pair, columns, users)
        if len(places) < count:
            # overlapping places of a word with itself were counted twice
            if len(places) < 2 or gain(pair, len(places)) <= 0:
                counts[pair] = 0
                continue
            if gain(pair, len(places)) < now - 1e-9:
                counts[pair] = len(places)
                heappush(heap, (-gain(pair, len(places)), pair))
                continue
        new = len(words)
        words.append(_sum_word(words, pair))
        low, high = max(0, -pair[2]), max(0, pair[2])
        sums.append(
            Sum(
                left=Term(word=pair[0], shift=low, negative=False),
                right=Term(word=pair[1], shift=high, negative=pair[3]),
            )
        )
        for number, a, b in places:
            column = columns[number]
            for gone in (a, b):
                column.discard(gone)
                for other in column:
                    key = _pair(gone, other)
                    counts[key] -= 1
            counts[_pair(a, b)] -= 1
            digit = (new, min(a[1], b[1]), a[2])
            for other in column:
                key = _pair(digit, other)
                counts[key] += 1
                if counts[key] > 1 and (g := gain(key, counts[key])) > 0:
                    heappush(heap, (-g, key))
            column.add(digit)
            users[new].add(number)
        counts[pair] = 0
    outputs = tuple(
        tuple(Term(word=word, shift=shift, negative=negative) for word, shift, negative in sorted(column))
        for column in columns
    )
    return Graph(words=tuple(words), sums=tuple(sums), outputs=outputs)


_MOST_LEVELS = 10
"""Outputs in a row of which each is formed from the one before: each takes the time of an addition."""
_NEARNESS = (0.0, 0.9, 1.0)
_MOST_COMPARED = 10**8
"""Constants times outputs up to which outputs are compared with each other: not those of a large convolution, which
read different inputs anyway."""
_TRIES = (4, 24)
"""Orders of equal pairs that are tried, fewest and most: as many as there is time for."""
_DIGITS = 25_000
"""Signed digits of all tries together, as long as more than the fewest are tried."""
_LARGE = 12_000
"""Signed digits above which one order has to do."""


def smallest_graph(inputs: Sequence[int], matrix: Sequence[Sequence[tuple[int, int]]], widths: Sequence[int]) -> Graph:
    """The smallest of several graphs for a matrix: with and without outputs formed from others, pairs in other orders.

    Parameters
    ----------
    inputs, matrix
        As `share`.
    widths : sequence of int
        Bits of each output as a word that others can be formed from.
    """
    constants = np.zeros((len(matrix), len(inputs)), np.int64)
    for number, row in enumerate(matrix):
        for source, constant in row:
            constants[number, source] += constant
    digits = int(_digits(constants).sum())
    tries = min(max(_DIGITS // max(digits, 1), _TRIES[0]), _TRIES[1]) if digits <= _LARGE else 1
    cells = np.array([high.bit_length() for high in inputs], np.int64)
    compared = _NEARNESS if constants.size * len(matrix) <= _MOST_COMPARED else _NEARNESS[:1]
    trees = {_nearest(constants, cells, np.array(widths, np.int64), nearness) for nearness in compared}
    found: list[Graph] = []
    for parents in sorted(trees, key=lambda tree: sum(map(bool, tree))):
        rows = []
        for number, parent in enumerate(parents):
            row = constants[number].copy()
            if parent:
                row -= (-1 if parent.negative else 1) * constants[parent.output]
            rows.append([(int(source), int(row[source])) for source in np.flatnonzero(row)])
        found += [replace(share(inputs, rows, seed=seed), parents=parents) for seed in range(tries)]
    return min(found, key=lambda graph: graph.bits(widths))


def _nearest(
    constants: npt.NDArray[np.int64], cells: npt.NDArray[np.int64], widths: npt.NDArray[np.int64], nearness: float
) -> tuple[Parent | None, ...]:
    """A tree of outputs: each from the one whose difference has the fewest bits, if below a part of its own."""
    own = _digits(constants) @ cells
    if not nearness:
        return (None,) * len(own)
    best = own.astype(float)
    chosen: list[Parent | None] = [None] * len(own)
    levels = np.zeros(len(own), np.int64)
    left = np.ones(len(own), bool)
    for _ in range(len(own)):
        number = int(np.argmin(np.where(left, best, np.inf)))
        left[number] = False
        if (parent := chosen[number]) is not None:
            levels[number] = levels[parent.output] + 1
        if levels[number] == _MOST_LEVELS:
            continue
        for negative in (False, True):
            other = -constants[number] if negative else constants[number]
            cost = _digits(constants - other) @ cells + widths[number]
            for better in np.flatnonzero(left & (cost < best) & (cost < nearness * own)):
                best[better], chosen[better] = cost[better], Parent(output=number, negative=negative)
    return tuple(chosen)


def _digits(constants: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Signed digits of each constant that are not 0: the ones of ``3 c ^ c`` (Reitwiesner)."""
    magnitude = np.abs(constants)
    bits = (3 * magnitude) ^ magnitude
    return np.unpackbits(bits[..., None].view(np.uint8), axis=-1).sum(axis=-1, dtype=np.int64)


def _insert(column: set[_Digit], digit: _Digit) -> None:
    """Add a digit to a column: two equal ones become one of twice the weight, two opposite ones nothing."""
    word, place, negative = digit
    while True:
        if (word, place, not negative) in column:
            column.remove((word, place, not negative))
            return
        if (word, place, negative) not in column:
            column.add((word, place, negative))
            return
        column.remove((word, place, negative))
        place += 1


def _places(
    pair: _Pair, columns: Sequence[set[_Digit]], users: dict[int, set[int]]
) -> list[tuple[int, _Digit, _Digit]]:
    """Where the pair stands, no digit used twice: number of the output and both digits."""
    first, second, distance, differ = pair
    found = []
    for number in sorted(users[first] & users[second]):
        column = columns[number]
        taken: set[_Digit] = set()
        for a in sorted(digit for digit in column if digit[0] == first):
            b = (second, a[1] + distance, a[2] ^ differ)
            if b in column and a not in taken and b not in taken:
                taken |= {a, b}
                found.append((number, a, b))
    return found


def _sum_word(words: Sequence[Word], pair: _Pair) -> Word:
    left, right = words[pair[0]], words[pair[1]]
    return left.plus(right.inverted() if pair[3] else right, max(0, -pair[2]), max(0, pair[2]))
