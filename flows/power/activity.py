"""Toggles and time at 1 of every net: from a VCD file, or from gate-level simulation of many streams.

An `Activity` also keeps settled states of the whole netlist, in pairs of consecutive clocks: leakage and internal
energy depend on states of several pins at once, which toggle counts of single nets cannot tell.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numba import njit

from flows.common.errors import FlowError
from flows.library.functions import evaluate
from flows.library.power_library import PowerLibrary
from flows.netlist.gate_simulation import GateSimulator, ToggleCounter, from_lanes, population
from flows.netlist.netlist import Netlist

__all__ = ["Activity", "ActivityError", "clock_nets", "complete", "population", "read_vcd", "record"]

Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]


class ActivityError(FlowError):
    """A recording cannot be used. The message says what was expected and what came."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """What nets did.

    Attributes
    ----------
    toggles_per_ns : ndarray, shape (rows,)
        Rows as in `GateSimulator.values`: nets, then open outputs.
    duty : ndarray, shape (rows,)
        Share of time at 1.
    annotated : ndarray of bool, shape (nets,)
        Nets that the recording covers.
    before, after : ndarray of uint64, shape (rows, words)
        Settled states of consecutive clocks (of the fastest clock), one pair in each bit; clocks are 0 in them.
    mask : ndarray of uint64, shape (words,)
        Bits that hold a pair.
    clock : int or None
        Net of the clock port.
    period_ns : float
    clocks : int
        Clocks recorded, over all streams.
    duration_ns : float
    source : str
    """

    toggles_per_ns: Floats
    duty: Floats
    annotated: npt.NDArray[np.bool_]
    before: Words
    after: Words
    mask: Words
    clock: int | None
    period_ns: float
    clocks: int
    duration_ns: float
    source: str

    @property
    def pairs(self) -> int:
        """Number of state pairs."""
        return _bits(self.mask)


def _bits(words: Words) -> int:
    return int(np.unpackbits(np.ascontiguousarray(words).view(np.uint8)).sum())


def clock_nets(netlist: Netlist, library: PowerLibrary, clock: str | None) -> dict[int, bool]:
    """Nets that carry the clock itself, through buffers and inverters; the value tells whether inverted."""
    if clock is None:
        return {}
    found = {int(netlist.ports[clock].nets[0]): False}
    while True:
        known = np.array(sorted(found), np.int64)
        before = len(found)
        for group in netlist.groups.values():
            cell = library[group.type]
            if cell.storage is not None or len(cell.inputs) != 1 or len(cell.outputs) != 1:
                continue
            function = cell.pins[cell.outputs[0]].function
            if function is None:
                continue
            inverted = bool(evaluate(function, {cell.inputs[0]: 0}, 1))
            source, target = group.pin(cell.inputs[0]), group.pin(cell.outputs[0])
            for k in np.flatnonzero(np.isin(source, known)):
                if target[k] >= 0:
                    found.setdefault(int(target[k]), found[int(source[k])] ^ inverted)
        if len(found) == before:
            return found


def record(
    simulator: GateSimulator,
    drive: Callable[[GateSimulator, int], None],
    *,
    clocks: int,
    warm_up: int,
    lanes: int,
    period_ns: float,
    source: str,
    snapshots: int = 4,
    pulses: int = 1,
    watch: Callable[[GateSimulator, int], None] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Activity:
    """Run a simulator and count.

    Of two related clocks the second pulses `pulses` times in each period of the first, in equal steps; the last of
    these edges is that of the first clock, too, and behind it the inputs change.

    Parameters
    ----------
    simulator : GateSimulator
        With its state loaded; every lane is a stream of its own.
    drive : callable
        Called as ``drive(simulator, clock)`` to set the input ports of a clock, from 0 to ``warm_up + clocks - 1``.
    clocks : int
        Clocks per lane that count.
    warm_up : int
        Clocks before them, at least 1.
    lanes : int
        Lanes that count.
    period_ns : float
    source : str
        What the stimulus is, for reports.
    snapshots : int
        Clocks of which the states of all lanes are kept, one pair for each pulse.
    pulses : int
        Edges of the simulator's further clocks in each period of the first.
    watch : callable, optional
        Called as `drive` at the end of each clock, settled before its last edge (for a scoreboard).
    advance : callable, optional
        Called with 1 after each clock.
    """
    if clocks < 1 or warm_up < 1:
        raise ActivityError(f"expected at least one clock and one of warm-up, got {clocks} and {warm_up}")
    if pulses < 1 or (pulses > 1 and len(simulator.clocks) < 2):
        raise ActivityError(f"{pulses} pulses in a period of the clocks {', '.join(simulator.clocks) or 'none'}")
    counter = ToggleCounter(simulator, lanes)
    keep = set(np.linspace(warm_up, warm_up + clocks - 1, min(snapshots, clocks)).astype(int).tolist())
    befores: list[Words] = []
    afters: list[Words] = []
    previous: Words | None = None
    for number in range(warm_up + clocks):
        drive(simulator, number)
        for pulse in range(pulses):
            last = pulse == pulses - 1
            simulator.settle()
            if last and watch is not None:
                watch(simulator, number)
            if number == warm_up - 1 and last:
                counter.start()
            elif number >= warm_up:
                counter.add()
            if number in keep and previous is not None:
                befores.append(previous)
                afters.append(simulator.values.copy())
            previous = simulator.values.copy() if (number + last) in keep else None
            simulator.edge(None if last else simulator.clocks[1:])
            if number >= warm_up:
                counter.add_edge()
        if advance is not None:
            advance(1)
    net = None if simulator.clock is None else int(simulator.netlist.ports[simulator.clock].nets[0])
    rate = counter.toggles / counter.cycles / period_ns * pulses
    duty = counter.ones / counter.cycles
    # clocks rest low in settled states: they toggle twice in each pulse, and are high for half their own period
    share = counter.pulses / counter.cycles
    rate[simulator.clock_rows] = 2 * share * pulses / period_ns
    share = share * np.where(simulator.first_clock_rows, pulses, 1)
    duty[simulator.clock_rows] += np.where(duty[simulator.clock_rows] > 0.5, -share / 2, share / 2)
    annotated = np.ones(simulator.netlist.nets, np.bool_)
    return Activity(
        toggles_per_ns=rate, duty=duty, annotated=annotated, before=np.concatenate(befores, 1),
        after=np.concatenate(afters, 1), mask=np.tile(counter.mask, len(befores)), clock=net, period_ns=period_ns,
        clocks=counter.cycles // pulses, duration_ns=counter.cycles * period_ns / pulses, source=source,
    )  # fmt: skip


# --- VCD --------------------------------------------------------------------------------------------------------------

_TIME_UNITS = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0, "ps": 1e-3, "fs": 1e-6}
_CHUNK = 1 << 24


@dataclass
class _Header:
    """Variables of a VCD file: (scope path, name, high, low, width, code)."""

    scale_ns: float
    variables: list[tuple[tuple[str, ...], str, int, int, str]]


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _read_header(file: IO[bytes], path: Path) -> _Header:
    words: list[str] = []
    scope: list[str] = []
    scale, variables = 1.0, []
    for line in file:
        words += line.decode(errors="replace").split()
        while "$end" in words:
            end = words.index("$end")
            command, words = words[:end], words[end + 1 :]
            if not command:
                continue
            match command[0]:
                case "$scope" if len(command) >= 3:
                    scope.append(command[2].lstrip("\\"))
                case "$upscope":
                    scope = scope[:-1]
                case "$timescale":
                    found = re.fullmatch(r"(\d+)\s*([munpf]?s)", "".join(command[1:]))
                    if found is None:
                        raise ActivityError(f"{path}: timescale {' '.join(command[1:])!r} is not understood")
                    scale = float(found[1]) * _TIME_UNITS[found[2]]
                case "$var" if len(command) >= 5:
                    name = "".join(command[4:]).lstrip("\\")
                    width, low = int(command[2]), 0
                    if ranged := re.fullmatch(r"(.*?)\[(-?\d+)(?::(-?\d+))?\]", name):
                        # `x[3]` of width 1 is one bit; `x[7:0]` the whole
                        name, low = ranged[1], int(ranged[3] if ranged[3] is not None else ranged[2])
                        if ranged[3] is not None and int(ranged[2]) < low:
                            raise ActivityError(f"{path}: ascending range {command[4:]} is not supported")
                    variables.append((tuple(scope), name, low, width, command[3]))
                case "$enddefinitions":
                    return _Header(scale, variables)
    raise ActivityError(f"{path} is no VCD file: it has no $enddefinitions")


def _code(text: bytes) -> int:
    value = 0
    for byte in text:
        value = value * 95 + (byte - 32)
    return value


@njit(cache=True)
def _scan(data, position, stop, codes, first, width, nets, state, since, toggles, high, unknown, clock, saved,  # type: ignore[no-untyped-def]
          save_at, info):  # fmt: skip
    """Apply the value changes in ``data[position:stop]``; stops after a clock edge of which the state is wanted.

    `info`: 0 time, 1 clock edges seen, 2 edges between saves, 3 lines skipped. `saved` receives the settled state.
    Returns the position reached.
    """
    while position < stop:
        c = data[position]
        if c == 35:  # '#'
            time = 0
            position += 1
            while position < stop and 48 <= data[position] <= 57:
                time = time * 10 + (data[position] - 48)
                position += 1
            # what the last instant left is settled: keep it before anything of this instant is applied
            for net in range(len(state)):
                saved[net] = state[net]
            info[0] = time
            info[4] = 0
        elif c in (48, 49, 120, 122, 88, 90, 98, 66):  # 0 1 x z X Z b B
            begin = position
            end = position
            vector = c == 98 or c == 66
            if vector:
                begin = position + 1
                end = begin
                while data[end] != 32:
                    end += 1
                position = end + 1
            else:
                end = position + 1
                position += 1
            while data[position] == 32:
                position += 1
            code = 0
            while position < stop and data[position] > 32:
                code = code * 95 + (data[position] - 32)
                position += 1
            k = np.searchsorted(codes, code)
            if k < len(codes) and codes[k] == code:
                length = end - begin
                for bit in range(width[k]):
                    symbol = data[end - 1 - bit] if bit < length else data[begin]
                    if bit >= length and symbol == 49:
                        symbol = 48  # a shorter vector is extended by 0 unless unknown
                    net = nets[first[k] + bit]
                    if net < 0:
                        continue
                    new = 1 if symbol == 49 else 0 if symbol == 48 else 2
                    old = state[net]
                    if new == old:
                        continue
                    span = info[0] - since[net]
                    if old == 1:
                        high[net] += span
                    elif old == 2:
                        unknown[net] += span
                    if old < 2 and new < 2:
                        toggles[net] += 1
                    since[net] = info[0]
                    state[net] = new
                    if net == clock and new == 1 and old == 0:
                        info[1] += 1
                        if info[1] >= save_at:
                            return position
        elif c == 36 or c == 114 or c == 82:  # $dumpvars, $end, real numbers: to the end of the line
            while position < stop and data[position] != 10:
                position += 1
        position += 1
    return position


def read_vcd(
    path: Path,
    netlist: Netlist,
    library: PowerLibrary,
    *,
    scope: str | None = None,
    clock: str | None = None,
    period_ns: float | None = None,
    max_pairs: int = 256,
) -> Activity:
    """Activity of a netlist from a VCD file (IEEE 1364-2001, chapter 18; ``.gz`` too).

    Parameters
    ----------
    path : Path
    netlist : Netlist
    library : PowerLibrary
    scope : str, optional
        Scope of the netlist's top module, levels separated by ``.`` or ``/``; else the scope that knows most ports.
    clock : str, optional
        Clock port: states are kept before its rising edges. Without one, at every instant.
    period_ns : float, optional
        Clock period; measured from the recording where left out.
    max_pairs : int
        State pairs to keep.

    Returns
    -------
    Activity
        Nets that the file does not name keep ``annotated`` False; they get the mean rate of all others.

    Raises
    ------
    ActivityError
        No VCD file, no variable of the netlist in it, or nothing recorded.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no VCD file {path}")
    with _open(path) as file:
        header = _read_header(file, path)
        tables = _lookup(header, netlist, scope, path)
        codes, first, width, nets = tables
        clock_net = -1 if clock is None else int(netlist.ports[clock].nets[0])
        count = netlist.nets
        state, saved = np.full(count, 2, np.uint8), np.full(count, 2, np.uint8)
        since, toggles, high, unknown = (np.zeros(count, np.int64) for _ in range(4))
        info = np.zeros(8, np.int64)
        states: list[tuple[int, npt.NDArray[np.bool_]]] = []
        stride, rest = 1, b""
        start: int | None = None
        wanted = 1
        while chunk := file.read(_CHUNK):
            data = rest + chunk
            cut = data.rfind(b"\n") + 1
            data, rest = data[:cut], data[cut:]
            if start is None and (found := re.search(rb"(?:^|\n)#(\d+)", data)):
                start = int(found[1])
                since[:] = start
            buffer = np.frombuffer(data, np.uint8)
            position = 0
            while position < len(buffer):
                position = _scan(
                    buffer, position, len(buffer), codes, first, width, nets, state, since, toggles, high, unknown,
                    clock_net, saved, wanted if clock_net >= 0 else 1 << 62, info,
                )  # fmt: skip
                if clock_net >= 0 and info[1] >= wanted:
                    states.append((int(info[1]), saved == 1))
                    if len(states) > 2 * max_pairs:
                        stride *= 2
                        states = [s for s in states if (s[0] - 1) % stride in (0, 1)][: 2 * max_pairs]
                    edge = int(info[1]) + 1
                    while stride > 2 and (edge - 1) % stride not in (0, 1):
                        edge += 1
                    wanted = edge
        if rest.strip():
            buffer = np.frombuffer(rest + b"\n", np.uint8)
            _scan(buffer, 0, len(buffer), codes, first, width, nets, state, since, toggles, high, unknown, clock_net,
                  saved, 1 << 62, info)  # fmt: skip
    if start is None or info[0] <= start:
        raise ActivityError(f"{path} records no time: instants of value changes (#...) are missing")
    span = int(info[0]) - start
    high += np.where(state == 1, info[0] - since, 0)
    unknown += np.where(state == 2, info[0] - since, 0)
    annotated = np.zeros(count, np.bool_)
    annotated[np.unique(nets[nets >= 0])] = True
    annotated &= unknown < span
    duration = span * header.scale_ns
    known = np.maximum(span - unknown, 1)
    rate = toggles / (known * header.scale_ns)
    duty = high / known
    used = netlist.used_nets
    quiet = used & ~annotated
    if not annotated[used].any():
        raise ActivityError(f"{path} says nothing about any net of {netlist.top}")
    tree = clock_nets(netlist, library, clock)
    others = used & annotated
    others[list(tree)] = False
    rate[quiet] = rate[others].mean() if others.any() else 0.0
    duty[quiet] = 0.5
    edges = int(info[1])
    if period_ns is None:
        if clock is None or edges < 2:
            raise ActivityError("the clock period is not evident: name a clock that toggles, or give the period")
        period_ns = duration / edges
    for net in tree:
        if not annotated[net]:
            rate[net], duty[net] = 2 * edges / duration, 0.5
    before, after, mask = _pairs(states, state, count)
    return Activity(
        toggles_per_ns=rate, duty=duty, annotated=annotated, before=before, after=after, mask=mask,
        clock=None if clock_net < 0 else clock_net, period_ns=period_ns, clocks=edges, duration_ns=duration,
        source=f"VCD {path.name}",
    )  # fmt: skip


def _pairs(
    states: list[tuple[int, npt.NDArray[np.bool_]]], final: npt.NDArray[np.uint8], count: int
) -> tuple[Words, Words, Words]:
    by_edge = dict(states)
    chosen = [(by_edge[edge], by_edge[edge + 1]) for edge in by_edge if edge + 1 in by_edge]
    if not chosen:
        chosen = [(final == 1, final == 1)]
    lanes = -(-len(chosen) // 64) * 64
    bits = np.zeros((2, count, lanes), np.bool_)
    for lane, (old, new) in enumerate(chosen):
        bits[0, :, lane], bits[1, :, lane] = old, new
    return from_lanes(bits[0]), from_lanes(bits[1]), from_lanes(np.arange(lanes) < len(chosen))


def _lookup(header: _Header, netlist: Netlist, scope: str | None, path: Path) -> tuple[Any, Any, Any, Any]:
    """Sorted codes of the variables of the netlist, first index and width of each, and the net of each bit."""
    scopes = {variable[0] for variable in header.variables}
    if scope is not None:
        root = tuple(re.split(r"[./]", scope))
        if root not in scopes:
            known = ", ".join(sorted(".".join(s) for s in scopes)[:6])
            raise ActivityError(f"{path} has no scope {scope!r}; scopes: {known}")
    else:
        ports = set(netlist.ports)
        score = {s: len({v[1] for v in header.variables if v[0] == s} & ports) for s in scopes}
        root = max(sorted(score, key=len), key=lambda s: score[s], default=())
        if not score or score[root] == 0:
            raise ActivityError(f"{path}: no scope holds a port of {netlist.top}; name the scope")
    wires: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for instance in netlist.instances:
        wires[instance.path] = instance.names
    found: dict[int, list[int]] = {}
    for place, name, low, width, code in header.variables:
        if place[: len(root)] != root:
            continue
        names = wires.get(place[len(root) :])
        target = None if names is None else names.get(name)
        bits = [-1] * width
        if target is not None:
            for bit in range(width):
                if low + bit < len(target):
                    bits[bit] = int(target[low + bit])
        elif names is not None and width == 1 and f"{name}[{low}]" in names:
            bits[0] = int(names[f"{name}[{low}]"][0])
        key = _code(code.encode())
        # the same code may name one wire at several levels
        old = found.setdefault(key, bits)
        if len(old) == len(bits):
            found[key] = [a if a >= 0 else b for a, b in zip(old, bits, strict=True)]
    codes = np.array(sorted(found), np.int64)
    if not len(codes):
        raise ActivityError(f"{path}: scope {'.'.join(root)} holds no variables")
    width_ = np.array([len(found[int(c)]) for c in codes], np.int64)
    first = np.concatenate([[0], np.cumsum(width_)[:-1]]).astype(np.int64)
    nets = np.array([net for c in codes for net in found[int(c)]], np.int64)
    return codes, first, width_, np.where(nets >= 2, nets, -1)


def complete(activity: Activity, simulator: GateSimulator) -> Activity:
    """Fill in what a recording cannot hold: open outputs of cells, and states of nets that it does not name.

    States of ports and flip-flops are taken from the recording and all logic is evaluated from them; what the recording
    names stays as recorded. Open outputs toggle as often as the kept pairs of states say; those of flip-flops as often
    as the connected output beside them.

    Parameters
    ----------
    activity : Activity
        From `read_vcd`.
    simulator : GateSimulator
        Of the same netlist, with as many words as `activity.before` has.
    """
    netlist, library = simulator.netlist, simulator.library
    words = activity.before.shape[1]
    if simulator.words != words:
        raise ValueError(f"expected a simulator of {words} words, got {simulator.words}")
    storage_of = np.full(netlist.cells, -1)
    storage_of[simulator.storage_cells] = np.arange(simulator.storages)
    outputs: list[Words] = []
    for states in (activity.before, activity.after):
        simulator.values[:] = 0
        simulator.values[1] = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
        simulator.values[: netlist.nets][activity.annotated] = states[activity.annotated]
        for group in netlist.groups.values():
            storage = library[group.type].storage
            if storage is None:
                continue
            state = simulator.state_rows[storage_of[group.cells]]
            for pin in library[group.type].outputs:
                function = library[group.type].pins[pin].function
                net = group.pin(pin)
                known = (net >= 0) & activity.annotated[np.maximum(net, 0)]
                if function == storage.state:
                    simulator.values[state[known]] = states[net[known]]
                elif function == storage.inverse:
                    simulator.values[state[known]] = ~states[net[known]]
        simulator.evaluate()
        filled = simulator.values.copy()
        filled[: netlist.nets][activity.annotated] = states[activity.annotated]
        outputs.append(filled)
    before, after = outputs
    rate = np.zeros(simulator.rows)
    rate[: netlist.nets] = activity.toggles_per_ns
    duty = np.zeros(simulator.rows)
    duty[: netlist.nets] = activity.duty
    pairs = max(_bits(activity.mask), 1)
    opened = np.arange(netlist.nets, simulator.rows)
    rate[opened] = population((before[opened] ^ after[opened]) & activity.mask) / pairs / activity.period_ns
    duty[opened] = population(after[opened] & activity.mask) / pairs
    for group in netlist.groups.values():
        cell = library[group.type]
        if cell.storage is None or len(cell.outputs) != 2:
            continue
        for pin, other in (cell.outputs, cell.outputs[::-1]):
            alone = (group.pin(pin) < 0) & (group.pin(other) >= 0)
            rows = simulator.pin_rows[group.type]
            rate[rows[pin][alone]] = rate[rows[other][alone]]
    return replace(activity, toggles_per_ns=rate, duty=duty, before=before, after=after)
