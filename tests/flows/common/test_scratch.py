"""Temporary files of a run: gone at its end, at a signal, and, if it was killed, at the next run."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from flows.cli import one_line
from flows.common.folder import fresh_folder
from flows.common.scratch import scratch_folder
from sim.files import replacing
from tests.conftest import REPOSITORY

WORK = """
import sys, time
from pathlib import Path
import tempfile
from flows.common.folder import fresh_folder
from flows.common.scratch import ended_by_signals, scratch_folder
from sim.files import replacing
out = Path(sys.argv[1])
with (
    ended_by_signals(), scratch_folder(), fresh_folder(out / "result", marker="m") as work,
    replacing(out / "f") as file,
):
    (work / "part").write_text("x")
    file.write("half")
    file.flush()
    tempfile.mkdtemp()
    print("ready", flush=True)
    time.sleep(60)
"""


def _started(folder: Path) -> "subprocess.Popen[str]":
    (folder / "tmp").mkdir(exist_ok=True)
    environment = os.environ | {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(folder)], stdout=subprocess.PIPE, text=True, env=environment,
        # a test run in the background of a script may inherit that signals are ignored
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGTERM, signal.SIGHUP)],
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path != folder / "tmp")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    process = _started(tmp_path)
    assert len(_left(tmp_path)) >= 5
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    assert _left(tmp_path) == []


def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a living run holds stays, and so does what is too young to be anybody's for sure."""
    killed, alive = _started(tmp_path), _started(tmp_path)
    killed.kill()
    killed.wait(60)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    def run() -> None:
        with scratch_folder(), fresh_folder(tmp_path / "result", marker="m") as work:
            (work / "m").write_text("")
        with replacing(tmp_path / "f") as file:
            file.write("whole")

    before = _left(tmp_path)
    run()
    assert set(before) <= set(_left(tmp_path))
    old = time.time() - 3600
    for path in [*tmp_path.glob(".*"), *(tmp_path / "tmp").iterdir()]:
        os.utime(path, (old, old))
    run()
    left = _left(tmp_path)
    # of each kind the one of the living run
    for start in (".result-liquidcal-", ".f.liquidcal-", "tmp/liquidcal-run-"):
        assert len([name for name in left if name.startswith(start) and name.count("/") == start.count("/")]) == 1, left
    alive.terminate()
    assert alive.wait(60) == 128 + signal.SIGTERM
    assert _left(tmp_path) == ["f", "result", "result/m"]


def test_programs_that_a_run_starts_use_its_folder() -> None:
    before = tempfile.gettempdir()
    with scratch_folder() as folder:
        command = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == str(folder)
        assert tempfile.gettempdir() == str(folder)
    assert tempfile.gettempdir() == before
    assert not folder.exists()


def test_a_full_disk_is_said_of_the_result_and_leaves_no_folder(tmp_path: Path) -> None:
    """/dev/full is a disk without room."""
    (tmp_path / "mine").mkdir()
    out = tmp_path / "mine" / "new" / "result"

    def run() -> None:
        with fresh_folder(out, marker="m") as work:
            (work / "m").symlink_to("/dev/full")
            (work / "m").write_text("x")

    with pytest.raises(OSError, match="No space left") as error:
        run()
    assert one_line(error.value) == f"{out}: the disk is full"
    assert _left(tmp_path) == ["mine"]
