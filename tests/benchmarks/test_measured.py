"""What benchmarks share: origin of figures, rows that stay, baselines as processes."""

import sys
from pathlib import Path

import pytest

from benchmarks.measured import Baseline, Rows, baseline_python, kept, record
from flows.common.metrics import write_metrics

PROGRAM = """
import sys
print("a library says hello")
print('{"version": "1"}', flush=True)
for line in sys.stdin:
    if line.strip() == "die":
        sys.exit(3)
    print('{"asked": "%s"}' % line.strip(), flush=True)
"""


def test_rows_carry_what_was_run_and_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = Rows("python -m benchmarks.x", "verilator", "5.0")
    rows.add("speed", 1234.5, "BX/min", "one thread")
    rows.add("speed__engine:other", 2, "BX/min", "another", "tool", "7")
    rows.add_load("machine__load", 0.123, "start")
    assert [(row.tool, row.tool_version, row.command) for row in rows[:2]] == [
        ("verilator", "5.0", "python -m benchmarks.x"), ("tool", "7", "python -m benchmarks.x")
    ]  # fmt: skip
    assert (rows[2].value, rows[2].tool) == (0.12, "Linux")
    assert "at the start of the run" in rows[2].method
    assert capsys.readouterr().out.splitlines()[0] == "       1,234.5 BX/min  one thread"


def test_rows_of_an_earlier_run_stay_unless_they_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    assert kept(path, lambda _: False) == []
    rows = [record(f"area__case:{case}", 1.0, "um2", "m", command="c") for case in ("a", "b")]
    write_metrics(path, rows)
    assert kept(path, lambda row: row.name.endswith("a")) == rows[1:]


def test_a_baseline_answers_line_by_line_and_its_end_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with Baseline(Path(sys.executable), str(program)) as process:
        assert process.about == {"version": "1"}
        assert process.ask("something") == {"asked": "something"}
    with (
        Baseline(Path(sys.executable), str(program)) as process,
        pytest.raises(RuntimeError, match="ended with code 3"),
    ):
        process.ask("die")
    with pytest.raises(SystemExit, match="no .venv-nothing: install benchmarks/baselines/nothing-requirements.txt"):
        baseline_python("nothing")
