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


def program(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and error of the program, run in this process."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["liquidcal", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
    result = capsys.readouterr()
    code = left.value.code
    assert code is None or isinstance(code, int)
    return code or 0, result.out, result.err


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:  # type: ignore[type-arg]
    """What `liquidcal flow --json` prints, run in this process."""
    monkeypatch.setattr(sys, "argv", ["liquidcal", "flow", *arguments, "--json"])
    with pytest.raises(SystemExit) as left:
        main()
    result = capsys.readouterr()
    assert left.value.code in (0, None), result.err
    content: dict = json.loads(result.out)  # type: ignore[type-arg]
    return content
