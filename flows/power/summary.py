"""Power of a mapped netlist from its activity: leakage, internal, switching, clock tree, glitches.

Every term is explicit, so that it can be checked by hand (tests/flows/power/test_power.py does):

* **switching** of a net: 1/2 C V^2 for each toggle, C being the wire and the mean of rise and fall pin capacitance.
* **internal**: (rise + fall) / 2 of the Liberty energy at the cell's own transition time and load, for each toggle.
  Energies of an output are shared among its related pins by how often each caused a toggle in the kept pairs of
  states; energies of an input pin count for each of its toggles in the states of their ``when``.
* **leakage** weighted by the share of time in each ``when`` state; states that no group names take the group without
  ``when``, else the cell's default.
* **clock tree**: a netlist before layout has none, so one is built for each clock: buffers of the library, clusters
  filled until the transition time is met, wires as spanning trees over the core's area. After a clock gate a net is
  one like any other, with the pulses that came through.
* **glitches**: transitions of a replay with delays over those without, on a sample of clocks, by stage.

fJ per toggle times toggles per ns is uW.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.library.power_library import PowerLibrary
from flows.netlist.delays import arrivals
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import Netlist
from flows.netlist.view import NetlistView
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
    view: NetlistView,
    *,
    usable: Sequence[str],
    glitch_clocks: int = 0,
    wire_uncertainty: float = 0.2,
    voltage_v: float | None = None,
) -> PowerSummary:
    """Power by stage and kind with uncertainties, clock tree and glitches.

    Parameters
    ----------
    simulator : GateSimulator
    activity : Activity
        With rows as the simulator has.
    view : NetlistView
        Of the same netlist.
    usable : sequence of str
        Cells that the clock tree may use.
    glitch_clocks : int
        Clocks replayed with delays; 0 leaves glitches out.
    wire_uncertainty : float
        Relative, of all wire capacitances.
    voltage_v : float, optional
        Supply; the library's own otherwise.
    """
    netlist, library = simulator.netlist, simulator.library
    volt = library.voltage_v if voltage_v is None else voltage_v
    trees = _modelled_trees(simulator, activity, view, usable, volt)
    arrival = arrivals(simulator, view.timing, activity.opens_ns)
    power = cell_power(
        simulator, activity, view.timing, modelled_clocks=trees.trees, voltage_v=volt, arrival_ns=arrival
    )
    rows = _by_stage(netlist, power)
    glitch = _Glitches(np.zeros(len(netlist.stages)), None, 0.0)
    notes = [*activity.notes, *library.gaps(list(netlist.groups)), *_slow_nets(netlist, library, view)]
    if glitch_clocks:
        glitch = _glitches_by_stage(
            simulator,
            activity,
            view,
            rows,
            clocks=glitch_clocks,
            modelled=list(trees.trees),
            volt=volt,
            arrival=arrival,
        )
    else:
        notes.append("glitches are not estimated: zero-delay toggles only")
    rows["glitches"] = glitch.uw
    if own := [clock for clock in simulator.clocks if clock not in trees.trees]:
        notes.append(f"the tree of clock {', '.join(own)} is the netlist's own")
    used = netlist.used_nets
    summary = PowerSummary(
        stages={
            name: {kind: float(rows[kind][index]) for kind in KINDS}
            for index, name in enumerate(netlist.stages)
            if any(rows[kind][index] for kind in KINDS)
        },
        clock_tree_uw=trees.uw, input_uw=power.input_uw, period_ns=activity.period_ns,
        annotated_percent=100 * float(activity.annotated[used].mean()) if used.any() else 100.0, trees=trees.trees,
        glitch_factor=glitch.factor, uncertainty=(), notes=tuple(notes),
    )  # fmt: skip
    dynamic_uw = float(rows["internal"].sum() + rows["switching"].sum())
    wire_uw = float((0.5 * view.wires.ff * volt**2 * activity.toggles_per_ns[: netlist.nets])[power.driver >= 0].sum())
    if dynamic_uw:
        wire_uw *= 1 + float(rows["glitches"].sum()) / dynamic_uw  # glitches charge wires too
    steps = [
        *_stimulus_steps(summary.total_uw, activity, power, dynamic_uw),
        _step("wire capacitance", summary.total_uw, -wire_uncertainty * wire_uw, wire_uncertainty * wire_uw,
              f"+-{100 * wire_uncertainty:.0f} % on {wire_uw:.1f} uW of wires, glitches included"),
    ]  # fmt: skip
    if trees.trees:
        steps.append(
            _step("clock tree", summary.total_uw, trees.low_uw, trees.high_uw,
                  "no wires and full buffers; to 1.5 times the wire and buffers half full")
        )  # fmt: skip
    if glitch_clocks:
        steps.append(
            _step("glitches", summary.total_uw, -glitch.spread_uw, glitch.spread_uw, "gate delays scattered by 15 %")
        )  # fmt: skip
    if not activity.annotated[used].all():
        quiet = used & ~activity.annotated & (power.driver >= 0)
        share = float(power.switching_uw[quiet].sum())
        steps.append(
            _step("nets without annotation", summary.total_uw, -share, share,
                  "they idle, or toggle at twice the mean rate")
        )  # fmt: skip
    return replace(summary, uncertainty=tuple(steps))


# --- phases of a summary ----------------------------------------------------------------------------------------------


def _slow_nets(netlist: Netlist, library: PowerLibrary, view: NetlistView) -> list[str]:
    """How many nets are slower than the library allows: there its tables are extrapolated."""
    most = library.max_transition_ns
    if most is None:
        return []
    slew = view.timing.slew_ns[netlist.used_nets]
    slow = int((slew > most).sum())
    text = (
        f"{slow:,} of {len(slew):,} nets are slower than the library's largest transition time of {most:g} ns (the "
        f"slowest {slew.max():.3g} ns): its tables are extrapolated there, repair after placement would mend them"
    )
    return [text] if slow else []


@dataclass(frozen=True)
class _Trees:
    """Modelled clock trees, their power, and how far it goes down and up."""

    trees: dict[str, ClockTree]
    uw: float
    low_uw: float
    high_uw: float


def _modelled_trees(
    simulator: GateSimulator, activity: Activity, view: NetlistView, usable: Sequence[str], volt: float
) -> _Trees:
    """A tree for each clock that has none of its own: few pins hang on the root of a tree."""
    netlist, library = simulator.netlist, simulator.library
    trees: dict[str, ClockTree] = {}
    total_uw = low_uw = high_uw = 0.0
    for clock in simulator.clocks:
        net = int(netlist.ports[clock].nets[0])
        pins = sum(
            int((group.pin(pin) == net).sum())
            for group in netlist.groups.values()
            for pin in library[group.type].inputs
        )
        if pins <= 32:
            continue
        options = {
            "sinks": pins, "sink_ff": float(view.pin_ff[net]) / pins, "area_um2": view.wires.core_um2,
            "wire_ff_per_um": view.wires.ff_per_um, "usable": usable, "voltage_v": volt,
        }  # fmt: skip
        trees[clock] = tree = clock_tree(library, slew_ns=view.tree_slew_ns, **options)  # type: ignore[arg-type]
        pulses_per_ns = float(activity.toggles_per_ns[net]) / 2
        total_uw += tree.energy_fj * pulses_per_ns + tree.leakage_nw / 1000
        least, most = tree_spread(library, view.tree_slew_ns, tree, options)
        low_uw, high_uw = low_uw + least * pulses_per_ns, high_uw + most * pulses_per_ns
    return _Trees(trees, total_uw, low_uw, high_uw)


def _by_stage(netlist: Netlist, power: CellPower) -> dict[str, Floats]:
    """The kinds of power of a netlist's cells, each by stage."""
    stage_of_net = np.where(power.driver >= 0, netlist.cell_stage[power.driver], -1)
    driven = stage_of_net >= 0

    def total(stage: npt.NDArray[np.int32], values: Floats) -> Floats:
        return np.asarray(np.bincount(stage, values, len(netlist.stages)), float)

    return {
        "leakage": total(netlist.cell_stage, power.leakage_nw / 1000),
        "internal": total(netlist.cell_stage, power.internal_uw),
        "clock_pins": total(netlist.cell_stage, power.clock_pin_uw),
        "switching": total(stage_of_net[driven], power.switching_uw[driven]),
    }


@dataclass(frozen=True)
class _Glitches:
    """Power of glitches by stage, transitions with delays over those without, and what scattered delays change."""

    uw: Floats
    factor: float | None
    spread_uw: float


def _glitches_by_stage(
    simulator: GateSimulator, activity: Activity, view: NetlistView, rows: Mapping[str, Floats], *, clocks: int,
    modelled: Sequence[str], volt: float, arrival: Floats,
) -> _Glitches:  # fmt: skip
    """The same clocks with delays and without; once more with scattered delays."""

    def replayed(scatter: float) -> tuple[Floats, float]:
        found = glitches(simulator, activity, view.timing, clocks=clocks, scatter=scatter)
        settled, delayed = (
            _by_stage(
                simulator.netlist,
                cell_power(
                    simulator, activity, view.timing, modelled_clocks=modelled, voltage_v=volt,
                    toggles_per_ns=transitions / found.clocks / activity.period_ns, arrival_ns=arrival,
                ),
            )
            for transitions in (found.settled, found.delayed)
        )  # fmt: skip
        base = settled["internal"] + settled["switching"]
        more = delayed["internal"] + delayed["switching"]
        ratio = np.where(base > 0, more / np.maximum(base, 1e-30), 1.0)
        settled_sum = int(found.settled.sum())
        factor = float(found.delayed.sum() / settled_sum) if settled_sum else 1.0
        return (ratio - 1) * (rows["internal"] + rows["switching"]), factor

    uw, factor = replayed(0.0)
    scattered, _ = replayed(0.15)
    return _Glitches(uw, factor, abs(float(scattered.sum() - uw.sum())))


def _stimulus_steps(total_uw: float, activity: Activity, power: CellPower, dynamic_uw: float) -> list[dict[str, Any]]:
    """What a stimulus of finite length, and the unknown causes of its toggles, leave open."""
    # logic without a clock: periods of the one that was asked for
    clocks = activity.clocks or max(round(activity.duration_ns / activity.period_ns), 1)
    statistics = min(2 / sqrt(clocks), 1.0)
    internal_uw = float(power.internal_uw.sum())
    return [
        _step("stimulus statistics", total_uw, -statistics * dynamic_uw, statistics * dynamic_uw,
              f"2/sqrt({clocks:,} clocks) of dynamic power: streams are independent"),
        _step("internal energy by cause", total_uw, power.low_uw - internal_uw, power.high_uw - internal_uw,
              "every output toggles by its cheapest or dearest arc"),
    ]  # fmt: skip


def _step(name: str, total: float, low: float, high: float, how: str) -> dict[str, Any]:
    return {"step": name, "low_uw": total + min(low, 0.0), "high_uw": total + max(high, 0.0), "how": how}
