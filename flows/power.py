"""Power of a mapped netlist from its activity: leakage, internal, switching, clock tree, glitches.

Every term is explicit, so that it can be checked by hand (tests/flows/test_power.py does):

* **switching** of a net: 1/2 C V^2 for each toggle, C being the wire and the mean of rise and fall pin capacitance.
* **internal**: (rise + fall) / 2 of the Liberty energy at the cell's own transition time and load, for each toggle.
  Energies of an output are shared among its related pins by how often each caused a toggle in the kept pairs of
  states; energies of an input pin count for each of its toggles in the states of their ``when``.
* **leakage** weighted by the share of time in each ``when`` state; states that no group names take the group without
  ``when``, else the cell's default.
* **clock tree**: a netlist before layout has none, so one is built for each clock: buffers of the library, clusters
  filled until the transition time is met, wires as spanning trees over the core's area. Behind a clock gate a net is
  one like any other, with the pulses that came through.
* **glitches**: transitions of a replay with delays over those without, on a sample of clocks, by stage.

fJ per toggle times toggles per ns is uW.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.activity import Activity, clock_nets, population
from flows.cells import Expression, evaluate, pins_of
from flows.delays import DelaySimulator, NetTiming, pin_loads
from flows.gate_simulation import GateSimulator, to_lanes
from flows.liberty import PowerArc, PowerCell, PowerLibrary
from flows.netlist import CellGroup

__all__ = ["CellPower", "ClockTree", "Glitches", "PowerSummary", "cell_power", "clock_tree", "glitches", "summarise"]

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_HALF = np.uint64(0xAAAA_AAAA_AAAA_AAAA)
TREE_LENGTH = 0.82
"""Length of a rectilinear minimal spanning tree of n random points in area A, over sqrt(n A). That the length grows as
sqrt(n A): J. Beardwood, J. H. Halton, J. M. Hammersley, The shortest path through many points, 1959; the constant is
what tests/flows/test_power.py measures."""


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
) -> CellPower:
    """Leakage, internal and switching power of each cell and net.

    Parameters
    ----------
    simulator : GateSimulator
        Says which row each pin is; its values are not used.
    activity : Activity
        With rows as the simulator has (`flows.activity.complete` after `read_vcd`).
    timing : NetTiming
    modelled_clocks : collection of str, optional
        Clock ports whose nets' switching is left to `clock_tree`; all of them where left out.
    voltage_v : float, optional
        Supply for the switching power; the library's own otherwise.
    toggles_per_ns : ndarray, optional
        Other rates than the activity's, for the same states.
    """
    netlist, library = simulator.netlist, simulator.library
    volt = library.voltage_v if voltage_v is None else voltage_v
    rate = activity.toggles_per_ns if toggles_per_ns is None else toggles_per_ns
    # over a period a clock is high half the time: half of the kept states see it high
    half = np.full(activity.before.shape[1], _HALF)
    before, after = (simulator.with_clocks(states, half) for states in (activity.before, activity.after))
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
            energy = _input_energy(pin, arcs, view, slew[rows[pin]], pin in clocked)
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


def _input_energy(pin: str, arcs: Sequence[PowerArc], view: _View, slew_ns: Floats, is_clock: bool) -> Floats:
    """Energy of a toggle of an input pin in fJ, by the states it toggles in."""
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
    return total


# --- clock tree -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ClockTree:
    """A tree of buffers from one root to all clock pins.

    Attributes
    ----------
    buffer : str
    levels : tuple of int
        Buffers per level, leaves first.
    sinks : int
    sinks_per_buffer : int
        Of the leaf level.
    wire_um : float
    wire_ff, pin_ff : float
        Wire; clock pins of sinks and buffers.
    energy_fj : float
        Per clock: C V^2 of everything, and two transitions of every buffer.
    leakage_nw : float
    area_um2 : float
    """

    buffer: str
    levels: tuple[int, ...]
    sinks: int
    sinks_per_buffer: int
    wire_um: float
    wire_ff: float
    pin_ff: float
    energy_fj: float
    leakage_nw: float
    area_um2: float

    @property
    def buffers(self) -> int:
        """All buffers."""
        return sum(self.levels)


def buffers_of(library: PowerLibrary, usable: Sequence[str]) -> list[PowerCell]:
    """Non-inverting cells of one input and one output."""
    found = []
    for name in usable:
        cell = library[name]
        single = cell.storage is None and len(cell.inputs) == 1 and len(cell.outputs) == 1
        if single and cell.pins[cell.outputs[0]].function == cell.inputs[0]:
            found.append(cell)
    return found


def _drive(cell: PowerCell, slew_ns: float) -> float:
    """Largest load in fF that a buffer moves within a transition time, from its tables; at most its maximum."""
    most = cell.pins[cell.outputs[0]].max_capacitance_ff or np.inf
    tables = [table for arc in cell.timing for table in arc.transition if table is not None]
    if not tables:
        return 0.0
    limit = min(most, max(float(table.load_ff[-1]) for table in tables))

    def slowest(load: float) -> float:
        return max(float(table.at(slew_ns, load)) for table in tables)

    if slowest(limit) <= slew_ns:
        return limit
    low, high = 0.0, limit
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slowest(middle) <= slew_ns else (low, middle)
    return low


def clock_tree(
    library: PowerLibrary,
    *,
    sinks: int,
    sink_ff: float,
    area_um2: float,
    wire_ff_per_um: float,
    slew_ns: float,
    usable: Sequence[str],
    fill: float = 0.8,
    voltage_v: float | None = None,
) -> ClockTree:
    """The cheapest tree of one kind of buffer that meets a transition time.

    A buffer drives k sinks of its level, and the wire to them: `TREE_LENGTH` * sqrt(k * k area / n), k / n being its
    share of the area. Levels are added until one buffer is left. Balancing wires for equal delay is not modelled.

    Parameters
    ----------
    library : PowerLibrary
    sinks : int
        Clock pins.
    sink_ff : float
        Mean capacitance of one.
    area_um2 : float
        Area over which they are spread.
    wire_ff_per_um : float
    slew_ns : float
        Transition time to meet at every pin.
    usable : sequence of str
        Cells that may be chosen.
    fill : float
        Share of a buffer's drive that clusters fill on average.
    voltage_v : float, optional
        The library's own otherwise.

    Raises
    ------
    ValueError
        No buffer can drive even two sinks.
    """
    volt = library.voltage_v if voltage_v is None else voltage_v
    best: ClockTree | None = None
    for cell in buffers_of(library, usable):
        drive = fill * _drive(cell, slew_ns)
        pin = cell.pins[cell.inputs[0]]
        arcs = [arc for arc in cell.power if arc.pin == cell.outputs[0]]
        levels: list[int] = []
        count, each = sinks, sink_ff
        wire_um = pin_ff = energy = 0.0
        first = 0
        while not levels or levels[-1] > 1:
            span = TREE_LENGTH * sqrt(area_um2 / count)
            per_buffer = int(drive // (each + span * wire_ff_per_um)) if count > 1 else 1
            if per_buffer < 2 and count > 1:
                break
            first = first or per_buffer
            number = ceil(count / per_buffer)
            load = count / number * (each + span * wire_ff_per_um)
            wire_um += count * span
            pin_ff += count * each
            energy += 2 * number * sum(float(arc.energy(slew_ns, load)) for arc in arcs)
            levels.append(number)
            count, each = number, pin.capacitance_ff
        else:
            wire_ff = wire_um * wire_ff_per_um
            energy += (wire_ff + pin_ff) * volt * volt
            leakage = sum(levels) * _mean_leakage(cell)
            tree = ClockTree(
                buffer=cell.name, levels=tuple(levels), sinks=sinks, sinks_per_buffer=first, wire_um=wire_um,
                wire_ff=wire_ff, pin_ff=pin_ff, energy_fj=energy, leakage_nw=leakage,
                area_um2=sum(levels) * cell.area_um2,
            )  # fmt: skip
            if best is None or tree.energy_fj < best.energy_fj:
                best = tree
    if best is None:
        raise ValueError(f"no buffer of the library drives two clock pins of {sink_ff:g} fF within {slew_ns:g} ns")
    return best


def _mean_leakage(cell: PowerCell) -> float:
    if cell.default_leakage_nw is not None:
        return cell.default_leakage_nw
    return float(sum(np.mean([state.leakage_nw for state in states]) for states in cell.leakage))


# --- glitches ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Glitches:
    """Transitions with delays and without, of the same clocks.

    Attributes
    ----------
    delayed, settled : ndarray of int64, shape (rows,)
        Transitions over all sampled clocks, of nets that cells drive.
    clocks : int
    latest_ns : float
        Time of the last transition after the clock edge.
    """

    delayed: npt.NDArray[np.int64]
    settled: npt.NDArray[np.int64]
    clocks: int
    latest_ns: float


def glitches(
    simulator: GateSimulator, activity: Activity, timing: NetTiming, *, clocks: int = 24, scatter: float = 0.0,
    seed: int = 1,
) -> Glitches:  # fmt: skip
    """Replay some of the kept clocks with delays.

    Parameters
    ----------
    clocks : int
        Sample size; pairs are taken evenly from those kept.
    scatter : float
        Relative standard deviation of gate delays: shows how far the estimate hangs on exact delays.
    seed : int
        Of the scatter.
    """
    replay = DelaySimulator(simulator, timing, scatter=scatter, seed=seed)
    lanes = np.flatnonzero(to_lanes(activity.mask))
    chosen = lanes[np.linspace(0, len(lanes) - 1, min(clocks, len(lanes))).astype(int)]
    delayed, settled = np.zeros(simulator.rows, np.int64), np.zeros(simulator.rows, np.int64)
    latest = 0
    for lane in chosen:
        word, bit = divmod(int(lane), 64)
        before, after = (
            (states[:, word] >> np.uint64(bit) & np.uint64(1)).astype(np.bool_)
            for states in (activity.before, activity.after)
        )
        delayed += replay.replay(before, after) * replay.switching
        settled += (before != after) & replay.switching
        latest = max(latest, replay.last_ps)
    return Glitches(delayed=delayed, settled=settled, clocks=len(chosen), latest_ns=latest / 1000)


# --- summary ----------------------------------------------------------------------------------------------------------

KINDS = ("leakage", "internal", "clock_pins", "switching", "glitches")


@dataclass(frozen=True, kw_only=True)
class PowerSummary:
    """Power by stage and kind, in uW, with what it rests on.

    Attributes
    ----------
    stages : dict of str to dict of str to float
        For each stage the kinds `KINDS`; `clock_tree` stands apart.
    clock_tree_uw : float
    input_uw : float
        Switching of the nets at input ports, not in the total.
    period_ns : float
    annotated_percent : float
        Used nets that the recording names.
    trees : dict of str to ClockTree
        Modelled tree of each clock port that has none of its own.
    glitch_factor : float or None
        Transitions with delays over those without.
    uncertainty : list of dict
        Each modelling step with the total in uW at its low and high end.
    notes : tuple of str
        What the library or the model lacks.
    """

    stages: Mapping[str, Mapping[str, float]]
    clock_tree_uw: float
    input_uw: float
    period_ns: float
    annotated_percent: float
    trees: Mapping[str, ClockTree]
    glitch_factor: float | None
    uncertainty: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def kind(self, name: str) -> float:
        """One kind over all stages."""
        return sum(row[name] for row in self.stages.values())

    @property
    def total_uw(self) -> float:
        """Everything: all kinds and the clock tree."""
        return sum(self.kind(name) for name in KINDS) + self.clock_tree_uw

    @property
    def energy_pj(self) -> float:
        """Energy per clock: of one inference where one starts at each clock."""
        return self.total_uw * self.period_ns / 1000

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {
            "power_uw": {
                "total": self.total_uw,
                **{name: self.kind(name) for name in KINDS},
                "clock_tree": self.clock_tree_uw,
            },
            "energy_per_clock_pj": self.energy_pj,
            "period_ns": self.period_ns,
            "stages_uw": {name: dict(row) for name, row in self.stages.items()},
            "input_nets_uw": self.input_uw,
            "annotated_nets_percent": self.annotated_percent,
            "clock_trees": {clock: asdict(tree) for clock, tree in self.trees.items()},
            "glitch_factor": self.glitch_factor,
            "uncertainty": [dict(row) for row in self.uncertainty],
            "notes": list(self.notes),
        }


def summarise(
    simulator: GateSimulator,
    activity: Activity,
    timing: NetTiming,
    *,
    area_um2: float,
    wire_ff_per_um: float,
    usable: Sequence[str],
    tree_slew_ns: float,
    glitch_clocks: int = 0,
    wire_uncertainty: float = 0.2,
    wire_ff: npt.ArrayLike = 0.0,
    voltage_v: float | None = None,
) -> PowerSummary:
    """Power by stage and kind with uncertainties, clock tree and glitches.

    Parameters
    ----------
    area_um2 : float
        Core area, for the clock tree.
    wire_ff_per_um : float
        For the clock tree; 0 leaves its wires out.
    usable : sequence of str
        Cells that the clock tree may use.
    tree_slew_ns : float
        Transition time at clock pins.
    glitch_clocks : int
        Clocks replayed with delays; 0 leaves glitches out.
    wire_uncertainty : float
        Relative, of all wire capacitances.
    wire_ff : array_like, shape (nets,)
        Wire capacitance that `timing` holds, for its uncertainty.
    """
    netlist, library = simulator.netlist, simulator.library
    volt = library.voltage_v if voltage_v is None else voltage_v
    notes = list(library.gaps(list(netlist.groups)))
    trees: dict[str, ClockTree] = {}
    pulses_per_ns: dict[str, float] = {}
    tree_low = tree_high = 0.0
    for clock in simulator.clocks:
        net = int(netlist.ports[clock].nets[0])
        pins = sum(
            int((group.pin(pin) == net).sum())
            for group in netlist.groups.values()
            for pin in library[group.type].inputs
        )
        # a netlist with a tree of its own has few pins at the root
        if pins > 32:
            options = {
                "sinks": pins, "sink_ff": float(pin_loads(netlist, library)[net]) / pins, "area_um2": area_um2,
                "wire_ff_per_um": wire_ff_per_um, "usable": usable, "voltage_v": volt,
            }  # fmt: skip
            trees[clock] = tree = clock_tree(library, slew_ns=tree_slew_ns, **options)  # type: ignore[arg-type]
            pulses_per_ns[clock] = rate = float(activity.toggles_per_ns[net]) / 2
            least, most = _tree_spread(library, tree_slew_ns, tree, options)
            tree_low, tree_high = tree_low + least * rate, tree_high + most * rate
    power = cell_power(simulator, activity, timing, modelled_clocks=trees, voltage_v=volt)
    stage_of_net = np.where(power.driver >= 0, netlist.cell_stage[power.driver], -1)
    count = len(netlist.stages)

    def total(stage: npt.NDArray[np.int32], values: Floats) -> Floats:
        return np.asarray(np.bincount(stage, values, count), float)

    def by_stage(values: CellPower) -> dict[str, Floats]:
        driven = stage_of_net >= 0
        return {
            "leakage": total(netlist.cell_stage, values.leakage_nw / 1000),
            "internal": total(netlist.cell_stage, values.internal_uw),
            "clock_pins": total(netlist.cell_stage, values.clock_pin_uw),
            "switching": total(stage_of_net[driven], values.switching_uw[driven]),
        }

    rows = by_stage(power)
    rows["glitches"] = np.zeros(count)
    factor: float | None = None
    glitch_low = glitch_high = 0.0
    if glitch_clocks:
        estimates = []
        for scatter in (0.0, 0.15):
            found = glitches(simulator, activity, timing, clocks=glitch_clocks, scatter=scatter)
            settled, delayed = (
                by_stage(
                    cell_power(
                        simulator, activity, timing, modelled_clocks=trees, voltage_v=volt,
                        toggles_per_ns=transitions / found.clocks / activity.period_ns,
                    )
                )
                for transitions in (found.settled, found.delayed)
            )  # fmt: skip
            base = settled["internal"] + settled["switching"]
            more = delayed["internal"] + delayed["switching"]
            ratio = np.where(base > 0, more / np.maximum(base, 1e-30), 1.0)
            estimates.append((ratio - 1) * (rows["internal"] + rows["switching"]))
            if factor is None:
                settled_sum = int(found.settled.sum())
                factor = float(found.delayed.sum() / settled_sum) if settled_sum else 1.0
        rows["glitches"] = estimates[0]
        change = abs(float(estimates[1].sum() - estimates[0].sum()))
        glitch_low, glitch_high = -change, change
    else:
        notes.append("glitches are not estimated: zero-delay toggles only")
    if own := [clock for clock in simulator.clocks if clock not in trees]:
        notes.append(f"the tree of clock {', '.join(own)} is the netlist's own")
    stages = {
        name: {kind: float(rows[kind][index]) for kind in KINDS}
        for index, name in enumerate(netlist.stages)
        if any(rows[kind][index] for kind in KINDS)
    }
    tree_uw = sum(tree.energy_fj * pulses_per_ns[clock] + tree.leakage_nw / 1000 for clock, tree in trees.items())
    used = netlist.used_nets
    summary = PowerSummary(
        stages=stages, clock_tree_uw=tree_uw, input_uw=power.input_uw, period_ns=activity.period_ns,
        annotated_percent=100 * float(activity.annotated[used].mean()) if used.any() else 100.0, trees=trees,
        glitch_factor=factor, uncertainty=(), notes=tuple(notes),
    )  # fmt: skip
    whole = summary.total_uw
    rates = activity.toggles_per_ns[: netlist.nets]
    wires = np.broadcast_to(np.asarray(wire_ff, float), (netlist.nets,))
    wire_uw = float((0.5 * wires * volt**2 * rates)[power.driver >= 0].sum())
    if dynamic_uw := float(rows["internal"].sum() + rows["switching"].sum()):
        wire_uw *= 1 + float(rows["glitches"].sum()) / dynamic_uw  # glitches charge wires too
    statistics = 2 / sqrt(max(activity.clocks, 1))
    dynamic = float(rows["internal"].sum() + rows["switching"].sum())
    steps: list[dict[str, Any]] = [
        _step("stimulus statistics", whole, -statistics * dynamic, statistics * dynamic,
              f"2/sqrt({activity.clocks} clocks) of dynamic power: streams are independent"),
        _step("internal energy by cause", whole, power.low_uw - float(power.internal_uw.sum()),
              power.high_uw - float(power.internal_uw.sum()), "every output toggles by its cheapest or dearest arc"),
        _step("wire capacitance", whole, -wire_uncertainty * wire_uw, wire_uncertainty * wire_uw,
              f"+-{100 * wire_uncertainty:.0f} % on {wire_uw:.1f} uW of wires, glitches included"),
    ]  # fmt: skip
    if trees:
        steps.append(
            _step("clock tree", whole, tree_low, tree_high,
                  "no wires and full buffers; to 1.5 times the wire and buffers half full")
        )  # fmt: skip
    if glitch_clocks:
        steps.append(
            _step("glitches", whole, glitch_low, glitch_high, "gate delays scattered by 15 %")
        )  # fmt: skip
    if not activity.annotated[used].all():
        quiet = used & ~activity.annotated & (power.driver >= 0)
        share = float(power.switching_uw[quiet].sum())
        steps.append(
            _step("nets without annotation", whole, -share, share, "they idle, or toggle at twice the mean rate")
        )  # fmt: skip
    return PowerSummary(**{**vars(summary), "uncertainty": tuple(steps)})


def _step(name: str, total: float, low: float, high: float, how: str) -> dict[str, Any]:
    return {"step": name, "low_uw": total + min(low, 0.0), "high_uw": total + max(high, 0.0), "how": how}


def _tree_spread(
    library: PowerLibrary, slew_ns: float, tree: ClockTree, options: Mapping[str, Any]
) -> tuple[float, float]:
    """Energy per clock in fJ of a lean and a generous tree, less that of the tree."""
    lean = clock_tree(library, slew_ns=slew_ns, **{**options, "wire_ff_per_um": 0.0, "fill": 1.0})
    wide = clock_tree(
        library, slew_ns=slew_ns, **{**options, "wire_ff_per_um": 1.5 * options["wire_ff_per_um"], "fill": 0.5}
    )
    return lean.energy_fj - tree.energy_fj, wide.energy_fj - tree.energy_fj
