"""``liquidcal time``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import AsJson, ClockGating, LoadingOption, Out, Preset, Reuse, SchemeOption, finish
from flows.journal import Check, Journal

if TYPE_CHECKING:  # slow to import
    from flows.designs import Design
    from flows.metrics import Metric
    from flows.physical import Mapped
    from flows.timing import TimingReport


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
    from flows.designs import design
    from flows.physical import Mapped, timing_dict

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, clock_gating=clock_gating)
    journal = Journal()
    mapped = Mapped(folder=out / chosen.name)
    report, metrics = run_timing(journal, chosen, mapped, preset=preset, period_ns=period_ns, paths=paths)
    if not as_json:
        for path in (*report.paths[:3], *report.static_paths[:1]):
            journal.console.print(str(path))
        journal.console.print(f"worst hold slack before buffers are added: {report.hold_slack_ns:.3f} ns")
    finish(journal, timing_dict(report) | {"metrics": [metric.to_dict() for metric in metrics]}, as_json)


def run_timing(
    journal: Journal,
    chosen: Design,
    mapped: Mapped,
    *,
    preset: str,
    period_ns: float | None = None,
    paths: int = 10,
) -> tuple[TimingReport, tuple[Metric, ...]]:
    """Time a synthesised design and judge its setup slack."""
    from flows.physical import measure_timing

    period_ns = chosen.period_ns if period_ns is None else period_ns
    with journal.step(f"OpenSTA on {mapped.netlist.cells:,} cells"):
        command = f"liquidcal time {preset} --period {period_ns:g}{chosen.options}"
        report, metrics = measure_timing(mapped, period_ns=period_ns, reuse=chosen.reuse, paths=paths, command=command)
    journal.check(
        Check(
            name=f"setup at {1000 / period_ns:g} MHz",
            passed=report.setup_slack_ns >= 0,
            compared=len(report.endpoint_slacks_ns),
            unit="end points",
            detail=f"slack {report.setup_slack_ns:.2f} ns after {report.plan.uncertainty_ns:.2f} ns of skew and "
            f"jitter; largest clock {report.fmax_mhz:.1f} MHz",
        )
    )
    return report, metrics
