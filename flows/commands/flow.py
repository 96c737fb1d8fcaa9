"""``liquidcal flow``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import (
    AsJson,
    ClockGating,
    Conductances,
    Isolation,
    Library,
    LoadingOption,
    Out,
    Preset,
    Repair,
    Reuse,
    SchemeOption,
    finish,
    print_times,
    result_folder,
)


def flow(
    preset: Preset,
    out: Out = Path("report"),
    library: Library = "auto",
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    isolation: Isolation = None,
    repair: Repair = False,
    streams: Annotated[int, typer.Option(min=64, help="Power of an encoder: modules side by side.")] = 256,
    recordings: Annotated[int, typer.Option(min=1, help="Power of a crossbar: recordings side by side.")] = 32,
    seed: Annotated[
        int, typer.Option(help="Seed of all random choices; of a crossbar conductances, digits and camera, too.")
    ] = 1,
    conductances: Conductances = None,
    clips: Annotated[
        Path | None, typer.Option(help="Association: folder of WAV files to learn from; else the shipped set.")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="Association: folder of event recordings; else synthesised ones.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Association: file with the labels of --events.")] = None,
    check: Annotated[bool, typer.Option("--verify/--no-verify", help="Check the RTL, too.")] = True,
    crossings: Annotated[
        int | None,
        typer.Option(min=1, help="Checks: bunch crossings (20,000) or steps (500) against the golden model."),
    ] = None,
    mutants: Annotated[int, typer.Option(min=0, help="Checks: mutants of the RTL that the bench must kill.")] = 0,
    proofs: Annotated[bool, typer.Option(help="Checks: prove stages equal to their formulas.")] = True,
    weights: Annotated[
        Path | None, typer.Option(help="Power of an encoder: trained model (.npz) that runs; else a shipped one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """All steps of a design in one go: synthesis, placement, timing, power, verification, report.

    Of a crossbar first what its seed makes: conductance file, readout trained for them, accuracy, Verilog that loads
    the file, spikes of the RTL against the golden model. Power and verification then run on these conductances.

    Of an association chip likewise: both macros of the seed, projections learnt from clips and recordings, retrieval in
    the RTL, energy of a query by sight and by sound.

    A step whose inputs have not changed since it last ran is kept, which the command says; a whole chip (--scheme) has
    no verification here, its tests and `liquidcal campaign` are elsewhere.
    """
    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.report.write import write_report
    from flows.steps.association_demo import Sources
    from flows.steps.chain import flow_options, run_chain, summary

    data = Sources(clips=clips, events=events, labels=labels)
    chosen = design(
        preset, library=library, clock_gating=clock_gating, reuse=reuse, scheme=scheme, loading=loading,
        isolation=isolation,
    )  # fmt: skip
    journal = Journal()
    start = time.perf_counter()
    with result_folder(out, chosen) as folder:
        options = flow_options(
            chosen, folder, seed=seed, repair=repair, streams=streams, recordings=recordings, crossings=crossings,
            mutants=mutants, proofs=proofs, weights=weights, conductances=conductances,
            sources=None if data == Sources() else data,
        )  # fmt: skip
        ran = run_chain(chosen, folder, journal, options, without=() if check else ("verify",))
    journal.save(folder / "flow.json")
    page = write_report(folder, chosen)
    seconds = time.perf_counter() - start
    print_times(journal)
    kept = [name for name, did in ran.items() if not did]
    said = f"; kept: {', '.join(kept)}" if kept else ""
    chip: dict[str, Any] = {}
    if found := summary(chosen, folder):
        chip = {"chip": found[0]}
        journal.console.print(found[1])
    journal.console.print(f"{seconds:.1f} s in this run{said}. Report: [bold]{page}[/]")
    finish(journal, {"report": str(page), "seconds": round(seconds, 1), "ran": ran, **chip}, as_json)
