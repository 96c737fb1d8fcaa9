"""What all benchmarks share: figures with their origin, kept results, baselines in environments of their own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from flows.common.metrics import Metric, now, package_version, read_metrics
from flows.library.library import CellLibrary

__all__ = ["LIQUIDCAL", "REPOSITORY", "RESULTS", "Baseline", "Rows", "baseline_python", "kept", "record", "written_by"]

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results"
LIQUIDCAL = "{} (numpy {}, numba {})".format(*map(package_version, ("liquidcal", "numpy", "numba")))
"""Version of the golden models: theirs, and of the libraries that compute for them."""


def written_by(command: str) -> dict[str, str]:
    """Origin of tables as text: command, tool and date."""
    return {"command": command, "tool": f"liquidcal {package_version('liquidcal')}", "date": now()}


def record(
    name: str,
    value: float | str,
    unit: str,
    method: str,
    *,
    command: str,
    tool: str = "liquidcal",
    version: str = "",
    library: CellLibrary | None = None,
) -> Metric:
    """One figure of a benchmark.

    Parameters
    ----------
    name, value, unit, method, command
        As in `Metric`; the command is what a user types to measure again.
    tool, version : str, optional
        What computed it; the version of this distribution if left out.
    library : CellLibrary, optional
        Cells that it holds for.
    """
    return Metric(
        name=name, value=value, unit=unit, tool=tool, tool_version=version or package_version("liquidcal"),
        library=library.name if library else "", library_sha256=library.sha256 if library else "",
        method=method, command=command, date=now(),
    )  # fmt: skip


class Rows(list[Metric]):
    """Figures of one run in the order in which they come, each printed as it comes.

    Parameters
    ----------
    command, tool, version
        As in `record`, for all rows.
    """

    def __init__(self, command: str, tool: str = "liquidcal", version: str = "") -> None:
        super().__init__()
        self._command, self._tool, self._version = command, tool, version

    def add(self, name: str, value: float, unit: str, method: str, tool: str = "", version: str = "") -> None:
        """Add and print a figure; tool and version are those of the run if left out."""
        print(f"{value:14,} {unit}  {method}", flush=True)
        made = record(
            name, value, unit, method, command=self._command, tool=tool or self._tool, version=version or self._version
        )
        self.append(made)

    def add_load(self, name: str, load: float, when: str) -> None:
        """Add the load average over one minute, which says how quiet the machine was."""
        method = f"load average over one minute at the {when} of the run ({os.cpu_count()} cores, {platform.machine()})"
        self.add(name, round(load, 2), "", method, "Linux", platform.release())


def kept(path: Path, replaced: Callable[[Metric], bool]) -> list[Metric]:
    """Rows of an earlier run that stay: all but those that this run replaces; none without a file."""
    return [metric for metric in read_metrics(path) if not replaced(metric)] if path.is_file() else []


def baseline_python(environment: str) -> Path:
    """Python of a baseline's environment, ``.venv-NAME`` in the repository.

    Raises
    ------
    SystemExit
        If it is not installed; the message says how to.
    """
    python = REPOSITORY / f".venv-{environment}" / "bin" / "python"
    if not python.exists():
        how = (
            "run `make bench`"
            if environment == "baselines"
            else f"install benchmarks/baselines/{environment}-requirements.txt"
        )
        raise SystemExit(f"no {python.parents[1].name}: {how}")
    return python


class Baseline:
    """A program of `benchmarks/baselines` in its own environment: a line of JSON at the start and for each request.

    Parameters
    ----------
    python : Path
        See `baseline_python`.
    program : str
        File name in `benchmarks/baselines`.
    arguments : Path or str
        Of the program.

    Attributes
    ----------
    about : dict
        Its first answer.
    """

    def __init__(self, python: Path, program: str, *arguments: Path | str) -> None:
        self._program = program
        command = [python, REPOSITORY / "benchmarks" / "baselines" / program, *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            # libraries print what they like; answers are objects
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError(f"{self._program} ended with code {self._process.wait()}, see its message above")

    def ask(self, request: str) -> dict[str, Any]:
        """Send one line, read one."""
        assert self._process.stdin is not None
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
