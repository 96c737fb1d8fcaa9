"""One seed to conductances, accuracy, RTL and energy, on a small chip."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from flows.common.journal import Journal
from flows.designs.catalogue import design
from flows.report.write import write_report
from flows.steps.crossbar_demo import run_crossbar_demo
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
from sim.lsm_crossbar.spec import N_MNIST

SMALL = replace(N_MNIST, name="SMALL", rows=288, columns=64, neurons=32, steps=10, windows=1, threshold=20)


def demo(folder: Path, seed: int) -> Journal:
    journal = Journal(console=Console(file=io.StringIO()))
    folder.mkdir()
    run_crossbar_demo(journal, folder, SMALL, seed=seed, sizes=(150, 50, 50), simulated=2)
    return journal


def test_a_seed_decides_everything_and_model_and_rtl_agree(tmp_path: Path) -> None:
    journal = demo(tmp_path / "a", 1)
    assert journal.passed
    assert {check.name for check in journal.checks} >= {
        "RTL equals golden model: spikes",
        "RTL equals golden model: classes",
    }
    (file,) = (tmp_path / "a").glob("*.mem")
    with np.load(tmp_path / "a" / "liquid.npz") as arrays:
        codes, labels, classes = arrays["codes"], arrays["labels"], arrays["classes"]
    assert np.array_equal(read_conductances(file).codes, codes)
    # far above chance for a readout that saw 200 digits
    assert np.mean(labels == classes) > 0.3
    assert TrainedCrossbar.load(tmp_path / "a" / "model.npz").conductances_sha256.startswith(file.stem[-16:])
    terms = json.loads((tmp_path / "a" / "energy.json").read_text())["terms"]
    assert all(0 < term["low_pj"] <= term["nominal_pj"] <= term["high_pj"] for term in terms)
    journal.save(tmp_path / "a" / "journal.json")
    assert "PASS: 5 checks" in write_report(tmp_path / "a", design(SMALL)).read_text()

    demo(tmp_path / "b", 2)
    (other,) = (tmp_path / "b").glob("*.mem")
    assert other.name != file.name
    with np.load(tmp_path / "b" / "liquid.npz") as arrays:
        assert arrays["seed"] == 2
        assert not np.array_equal(arrays["codes"], codes)


def test_a_chip_without_digits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 10 outputs"):
        run_crossbar_demo(Journal(), tmp_path, replace(SMALL, outputs=11))
    assert not any(tmp_path.iterdir())
