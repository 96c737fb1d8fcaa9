"""Power of a mapped netlist from its activity: leakage, internal, switching, clock tree, glitches.

Every term is explicit, so that it can be checked by hand (tests/flows/power/test_power.py does):

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

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.netlist.delays import NetTiming, pin_loads
from flows.netlist.gate_simulation import GateSimulator
from flows.power.activity import Activity
from flows.power.cell_power import CellPower, Floats, cell_power
from flows.power.clock_tree import ClockTree, clock_tree, tree_spread
from flows.power.glitches import glitches

__all__ = ["PowerSummary", "summarise"]


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
            least, most = tree_spread(library, tree_slew_ns, tree, options)
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
