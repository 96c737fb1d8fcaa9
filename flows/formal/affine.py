"""Exact symbolic evaluation of a netlist over GF(2): what a solver cannot do with parities of a hundred bits.

A bit is a sum modulo 2 of named unknowns and a constant (an affine form), which exclusive ors keep exact however many
unknowns there are, and which is the same for equal bits. An AND, OR or multiplexer stays exact where one side is
constant or both are equal; otherwise its output counts as not known. A linear code with one inverted bit has a constant
syndrome, whatever word is stored: so all that follows from it is constant or exact, and one evaluation is a proof for
every word.

What is not looked into (the other words of a store) is an atom: a bit of its own that may be anything, the same
wherever it comes up.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from flows.tools.rtlil import parse_rtlil
from flows.tools.yosys import run_yosys

__all__ = ["UNKNOWNS", "AffineNetlist", "Forms", "atom", "form", "in_span", "known"]

Forms = npt.NDArray[np.uint64]
"""Values of bits, shape (..., 2): bit 0 is the constant, bits 1 to `UNKNOWNS` the unknowns; above them the number of an
atom, and at the top whether the bit is not known."""

UNKNOWNS = 104
_ATOM_BIT, _TOP_BIT = 42, 63
_ATOM, _TOP = np.uint64(_ATOM_BIT), np.uint64(1) << np.uint64(_TOP_BIT)
_ONE, _ZERO = np.uint64(1), np.uint64(0)
_AND, _OR, _XOR, _NOT, _MUX = range(5)
_TYPES = {"$_AND_": _AND, "$_OR_": _OR, "$_XOR_": _XOR, "$_NOT_": _NOT, "$_MUX_": _MUX}


def form(*unknowns: int, constant: int = 0) -> Forms:
    """Sum of a constant and unknowns, by their numbers from 0 on.

    Raises
    ------
    ValueError
        If there are not so many unknowns.
    """
    bits = constant
    for unknown in unknowns:
        if not 0 <= unknown < UNKNOWNS:
            raise ValueError(f"expected unknowns 0 to {UNKNOWNS - 1}, got {unknown}")
        bits ^= 2 << unknown
    return np.array([bits & (1 << 64) - 1, bits >> 64], np.uint64)


def atom(number: int) -> Forms:
    """A bit that may be anything, by its number from 0 on."""
    return np.array([0, (number + 1) << _ATOM_BIT], np.uint64)


def known(values: Forms) -> npt.NDArray[np.bool_]:
    """Which values are affine forms or atoms."""
    found: npt.NDArray[np.bool_] = (values[..., 1] & _TOP) == 0
    return found


def in_span(value: Forms, forms: Sequence[Forms]) -> bool:
    """Whether a form is 0 wherever all of some others are: whether it is a sum of them."""

    def number(part: Forms) -> int:
        return int(part[0]) | int(part[1]) << 64

    basis: list[int] = []

    def reduced(bits: int) -> int:
        for other in basis:
            bits = min(bits, bits ^ other)
        return bits

    for part in forms:
        if bits := reduced(number(part)):
            basis.append(bits)
            basis.sort(reverse=True)
    return reduced(number(value)) == 0


@njit(cache=True, nogil=True)
def _both(al, ah, bl, bh):  # type: ignore[no-untyped-def]
    """AND of two values."""
    if (al | ah) == 0 or (bl | bh) == 0:
        return np.uint64(0), np.uint64(0)
    if al == 1 and ah == 0:
        return bl, bh
    if bl == 1 and bh == 0:
        return al, ah
    top = np.uint64(1) << np.uint64(63)
    if ((ah | bh) & top) == 0 and ah == bh:
        if al == bl:
            return al, ah
        if al == (bl ^ np.uint64(1)):
            return np.uint64(0), np.uint64(0)
    return np.uint64(0), top


@njit(cache=True, nogil=True)
def _inverse(lo, hi):  # type: ignore[no-untyped-def]
    if hi >> np.uint64(63):
        return lo, hi
    return lo ^ np.uint64(1), hi


@njit(cache=True, nogil=True)
def _run(code, left, right, select, target, values):  # type: ignore[no-untyped-def]
    """Evaluate gates in order; `values` of shape (nets, lanes, 2)."""
    top = np.uint64(1) << np.uint64(63)
    shift = np.uint64(42)
    below = (np.uint64(1) << shift) - np.uint64(1)
    for i in range(len(code)):
        c, a, b, t = code[i], left[i], right[i], target[i]
        for k in range(values.shape[1]):
            al, ah, bl, bh = values[a, k, 0], values[a, k, 1], values[b, k, 0], values[b, k, 1]
            if c == 0:
                lo, hi = _both(al, ah, bl, bh)
            elif c == 1:
                al, ah = _inverse(al, ah)
                bl, bh = _inverse(bl, bh)
                lo, hi = _both(al, ah, bl, bh)
                lo, hi = _inverse(lo, hi)
            elif c == 2:
                first, second = ah >> shift, bh >> shift
                if ((ah | bh) & top) or (first != 0 and second != 0 and first != second):
                    lo, hi = np.uint64(0), top
                else:
                    lo, hi = al ^ bl, ((ah ^ bh) & below) | ((first ^ second) << shift)
            elif c == 3:
                lo, hi = _inverse(al, ah)
            else:
                s = select[i]
                sl, sh = values[s, k, 0], values[s, k, 1]
                if sh == 0 and sl == 0:
                    lo, hi = al, ah
                elif sh == 0 and sl == 1:
                    lo, hi = bl, bh
                elif al == bl and ah == bh and (ah & top) == 0:
                    lo, hi = al, ah
                else:
                    lo, hi = np.uint64(0), top
            values[t, k, 0], values[t, k, 1] = lo, hi


@njit(cache=True, nogil=True)
def _reach(code, left, right, select, target, values, active):  # type: ignore[no-untyped-def]
    """Nets that can change when active ones do, and all others keep their values."""
    for i in range(len(code)):
        c, a, b, t = code[i], left[i], right[i], target[i]
        # what makes the other side not matter: 0 for AND, 1 for OR
        stop = np.uint64(1) if c == 1 else np.uint64(0)
        if c <= 1:
            blocked = (not active[a] and values[a, 0, 1] == 0 and values[a, 0, 0] == stop) or (
                not active[b] and values[b, 0, 1] == 0 and values[b, 0, 0] == stop
            )
            active[t] = (active[a] or active[b]) and not blocked
        elif c == 4:
            s = select[i]
            if not active[s] and values[s, 0, 1] == 0 and values[s, 0, 0] <= 1:
                active[t] = active[b] if values[s, 0, 0] == 1 else active[a]
            else:
                active[t] = active[a] or active[b] or active[s]
        else:
            active[t] = active[a] or active[b]


class AffineNetlist:
    """A combinational module, bit by bit, for evaluation over affine forms.

    Parameters
    ----------
    rtlil : str
        Text with the module and all that it uses.
    name : str
        Of the module.

    Raises
    ------
    ValueError
        If it has cells that are not combinational, or a loop.
    """

    def __init__(self, rtlil: str, name: str) -> None:
        with tempfile.TemporaryDirectory(prefix="liquidcal-affine-") as folder:
            work = Path(folder)
            (work / "design.il").write_text(rtlil)
            script = "proc\nflatten -noscopeinfo\nsimplemap\ntechmap\nsimplemap\nopt_clean\nwrite_rtlil gates.il\n"
            run_yosys(f"read_rtlil design.il\nhierarchy -top {name}\n{script}", directory=work, name="gates")
            module = parse_rtlil((work / "gates.il").read_text())[name]
        alias: dict[str, str] = {}
        for to, source in module.connections:
            alias |= dict(zip(module.bits(to), module.bits(source), strict=True))
        # nets 0 and 1 are the constants, 2 is not known
        numbers: dict[str, int] = {"0": 0, "1": 1, "x": 2, "z": 2, "-": 2}

        def net(bit: str) -> int:
            while bit in alias:
                bit = alias[bit]
            return numbers.setdefault(bit, len(numbers) - 2)

        gates = {}
        for cell in module.cells:
            if cell.type not in _TYPES:
                raise ValueError(f"{name}: cell {cell.name} of type {cell.type} is no logic")
            pins = {pin: net(module.bits(spec)[0]) for pin, spec in cell.connections.items()}
            a = pins["A"]
            gates[pins["Y"]] = (_TYPES[cell.type], a, pins.get("B", a), pins.get("S", a))
        self._ports = {
            wire.name.removeprefix("\\"): np.array([net(bit) for bit in module.bits(wire.name)], np.int64)
            for wire in module.wires.values()
            if wire.input or wire.output
        }
        self._gates = gates
        order = _ordered(gates)
        if len(order) != len(gates):
            raise ValueError(f"{name}: {len(gates) - len(order)} gates lie on a loop or depend on one")
        rows = np.array([(*gates[t], t) for t in order], np.int32).reshape(-1, 5)
        self._code, self._left, self._right, self._select, self._target = (
            np.ascontiguousarray(rows[:, k]) for k in range(5)
        )
        self.nets = max(numbers.values(), default=2) + 1

    def port(self, name: str) -> npt.NDArray[np.int64]:
        """Nets of a port, least significant bit first."""
        return self._ports[name]

    def evaluate(self, inputs: Mapping[str, Forms]) -> Forms:
        """Values of all nets, shape (nets, 1, 2); inputs by port, shape (width, 2), are not known where left out."""
        values = np.zeros((self.nets, 1, 2), np.uint64)
        values[:, :, 1] = _TOP
        values[0], values[1] = form(), form(constant=1)
        for name, forms in inputs.items():
            values[self.port(name), 0] = forms
        _run(self._code, self._left, self._right, self._select, self._target, values)
        return values

    def variants(self, values: Forms, nets: npt.NDArray[np.int64], flips: npt.NDArray[np.bool_]) -> Variants:
        """Values of all nets if some are inverted in each of several lanes.

        Parameters
        ----------
        values : ndarray of uint64, shape (nets, 1, 2)
            Without inverted nets, as `evaluate` gave them.
        nets : ndarray of int, shape (places,)
            Inputs.
        flips : ndarray of bool, shape (lanes, places)

        Returns
        -------
        Variants
            Indexed with nets it gives their values, shape (nets, lanes, 2).
        """
        return Variants(self, values, nets, flips)

    def zero_together(self, net: int, values: Forms) -> list[Forms] | None:
        """Forms that are all 0 wherever a net is: the sides of the ORs that it is made of; None if one is not known."""
        found = []
        stack = [net]
        while stack:
            top = stack.pop()
            value = values[top, 0]
            if known(value):
                found.append(value)
                continue
            code, a, b, _ = self._gates.get(top, (_XOR, 0, 0, 0))
            if code == _OR:
                stack += [a, b]
            elif code == _AND and 1 in (one := [int(values[n, 0, 0]) * (values[n, 0, 1] == 0) for n in (a, b)]):
                stack.append(b if one[0] == 1 else a)
            else:
                return None
        return found

    def settled(self, nets: npt.NDArray[np.int64], values: Forms) -> Forms:
        """Values of some nets, those not known by one more argument, shape (nets, 2).

        A multiplexer whose select is an OR of forms has the value of its second input everywhere, if its inputs do not
        differ where all these forms are 0.
        """
        found: Forms = values[nets, 0].copy()
        for row in np.flatnonzero(~known(found)):
            code, a, b, s = self._gates.get(int(nets[row]), (_AND, 0, 0, 0))
            if code != _MUX or not known(values[[a, b], 0]).all():
                continue
            change = values[a, 0] ^ values[b, 0]
            zero = self.zero_together(s, values)
            if zero is not None and not change[1] >> _ATOM and in_span(change, zero):
                found[row] = values[b, 0]
        return found


class Variants:
    """Values where some inputs are inverted in each lane; only what they reach is evaluated again."""

    def __init__(
        self, netlist: AffineNetlist, values: Forms, nets: npt.NDArray[np.int64], flips: npt.NDArray[np.bool_]
    ) -> None:
        self._base = values
        active = np.zeros(netlist.nets, np.bool_)
        active[nets] = True
        n = netlist
        _reach(n._code, n._left, n._right, n._select, n._target, values, active)
        again = active[n._target]
        parts = [part[again] for part in (n._left, n._right, n._select, n._target)]
        used = np.unique(np.concatenate([*parts, nets]))
        self._row = np.full(netlist.nets, -1, np.int64)
        self._row[used] = np.arange(len(used))
        self._values = np.repeat(values[used], len(flips), axis=1)
        self._values[self._row[nets], :, 0] ^= flips.T.astype(np.uint64)
        rows = [self._row[part].astype(np.int32) for part in parts]
        _run(n._code[again], *rows, self._values)

    def __getitem__(self, nets: npt.NDArray[np.int64]) -> Forms:
        """Values of nets, shape (nets, lanes, 2)."""
        found: Forms = np.repeat(self._base[nets], self._values.shape[1], axis=1)
        rows = self._row[nets]
        found[rows >= 0] = self._values[rows[rows >= 0]]
        return found


def _ordered(gates: Mapping[int, tuple[int, int, int, int]]) -> list[int]:
    """Outputs of gates, each after those that it needs."""
    missing = {t: len({n for n in gate[1:] if n in gates}) for t, gate in gates.items()}
    readers: dict[int, list[int]] = {}
    for t, gate in gates.items():
        for n in {n for n in gate[1:] if n in gates}:
            readers.setdefault(n, []).append(t)
    ready = [t for t, count in missing.items() if not count]
    order = []
    while ready:
        top = ready.pop()
        order.append(top)
        for t in readers.get(top, ()):
            missing[t] -= 1
            if not missing[t]:
                ready.append(t)
    return order
