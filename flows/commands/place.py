"""``liquidcal place``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import (
    AsJson,
    ClockGating,
    LoadingOption,
    Out,
    Preset,
    Repair,
    Reuse,
    SchemeOption,
    finish,
)
from flows.common.journal import Journal
from flows.steps.placement import run_placement

if TYPE_CHECKING:  # the placer and its readers are slow to import
    pass


def place(
    preset: Preset,
    out: Out = Path("report"),
    utilisation: Annotated[float, typer.Option(help="Cell area over core area.")] = 0.7,
    aspect: Annotated[float, typer.Option(help="Height of the core over its width.")] = 1.0,
    effort: Annotated[int, typer.Option(min=1, max=9, help="Effort of the placer.")] = 1,
    spread: Annotated[bool, typer.Option(help="Even density over the core instead of shortest wires.")] = False,
    repair: Repair = False,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    as_json: AsJson = False,
) -> None:
    """Place a synthesised design: core area, wire length, congestion, picture. Nothing is routed."""
    from flows.designs.design import design
    from flows.physical.mapped import Mapped

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, clock_gating=clock_gating)
    journal = Journal()
    mapped = Mapped(folder=out / chosen.name)
    metrics = run_placement(
        journal, chosen, mapped, preset=preset, utilisation=utilisation, aspect=aspect, effort=effort, spread=spread,
        repair=repair,
    )  # fmt: skip
    picture = mapped.folder / "placement" / "placement.png"
    if not as_json:
        journal.console.print(f"picture: {picture}")
    finish(journal, {"metrics": [metric.to_dict() for metric in metrics], "picture": str(picture)}, as_json)
