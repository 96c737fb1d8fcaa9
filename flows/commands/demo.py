"""``liquidcal demo``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import AsJson, Library, Out, finish, print_times


class Chip(StrEnum):
    """What is shown."""

    HGCAL_ENCODER = "hgcal_encoder"
    LSM_CROSSBAR = "lsm_crossbar"
    ASTROCYTE_LIQUID = "astrocyte_liquid"
    HGCAL_CONCENTRATOR = "hgcal_concentrator"
    ASSOCIATION = "association"
    ALL = "all"


SHOWN = {
    Chip.HGCAL_ENCODER: "ECON_T", Chip.LSM_CROSSBAR: "N_MNIST", Chip.ASTROCYTE_LIQUID: "NALSM_216",
    Chip.ASSOCIATION: "DIGITS_8BIT", Chip.HGCAL_CONCENTRATOR: "ECON_T_PRODUCTION",
}  # fmt: skip


def demo(
    chip: Annotated[Chip, typer.Option(help="Which chip.")] = Chip.ALL,
    out: Out = Path("report"),
    crossings: Annotated[
        int, typer.Option(min=2, help="Encoder, concentrator: bunch crossings that the module sees.")
    ] = 400,
    recordings: Annotated[
        int, typer.Option(min=10, max=1000, help="Crossbar: recordings of digits that are classified.")
    ] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Seed of particles; of conductances, digits and camera.")] = 1,
    library: Library = "auto",
    as_json: AsJson = False,
) -> None:
    """All chips end to end, model against RTL, area per stage, one report each. Fifteen minutes on two cores.

    Encoder: showers become eLink words. Crossbar: one seed becomes conductances, accuracy, spikes and energy. Astrocyte
    liquid: a small one is tuned, before and after. Association: seen and spoken digits find each other, without RTL and
    netlist, which `flow` has. Concentrator: one module, five algorithms.
    """
    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.report.write import write_report
    from flows.steps.chain import summary
    from flows.steps.demo import DemoOptions, show_design

    whole = Journal()
    reports: dict[str, str] = {}
    areas: dict[str, float] = {}
    drawn: dict[str, Any] = {}
    lines: list[str] = []
    for name, preset in SHOWN.items():
        if chip not in (name, Chip.ALL):
            continue
        chosen = design(preset, library=library)
        journal = Journal(console=whole.console)
        journal.console.print(f"[bold]{chosen.name}[/]")
        folder = out / chosen.name
        metrics = show_design(
            chosen, folder, journal, DemoOptions(crossings=crossings, recordings=recordings, seed=seed)
        )
        areas.update((chosen.name, float(m.value)) for m in metrics if m.name == "design__instance__area")
        reports[chosen.name] = str(write_report(folder, chosen))
        whole.steps += journal.steps
        whole.checks += journal.checks
        if found := summary(chosen, folder):
            drawn = {"chip": found[0]}
            lines.append(found[1])
    print_times(whole)
    for line in lines:
        whole.console.print(line)
    for shown, page in reports.items():
        whole.console.print(f"Report of {shown}: [bold]{page}[/]")
    finish(whole, {"reports": reports, "area_um2": areas, **drawn}, as_json)
