"""``liquidcal evaluate lsm_crossbar`` as a user meets it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from sim.lsm_crossbar.homeostat import Homeostat, balanced_ratios
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import read_labels, read_recording, write_nmnist
from sim.lsm_crossbar.spec import HomeostatParameters
from tests.conftest import need
from tests.flows.command_line import program


def evaluate(*words: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and error; errors as `flows.cli.main` turns them into one line."""
    result = CliRunner().invoke(app, ["evaluate", "lsm_crossbar", *map(str, words)])
    if isinstance(result.exception, (ValueError, TypeError, OSError)):
        return 2, result.stdout, f"liquidcal: {result.exception}"
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 synthesised recordings, both suffixes, and a label file that leaves two of them out."""
    folder = tmp_path_factory.mktemp("events")
    digits = mnist_digits("first_thousand").take(np.arange(7, 1000, 33)[:30])
    for number, events in enumerate(EventCamera(seed=5).record_all(digits.images), 1):
        write_nmnist(folder / f"{number}.{'bin' if number % 2 else 'bs2'}", events)
    lines = [f"{number}\t{label}" for number, label in enumerate(digits.labels, 1) if number not in (3, 4)]
    (folder / "labels.txt").write_text("#sample #class\n" + "\n".join(lines) + "\n")
    return folder


def test_scores(folder: Path) -> None:
    """Every figure from the classes that the model gives, one recording after the other on the NumPy engine."""
    code, out, error = evaluate("--events", folder, "--labels", folder / "labels.txt", "--json")
    assert code == 0, error
    result = json.loads(out[out.index("{") :])
    model, labels = TrainedCrossbar.load("n_mnist"), read_labels(folder / "labels.txt")
    assert (result["recordings"], result["without_label"]) == (28, 2)
    assert result["conductances_sha256"] == model.conductances.sha256
    assert (result["spec"], result["seed"], result["encoding"]) == ("N_MNIST", model.seed, model.encoding.name)
    few = [1, 2, 5]
    paths = [next(folder.glob(f"{index}.b*")) for index in few]
    classes = model.classify([read_recording(path) for path in paths], "numpy")
    wrong = {entry["index"]: entry["class"] for entry in result["wrong"]}
    assert [wrong.get(index, labels[index]) for index in few] == classes.tolist()
    matrix = np.array(result["confusion"])
    assert matrix.sum(axis=1).tolist() == np.bincount(list(labels.values()), minlength=10).tolist()
    assert result["correct"] == np.trace(matrix) == 28 - len(result["wrong"])
    assert result["accuracy"] == pytest.approx(result["correct"] / 28)
    assert result["accuracy"] > 0.8
    assert [entry["correct"] for entry in result["per_class"]] == np.diag(matrix).tolist()
    assert result["reads"] > 50


def test_table(folder: Path) -> None:
    code, out, _ = evaluate("--events", folder, "--labels", folder / "labels.txt")
    assert code == 0
    assert re.search(r"% of 28 recordings: N_MNIST", out)


def test_bad_input(folder: Path, tmp_path: Path) -> None:
    """Each with one line that says what was expected and what came."""
    labels = folder / "labels.txt"
    more = tmp_path / "more.txt"
    more.write_text("1 5\n77 2\n78 3\n")
    high = tmp_path / "high.txt"
    high.write_text("1 10\n")
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "1.bin").write_bytes((folder / "1.bin").read_bytes()[:-2])
    one = tmp_path / "one.txt"
    one.write_text("1 5\n")
    (tmp_path / "empty").mkdir()
    for events, names, message in (
        (folder, more, r"no recording 77.bin or 77.bs2 for the index 77 of .*more.txt, and 1 more are missing"),
        (folder, high, r"index 1: expected a label below 10, got 10"),
        (folder, tmp_path / "none.txt", r"No such file.*none.txt"),
        (tmp_path / "none", labels, r"none: expected a folder of recordings"),
        (tmp_path / "empty", labels, r"expected recordings named by index .* found none"),
        (cut, one, r"1\.bin: truncated: event \d+ has 3 of its 5 bytes"),
    ):
        code, _, error = evaluate("--events", events, "--labels", names)
        assert code == 2
        assert re.search(message, error), error
    code, _, error = evaluate("--events", folder, "--labels", labels, "--model", "other")
    assert (code, "no such model file; shipped models: n_mnist" in error) == (2, True)


def test_real_recordings(shared_data: Path) -> None:
    """What the model card says, on the first 200 real recordings to within four standard deviations."""
    recordings = shared_data / "lsm" / "nmnist_train1000"
    need(recordings.is_dir(), f"N-MNIST recordings at {recordings}")
    model = TrainedCrossbar.load("n_mnist")
    labels = read_labels(recordings / "labels.txt")
    indices = sorted(labels)[:200]
    classes = model.classify(read_recording(recordings / f"{index}.bs2") for index in indices)
    assert np.mean(classes == [labels[index] for index in indices]) > 0.88


def test_a_clock_that_started_before_the_recording(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Recordings that begin after the end of a sample get a warning; counted from their first event they are seen."""
    (tmp_path / "labels.txt").write_text("1 0\n2 0\n")
    for number in (1, 2):
        recording = read_recording(next(folder.glob(f"{number}.b*")))
        write_nmnist(
            tmp_path / f"{number}.bs2", replace(recording, t_us=recording.t_us + (5_000_000 if number == 2 else 0))
        )
    options = ["evaluate", "lsm_crossbar", "--events", tmp_path, "--labels", tmp_path / "labels.txt", "--json"]
    code, out, error = program(capsys, *options)
    assert code == 0
    late = json.loads(out)["input_spikes"]
    (line,) = (line for line in error.splitlines() if "warning" in line)
    assert line.startswith(
        "liquidcal: warning: 1 of 2 recordings have no event within the 310,000 us of a sample: 2.bs2"
    )
    assert "begins at 5,0" in line
    code, out, error = program(capsys, *options, "--from-first-event")
    assert code == 0
    assert "warning" not in error
    assert json.loads(out)["input_spikes"] > 1.5 * late > 0


def test_homeostat_drift_and_currents(folder: Path, tmp_path: Path) -> None:
    """The threshold moves as the golden model says; drift and smaller currents are those of the device model."""
    events = ("--events", folder, "--labels", folder / "labels.txt", "--json")
    code, _, error = evaluate(*events, "--homeostat")
    assert (code, "N_MNIST has no homeostat" in error) == (2, True)
    shipped = TrainedCrossbar.load("n_mnist")
    spec = replace(shipped.spec, homeostat=HomeostatParameters(samples=4, ratio=100))
    path = tmp_path / "model.npz"
    readout = Readout(spec, shipped.readout.weights, shipped.readout.bias)
    replace(shipped, spec=spec, readout=readout).save(path)
    model = TrainedCrossbar.load(path)
    labels = read_labels(folder / "labels.txt")
    spikes = model.spikes([read_recording(next(folder.glob(f"{index}.b*"))) for index in sorted(labels)])

    def scored(*words: str) -> dict[str, Any]:
        code, out, error = evaluate(*events, "--model", path, *words)
        assert code == 0, error
        found: dict[str, Any] = json.loads(out[out.index("{") :])
        return found

    busy, off = scored("--homeostat"), scored()
    assert off["threshold"] == spec.threshold
    homeostat = Homeostat(spec)
    activity, _ = Liquid(spec, model.conductances, "numpy").regulated(spikes[:8], homeostat)
    # the liquid is above balance with this ratio: one up after every four recordings
    assert homeostat.threshold == spec.threshold + 2
    assert busy["threshold"] == spec.threshold + 28 // 4
    assert busy["liquid_spikes"] < off["liquid_spikes"] == pytest.approx(shipped_spikes(shipped, spikes))
    assert activity.spikes.any()
    assert model.seed is not None
    # the same with a threshold of each neuron, in balance with what the liquid does: they hardly move
    own = replace(spec, homeostat=HomeostatParameters(per="neuron"))
    counts = Liquid(own, model.conductances).counts(spikes)
    kept = replace(model, spec=own, readout=Readout(own, readout.weights, readout.bias))
    kept.save(path)
    code, _, error = evaluate(*events, "--model", path, "--homeostat")
    assert (code, "has no ratios of a homeostat" in error) == (2, True)
    replace(kept, ratios=balanced_ratios(counts, int(spikes.sum()))).save(path)
    each = scored("--homeostat")
    assert len(each["threshold"]) == own.neurons
    assert np.abs(np.array(each["threshold"]) - own.threshold).max() <= 4
    assert each["liquid_spikes"] == pytest.approx(off["liquid_spikes"], rel=0.03)
    model.save(path)
    late, weak = scored("--drift-s", "1e8"), scored("--current", "0.8")
    assert late["liquid_spikes"] < weak["liquid_spikes"] < off["liquid_spikes"]
    image = draw(replace(spec, device=replace(spec.device, drift_exponent=0.02, drift_exponent_sigma=0.01,
                                              drift_time_s=1e8)), model.seed)  # fmt: skip
    assert late["conductances_sha256"] == image.sha256


def shipped_spikes(model: TrainedCrossbar, spikes: np.ndarray) -> float:
    """Liquid spikes of a recording, on average."""
    return float(Liquid(model.spec, model.conductances).run(spikes).spikes.sum() / len(spikes))
