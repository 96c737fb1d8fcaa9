"""``liquidcal demo``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import AsJson, Library, Out, finish, print_times, result_folder
from flows.common.journal import Journal
from flows.steps.synthesis import run_synthesis


class Chip(StrEnum):
    """What is shown."""

    HGCAL_ENCODER = "hgcal_encoder"
    LSM_CROSSBAR = "lsm_crossbar"
    BOTH = "both"


def demo(
    chip: Annotated[Chip, typer.Option(help="Which chip.")] = Chip.BOTH,
    out: Out = Path("report"),
    crossings: Annotated[int, typer.Option(min=2, help="Encoder: bunch crossings that the module sees.")] = 400,
    recordings: Annotated[
        int, typer.Option(min=10, max=1000, help="Crossbar: recordings of digits that are classified.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of particles; of conductances, digits and camera.")] = 1,
    library: Library = "auto",
    as_json: AsJson = False,
) -> None:
    """Both chips end to end, model against RTL, area per stage, one report each. Fifteen minutes on two cores.

    Encoder: showers become eLink words. Crossbar: one seed becomes conductances, accuracy, spikes and energy.
    """
    from flows.report.write import write_report
    from flows.steps.crossbar_demo import TRAINING, VALIDATION, chain_summary, run_crossbar_demo, summary_line
    from flows.steps.encoder_demo import run_demo
    from sim.hgcal_encoder.spec import ECON_T
    from sim.lsm_crossbar.spec import N_MNIST

    whole = Journal()
    reports, areas = {}, {}
    drawn: dict[str, Any] = {}
    for name, spec in ((Chip.HGCAL_ENCODER, ECON_T), (Chip.LSM_CROSSBAR, N_MNIST)):
        if chip not in (name, Chip.BOTH):
            continue
        journal = Journal(console=whole.console)
        journal.console.print(f"[bold]{spec.name}[/]")
        folder = result_folder(out, spec.name)
        if spec is N_MNIST:
            run_crossbar_demo(journal, folder, N_MNIST, seed=seed, sizes=(TRAINING, VALIDATION, recordings))
            drawn = {"chip": chain_summary(folder)}
        else:
            run_demo(journal, folder, crossings=crossings, seed=seed)
        areas[spec.name] = run_synthesis(journal, spec, folder, library).area_um2
        journal.save(folder / "journal.json")
        reports[spec.name] = str(write_report(folder, spec))
        whole.steps += journal.steps
        whole.checks += journal.checks
    print_times(whole)
    if drawn:
        whole.console.print(f"Seed {seed}: {summary_line(drawn['chip'])}")
    for design, page in reports.items():
        whole.console.print(f"Report of {design}: [bold]{page}[/]")
    finish(whole, {"reports": reports, "area_um2": areas, **drawn}, as_json)
