"""The failing inputs of users, ``shared/cases``: each with its command and what it gives now.

A case that has a test of its own elsewhere is named there; a folder that is in neither list fails.
"""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.hgcal_encoder.detector.geometry import trigger_cell_uv
from sim.hgcal_encoder.learning.decoder import shipped_models
from sim.lsm_crossbar.recordings.events import read_labels, read_recording
from tests.conftest import REPOSITORY, need, need_module
from tests.flows.command_line import program
from tests.flows.conftest import library_or_skip

ENCODE = ("encode", "--out", "o.csv", "--words", "words.csv", "--settings")
CHARGES = ("encode", "--out", "o.csv", "--charges", "c.csv", "--weights")
CONVERT = ("convert", "--out", "i.npz", "--preset", "ECON_T_EXACT")
EVALUATE = ("evaluate", "hgcal_encoder", "--no-baselines", "--charges")

HERE: dict[str, list[tuple[tuple[str, ...], int, str]]] = {
    "01": [
        # folded, which brings weights between codes and out of range: both must be asked for
        ((*CONVERT, "bn.h5"), 2, r"rounding must be asked for \(--round\)"),
        ((*CONVERT, "bn.h5", "--round", "--clip"), 0, "[0-9]+ rounded"),
    ],
    "02": [((*CONVERT, "permute.h5"), 2, "permute.h5: dense 'lat': expected a ReLU after it, got none")],
    "03": [
        ((*CONVERT, "noact.h5"), 2, "convolution 'conv': expected a ReLU between it and the dense layer, got none"),
        ((*CONVERT, "relu4.h5"), 2, "layer 'q_activation_10' .*: expected ReLU or quantized_relu of 8 bits, 1 of them"),
    ],
    "04": [(("convert", "--out", "i.npz", "zeropad.h5"), 0, "2,144 weights")],
    "06": [((*CONVERT, "hgq1.h5"), 2, r"c/c: expected a quantiser of HGQ2 \(q_type, round_mode\), got one of HGQ 1")],
    "08": [((*CONVERT, "m.hdf5"), 2, "m.json: nested deeper than 50 levels")],
    "09": [((*ENCODE, "deep.yaml"), 2, "deep.yaml: line 1: nested deeper than 50 levels")],
    "10": [
        ((*CHARGES, "trunc.npz"), 2, "trunc.npz: not a complete .npz archive"),
        ((*CHARGES, "text.npz"), 2, "text.npz: not a complete .npz archive"),
    ],
    "11": [((*ENCODE, "bomb.yaml"), 2, "bomb.yaml: unknown section 'a'; expected AlgoDroplsb, ")],
    "12": [((*ENCODE, "twice.yaml"), 2, "twice.yaml: line 286: 'Cal' occurs twice in one table")],
    "13": [((*ENCODE, "huge.yaml"), 2, "huge.yaml: line 167: expected an integer that fits, got '9{190,197}")],
    "15": [((*ENCODE, "layered.yaml"), 2, "layered.yaml carries no weights; add --weights IMAGE")],
    "16": [((*ENCODE, "ts.yaml"), 0, "6 bunch crossings: frames, threshold sum in o.csv")],
    "17": [(("encode", "--out", "o.csv", "--words", "midorbit.csv", "--settings", "s.yaml", "--first-bx", "3400"), 0,
            "6 bunch crossings: frames, autoencoder in o.csv")],
    "18": [(("encode", "--out", "o.csv", "--words", "bad.csv", "--settings", "s.yaml"), 0,
            "warning: bad.csv: 1 of 72 words carry a header .*, first row 3, column RX_DATA_0: 0x3; encoded")],
    "19": [
        (("encode", "--out", "o.csv", "--words", "bom.csv", "--settings", "s.yaml"), 0, "6 bunch crossings"),
        ((*EVALUATE, "cbom.csv"), 0, "cbom: ECON_T on 5 eLinks"),
    ],
    "21": [(("encode", "--out", "words.csv", "--words", "words.csv", "--settings", "s.yaml"), 2,
            "words.csv is an input of this command; name another file to write")],
    "22": [
        (("encode", "--out", "no/o.csv", "--words", "words.csv", "--settings", "s.yaml"), 2, "there is no folder no"),
        (("generate", "ECON_T", "--out", "s.yaml"), 2, "s.yaml is no folder"),
    ],
    "24": [((*EVALUATE, "wide64.parquet"), 2, "row 0, column CALQ_36: the 8 x 8 image has no trigger cell there")],
    "25": [
        ((*EVALUATE, "wafer_ntuple.root"), 0, "(?s)warning: .* wafer_CALQ36: .*wafer_ntuple: ECON_T on 5 eLinks"),
        ((*EVALUATE, "nano.root:Events"), 0, "(?s)L1THGCAL_wafer_CALQ_36: .*nano: ECON_T on 5 eLinks"),
    ],
    "26": [(("train", "--freeze-encoder", "--charges", "c.csv", "--steps", "20", "--out", "t"), 2,
            "random weights are no encoder to keep; name weights with --fine-tune")],
    "28": [(("train", "--charges", "nosuch.csv", "--steps", "2", "--out", "t"), 2, "no file at nosuch.csv")],
}  # fmt: skip
"""Commands by the number of the case: words, exit code, what stands in the output."""

ELSEWHERE = {
    "07": ("sim/hgcal_encoder/files/test_keras_files.py", "test_rounding_to_the_code_below"),
    "14": (
        "sim/hgcal_encoder/configuration/test_production_registers.py",
        "test_every_register_is_where_the_published_map_has_it", "test_writes_hold_everything_and_touch_nothing_else",
    ),
    "27": ("flows/commands/test_train.py", "test_nothing_is_replaced_unless_asked"),
    "29": (
        "sim/hgcal_encoder/learning/test_training.py", "test_a_bare_image_keeps_its_weights_until_it_has_a_decoder"
    ),
    "30": ("flows/commands/test_train.py", "test_case_30"),
    "31": (
        "sim/hgcal_encoder/algorithms/test_algorithms.py", "test_best_choice_sums_charges_up_to_18_bits",
        "test_super_trigger_cells_on_more_links_than_their_type_uses_are_zeros", "test_a_drop_beyond_4_counts_as_0",
        "test_registers_of_the_buffer_have_9_9_and_5_bits",
        "test_repeater_on_few_links_sends_the_first_32_bits_per_link",
    ),
}  # fmt: skip
"""Cases that take a test of their own: its file and their names."""


@pytest.fixture(scope="module")
def cases(shared_data: Path) -> Path:
    folder = shared_data.parent / "cases" / "encoder"
    need(folder.is_dir(), f"cases at {folder}")
    return folder


def _prepare(number: str, folder: Path) -> None:
    """What the command file of a case makes first."""
    if number == "08":
        (folder / "m.json").write_text("[" * 100_000 + "]" * 100_000)
    if number == "09":
        (folder / "deep.yaml").write_text("[" * 5000 + "]" * 5000)
    if number == "10":
        (folder / "trunc.npz").write_bytes(shipped_models()["econ_t_5elinks"].read_bytes()[:30_000])
        (folder / "text.npz").write_text("no archive\n")
    if number == "26":
        (folder / "c.csv").write_text(",".join(f"CALQ_{i}" for i in range(48)) + "\n" + ",".join(["7"] * 48) + "\n")


@pytest.mark.parametrize("number", sorted(HERE))
def test_case(
    number: str, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code and words; what is refused leaves nothing, and says so in one line of at most a thousand letters."""
    if number in ("01", "02", "03", "04", "06", "08"):
        need_module("h5py", "train")
    if number == "24":
        need_module("pyarrow", "files")
    if number == "25":
        need_module("uproot", "files")
    if number in ("26", "28"):
        need_module("tensorflow", "train")
    (source,) = cases.glob(f"{number}-*")
    folder = tmp_path / "case"
    shutil.copytree(source, folder)
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o644)
    _prepare(number, folder)
    monkeypatch.chdir(folder)
    for words, expected, message in HERE[number]:
        before = sorted(path.name for path in folder.iterdir())
        code, out, error = program(capsys, *words)
        assert code == expected, (words, error)
        assert re.search(message, error + out), (words, error + out)
        if expected == 2:
            (line,) = [line for line in error.splitlines() if line.startswith("liquidcal: ")]
            assert len(line) < 1020
            assert out == ""
            assert sorted(path.name for path in folder.iterdir()) == before


def test_every_case_has_its_test(cases: Path) -> None:
    for folder in sorted(path.name for path in cases.iterdir() if path.is_dir()):
        number = folder[:2]
        if number in HERE:
            continue
        assert number in ELSEWHERE, f"{folder}: no test"
        file, *names = ELSEWHERE[number]
        text = (REPOSITORY / "tests" / file).read_text()
        assert all(f"\ndef {name}(" in text for name in names), folder


CROSSBAR = {
    "16": "",
    "26": "m.npz: weights: expected integers, got float64 of shape (10, 5, 200)",
    "27": "m.npz: weights: expected integers, got float64 of shape (10, 5, 200)",
    "29": "m.npz: seed: expected one integer, got int64 of shape (2,)",
    "30": "",
    "47": "s.toml: g_max_us: expected a positive number, 1e-15 to 1e+15, got inf",
    "48": "s.toml: g_max_us: expected a positive number, 1e-15 to 1e+15, got '20'",
    "50": "s.toml: name must be an identifier (it names files and modules), got 5",
    "52": "s.toml: device.log_mean: expected the logarithm of a conductance in uS, -30 to 30, got '2.5'",
    "53": "s.toml: device.log_mean: expected the logarithm of a conductance in uS, -30 to 30, got nan",
    "59": "s.toml: name: module is a word of Verilog and cannot name a module",
    "70": "", "71": "",
}  # fmt: skip
"""Line of each case of ``shared/cases/crossbar``; those that are read have a test of their own below."""


def test_cases_of_the_crossbar_that_are_refused(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {path.name[:2]: path for path in (cases.parent / "crossbar").iterdir()}
    assert sorted(found) == sorted(CROSSBAR)
    for number, line in CROSSBAR.items():
        if not line:
            continue
        folder = tmp_path / number
        shutil.copytree(found[number], folder)
        folder.chmod(0o755)
        (folder / "rec").mkdir(exist_ok=True)
        (folder / "rec" / "1.bs2").write_bytes(bytes((3, 4, 128, 0, 9)))
        monkeypatch.chdir(folder)
        before = sorted(path.name for path in folder.iterdir())
        words = shlex.split((folder / "command.txt").read_text())
        assert words[0] == "liquidcal"
        assert program(capsys, *words[1:]) == (2, "", f"liquidcal: {line}\n"), number
        assert sorted(path.name for path in folder.iterdir()) == before


def test_cases_of_the_crossbar_that_are_read(cases: Path) -> None:
    """A byte order mark and Windows line ends (16); a late first event (30); AEDAT without its chip (70, 71)."""
    found = {path.name[:2]: path for path in (cases.parent / "crossbar").iterdir()}
    assert read_labels(found["16"] / "labels.txt") == {1: 7}
    late = read_recording(found["30"] / "rec" / "1.bs2")
    assert int(late.t_us[0]) > 5_000_000
    # 4008 bytes behind the header are 501 events, the first of which begins with the byte of '#'
    (source,) = found["70"].glob("loses_events.aedat")
    body = source.read_bytes().partition(b"#End Of ASCII Header\r\n")[2]
    assert body[:1] == b"#"
    addresses = [int.from_bytes(body[at : at + 4], "big") for at in range(0, len(body), 8)]
    pixels = [(a >> 12 & 1023, 179 - (a >> 22 & 511)) for a in addresses if not a >> 31 and not a >> 10 & 1]
    events = read_recording(source, sensor=(240, 180))
    assert list(zip(events.x.tolist(), events.y.tolist(), strict=True)) == pixels
    with pytest.warns(
        UserWarning, match="no line '# AEChip:', and the address 0x[0-9a-f]+ of event 0 is none of DVS128"
    ):
        assert len(read_recording(found["71"] / "davis346.aedat", sensor=(346, 260)).x) == 1000


def test_case_of_a_recording_of_activity(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (liberty,) = library_or_skip("nangate45").liberty
    folder = cases.parent / "flows"
    assert {path.name for path in folder.iterdir()} == {"bad.vcd", "chain.v"}
    monkeypatch.chdir(tmp_path)
    options = ["--netlist", folder / "chain.v", "--liberty", liberty, "--period", "10", "--vcd", folder / "bad.vcd"]
    code, out, error = program(capsys, "power", *options)
    assert (code, out) == (2, "")
    assert re.fullmatch(r"liquidcal: \S*bad\.vcd, line 17: the file ends inside .*\n", error), error


def test_ntuple_of_a_stranger_to_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command: vectors of trigger cells per event, the third kind of case 25, become figures by occupancy."""
    uproot = need_module("uproot", "files")
    ak = need_module("awkward", "files")
    rng = np.random.default_rng(1)
    cells: dict[str, list[Any]] = {
        name: [] for name in ("zside", "layer", "waferu", "waferv", "cellu", "cellv", "uncompressedCharge", "eta")
    }
    occupancies = []
    for _ in range(5):
        event: dict[str, list[int]] = {name: [] for name in cells}
        for wafer in range(6):
            chosen = rng.choice(48, rng.integers(1, 20), replace=False)
            occupancies.append(len(chosen))
            for u, v in trigger_cell_uv()[chosen].tolist():
                cell = (1, 9, wafer, 3, u, v, int(rng.integers(5, 500)), 2)
                for name, value in zip(cells, cell, strict=True):
                    event[name].append(value)
        for name, values in event.items():
            cells[name].append(values)
    table = {f"tc_{name}": ak.Array(values) for name, values in cells.items()}
    with uproot.recreate(tmp_path / "tc_ntuple.root") as file:
        file["FloatingpointThreshold0DummyHistomaxDummynTuple/HGCalTriggerNtuple"] = table
    monkeypatch.setenv("COLUMNS", "80")
    code, out, error = program(capsys, *EVALUATE, tmp_path / "tc_ntuple.root")
    assert code == 0, error
    assert "tc_ntuple: ECON_T on 5 eLinks" in out
    assert "\nEMD in low-density cells: less is better." in out
    bins = {(1, 3), (4, 7), (8, 48)}
    for low, high in bins:
        count = sum(low <= occupancy <= high for occupancy in occupancies)
        assert re.search(rf"{low}-{high}\D+{count} ", out), out
