"""Placement, timing and power of a synthesised design: steps on its folder of results, each with metrics.

``report/NAME/synthesis`` -> ``placement`` -> ``timing``, ``power``. Every step reads what the one before it left,
checks that it belongs to the same netlist, and appears complete or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.activity import Activity
from flows.cells import CellLibrary, LibraryError, cell_library
from flows.crossbar_activity import crossbar_activity, load_settings, recorded_stimulus
from flows.delays import WireLoad, fanouts, propagate, wire_load
from flows.designs import INTERNAL_CLOCK, Spec
from flows.encoder_activity import encoder_activity, load_registers, shower_stimulus
from flows.folder import fresh_folder
from flows.gate_simulation import GateSimulator, topological_levels
from flows.lef import Lef, read_lef
from flows.liberty import PowerLibrary, read_power_library
from flows.metrics import Metric, now, package_version, write_metrics
from flows.netlist import Netlist, netlist_from_json
from flows.pdks import FAMILIES, corner_files
from flows.place import MAX_PINS, Congestion, Placement, congestion, draw, legalise, place
from flows.power import PowerSummary, summarise
from flows.repair import Repair, load_repairs, overloaded, plan, repaired, save_repairs
from flows.timing import ClockPlan, TimingReport, analyse, sta_version
from sim.hgcal_encoder.decoder import TrainedModel
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "Mapped",
    "clocks_of",
    "default_tree_slew_ns",
    "measure_placement",
    "measure_power",
    "measure_timing",
    "wire_ff_per_um",
]

Floats = npt.NDArray[np.float64]

PERIOD_NS = 25.0
"""Clock of the detector: 40 MHz."""
STATIC_STAGES = ("registers", "registers_0", "registers_1", "registers_2", "shadow")
"""Children of the top module whose registers are written before data flows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapped:
    """A synthesised design, read once.

    Attributes
    ----------
    folder : Path
        Folder of results; ``synthesis`` below it.
    """

    folder: Path

    @cached_property
    def _tables(self) -> dict[str, Any]:
        path = self.folder / "synthesis" / "modules.json"
        if not path.is_file():
            raise FileNotFoundError(f"{self.folder} holds no synthesis: run `liquidcal synth` first")
        tables: dict[str, Any] = json.loads(path.read_text())
        return tables

    @cached_property
    def cells(self) -> CellLibrary:
        """The library that the netlist is mapped to.

        Raises
        ------
        ValueError
            The library at hand is another version.
        """
        cells = cell_library(self._tables["library"])
        if cells.sha256 != self._tables["library_sha256"]:
            raise ValueError(f"{self.folder} was mapped to another version of {cells.name}: synthesise again")
        return cells

    @cached_property
    def library(self) -> PowerLibrary:
        """Its tables."""
        return read_power_library(self.cells.liberty)

    @cached_property
    def lef(self) -> Lef:
        """Its LEF files."""
        if not self.cells.lef:
            raise ValueError(f"library {self.cells.name} has no LEF files: nothing can be placed")
        return read_lef(self.cells.lef)

    @cached_property
    def netlist_sha256(self) -> str:
        """Hash of the netlist file."""
        return hashlib.sha256((self.folder / "synthesis" / "netlist.json").read_bytes()).hexdigest()

    @cached_property
    def synthesised(self) -> Netlist:
        """The netlist of synthesis, flat."""
        top = self._tables["top"]
        return netlist_from_json(json.loads((self.folder / "synthesis" / "netlist.json").read_text()), top=top)

    @cached_property
    def netlist(self) -> Netlist:
        """The same behind placement: with larger cells and buffers, if they were repaired there."""
        path = self.folder / "placement" / "repair.json"
        if not path.is_file() or not self._placed:
            return self.synthesised
        return repaired(self.synthesised, self.library, load_repairs(path))

    @cached_property
    def cell_area_um2(self) -> float:
        """Sum of cell areas."""
        return cell_area_um2(self.netlist, self.cells)

    def corner(self, name: str) -> tuple[Path, ...] | None:
        """Liberty files of the library's ``slow`` or ``fast`` corner; None where it has none here."""
        kit = self.cells.name.partition(":")[0]
        if kit not in FAMILIES:
            return None
        try:
            return corner_files(kit, name)
        except LibraryError:
            return None

    @property
    def _placed(self) -> bool:
        """Whether there is a placement, and of this very synthesis."""
        path = self.folder / "placement"
        if not (path / "placement.npz").is_file():
            return False
        told = json.loads((path / "placement.json").read_text())
        return bool(told["netlist_sha256"] == self.netlist_sha256)

    def placement(self) -> Placement | None:
        """The placement of this very netlist, if there is one."""
        return Placement.load(self.folder / "placement" / "placement.npz") if self._placed else None

    def wires(self) -> tuple[Floats, float, float, str]:
        """Wire capacitance of each net in fF, per micrometre, core area, and where they come from."""
        per_um, source = wire_ff_per_um(self.cells, self.lef)
        placed = self.placement()
        if placed is not None:
            return placed.wire_ff(per_um), per_um, placed.area_um2, f"placement, {per_um:.3g} fF/um ({source})"
        estimate = wire_load(self.cells.liberty[0])
        if estimate is None:
            return np.zeros(self.netlist.nets), per_um, self.cell_area_um2 / 0.7, "none: no placement, no wire load"
        return (
            estimated_wires(self.netlist, self.library, estimate), per_um, self.cell_area_um2 / 0.7,
            f"wire load {estimate.name} of the library: no placement of this netlist",
        )  # fmt: skip


def cell_area_um2(netlist: Netlist, cells: CellLibrary) -> float:
    """Sum of cell areas."""
    return sum(cells.area_um2(group.type) * len(group.cells) for group in netlist.groups.values())


def estimated_wires(netlist: Netlist, library: PowerLibrary, estimate: WireLoad) -> Floats:
    """Wires by fan-out; none on nets that get a tree of buffers."""
    count = fanouts(netlist, library)
    wires = estimate.of(count)
    wires[count > MAX_PINS] = 0
    return wires


def wire_ff_per_um(cells: CellLibrary, lef: Lef | None) -> tuple[float, str]:
    """Wire capacitance per micrometre and its source.

    The library's wire load holds it where there is one (neighbours included, as extracted); LEF layers give the
    capacitance to ground alone; 0.2 fF/um is what minimum-pitch wires have in any node.
    """
    estimate = wire_load(cells.liberty[0])
    if estimate is not None:
        return estimate.capacitance_ff, f"wire load {estimate.name}"
    known = [layer.ff_per_um for layer in (lef.layers[1:5] if lef is not None else ()) if layer.ff_per_um is not None]
    if known:
        return float(np.mean(known)), "LEF, to ground, metals 2 to 5"
    return 0.2, "assumed"


def default_tree_slew_ns(library: PowerLibrary) -> float:
    """Transition time that the clock tree delivers: half the library's limit, else 0.25 ns."""
    return 0.25 if library.max_transition_ns is None else library.max_transition_ns / 2


def _metric(mapped: Mapped, tool: str, version: str, command: str) -> Callable[..., Metric]:
    date = now()

    def metric(name: str, value: int | float | str, unit: str, method: str) -> Metric:
        return Metric(
            name=name, value=value, unit=unit, tool=tool, tool_version=version, library=mapped.cells.name,
            library_sha256=mapped.cells.sha256, method=method, command=command, date=date,
        )  # fmt: skip

    return metric


REPAIR_ROUNDS = 4
"""At most; the last ones mend a handful of nets."""


def measure_placement(
    mapped: Mapped,
    *,
    utilisation: float = 0.7,
    aspect: float = 1.0,
    effort: int = 1,
    spread: bool = False,
    repair: bool = False,
    timeout_s: float = 3600.0,
    command: str = "",
) -> tuple[Placement, Congestion, tuple[Metric, ...]]:
    """Place the netlist of synthesis and leave ``placement/``: positions, picture, metrics.

    With `repair` cells get the size that their loads ask for, or buffers, in the same core (`flows.repair`); the
    changes are ``repair.json`` there, and from then on in `Mapped.netlist`.

    Raises
    ------
    PlacementError, LefError
        See `flows.place.place`.
    LibraryError
        The library states no largest loads to repair by.
    """
    netlist = mapped.synthesised
    placed = place(
        netlist, mapped.lef, utilisation=utilisation, aspect=aspect, effort=effort, spread=spread, timeout_s=timeout_s
    )
    rounds: list[Repair] = []
    load = {"ff_per_um": wire_ff_per_um(mapped.cells, mapped.lef)[0], "port_load_ff": mapped.cells.load_ff}
    slow = [overloaded(netlist, mapped.library, placed, **load)]
    # wires move when cells make room: later rounds mend what came of the first
    while repair and slow[-1] and len(rounds) < REPAIR_ROUNDS:
        change = plan(netlist, mapped.library, mapped.cells, placed, **load)
        x_um, y_um = change.starts(placed)
        netlist = change.apply(netlist, mapped.library)
        seconds = placed.seconds
        placed = legalise(
            netlist, mapped.lef, x_um=x_um, y_um=y_um, core_um=placed.core_um, effort=effort, timeout_s=timeout_s
        )
        placed = replace(placed, seconds=seconds + placed.seconds)
        rounds.append(change)
        slow.append(overloaded(netlist, mapped.library, placed, **load))
    busy = congestion(placed, mapped.lef)
    metric = _metric(mapped, "liquidcal", package_version("liquidcal"), command or "flows.physical.measure_placement")
    setting = (
        f"utilisation {placed.utilisation:.2f}, effort {effort}; {'evenly spread' if spread else 'packed'}, not routed"
    )
    area = cell_area_um2(netlist, mapped.cells)
    buffers, sizes = sum(len(r.buffers) for r in rounds), sum(len(r.resized) for r in rounds)
    metrics = (
        metric("design__core__area", placed.area_um2, "um2", f"rows of a rectangle around all cells, {setting}"),
        metric("design__instance__area", area, "um2", "cells that were placed, those of the repair included"),
        metric("design__instance__area__gate_equivalent", mapped.cells.gate_equivalents(area), "GE", "area over NAND2"),
        metric("design__instance__utilization", placed.utilisation, "", "cell area over core area"),
        metric("route__wirelength__estimated", float(placed.wire_um.sum()) / 1e6, "m",
               f"half-perimeters times Cheng's factor (RISA, 1994), nets up to {MAX_PINS} pins"),
        metric("route__hpwl", float(placed.hpwl_um.sum()) / 1e6, "m", "sum of half-perimeters"),
        metric("route__congestion__worst", busy.worst, "", f"wire over tracks, worst bin of {busy.bin_um:.0f} um"),
        metric("route__congestion__overfull", 100 * busy.overfull, "%", "bins that want more tracks than there are"),
        metric("design__instance__count__class:repair_buffer", buffers, "", "buffers that the repair inserted"),
        metric("design__instance__count__resized", sizes, "", "cells that the repair made larger"),
        metric("design__overloaded_net__count", slow[-1], "",
               "nets of cells above the largest load or transition of the library"),
        metric("design__overloaded_net__count__step:placed", slow[0], "", "the same before any repair"),
        metric("flow__runtime__total__step:placement", round(placed.seconds, 1), "s", "wall clock of the placer"),
        metric("flow__memory__peak__step:placement", placed.peak_memory_bytes, "B", "largest process"),
    )  # fmt: skip
    with fresh_folder(mapped.folder / "placement", marker="placement.json") as work:
        placed.save(work / "placement.npz")
        draw(placed, netlist, work / "placement.png")
        if rounds:
            save_repairs(work / "repair.json", rounds)
        about = {"netlist_sha256": mapped.netlist_sha256, "core_um": placed.core_um, "effort": effort}
        (work / "placement.json").write_text(json.dumps(about, indent=1) + "\n")
        write_metrics(work / "metrics.json", metrics)
    # what was read of the folder before
    mapped.__dict__.pop("netlist", None)
    mapped.__dict__.pop("cell_area_um2", None)
    return placed, busy, metrics


def clocks_of(mapped: Mapped, reuse: int) -> tuple[str, ...]:
    """Clock ports of a design: the crossings' first, then the internal one of a design that reuses multipliers.

    Raises
    ------
    ValueError
        The netlist was made with another factor: 1 has no internal clock, all others have.
    """
    internal = INTERNAL_CLOCK in mapped.netlist.ports
    if internal != (reuse > 1):
        has = "an internal clock" if internal else "no internal clock"
        raise ValueError(f"{mapped.folder} has {has} ({INTERNAL_CLOCK}), which does not go with a reuse of {reuse}")
    return ("clk", INTERNAL_CLOCK) if internal else ("clk",)


def clock_plan(mapped: Mapped, *, period_ns: float = PERIOD_NS, reuse: int = 1) -> ClockPlan:
    """Clocks, reset and quasi-static registers of our generators' designs.

    3 % of the period for skew and jitter at setup, a tenth of that for hold: both ends of a hold path see one edge. An
    internal clock gets the same shares of its own period.
    """
    ports = mapped.netlist.ports
    clocks_of(mapped, reuse)
    return ClockPlan(
        clock="clk", internal_clock=INTERNAL_CLOCK if reuse > 1 else None, multiple=reuse, period_ns=period_ns,
        uncertainty_ns=0.03 * period_ns, hold_uncertainty_ns=0.003 * period_ns,
        resets=tuple(name for name in ("rst",) if name in ports),
        static_stages=tuple(stage for stage in mapped.netlist.stages if stage in STATIC_STAGES),
    )  # fmt: skip


def measure_timing(
    mapped: Mapped,
    *,
    period_ns: float = PERIOD_NS,
    reuse: int = 1,
    paths: int = 10,
    timeout_s: float = 3600.0,
    command: str = "",
) -> tuple[TimingReport, tuple[Metric, ...]]:
    """Time and leave ``timing/``: paths, slacks of all ends, metrics.

    Raises
    ------
    LibraryError
        OpenSTA is missing or refuses its input.
    ValueError
        The netlist was made with another reuse factor.
    """
    plan = clock_plan(mapped, period_ns=period_ns, reuse=reuse)
    wires, _, _, source = mapped.wires()
    report = analyse(
        mapped.netlist, mapped.library, plan, wire_ff=wires, driving_cell=mapped.cells.driving_cell,
        port_load_ff=mapped.cells.load_ff, paths=paths, timeout_s=timeout_s, setup_liberty=mapped.corner("slow"),
        hold_liberty=mapped.corner("fast"),
    )  # fmt: skip
    metric = _metric(mapped, "OpenSTA", sta_version(), command or "flows.physical.measure_timing")
    corner = f"{report.setup_library}, wires: {source}"
    metrics = (
        metric("timing__setup__ws", report.setup_slack_ns, "ns",
               f"worst setup slack at {period_ns:g} ns less {plan.uncertainty_ns:g} ns of skew and jitter; {corner}"),
        metric("timing__fmax", report.fmax_mhz, "MHz", "clock at which the worst path of the data just fits"),
        metric("timing__hold__ws", report.hold_slack_ns, "ns",
               f"worst hold slack before buffers are added, {plan.hold_uncertainty_ns:g} ns of skew; "
               f"{report.hold_library}"),
        metric("timing__endpoint__count", len(report.endpoint_slacks_ns), "", "ends with a setup check"),
        metric("flow__runtime__total__step:timing", round(report.seconds, 1), "s", "wall clock of OpenSTA"),
    )  # fmt: skip
    with fresh_folder(mapped.folder / "timing", marker="timing.json") as work:
        (work / "timing.json").write_text(json.dumps(timing_dict(report), indent=1) + "\n")
        write_metrics(work / "metrics.json", metrics)
    return report, metrics


def timing_dict(report: TimingReport) -> dict[str, Any]:
    """Plain types, for JSON: keys as documented in docs/timing_and_placement.md."""

    def rows(paths: Any) -> list[dict[str, Any]]:
        return [
            {
                "start": path.start, "start_stage": path.start_stage, "end": path.end, "end_stage": path.end_stage,
                "delay_ns": path.delay_ns, "slack_ns": path.slack_ns, "apart_ns": path.apart_ns, "cells": path.cells,
                "through": [vars(step) for step in path.steps],
            }
            for path in paths
        ]  # fmt: skip

    counts, edges = np.histogram(report.endpoint_slacks_ns, bins=25)
    return {
        "period_ns": report.plan.period_ns, "uncertainty_ns": report.plan.uncertainty_ns,
        "setup_slack_ns": report.setup_slack_ns, "hold_slack_ns": report.hold_slack_ns, "fmax_mhz": report.fmax_mhz,
        "setup_library": report.setup_library, "hold_library": report.hold_library,
        "setup_paths": rows(report.paths), "hold_paths": rows(report.hold_paths),
        "static_paths": rows(report.static_paths),
        "slack_histogram": {"edges_ns": edges.tolist(), "endpoints": counts.tolist()},
    }  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """A checked gate-level simulation, what is told about it, and the clocks of one inference."""

    simulator: GateSimulator
    activity: Activity
    told: dict[str, Any]
    clocks_per_inference: float = 1.0


def measure_power(
    mapped: Mapped,
    spec: Spec,
    *,
    model: str = "econ_t_5elinks",
    crossings: int = 24,
    words: int = 8,
    latency: int = 5,
    recordings: int = 32,
    clocks: int | None = None,
    weights: Path | None = None,
    glitch_clocks: int = 16,
    seed: int = 1,
    period_ns: float = PERIOD_NS,
    command: str = "",
    step: Callable[[str, int | None], Any] | None = None,
) -> tuple[PowerSummary, dict[str, Any], tuple[Metric, ...]]:
    """Simulate real stimulus on the netlist and leave ``power/``: power by stage and kind, metrics.

    Parameters
    ----------
    mapped : Mapped
    spec : EncoderSpec or CrossbarSpec
        Of the design; whether the netlist is an encoder or a whole chip shows in its ports.
    model : str
        An encoder's shipped weights, decoder and multiplexer; random weights where the network has another shape.
    crossings : int
        An encoder's clocks in each stream, those that fill the pipeline included.
    words : int
        An encoder's machine words: 64 streams in each.
    latency : int
        An encoder's clocks from words to frames.
    recordings : int
        Streams of a crossbar, each with another recording first.
    clocks : int, optional
        Clocks of a crossbar in each stream; until all have told their first class where left out.
    weights : Path, optional
        A crossbar's trained model; the shipped one of the spec where left out.
    glitch_clocks : int
        Clocks replayed with delays.
    seed : int
    period_ns : float
        An encoder's clock period; a crossbar's is in its spec.
    step : callable, optional
        ``step(name, total)`` gives a context manager that yields a progress callback (`Journal.step`).

    Raises
    ------
    ValueError
        The netlist differs from the golden model, or was made with another reuse factor.
    """
    from contextlib import nullcontext

    clocks_ = clocks_of(mapped, spec.reuse if isinstance(spec, EncoderSpec) else 1)

    def stage(name: str, total: int | None = None) -> Any:
        return nullcontext(lambda _done: None) if step is None else step(name, total)

    netlist, library = mapped.netlist, mapped.library
    if isinstance(spec, EncoderSpec):
        run = _run_encoder(
            mapped, spec, stage, model=model, crossings=crossings, words=words, latency=latency, seed=seed,
            period_ns=period_ns,
        )  # fmt: skip
    else:
        run = _run_crossbar(mapped, spec, stage, recordings=recordings, clocks=clocks, seed=seed, weights=weights)
    simulator, activity = run.simulator, run.activity
    wires, per_um, core_um2, source = mapped.wires()
    tree_slew = default_tree_slew_ns(library)
    trees = {int(netlist.ports[name].nets[0]): tree_slew for name in (*clocks_, "rst") if name in netlist.ports}
    with stage("power: delays, internal energies, clock tree, glitches"):
        timing = propagate(
            netlist, library, topological_levels(netlist, library), wire_ff=wires, port_load_ff=mapped.cells.load_ff,
            max_slew_ns=library.max_transition_ns, fixed_slew_ns=trees,
        )  # fmt: skip
        usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
        summary = summarise(
            simulator, activity, timing, area_um2=core_um2, wire_ff_per_um=per_um, usable=usable,
            tree_slew_ns=tree_slew, glitch_clocks=glitch_clocks, wire_ff=wires,
        )  # fmt: skip
    told = {
        "design": netlist.top, "library": mapped.cells.name, "library_sha256": mapped.cells.sha256,
        "voltage_v": library.voltage_v, "activity": activity.source, "clocks": activity.clocks,
        **run.told, "wires": source, **summary.to_dict(),
        "clocks_per_inference": run.clocks_per_inference,
        "energy_per_inference_pj": summary.energy_pj * run.clocks_per_inference,
    }  # fmt: skip
    metrics = power_metrics(mapped, summary, told, command)
    with fresh_folder(mapped.folder / "power", marker="power.json") as work:
        (work / "power.json").write_text(json.dumps(told, indent=1) + "\n")
        write_metrics(work / "metrics.json", metrics)
    return summary, told, metrics


def _run_encoder(
    mapped: Mapped,
    spec: EncoderSpec,
    stage: Callable[..., Any],
    *,
    model: str,
    crossings: int,
    words: int,
    latency: int,
    seed: int,
    period_ns: float,
) -> _Run:
    """Showers at pile-up 200 in modules over the endcap."""
    trained = TrainedModel.load(model)
    same = trained.spec.weight_bits == spec.weight_bits and trained.spec.grid == spec.grid
    weights = replace(trained.weights, spec=spec) if same else Weights.random(spec, np.random.default_rng(seed))
    with stage(f"showers at pile-up 200: {64 * words} modules, {crossings} crossings", crossings) as advance:
        stimulus = shower_stimulus(
            spec, streams=64 * words, crossings=crossings, seed=seed,
            select=trained.multiplexer if same else None, etx_count=trained.elinks,
            keep_mask=trained.keep_mask if same else None, advance=advance,
        )  # fmt: skip
    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {64 * words} streams"):
        clocks = clocks_of(mapped, spec.reuse)
        simulator = GateSimulator(mapped.netlist, mapped.library, words=words, clock=clocks)
        load_registers(simulator, spec, stimulus, weights)
        activity, actual, expected = encoder_activity(
            simulator, spec, stimulus, weights, latency=latency, period_ns=period_ns, snapshots=2
        )
    if not np.array_equal(actual, expected):
        stream, crossing, word = (int(i) for i in np.argwhere(actual != expected)[0])
        raise ValueError(
            f"stream {stream}, crossing {crossing}, eTx {word}: the netlist sends "
            f"{actual[stream, crossing, word]:08x}, the golden model {expected[stream, crossing, word]:08x}"
        )
    told = {
        "frames_compared": int(actual.size), "occupancy": stimulus.occupancy,
        "weights": model if same else f"random, seed {seed}",
    }  # fmt: skip
    return _Run(simulator=simulator, activity=activity, told=told)


def _run_crossbar(
    mapped: Mapped,
    spec: CrossbarSpec,
    stage: Callable[..., Any],
    *,
    recordings: int,
    clocks: int | None,
    seed: int,
    weights: Path | None,
) -> _Run:
    """Whole inferences of recordings, the macro and the weight memory played by their golden behaviour."""
    with stage(f"{recordings} recordings"):
        stimulus = recorded_stimulus(spec, streams=recordings, seed=seed, weights=weights)
    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {recordings} streams") as advance:
        simulator = GateSimulator(mapped.netlist, mapped.library, words=-(-recordings // 64))
        load_settings(simulator, stimulus)
        run = crossbar_activity(simulator, stimulus, clocks=clocks, advance=advance)
    operations = float(stimulus.golden.row_activations.sum() / recordings * spec.neurons)
    told = {
        "compared": dict(run.compared), "recordings": recordings, "seed": seed, "synaptic_operations": operations,
        "conductances": stimulus.conductances.file_name,
    }  # fmt: skip
    return _Run(simulator=simulator, activity=run.activity, told=told, clocks_per_inference=run.clocks_per_inference)


def power_metrics(mapped: Mapped, summary: PowerSummary, told: dict[str, Any], command: str) -> tuple[Metric, ...]:
    """Power and energy per inference as metrics, by kind and by stage."""
    metric = _metric(mapped, "liquidcal", package_version("liquidcal"), command or "flows.physical.measure_power")
    how = f"{told['activity']}; wires: {told['wires']}"
    clocks = told.get("clocks_per_inference", 1.0)
    per_pj = summary.period_ns / 1000 * clocks
    low, high = (
        (summary.total_uw + sum(row[end] - summary.total_uw for row in summary.uncertainty)) * per_pj
        for end in ("low_uw", "high_uw")
    )
    time = f"{summary.period_ns:g} ns" + (f" times {clocks:,.0f} clocks" if clocks != 1 else "")
    named = {
        "leakage": "state-dependent leakage",
        "internal": "internal energy of cells, without clock pins",
        "clock_pins": "internal energy at clock pins",
        "switching": "1/2 C V^2 of nets",
        "glitches": "transitions with delays over those without, on a sample",
    }
    rows = [
        metric("power__total", summary.total_uw / 1000, "mW", f"all kinds at {1000 / summary.period_ns:g} MHz; {how}"),
        metric("energy__per_inference", summary.total_uw * per_pj, "pJ", f"power times {time}; {how}"),
        metric("energy__per_inference__bound:low", low, "pJ", "every modelling step at its low end"),
        metric("energy__per_inference__bound:high", high, "pJ", "every modelling step at its high end"),
        *(metric(f"energy__per_inference__kind:{kind}", summary.kind(kind) * per_pj, "pJ", text)
          for kind, text in named.items()),
        metric("energy__per_inference__kind:clock_tree", summary.clock_tree_uw * per_pj, "pJ",
               "modelled tree of buffers and its wires"),
        metric("power__annotated_nets", summary.annotated_percent, "%", "nets with activity of their own"),
    ]  # fmt: skip
    if summary.glitch_factor is not None:
        rows.append(metric("power__glitch_factor", summary.glitch_factor, "", "transitions with delays over without"))
    for stage, kinds in summary.stages.items():
        tag = "".join(c if c.isalnum() or c in "_." else "_" for c in stage)
        rows.append(
            metric(f"energy__per_inference__module:{tag}", sum(kinds.values()) * per_pj, "pJ",
                   "all kinds but the clock tree")
        )  # fmt: skip
    return tuple(rows)
