"""``liquidcal campaign``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from flows.commands.options import (
    AsJson,
    ClockGating,
    Isolation,
    LoadingOption,
    Out,
    Preset,
    Reuse,
    Scheduler,
    Workers,
    finish,
    result_folder,
)
from flows.commands.tables import print_table
from hw.common.scheme import Scheme


def campaign(
    preset: Preset,
    scheme: Annotated[Scheme, typer.Option(help="Protection of the chip.")],
    loading: LoadingOption = None,
    engine: Annotated[
        str | None, typer.Option(help="rtl, netlist or both; rtl if left out, of a concentrator netlist.")
    ] = None,
    clock_gating: ClockGating = False,
    isolation: Isolation = None,
    reuse: Reuse = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Faults at most; else every weight, setting and control bit.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of showers, modules and faults.")] = 1,
    workers: Workers = None,
    scheduler: Scheduler = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Inject upsets into the flip-flops of a running chip, one by one, and classify every frame that follows.

    Finished parts are kept in the result folder: an interrupted campaign goes on where it was. Exit code 1 if a
    protected chip shows a single upset, or does not correct it.
    """
    # generators, engines and statistics take seconds to import: not for the help of every command
    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.campaign import CampaignOptions, inject_faults

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, isolation=isolation, clock_gating=clock_gating)
    journal = Journal()
    options = CampaignOptions(
        engine=engine or chosen.upsets_by, limit=limit, seed=seed, scheduler=scheduler, workers=workers
    )
    with result_folder(out, chosen.plain) as folder:
        found = inject_faults(chosen, folder, journal, options)
    if not as_json:
        for path, summary in found.items():
            print_table(_table(summary))
            journal.console.print(f"{path}, {path.with_suffix('.npz')}")
    finish(journal, {"preset": preset, "campaigns": list(found.values())}, as_json)


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
