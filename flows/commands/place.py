"""``liquidcal place``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import (
    AsJson,
    ClockGating,
    Isolation,
    LoadingOption,
    Out,
    Preset,
    Repair,
    Reuse,
    SchemeOption,
    finish,
    synthesised,
)


def place(
    preset: Preset,
    out: Out = Path("report"),
    utilisation: Annotated[float, typer.Option(help="Cell area over core area.")] = 0.7,
    aspect: Annotated[float, typer.Option(help="Height of the core over its width.")] = 1.0,
    effort: Annotated[int, typer.Option(min=1, max=9, help="Effort of the placer.")] = 1,
    spread: Annotated[bool, typer.Option(help="Even density over the core instead of shortest wires.")] = False,
    repair: Repair = False,
    hold: Annotated[
        float | None,
        typer.Option(min=0.1, max=1.0, help="Buffers for hold where all delays take this share of the fast corner's."),
    ] = None,
    fast: Annotated[list[Path] | None, typer.Option(help="Liberty file of the fast corner, for --hold.")] = None,
    exchange: Annotated[
        bool, typer.Option("--exchange", help="Leave flat.v, flat.def and flat.spef for other tools, too.")
    ] = False,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    isolation: Isolation = None,
    as_json: AsJson = False,
) -> None:
    """Place a synthesised design: core area, wire length, congestion, picture. Nothing is routed."""
    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.placement import PLACEMENT, PlacementOptions

    chosen = design(preset, clock_gating=clock_gating, reuse=reuse, scheme=scheme, loading=loading, isolation=isolation)
    options = PlacementOptions(
        utilisation=utilisation,
        aspect=aspect,
        effort=effort,
        spread=spread,
        repair=repair,
        hold=hold,
        fast=tuple(fast or ()),
        exchange=exchange,
    )
    journal = Journal()
    folder = synthesised(out, chosen)
    metrics = PLACEMENT(chosen, folder, journal, options)
    placed = folder / "placement"
    result = {"metrics": [metric.to_dict() for metric in metrics], "picture": str(placed / "placement.png")}
    finish(journal, result, as_json, placed)
