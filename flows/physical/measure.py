"""Placement and timing of a mapped netlist as steps, each with metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.common.folder import fresh_folder
from flows.common.metrics import Metric, package_version, write_metrics
from flows.library.liberty_file import read_liberty_file
from flows.netlist.delays import MAX_PINS
from flows.netlist.netlist import Netlist
from flows.physical.def_file import write_exchange
from flows.physical.gds_file import layout_of, write_gds
from flows.physical.hold import HoldCorner, hold_repair, hold_slacks
from flows.physical.mapped import (
    PERIOD_NS,
    STATIC_STAGES,
    Mapped,
    cell_area_um2,
    clocks_of,
    mapped_metric,
)
from flows.physical.place import Congestion, Placement, congestion, draw, legalise, place
from flows.physical.repair import Repair, overloaded, plan, save_repairs
from flows.physical.timing import ClockPlan, TimingReport, analyse
from flows.tools.opensta import sta_version

__all__ = ["measure_placement", "measure_timing"]


HOLD_ROUNDS = 4
"""At most: buffers make wires longer and each other slower, so that few pins are left after the second."""
REPAIR_ROUNDS = 2
"""At most: the second mends what the room for the first made longer, a third would mend a handful of nets."""


def measure_placement(
    mapped: Mapped,
    *,
    utilisation: float = 0.7,
    aspect: float = 1.0,
    effort: int = 1,
    spread: bool = False,
    repair: bool = False,
    hold: tuple[ClockPlan, HoldCorner] | None = None,
    exchange: bool = False,
    timeout_s: float = 3600.0,
    command: str = "",
) -> tuple[Placement, Congestion, tuple[Metric, ...]]:
    """Place the netlist of synthesis and leave ``placement/``: positions, picture, metrics.

    With `repair` cells get the size that their loads ask for, or buffers, in the same core (`flows.physical.repair`);
    the changes are ``repair.json`` there, and in the netlist of `Mapped.with_placement`. With `hold` registers whose
    data may come too soon at a corner get buffers (`flows.physical.hold`), changes likewise. With `exchange` netlist,
    placement and wires are there for other tools, too (`flows.physical.def_file`), and GDSII where the library has its
    cells drawn (`flows.physical.gds_file`).

    Raises
    ------
    PlacementError, LefError
        See `flows.physical.place.place`.
    LibraryError
        The library states no largest loads to repair by; OpenSTA is missing, with `hold`.
    """
    netlist = mapped.synthesised
    placed = place(
        netlist, mapped.lef, utilisation=utilisation, aspect=aspect, effort=effort, spread=spread, timeout_s=timeout_s
    )
    rounds: list[Repair] = []
    unit = mapped.wire_unit
    load = {"ff_per_um": unit.ff_per_um, "ohm_per_um": unit.ohm_per_um, "port_load_ff": mapped.cells.load_ff}
    slow = [overloaded(netlist, mapped.library, placed, **load)]

    def changed(change: Repair) -> tuple[Netlist, Placement]:
        x_um, y_um = change.starts(placed)
        after = change.apply(netlist, mapped.library)
        legal = legalise(
            after, mapped.lef, x_um=x_um, y_um=y_um, core_um=placed.core_um, effort=effort, timeout_s=timeout_s
        )
        rounds.append(change)
        return after, replace(legal, seconds=placed.seconds + legal.seconds)

    # wires move when cells make room: later rounds mend what came of the first
    while repair and slow[-1] and len(rounds) < REPAIR_ROUNDS:
        netlist, placed = changed(plan(netlist, mapped.library, mapped.cells, placed, **load))
        slow.append(overloaded(netlist, mapped.library, placed, **load))
    repairs, soon = len(rounds), []
    while hold is not None:
        clocks, corner = hold
        slacks = hold_slacks(
            netlist, mapped.library, clocks, corner, mapped.wires(placed), driving_cell=mapped.cells.driving_cell,
            port_load_ff=mapped.cells.load_ff, timeout_s=timeout_s,
        )  # fmt: skip
        soon.append(len(slacks))
        if not slacks or len(rounds) == repairs + HOLD_ROUNDS:
            break
        netlist, placed = changed(hold_repair(netlist, mapped.cells, mapped.library, placed, slacks, corner))
    busy = congestion(placed, mapped.lef)
    metric = mapped_metric(
        mapped, "liquidcal", package_version("liquidcal"), command or "flows.physical.measure.measure_placement"
    )
    setting = (
        f"utilisation {placed.utilisation:.2f}, effort {effort}; {'evenly spread' if spread else 'packed'}, not routed"
    )
    area = cell_area_um2(netlist, mapped.cells)
    buffers, sizes = sum(len(r.buffers) for r in rounds[:repairs]), sum(len(r.resized) for r in rounds)
    held: tuple[Metric, ...] = ()
    if hold is not None:
        files = ", ".join(path.name for path in hold[1].liberty)
        where = f"{files}, all delays times {hold[1].early:g}"
        held = (
            metric("design__instance__count__class:hold_buffer", sum(len(r.buffers) for r in rounds[repairs:]), "",
                   f"buffers against data that come too soon; {where}"),
            metric("timing__hold_vio__count", soon[-1], "", f"pins of registers whose data come too soon; {where}"),
            metric("timing__hold_vio__count__step:placed", soon[0], "", "the same before any such buffer"),
        )  # fmt: skip
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
        *(
            metric(f"route__congestion__mean__direction:{direction}", use, "", "wire over tracks, mean of all bins")
            for direction, use in zip(("horizontal", "vertical"), busy.mean, strict=True)
        ),
        metric("design__instance__count__class:repair_buffer", buffers, "", "buffers that the repair inserted"),
        metric("design__instance__count__resized", sizes, "", "cells that the repair made larger"),
        metric("design__overloaded_net__count", slow[-1], "",
               "nets of cells above the largest load or transition of the library"),
        metric("design__overloaded_net__count__step:placed", slow[0], "", "the same before any repair"),
        metric("flow__runtime__total__step:placement", round(placed.seconds, 1), "s", "wall clock of the placer"),
        metric("flow__memory__peak__step:placement", placed.peak_memory_bytes, "B", "largest process"),
        *held,
    )  # fmt: skip
    with fresh_folder(mapped.folder / "placement", marker="placement.json") as work:
        placed.save(work / "placement.npz")
        draw(placed, netlist, work / "placement.png")
        if rounds:
            save_repairs(work / "repair.json", rounds)
        if exchange:
            write_exchange(work, netlist, mapped.library, placed, mapped.lef, mapped.wires(placed))
            if (drawn := layout_of(mapped.cells)) is not None:
                write_gds(work / "flat.gds", netlist, placed, drawn, row_um=mapped.lef.site_um[1])
        about = {"netlist_sha256": mapped.netlist_sha256, "core_um": placed.core_um, "effort": effort}
        (work / "placement.json").write_text(json.dumps(about, indent=1) + "\n")
        write_metrics(work / "metrics.json", metrics)
    return placed, busy, metrics


def clock_plan(
    mapped: Mapped,
    *,
    period_ns: float = PERIOD_NS,
    internal: Mapping[str, int] | None = None,
    one_source: bool = False,
    clock_high: float = 0.5,
    io_share: float = 0.0,
) -> ClockPlan:
    """Clocks, reset and quasi-static registers of our generators' designs.

    3 % of the period for skew and jitter at setup, a tenth of that for hold: both ends of a hold path see one edge. An
    internal clock gets the same shares of its own period, and with `one_source` so do paths between both. The fastest
    clock is high for `clock_high` of its period. Inputs and outputs spend `io_share` of the period outside.
    """
    ports = mapped.netlist.ports
    internal = internal or {}
    clocks_of(mapped, internal)
    name, multiple = next(iter(internal.items()), (None, 1))
    static = [".".join(part.path) for part in mapped.netlist.instances if part.path and part.path[-1] in STATIC_STAGES]
    return ClockPlan(
        clock="clk", internal_clock=name, multiple=multiple, period_ns=period_ns,
        uncertainty_ns=0.03 * period_ns, hold_uncertainty_ns=0.003 * period_ns,
        resets=tuple(name for name in ("rst",) if name in ports),
        static_stages=tuple(static), io_share=io_share, one_source=one_source, clock_high=clock_high,
    )  # fmt: skip


def corner_of(mapped: Mapped, name: str, files: Sequence[Path]) -> tuple[Path, ...] | None:
    """Liberty files of a corner: those given, else the kit's own, else none.

    Raises
    ------
    ValueError
        A cell of the netlist is in none of the files given.
    """
    if not files:
        return mapped.corner(name)
    known = {cell for path in files for cell in read_liberty_file(path).cells}
    if missing := sorted(set(mapped.netlist.groups) - known):
        raise ValueError(
            f"{name} corner: {', '.join(path.name for path in files)} has no cell {missing[0]}, which the netlist uses"
        )
    return tuple(files)


def measure_timing(
    mapped: Mapped,
    *,
    period_ns: float = PERIOD_NS,
    internal: Mapping[str, int] | None = None,
    one_source: bool = False,
    clock_high: float = 0.5,
    paths: int = 10,
    slow: Sequence[Path] = (),
    fast: Sequence[Path] = (),
    early: float = 1.0,
    io_share: float = 0.0,
    timeout_s: float = 3600.0,
    command: str = "",
) -> tuple[TimingReport, tuple[Metric, ...]]:
    """Time and leave ``timing/``: paths, slacks of all ends, metrics.

    Setup is judged with the Liberty files `slow` and hold with `fast`, where they are left out with the kit's own
    corners, else with the library itself; all delays times `early` at hold. Inputs and outputs spend `io_share` of the
    period outside.

    Raises
    ------
    LibraryError
        OpenSTA is missing or refuses its input.
    ValueError
        The netlist was made with another reuse factor, or a corner lacks one of its cells.
    """
    plan = clock_plan(
        mapped, period_ns=period_ns, internal=internal, one_source=one_source, clock_high=clock_high, io_share=io_share
    )
    wires = mapped.wires()
    report = analyse(
        mapped.netlist, mapped.library, plan, wire_ff=wires.ff, wire_ohm=wires.ohm,
        driving_cell=mapped.cells.driving_cell, port_load_ff=mapped.cells.load_ff, paths=paths, timeout_s=timeout_s,
        setup_liberty=corner_of(mapped, "slow", slow), hold_liberty=corner_of(mapped, "fast", fast),
        early=early,
    )  # fmt: skip
    metric = mapped_metric(mapped, "OpenSTA", sta_version(), command or "flows.physical.measure.measure_timing")
    outside = f"{100 * io_share:g} % of the period outside of inputs and outputs"
    if clock_high != 0.5:
        outside += f", fastest clock high for {100 * clock_high:g} % of its period"
    corner = f"{report.setup_library}, {outside}, wires: {wires.source}"
    metrics = (
        metric("timing__setup__ws", report.setup_slack_ns, "ns",
               f"worst setup slack at {period_ns:g} ns less {plan.uncertainty_ns:g} ns of skew and jitter; {corner}"),
        metric("timing__fmax", report.fmax_mhz, "MHz", "clock at which the worst path of the data just fits"),
        metric("timing__hold__ws", report.hold_slack_ns, "ns",
               f"worst hold slack, {plan.hold_uncertainty_ns:g} ns of skew; {report.hold_library}"
               + (f", all delays times {early:g}" if early != 1 else "")),
        metric("timing__endpoint__count", len(report.endpoint_slacks_ns), "", "ends with a setup check"),
        metric("flow__runtime__total__step:timing", round(report.seconds, 1), "s", "wall clock of OpenSTA"),
    )  # fmt: skip
    with fresh_folder(mapped.folder / "timing", marker="timing.json") as work:
        (work / "timing.json").write_text(json.dumps(timing_dict(report), indent=1) + "\n")
        write_metrics(work / "metrics.json", metrics)
    return report, metrics


def timing_dict(report: TimingReport) -> dict[str, Any]:
    """Plain types, for JSON: keys as documented in docs/method/timing_and_placement.md."""

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
