"""``liquidcal demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from flows.commands.options import AsJson, Library, Out, finish, result_folder
from flows.commands.synth import run_synthesis
from flows.journal import Journal


def demo(
    out: Out = Path("report"),
    crossings: Annotated[int, typer.Option(min=2, help="Bunch crossings that the module sees.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the simulated particles.")] = 1,
    library: Library = "auto",
    as_json: AsJson = False,
) -> None:
    """Showers to eLink words in model and RTL, area per stage, one report. Ten minutes on two cores."""
    from flows.demo import run_demo
    from flows.report import write_report
    from sim.hgcal_encoder.spec import ECON_T

    journal = Journal()
    folder = result_folder(out, ECON_T.name)
    run_demo(journal, folder, crossings=crossings, seed=seed)
    result = run_synthesis(journal, ECON_T, folder, library)
    journal.save(folder / "journal.json")
    page = write_report(folder, ECON_T)
    _times(journal)
    journal.console.print(f"\nReport: [bold]{page}[/]")
    finish(journal, {"report": str(page), "area_um2": result.area_um2}, as_json)


def _times(journal: Journal) -> None:
    total = sum(step.seconds for step in journal.steps)
    table = Table("where the time went", "seconds", "share", title_justify="left")
    for step in journal.steps:
        table.add_row(step.name, f"{step.seconds:.1f}", f"{100 * step.seconds / total:.0f} %")
    table.add_row("total", f"{total:.1f}", "")
    journal.console.print(table)
