"""The command line as tests run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import main


def liquidcal(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:  # type: ignore[type-arg]
    """What `liquidcal flow --json` prints, run in this process."""
    monkeypatch.setattr(sys, "argv", ["liquidcal", "flow", *arguments, "--json"])
    with pytest.raises(SystemExit) as left:
        main()
    result = capsys.readouterr()
    assert left.value.code in (0, None), result.err
    content: dict = json.loads(result.out)  # type: ignore[type-arg]
    return content
