"""The process runner: what it returns is checked with programs whose behaviour is known, and with /proc."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.common.errors import ToolError, ToolTimeout
from flows.common.process import run_module, run_process
from tests.flows.processes import until_gone, working_below


def test_status_and_log_come_back(tmp_path: Path) -> None:
    code = "import sys; print('out', flush=True); print('Error: in vain', file=sys.stderr); sys.exit(3)"
    done = run_process(
        [sys.executable, "-c", code], tool="python", directory=tmp_path, timeout_s=60, log=tmp_path / "run.log"
    )
    assert done.status == 3
    assert done.log == "out\nError: in vain\n" == (tmp_path / "run.log").read_text()
    assert done.reason() == "Error: in vain"


def test_reason_without_an_error_line(tmp_path: Path) -> None:
    silent = run_process([sys.executable, "-c", "raise SystemExit(5)"], tool="p", directory=tmp_path, timeout_s=60)
    assert silent.reason() == "status 5, no output"
    killed = run_process(["sh", "-c", "echo last words; kill -9 $$"], tool="sh", directory=tmp_path, timeout_s=60)
    assert (killed.status, killed.reason()) == (-signal.SIGKILL, "last words")


def test_environment_directory_and_empty_input(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), dict(os.environ).get('COLOUR'), 'HOME' in os.environ, sys.stdin.read())"
    done = run_process(
        [sys.executable, "-c", code], tool="p", directory=tmp_path, timeout_s=60, environment={"COLOUR": "red"}
    )
    assert done.log == f"{tmp_path.resolve()} red False \n"


def test_memory_of_a_process_and_its_child(tmp_path: Path) -> None:
    """Two processes of 150 MB each at once: the sum counts, not the larger one."""
    child = "b = bytearray(150_000_000); import time; time.sleep(2)"
    code = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {child!r}]); {child}; c.wait()"
    done = run_process([sys.executable, "-c", code], tool="p", directory=tmp_path, timeout_s=60)
    assert 300e6 < done.peak_memory_bytes < 400e6


def test_the_memory_of_the_caller_does_not_count(tmp_path: Path) -> None:
    """``ru_maxrss`` of a child is at least what its caller had."""
    ballast = b"\1" * 200_000_000
    done = run_process(["sleep", "0.1"], tool="sleep", directory=tmp_path, timeout_s=60)
    assert 0 < done.peak_memory_bytes < 20e6
    assert len(ballast) == 200_000_000


def test_processor_time(tmp_path: Path) -> None:
    code = "import time\nwhile time.process_time() < 0.5: pass"
    done = run_process([sys.executable, "-c", code], tool="p", directory=tmp_path, timeout_s=60)
    assert 0.5 <= done.cpu_s <= done.wall_s + 0.1


def test_time_limit_ends_every_process(tmp_path: Path) -> None:
    with pytest.raises(ToolTimeout, match=r"a nap was ended after its limit of 0\.5 s") as caught:
        run_process(
            ["sh", "-c", "echo begun; sleep 60 & sleep 60"], tool="sh", task="a nap", directory=tmp_path, timeout_s=0.5
        )
    assert (caught.value.tool, caught.value.log) == ("sh", "begun\n")
    assert until_gone(tmp_path)


def test_children_left_behind_are_ended(tmp_path: Path) -> None:
    done = run_process(["sh", "-c", "sleep 60 & echo gone"], tool="sh", directory=tmp_path, timeout_s=30)
    assert done.status == 0
    assert until_gone(tmp_path)


def test_missing_programs_and_wrong_limits(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no-such-program is missing: .*no-such-program"):
        run_process(["no-such-program"], tool="no-such-program", directory=tmp_path, timeout_s=1)
    (tmp_path / "data").write_text("no program")
    with pytest.raises(ToolError, match="data cannot be started"):
        run_process([tmp_path / "data"], tool="data", directory=tmp_path, timeout_s=1)
    with pytest.raises(ValueError, match="timeout_s must be positive, got 0"):
        run_process(["true"], tool="true", directory=tmp_path, timeout_s=0)


LEASHED = """
import subprocess, time
from flows.common.leash import end_with_caller
end_with_caller("leashed")
subprocess.Popen(["sleep", "60"])
time.sleep(60)
"""


def test_a_killed_caller_takes_a_module_and_its_children_with_it(tmp_path: Path) -> None:
    (tmp_path / "leashed.py").write_text(LEASHED)
    code = (
        "import sys; from pathlib import Path; from flows.common.process import run_module; "
        "run_module('leashed', tool='leashed', directory=Path(sys.argv[1]), timeout_s=60)"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root) as caller:
        deadline = time.monotonic() + 30
        while len(working_below(tmp_path)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(working_below(tmp_path)) >= 3  # the module, its watcher, sleep
        caller.send_signal(signal.SIGKILL)
    assert until_gone(tmp_path)


def test_a_leashed_module_is_never_started_by_hand() -> None:
    """In the group of this test runner the watcher would end the test runner."""
    done = subprocess.run(
        [sys.executable, "-m", "flows.tools._yosys_child", "x.ys"], capture_output=True, text=True, check=False,
        cwd=Path(__file__).resolve().parents[3],
    )  # fmt: skip
    assert done.returncode == 1
    assert "must lead its own process group" in done.stderr
    assert os.getpgrp()


def test_a_module_finds_this_copy_of_liquidcal(tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text("import flows; print(flows.__file__)")
    done = run_module("where", tool="where", directory=tmp_path, timeout_s=60)
    assert Path(done.log.strip()) == Path(__file__).resolve().parents[3] / "flows" / "__init__.py"
