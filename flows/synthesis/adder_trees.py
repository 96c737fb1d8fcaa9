"""Sums of several words as trees of full adders that take their bits in the order in which they come.

yosys' ``maccmap`` adds whole words, three at a time: what the words do not have in common becomes half adders, and bits
that come early wait for late ones. Here each column takes its three earliest bits, the latest of them at the carry
input (V. G. Oklobdzija, D. Villeger, S. S. Liu, A method for speed optimized partial product reduction and generation
of fast parallel multipliers using an algorithmic approach, IEEE Trans. Computers 45, 1996), so that no half adder
stands before the last addition, the tree is less deep, and what an adder takes comes at nearly the same time: fewer
glitches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from flows.synthesis.gates import free_nets
from flows.synthesis.result import is_design

__all__ = ["grow_trees"]

SUM, CARRY = 4, 3
"""Delays of a full adder to its outputs: FA_X1 of NanGate 45 takes 92 and 70 ps."""

Bit = int | str
"""A net, or a constant ``"0"``, ``"1"``, as yosys' JSON writes them."""
Column = list[tuple[int, int, Bit]]
"""A heap: when each bit comes, its number, its net."""


def grow_trees(modules: Mapping[str, dict[str, Any]]) -> int:
    """Turn sums of words into full adders and one last addition each; products are left to ``maccmap``.

    Parameters
    ----------
    modules : mapping
        Modules of a JSON netlist of yosys after ``alumacc``; changed in place.

    Returns
    -------
    int
        How many sums.
    """
    return sum(_grow(body) for body in modules.values() if is_design(body))


def _grow(body: dict[str, Any]) -> int:
    """The same in one module."""
    sums = [
        (name, cell) for name, cell in body["cells"].items()
        if cell["type"] == "$macc_v2" and not int(cell["parameters"]["NPRODUCTS"], 2)
    ]  # fmt: skip
    free = free_nets(body)
    for name, cell in sums:
        del body["cells"][name]
        body["cells"] |= _Tree(name, cell, free).cells
    return len(sums)


@dataclass(frozen=True, kw_only=True)
class _Addend:
    """A word of a sum."""

    bits: Sequence[Bit]
    signed: bool
    negative: bool


def _addends(cell: Mapping[str, Any]) -> list[_Addend]:
    """Words of a ``$macc_v2``, the first in the lowest bits."""
    parameters, bits = cell["parameters"], cell["connections"]["C"]
    count, widths = int(parameters["NADDENDS"], 2), int(parameters["C_WIDTHS"], 2)
    signed, negative = (int(parameters[name], 2) for name in ("C_SIGNED", "ADDEND_NEGATED"))
    found, first = [], 0
    for number in range(count):
        last = first + (widths >> 16 * number & 0xFFFF)
        word = _Addend(bits=bits[first:last], signed=bool(signed >> number & 1), negative=bool(negative >> number & 1))
        found.append(word)
        first = last
    return found


class _Tree:
    """The cells that take the place of one sum.

    Parameters
    ----------
    name : str
        Of the sum; start of the names of `cells`.
    cell : mapping
    free : iterator of int
        Nets that the module does not have yet.
    """

    def __init__(self, name: str, cell: Mapping[str, Any], free: Iterator[int]) -> None:
        self.cells: dict[str, dict[str, Any]] = {}
        self._name, self._free = name, free
        self._columns: list[Column] = [[] for _ in cell["connections"]["Y"]]
        self._width = len(self._columns)
        self._constant = 0
        self._numbers = 0
        for addend in _addends(cell):
            self._enter(addend)
        for place in range(self._width):
            if self._constant >> place & 1:
                self._put(place, "1", 0)
        self._reduce(cell["connections"]["Y"])

    def _enter(self, addend: _Addend) -> None:
        bits = list(addend.bits)
        while addend.signed and len(bits) > 1 and bits[-1] == bits[-2]:
            bits.pop()
        for place, bit in enumerate(bits[: self._width]):
            # a bit b of weight -2**k counts as (1 - b) * 2**k, less 2**k
            negative = addend.negative != (addend.signed and place == len(bits) - 1)
            self._constant -= negative << place
            self._put(place, self._inverse(bit) if negative else bit, 0)

    def _put(self, place: int, bit: Bit, at: int) -> None:
        """A bit into a column; twice the same is one in the next."""
        if place >= self._width or bit in ("0", "x"):
            return
        column = self._columns[place]
        same = next((entry for entry in column if entry[2] == bit), None)
        if same is None:
            heappush(column, (at, self._numbers, bit))
            self._numbers += 1
            return
        column.remove(same)
        heapify(column)
        self._put(place + 1, bit, at)

    def _inverse(self, bit: Bit) -> Bit:
        if isinstance(bit, str):
            return {"0": "1", "1": "0"}.get(bit, bit)
        result = next(self._free)
        self._cell("$not", {"A_SIGNED": 0, "A_WIDTH": 1, "Y_WIDTH": 1}, inputs={"A": [bit]}, outputs={"Y": [result]})
        return result

    def _reduce(self, result: Sequence[Bit]) -> None:
        """Columns of two bits at most, from the lowest up, then one addition."""
        for place, column in enumerate(self._columns):
            while len(column) > 2:
                (_, _, a), (_, _, b), (at, _, c) = (heappop(column) for _ in range(3))
                total, carry = next(self._free), next(self._free)
                self._cell(
                    "$fa", {"WIDTH": 1}, inputs={"A": [a], "B": [b], "C": [c]}, outputs={"X": [carry], "Y": [total]}
                )
                self._put(place, total, at + SUM)
                self._put(place + 1, carry, at + CARRY)
        words = [[column[row][2] if row < len(column) else "0" for column in self._columns] for row in range(2)]
        open_: dict[str, list[Bit]] = {name: [next(self._free) for _ in result] for name in ("X", "CO")}
        sizes = {f"{name}_WIDTH": self._width for name in ("A", "B", "Y")}
        self._cell(
            "$alu", {"A_SIGNED": 0, "B_SIGNED": 0, **sizes},
            inputs={"A": words[0], "B": words[1], "CI": ["0"], "BI": ["0"]}, outputs={"Y": list(result), **open_},
        )  # fmt: skip

    def _cell(
        self, kind: str, parameters: Mapping[str, int], *, inputs: Mapping[str, list[Bit]],
        outputs: Mapping[str, list[Bit]],
    ) -> None:  # fmt: skip
        self.cells[f"{self._name}$tree${len(self.cells)}"] = {
            "hide_name": 1, "type": kind, "attributes": {},
            "parameters": {name: f"{value:032b}" for name, value in parameters.items()},
            "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
            "connections": {**inputs, **outputs},
        }  # fmt: skip
