"""Progress of a step where no terminal shows a bar."""

import io
import re
import time

import pytest
from rich.console import Console

from flows.common import journal as module
from flows.common.journal import Journal


@pytest.mark.parametrize(
    ("total", "unit", "counted"), [(7, "", "3 of 7, "), (None, "modules", "3 modules, "), (None, "", "")]
)
def test_a_running_step_says_so(monkeypatch: pytest.MonkeyPatch, total: int | None, unit: str, counted: str) -> None:
    """A line now and then, with how far it is; none after the end."""
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.05)
    file = io.StringIO()
    journal = Journal(console=Console(file=file, width=200))
    with journal.step("work", total, unit=unit) as advance:
        advance(3)
        while file.getvalue().count("still") < 2:
            time.sleep(0.01)
    lines = file.getvalue().splitlines()
    assert lines[0] == "  start work"
    assert all(re.fullmatch(rf"  still work \({counted}\d+ s\)", line) for line in lines[1:-1])
    assert re.fullmatch(r"  done  work \(\d+\.\d s\)", lines[-1])
    time.sleep(0.2)
    assert file.getvalue().splitlines() == lines


def test_a_terminal_gets_the_bar_alone() -> None:
    file = io.StringIO()
    journal = Journal(console=Console(file=file, width=80, force_terminal=True, color_system=None))
    with journal.step("work", 2) as advance:
        advance(2)
    assert "start" not in file.getvalue()
    assert "2 of 2" in file.getvalue() or "done" in file.getvalue()
