"""``liquidcal campaign``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.commands.options import AsJson, ClockGating, Out, Preset, Reuse, finish, result_folder
from hw.common.scheme import Scheme
from sim.files import replacing
from sim.hgcal_encoder.configuration.chip_registers import Loading


def campaign(
    preset: Preset,
    scheme: Annotated[Scheme, typer.Option(help="Protection of the chip.")],
    loading: Annotated[Loading, typer.Option(help="How settings and weights are loaded.")] = Loading.DIRECT,
    engine: Annotated[str, typer.Option(help="rtl, netlist or both.")] = "rtl",
    clock_gating: ClockGating = False,
    reuse: Reuse = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Faults at most; else every weight, setting and control bit.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of showers, modules and faults.")] = 1,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes on this machine; else one per core.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler; else this machine.")] = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Strike the flip-flops of a running chip one by one and see what becomes of every frame.

    Finished parts are kept in the result folder: an interrupted campaign goes on where it was. Exit code 1 if a
    protected chip shows a single upset, or does not correct it.
    """
    # generators, engines and statistics take seconds to import: not for the help of every command
    from flows.campaign.campaign import ENGINES, Job, run_campaign, summarise, write_outcomes
    from flows.common.journal import Check, Journal, origin
    from flows.designs.design import design
    from sim.hgcal_encoder.spec import EncoderSpec

    spec = design(preset, reuse=reuse).spec
    if not isinstance(spec, EncoderSpec):
        raise typer.BadParameter(f"{preset} is no encoder; the campaign is for chips with protected registers")
    if engine not in (*ENGINES, "both"):
        raise typer.BadParameter(f"--engine: expected {', '.join(ENGINES)} or both, got {engine}")
    if clock_gating and engine == "rtl":
        raise typer.BadParameter("--clock-gating: the RTL has no clock gates, expected --engine netlist or both")
    journal = Journal()
    results: dict[str, Any] = {"preset": preset, "campaigns": []}
    for name in ENGINES if engine == "both" else (engine,):
        gated = clock_gating and name == "netlist"
        job = Job(spec=spec, scheme=scheme, loading=loading, engine=name, clock_gating=gated, seed=seed)
        stem = f"campaign-{name}-{scheme}-{loading}"
        stem += "-gated" if gated else ""
        stem += f"-reuse{reuse}" if reuse is not None else ""
        stem += f"-{limit}" if limit is not None else ""
        folder = result_folder(out, spec.name)
        with ExitStack() as steps:

            def begin(count: int, steps: ExitStack = steps, title: str = f"{name}, {scheme}") -> Callable[[int], None]:
                return steps.enter_context(journal.step(f"{count:,} faults, {title}", count))

            found = run_campaign(job, folder / stem, limit=limit, scheduler=scheduler, workers=workers, begin=begin)
        summary = summarise(found) | {"origin": origin()}
        write_outcomes(found, folder / f"{stem}.npz")
        with replacing(folder / f"{stem}.json") as file:
            json.dump(summary, file, indent=1)
            file.write("\n")
        results["campaigns"].append(summary)
        singles = sum(row["faults"] for row in summary["rows"] if row["kind"] == "flip" and row["stratum"] != "shadow")
        protected = scheme is not Scheme.NONE
        journal.check(
            Check(
                name=f"{name}: single upsets that {scheme} does not correct"
                if protected
                else f"{name}: every fault has an outcome",
                passed=singles > 0 and not (protected and summary["uncorrected_single"]),
                compared=singles,
                unit="single flips",
                detail=f"{summary['uncorrected_single']} uncorrected",
            )
        )
        if protected and (beam := summary.get("beam")):
            journal.check(
                Check(
                    name=f"{name}: stretches in beam that {scheme} does not correct, no two flips in one word",
                    passed=not beam["uncorrected_apart"],
                    compared=beam["apart"],
                    unit="stretches",
                    detail=f"{beam['flips']:,} flips in {beam['stretches']:,} stretches; "
                    f"{beam['stretches'] - beam['apart']} in which two met",
                )
            )
        if not as_json:
            Console().print(_table(summary))
            journal.console.print(f"{folder / stem}.json, {folder / stem}.npz")
    finish(journal, results, as_json)


def _table(summary: dict[str, Any]) -> Table:
    effects = ("masked", "corrected", "corrupted", "hang")
    table = Table("fault", "stratum", "flip-flops", "faults", *effects, "not gone", "shows, % (95 % interval)")
    for row in summary["rows"]:
        shown = f"{100 * row['shown']:.3g} ({100 * row['shown_low']:.3g} to {100 * row['shown_high']:.3g})"
        table.add_row(
            row["kind"], row["stratum"], "" if row["population"] is None else f"{row['population']:,}",
            f"{row['faults']:,}", *(f"{row[effect]:,}" for effect in effects), f"{row['persistent']:,}", shown,
        )  # fmt: skip
    return table
