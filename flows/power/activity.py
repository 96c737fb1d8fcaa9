"""Toggles and time at 1 of every net, from gate-level simulation of many streams; `flows.power.vcd` reads files.

An `Activity` also keeps settled states of the whole netlist, in pairs of consecutive clocks: leakage and internal
energy depend on states of several pins at once, which toggle counts of single nets do not show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flows.common.errors import FlowError
from flows.library.functions import evaluate
from flows.library.power_library import PowerLibrary
from flows.netlist.gate_simulation import GateSimulator, ToggleCounter, population
from flows.netlist.netlist import Netlist

__all__ = ["Activity", "ActivityError", "clock_nets", "complete", "record"]

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
    high_ns : float or None
        How long the fastest clock is high in each of its periods; None: half of `period_ns`.
    clocks : int
        Clocks recorded, over all streams.
    duration_ns : float
    source : str
    notes : tuple of str
        What the recording lacks, or has beyond settled values.
    with_delays : bool
        Whether toggles are those of logic with delays, glitches included.
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
    notes: tuple[str, ...] = ()
    with_delays: bool = False
    high_ns: float | None = None

    @property
    def opens_ns(self) -> float:
        """From a clock's edge to its fall, when latches open that were closed."""
        return self.period_ns / 2 if self.high_ns is None else self.high_ns

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
    clock_high: float = 0.5,
    watch: Callable[[GateSimulator, int], None] | None = None,
    advance: Callable[[int], None] | None = None,
) -> Activity:
    """Run a simulator and count.

    Of two related clocks the second pulses `pulses` times in each period of the first, in equal steps; the last of
    these edges is that of the first clock, too, and after it the inputs change.

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
    clock_high : float
        Share of its period that the fastest clock is high.
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
        high_ns=clock_high * period_ns / pulses,
    )  # fmt: skip


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
