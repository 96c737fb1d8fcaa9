"""Running a program as a process group of its own: timeout, peak memory, log."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["SimulatorError", "resident_bytes", "run_group"]


class MemoryWatch:
    """Samples the resident memory of this process and all its descendants until stopped (Linux)."""

    INTERVAL_S = 0.2

    def __init__(self) -> None:
        self._peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._peak = max(self._peak, resident_bytes(os.getpid()))
            if self._stop.wait(self.INTERVAL_S):
                return

    def stop(self) -> float | None:
        """Peak in MB; None if nothing could be read."""
        self._stop.set()
        self._thread.join()
        return round(self._peak / 1e6, 1) if self._peak else None


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


class SimulatorError(RuntimeError):
    """Verilator or the C++ compiler is missing, failed, or ran into its time limit. `log` is what it wrote."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


def run_group(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float, name: str) -> str:
    """Run a command in a process group of its own; return what it wrote.

    Raises
    ------
    SimulatorError
        If it ends with another status than 0, or is ended at the time limit. Nothing of it survives in either case,
        nor after Ctrl-C.
    """
    child = subprocess.Popen(
        list(command), cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    )  # fmt: skip
    try:
        log, _ = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise SimulatorError(f"{name} was ended after its limit of {timeout_s:g} s") from None
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
    if child.returncode != 0:
        reason = next((line for line in log.splitlines() if "rror" in line), log[-200:])
        raise SimulatorError(f"{name} failed with status {child.returncode}: {reason.strip()}", log)
    return log


_PAGE_BYTES = resource.getpagesize()


def group_memory(group: int) -> int:
    """Resident bytes of all processes of a process group, 0 where /proc does not tell."""
    total = 0
    try:
        pids = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return 0
    for pid in pids:
        try:
            if os.getpgid(int(pid)) != group:
                continue
            total += int(Path("/proc", pid, "statm").read_text().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError, ValueError):
            continue
    return total
