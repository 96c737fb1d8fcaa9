"""From WAV files and recordings to conductances, projections, RTL, retrieval and energy: one seed, one chain."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from flows.common.journal import Journal
from flows.designs.association import AssociationDesign
from flows.report.write import write_report
from flows.steps.association_demo import Sources
from flows.steps.chain import chain, flow_options, run_chain, summary
from sim.lsm_crossbar.association.anchors import anchor_curve
from sim.lsm_crossbar.association.model import TrainedAssociation
from sim.lsm_crossbar.association.spec import AssociationSpec
from sim.lsm_crossbar.association.training import Samples
from sim.lsm_crossbar.recordings.events import Events, write_nmnist
from sim.lsm_crossbar.spec import CrossbarSpec

AUDIO = CrossbarSpec(
    name="TONES", inputs=16, neurons=16, steps=20, outputs=6, threshold=12, leak=(-3,), windows=2, rows=32,
    columns=32, columns_per_adc=4,
)  # fmt: skip
SPEC = AssociationSpec(
    name="TONES_AND_SIDES", audio=AUDIO, entries=12, match_lanes=4,
    vision=replace(AUDIO, name="SIDES", inputs=242, threshold=30, rows=260),
)  # fmt: skip
LEFT_OUT = tuple(
    step.name for step in chain(AssociationDesign(spec=SPEC)) if step.name not in ("draw", "generate", "energy")
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Two words: a falling tone goes with events on the left, a rising one with events on the right."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    clips, events, lines = folder / "clips", folder / "events", []
    clips.mkdir()
    events.mkdir()
    for number in range(40):
        label = number % 2
        low, high = ((1500, 300), (300, 1500))[label]
        pitch = np.linspace(low, high, 1600) * rng.uniform(0.9, 1.1)
        sound = np.sin(2 * np.pi * np.cumsum(pitch) / 8000) * np.hanning(1600)
        wavfile.write(clips / f"{label}_p{number // 4}_{number}.wav", 8000, (sound * 20000).astype(np.int16))
        n = 300
        seen = Events(
            x=rng.integers(0, 15, n) + 18 * label, y=rng.integers(0, 34, n), on=rng.random(n) < 0.5,
            t_us=np.sort(rng.integers(0, 120_000, n)),
        )  # fmt: skip
        write_nmnist(events / f"{number}.bin", seen)
        lines.append(f"{number} {label}")
    (folder / "labels.txt").write_text("\n".join(lines))
    return Sources(clips=clips, events=events, labels=folder / "labels.txt")


def test_one_seed_makes_everything_and_another_makes_another_chip(sources: Sources, tmp_path: Path) -> None:
    design, made = AssociationDesign(spec=SPEC, library="nangate45"), {}
    assert {"power", "power_vision", "synth", "verify"} <= set(LEFT_OUT)
    for seed in (1, 2):
        folder, journal = tmp_path / str(seed), Journal()
        options = flow_options(design, folder, seed=seed, sources=sources)
        ran = run_chain(design, folder, journal, options, without=LEFT_OUT)
        assert ran == {"draw": True, "generate": True, "energy": True}
        assert journal.passed
        rtl = next(check for check in journal.checks if check.name.startswith("RTL equals golden model"))
        # four queries of either kind: components, similarities to all entries of the other kind, the entry found
        shown = np.load(folder / "queries.npz")
        assert rtl.compared == sum(
            4 * (SPEC.dimensions + len(shown[f"{name}_labels"]) + 1) for name in ("vision", "audio")
        )
        found, text = summary(design, folder) or ({}, "")
        assert f"Seed {seed}" in text
        assert min(found["images_by_clips"], found["clips_by_images"]) >= 0.75
        model = TrainedAssociation.load(folder / "model.npz")
        files = sorted(path.name for path in folder.glob("*.mem"))
        assert files == sorted(image.file_name for image in model.conductances)
        verilog = (folder / "rtl" / f"{SPEC.name}.v").read_text()
        assert all(f'$readmemh("{name}"' in verilog for name in files)
        made[seed] = (
            files, model.sha256, (folder / "rtl" / "writes.csv").read_text(),
            json.loads((folder / "energy.json").read_text())["queries"],
        )  # fmt: skip
        assert run_chain(design, folder, Journal(), options, without=LEFT_OUT)["draw"] is False
    for one, other in zip(made[1], made[2], strict=True):
        assert one != other
    page = write_report(tmp_path / "1", design).read_text()
    for title in ("A spoken and a seen digit", "The common space", "Retrieval", "Energy of a query"):
        assert f">{title}</h2>" in page
    assert "the digital part is not measured" in page


def test_energy_has_the_digital_part_of_these_macros_alone(sources: Sources, tmp_path: Path) -> None:
    """A power.json of other macros, or of the other modality, is not added."""
    design, folder = AssociationDesign(spec=SPEC, library="nangate45"), tmp_path
    options = flow_options(design, folder, seed=1, sources=sources)
    run_chain(design, folder, Journal(), options, without=LEFT_OUT)
    own = json.loads((folder / "macro_energy.json").read_text())["conductances"]
    kinds = {"leakage": 1.0, "internal": 2.0}
    power = {
        "conductances": own, "modality": "audio", "library": "nangate45", "voltage_v": 1.1, "period_ns": 10.0,
        "clocks_per_inference": 100.0, "energy_per_inference_pj": 9.0, "activity": "x", "uncertainty": [],
        "power_uw": {"total": 9.0, "clock_tree": 3.0},
        "stages_uw": {"audio.neuron": kinds, "vision.neuron": kinds, "match": kinds},
    }  # fmt: skip
    for where, content, measured in (
        ("power", power | {"conductances": ["other"]}, False),
        ("power_vision", power, False),
        ("power", power, True),
    ):
        (folder / where).mkdir(exist_ok=True)
        (folder / where / "power.json").write_text(json.dumps(content))
        run_chain(design, folder, Journal(), options, without=LEFT_OUT)
        queries = json.loads((folder / "energy.json").read_text())["queries"]
        assert ("digital_native_pj" in queries["audio"]) is measured
        assert "digital_native_pj" not in queries["vision"]
    terms = {term["name"]: term["nominal_pj"] for term in queries["audio"]["terms"]}
    # what the idle liquid takes is named, and nothing is lost: 3 uW of leakage for 1 us
    assert terms["idle liquid"] == terms["neurons"] == terms["match"] > 0
    assert terms["leakage"] == pytest.approx(3.0)


def test_data_are_for_chips_that_learn(tmp_path: Path) -> None:
    from flows.designs.catalogue import design

    with pytest.raises(ValueError, match="those of a chip that learns; N_MNIST does not"):
        flow_options(design("N_MNIST"), tmp_path, sources=Sources(clips=tmp_path))


def test_anchors_of_words_that_are_apart_are_found() -> None:
    """Four classes whose counts do not overlap: one labelled pair is enough; shuffled labels are guessed."""
    rng = np.random.default_rng(0)

    def of(labels: np.ndarray) -> Samples:
        counts = []
        for crossbar in SPEC.crossbars:
            own = rng.integers(0, 2, (len(labels), crossbar.windows, crossbar.all_neurons))
            for row, label in zip(own, labels, strict=True):
                row[:, 4 * label : 4 * label + 4] += 4
            counts.append(own)
        return Samples(counts=(counts[0], counts[1]), labels=(labels, labels))

    labels = np.tile(np.arange(4), 20)
    training, test = of(labels), of(labels)
    curve = anchor_curve(SPEC, training, test, range(4))
    assert [row["k"] for row in curve] == [1, 2, 5, 10]
    assert curve[0]["audio_to_image"] > 0.9
    assert curve[-1]["image_to_audio"] > 0.9
    shuffled = Samples(counts=test.counts, labels=(test.labels[0], rng.permutation(test.labels[1])))
    guessed = anchor_curve(SPEC, training, shuffled, range(4))
    assert guessed[-1]["audio_to_image"] < 0.75
    assert anchor_curve(SPEC, training, test, range(3)) == []
