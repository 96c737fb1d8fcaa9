"""``liquidcal power``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import (
    AsJson,
    ClockGating,
    EventFolder,
    Isolation,
    Labels,
    LoadingOption,
    Out,
    Reuse,
    SchemeOption,
    synthesised,
)
from flows.commands.tables import print_table
from flows.designs.catalogue import presets

GLITCH_CLOCKS = 16


def power(
    preset: Annotated[
        str | None, typer.Argument(help=f"A design with results below --out: {', '.join(presets())}, or a TOML file.")
    ] = None,
    netlist: Annotated[Path | None, typer.Option(help="Anyone's mapped netlist: Verilog, RTLIL or yosys JSON.")] = None,
    liberty: Annotated[list[Path] | None, typer.Option(help="Liberty file of its cells; repeat for several.")] = None,
    vcd: Annotated[Path | None, typer.Option(help="Recorded activity (VCD, .gz too).")] = None,
    top: Annotated[str | None, typer.Option(help="Top module, where it is not evident.")] = None,
    scope: Annotated[str | None, typer.Option(help="Scope of the top module in the VCD, e.g. tb.dut.")] = None,
    clock: Annotated[str | None, typer.Option(help="Clock port, where it is not evident.")] = None,
    period_ns: Annotated[float | None, typer.Option("--period", help="Clock period in ns; else as recorded.")] = None,
    spef: Annotated[Path | None, typer.Option(help="Wire capacitances (SPEF); else the library's wire load.")] = None,
    glitch_clocks: Annotated[
        int, typer.Option(min=0, help="Clocks replayed with delays; 0: no glitches.")
    ] = GLITCH_CLOCKS,
    min_annotated: Annotated[float, typer.Option(help="Percentage of nets that the VCD must name.")] = 90.0,
    crossings: Annotated[int, typer.Option(min=8, help="Bunch crossings per stream, for a preset.")] = 24,
    streams: Annotated[int, typer.Option(min=64, help="Modules simulated side by side, for a preset.")] = 512,
    recordings: Annotated[int, typer.Option(min=1, help="Recordings side by side, for a crossbar.")] = 32,
    clocks: Annotated[
        int | None, typer.Option(min=2, help="Clocks of each recording, for a crossbar; else whole inferences.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Trained model (.npz) that runs; a shipped one if left out."),
    ] = None,
    algorithm: Annotated[
        str | None, typer.Option(help="Algorithm that the registers of a concentrator select; else its last one.")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="What asks an association chip, audio or vision; else audio.")
    ] = None,
    events: EventFolder = None,
    labels: Labels = None,
    seed: Annotated[int, typer.Option(help="Seed of showers or recordings, for a preset.")] = 1,
    supply_v: Annotated[
        float | None, typer.Option("--supply", help="Another supply in V: energy, leakage and clock there, estimated.")
    ] = None,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    isolation: Isolation = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Power from activity: leakage, internal, switching, clock tree, glitches, by stage, with uncertainties.

    Anyone's netlist: --netlist F.v --liberty F.lib --vcd F.vcd. A synthesised design of ours: PRESET; showers at
    pile-up 200, or recordings of an event camera, are simulated on its gates and compared with the golden model on the
    way. Of a crossbar it is the digital part.
    """
    if preset is not None:
        if any(option is not None for option in (netlist, liberty, vcd)):
            raise typer.BadParameter("give either PRESET, or --netlist, --liberty and --vcd")
        from flows.common.journal import Journal
        from flows.designs.catalogue import design
        from flows.steps.power import POWER, PowerOptions

        chosen = design(
            preset, clock_gating=clock_gating, reuse=reuse, scheme=scheme, loading=loading, isolation=isolation
        )
        if weights is not None and "weights" not in chosen.stimulus:
            raise typer.BadParameter(f"--weights: the stimulus of {chosen.name} is of a shipped model alone")
        if algorithm is not None and "algorithm" not in chosen.stimulus:
            raise typer.BadParameter(f"--algorithm: {chosen.name} has only one")
        if modality is not None and "modality" not in chosen.stimulus:
            raise typer.BadParameter(f"--modality: {chosen.name} is not asked by sight or by sound")
        if (events is not None or labels is not None) and "events" not in chosen.stimulus:
            raise typer.BadParameter(f"--events, --labels: {chosen.name} is shown no recordings of the user's")
        options = PowerOptions(
            crossings=crossings, streams=streams, recordings=recordings, clocks=clocks, weights=weights, seed=seed,
            glitch_clocks=glitch_clocks, algorithm=algorithm, modality=modality or "audio", supply_v=supply_v,
            events=events, labels=labels,
        )  # fmt: skip
        folder = synthesised(out, chosen)
        metrics = POWER(chosen, folder, Journal(), options)
        result = json.loads((folder / "power" / "power.json").read_text())
        result |= {"metrics": [metric.to_dict() for metric in metrics]} if as_json else {}
    elif supply_v is not None:
        raise typer.BadParameter("--supply is for a PRESET")
    elif netlist is not None and liberty and vcd is not None:
        from flows.power.any_netlist import netlist_power

        result = netlist_power(
            netlist, liberty, vcd, top=top, scope=scope, clock=clock, period_ns=period_ns, spef=spef,
            glitch_clocks=glitch_clocks,
        )  # fmt: skip
    else:
        raise typer.BadParameter("give either PRESET, or all of --netlist, --liberty and --vcd")
    enough = result["annotated_nets_percent"] >= min_annotated
    if as_json:
        print(json.dumps(result | {"passed": enough}, indent=1))
    else:
        _print(result)
        if preset is not None:
            print(f"results in {folder / 'power'}")
    if not enough:
        typer.echo(
            f"only {result['annotated_nets_percent']:.1f} % of the nets are annotated, expected {min_annotated:g} %",
            err=True,
        )
        raise typer.Exit(1)


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    kinds = [kind for kind in result["power_uw"] if kind not in ("total", "clock_tree")]
    table = Table("stage", *(kind.replace("_", " ") for kind in kinds), "sum", title="uW", title_justify="left")
    ordered = sorted(result["stages_uw"].items(), key=lambda item: -sum(item[1].values()))
    for stage, row in ordered:
        table.add_row(stage, *(f"{row[kind]:,.1f}" for kind in kinds), f"{sum(row.values()):,.1f}")
    table.add_row("clock tree", *("" for _ in kinds), f"{result['power_uw']['clock_tree']:,.1f}")
    table.add_row("total", *(f"{result['power_uw'][k]:,.1f}" for k in kinds), f"{result['power_uw']['total']:,.1f}")
    console = Console()
    print_table(table, console)
    console.print(
        f"{result['energy_per_clock_pj']:,.2f} pJ per clock of {result['period_ns']:g} ns; "
        f"{result['annotated_nets_percent']:.1f} % of the nets annotated; wires: {result['wires']}"
    )
    if (clocks := result.get("clocks_per_inference", 1)) != 1:
        console.print(f"{result['energy_per_inference_pj']:,.0f} pJ per inference of {clocks:,.0f} clocks on average")
    for row in result.get("supply", []):
        clock = "" if row["fmax_mhz"] is None else f", clock up to {row['fmax_mhz']:.1f} MHz"
        console.print(
            f"at {row['supply_v']:g} V, as {row['node']}: {row['energy_per_inference_pj']:,.0f} pJ per inference, of "
            f"which leakage {row['leakage_pj']:,.0f} pJ{clock}"
        )
    for row in result["uncertainty"]:
        console.print(f"  {row['step']}: {row['low_uw']:,.1f} to {row['high_uw']:,.1f} uW ({row['how']})")
    for note in result["notes"]:
        console.print(f"  note: {note}")
