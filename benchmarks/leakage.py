"""What smaller or less leaky cells could save on the chip of least energy: ``python -m benchmarks.leakage``.

A bound on leakage recovery. Takes the placed and repaired chip that ``liquidcal synth`` and ``place`` left below
``report/``, with the stimulus of `benchmarks.target`. Each cell may become any other with pins of the same names and
the same functions, and becomes the one that leaks least in the states that it is seen in:

* ``any``: whatever it drives;
* ``capacitance``: within the ``max_capacitance`` of its outputs, as loads are after all changes;
* ``transition``: within the transition time that the repair asks for, too, wires included.

Paths are not looked at: timing could only forbid some of it. Energy is that of the changed netlist at the same
activity, glitches by a replay. Writes ``benchmarks/results/leakage.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measured import RESULTS, Rows
from benchmarks.target import CHIPS
from flows.common.metrics import write_metrics
from flows.library.functions import Expression, evaluate, pins_of
from flows.library.power_library import PowerCell, PowerLibrary
from flows.netlist.delays import elmore_ns, net_loads, wire_transition_ns
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import CellGroup, Netlist
from flows.netlist.view import Wires, prepare
from flows.physical.mapped import Mapped, clocks_of
from flows.physical.repair import Repair, largest_loads
from flows.power.activity import Activity
from flows.power.cell_power import leakage_as
from flows.power.encoder import simulate
from flows.power.run import PowerOptions, Run
from flows.power.summary import PowerSummary, summarise

Floats = npt.NDArray[np.float64]
Limits = Callable[[PowerCell, str, npt.NDArray[np.int64]], Floats]

COMMAND = "python -m benchmarks.leakage"
ASKED = PowerOptions(streams=64, crossings=12, glitch_clocks=12)
ROUNDS = 3
"""Smaller cells load what drives them less, which may then be smaller itself."""


def function_key(expression: Expression | None, inputs: Sequence[str]) -> Any:
    """What two spellings of one function have in common."""
    if expression is None or len(inputs) > 8 or not set(pins_of(expression)) <= set(inputs):
        return repr(expression)
    rows = 1 << len(inputs)
    values = {name: sum(1 << row for row in range(rows) if row >> k & 1) for k, name in enumerate(inputs)}
    return evaluate(expression, values, (1 << rows) - 1)


def families(library: PowerLibrary, usable: Sequence[str]) -> dict[str, list[str]]:
    """For each cell those that may take its place, itself among them."""
    found: dict[Any, list[str]] = {}
    for name in usable:
        cell = library[name]
        inputs = sorted(cell.inputs)
        outputs = tuple((pin, function_key(cell.pins[pin].function, inputs)) for pin in sorted(cell.outputs))
        if outputs:
            found.setdefault((tuple(inputs), outputs, repr(cell.storage)), []).append(name)
    return {name: names for names in found.values() for name in names}


@dataclass(frozen=True, kw_only=True, eq=False)
class Bound:
    """A netlist of the least leaky cells within some limits.

    Attributes
    ----------
    netlist : Netlist
    changed : int
        Cells of another type than before.
    before_nw, after_nw : float
        Leakage of all cells that have a choice.
    by_type : dict of str to float
        What was saved in nW, by the type before.
    """

    netlist: Netlist
    changed: int
    before_nw: float
    after_nw: float
    by_type: Mapping[str, float]


class Chooser:
    """Least leaky cells of a placed netlist."""

    def __init__(
        self, simulator: GateSimulator, activity: Activity, wires: Wires, load_ff: float, usable: Sequence[str]
    ) -> None:
        self.netlist, self.library = simulator.netlist, simulator.library
        self.wires, self.load_ff = wires, load_ff
        self.kinds = families(self.library, usable)
        self.leaks: dict[str, tuple[list[str], Floats]] = {}
        for group in self.netlist.groups.values():
            names = self.kinds.get(group.type, [group.type])
            if len(names) > 1:
                found = leakage_as(simulator, activity, group, [self.library[name] for name in names])
                self.leaks[group.type] = names, np.array(found)

    def any(self) -> Bound:
        """Whatever cells drive."""
        return self._bound(lambda _cell, _pin, nets: np.full(len(nets), np.inf), 1)

    def capacitance(self) -> Bound:
        """Within largest loads."""

        def limits(cell: PowerCell, pin: str, nets: npt.NDArray[np.int64]) -> Floats:
            most = cell.pins[pin].max_capacitance_ff
            return np.full(len(nets), np.inf if most is None else most)

        return self._bound(limits, ROUNDS)

    def transition(self) -> Bound:
        """Within largest loads and transition times."""

        def limits(cell: PowerCell, pin: str, nets: npt.NDArray[np.int64]) -> Floats:
            return largest_loads(cell, pin, self.library.max_transition_ns, self._wire_ns[nets])

        return self._bound(limits, ROUNDS)

    def _bound(self, limits: Limits, rounds: int) -> Bound:
        netlist = self.netlist
        chosen: dict[str, npt.NDArray[np.int64]] = {}
        for _ in range(rounds):
            self._load = net_loads(netlist, self.library, wire_ff=self.wires.ff, port_load_ff=self.load_ff)
            elmore = elmore_ns(self._load, self.wires.ff, self.wires.ohm)
            self._wire_ns = wire_transition_ns(self.library, elmore)
            chosen = {kind: self._choose(self.netlist.groups[kind], limits) for kind in self.leaks}
            resized = [
                (int(cell), names[k])
                for kind, (names, _) in self.leaks.items()
                for cell, k in zip(self.netlist.groups[kind].cells, chosen[kind], strict=True)
                if names[k] != kind
            ]
            netlist = Repair(cells=self.netlist.cells, nets=self.netlist.nets, resized=tuple(resized)).apply(
                self.netlist, self.library
            )
        saved = {}
        before = after = 0.0
        for kind, (names, leaks) in self.leaks.items():
            own = leaks[names.index(kind)]
            new = leaks[chosen[kind], np.arange(leaks.shape[1])]
            saved[kind] = float((own - new).sum())
            before, after = before + float(own.sum()), after + float(new.sum())
        return Bound(netlist=netlist, changed=len(resized), before_nw=before, after_nw=after, by_type=saved)

    def _choose(self, group: CellGroup, limits: Limits) -> npt.NDArray[np.int64]:
        """For each cell of a type the number of the one that leaks least; its own where none fits."""
        names, leaks = self.leaks[group.type]
        cost = leaks.copy()
        for row, name in enumerate(names):
            if name == group.type:
                continue
            for pin in self.library[name].outputs:
                nets = group.pin(pin)
                driven = np.flatnonzero(nets >= 0)
                slow = self._load[nets[driven]] > limits(self.library[name], pin, nets[driven])
                cost[row, driven[slow]] = np.inf
        return np.asarray(cost.argmin(0), np.int64)


def moved(activity: Activity, before: GateSimulator, after: GateSimulator) -> Activity:
    """An activity by the rows of another simulator, whose netlist has the same cells and nets."""
    nets, cells = before.netlist.nets, before.netlist.cells
    source = np.zeros(after.rows, np.int64)
    source[:nets] = np.arange(nets)
    rows: dict[str, npt.NDArray[np.int64]] = {}
    for group in before.netlist.groups.values():
        for pin, at in before.pin_rows[group.type].items():
            rows.setdefault(pin, np.zeros(cells, np.int64))[group.cells] = at
    for group in after.netlist.groups.values():
        for pin, at in after.pin_rows[group.type].items():
            opened = at >= nets
            source[at[opened]] = rows[pin][group.cells[opened]]
    state = np.zeros(cells, np.int64)
    state[before.storage_cells] = before.state_rows
    source[after.state_rows] = state[after.storage_cells]
    return replace(
        activity, toggles_per_ns=activity.toggles_per_ns[source], duty=activity.duty[source],
        before=activity.before[source], after=activity.after[source],
    )  # fmt: skip


def energy(mapped: Mapped, run: Run, netlist: Netlist, clocks: Sequence[str], glitch_clocks: int) -> PowerSummary:
    """Energy of a netlist of the same cells and nets, at the same activity."""
    simulator, activity = run.simulator, run.activity
    if netlist is not simulator.netlist:
        simulator = GateSimulator(netlist, mapped.library, words=simulator.words, clock=clocks)
        activity = moved(activity, run.simulator, simulator)
    view = prepare(
        netlist, mapped.library, simulator.level, mapped.wires(), trees=(*clocks, "rst"),
        port_load_ff=mapped.cells.load_ff,
    )  # fmt: skip
    usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
    return summarise(simulator, activity, view, usable=usable, glitch_clocks=glitch_clocks)


def measure(mapped: Mapped, run: Run, clocks: Sequence[str], rows: Rows) -> None:
    """All bounds of a simulated chip."""
    usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
    chooser = Chooser(run.simulator, run.activity, mapped.wires(), mapped.cells.load_ff, usable)
    base = energy(mapped, run, run.simulator.netlist, clocks, ASKED.glitch_clocks)
    per_pj = base.period_ns / 1000
    how = f"{run.activity.source}; {run.compared:,} words equal the golden model's"
    rows.add("leakage__case:now", base.kind("leakage") * per_pj, "pJ", f"leakage of all cells; {how}")
    rows.add("energy__case:now", base.energy_pj, "pJ", f"all kinds, leakage included; {how}")
    netlist = run.simulator.netlist
    alone = sum(len(group.cells) for group in netlist.groups.values() if group.type not in chooser.leaks)
    rows.add("only__case:now", 100 * alone / netlist.cells, "%", "cells without another of their function")
    for name in ("any", "capacitance", "transition"):
        bound: Bound = getattr(chooser, name)()
        text = {
            "any": "whatever it drives", "capacitance": "within max_capacitance",
            "transition": "within max_capacitance and max_transition after the wire",
        }[name]  # fmt: skip
        saved = (bound.before_nw - bound.after_nw) * 1e-3 * per_pj
        rows.add(f"changed__case:{name}", bound.changed, "", f"cells that become others, each {text}")
        rows.add(f"leakage__case:{name}", base.kind("leakage") * per_pj - saved, "pJ", f"least leaky cells, {text}")
        most = sorted(bound.by_type.items(), key=lambda item: -item[1])[:8]
        print(", ".join(f"{kind} {nw * 1e-3 * per_pj:.3f} pJ" for kind, nw in most))
        if name != "transition":
            continue
        found = energy(mapped, run, bound.netlist, clocks, ASKED.glitch_clocks)
        rows.add(f"energy__case:{name}", found.energy_pj, "pJ", f"all kinds, leakage included, {text}")
        for kind in ("leakage", "internal", "clock_pins", "switching", "glitches"):
            change = (found.kind(kind) - base.kind(kind)) * per_pj
            rows.add(f"change__kind:{kind}__case:{name}", change, "pJ", f"change in {kind.replace('_', ' ')}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()
    design = dict(CHIPS)["ours_isolated"]
    mapped = Mapped(folder=options.out / design.name)

    def stage(_name: str, _total: int | None = None) -> Any:
        return nullcontext(lambda _done: None)

    rows = Rows(COMMAND)
    measure(mapped, simulate(mapped, design, ASKED, stage), clocks_of(mapped, design.internal_clocks), rows)
    write_metrics(RESULTS / "leakage.json", rows)


if __name__ == "__main__":
    main()
