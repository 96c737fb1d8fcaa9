"""Temporary folders that do not outlive their process, however it ends.

Everything that a run puts into the system's folder for temporary files, programs that it starts included, goes into
one folder of its own. It is removed at the end, at a signal too; what a run left that was killed is removed by the next
one. A lock of the operating system (``flock``) on the folder says whether its run is alive: process numbers are used
again, and differ between containers that share a disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from sim.files import hold, remove_abandoned

__all__ = ["ended_by_signals", "locked_folder", "scratch_folder"]

_PREFIX = "liquidcal-run-"


@contextmanager
def locked_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent` that is locked while the block runs; those of dead runs with the prefix are removed.

    It is removed at the end unless it was renamed.
    """
    remove_abandoned(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = hold(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Where `tempfile` and the environment variable ``TMPDIR`` point to while the block runs."""
    before, variable = tempfile.tempdir, os.environ.get("TMPDIR")
    with locked_folder(Path(tempfile.gettempdir()), _PREFIX) as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield folder
        finally:
            tempfile.tempdir = before
            if variable is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = variable


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as an exception does, with what it has to clean up: exit code 128 + number."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before: dict[int, Any] = {}
    # ValueError: not in the main thread, where whoever runs this has handlers of his own
    with suppress(ValueError):
        # a signal that is ignored stays so: ``nohup`` wants it
        before = {n: signal.signal(n, leave) for n in numbers if signal.getsignal(n) == signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
