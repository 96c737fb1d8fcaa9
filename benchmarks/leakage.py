"""What smaller or less leaky cells could save on the chip of least energy: ``python -m benchmarks.leakage``.

A bound on leakage recovery. Takes the chip that ``liquidcal synth`` and ``place`` left below ``report/``. Each cell may
become any other with pins of the same names and the same functions, and becomes the one that leaks least:

* ``any``: whatever it drives;
* ``capacitance``: within the ``max_capacitance`` of its outputs, as loads are after all changes;
* ``transition``: within the transition time that the repair asks for, too, wires included.

Paths are not looked at: timing could only forbid some of it. Cells leak as the mean of their states does; with
``--seen`` the stimulus of `benchmarks.target` is simulated, and they leak as in the states that they are seen in, with
the energy of the changed netlist at the same activity, glitches by a replay. Writes
``benchmarks/results/leakage.json``.
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

from benchmarks.measured import RESULTS, Rows, kept
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
PER_PJ = 25e-6
"""pJ in 25 ns for each nW."""
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


Leaks = Callable[[CellGroup, Sequence[PowerCell]], list[Floats]]
"""Leakage in nW of each cell of a group as it would be with each of some types."""


def mean_leaks(group: CellGroup, cells: Sequence[PowerCell]) -> list[Floats]:
    """Each type's mean over its states, as the library gives it."""
    return [np.full(len(group.cells), cell.default_leakage_nw or 0.0) for cell in cells]


class Chooser:
    """Least leaky cells of a netlist.

    Parameters
    ----------
    netlist, library
    wires : Wires
    load_ff : float
        Outside each output port.
    usable : sequence of str
        Cells that may be chosen.
    leaks : callable
        `mean_leaks`, or by the states that cells are seen in.
    """

    def __init__(
        self, netlist: Netlist, library: PowerLibrary, wires: Wires, load_ff: float, usable: Sequence[str],
        leaks: Leaks = mean_leaks,
    ) -> None:  # fmt: skip
        self.netlist, self.library = netlist, library
        self.wires, self.load_ff = wires, load_ff
        self.kinds = families(self.library, usable)
        self.leaks: dict[str, tuple[list[str], Floats]] = {}
        for group in self.netlist.groups.values():
            names = self.kinds.get(group.type, [group.type])
            if len(names) > 1:
                self.leaks[group.type] = names, np.array(leaks(group, [self.library[name] for name in names]))

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


def bounds(chooser: Chooser, names: Sequence[str], stage: str, whole_pj: float, rows: Rows) -> dict[str, Bound]:
    """Bounds by name, and their rows."""
    texts = {
        "any": "whatever it drives", "capacitance": "within max_capacitance",
        "transition": "within max_capacitance and max_transition after the wire",
    }  # fmt: skip
    found = {}
    for name in names:
        bound = found[name] = getattr(chooser, name)()
        saved = (bound.before_nw - bound.after_nw) * PER_PJ
        text = f"{stage}, each cell the least leaky of its function, {texts[name]}"
        rows.add(f"changed__case:{stage}_{name}", bound.changed, "", f"cells that become others; {text}")
        rows.add(f"saved__case:{stage}_{name}", saved, "pJ", f"leakage that goes in 25 ns; {text}")
        rows.add(f"share__case:{stage}_{name}", 100 * saved / whole_pj, "%", f"the same, of all leakage; {text}")
        most = sorted(bound.by_type.items(), key=lambda item: -item[1])[:8]
        print(", ".join(f"{kind} {nw * PER_PJ:.3f} pJ" for kind, nw in most))
    return found


def leakage_pj(netlist: Netlist, library: PowerLibrary) -> float:
    """Leakage of all cells in 25 ns, each type at the mean of its states."""
    groups = netlist.groups.values()
    return sum(len(group.cells) * (library[group.type].default_leakage_nw or 0.0) for group in groups) * PER_PJ


def measure(mapped: Mapped, rows: Rows) -> None:
    """The netlist of synthesis, and as it is after placement and repair; types at the mean of their states."""
    usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
    for stage, netlist in (("synthesised", mapped.synthesised), ("repaired", mapped.netlist)):
        placed = stage == "repaired"
        if placed and mapped.placement is None:
            return
        nothing = np.zeros(netlist.nets)
        wires = mapped.wires() if placed else Wires(ff=nothing, ohm=nothing, ff_per_um=0, core_um2=0, source="none")
        chooser = Chooser(netlist, mapped.library, wires, mapped.cells.load_ff, usable)
        whole = leakage_pj(netlist, mapped.library)
        rows.add(f"leakage__case:{stage}_any", whole, "pJ", f"{stage}: leakage of {netlist.cells:,} cells in 25 ns")
        bounds(chooser, ("any", "capacitance", "transition") if placed else ("any",), stage, whole, rows)


def measure_seen(mapped: Mapped, run: Run, clocks: Sequence[str], rows: Rows) -> None:
    """The same by the states that cells are seen in, with all that it changes in energy."""
    usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
    simulator, activity = run.simulator, run.activity
    base = energy(mapped, run, simulator.netlist, clocks, ASKED.glitch_clocks)
    chooser = Chooser(
        simulator.netlist, mapped.library, mapped.wires(), mapped.cells.load_ff, usable,
        lambda group, cells: leakage_as(simulator, activity, group, cells),
    )  # fmt: skip
    how = f"{activity.source}; {run.compared:,} words equal the golden model's"
    whole = base.kind("leakage") * 1000 * PER_PJ
    rows.add("leakage__case:seen_any", whole, "pJ", f"seen: leakage of all cells; {how}")
    bound = bounds(chooser, ("any", "capacitance", "transition"), "seen", whole, rows)["transition"]
    found = energy(mapped, run, bound.netlist, clocks, ASKED.glitch_clocks)
    rows.add("energy__case:seen_any", base.energy_pj, "pJ", f"all kinds, as it is; {how}")
    rows.add("energy__case:seen_transition", found.energy_pj, "pJ", f"all kinds, after the changes; {how}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--seen", action="store_true", help="also by the states that cells are seen in: minutes")
    options = parser.parse_args()
    design = dict(CHIPS)["ours_isolated"]
    mapped = Mapped(folder=options.out / design.name)

    def stage(_name: str, _total: int | None = None) -> Any:
        return nullcontext(lambda _done: None)

    rows = Rows(COMMAND)
    measure(mapped, rows)
    if options.seen:
        measure_seen(mapped, simulate(mapped, design, ASKED, stage), clocks_of(mapped, design.internal_clocks), rows)
    names = {row.name for row in rows}
    path = RESULTS / "leakage.json"
    write_metrics(path, [*kept(path, lambda metric: metric.name in names), *rows])


if __name__ == "__main__":
    main()
