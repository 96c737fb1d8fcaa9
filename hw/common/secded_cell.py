"""One byte of a register file as a code word that corrects one error and detects two."""

from functools import cache
from itertools import combinations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.replica import HeldReplica
from hw.common.reset_value import check_cell

__all__ = ["SecdedCell", "check_columns", "check_values"]


@cache
def check_columns(width: int) -> tuple[int, ...]:
    """Columns of the parity-check matrix for data bits, as numbers with one bit per check bit.

    M. Y. Hsiao, A class of optimal minimum odd-weight-column SEC-DED codes, IBM J. Res. Dev. 14 (1970) 395: all
    columns are different and of odd weight, those of the check bits of weight 1. So a syndrome of odd weight is the
    column of a single error, and one of even weight the sum of two. Rows are kept of nearly equal weight.

    Returns
    -------
    tuple of int
        One column for each data bit; `check_bits` is one more than the place of the highest bit in use.

    Raises
    ------
    ValueError
        If the width is below 1.
    """
    if width < 1:
        raise ValueError(f"a code word needs at least 1 data bit, got {width}")
    rows = 3
    while sum(1 for number in range(1 << rows) if number.bit_count() % 2 and number.bit_count() > 1) < width:
        rows += 1
    chosen: list[int] = []
    load = [0] * rows
    for weight in range(3, rows + 1, 2):
        free = [sum(1 << place_ for place_ in places) for places in combinations(range(rows), weight)]
        while free and len(chosen) < width:
            # the lightest rows first
            best = min(free, key=lambda column: (sorted(_add(load, column), reverse=True), column))
            free.remove(best)
            chosen.append(best)
            load = _add(load, best)
    return tuple(chosen)


def _add(load: list[int], column: int) -> list[int]:
    return [count + (column >> row & 1) for row, count in enumerate(load)]


def check_bits(width: int) -> int:
    """Check bits for `width` data bits: 5 for a byte."""
    return max(column.bit_length() for column in check_columns(width))


def check_values(data: Value) -> list[Value]:
    """Check bits of a data word, least significant first."""
    columns = check_columns(len(data))
    return [
        Cat(data[bit] for bit, column in enumerate(columns) if column >> row & 1).xor()
        for row in range(check_bits(len(data)))
    ]


class SecdedCell(Component):
    """Takes the place of `StorageCell`: data and check bits of a Hsiao code; a byte takes 13 flip-flops.

    Single errors are corrected at `value` in the same clock, whatever is stored; the corrected word is stored again
    when the byte is scrubbed. A word per byte, and not per row, so that a write needs no reading before: a code word is
    never built from what an upset may have changed. Two errors in a word are detected and left alone.

    The flip-flops are clocked when the byte is written or a single error is scrubbed, behind one clock gate. A clock
    too many stores the corrected word: nothing changes, or an error is gone earlier. The check bits of what is written
    come from the register file, which has one encoder for all bytes of its write port.

    Not protected: encoder, corrector, enable and multiplexer against transients; clock, reset.

    Reset: the code word of `reset`, asynchronous. A write shows one clock later and goes before scrubbing.

    Parameters as `StorageCell`.

    Members
    -------
    data, enable, value
        As `StorageCell`.
    checks : In(check bits)
        Check bits of `data`: `check_values`.
    scrub : In(1)
        Store the corrected word at the next clock edge.
    error : Out(1)
        A single error is being corrected: high in the clock with `scrub`.
    double : Out(1)
        Two errors: high in every clock with `scrub` until the byte is written.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int):
        check_cell(width, reset)
        self._width, self._reset = width, reset
        super().__init__({
            "data": In(width), "checks": In(check_bits(width)), "enable": In(1), "scrub": In(1), "value": Out(width),
            "error": Out(1), "double": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        columns, rows = check_columns(self._width), check_bits(self._width)
        reset = self._reset
        for row in range(rows):
            parity = sum(self._reset >> bit & 1 for bit, column in enumerate(columns) if column >> row & 1) & 1
            reset |= parity << (self._width + row)
        word = place(m, platform, "replica", HeldReplica, width=self._width + rows, reset=reset)
        data, stored = word.value[: self._width], word.value[self._width :]
        syndrome = Signal(rows)
        m.d.comb += syndrome.eq(Cat(check_values(data)) ^ stored)
        wrong = [syndrome == column for column in columns] + [syndrome == 1 << row for row in range(rows)]
        corrected = Signal(len(word.value))
        m.d.comb += [
            corrected.eq(word.value ^ Cat(wrong)),
            self.value.eq(corrected[: self._width]),
            self.error.eq(self.scrub & syndrome.xor()),
            self.double.eq(self.scrub & syndrome.any() & ~syndrome.xor()),
            word.data.eq(Mux(self.enable, Cat(self.data, self.checks), corrected)),
            # with two errors, or none, there is nothing to store
            word.enable.eq(self.enable | self.error),
        ]
        return m
