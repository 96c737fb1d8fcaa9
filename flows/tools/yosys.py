"""yosys as a measured subprocess: own process group, time limit, peak memory, no yosys-abc left behind.

yosys (Claire Wolf and contributors, ISC licence) comes as the `pyosys` wheel. It runs in a separate process since an
error inside yosys ends its process, and since its memory would otherwise stay with the caller.
"""

import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flows.common.errors import ToolError
from flows.common.process import Finished, run_module, run_process

__all__ = ["SatAnswers", "YosysError", "quote", "run_abc", "run_yosys", "sat_answers", "yosys_version"]

DEPENDS_ON = ("_yosys_child.py",)


class YosysError(ToolError):
    """yosys refused the design or the script. `log` is the whole log text."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__("yosys", message, log)


@dataclass(frozen=True, kw_only=True)
class SatAnswers:
    """What the runs of ``sat -verify`` of one script answered, as its log says.

    Attributes
    ----------
    proved : int
        Goals that hold for every input.
    refuted : bool
        The last goal does not; the script ended there.
    undecided : bool
        The solver gave up at its own limit (``sat -timeout``); the script ended there.
    model : dict of str to int
        Values of signals, without the backslash, for which the refuted goal fails.
    """

    proved: int
    refuted: bool
    undecided: bool
    model: dict[str, int]


def sat_answers(log: str) -> SatAnswers:
    """Read the log of a script with ``sat -verify`` commands."""
    refuted = "model found: FAIL" in log
    values = re.findall(r"^\s+\\(\w+)\s+\S+\s+\S+\s+([01]+)\s*$", log, re.MULTILINE) if refuted else []
    return SatAnswers(
        proved=log.count("SAT proof finished - no model found: SUCCESS!"), refuted=refuted,
        undecided="Interrupted SAT solver: TIMEOUT" in log,
        model={signal: int(binary, 2) for signal, binary in values},
    )  # fmt: skip


def quote(path: str | os.PathLike[str]) -> str:
    """A path as one token of a yosys script; yosys has no escape for a quote or a newline, so these are refused."""
    text = os.fspath(path)
    if '"' in text or "\n" in text:
        raise ValueError(f"yosys cannot read a path that holds a quote or a newline: {text!r}")
    return f'"{text}"'


def run_yosys(script: str, *, directory: Path, name: str = "yosys", timeout_s: float = 1200.0) -> Finished:
    """Run a yosys script in a process of its own.

    Parameters
    ----------
    script : str
        yosys commands, one a line. Relative paths in it are relative to `directory`.
    directory : Path
        Existing working directory; ``<name>.ys`` and ``<name>.log`` are written there.
    name : str
        Name of the run.
    timeout_s : float
        Wall-clock limit in seconds. At the limit the whole process group is ended.

    Returns
    -------
    Finished
        Log, time and memory of yosys and yosys-abc together.

    Raises
    ------
    YosysError
        yosys ended with an error or was killed. The message holds its last error line.
    ToolTimeout
        It ran past `timeout_s`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"a run's name is made of letters, digits, '_', '.' and '-', got {name!r}")
    directory = directory.resolve(strict=True)
    script_path = directory / f"{name}.ys"
    script_path.write_text(script)
    done = run_module(
        "flows.tools._yosys_child", script_path.name, tool="yosys", task=f"yosys run {name!r}",
        directory=directory, timeout_s=timeout_s, log=directory / f"{name}.log",
    )  # fmt: skip
    if done.status != 0:
        errors = [line for line in done.log.splitlines() if "ERROR" in line] or done.log.splitlines()[-1:]
        reason = errors[-1].strip() if errors else "no output"
        raise YosysError(f"yosys run {name!r} failed with status {done.status}: {reason}", done.log)
    return done


def run_abc(commands: str, *, directory: Path, timeout_s: float) -> str:
    """Run commands of the yosys-abc that comes with pyosys; what it wrote.

    Raises
    ------
    YosysError
        It is missing, or ended with an error.
    ToolTimeout
        It ran past `timeout_s` seconds.
    """
    found = importlib.util.find_spec("pyosys")
    places = list(found.submodule_search_locations or ()) if found else []
    program = next((path for path in (Path(place, "yosys-abc") for place in places) if path.is_file()), None)
    if program is None:
        raise YosysError("yosys-abc is missing: it comes with the `pyosys` wheel")
    done = run_process([program, "-c", commands], tool="yosys-abc", directory=directory, timeout_s=timeout_s)
    # abc ends with status 0 after an error in a command
    if done.status != 0 or "** cmd error" in done.log:
        raise YosysError(f"yosys-abc failed with status {done.status}: {done.reason()}", done.log)
    return done.log


@cache
def yosys_version() -> str:
    """Version of the yosys that runs, as it states it: ``"0.70"``, with its commit where known."""
    code = "from pyosys import libyosys; print(libyosys.yosys_maybe_version())"
    done = run_process([sys.executable, "-c", code], tool="pyosys", directory=Path.cwd(), timeout_s=60)
    found = re.search(r"Yosys ([0-9][^\n(]*)(?:\(git sha1 ([0-9a-f]+))?", done.log)
    if found is None:
        raise YosysError(f"pyosys does not state its version: {done.log[-200:]!r}", done.log)
    number = found.group(1).strip()
    return f"{number} (git sha1 {found.group(2)[:9]})" if found.group(2) else number
