"""Step: static timing of a synthesised design, placed or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.common.journal import Check, Journal
from flows.common.metrics import Metric
from flows.designs.design import Design
from flows.physical.mapped import Mapped
from flows.physical.measure import measure_timing
from flows.steps.step import Step

__all__ = ["TIMING", "TimingOptions", "time_design"]


@dataclass(frozen=True, kw_only=True)
class TimingOptions:
    """What is timed.

    Attributes
    ----------
    period_ns : float or None
        Period of the clock; None: the design's own.
    paths : int
        Worst paths to report.
    slow, fast : tuple of Path
        Liberty files for setup and hold; the kit's own corners where left out.
    early : float
        Factor of all delays at hold: below 1 for a fast corner that is assumed.
    io_share : float
        Share of the period that inputs and outputs spend outside.
    """

    period_ns: float | None = None
    paths: int = 10
    slow: tuple[Path, ...] = ()
    fast: tuple[Path, ...] = ()
    early: float = 1.0
    io_share: float = 0.0

    def command(self, period_ns: float) -> str:
        """As the command line takes them."""
        corners = [f"--{name} {path}" for name in ("slow", "fast") for path in getattr(self, name)]
        share = [f"--early {self.early:g}"] if self.early != 1 else []
        share += [f"--io-share {self.io_share:g}"] if self.io_share else []
        return " ".join([f"--period {period_ns:g}", *corners, *share])


def time_design(
    design: Design, folder: Path, journal: Journal, options: TimingOptions | None = None
) -> tuple[Metric, ...]:
    """Time a synthesised design and judge its setup slack; paths are in ``timing/timing.json``."""
    options, mapped = options or TimingOptions(), Mapped(folder=folder)
    period_ns = design.period_ns if options.period_ns is None else options.period_ns
    with journal.step(f"OpenSTA on {mapped.netlist.cells:,} cells"):
        report, metrics = measure_timing(
            mapped, period_ns=period_ns, internal=design.internal_clocks, one_source=design.one_source,
            clock_high=design.clock_high,
            paths=options.paths, slow=options.slow, fast=options.fast, early=options.early,
            io_share=options.io_share,
            command=design.command("time", options.command(period_ns)),
        )  # fmt: skip
    journal.check(
        Check(
            name=f"setup at {1000 / period_ns:g} MHz", passed=report.setup_slack_ns >= 0,
            compared=len(report.endpoint_slacks_ns), unit="end points",
            detail=f"slack {report.setup_slack_ns:.2f} ns after {report.plan.uncertainty_ns:.2f} ns of skew and "
            f"jitter; largest clock {report.fmax_mhz:.1f} MHz",
        )
    )  # fmt: skip
    return metrics


TIMING = Step(
    name="time",
    work=time_design,
    options=TimingOptions,
    reads=("synthesis/netlist.json", "placement/placement.npz", "placement/repair.json"),
    writes=("timing/timing.json", "timing/metrics.json"),
    tools=("OpenSTA", "numpy"),
)
