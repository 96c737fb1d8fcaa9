"""What a command did: timed steps with a progress display, and checks with their counts."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from flows.common.metrics import now
from flows.common.process import MemoryWatch
from sim.files import replacing

HEARTBEAT_S = 15.0
"""Where there is no terminal, a running step says so this often."""


def origin() -> str:
    """Version, command that is running, and date, as reports show them under figures."""
    command = " ".join([Path(sys.argv[0]).name, *map(shlex.quote, sys.argv[1:])])
    return f"liquidcal {metadata.version('liquidcal')}; {command}; {now()}"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison with its verdict.

    Attributes
    ----------
    name : str
        What was compared with what.
    passed : bool
    compared : int
        Things compared; a check that compared nothing has not passed.
    unit : str
        What was counted.
    detail : str
        First difference, or what the figures mean.
    key : str
        Name among metrics: what was checked and of what, e.g. ``random_crossings__spec:ECON_T``. It does not change
        with seeds, counts and wording; empty for a check that is no metric.
    """

    name: str
    passed: bool
    compared: int
    unit: str
    detail: str = ""
    key: str = ""

    def __post_init__(self) -> None:
        if self.passed and self.compared < 1:
            raise ValueError(f"check {self.name!r} compared nothing and cannot have passed")


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step and what it took.

    Attributes
    ----------
    name : str
    seconds : float
        Wall clock.
    cpu_s : float or None
        Processor time of this process and of its children that have ended, which other jobs of the machine disturb
        less; None for results that were kept since before it was recorded.
    peak_mb : float or None
        Largest memory of this process and its children together, sampled; None where the system does not tell.
    kept : str
        When the result was made, if this run found it unchanged; time and memory are then of that run.
    """

    name: str
    seconds: float
    cpu_s: float | None = None
    peak_mb: float | None = None
    kept: str = ""


@dataclass
class Journal:
    """Collects steps and checks of one command and shows them on a terminal.

    Attributes
    ----------
    console : Console
        Where progress goes: standard error, so that ``--json`` keeps standard output clean.
    """

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False))
    steps: list[Step] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @contextmanager
    def step(self, name: str, total: int | None = None, *, unit: str = "") -> Iterator[Callable[[int], None]]:
        """Time a step and show it running: on a terminal with a bar, elsewhere with a line every 15 s.

        Parameters
        ----------
        name : str
            Shown and recorded.
        total : int, optional
            Units of work; without it the bar only moves.
        unit : str, optional
            What is counted where there is no total.

        Yields
        ------
        callable
            Call it with the number of units done since the last call.
        """
        start, cpu_start = time.perf_counter(), _cpu_s()
        live = self.console.is_terminal
        if not live:
            self.console.print(f"  start {name}")
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            progress.update(task, advance=more, counted=_counted(done, None, unit))

        def pulse() -> None:
            while not ended.wait(HEARTBEAT_S):
                seconds = time.perf_counter() - start
                of = ", ".join(filter(None, [_counted(done, total, unit), f"{seconds:.0f} s"]))
                self.console.print(f"  still {name} [dim]({of})[/]")

        columns = (
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24),
            TextColumn("{task.fields[counted]}"), TimeElapsedColumn(),
        )  # fmt: skip
        with Progress(*columns, console=self.console, transient=True, disable=not live) as progress:
            task = progress.add_task(name, total=total, counted="")
            ended, heart = threading.Event(), threading.Thread(target=pulse, daemon=True)
            if not live:
                heart.start()
            memory = MemoryWatch()
            try:
                yield advance
            finally:
                peak_mb = memory.stop()
                ended.set()
                if not live:
                    heart.join()
        seconds = time.perf_counter() - start
        cpu_s = round(_cpu_s() - cpu_start, 2)
        self.steps.append(Step(name=name, seconds=round(seconds, 2), cpu_s=cpu_s, peak_mb=peak_mb))
        self.console.print(f"  [green]done[/]  {name} [dim]({seconds:.1f} s)[/]")

    def check(self, check: Check) -> None:
        """Record a check and show its verdict."""
        self.checks.append(check)
        verdict = "[green]pass[/]" if check.passed else "[bold red]FAIL[/]"
        detail = f" [dim]{check.detail}[/]" if check.detail else ""
        self.console.print(f"  {verdict}  {check.name}: {check.compared:,} {check.unit}{detail}")

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing failed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def save(self, path: Path) -> None:
        """Write steps and checks as JSON, with the command that is running, the version and the date."""
        content = {
            "steps": [asdict(s) for s in self.steps],
            "checks": [asdict(c) for c in self.checks],
            "origin": origin(),
        }
        with replacing(path) as file:
            json.dump(content, file, indent=1)
            file.write("\n")


def _cpu_s() -> float:
    """Processor time so far, with that of children that have ended."""
    return sum(os.times()[:4])


def _counted(done: int, total: int | None, unit: str) -> str:
    """How far a step is; empty where nothing is counted."""
    if total is not None:
        return f"{done:,} of {total:,}"
    return f"{done:,} {unit}" if unit else ""
