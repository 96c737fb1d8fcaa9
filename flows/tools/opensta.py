"""OpenSTA: the program, its version, one run with named reports.

OpenSTA (James Cherry, Parallax Software, GPL-3) runs as Debian's program ``sta``; version 2.0.17 gives the arrival
times of later ones to four digits.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.common.errors import ToolError
from flows.common.process import run_process

__all__ = ["OpenStaError", "run_sta", "sta_version"]


class OpenStaError(ToolError):
    """OpenSTA is missing, or refused a library, a netlist or a command. `log` is what it wrote."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__("OpenSTA", message, log)


def _sta_program() -> str:
    found = shutil.which("sta")
    if found is None:
        raise OpenStaError("OpenSTA is missing: install Debian's package `opensta` (program `sta`)")
    return found


def sta_version() -> str:
    """Version of the OpenSTA that runs; ``unknown`` where it does not state one.

    Raises
    ------
    OpenStaError
        It is not installed.
    """
    done = run_process([_sta_program(), "-version"], tool="OpenSTA", directory=Path.cwd(), timeout_s=60, environment={})
    found = re.search(r"\d+\.\d+\.\d+", done.log)
    return found.group() if found else "unknown"


def run_sta(
    commands: Sequence[str],
    *,
    reports: Mapping[str, Sequence[str]],
    directory: Path,
    name: str = "timing",
    timeout_s: float = 900.0,
) -> dict[str, str]:
    """Run OpenSTA once.

    Parameters
    ----------
    commands : sequence of str
        Tcl commands that read library, netlist and constraints. Relative paths in them are relative to `directory`.
    reports : mapping of str to sequences of str
        Commands of each report, run after `commands` in this order.
    directory : Path
        Existing working directory; ``<name>.tcl`` is written there.
    name : str
        Name of the run.
    timeout_s : float
        Wall-clock limit in seconds.

    Returns
    -------
    dict of str to str
        What the commands of each report wrote.

    Raises
    ------
    OpenStaError
        OpenSTA is missing, printed an error, failed, or ended before the last report.
    ToolTimeout
        It ran past `timeout_s`.
    """
    lines = list(commands)
    for report, report_commands in reports.items():
        lines += [f'puts "begin_of_report {report}"', *report_commands]
    (directory / f"{name}.tcl").write_text("\n".join([*lines, "exit", ""]))
    done = run_process(
        [_sta_program(), "-no_init", "-no_splash", "-exit", f"{name}.tcl"], tool="OpenSTA", task=f"OpenSTA ({name})",
        directory=directory, timeout_s=timeout_s,
    )  # fmt: skip
    # a Tcl error ends the script, but not always with another status than 0
    if found := re.search(r"^Error: (.*)$", done.log, re.MULTILINE):
        raise OpenStaError(f"OpenSTA ({name}): {found[1]}", done.log)
    if done.status != 0:
        raise OpenStaError(f"OpenSTA ({name}) failed with status {done.status}: {done.reason()}", done.log)
    parts = re.split(r"^begin_of_report (\w+)$", done.log, flags=re.MULTILINE)
    result = dict(zip(parts[1::2], parts[2::2], strict=True))
    if missing := reports.keys() - result.keys():
        end = done.log[-200:].strip()
        raise OpenStaError(f"OpenSTA ({name}) ended before its report {min(missing)}: {end}", done.log)
    return result
