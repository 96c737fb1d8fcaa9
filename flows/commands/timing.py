"""``liquidcal time``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import (
    AsJson,
    ClockGating,
    Isolation,
    LoadingOption,
    Out,
    Preset,
    Reuse,
    SchemeOption,
    finish,
    synthesised,
)


def timing(
    preset: Preset,
    out: Out = Path("report"),
    period_ns: Annotated[
        float | None,
        typer.Option("--period", min=0.01, help="Clock period in ns: 25, or a crossbar's own, if left out."),
    ] = None,
    paths: Annotated[int, typer.Option(min=1, help="Worst paths to report.")] = 10,
    slow: Annotated[
        list[Path] | None, typer.Option(help="Liberty file of the slow corner, for setup; repeat for several.")
    ] = None,
    fast: Annotated[list[Path] | None, typer.Option(help="Liberty file of the fast corner, for hold.")] = None,
    early: Annotated[
        float, typer.Option(min=0.1, max=1.0, help="Factor of all delays at hold, where a fast corner is assumed.")
    ] = 1.0,
    io_share: Annotated[
        float, typer.Option(min=0.0, max=0.99, help="Share of the period that inputs and outputs spend outside.")
    ] = 0.0,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    isolation: Isolation = None,
    as_json: AsJson = False,
) -> None:
    """Time a synthesised design with OpenSTA: slack at the clock, largest clock, worst paths from register to register.

    Wires are those of the placement, else the library's wire load.
    """
    import json

    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.timing import TIMING, TimingOptions

    chosen = design(preset, clock_gating=clock_gating, reuse=reuse, scheme=scheme, loading=loading, isolation=isolation)
    journal = Journal()
    folder = synthesised(out, chosen)
    options = TimingOptions(
        period_ns=period_ns,
        paths=paths,
        slow=tuple(slow or ()),
        fast=tuple(fast or ()),
        early=early,
        io_share=io_share,
    )
    metrics = TIMING(chosen, folder, journal, options)
    found = json.loads((folder / "timing" / "timing.json").read_text())
    if not as_json:
        for path in (*found["setup_paths"][:3], *found["static_paths"][:1]):
            journal.console.print(_line(path))
        journal.console.print(f"worst hold slack: {found['hold_slack_ns']:.3f} ns")
    finish(journal, found | {"metrics": [metric.to_dict() for metric in metrics]}, as_json, folder / "timing")


def _line(path: dict[str, Any]) -> str:
    through = ", ".join(f"{p['stage']} {p['delay_ns']:.2f} ns ({p['cells']} cells)" for p in path["through"])
    delay, slack = f"{path['delay_ns']:.2f} ns", f"{path['slack_ns']:.2f} ns"
    return f"{path['start']} -> {path['end']}: {delay} through {through}; slack {slack}"
