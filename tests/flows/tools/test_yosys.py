"""yosys in a process of its own: its answers, its errors, its limit, and nothing left when it or its caller ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.common.errors import ToolTimeout
from flows.tools.yosys import YosysError, quote, run_abc, run_yosys, sat_answers, yosys_version
from tests.flows.processes import until_gone, working_below

ENDLESS = "exec -- sleep 60\n"


def test_an_error_holds_line_and_log(tmp_path: Path) -> None:
    with pytest.raises(YosysError, match=r"yosys run 'read' failed with status 1: ERROR: .*no\.v") as caught:
        run_yosys("log begun\nread_verilog no.v\n", directory=tmp_path, name="read")
    assert "begun" in caught.value.log
    assert caught.value.log == (tmp_path / "read.log").read_text()


def test_what_a_run_took(tmp_path: Path) -> None:
    """yosys alone needs tens of megabytes, and a loop of its script takes time."""
    done = run_yosys("log begun\nexec -- sleep 1\n", directory=tmp_path)
    assert done.status == 0
    assert done.wall_s > 1
    assert 10e6 < done.peak_memory_bytes < 1e9


def test_time_limit_ends_every_process(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"yosys run 'yosys' was ended after its limit of 1 s \(log: .*yosys\.log\)"):
        run_yosys(ENDLESS, directory=tmp_path, timeout_s=1)
    assert time.monotonic() - start < 30
    assert until_gone(tmp_path)


def test_killed_caller_takes_yosys_with_it(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from flows.tools.yosys import run_yosys; "
        f"run_yosys({ENDLESS!r}, directory=Path(sys.argv[1]))"
    )
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root) as caller:
        deadline = time.monotonic() + 30
        while len(working_below(tmp_path)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(working_below(tmp_path)) >= 3  # yosys, its watcher, sleep
        caller.send_signal(signal.SIGKILL)
    assert until_gone(tmp_path)


def test_names_and_paths_that_a_script_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a run's name is made of letters"):
        run_yosys("", directory=tmp_path, name="a b")
    with pytest.raises(ValueError, match="a quote or a newline"):
        quote('a"b')
    with pytest.raises(FileNotFoundError):
        run_yosys("", directory=tmp_path / "nowhere")


def test_abc(tmp_path: Path) -> None:
    (tmp_path / "and.blif").write_text(".model m\n.inputs a b\n.outputs y\n.names a b y\n11 1\n.end\n")
    (tmp_path / "or.blif").write_text(".model m\n.inputs a b\n.outputs y\n.names a b y\n1- 1\n-1 1\n.end\n")
    assert "Networks are equivalent" in run_abc("cec and.blif and.blif", directory=tmp_path, timeout_s=60)
    assert "NOT EQUIVALENT" in run_abc("cec and.blif or.blif", directory=tmp_path, timeout_s=60)
    with pytest.raises(YosysError, match="yosys-abc failed"):
        run_abc("no_such_command", directory=tmp_path, timeout_s=60)


def test_answers_of_the_solver(tmp_path: Path) -> None:
    """Goals that hold, and one with a single counterexample."""
    (tmp_path / "m.v").write_text(
        "module m(input [3:0] a, input [7:0] b, output low, one);\n"
        "assign low = a < 16, one = !(a == 11 && b == 200);\nendmodule\n"
    )
    head = "read_verilog m.v\nproc\n"
    proved = sat_answers(run_yosys(head + "sat -verify -prove low 1 m\n" * 2, directory=tmp_path).log)
    assert (proved.proved, proved.refuted, proved.undecided, proved.model) == (2, False, False, {})
    with pytest.raises(YosysError) as caught:
        run_yosys(f"{head}sat -verify -prove low 1 m\nsat -verify -show-inputs -prove one 1 m\n", directory=tmp_path)
    refuted = sat_answers(caught.value.log)
    assert (refuted.proved, refuted.refuted, refuted.undecided) == (1, True, False)
    assert (refuted.model["a"], refuted.model["b"]) == (11, 200)


def test_version_is_a_number() -> None:
    assert yosys_version().split(" ")[0].replace(".", "").isdigit()
