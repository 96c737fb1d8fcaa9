"""Power of a mapped netlist as a step, with metrics."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.common.folder import fresh_folder
from flows.common.metrics import Metric, package_version, write_metrics
from flows.designs.design import Spec
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.view import prepare
from flows.physical.mapped import PERIOD_NS, Mapped, clocks_of, mapped_metric
from flows.power.activity import Activity
from flows.power.crossbar import crossbar_activity, load_settings
from flows.power.encoder import encoder_activity, load_registers
from flows.power.summary import PowerSummary, summarise
from flows.stimulus.recordings import recorded_stimulus
from flows.stimulus.showers import shower_stimulus
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["measure_power"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """A checked gate-level simulation, what its report says, and the clocks of one inference."""

    simulator: GateSimulator
    activity: Activity
    result: dict[str, Any]
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
        Clocks of a crossbar in each stream; until all have put out their first class where left out.
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
    wires = mapped.wires()
    with stage("power: delays, internal energies, clock tree, glitches"):
        view = prepare(
            netlist, library, simulator.level, wires, trees=(*clocks_, "rst"), port_load_ff=mapped.cells.load_ff
        )
        usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
        summary = summarise(simulator, activity, view, usable=usable, glitch_clocks=glitch_clocks)
    result = {
        "design": netlist.top, "library": mapped.cells.name, "library_sha256": mapped.cells.sha256,
        "voltage_v": library.voltage_v, "activity": activity.source, "clocks": activity.clocks,
        **run.result, "wires": wires.source, **summary.to_dict(),
        "clocks_per_inference": run.clocks_per_inference,
        "energy_per_inference_pj": summary.energy_pj * run.clocks_per_inference,
    }  # fmt: skip
    metrics = power_metrics(mapped, summary, result, command)
    with fresh_folder(mapped.folder / "power", marker="power.json") as work:
        (work / "power.json").write_text(json.dumps(result, indent=1) + "\n")
        write_metrics(work / "metrics.json", metrics)
    return summary, result, metrics


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
    result = {
        "frames_compared": int(actual.size), "occupancy": stimulus.occupancy,
        "weights": model if same else f"random, seed {seed}",
    }  # fmt: skip
    return _Run(simulator=simulator, activity=activity, result=result)


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
    result = {
        "compared": dict(run.compared), "recordings": recordings, "seed": seed, "synaptic_operations": operations,
        "conductances": stimulus.conductances.file_name,
    }  # fmt: skip
    return _Run(
        simulator=simulator, activity=run.activity, result=result, clocks_per_inference=run.clocks_per_inference
    )


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
    for stage, kinds in summary.stages.items():
        tag = "".join(c if c.isalnum() or c in "_." else "_" for c in stage)
        rows.append(
            metric(f"energy__per_inference__module:{tag}", sum(kinds.values()) * per_pj, "pJ",
                   "all kinds but the clock tree")
        )  # fmt: skip
    return tuple(rows)
