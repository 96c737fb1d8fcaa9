"""Step: static timing of a placed design."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.common.journal import Check, Journal

if TYPE_CHECKING:
    from flows.common.metrics import Metric
    from flows.designs.design import Design
    from flows.physical.mapped import Mapped
    from flows.physical.timing import TimingReport

__all__ = ["run_timing"]


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
    from flows.physical.measure import measure_timing

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
