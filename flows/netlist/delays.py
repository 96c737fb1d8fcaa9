"""Loads, transition times and delays of a mapped netlist, and what glitches they make.

`propagate` walks the netlist once in topological order with the library's delay tables. `DelaySimulator` replays single
clocks with those delays, event by event, and counts every transition: set against the zero-delay count of the same
clocks this is the glitch factor of `flows.power.summary`. OpenSTA judges timing (`flows.physical.timing`); the delays
here serve power.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numba import njit

from flows.library.functions import evaluate, pins_of
from flows.library.liberty_file import read_liberty_file
from flows.library.power_library import PowerCell, PowerLibrary, Table, TimingArc
from flows.library.wires import WireUnit
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import CellGroup, Netlist, NetlistError

__all__ = [
    "MAX_PINS",
    "DelaySimulator",
    "NetTiming",
    "WireLoad",
    "arrivals",
    "elmore_ns",
    "estimated_wires",
    "fanouts",
    "net_loads",
    "pin_loads",
    "propagate",
    "wire_load",
    "wire_transition_ns",
]

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]

MAX_PINS = 1000
"""Nets of more pins get no wire: they are trees of buffers in any layout."""


def pin_loads(netlist: Netlist, library: PowerLibrary) -> Floats:
    """Capacitance of the input pins on each net in fF, shape (nets,)."""
    load = np.zeros(netlist.nets)
    for group in netlist.groups.values():
        cell = library[group.type]
        for pin in cell.inputs:
            nets = group.pin(pin)
            np.add.at(load, nets[nets >= 0], cell.pins[pin].capacitance_ff)
    return load


def net_loads(
    netlist: Netlist, library: PowerLibrary, *, wire_ff: npt.ArrayLike = 0.0, port_load_ff: float = 0.0
) -> Floats:
    """`pin_loads` with wires and what hangs on output ports, shape (nets,)."""
    load: Floats = pin_loads(netlist, library) + np.broadcast_to(np.asarray(wire_ff, float), (netlist.nets,))
    for port in netlist.ports.values():
        if port.direction != "input":
            np.add.at(load, port.nets, port_load_ff)
    return load


def fanouts(netlist: Netlist, library: PowerLibrary) -> npt.NDArray[np.int64]:
    """Input pins and output ports on each net, shape (nets,)."""
    count = np.zeros(netlist.nets, np.int64)
    for group in netlist.groups.values():
        for pin in library[group.type].inputs:
            nets = group.pin(pin)
            np.add.at(count, nets[nets >= 0], 1)
    for port in netlist.ports.values():
        if port.direction != "input":
            np.add.at(count, port.nets, 1)
    return count


@dataclass(frozen=True, kw_only=True)
class WireLoad:
    """A ``wire_load`` group of a library: an estimate of wires by fan-out, from before placement.

    Attributes
    ----------
    name : str
    capacitance_ff : float
        Per unit of length. What the library says; `flows.library.wires` knows better on many.
    lengths : dict of int to float
        Length by fan-out.
    slope : float
        Length per further fan-out.
    """

    name: str
    capacitance_ff: float
    lengths: Mapping[int, float]
    slope: float

    def of(self, fanout: npt.NDArray[np.int64]) -> Floats:
        """Length by fan-out; 0 where nothing is driven."""
        known = sorted(self.lengths)
        length = np.interp(fanout, known, [self.lengths[k] for k in known])
        length += self.slope * np.maximum(fanout - known[-1], 0)
        return np.where(fanout > 0, length, 0.0)


def wire_load(path: Path) -> WireLoad | None:
    """The default wire load of a Liberty file; None where it states none."""
    file = read_liberty_file(path)
    chosen = file.library.text("default_wire_load")
    for group in file.library.groups("wire_load"):
        if group.names[0] != chosen:
            continue
        capacitance = group.number("capacitance")
        lengths = {int(float(row.names[0])): float(row.names[1]) for row in group.groups("fanout_length")}
        if lengths and capacitance is not None:
            return WireLoad(
                name=chosen, capacitance_ff=capacitance * file.units.capacitance_ff, lengths=lengths,
                slope=group.number("slope") or 0.0,
            )  # fmt: skip
    return None


def estimated_wires(
    netlist: Netlist, library: PowerLibrary, estimate: WireLoad, unit: WireUnit
) -> tuple[Floats, Floats, str]:
    """Wires by fan-out, in fF and ohm, and where they come from; none on nets that get a tree of buffers.

    The lengths are the library's; so is the capacitance per length where its process is not known.
    """
    count = fanouts(netlist, library)
    um = estimate.of(count)
    um[count > MAX_PINS] = 0
    if unit.process:
        return um * unit.ff_per_um, um * unit.ohm_per_um, f"lengths of wire load {estimate.name}, {unit.text}"
    return um * estimate.capacitance_ff, np.zeros(netlist.nets), f"wire load {estimate.name} of the library"


@dataclass(frozen=True, kw_only=True, eq=False)
class NetTiming:
    """Loads and transition times.

    Attributes
    ----------
    load_ff : ndarray, shape (nets,)
        Pins and wire.
    wire_ns : ndarray, shape (nets,)
        Elmore delay of each net's wire.
    rise_ns, fall_ns : ndarray, shape (nets,)
        Longest transition times at the pins that a net drives, as static timing analysis takes them.
    delays : dict of (cell type, input pin, output pin) to ndarray, shape (cells of the type, 2)
        Delay in ns to a rising and to a falling output, and on to the pins that it drives; mean over the ``when``
        states of the library.
    """

    load_ff: Floats
    wire_ns: Floats
    rise_ns: Floats
    fall_ns: Floats
    delays: Mapping[tuple[str, str, str], Floats]

    @property
    def slew_ns(self) -> Floats:
        """Mean of rise and fall."""
        return (self.rise_ns + self.fall_ns) / 2


def propagate(
    netlist: Netlist,
    library: PowerLibrary,
    level: Ids,
    *,
    wire_ff: npt.ArrayLike = 0.0,
    wire_ohm: npt.ArrayLike = 0.0,
    port_load_ff: float = 0.0,
    input_slew_ns: float = 0.05,
    fixed_slew_ns: Mapping[int, float] | None = None,
) -> NetTiming:
    """Transition times and delays of every net.

    A cell sees the whole capacitance of its net. The wire after it delays by W. C. Elmore (The transient response of
    damped linear networks, J. Appl. Phys. 19, 1948), R (C / 2 + pins), as if all pins hung at its far end, and adds the
    transition time of that exponential to that of the cell, as squares (C. V. Kashyap et al., PERI, TAU 2002). Beyond
    the tables their border's slope goes on: nothing is held back at the library's ``max_transition``.

    Parameters
    ----------
    netlist, library
    level : ndarray of int32
        `flows.netlist.gate_simulation.topological_levels`.
    wire_ff : array_like, shape (nets,) or ()
        Wire capacitance of each net.
    wire_ohm : array_like, shape (nets,) or ()
        Resistance of each net's wire from its driver to its farthest pin.
    port_load_ff : float
        Load outside each output port.
    input_slew_ns : float
        Transition time at input ports.
    fixed_slew_ns : mapping of int to float
        Nets that a tree of buffers will drive (clock, reset): transition time that the tree delivers. Their own load
        shapes nothing.
    """
    load = net_loads(netlist, library, wire_ff=wire_ff, port_load_ff=port_load_ff)
    wire_ns = elmore_ns(load, wire_ff, wire_ohm)
    fixed = dict(fixed_slew_ns or {})
    held = np.array(sorted(fixed), np.int64)
    wire_ns[held] = 0  # a tree of buffers is no long wire
    spread_ns = wire_transition_ns(library, wire_ns)
    rise, fall = np.hypot(input_slew_ns, spread_ns), np.hypot(input_slew_ns, spread_ns)
    rise[held] = fall[held] = [fixed[int(net)] for net in held]
    hold = np.zeros(netlist.nets, np.bool_)
    hold[held] = True
    arcs_of = {name: _arcs_by_pair(library[name]) for name in netlist.groups}
    delays = {
        (name, *pair): np.zeros((len(netlist.groups[name].cells), 2)) for name, arcs in arcs_of.items() for pair in arcs
    }
    for group, part in _in_order(netlist, level):
        cell, arcs = library[group.type], arcs_of[group.type]
        for output in cell.outputs:
            nets = group.pin(output)[part]
            out_load = np.where(nets >= 0, load[nets], 0.0)
            out_wire = np.where(nets >= 0, wire_ns[nets], 0.0)
            worst = [np.zeros(len(part)), np.zeros(len(part))]
            for (related, pin), variants in arcs.items():
                if pin != output:
                    continue
                source = group.pin(related)[part]
                slews = (np.where(source >= 0, rise[source], input_slew_ns),
                         np.where(source >= 0, fall[source], input_slew_ns))  # fmt: skip
                found = delays[(group.type, related, pin)]
                for edge in (0, 1):
                    values = []
                    for arc in variants:
                        slew = _input_slew(arc, edge, slews)
                        delay, transition = arc.delay[edge], arc.transition[edge]
                        if delay is not None:
                            values.append(delay.at(slew, out_load))
                        if transition is not None:
                            np.maximum(worst[edge], _at(transition, slew, out_load), out=worst[edge])
                    if values:
                        found[part, edge] = np.maximum(np.mean(values, axis=0), 0.0) + out_wire
            free = (nets >= 0) & ~hold[nets]
            driven = nets[free]
            rise[driven], fall[driven] = (np.hypot(edge_ns[free], spread_ns[driven]) for edge_ns in worst)
    return NetTiming(load_ff=load, wire_ns=wire_ns, rise_ns=rise, fall_ns=fall, delays=delays)


def _in_order(netlist: Netlist, level: Ids) -> list[tuple[CellGroup, npt.NDArray[np.intp]]]:
    """Cells of one type and level, as places in their group, by ascending level."""
    work: list[tuple[int, CellGroup, npt.NDArray[np.intp]]] = []
    for group in netlist.groups.values():
        levels = level[group.cells]
        order = np.argsort(levels, kind="stable")
        bounds = np.flatnonzero(np.diff(levels[order])) + 1
        work += [(int(levels[part[0]]), group, part) for part in np.split(order, bounds) if len(part)]
    work.sort(key=lambda item: item[0])
    return [(group, part) for _, group, part in work]


def arrivals(simulator: GateSimulator, timing: NetTiming, opens_ns: float) -> Floats:
    """When each net has come to rest after the edge of its clock at the latest, in ns, shape (nets,).

    Input ports change at the edge, flip-flops after their delay; a latch that opens within the clock, `opens_ns` after
    its edge, lets through what came until then. Asynchronous inputs do not count.
    """
    netlist, library = simulator.netlist, simulator.library
    arrival = np.zeros(netlist.nets)
    low_latches = np.zeros(netlist.cells, np.bool_)
    low_latches[simulator.storage_cells[simulator.low_latches]] = True
    arcs: dict[str, list[tuple[str, str, Floats]]] = {name: [] for name in netlist.groups}
    for (name, related, pin), delay in timing.delays.items():
        arcs[name].append((related, pin, delay))
    for group, part in _in_order(netlist, simulator.level):
        storage = library[group.type].storage
        opens = np.where(low_latches[group.cells[part]], opens_ns, 0.0)
        clocked = set() if storage is None else set(pins_of(storage.clock))
        for related, pin, delay in arcs[group.type]:
            target, source = group.pin(pin)[part], group.pin(related)[part]
            start = opens if related in clocked else np.where(source >= 0, arrival[source], 0.0)
            reached = start + delay[part].max(1)
            driven = target >= 0
            np.maximum.at(arrival, target[driven], reached[driven])
    return arrival


def elmore_ns(load_ff: Floats, wire_ff: npt.ArrayLike, wire_ohm: npt.ArrayLike) -> Floats:
    """Elmore delay of each net's wire: its resistance times half its own capacitance and all that hangs on it."""
    ohm_ff = np.asarray(wire_ohm, float) * (load_ff - np.asarray(wire_ff, float) / 2)
    return np.broadcast_to(1e-6 * ohm_ff, load_ff.shape).copy()


def wire_transition_ns(library: PowerLibrary, elmore: npt.ArrayLike) -> Floats:
    """Transition time that a wire of this Elmore delay makes of a step, as the library measures it: that of an
    exponential."""
    low, high = library.slew_thresholds
    return np.asarray(elmore, float) * float(np.log((1 - low) / (1 - high)) / library.slew_derate)


def _at(table: Table, slew: Floats, load: Floats) -> Floats:
    return np.maximum(table.at(slew, load), 0.0)


def _arcs_by_pair(cell: PowerCell) -> dict[tuple[str, str], list[TimingArc]]:
    """Arcs that a transition of the output goes through, by (input, output)."""
    found: dict[tuple[str, str], list[TimingArc]] = {}
    for arc in cell.timing:
        if arc.kind in ("combinational", "combinational_rise", "combinational_fall", "rising_edge", "falling_edge"):
            found.setdefault((arc.related, arc.pin), []).append(arc)
    return found


def _input_slew(arc: TimingArc, edge: int, slews: tuple[Floats, Floats]) -> Floats:
    rise, fall = slews
    if arc.kind == "rising_edge":
        return rise
    if arc.kind == "falling_edge":
        return fall
    if arc.sense == "positive_unate":
        return slews[edge]
    if arc.sense == "negative_unate":
        return slews[1 - edge]
    return np.maximum(rise, fall)


@njit(cache=True)
def _replay(  # type: ignore[no-untyped-def]
    value, start_net, start_time, fan_start, fan_gate, fan_position, out, table, state, delay, opens, wheel, following,
    preceding, due, toggles, limit,
):  # fmt: skip
    """One clock from settled `value`: `start_net` flip at `start_time` (ps), then events until all is quiet.

    Inertial delay: a gate whose input change is undone before its output has moved does not move. No output moves
    before its gate `opens` (ps). Events wait in a circular wheel of one-picosecond slots, each a doubly linked list;
    every gate has at most one.
    Returns the time of the last event, or -1 beyond `limit`.
    """
    slots = len(wheel)
    gates = len(out)
    pending = 0
    for k in range(len(start_net)):
        gate = gates + k
        slot = start_time[k] % slots
        due[gate] = start_time[k]
        following[gate] = wheel[slot]
        preceding[gate] = -1
        if wheel[slot] >= 0:
            preceding[wheel[slot]] = gate
        wheel[slot] = gate
        pending += 1
    time = 0
    last = 0
    while pending > 0:
        slot = time % slots
        gate = wheel[slot]
        wheel[slot] = -1
        while gate >= 0:
            after = following[gate]
            due[gate] = -1
            pending -= 1
            net = start_net[gate - gates] if gate >= gates else out[gate]
            value[net] ^= 1
            toggles[net] += 1
            last = time
            for m in range(fan_start[net], fan_start[net + 1]):
                other = fan_gate[m]
                position = fan_position[m]
                state[other] ^= np.uint64(1) << np.uint64(position)
                new = (table[other] >> state[other]) & np.uint64(1)
                if new == np.uint64(value[out[other]]):
                    if due[other] >= 0:  # the change is undone: take the event back
                        earlier, later = preceding[other], following[other]
                        if earlier >= 0:
                            following[earlier] = later
                        else:
                            if wheel[due[other] % slots] == other:
                                wheel[due[other] % slots] = later
                        if later >= 0:
                            preceding[later] = earlier
                        if other == after:
                            after = later
                        due[other] = -1
                        pending -= 1
                elif due[other] < 0:
                    wait = delay[other, position, 0 if new else 1]
                    when = max(time + wait, opens[other])
                    due[other] = when
                    place = when % slots
                    first = wheel[place]
                    following[other] = first
                    preceding[other] = -1
                    if first >= 0:
                        preceding[first] = other
                    wheel[place] = other
                    pending += 1
            if after >= 0:
                preceding[after] = -1
            gate = after
        time += 1
        if time > limit:
            return -1
    return last


class DelaySimulator:
    """Replays clocks of a `GateSimulator` with the delays of `propagate`.

    Parameters
    ----------
    simulator : GateSimulator
    timing : NetTiming
    scatter : float
        Relative standard deviation of a random factor on each gate's delay: 0 is the library's own.
    seed : int
        Of the random factors.
    opens_ns : float
        From the edge of a clock to its fall, which opens latches (`GateSimulator.low_latches`).
    """

    def __init__(
        self,
        simulator: GateSimulator,
        timing: NetTiming,
        *,
        scatter: float = 0.0,
        seed: int = 1,
        opens_ns: float = 0.0,
    ) -> None:
        netlist, library = simulator.netlist, simulator.library
        self.simulator = simulator
        outs, tables, ins, waits, opening = [], [], [], [], []
        clock_to_output = np.zeros(simulator.rows)
        low_latches = np.zeros(netlist.cells, np.bool_)
        low_latches[simulator.storage_cells[simulator.low_latches]] = True
        reached = np.zeros(simulator.rows)
        reached[: netlist.nets] = arrivals(simulator, timing, opens_ns)
        started = []
        rng = np.random.default_rng(seed)
        for group in netlist.groups.values():
            cell, rows = library[group.type], simulator.pin_rows[group.type]
            for pin in cell.outputs:
                function = cell.pins[pin].function
                assert function is not None
                used = tuple(name for name in pins_of(function) if name in cell.pins)
                opens = np.zeros(len(group.cells))
                if cell.storage is not None and bool(low_latches[group.cells].all()):
                    # a latch that opens within the clock: a buffer whose output waits until then
                    data = cell.storage.data
                    function, used = data if function == cell.storage.state else ("!", data), pins_of(data)
                    opens += opens_ns
                    for related in pins_of(cell.storage.clock):
                        opens += timing.delays.get((group.type, related, pin), np.zeros((1, 2))).max(1)
                elif cell.storage is not None and len(used) != len(pins_of(function)):
                    started.append(rows[pin])
                    for (_, related, output), found in timing.delays.items():
                        if _ == group.type and output == pin and related in pins_of(cell.storage.clock):
                            clock_to_output[rows[pin]] = found.max(1)
                    if cell.storage.kind == "latch":
                        # open from the edge on: what it takes may come later than its clock
                        clock_to_output[rows[pin]] = np.maximum(clock_to_output[rows[pin]], reached[rows[pin]])
                    continue
                if len(used) > 6:
                    raise NetlistError(f"cell {group.type} has {len(used)} inputs in one function; at most 6")
                columns = {n: sum(1 << r for r in range(64) if r >> k & 1) for k, n in enumerate(used)}
                table = int(evaluate(function, columns, (1 << 64) - 1))
                count = len(group.cells)
                outs.append(rows[pin])
                tables.append(np.full(count, table, np.uint64))
                source = np.full((count, 6), -1, np.int32)
                wait = np.zeros((count, 6, 2))
                for k, name in enumerate(used):
                    source[:, k] = rows[name]
                    wait[:, k] = timing.delays.get((group.type, name, pin), np.zeros((count, 2)))
                factor = np.maximum(1 + scatter * rng.standard_normal((count, 1, 1)), 0.1)
                ins.append(source)
                waits.append(wait * factor)
                opening.append(opens)
        self._out = np.concatenate([np.zeros(0, np.int32), *outs])
        self._table = np.concatenate([np.zeros(0, np.uint64), *tables])
        self._in = np.concatenate([np.zeros((0, 6), np.int32), *ins])
        waited = np.concatenate([np.zeros((0, 6, 2)), *waits])
        self._delay = np.maximum(np.rint(waited * 1000), 1).astype(np.int32)
        self._clock_to_output_ps = np.rint(clock_to_output * 1000).astype(np.int64)
        gates, positions = np.nonzero(self._in >= 0)
        nets = self._in[gates, positions]
        order = np.argsort(nets, kind="stable")
        self._fan_gate, self._fan_position = gates[order].astype(np.int32), positions[order].astype(np.int32)
        self._fan_start = np.searchsorted(nets[order], np.arange(simulator.rows + 1)).astype(np.int64)
        self._opens_ps = np.rint(1000 * np.concatenate([np.zeros(0), *opening])).astype(np.int64)
        longest = max(int(self._delay.max(initial=1)), int(self._opens_ps.max(initial=0)))
        self._wheel = 1 << int(np.ceil(np.log2(longest + 2)))
        self._storage_rows = np.concatenate([np.zeros(0, np.int32), *started])
        self.switching = np.zeros(simulator.rows, np.bool_)
        self.switching[self._out] = self.switching[self._storage_rows] = True
        self.last_ps = 0

    def replay(self, before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Transitions of every row in one clock.

        Parameters
        ----------
        before, after : ndarray of bool, shape (rows,)
            Settled values (`GateSimulator.values` of one stream) of two consecutive clocks. Ports and flip-flop outputs
            take their new values from `after`: ports at 0, flip-flops after their delay from the clock.

        Returns
        -------
        ndarray of int64, shape (rows,)
            Transitions; `last_ps` holds the time of the last one.

        Raises
        ------
        NetlistError
            The logic does not come to rest, or rests elsewhere than the zero-delay simulation.
        """
        sim = self.simulator
        value = before.astype(np.uint8)
        ports = [p.nets for p in sim.netlist.ports.values() if p.direction == "input"]
        starts = np.unique(np.concatenate([*ports, self._storage_rows]))
        starts = starts[before[starts] != after[starts]]
        gates = len(self._out)
        bits = np.where(self._in >= 0, value[self._in], 0).astype(np.uint64)
        state = np.bitwise_or.reduce(bits << np.arange(6, dtype=np.uint64), axis=1)
        total = gates + len(starts)
        toggles = np.zeros(sim.rows, np.int64)
        times = self._clock_to_output_ps[starts]
        wheel = max(self._wheel, 1 << int(np.ceil(np.log2(int(times.max(initial=0)) + 2))))
        last = _replay(
            value, starts, times, self._fan_start, self._fan_gate, self._fan_position, self._out, self._table, state,
            self._delay, self._opens_ps, np.full(wheel, -1, np.int32), np.full(total, -1, np.int32),
            np.full(total, -1, np.int32), np.full(total, -1, np.int64), toggles, 10_000_000,
        )  # fmt: skip
        if last < 0:
            raise NetlistError("the logic does not come to rest within 10 us")
        self.last_ps = int(last)
        wrong = np.flatnonzero(value[self._out] != after[self._out])
        if len(wrong):
            net = int(self._out[wrong[0]])
            name = sim.netlist.net_names[net] if net < sim.netlist.nets else f"open output {net}"
            raise NetlistError(f"{len(wrong)} nets rest elsewhere than without delays, e.g. {name}")
        return toggles
