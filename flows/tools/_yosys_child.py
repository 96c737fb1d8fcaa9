"""The process in which yosys runs: ``python -m flows.tools._yosys_child SCRIPT``, started by
`flows.tools.yosys.run_yosys` only.

Standard input is a pipe whose other end the caller holds. A small watcher process reads it: when it closes, because the
caller is done or because the caller was killed, the watcher ends the whole process group, yosys-abc included.
"""

import os
import signal
import sys


def watch(pipe: int) -> None:
    """Wait until the caller's end of `pipe` closes, then end every process of this group, itself included."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    while os.read(pipe, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main() -> None:
    """Run one yosys script file; the exit status is yosys' own (1 after a logged error)."""
    script = sys.argv[1]
    if os.getpgrp() != os.getpid():
        # the watcher ends a whole group: never that of a shell or a test runner
        sys.exit("flows.tools._yosys_child must lead its own process group; use flows.tools.yosys.run_yosys")
    pipe = os.dup(0)
    if os.fork() == 0:
        watch(pipe)
    os.close(pipe)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    from pyosys import libyosys

    # `script` does not understand quotes: the caller passes a plain name in the working directory
    libyosys.run_pass(f"script {script}", libyosys.Design())


if __name__ == "__main__":
    main()
