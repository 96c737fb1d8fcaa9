"""The command line with arguments that nothing can mean: a short part, and a campaign that tells what is planted."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz_commands
from benchmarks.fuzz_commands import FAULTS, OUTCOMES, Line, call, command_lines, tried
from flows.commands.lazy import COMMANDS
from flows.common.metrics import read_metrics


@pytest.mark.parametrize("name", ["encode", "power", "train astrocyte_liquid"])
def test_a_short_part_of_the_campaign(name: str) -> None:
    found = tried(name, 3, seed=101)
    assert found.faults == []
    assert found.counts.total() == 3


def test_every_command_is_called() -> None:
    lines = command_lines()
    assert {name.split()[0] for name in lines} == set(COMMANDS)
    assert {"train lsm_crossbar", "evaluate hgcal_encoder"} <= set(lines)


def test_the_committed_campaign_found_nothing() -> None:
    values = {metric.name: metric.value for metric in read_metrics(fuzz_commands.RESULT)}
    for name in command_lines():
        case = name.replace(" ", "_")
        assert sum(values[f"{what}__case:{case}"] for what in OUTCOMES) == values[f"lists__case:{case}"] >= 20
        assert all(values[f"{what}__case:{case}"] == 0 for what in FAULTS), name
        assert values[f"refused__case:{case}"] > 0


def say(code: int, *lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)
    raise SystemExit(code)


@pytest.mark.parametrize(
    ("run", "never", "outcome"),
    [
        (lambda: say(2, "liquidcal: no file at x"), True, "refused"),
        (lambda: say(2, "liquidcal: warning: odd", "liquidcal: no file at x"), True, "refused"),
        (lambda: say(1, "a gate failed"), True, "refused"),
        (lambda: say(2, "liquidcal: no", "liquidcal: file"), True, "lines"),
        (lambda: say(2, "no file"), True, "lines"),
        (lambda: say(2, "liquidcal: " + "x" * 1200), True, "lines"),
        (lambda: say(2), True, "lines"),
        (lambda: say(3, "liquidcal: a fault"), True, "traceback"),
        (lambda: {}["x"], True, "traceback"),
        (lambda: say(0), True, "accepted"),
        (lambda: say(0), False, "begun"),
        (lambda: os.system("true") and os.fork(), False, "begun"),
        (lambda: os._exit(9), True, "crash"),
        (lambda: np.ones(1 << 29), True, "memory"),
        (lambda: time.sleep(60), True, "hang"),
        (lambda: (Path("half").touch(), say(2, "liquidcal: no")), True, "left"),
    ],
)
def test_a_campaign_tells_what_is_planted(
    run: object, never: bool, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz_commands, "SECONDS", 2.0)
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "there").touch()
    assert call(Line(words=("synth",), never=never), folder, run)[0] == outcome  # type: ignore[arg-type]
