"""yosys as a measured subprocess: own process group, time limit, peak memory, no yosys-abc left behind.

yosys (Claire Wolf and contributors, ISC licence) comes as the `pyosys` wheel. It runs in a separate process since an
error inside yosys ends its process, and since its memory would otherwise stay with the caller.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flows.common.process import group_memory

__all__ = ["YosysError", "YosysRun", "quote", "run_yosys", "yosys_version"]

DEPENDS_ON = ("_yosys_child.py",)

_POLL_S = 0.05


class YosysError(RuntimeError):
    """yosys refused the design or the script, or ran into its time limit. `log` is the whole log text."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True, kw_only=True)
class YosysRun:
    """What one yosys process did.

    Attributes
    ----------
    log : str
        Everything that yosys and yosys-abc wrote.
    wall_s : float
        Wall-clock time in seconds.
    cpu_s : float
        User and system time of the process and its children in seconds.
    peak_memory_bytes : int
        Largest resident memory of the process group (yosys and its yosys-abc together, sampled every 50 ms),
        at least the largest single process as the kernel counted it.
    """

    log: str
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int


def quote(path: str | os.PathLike[str]) -> str:
    """A path as one token of a yosys script; yosys has no escape for a quote or a newline, so these are refused."""
    text = os.fspath(path)
    if '"' in text or "\n" in text:
        raise ValueError(f"yosys cannot read a path that holds a quote or a newline: {text!r}")
    return f'"{text}"'


def run_yosys(script: str, *, directory: Path, name: str = "yosys", timeout_s: float = 1200.0) -> YosysRun:
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
    YosysRun
        Log, time and memory.

    Raises
    ------
    YosysError
        yosys ended with an error, was killed, or ran past `timeout_s`. The message holds its last error line.
    """
    if timeout_s <= 0:
        raise ValueError(f"timeout_s must be positive, got {timeout_s}")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise ValueError(f"a run's name is made of letters, digits, '_', '.' and '-', got {name!r}")
    directory = directory.resolve(strict=True)
    script_path = directory / f"{name}.ys"
    log_path = directory / f"{name}.log"
    script_path.write_text(script)
    environment = dict(os.environ)
    # the child imports `flows` from wherever this copy lives, installed or not
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).resolve().parents[2]), *filter(None, [environment.get("PYTHONPATH")])]
    )
    peak = 0
    start = time.monotonic()
    with log_path.open("wb") as log_file:
        child = subprocess.Popen(
            [sys.executable, "-m", "flows.tools._yosys_child", script_path.name],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        timed_out = False
        try:
            while True:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                if pid:
                    break
                peak = max(peak, group_memory(child.pid))
                if time.monotonic() - start > timeout_s:
                    timed_out = True
                    os.killpg(child.pid, signal.SIGKILL)
                    _, status, usage = os.wait4(child.pid, 0)
                    break
                time.sleep(_POLL_S)
            child.returncode = os.waitstatus_to_exitcode(status)
        finally:
            # reached with Ctrl-C as well; an empty group is no error
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            if child.stdin is not None:
                child.stdin.close()
            if child.returncode is None:
                child.wait()
    wall_s = time.monotonic() - start
    log = log_path.read_text(errors="replace")
    if timed_out:
        raise YosysError(f"yosys run {name!r} was ended after its limit of {timeout_s:g} s (log: {log_path})", log)
    if child.returncode != 0:
        errors = [line for line in log.splitlines() if "ERROR" in line] or log.splitlines()[-1:]
        reason = errors[-1].strip() if errors else "no output"
        raise YosysError(f"yosys run {name!r} failed with status {child.returncode}: {reason}", log)
    return YosysRun(
        log=log,
        wall_s=wall_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_memory_bytes=max(peak, usage.ru_maxrss * 1024),
    )


@cache
def yosys_version() -> str:
    """Version of the yosys that runs, as it tells itself: ``"0.70"``, with its commit where known."""
    code = "from pyosys import libyosys; print(libyosys.yosys_maybe_version())"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"Yosys ([0-9][^\n(]*)(?:\(git sha1 ([0-9a-f]+))?", result.stdout)
    if found is None:
        raise YosysError(f"pyosys does not tell its version: {(result.stdout + result.stderr)[-200:]!r}")
    number = found.group(1).strip()
    return f"{number} (git sha1 {found.group(2)[:9]})" if found.group(2) else number
