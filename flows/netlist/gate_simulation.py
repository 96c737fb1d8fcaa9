"""Gate-level simulation of a mapped netlist, 64 independent streams in each machine word.

Every cell is lowered to two-operand instructions from its Liberty functions, in topological order, and a compiled loop
runs them over rows of words: one row per net, one bit per stream. Zero delay: a clock settles before its edge. Of
several clocks any may pulse at an edge: those that do are seen by all flip-flops at once. Streams may be stretches of
a long recording (`flows.power.activity`) or faults of a campaign: `flip_state` upsets flip-flops, `fault` holds or
inverts nets, each with a mask that picks the streams.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.core import types
from numba.extending import intrinsic

from flows.library.functions import Expression, pins_of
from flows.library.power_library import PowerCell, PowerLibrary
from flows.netlist.netlist import CellGroup, Netlist, NetlistError

__all__ = [
    "GateSimulator",
    "ToggleCounter",
    "from_lanes",
    "plain_latch",
    "population",
    "to_lanes",
    "topological_levels",
]

Words = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.int32]
_Instructions = tuple[npt.NDArray[np.uint8], Ids, Ids, Ids]
"""Operation, operands and target of each."""

_AND, _OR, _XOR, _NOT, _COPY, _ZERO, _ONE = range(7)
_CODES = {"&": _AND, "|": _OR, "^": _XOR}
_TEMPORARIES = 24
"""Rows for what stands between the operators of a function, as deep as it nests."""
_STEPS = 256
"""Instructions of one function."""
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


@intrinsic  # type: ignore[untyped-decorator]
def _popcount(typing_context: Any, word: Any) -> Any:  # noqa: ARG001
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@njit(cache=True, nogil=True)
def _run(code, left, right, target, first, last, values, slot, keep, put, flip):  # type: ignore[no-untyped-def]
    width = values.shape[1]
    for i in range(first, last):
        c, a, b, t = code[i], left[i], right[i], target[i]
        if c == 0:
            for w in range(width):
                values[t, w] = values[a, w] & values[b, w]
        elif c == 1:
            for w in range(width):
                values[t, w] = values[a, w] | values[b, w]
        elif c == 2:
            for w in range(width):
                values[t, w] = values[a, w] ^ values[b, w]
        elif c == 3:
            for w in range(width):
                values[t, w] = ~values[a, w]
        elif c == 4:
            for w in range(width):
                values[t, w] = values[a, w]
        else:
            for w in range(width):
                values[t, w] = np.uint64(0) if c == 5 else ~np.uint64(0)
        s = slot[t]
        if s >= 0:
            for w in range(width):
                values[t, w] = ((values[t, w] & keep[s, w]) | put[s, w]) ^ flip[s, w]


@njit(cache=True, nogil=True)
def _count(values, previous, toggles, ones, mask, rows):  # type: ignore[no-untyped-def]
    width = values.shape[1]
    for row in range(rows):
        changed = np.uint64(0)
        high = np.uint64(0)
        for w in range(width):
            new = values[row, w] & mask[w]
            changed += _popcount(new ^ previous[row, w])
            high += _popcount(new)
            previous[row, w] = new
        toggles[row] += changed
        ones[row] += high


@njit(cache=True)
def _sort(inputs_start, inputs, outputs_start, outputs, driver, level):  # type: ignore[no-untyped-def]
    """Kahn's algorithm; `level` of nodes that lie on a loop stays -1. Returns how many nodes have a level."""
    nodes = len(inputs_start) - 1
    missing = np.zeros(nodes, np.int32)
    fans = np.zeros(len(driver) + 1, np.int64)
    for node in range(nodes):
        for k in range(inputs_start[node], inputs_start[node + 1]):
            net = inputs[k]
            if net >= 0 and driver[net] >= 0:
                missing[node] += 1
                fans[net + 1] += 1
    for net in range(len(driver)):
        fans[net + 1] += fans[net]
    fan = np.empty(fans[-1], np.int32)
    place = fans[:-1].copy()
    queue = np.empty(nodes, np.int32)
    tail = 0
    for node in range(nodes):
        for k in range(inputs_start[node], inputs_start[node + 1]):
            net = inputs[k]
            if net >= 0 and driver[net] >= 0:
                fan[place[net]] = node
                place[net] += 1
        if missing[node] == 0:
            level[node] = 0
            queue[tail] = node
            tail += 1
    head = 0
    while head < tail:
        node = queue[head]
        head += 1
        for k in range(outputs_start[node], outputs_start[node + 1]):
            net = outputs[k]
            for m in range(fans[net], fans[net + 1]):
                other = fan[m]
                missing[other] -= 1
                if level[other] < level[node] + 1:
                    level[other] = level[node] + 1
                if missing[other] == 0:
                    queue[tail] = other
                    tail += 1
    for node in range(nodes):
        if missing[node] > 0:
            level[node] = -1
    return tail


def _through(cell: PowerCell) -> tuple[str, ...]:
    """Input pins that an output of the cell depends on without a clock edge."""
    found: dict[str, None] = {}
    for pin in cell.outputs:
        function = cell.pins[pin].function
        if function is not None:
            found.update((name, None) for name in pins_of(function) if name in cell.pins)
    return tuple(found)


def plain_latch(cell: PowerCell) -> bool:
    """Whether the cell is a latch and nothing else: no clock gate, no clear, no preset."""
    store = cell.storage
    return store is not None and store.kind == "latch" and not (store.clear or store.preset or _through(cell))


def topological_levels(netlist: Netlist, library: PowerLibrary) -> Ids:
    """Level of each cell: 0 where no cell drives the logic inputs (flip-flops too), else one above the highest.

    Latches without clear and preset count as the logic that they are while they are open, unless that makes a loop.

    Raises
    ------
    NetlistError
        Two cells drive one net, or cells form a combinational loop; a cell at fault is named.
    """
    return _ordered(netlist, library)[0]


def _ordered(netlist: Netlist, library: PowerLibrary) -> tuple[Ids, bool]:
    """`topological_levels`, and whether plain latches are in that order."""
    if any(plain_latch(library[name]) for name in netlist.groups):
        level, ordered = _levels(netlist, library, latches=True)
        if ordered == netlist.cells:
            return level, True
    level, ordered = _levels(netlist, library, latches=False)
    if ordered != netlist.cells:
        loop = int(np.flatnonzero(level < 0)[0])
        raise NetlistError(
            f"{netlist.cells - ordered} cells are on or after a combinational loop, e.g. {netlist.cell_name(loop)}"
        )
    return level, False


def _levels(netlist: Netlist, library: PowerLibrary, *, latches: bool) -> tuple[Ids, int]:
    """Levels, -1 on a loop, and the number of cells that have one; `latches`: plain ones pass their inputs on."""
    driver = np.full(netlist.nets, -1, np.int32)
    lots: list[tuple[Ids, npt.NDArray[np.int32], npt.NDArray[np.int32]]] = []
    for group in netlist.groups.values():
        cell = library[group.type]
        outputs = np.stack([group.pin(pin) for pin in cell.outputs], 1) if cell.outputs else np.empty((0, 0), np.int32)
        if not outputs.size:
            continue
        driven, owner = outputs[outputs >= 0], np.repeat(group.cells, (outputs >= 0).sum(1))
        order, times = np.unique(driven, return_counts=True)
        if (clash := np.concatenate([order[times > 1], driven[driver[driven] >= 0], driven[driven < 2]])).size:
            raise NetlistError(f"net {netlist.net_names[int(clash[0])]} is driven twice")
        driver[driven] = owner
        passed = _through(cell)
        if latches and cell.storage is not None and plain_latch(cell):
            passed = tuple(pin for part in (cell.storage.data, cell.storage.clock) for pin in pins_of(part))
        through = [group.pin(pin) for pin in passed]
        inputs = np.stack(through, 1) if through else np.empty((len(group.cells), 0), np.int32)
        lots.append((group.cells, inputs.astype(np.int32), outputs.astype(np.int32)))
    # nodes are cells; cells without outputs keep level 0
    width_in = np.zeros(netlist.cells + 1, np.int64)
    width_out = np.zeros(netlist.cells + 1, np.int64)
    for cells, inputs, outputs in lots:
        width_in[cells + 1], width_out[cells + 1] = inputs.shape[1], (outputs >= 0).sum(1)
    start_in, start_out = np.cumsum(width_in), np.cumsum(width_out)
    all_in, all_out = np.empty(start_in[-1], np.int32), np.empty(start_out[-1], np.int32)
    for cells, inputs, outputs in lots:
        for k in range(inputs.shape[1]):
            all_in[start_in[cells] + k] = inputs[:, k]
        position = start_out[cells].copy()
        for k in range(outputs.shape[1]):
            have = outputs[:, k] >= 0
            all_out[position[have]] = outputs[have, k]
            position[have] += 1
    level = np.full(netlist.cells, 0, np.int32)
    return level, int(_sort(start_in, all_in, start_out, all_out, driver, level))


class _Program:
    """Collects instructions, each with the place of its cell in the order of evaluation."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.temporaries = rows
        self.rows += _TEMPORARIES
        self.parts: list[tuple[npt.NDArray[np.int64], int, Ids, Ids, Ids]] = []
        self.emitted = 0

    def new_rows(self, count: int) -> Ids:
        first = self.rows
        self.rows += count
        return np.arange(first, self.rows, dtype=np.int32)

    def emit(self, expression: Expression, pins: Mapping[str, Ids], target: Ids, order: npt.NDArray[np.int64]) -> None:
        """Instructions that bring the value of `expression` into the rows `target`, after those of lower `order`."""
        # unique: the instructions of one value stay together, since they share temporary rows with others
        key = ((order.astype(np.int64) + 1) << 34) + self.emitted + np.arange(len(order))
        self.emitted += len(order)
        step = 0
        busy: list[int] = []

        def add(code: int, a: Ids, b: Ids, to: Ids) -> None:
            nonlocal step
            if step >= _STEPS:
                raise NetlistError(f"a Liberty function of more than {_STEPS} operators")
            self.parts.append((key * _STEPS + step, code, a, b, to))
            step += 1

        def temporary() -> Ids:
            number = next((k for k in range(_TEMPORARIES) if k not in busy), None)
            if number is None:
                raise NetlistError(f"a Liberty function that nests deeper than {_TEMPORARIES} operators")
            busy.append(number)
            return np.full(len(key), self.temporaries + number, np.int32)

        def release(*operands: Ids) -> None:
            """Let rows be taken again whose value has been read."""
            for rows in operands:
                if len(rows) and (number := int(rows[0]) - self.temporaries) in busy:
                    busy.remove(number)

        def value(part: Expression, to: Ids | None) -> Ids:
            if isinstance(part, str):
                if part in "01":
                    source = target if to is None else to
                    to = temporary() if to is None else to
                    add(_ONE if part == "1" else _ZERO, source, source, to)
                    return to
                if to is None:
                    return pins[part]
                add(_COPY, pins[part], pins[part], to)
                return to
            if part[0] == "!":
                a = value(part[1], None)
                release(a)
                to = temporary() if to is None else to
                add(_NOT, a, a, to)
                return to
            a, b = value(part[1], None), value(part[2], None)
            release(a, b)
            to = temporary() if to is None else to
            add(_CODES[part[0]], a, b, to)
            return to

        value(expression, target)

    def finish(self) -> tuple[npt.NDArray[np.uint8], Ids, Ids, Ids, npt.NDArray[np.int64]]:
        if not self.parts:
            empty = np.zeros(0, np.int32)
            return np.zeros(0, np.uint8), empty, empty, empty, np.zeros(0, np.int64)
        keys = np.concatenate([part[0] for part in self.parts])
        codes = np.concatenate([np.full(len(part[0]), part[1], np.uint8) for part in self.parts])
        left, right, target = (np.concatenate([part[k] for part in self.parts]).astype(np.int32) for k in (2, 3, 4))
        order = np.argsort(keys, kind="stable")
        return codes[order], left[order], right[order], target[order], keys[order]


class GateSimulator:
    """A mapped netlist in 64 * `words` independent streams.

    Parameters
    ----------
    netlist : Netlist
    library : PowerLibrary
        Gives the function of every cell.
    words : int
        Machine words per net.
    clock : str or sequence of str, optional
        Clock port, or several; the one port is found by going back from the flip-flops where left out.

    Attributes
    ----------
    clocks : tuple of str
        Clock ports; `clock` is the first of them, or None.
    clock_rows : ndarray of int32
        Rows that the clocks reach without a storage between: ports, buffers, outputs of clock gates.
    first_clock_rows : ndarray of bool
        Which of these the first clock reaches.
    pulsed : ndarray of uint64, shape (clock_rows, words)
        Where these rows changed at the last `edge`: the streams that a clock gate let it through in.
    values : ndarray of uint64, shape (rows, words)
        Row n is net n; bit b of word w is stream ``64 * w + b``. Unconnected outputs have rows after the nets.
    storages : int
        Flip-flops, latches and clock gates. `storage_cells` is the cell of each, `state_rows` its row; `data_rows` and
        `storage_clock_rows` are the rows of its data and clock input, `latches` says which are latches, those of clock
        gates included; `low_latches` which are open while the clocks are low and closed while they are high.

    Raises
    ------
    NetlistError
        A cell without a function, a loop, or a clock that cannot be found.
    """

    def __init__(
        self, netlist: Netlist, library: PowerLibrary, *, words: int = 8, clock: str | Sequence[str] | None = None
    ) -> None:
        self.netlist = netlist
        self.library = library
        self.words = words
        level, latches_pass = _ordered(netlist, library)
        self.level = level
        program = _Program(netlist.nets)
        self.pin_rows: dict[str, dict[str, Ids]] = {}
        rows: dict[str, list[Ids]] = {k: [] for k in ("cell", "state", "data", "clock", "clear", "preset", "both")}
        latch: list[npt.NDArray[np.bool_]] = []
        gates: list[npt.NDArray[np.bool_]] = []
        passing: list[npt.NDArray[np.bool_]] = []
        for group in netlist.groups.values():
            cell = library[group.type]
            order = level[group.cells].astype(np.int64)
            pins = self._pins(group, cell, program)
            names: dict[str, Ids] = dict(pins)
            if (storage := cell.storage) is not None:
                state = program.new_rows(len(group.cells))
                inverse = program.new_rows(len(group.cells))
                names[storage.state], names[storage.inverse] = state, inverse
                first = np.full(len(order), -1, np.int64)
                passes = latches_pass and plain_latch(cell)
                if passes:
                    first, kept = order, ("&", storage.state, ("!", storage.clock))
                    program.emit(("|", ("&", storage.data, storage.clock), kept), names, state, order)
                program.emit(("!", storage.state), names, inverse, first)
                late = np.full(len(order), 1 << 20, np.int64)
                for what, part in (("data", storage.data), ("clock", storage.clock), ("clear", storage.clear),
                                   ("preset", storage.preset)):  # fmt: skip
                    rows[what].append(self._row(part, names, program, late, len(group.cells)))
                rows["cell"].append(group.cells)
                rows["state"].append(state)
                rows["both"].append(np.full(len(group.cells), int(storage.both), np.int32))
                latch.append(np.full(len(group.cells), storage.kind == "latch"))
                gates.append(np.full(len(group.cells), storage.kind == "latch" and bool(_through(cell))))
                passing.append(np.full(len(group.cells), passes))
            for pin in cell.outputs:
                function = cell.pins[pin].function
                if function is None:
                    raise NetlistError(f"output {pin} of cell {group.type} has no function in the library")
                program.emit(function, names, pins[pin], order)
            self.pin_rows[group.type] = pins
        self._code, self._left, self._right, self._target, _ = program.finish()
        self._whole = (self._code, self._left, self._right, self._target)
        self.rows = program.rows
        join = {k: np.concatenate(v) if v else np.zeros(0, np.int32) for k, v in rows.items()}
        self.storage_cells, self.state_rows = join["cell"], join["state"]
        self.data_rows, self.storage_clock_rows = join["data"], join["clock"]
        self._clear, self._preset, self._both = join["clear"], join["preset"], join["both"]
        self.latches = np.concatenate(latch) if latch else np.zeros(0, np.bool_)
        gate = np.concatenate(gates) if gates else np.zeros(0, np.bool_)
        passing_latches = np.concatenate(passing) if passing else np.zeros(0, np.bool_)
        self._stored = np.zeros(self.rows, np.bool_)
        self._stored[self.state_rows] = True
        self.values: Words = np.zeros((self.rows, words), np.uint64)
        self.values[1] = _ALL
        self._room: Words = np.empty((0, words), np.uint64)
        self._slot = np.full(self.rows, -1, np.int32)
        self._keep = self._put = self._flip = np.zeros((0, words), np.uint64)
        self.clocks = self._find_clocks(clock)
        self._ports = {name: int(netlist.ports[name].nets[0]) for name in self.clocks}
        self._cone, self.clock_rows = self._clock_cone(self.clocks)
        self.first_clock_rows = np.isin(self.clock_rows, self._clock_cone(self.clocks[:1])[1])
        self.pulsed: Words = np.zeros((len(self.clock_rows), words), np.uint64)
        self.low_latches = passing_latches & self._open_while_low()
        high_latches = self.latches & ~gate & ~self.low_latches
        self._level_latches = bool(high_latches.any())
        self._middle = self._open_in_the_middle(high_latches & passing_latches)
        self._loops = bool((high_latches & ~passing_latches).any())
        self._asynchronous = np.flatnonzero((self._clear >= 0) | (self._preset >= 0))
        self._falling = self._has_falling()

    @property
    def clock(self) -> str | None:
        """The first clock port."""
        return self.clocks[0] if self.clocks else None

    @property
    def storages(self) -> int:
        """Number of storage elements."""
        return len(self.state_rows)

    @staticmethod
    def _pins(group: CellGroup, cell: PowerCell, program: _Program) -> dict[str, Ids]:
        pins = {}
        for pin in cell.pins:
            row = group.pin(pin)
            open_ = row < 0
            if open_.any():
                row = row.copy()
                # an open input reads 0; an open output still switches inside the cell
                row[open_] = program.new_rows(int(open_.sum())) if pin in cell.outputs else 0
            pins[pin] = row
        return pins

    @staticmethod
    def _row(
        part: Expression | None, names: Mapping[str, Ids], program: _Program, order: npt.NDArray[np.int64], count: int
    ) -> Ids:
        if part is None:
            return np.full(count, -1, np.int32)
        if isinstance(part, str) and part not in "01":
            return names[part]
        target = program.new_rows(count)
        program.emit(part, names, target, order)
        return target

    def _open_in_the_middle(self, latches: npt.NDArray[np.bool_]) -> _Instructions:
        """Instructions of latches that may be open while a clock is high, and of what they depend on."""
        needed = np.zeros(self.rows, np.bool_)
        needed[self.state_rows[latches]] = True
        chosen = _needed(self._code, self._left, self._right, self._target, needed)
        return self._code[chosen], self._left[chosen], self._right[chosen], self._target[chosen]

    def _find_clocks(self, clock: str | Sequence[str] | None) -> tuple[str, ...]:
        ports = self.netlist.ports
        if clock is not None:
            named = (clock,) if isinstance(clock, str) else tuple(clock)
            for name in named:
                if name not in ports or ports[name].direction != "input" or len(ports[name].nets) != 1:
                    raise NetlistError(f"no one-bit input port {name!r} for the clock")
            return named
        if not self.storages:
            return ()
        inputs = {int(p.nets[0]): n for n, p in ports.items() if p.direction == "input" and len(p.nets) == 1}
        source, _ = self._sources()
        found = set()
        for row in np.unique(self.storage_clock_rows):
            while row not in inputs and source[row] >= 0 and row >= 2:
                row = source[row]
            if int(row) in inputs:
                found.add(inputs[int(row)])
        if len(found) != 1:
            raise NetlistError(f"clock port is not evident (candidates: {', '.join(sorted(found)) or 'none'}): name it")
        return (found.pop(),)

    def _sources(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The row that each row is a copy or the complement of, -1 where it is neither; which are complements."""
        source = np.full(self.rows, -1, np.int64)
        complement = np.zeros(self.rows, np.bool_)
        alone = np.isin(self._code, (_NOT, _COPY))
        source[self._target[alone]] = self._left[alone]
        complement[self._target[alone]] = self._code[alone] == _NOT
        return source, complement

    def _open_while_low(self) -> npt.NDArray[np.bool_]:
        """Which storage elements have the complement of a clock port, through buffers and inverters, as clock."""
        source, complement = self._sources()
        row = self.storage_clock_rows.astype(np.int64)
        inverted = np.zeros(len(row), np.bool_)
        while (further := source[row] >= 0).any():
            inverted ^= further & complement[row]
            row = np.where(further, source[row], row)
        return inverted & np.isin(row, list(self._ports.values()))

    def _clock_cone(self, clocks: Sequence[str]) -> tuple[_Instructions, Ids]:
        """Instructions that depend on these clocks without a storage between, and the rows of cells they reach."""
        touched = np.zeros(self.rows, np.bool_)
        ports = np.array([self._ports[name] for name in clocks], np.int32)
        touched[ports] = True
        chosen = _cone(self._left, self._right, self._target, touched, self._stored)
        cone = self._code[chosen], self._left[chosen], self._right[chosen], self._target[chosen]
        outputs = np.zeros(self.rows, np.bool_)
        outputs[: self.netlist.nets] = True
        for group in self.netlist.groups.values():
            for pin in self.library[group.type].outputs:
                outputs[self.pin_rows[group.type][pin]] = True
        return cone, np.concatenate([ports, np.unique(cone[3][outputs[cone[3]]])])

    def clocked_by(self, clock: str) -> npt.NDArray[np.bool_]:
        """Which storage elements a clock port reaches without a storage between; shape (storages,)."""
        return np.isin(self.storage_clock_rows, self._clock_cone((clock,))[1])

    def reached(self, port: str) -> npt.NDArray[np.bool_]:
        """Which rows follow an input port without a storage between; shape (rows,), the port's own included."""
        touched = np.zeros(self.rows, np.bool_)
        touched[self.netlist.ports[port].nets] = True
        _cone(self._left, self._right, self._target, touched, self._stored)
        return touched

    def _has_falling(self) -> bool:
        """Whether some flip-flop takes its data at the falling edge of a clock port."""
        if not self.clocks or not self.storages:
            return False
        self._drive_clocks(np.uint64(0))
        self._evaluate()
        return bool((self.values[self.storage_clock_rows[~self.latches]] != 0).any())

    def _drive_clocks(self, value: np.uint64, names: Sequence[str] | None = None) -> None:
        for name in self.clocks if names is None else names:
            self.values[self._ports[name]] = value

    def _evaluate(self, part: _Instructions | None = None) -> None:
        code, left, right, target = part or (self._code, self._left, self._right, self._target)
        _run(code, left, right, target, 0, len(code), self.values, self._slot, self._keep, self._put, self._flip)

    def widened(self, words: int) -> GateSimulator:
        """A simulator of the same netlist with as many words, all streams as the first one here, without faults.

        Costs no more than the values: everything that was found out about the netlist is shared.
        """
        wide = copy.copy(self)
        wide.words = words
        wide.values = np.repeat(self.values[:, :1], words, axis=1)
        wide.pulsed = np.zeros((len(self.clock_rows), words), np.uint64)
        wide._room = np.empty((0, words), np.uint64)
        wide._slot = np.full(self.rows, -1, np.int32)
        wide._keep = wide._put = wide._flip = np.zeros((0, words), np.uint64)
        return wide

    def lower_clocks(self) -> None:
        """All clock ports at 0, as between two edges; nothing is evaluated."""
        self._drive_clocks(np.uint64(0))

    def restrict(self, storages: Sequence[int] | None) -> None:
        """Evaluate only what these storage elements need from now on; None: everything again.

        Loading registers through a write port takes thousands of clocks and a tenth of the logic. Rows outside stay as
        they are.
        """
        if storages is None:
            self._code, self._left, self._right, self._target = self._whole
            return
        needed = np.zeros(self.rows, np.bool_)
        chosen = np.asarray(storages, np.int64)
        for rows in (self.data_rows, self.storage_clock_rows, self._clear, self._preset):
            needed[rows[chosen][rows[chosen] >= 0]] = True
        code, left, right, target = self._whole
        part = _needed(code, left, right, target, needed)
        self._code, self._left, self._right, self._target = code[part], left[part], right[part], target[part]

    def evaluate(self) -> None:
        """Evaluate all logic once from ports and stored bits as they are."""
        self._evaluate()

    def set_port(self, name: str, bits: npt.NDArray[np.uint64]) -> None:
        """Drive an input port: `bits` of shape (width, words), or (width, 1) for the same in all streams."""
        nets = self.netlist.ports[name].nets
        self.values[nets] = bits
        held = nets[self._slot[nets] >= 0]
        if len(held):
            s = self._slot[held]
            self.values[held] = ((self.values[held] & self._keep[s]) | self._put[s]) ^ self._flip[s]

    def fault(self, nets: Sequence[int], *, keep: Words, put: Words, flip: Words) -> None:
        """Make each value of these nets ``((value & keep) | put) ^ flip`` from now on; arrays of shape (n, words).

        Stuck-at-0 is keep 0, stuck-at-1 adds put 1, an inverted pulse is flip 1, each in the bits of the streams
        concerned. An empty list ends all faults.
        """
        self._slot[:] = -1
        self._slot[np.asarray(nets, np.int32)] = np.arange(len(nets))
        shape = (len(nets), self.words)
        self._keep, self._put, self._flip = (
            np.ascontiguousarray(np.broadcast_to(part, shape), np.uint64) for part in (keep, put, flip)
        )

    def flip_state(self, storages: Sequence[int], masks: Words) -> None:
        """Invert stored bits: `masks` of shape (n, words) picks the streams."""
        np.bitwise_xor.at(self.values, self.state_rows[np.asarray(storages, np.int64)], masks)

    @property
    def state(self) -> Words:
        """Copy of all stored bits, shape (storages, words)."""
        return self.values[self.state_rows]

    @state.setter
    def state(self, bits: Words) -> None:
        self.values[self.state_rows] = bits

    def settle(self) -> None:
        """Evaluate all logic with the clock low, asynchronous clear and preset and open latches included.

        Raises
        ------
        NetlistError
            Latches do not settle.
        """
        self._drive_clocks(np.uint64(0))
        self._evaluate()
        self._relax()

    def _relax(self) -> None:
        for _ in range(16):
            changed = self._clear_and_preset()
            if self.latches.any():
                rows = self.state_rows[self.latches]
                opened = self.values[self.storage_clock_rows[self.latches]]
                old = self.values[rows]
                new = (old & ~opened) | (self.values[self.data_rows[self.latches]] & opened)
                if (new != old).any():
                    self.values[rows] = new
                    changed = True
            if not changed:
                return
            self._evaluate()
        raise NetlistError("latches or asynchronous resets do not settle")

    def _clear_and_preset(self) -> bool:
        """Apply asynchronous inputs; whether a state changed."""
        changed: bool = _apply_asynchronous(
            self.values, self.state_rows, self._asynchronous, self._clear, self._preset, self._both
        )
        return changed

    def _capture(self, before: Words) -> None:
        """Take data where clock inputs are high that were not `before`."""
        _take_data(self.values, self.state_rows, self.data_rows, self.storage_clock_rows, self.latches, before)
        self._clear_and_preset()

    def edge(self, clocks: Sequence[str] | None = None) -> None:
        """One pulse after `settle`; what flip-flops took shows at their outputs at the next `settle`.

        At the rising edge flip-flops take their data. Where the netlist has flip-flops of the falling edge or latches
        that may be open while the clock is high, the logic settles with the clock high, then the clock falls, before
        the inputs change; of the logic only what such latches depend on, if there is nothing else.

        Parameters
        ----------
        clocks : sequence of str, optional
            Clocks that pulse, with one common edge; all where left out.
        """
        if not self.clocks:
            return
        low = self.values[self.storage_clock_rows]
        idle = self.values[self.clock_rows]
        self._drive_clocks(_ALL, clocks)
        self._evaluate(self._cone)
        np.bitwise_xor(idle, self.values[self.clock_rows], out=self.pulsed)
        self._capture(low)
        if self._falling or self._level_latches:
            if self._falling or self._loops:
                self._evaluate()
                self._relax()
            else:
                self._evaluate(self._middle)
            high = self.values[self.storage_clock_rows]
            self._drive_clocks(np.uint64(0), clocks)
            self._evaluate(self._cone)
            self._capture(high)

    def capture(self, storages: npt.NDArray[np.int64] | None = None) -> None:
        """These storage elements, or all, take the data at their inputs in every stream, at once.

        For a netlist without clock gates, falling edges and asynchronous inputs that act: there it is what `edge` does,
        without evaluating the clocks.
        """
        chosen = slice(None) if storages is None else storages
        states = self.state_rows[chosen]
        if len(self._room) < len(states):
            self._room = np.empty((len(states), self.words), np.uint64)
        _move(self.values, states, self.data_rows[chosen], self._room)

    def with_clocks(self, states: Words, clocks: Words) -> Words:
        """Settled states, clocks low, seen in the middle of a period.

        Parameters
        ----------
        states : ndarray of uint64, shape (rows, n)
        clocks : ndarray of uint64, shape (n,)
            Where the clocks are high.

        Returns
        -------
        ndarray of uint64, shape (rows, n)
            The states with clock ports, their buffers and the outputs of clock gates as they are then.
        """
        seen = states.copy()
        seen[list(self._ports.values())] = clocks
        free, nothing = np.full(self.rows, -1, np.int32), np.zeros((0, seen.shape[1]), np.uint64)
        code, left, right, target = self._cone
        _run(code, left, right, target, 0, len(code), seen, free, nothing, nothing, nothing)
        return seen

    def step(self) -> None:
        """`settle`, then `edge`."""
        self.settle()
        self.edge()


@njit(cache=True, nogil=True)
def _move(values, states, data, room):  # type: ignore[no-untyped-def]
    """Rows `data` to rows `states`, all at once."""
    for k in range(len(states)):
        room[k] = values[data[k]]
    for k in range(len(states)):
        values[states[k]] = room[k]


@njit(cache=True, nogil=True)
def _take_data(values, states, data, clock_rows, latch, before):  # type: ignore[no-untyped-def]
    """Flip-flops whose clock input is high and was low take their data, all at once."""
    width = values.shape[1]
    new = np.empty((len(states), width), np.uint64)
    for k in range(len(states)):
        if not latch[k]:
            for w in range(width):
                rising = values[clock_rows[k], w] & ~before[k, w]
                new[k, w] = (values[states[k], w] & ~rising) | (values[data[k], w] & rising)
    for k in range(len(states)):
        if not latch[k]:
            values[states[k]] = new[k]


@njit(cache=True, nogil=True)
def _apply_asynchronous(values, states, some, clear, preset, both):  # type: ignore[no-untyped-def]
    """States under asynchronous inputs, all at once; clear wins over preset where `both` does not say otherwise."""
    width = values.shape[1]
    new = np.empty((len(some), width), np.uint64)
    changed = False
    for i in range(len(some)):
        k = some[i]
        for w in range(width):
            old = values[states[k], w]
            c = values[clear[k], w] if clear[k] >= 0 else np.uint64(0)
            p = values[preset[k], w] if preset[k] >= 0 else np.uint64(0)
            new[i, w] = (old & ~c & ~p) | (p & ~c)
            if both[k] == 1:
                new[i, w] |= p & c
            changed |= new[i, w] != old
    if changed:
        for i in range(len(some)):
            values[states[some[i]]] = new[i]
    return changed


@njit(cache=True)
def _cone(left, right, target, touched, stored):  # type: ignore[no-untyped-def]
    chosen = np.zeros(len(left), np.bool_)
    for i in range(len(left)):
        reached = (touched[left[i]] or touched[right[i]]) and not stored[target[i]]
        chosen[i] = reached
        # temporaries are used again by other cells: what was written last counts
        touched[target[i]] = reached
    return chosen


@njit(cache=True)
def _needed(code, left, right, target, needed):  # type: ignore[no-untyped-def]
    chosen = np.zeros(len(left), np.bool_)
    for i in range(len(left) - 1, -1, -1):
        if needed[target[i]]:
            chosen[i] = True
            needed[target[i]] = False  # a temporary row: earlier values of it are of no use
            if code[i] < 5:
                needed[left[i]] = True
                needed[right[i]] = True
    return chosen


class ToggleCounter:
    """Counts toggles and time at 1 of every row of a simulator from settled state to settled state.

    Parameters
    ----------
    simulator : GateSimulator
    lanes : int
        Streams that count, from the first; the rest is padding.
    """

    def __init__(self, simulator: GateSimulator, lanes: int) -> None:
        if not 1 <= lanes <= 64 * simulator.words:
            raise ValueError(f"lanes: expected 1 to {64 * simulator.words}, got {lanes}")
        self.simulator = simulator
        self.lanes = lanes
        self.mask = from_lanes(np.arange(64 * simulator.words) < lanes)
        self.toggles = np.zeros(simulator.rows, np.int64)
        self.ones = np.zeros(simulator.rows, np.int64)
        self.cycles = 0
        self.pulses = np.zeros(len(simulator.clock_rows), np.int64)
        self._previous = simulator.values & self.mask

    def start(self) -> None:
        """Take the present values as those that the next change is counted from."""
        np.bitwise_and(self.simulator.values, self.mask, out=self._previous)

    def add(self) -> None:
        """Count one settled clock in all lanes."""
        values = self.simulator.values
        _count(values, self._previous, self.toggles, self.ones, self.mask, len(values))
        self.cycles += self.lanes

    def add_edge(self) -> None:
        """Count the pulses of the clocks, after clock gates too, at the edge that has just been."""
        self.pulses += population(self.simulator.pulsed & self.mask)


@njit(cache=True)
def population(words):  # type: ignore[no-untyped-def]
    """Bits at 1 in each row."""
    count = np.zeros(words.shape[0], np.int64)
    for row in range(words.shape[0]):
        for k in range(words.shape[1]):
            count[row] += np.int64(_popcount(words[row, k]))
    return count


def from_lanes(bits: npt.ArrayLike) -> Words:
    """Booleans of shape (..., 64 * words) to words, stream 64 * w + b in bit b of word w."""
    array = np.ascontiguousarray(np.asarray(bits, np.bool_))
    packed = np.packbits(array, axis=-1, bitorder="little")
    return packed.view(np.uint64)


def to_lanes(words: Words) -> npt.NDArray[np.bool_]:
    """Inverse of `from_lanes`."""
    array = np.ascontiguousarray(words)
    return np.unpackbits(array.view(np.uint8), axis=-1, bitorder="little").astype(np.bool_)
