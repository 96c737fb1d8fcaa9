"""Power of the cells of a netlist from activity: switching, internal energy, leakage by state."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.library.functions import Expression, evaluate, pins_of
from flows.library.power_library import PowerArc, PowerCell
from flows.netlist.delays import NetTiming, arrivals
from flows.netlist.gate_simulation import GateSimulator, plain_latch, population
from flows.netlist.netlist import CellGroup
from flows.power.activity import Activity, clock_nets

__all__ = ["CellPower", "cell_power", "leakage_as"]


Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_HALF = np.uint64(0xAAAA_AAAA_AAAA_AAAA)


@dataclass(frozen=True, kw_only=True, eq=False)
class CellPower:
    """Power of every cell and net.

    Attributes
    ----------
    leakage_nw : ndarray, shape (cells,)
    internal_uw : ndarray, shape (cells,)
        Without the clock pins of storage cells.
    clock_pin_uw : ndarray, shape (cells,)
        Internal energy at clock pins: spent at every clock, toggling or not.
    switching_uw : ndarray, shape (nets,)
        Of nets that a cell drives; 0 for input ports and the modelled clock.
    input_uw : float
        Switching of the nets at input ports, which the surroundings pay for.
    driver : ndarray of int32, shape (nets,)
        Driving cell, -1 for ports.
    low_uw, high_uw : float
        Internal power if each output toggled by its cheapest, by its dearest arc.
    """

    leakage_nw: Floats
    internal_uw: Floats
    clock_pin_uw: Floats
    switching_uw: Floats
    input_uw: float
    driver: npt.NDArray[np.int32]
    low_uw: float
    high_uw: float


def cell_power(
    simulator: GateSimulator,
    activity: Activity,
    timing: NetTiming,
    *,
    modelled_clocks: Collection[str] | None = None,
    voltage_v: float | None = None,
    toggles_per_ns: Floats | None = None,
    arrival_ns: Floats | None = None,
) -> CellPower:
    """Leakage, internal and switching power of each cell and net.

    Parameters
    ----------
    simulator : GateSimulator
        Says which row each pin is; its values are not used.
    activity : Activity
        With rows as the simulator has (`flows.power.activity.complete` after `read_vcd`).
    timing : NetTiming
    modelled_clocks : collection of str, optional
        Clock ports whose nets' switching is left to `clock_tree`; all of them where left out.
    voltage_v : float, optional
        Supply for the switching power; the library's own otherwise.
    toggles_per_ns : ndarray, optional
        Other rates than the activity's, for the same states.
    arrival_ns : ndarray, shape (nets,), optional
        `flows.netlist.delays.arrivals` where it is known already. Data that comes after its clock has fallen finds
        the clock low.
    """
    netlist, library = simulator.netlist, simulator.library
    volt = library.voltage_v if voltage_v is None else voltage_v
    rate = activity.toggles_per_ns if toggles_per_ns is None else toggles_per_ns
    # over a period a clock is high half the time: half of the kept states see it high
    half = np.full(activity.before.shape[1], _HALF)
    before, after = (simulator.with_clocks(states, half) for states in (activity.before, activity.after))
    phases = _Phases(simulator, activity, arrivals(simulator, timing, activity.opens_ns)
                     if arrival_ns is None else arrival_ns)  # fmt: skip
    leakage, internal, clock_pin = np.zeros(netlist.cells), np.zeros(netlist.cells), np.zeros(netlist.cells)
    driver = np.full(netlist.nets, -1, np.int32)
    low = high = 0.0
    load = np.zeros(simulator.rows)
    load[: netlist.nets] = timing.load_ff
    slew = np.zeros(simulator.rows)
    slew[: netlist.nets] = timing.slew_ns
    for group in netlist.groups.values():
        cell, rows = library[group.type], simulator.pin_rows[group.type]
        view = _View(group, cell, rows, before, after, activity.mask)
        leakage[group.cells] = _leakage(cell, view)
        for pin in cell.outputs:
            nets = group.pin(pin)
            driver[nets[nets >= 0]] = group.cells[nets >= 0]
            mean, least, most = _output_energy(cell, pin, view, rows, slew, load)
            toggles = rate[rows[pin]]
            internal[group.cells] += toggles * mean
            low += float((toggles * least).sum())
            high += float((toggles * most).sum())
        clocked = set(pins_of(cell.storage.clock)) if cell.storage is not None else set()
        for pin in cell.inputs:
            arcs = [arc for arc in cell.power if arc.pin == pin]
            if not arcs:
                continue
            seen = phases.view(view, cell, rows, pin) if clocked and pin not in clocked else view
            passes = plain_latch(cell) and pin in clocked
            energy = _input_energy(pin, arcs, seen, slew[rows[pin]], pin in clocked, passes)
            power = rate[rows[pin]] * energy
            if pin in clocked:
                clock_pin[group.cells] += power
            else:
                internal[group.cells] += power
                low += float(power.sum())
                high += float(power.sum())
    switching = 0.5 * timing.load_ff * volt * volt * rate[: netlist.nets]
    switching[:2] = 0
    for clock in simulator.clocks if modelled_clocks is None else modelled_clocks:
        switching[list(clock_nets(netlist, library, clock))] = 0
    ports = driver < 0
    return CellPower(
        leakage_nw=leakage, internal_uw=internal, clock_pin_uw=clock_pin,
        switching_uw=np.where(ports, 0.0, switching), input_uw=float(switching[ports].sum()), driver=driver,
        low_uw=low, high_uw=high,
    )  # fmt: skip


def leakage_as(
    simulator: GateSimulator, activity: Activity, group: CellGroup, cells: Sequence[PowerCell]
) -> list[Floats]:
    """Leakage in nW of each cell of a group if it were of another type with the same pins, for each of some types."""
    half = np.full(activity.before.shape[1], _HALF)
    before, after = (simulator.with_clocks(states, half) for states in (activity.before, activity.after))
    rows = simulator.pin_rows[group.type]
    return [_leakage(cell, _View(group, cell, rows, before, after, activity.mask)) for cell in cells]


class _Phases:
    """Whether data finds its clock high, for as long as it is after the edge that they start from, or low, later."""

    def __init__(self, simulator: GateSimulator, activity: Activity, arrival_ns: Floats) -> None:
        words = activity.before.shape[1]
        levels = np.full(words, _ALL), np.zeros(words, np.uint64)
        self.high, self.low = (simulator.with_clocks(activity.before, level) for level in levels)
        rate = activity.toggles_per_ns
        high_ns = np.full(simulator.rows, activity.opens_ns)
        if len(simulator.clocks) > 1:
            # the first of several is high for half of its period, the others are as much faster as they toggle more
            high_ns[:] = activity.period_ns / 2
            first, further = (rate[simulator.netlist.ports[name].nets[0]] for name in simulator.clocks[:2])
            half_ns = activity.period_ns / 2 * (first / further if further > 0 else 1.0)
            faster = simulator.clock_rows[~simulator.first_clock_rows]
            high_ns[faster] = half_ns if activity.high_ns is None else activity.high_ns
        self.high_ns = high_ns
        self.arrival_ns = np.zeros(simulator.rows)
        self.arrival_ns[: len(arrival_ns)] = arrival_ns

    def view(self, view: _View, cell: PowerCell, rows: Mapping[str, Any], pin: str) -> _View:
        """The same states with the clock as the data of a pin finds it."""
        assert cell.storage is not None
        names = [name for name in pins_of(cell.storage.clock) if name in rows]
        if not names:
            return view
        late = (self.arrival_ns[rows[pin]] > self.high_ns[rows[names[0]]])[:, None]
        clocks = {name: np.where(late, self.low[rows[name]], self.high[rows[name]]) for name in names}
        found = copy(view)
        found.before, found.after = {**view.before, **clocks}, {**view.after, **clocks}
        return found


class _View:
    """States of the pins of a group of cells."""

    def __init__(
        self, group: CellGroup, cell: PowerCell, rows: Mapping[str, Any], before: Words, after: Words, mask: Words
    ) -> None:
        self.count = len(group.cells)
        self.mask = mask
        self.pairs = max(int(population(mask[None, :])[0]), 1)
        self.before = {pin: before[row] for pin, row in rows.items()}
        self.after = {pin: after[row] for pin, row in rows.items()}
        self.ones = np.full((self.count, len(mask)), _ALL)
        if cell.storage is not None:
            # functions and conditions may name the stored bit itself
            for pin in cell.outputs:
                function = cell.pins[pin].function
                for name, other in (
                    (cell.storage.state, cell.storage.inverse),
                    (cell.storage.inverse, cell.storage.state),
                ):
                    if function == name:
                        for values in (self.before, self.after):
                            values.setdefault(name, values[pin])
                            values.setdefault(other, ~values[pin])

    def holds(self, expression: Expression | None, values: Mapping[str, Words]) -> Words:
        """Where a condition holds, as bits."""
        if expression is None:
            return self.ones & self.mask
        try:
            return np.asarray(evaluate(expression, values, self.ones) & self.mask, np.uint64)
        except KeyError:
            return self.ones & self.mask  # a condition on something that is no pin

    def count_bits(self, words: Words) -> Floats:
        return np.asarray(population(np.ascontiguousarray(words)), float)

    def share(self, expression: Expression | None) -> Floats:
        """Share of all states."""
        both = self.count_bits(self.holds(expression, self.before)) + self.count_bits(
            self.holds(expression, self.after)
        )
        return np.asarray(both / (2 * self.pairs))


def _leakage(cell: PowerCell, view: _View) -> Floats:
    total = np.zeros(view.count)
    default = cell.default_leakage_nw or 0.0
    if not cell.leakage:
        return total + default
    for states in cell.leakage:
        covered = np.zeros(view.count)
        rest: float | None = None
        for state in states:
            if state.when is None:
                rest = state.leakage_nw
            else:
                share = view.share(state.when)
                covered += share
                total += share * state.leakage_nw
        if rest is None:
            # a supply pin of which only some states are given has nothing else to say
            rest = default if len(cell.leakage) == 1 else 0.0
        total += np.maximum(1 - covered, 0) * rest
    return total


def _sensitive(cell: PowerCell, output: str, pin: str, view: _View) -> Words:
    """States in which a change of the input alone changes the output, before or after the clock."""
    function = cell.pins[output].function
    if function is None or pin not in pins_of(function):
        return np.zeros_like(view.ones)
    found = np.zeros_like(view.ones)
    for values in (view.before, view.after):
        low = evaluate(function, {**values, pin: view.ones ^ view.ones}, view.ones)
        high = evaluate(function, {**values, pin: view.ones}, view.ones)
        found |= low ^ high
    return found


def _output_energy(
    cell: PowerCell, pin: str, view: _View, rows: Mapping[str, Any], slew: Floats, load: Floats
) -> tuple[Floats, Floats, Floats]:
    """Energy of a toggle of an output in fJ: mean over its arcs by cause, least and largest arc."""
    arcs = [arc for arc in cell.power if arc.pin == pin]
    zero = np.zeros(view.count)
    mean, least, most = zero.copy(), zero.copy(), zero.copy()
    if not arcs:
        return mean, least, most
    clocked = set(pins_of(cell.storage.clock)) if cell.storage is not None else set()
    asynchronous = set()
    if cell.storage is not None:
        for part in (cell.storage.clear, cell.storage.preset):
            asynchronous |= set(pins_of(part)) if part is not None else set()
    toggled = view.before[pin] ^ view.after[pin]
    for supply in dict.fromkeys(arc.supply for arc in arcs):
        mine = [arc for arc in arcs if arc.supply == supply]
        weight = np.zeros((len(mine), view.count))
        energy = np.empty((len(mine), view.count))
        for k, arc in enumerate(mine):
            slews = [slew[rows[name]] for name in arc.related if name in rows]
            energy[k] = arc.energy(np.mean(slews, axis=0) if slews else zero, load[rows[pin]])
            causes = np.zeros_like(view.ones)
            for name in arc.related:
                if name in clocked:
                    causes |= view.ones
                elif name in view.before:
                    moved = view.before[name] ^ view.after[name]
                    causes |= moved & (view.ones if name in asynchronous else _sensitive(cell, pin, name, view))
            if not arc.related:
                causes = view.ones
            for values in (view.before, view.after):
                weight[k] += view.count_bits(toggled & causes & view.holds(arc.when, values))
        total = weight.sum(0)
        # no toggle kept: all arcs that a clock, or else anything, can cause
        able = np.array([1.0 if not clocked or set(arc.related) & clocked or not arc.related else 0.0 for arc in mine])
        if not able.any():
            able[:] = 1
        weight = np.where(total > 0, weight, able[:, None])
        mean += (weight * energy).sum(0) / weight.sum(0)
        least += np.where(weight > 0, energy, np.inf).min(0)
        most += np.where(weight > 0, energy, -np.inf).max(0)
    return mean, least, most


def _input_energy(
    pin: str, arcs: Sequence[PowerArc], view: _View, slew_ns: Floats, is_clock: bool, passes: bool = False
) -> Floats:
    """Energy of a toggle of an input pin in fJ, by the states it toggles in.

    The clock of a latch finds it with its data passed on (`passes`): states that no condition names do not count.
    """
    moved = view.ones & view.mask if is_clock else (view.before[pin] ^ view.after[pin]) & view.mask
    times = view.count_bits(moved)
    never = times == 0
    total = np.zeros(view.count)
    for supply in dict.fromkeys(arc.supply for arc in arcs):
        covered = np.zeros(view.count)
        rest: Floats | None = None
        for arc in (arc for arc in arcs if arc.supply == supply):
            energy = arc.energy(slew_ns, np.zeros(view.count))
            if arc.when is None:
                rest = energy
                continue
            # a clock edge finds the flip-flop before it has taken its data: the states before and after are settled
            bits = view.count_bits(moved & view.holds(arc.when, view.before))
            bits = bits + view.count_bits(moved & view.holds(arc.when, view.after))
            share = np.where(never, view.share(arc.when), bits / np.maximum(2 * times, 1))
            covered += share
            total += share * energy
        if rest is not None:
            total += np.maximum(1 - covered, 0) * rest
        elif passes:
            total = np.where(covered > 0, total / np.maximum(covered, 1e-12), total)
    return total
