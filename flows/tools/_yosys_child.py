"""The process in which yosys runs: ``python -m flows.tools._yosys_child SCRIPT``, started by
`flows.tools.yosys.run_yosys` only."""

import sys

from flows.common.leash import end_with_caller


def main() -> None:
    """Run one yosys script file; the exit status is yosys' own (1 after a logged error)."""
    end_with_caller("flows.tools._yosys_child")
    from pyosys import libyosys

    # `script` does not understand quotes: the caller passes a plain name in the working directory
    libyosys.run_pass(f"script {sys.argv[1]}", libyosys.Design())


if __name__ == "__main__":
    main()
