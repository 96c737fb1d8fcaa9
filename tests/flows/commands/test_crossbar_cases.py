"""Inputs that once crashed, or passed with a wrong answer: each ends in one line that says what was expected."""

import shlex
import shutil
from pathlib import Path

import pytest

from sim.lsm_crossbar.recordings.events import read_recording
from tests.conftest import need
from tests.flows.command_line import program

REFUSED = {
    "26-model-weights-nan": "weights: expected integers, got float",
    "27-model-weights-fraction": "weights: expected integers, got float",
    "29-model-seed-array": "seed: expected one integer, got int",
    "47-g-max-inf": "g_max_us: expected a positive number",
    "48-g-max-string": "g_max_us: expected a positive number",
    "50-name-int": "name must be an identifier",
    "52-device-string": "device.log_mean: expected the logarithm",
    "53-device-nan": "device.log_mean: expected the logarithm",
    "59-verilog-keyword": "is a word of Verilog",
}


def case(name: str, shared_data: Path, folder: Path) -> list[str]:
    """A case in a folder of its own, with recordings where it brings none; its command."""
    source = shared_data.parent / "cases" / "crossbar" / name
    need(source.is_dir(), f"cases at {source.parent}")
    shutil.copytree(source, folder, dirs_exist_ok=True)
    if not (folder / "rec").is_dir():
        (folder / "rec").mkdir()
        for number in (1, 2, 3):
            shutil.copy(shared_data / "lsm" / "nmnist_train1000" / f"{number}.bs2", folder / "rec")
    return shlex.split((folder / "command.txt").read_text())[1:]


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_one_line(
    name: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = case(name, shared_data, tmp_path)
    monkeypatch.chdir(tmp_path)
    code, _, said = program(capsys, *command)
    assert code == 2
    assert said.count("\n") == 1
    assert REFUSED[name] in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["16-bom-crlf", "30-first-event-late"])
def test_it_is_read(
    name: str, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte order mark is no label; a clock that does not begin at 0 is said, with the option that helps."""
    command = case(name, shared_data, tmp_path)
    monkeypatch.chdir(tmp_path)
    code, _, said = program(capsys, *command, "--json")
    assert code == 0, said
    assert ("--from-first-event" in said) == (name == "30-first-event-late")


@pytest.mark.parametrize(
    "file",
    [
        "70-aedat2-hash-first-event/first_row_140.aedat",
        "70-aedat2-hash-first-event/loses_events.aedat",
        "71-aedat2-no-chip-line/davis346.aedat",
    ],
)
@pytest.mark.filterwarnings("ignore:.*read as DAVIS")
def test_no_event_of_aedat2_is_lost(file: str, shared_data: Path) -> None:
    """Eight bytes an event behind the header: none is taken for a header line, or for one of another chip."""
    path = shared_data.parent / "cases" / "crossbar" / file
    need(path.is_file(), f"cases at {path.parents[1]}")
    raw = path.read_bytes()
    # the last line of either header
    body = raw.partition(b"#End Of ASCII Header\r\n")[2] or raw.partition(b"v2e\r\n")[2]
    assert len(body) > 8
    assert len(read_recording(path, sensor=(1024, 512))) == len(body) // 8
