"""Running a program in a process group of its own: time limit, peak memory, log, nothing left behind.

Every program that a flow starts is started here: `run_process` for a program, `run_module` for a part of liquidcal that
runs in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.common.errors import ToolError, ToolTimeout

__all__ = ["Finished", "MemoryWatch", "resident_bytes", "run_module", "run_process"]

MEMORY_INTERVAL_S = 0.2
"""Least time between two samples of the memory of a running process."""
MEMORY_SHARE = 0.01
"""Share of a core that the samples may take; of a process with gigabytes one takes some ten milliseconds."""
SOONEST_S = 0.02
"""Time between the first two samples."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A program that ended by itself.

    Attributes
    ----------
    status : int
        Exit status; negative: the signal that ended it.
    log : str
        What it and its children wrote to standard output and standard error.
    wall_s : float
        Wall-clock time in seconds.
    cpu_s : float
        User and system time of the program and of its children that it waited for, in seconds.
    peak_memory_bytes : int
        Largest resident memory of the program and its descendants together, sampled every 0.2 s, in the beginning more
        often; 0 on a system without ``/proc``. The kernel's own maximum (``ru_maxrss``) would be wrong: it counts the
        memory of the caller, which the process had for a moment before it became the program.
    """

    status: int
    log: str
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int

    def reason(self, mark: str = "rror") -> str:
        """The first line of the log that holds `mark`, else the last 200 characters: why it failed, in its words."""
        found = next((line for line in self.log.splitlines() if mark in line), self.log[-200:])
        return found.strip() or f"status {self.status}, no output"


def run_process(
    command: Sequence[str | Path],
    *,
    tool: str,
    task: str = "",
    directory: Path,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    leash: bool = False,
) -> Finished:
    """Run a program and wait for its end, whatever its exit status: the caller knows what a status means.

    Parameters
    ----------
    command : sequence of str or Path
        Program and arguments.
    tool : str
        Name of the program.
    task : str
        What it does, as the subject of messages; `tool` if left out.
    directory : Path
        Working directory.
    timeout_s : float
        Wall-clock limit in seconds. At the limit the whole process group is ended.
    environment : mapping of str to str, optional
        All environment variables; those of this process if left out.
    log : Path, optional
        File for what the program writes; none stays if left out.
    leash : bool
        Standard input is a pipe that closes when this process ends (`flows.common.leash`); empty otherwise.

    Returns
    -------
    Finished
        Status, log, time and memory. Nothing of the process group survives, nor after an exception or Ctrl-C.

    Raises
    ------
    ToolError
        The program is not there or cannot be started.
    ToolTimeout
        It was ended at the limit.
    """
    if timeout_s <= 0:
        raise ValueError(f"timeout_s must be positive, got {timeout_s}")
    task = task or tool
    with tempfile.TemporaryFile() if log is None else log.open("w+b") as file:
        start = time.monotonic()
        try:
            child = subprocess.Popen(
                [os.fspath(part) for part in command], cwd=directory, env=environment, stdout=file,
                stdin=subprocess.PIPE if leash else subprocess.DEVNULL, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise ToolError(tool, f"{tool} is missing: {error}") from None
        except PermissionError as error:
            raise ToolError(tool, f"{tool} cannot be started: {error}") from None
        try:
            ended = _wait(child, start, timeout_s)
        finally:
            _end_group(child)
        wall_s = time.monotonic() - start
        file.seek(0)
        text = file.read().decode(errors="replace")
    if ended is None:
        where = "" if log is None else f" (log: {log})"
        raise ToolTimeout(tool, f"{task} was ended after its limit of {timeout_s:g} s{where}", text)
    status, cpu_s, peak = ended
    return Finished(status=status, log=text, wall_s=wall_s, cpu_s=cpu_s, peak_memory_bytes=peak)


def run_module(
    module: str, *arguments: str, tool: str, task: str = "", directory: Path, timeout_s: float, log: Path | None = None
) -> Finished:
    """Run a module of liquidcal in a Python process of its own; parameters and errors as of `run_process`.

    The module calls `flows.common.leash.end_with_caller` first: it then ends with this process, even if that is killed.
    """
    environment = dict(os.environ)
    # the process imports `flows` from wherever this copy lives, installed or not
    here = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [environment.get("PYTHONPATH")])])
    return run_process(
        [sys.executable, "-m", module, *arguments], tool=tool, task=task, directory=directory,
        timeout_s=timeout_s, environment=environment, log=log, leash=True,
    )  # fmt: skip


def _wait(child: subprocess.Popen[bytes], start: float, timeout_s: float) -> tuple[int, float, int] | None:
    """Exit status, processor time in seconds and peak memory in bytes of a child; None at the limit."""
    peak, due, pause = 0, start, 0.001
    while True:
        # wait4 and not `child.wait`: only it gives the resources of this one child
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode, usage.ru_utime + usage.ru_stime, peak
        now = time.monotonic()
        if now - start > timeout_s:
            return None
        if now >= due:
            found, interval = _sampled(child.pid, now - start)
            peak, due = max(peak, found), now + interval
        # short runs end at once, long ones cost nothing
        pause = min(2 * pause, 0.05)
        time.sleep(pause)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End what is left of the group of a child: also of one that ended, which may have left children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    if child.stdin is not None:
        child.stdin.close()
    child.wait()


class MemoryWatch:
    """Samples the resident memory of this process and all its descendants until stopped (Linux)."""

    def __init__(self) -> None:
        self._peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        start = time.monotonic()
        while True:
            found, interval = _sampled(os.getpid(), time.monotonic() - start)
            self._peak = max(self._peak, found)
            if self._stop.wait(interval):
                return

    def stop(self) -> float | None:
        """Peak in MB; None if nothing could be read."""
        self._stop.set()
        self._thread.join()
        return round(self._peak / 1e6, 1) if self._peak else None


def _sampled(pid: int, elapsed_s: float) -> tuple[int, float]:
    """`resident_bytes`, and how long to wait for the next sample: the kernel walks all pages of a process for one.

    A run that has just begun is sampled more often, lest a short one is missed.
    """
    start = time.thread_time()
    found = resident_bytes(pid)
    interval = max(MEMORY_INTERVAL_S, (time.thread_time() - start) / MEMORY_SHARE)
    return found, min(interval, max(elapsed_s / 4, SOONEST_S))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants; 0 for one that is gone or on a system without ``/proc``.

    Pages that processes share count once (proportional set size): a child that was just forked takes nothing.
    """
    process = Path("/proc", str(pid))
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
        total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        children = [child for task in process.glob("task/*/children") for child in task.read_text().split()]
    except (OSError, StopIteration, ValueError):
        return 0
    return total + sum(resident_bytes(int(child)) for child in children)
