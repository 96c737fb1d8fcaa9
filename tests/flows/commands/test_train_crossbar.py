"""`liquidcal train lsm_crossbar` and `train association`: from recordings to models, cards and entries."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from sim.lsm_crossbar.association.example_specs import small_chip
from sim.lsm_crossbar.association.model import TrainedAssociation
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.recordings.audio import read_wav
from sim.lsm_crossbar.recordings.events import Events, write_nmnist
from sim.lsm_crossbar.spec import CrossbarSpec, load_spec
from tests.flows.command_line import program

Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, *arguments: str) -> str:
    """Standard output of a command that succeeds."""
    code, out, err = program(capsys, *arguments)
    assert code == 0, err
    return out


def fail(capsys: Capture, *arguments: str) -> str:
    """Standard error of a command that refuses its input."""
    code, _, err = program(capsys, *arguments)
    assert code == 2
    return err


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two words that sound different, ten speakers, two takes: a falling and a rising tone."""
    folder = tmp_path_factory.mktemp("words")
    rng = np.random.default_rng(1)
    for speaker in range(10):
        for take in range(2):
            for label, (low, high) in enumerate(((1500, 300), (300, 1500))):
                t = np.arange(2400) / 8000
                sweep = np.sin(2 * np.pi * np.cumsum(np.linspace(low, high, 2400) * (1 + speaker / 40)) / 8000)
                sound = sweep * np.hanning(2400) + rng.normal(0, 0.01, len(t))
                wavfile.write(folder / f"{label}_p{speaker}_{take}.wav", 8000, (sound * 20000).astype(np.int16))
    return folder


def spec_of(speech: CrossbarSpec, folder: Path) -> Path:
    path = folder / "speech.toml"
    path.write_text(speech.to_toml())
    return path


SPEECH = CrossbarSpec(
    name="SMALL_SPEECH", inputs=16, neurons=24, steps=30, outputs=2, threshold=12, leak=(-3,), windows=3, rows=48,
    columns=64, columns_per_adc=4,
)  # fmt: skip


def test_a_crossbar_learns_a_folder_of_clips_and_the_model_hears(words: Path, tmp_path: Path, capsys: Capture) -> None:
    spec = spec_of(SPEECH, tmp_path)
    arguments = ["train", "lsm_crossbar", "--preset", str(spec), "--clips", str(words), "--out", str(tmp_path / "out")]
    found = json.loads(run(capsys, *arguments, "--json"))
    assert found["test_accuracy"] > 0.8
    assert sum(found["samples"]) == 40
    model = TrainedCrossbar.load(tmp_path / "out" / "small_speech.npz")
    assert model.hears
    clips = [read_wav(words / f"{label}_p{speaker}_0.wav") for label in (0, 1) for speaker in range(10)]
    assert np.mean(model.classify(clips, "numpy") == np.repeat([0, 1], 10)) > 0.8
    assert "parted by | speaker" in (tmp_path / "out" / "small_speech.md").read_text()
    scored = ["evaluate", "lsm_crossbar", "--model", str(tmp_path / "out" / "small_speech.npz"), "--events", str(words)]
    assert json.loads(run(capsys, *scored, "--json"))["accuracy"] > 0.8
    assert "hears: the names of WAV files say their labels" in fail(capsys, *scored, "--labels", "x.txt")
    sees = ["evaluate", "lsm_crossbar", "--model", "n_mnist", "--events"]
    assert "expected recordings named by index (1.bin, 2.bs2 ...), found none" in fail(capsys, *sees, str(words))
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "1.bin").write_bytes(b"")
    message = "expected a label file (--labels), or a folder for each class"
    assert message in fail(capsys, *sees, str(tmp_path / "recordings"))
    assert "small_speech.npz is there already" in fail(capsys, *arguments)
    both = fail(capsys, *arguments[:-2], "--events", str(words), "--labels", "x", "--out", str(tmp_path / "b"))
    assert "expected recordings of events (--events) or of sound (--clips), got both" in both
    assert not (tmp_path / "b").exists()


def test_another_camera(tmp_path: Path, capsys: Capture) -> None:
    """A sensor of 64 x 48 pixels, NumPy files, a clock that runs since 5 s: train and evaluate agree."""
    rng = np.random.default_rng(4)
    events, lines = tmp_path / "events", []
    events.mkdir()
    for index in range(40):
        label = index % 2
        t = np.sort(rng.integers(0, 60_000, 400)) + 5_000_000
        x = rng.integers(0, 32, 400) + 32 * label
        np.savez(events / f"{index}.npz", x=x, y=rng.integers(0, 48, 400), t=t, p=rng.choice([-1, 1], 400))
        lines.append(f"{index} {label}")
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    spec = spec_of(replace(SPEECH, name="SMALL_CAMERA", inputs=24, steps=30, threshold=30), tmp_path)
    data = ["--events", str(events), "--labels", str(tmp_path / "labels.txt")]
    view = ["--sensor", "64x48", "--from-first-event"]
    how = ["--encoding", "0,0,6,4,12,both", "--step-us", "2000"]
    arguments = ["train", "lsm_crossbar", "--preset", str(spec), *data]
    found = json.loads(run(capsys, *arguments, *view, *how, "--out", str(tmp_path / "out"), "--json"))
    assert found["test_accuracy"] > 0.8
    scored = ["evaluate", "lsm_crossbar", "--model", str(tmp_path / "out" / "small_camera.npz"), *data]
    result = json.loads(run(capsys, *scored, *view, "--json"))
    assert (result["encoding"], result["step_us"]) == ("0,0,6,4,12,both", 2000)
    assert result["accuracy"] > 0.8
    # the fields mirrored: what was left is right
    mirrored = json.loads(run(capsys, *scored, *view, "--encoding", "32,0,3,4,12,on", "--step-us", "1000", "--json"))
    assert mirrored["step_us"] == 1000
    assert mirrored["input_spikes"] < result["input_spikes"]
    assert "is outside the sensor of 34 columns and 34 rows" in fail(capsys, *scored)
    for option, value, message in (
        ("--encoding", "nothing", "encoding: expected centre_crop"),
        ("--encoding", "0,0,9,9,4,both", "drives 81 word lines, SMALL_CAMERA has 24"),
        ("--encoding", "0,0,9,9,4,red", "polarity must be on, off, both or split"),
        ("--sensor", "64*48", "sensor: expected COLUMNSxROWS such as 346x260, got '64*48'"),
    ):
        assert message in fail(capsys, *scored, option, value)
    late, _, said = program(capsys, *scored, "--sensor", "64x48")
    assert late == 0
    assert "40 of 40 recordings have no event within the 60,000 us of a sample" in said
    heard = fail(capsys, "evaluate", "lsm_crossbar", "--model", "spoken_digits", "--events", str(events), *how)
    assert "hears: --sensor, --encoding and --step-us are for recordings of events" in heard


def test_a_readout_of_signs_learns_task_after_task(words: Path, tmp_path: Path, capsys: Capture) -> None:
    """A second task, the tones backwards, and a stop between both; what is wrong with a task is one line."""
    spec = spec_of(SPEECH, tmp_path)
    folder, more = tmp_path / "out", tmp_path / "words"
    shutil.copytree(words, more)
    for file in sorted(words.glob("*.wav")):
        label, _, rest = file.name.partition("_")
        rate, sound = wavfile.read(file)
        wavfile.write(more / f"{int(label) + 2}_{rest}", rate, sound[::-1])
    arguments = [
        "train", "lsm_crossbar", "--continual", "--preset", str(spec), "--clips", str(more), "--out", str(folder),
    ]  # fmt: skip
    first = json.loads(run(capsys, *arguments, "--task", "0,1", "--json"))
    assert (first["tasks_learnt"], len(first["accuracy_by_task_after_each"])) == (1, 1)
    assert first["accuracy_by_task_after_each"][0][0] > 0.8
    # backwards a falling tone is a rising one: class 3 sounds like class 0, and both are output 0
    both = ["--task", "0,1", "--task", "3,2"]
    second = json.loads(run(capsys, *arguments, *both, "--resume", "--json"))
    assert second["tasks_learnt"] == 2
    (row,) = second["accuracy_by_task_after_each"]
    assert min(row) > 0.8
    model = TrainedCrossbar.load(folder / "small_speech_signs.npz")
    assert set(np.unique(model.readout.weights)) == {-1, 1}
    assert load_spec(str(folder / "small_speech_signs.toml")) == model.spec
    assert "all 2 tasks are learnt already" in fail(capsys, *arguments, *both, "--resume")
    assert "is there already" in fail(capsys, *arguments, *both)
    for text, message in (("0", "expected two or more classes"), ("0,7", "no recording of class 7"), ("0,0", "twice")):
        assert message in fail(capsys, *arguments, "--task", text, "--overwrite")
    assert "those of --continual" in fail(capsys, *(a for a in arguments if a != "--continual"), "--task", "0,1")


def test_an_association_learns_from_folders(words: Path, tmp_path: Path, capsys: Capture) -> None:
    rng = np.random.default_rng(2)
    events, lines = tmp_path / "events", []
    events.mkdir()
    for index in range(40):
        label = index % 2
        t_us = np.sort(rng.integers(0, 300_000, 600))
        x = rng.integers(0, 16, 600) + 16 * label  # left or right half of the sensor
        made = Events(x=x, y=rng.integers(0, 34, 600), on=rng.random(600) < 0.5, t_us=t_us)
        write_nmnist(events / f"{index}.bin", made)
        lines.append(f"{index} {label}")
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    seeing = replace(
        SPEECH, name="SEES", inputs=242, steps=50, windows=1, rows=272, outputs=5, rows_per_read=16, threshold=30
    )
    spec = replace(small_chip(), name="PAIR", vision=seeing, audio=replace(SPEECH, name="HEARS", outputs=5))
    (tmp_path / "pair.toml").write_text(spec.to_toml())
    arguments = [
        "train", "association", "--preset", str(tmp_path / "pair.toml"), "--clips", str(words), "--events", str(events),
        "--labels", str(tmp_path / "labels.txt"), "--epochs", "10", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    found = json.loads(run(capsys, *arguments, "--json"))
    assert found["classes"] == [0, 1]
    assert min(found["test"].values()) > 0.8
    model = TrainedAssociation.load(tmp_path / "out" / "pair.npz")
    assert model.sha256 == found["projections_sha256"]
    with np.load(tmp_path / "out" / "pair_entries.npz") as entries:
        chip = model.chip("numpy")
        chip.store(0, entries["vision"])
        labels = entries["classes"]
    clip = model.cochlea.all_spikes([read_wav(words / "1_p3_0.wav")], 30, 16)
    assert labels[chip.match(1, clip).entries[0]] in (0, 1)
    again = json.loads(run(capsys, *arguments, "--json", "--overwrite"))
    assert again["projections_sha256"] == found["projections_sha256"]
    other = json.loads(run(capsys, *arguments[:-1], str(tmp_path / "seed"), "--seed", "3", "--json"))
    assert other["projections_sha256"] != found["projections_sha256"]
    lacking = fail(capsys, *arguments[:-1], str(tmp_path / "c"), "--classes", "7", "--classes", "1")
    assert "class 7: expected examples in both modalities" in lacking


def test_train_still_asks_for_a_folder(capsys: Capture) -> None:
    assert "--out" in fail(capsys, "train", "--preset", "ECON_T")
