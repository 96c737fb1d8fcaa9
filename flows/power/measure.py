"""Power of a mapped netlist as a step, with metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flows.common.folder import fresh_folder
from flows.common.metrics import Metric, find, package_version, read_metrics, write_metrics
from flows.designs.design import Design
from flows.estimates.supply import Supplied, at_supply
from flows.estimates.translation import node_of
from flows.netlist.view import prepare
from flows.physical.mapped import Mapped, clocks_of, mapped_metric
from flows.power.run import PowerOptions, Run
from flows.power.summary import PowerSummary, summarise

__all__ = ["measure_power"]


def measure_power(
    mapped: Mapped,
    design: Design,
    options: PowerOptions | None = None,
    *,
    command: str = "",
    into: str = "power",
    step: Callable[[str, int | None], Any] | None = None,
) -> tuple[PowerSummary, dict[str, Any], tuple[Metric, ...]]:
    """Simulate real stimulus on the netlist and leave a folder ``power``: power by stage and kind, metrics.

    Parameters
    ----------
    mapped : Mapped
    design : Design
        Its kind of chip says what its stimulus is, and simulates it (`Design.room`).
    options : PowerOptions, optional
    command : str
        What to run to obtain the figures again.
    into : str
        Name of the folder, where a chip has several kinds of stimulus.
    step : callable, optional
        ``step(name, total)`` gives a context manager that yields a progress callback (`Journal.step`).

    Raises
    ------
    ValueError
        The netlist differs from the golden model, or was made with another reuse factor; the library is of no node that
        can be scaled to the supply asked for.
    """
    from contextlib import nullcontext

    options = options or PowerOptions()
    supplied = supplies(mapped, options.supply_v)
    clocks_ = clocks_of(mapped, design.internal_clocks)

    def stage(name: str, total: int | None = None) -> Any:
        return nullcontext(lambda _done: None) if step is None else step(name, total)

    run: Run = design.room("power").simulate(mapped, design, options, stage)
    netlist, library = mapped.netlist, mapped.library
    simulator, activity = run.simulator, run.activity
    wires = mapped.wires()
    with stage("power: delays, internal energies, clock tree, glitches"):
        view = prepare(
            netlist, library, simulator.level, wires, trees=(*clocks_, "rst"), port_load_ff=mapped.cells.load_ff
        )
        usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
        summary = summarise(simulator, activity, view, usable=usable, glitch_clocks=options.glitch_clocks)
    result = {
        "design": netlist.top, "library": mapped.cells.name, "library_sha256": mapped.cells.sha256,
        "voltage_v": library.voltage_v, "activity": activity.source, "clocks": activity.clocks,
        "words_compared": run.compared, **run.result, "wires": wires.source, **summary.to_dict(),
        "clocks_per_inference": run.clocks_per_inference,
        "energy_per_inference_pj": summary.energy_pj * run.clocks_per_inference,
    }  # fmt: skip
    if supplied:
        result["supply"] = _at_supplies(mapped, summary, run.clocks_per_inference, supplied)
    metrics = power_metrics(mapped, summary, result, command)
    with fresh_folder(mapped.folder / into, marker="power.json") as work:
        (work / "power.json").write_text(json.dumps(result, indent=1) + "\n")
        write_metrics(work / "metrics.json", metrics)
    return summary, result, metrics


def supplies(mapped: Mapped, supply_v: float | None) -> tuple[Supplied, ...]:
    """Ratios at another supply for each node that the library may stand for; none where no supply is asked for."""
    if supply_v is None:
        return ()
    return tuple(at_supply(node.name, supply_v, mapped.library.voltage_v) for node in node_of(mapped.cells.name))


def _at_supplies(
    mapped: Mapped, summary: PowerSummary, clocks: float, supplied: tuple[Supplied, ...]
) -> list[dict[str, Any]]:
    """Energy of an inference, leakage and largest clock at another supply, for each reading of the library's node.

    The clock is there where the netlist was timed after it was placed.
    """
    per_pj = summary.period_ns / 1000 * clocks
    leakage = summary.kind("leakage") * per_pj
    dynamic = summary.total_uw * per_pj - leakage
    timing = mapped.folder / "timing" / "metrics.json"
    before = mapped.folder / "placement" / "placement.json"
    stale = before.is_file() and timing.is_file() and before.stat().st_mtime > timing.stat().st_mtime
    fmax = float(find(read_metrics(timing), "timing__fmax").value) if timing.is_file() and not stale else None
    return [
        {
            "supply_v": at.supply_v, "node": at.node, "energy_ratio": at.energy, "delay_ratio": at.delay,
            "leakage_ratio": at.leakage, "dynamic_pj": dynamic * at.energy, "leakage_pj": leakage * at.leakage,
            "energy_per_inference_pj": dynamic * at.energy + leakage * at.leakage,
            "fmax_mhz": None if fmax is None else fmax / at.delay,
        }
        for at in supplied
    ]  # fmt: skip


def power_metrics(mapped: Mapped, summary: PowerSummary, result: dict[str, Any], command: str) -> tuple[Metric, ...]:
    """Power and energy per inference as metrics, by kind and by stage."""
    metric = mapped_metric(
        mapped, "liquidcal", package_version("liquidcal"), command or "flows.power.measure.measure_power"
    )
    how = f"{result['activity']}; wires: {result['wires']}"
    clocks = result.get("clocks_per_inference", 1.0)
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
    for at in result.get("supply", []):
        tag = f"node:{at['node'].replace(' ', '_')}__supply:{at['supply_v']:g}V"
        text = f"Stillmaker-Baas, {at['node']} from {result['voltage_v']:g} to {at['supply_v']:g} V"
        rows.append(
            metric(
                f"energy__per_inference__{tag}",
                at["energy_per_inference_pj"],
                "pJ",
                f"{text}: dynamic x {at['energy_ratio']:.3f}, leakage x {at['leakage_ratio']:.3f}",
            )
        )
        if at["fmax_mhz"] is not None:
            rows.append(
                metric(f"timing__fmax__{tag}", at["fmax_mhz"], "MHz", f"{text}: delay x {at['delay_ratio']:.2f}")
            )
    for stage, kinds in summary.stages.items():
        tag = "".join(c if c.isalnum() or c in "_." else "_" for c in stage)
        rows.append(
            metric(f"energy__per_inference__module:{tag}", sum(kinds.values()) * per_pj, "pJ",
                   "all kinds but the clock tree")
        )  # fmt: skip
    return tuple(rows)
