"""A Python process that ends with its caller, however the caller ends.

`flows.common.process.run_module` starts such a process and holds the other end of its standard input. A small watcher
process reads it: when it closes, because the caller is done or because the caller was killed, the watcher ends the
whole process group, programs that the process started (yosys-abc) included.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["end_with_caller"]


def end_with_caller(module: str) -> None:
    """Bind this process group to the pipe at standard input; the process itself reads nothing from then on.

    Parameters
    ----------
    module : str
        Name of the calling module, for the message to somebody who starts it by hand.
    """
    if os.getpgrp() != os.getpid():
        # the watcher ends a whole group: never that of a shell or a test runner
        sys.exit(f"{module} must lead its own process group; use flows.common.process.run_module")
    pipe = os.dup(0)
    if os.fork() == 0:
        _watch(pipe)
    os.close(pipe)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _watch(pipe: int) -> None:
    """Wait until the caller's end of `pipe` closes, then end every process of this group, itself included."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    while os.read(pipe, 1):
        pass
    os.killpg(0, signal.SIGKILL)
