"""Digits and recordings as an astrocyte liquid sees them, and a liquid of recordings from command to score."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.stimulus.astrocyte_samples import SENSOR, SHIPPED, SampleFiles, binned, learned_set, scored_set
from sim.astrocyte_liquid.spec import NALSM_216, NALSM_1000, NALSM_1000_EVENTS
from sim.lsm_crossbar.recordings.events import Events, find_recordings, read_recording, write_nmnist

SMALL = replace(
    NALSM_1000_EVENTS, name="SMALL_EVENTS", grid=(4, 4, 4), lanes=4, lane_synapses=6_144, astrocyte_weight=0.1
)


def test_time_is_rounded_to_milliseconds_and_on_comes_first() -> None:
    events = Events(
        x=np.array([0, 1, 33]), y=np.array([0, 2, 33]), on=np.array([True, False, True]),
        t_us=np.array([499, 500, 2_500]),
    )  # fmt: skip
    found = binned([events])
    assert found.step.tolist() == [0, 1, 3]
    assert found.line.tolist() == [0, 34 * 34 + 2 * 34 + 1, 34 * 34 - 1]
    assert found.start.tolist() == [0, 3]


def test_real_recordings_have_the_known_statistics(shared_data: Path) -> None:
    """Facts of 1,000 real N-MNIST recordings: half ON; merging events of a pixel within 1 ms loses 0.13 %."""
    files = list(find_recordings(shared_data / "lsm" / "nmnist_train1000").values())[::10]
    found = binned(map(read_recording, files))
    merged = found.samples(np.arange(len(found)), 400, 0).sum()
    assert merged / len(found.step) == pytest.approx(1 - 0.0013, abs=0.0005)
    assert (found.line < SENSOR.inputs // 2).mean() == pytest.approx(0.5, abs=0.01)


def test_no_digit_is_learned_and_scored() -> None:
    for spec in (NALSM_216, NALSM_1000, NALSM_1000_EVENTS):
        learned, scored = learned_set(spec, SHIPPED), scored_set(spec, SHIPPED)
        assert learned.images is not None
        assert scored.images is not None
        seen = {image.tobytes() for image in learned.images}
        assert len(seen) == len(learned) == 8_000
        assert not any(image.tobytes() in seen for image in scored.images)
    # and no camera's noise twice
    assert learned.numbers is not None
    assert scored.numbers is not None
    assert not set(learned.numbers.tolist()) & set(scored.numbers.tolist())


def _folder(folder: Path, count: int = 24) -> SampleFiles:
    """Recordings whose class is where they have events."""
    rng = np.random.default_rng(2)
    (folder / "events").mkdir()
    labels = rng.integers(0, 3, count)
    for index, label in enumerate(labels):
        n = 900
        events = Events(
            x=rng.integers(10 * label, 10 * label + 8, n), y=rng.integers(5, 30, n), on=rng.random(n) < 0.5,
            t_us=np.sort(rng.integers(0, 300_000, n)),
        )  # fmt: skip
        write_nmnist(folder / "events" / f"{index}.bin", events)
    (folder / "labels.txt").write_text("".join(f"{index} {label}\n" for index, label in enumerate(labels)))
    return SampleFiles(events=folder / "events", labels=folder / "labels.txt")


def test_a_liquid_of_recordings_from_the_command_line(tmp_path: Path) -> None:
    """The sensor's left, middle and right are told apart, by 24 recordings learned and scored again."""
    given = _folder(tmp_path)
    (tmp_path / "small.toml").write_text(SMALL.to_toml())
    files = ["--events", str(given.events), "--labels", str(given.labels)]
    run = CliRunner()
    train = ["train", "astrocyte_liquid", "--preset", str(tmp_path / "small.toml"), "--out", str(tmp_path / "out")]
    done = run.invoke(app, [*train, *files, "--snapshots", "60", "--images", "20", "--json"])
    assert done.exit_code == 0, done.output
    model = str(tmp_path / "out" / "SMALL_EVENTS.npz")
    done = run.invoke(app, ["evaluate", "astrocyte_liquid", "--model", model, *files, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found["samples"] == 24
    assert found["accuracy"] > 0.9


def test_folders_by_class_are_labels(tmp_path: Path) -> None:
    """As N-MNIST comes: Train/0/00002.bin and so on."""
    given = _folder(tmp_path)
    labelled = learned_set(SMALL, given)
    assert given.events is not None
    for path, label in zip(labelled.files, labelled.labels, strict=True):
        (given.events / str(label)).mkdir(exist_ok=True)
        path.rename(given.events / str(label) / f"{int(path.stem):05d}.bin")
    found = learned_set(SMALL, SampleFiles(events=given.events))
    assert found.labels.tolist() == labelled.labels.tolist()
    assert [path.parent.name for path in found.files] == [str(label) for label in found.labels]
    (given.events / "0" / "7.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="have the same index 7"):
        learned_set(SMALL, SampleFiles(events=given.events))


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        (NALSM_1000, {"events": "events", "labels": "labels.txt"}, "784 inputs, for images; recordings need 2,312"),
        (SMALL, {"events": "events"}, r"expected a label file \(--labels\), or a folder for each class"),
        (SMALL, {"labels": "labels.txt"}, "--labels is of recordings: expected --events with them"),
        (SMALL, {"events": "events", "labels": "labels.txt", "digits": "d"}, "got both"),
        (SMALL, {"events": "events", "labels": "more.txt"}, "no recording 99.bin or 99.bs2 for the index 99"),
        (SMALL, {"events": "events", "labels": "high.txt"}, "10 outputs: expected labels below that, got 10"),
    ],
)
def test_data_that_do_not_belong_together(tmp_path: Path, spec: object, given: dict[str, str], message: str) -> None:
    _folder(tmp_path, 2)
    (tmp_path / "more.txt").write_text("0 1\n99 2\n")
    (tmp_path / "high.txt").write_text("0 1\n1 10\n")
    files = SampleFiles(**{name: tmp_path / file for name, file in given.items()})
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        learned_set(spec, files).shown(spec)  # type: ignore[arg-type]
