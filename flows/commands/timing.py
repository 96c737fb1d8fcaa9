"""``liquidcal time``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import AsJson, ClockGating, LoadingOption, Out, Preset, Reuse, SchemeOption, finish
from flows.common.journal import Journal
from flows.steps.timing import run_timing

if TYPE_CHECKING:  # slow to import
    pass


def timing(
    preset: Preset,
    out: Out = Path("report"),
    period_ns: Annotated[
        float | None,
        typer.Option("--period", min=0.01, help="Clock period in ns: 25, or a crossbar's own, if left out."),
    ] = None,
    paths: Annotated[int, typer.Option(min=1, help="Worst paths to tell.")] = 10,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    as_json: AsJson = False,
) -> None:
    """Time a synthesised design with OpenSTA: slack at the clock, largest clock, worst paths from register to register.

    Wires are those of the placement, else the library's wire load.
    """
    from flows.designs.design import design
    from flows.physical.mapped import Mapped
    from flows.physical.measure import timing_dict

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, clock_gating=clock_gating)
    journal = Journal()
    mapped = Mapped(folder=out / chosen.name)
    report, metrics = run_timing(journal, chosen, mapped, preset=preset, period_ns=period_ns, paths=paths)
    if not as_json:
        for path in (*report.paths[:3], *report.static_paths[:1]):
            journal.console.print(str(path))
        journal.console.print(f"worst hold slack before buffers are added: {report.hold_slack_ns:.3f} ns")
    finish(journal, timing_dict(report) | {"metrics": [metric.to_dict() for metric in metrics]}, as_json)
