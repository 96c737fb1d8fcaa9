"""`liquidcal flow` on a crossbar: one seed goes through the whole chain, and everything changes with it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.common.journal import Journal
from flows.designs.catalogue import design as find_design
from flows.designs.crossbar import CrossbarDesign
from flows.steps import crossbar_demo
from flows.steps.chain import flow_options
from flows.steps.crossbar import DRAW
from sim.lsm_crossbar.example_specs import campaign_spec
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.macro_model.measured_file import write_measured
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec
from tests.flows.command_line import call
from tests.flows.conftest import library_or_skip

SPEC = replace(N_MNIST, name="FLOWING", rows=272, columns=32, neurons=16, steps=10, windows=2, threshold=20)
SIZES = (120, 40, 40)


class Chain:
    """Results of one run in a folder of its own."""

    def __init__(self, folder: Path, result: dict[str, Any]):
        self.folder, self.result = folder, result
        (file,) = folder.glob("*.mem")
        self.file = file
        self.image = read_conductances(file)
        with np.load(folder / "liquid.npz") as arrays:
            self.liquid = {name: arrays[name] for name in arrays.files}
        self.power = json.loads((folder / "power" / "power.json").read_text())
        self.energy = json.loads((folder / "energy.json").read_text())
        self.check = {check["name"]: check for check in result["checks"]}


def run(
    folder: Path,
    spec: CrossbarSpec,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *options: str,
) -> Chain:
    library_or_skip("nangate45")
    folder.mkdir(exist_ok=True)
    (folder / "spec.toml").write_text(spec.to_toml())
    monkeypatch.setattr(crossbar_demo, "SIZES", SIZES)
    result = call(
        monkeypatch, capsys, str(folder / "spec.toml"), "--out", str(folder), "--library", "nangate45", "--seed",
        str(seed), "--recordings", "3", "--crossings", "20", "--no-proofs", *options,
    )  # fmt: skip
    return Chain(folder / spec.name, result)


def test_one_seed_goes_through_the_chain_and_changes_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = run(tmp_path / "one", SPEC, 7, monkeypatch, capsys)
    assert json.loads((one.folder / "verification.json").read_text())["checks"]
    other = run(tmp_path / "other", SPEC, 8, monkeypatch, capsys, "--no-verify")
    for chain, seed in ((one, 7), (other, 8)):
        assert chain.result["passed"]
        # conductances: those of the device model, in a file named by its own hash
        assert chain.image.sha256 == draw(SPEC, seed).sha256
        assert chain.file.name == f"{SPEC.name}-seed{seed}-{chain.image.sha256[:16]}.mem"
        # accuracy: the readout was trained for them; scored again here, from the two files alone
        model = TrainedCrossbar.load(chain.folder / "model.npz")
        assert (model.seed, model.conductances_sha256) == (seed, chain.image.sha256)
        test = crossbar_demo.synthesised_parts(Journal(), SPEC, SIZES, seed)[2]
        classes = model.readout.classify(Liquid(SPEC, chain.image, "numpy").counts(test.spikes))
        assert chain.result["chip"]["accuracy"] == pytest.approx(np.mean(classes == test.labels))
        # RTL: the Verilog loads this file, which lies beside it
        assert f'$readmemh("{chain.file.name}"' in (chain.folder / "rtl" / f"{SPEC.name}.v").read_text()
        assert (chain.folder / "rtl" / chain.file.name).read_bytes() == chain.file.read_bytes()
        # verified spikes, in the RTL and on the gates
        assert chain.check["RTL equals golden model: spikes"]["compared"] == 5 * SPEC.steps * SPEC.neurons
        assert chain.power["conductances"] == chain.energy["conductances"] == chain.file.name
        assert chain.power["compared"]["spikes"] >= 3 * SPEC.steps * SPEC.neurons
        # energy: all of the chip, this draw
        assert {"cells", "ADCs", "neurons", "clock tree"} <= {term["name"] for term in chain.energy["terms"]}
        assert chain.result["chip"]["digital_part_measured"]
        report = json.loads((chain.folder / "report.json").read_text())
        titles = {section["title"] for section in report["sections"]}
        assert {"The array", "Classes", "Energy of one inference", "Checks"} <= titles
    for name in ("codes", "inputs", "spikes", "labels"):
        assert not np.array_equal(one.liquid[name], other.liquid[name]), name
    assert one.file.read_bytes() != other.file.read_bytes()
    readouts = [TrainedCrossbar.load(chain.folder / "model.npz").readout.weights for chain in (one, other)]
    assert not np.array_equal(*readouts)
    assert one.energy["terms"] != other.energy["terms"]
    assert one.power["stages_uw"] != other.power["stages_uw"]
    # what is the same for every draw is one netlist
    netlists = [(chain.folder / "synthesis" / "netlist.json").read_bytes() for chain in (one, other)]
    assert netlists[0] == netlists[1]

    # the same seed again: all kept
    kept = run(tmp_path / "one", SPEC, 7, monkeypatch, capsys)
    assert kept.result["ran"] == dict.fromkeys(
        ("draw", "generate", "synth", "place", "time", "power", "verify", "energy"), False
    )

    # in the folder of another seed: the same bytes, and nothing of the other one stays; the netlist is kept
    moved = run(tmp_path / "other", SPEC, 7, monkeypatch, capsys, "--no-verify")
    assert {step for step, ran in moved.result["ran"].items() if ran} == {"draw", "generate", "power", "energy"}
    for name in (one.file.name, "model.npz", "macro_energy.json", f"rtl/{SPEC.name}.v", f"rtl/{one.file.name}"):
        assert (moved.folder / name).read_bytes() == (one.folder / name).read_bytes(), name
    assert len(list((moved.folder / "rtl").glob("*.mem"))) == 1
    assert all(np.array_equal(moved.liquid[name], one.liquid[name]) for name in one.liquid)
    assert moved.energy["terms"] == one.energy["terms"]


def test_a_model_of_the_chain_is_what_evaluate_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crossbar_demo.run_crossbar_demo(Journal(), tmp_path, SPEC, seed=3, sizes=SIZES, simulated=1)
    model = TrainedCrossbar.load(tmp_path / "model.npz")
    digits = mnist_digits("first_thousand").take(np.arange(30))
    assert np.mean(model.classify(EventCamera(seed=9).record_all(digits.images)) == digits.labels) > 0.35


def test_a_chip_that_shows_no_digits_goes_through_without_accuracy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = campaign_spec()
    # its verification is that of `liquidcal verify` (tests/flows/commands/test_crossbar.py)
    chain = run(tmp_path, spec, 5, monkeypatch, capsys, "--no-verify")
    assert chain.result["passed"]
    assert chain.result["chip"]["accuracy"] is None
    assert chain.image.sha256 == draw(spec, 5).sha256
    assert chain.power["conductances"] == chain.file.name
    assert chain.liquid["spikes"].any()
    assert not (chain.folder / "model.npz").exists()
    page = (chain.folder / "report.md").read_text()
    assert "Random spikes" in page
    assert "N-MNIST-like" not in page


def test_measured_conductances_reach_the_draw_by_content(tmp_path: Path) -> None:
    """The step's key changes with what the file holds, not with its name; a chip without a macro takes none."""
    design, file = CrossbarDesign(spec=SPEC), tmp_path / "chip.csv"
    keys = []
    for value in (1.0, 2.0):
        write_measured(file, np.full((SPEC.rows, SPEC.columns), value))
        options = flow_options(design, tmp_path, conductances=file)[DRAW.name]
        assert options.conductances == file
        keys.append(DRAW.key(design, tmp_path, options))
    assert keys[0] != keys[1]
    write_measured(file, np.full((SPEC.rows, SPEC.columns), 1.0))
    assert DRAW.key(design, tmp_path, options) == keys[0]
    with pytest.raises(ValueError, match="--conductances are those of the macro of a crossbar; ECON_T takes none"):
        flow_options(find_design("ECON_T"), tmp_path, conductances=file)
