"""``liquidcal freeze``: Verilog, check and proofs of a small encoder; wrong use."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL


@pytest.fixture
def small(tmp_path):
    (tmp_path / "small.toml").write_text(SMALL.to_toml())
    Weights.random(SMALL, np.random.default_rng(11)).save(tmp_path / "small.hex")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["freeze", *map(str, arguments)])


def test_a_model_becomes_hardware_that_is_proved(small):
    done = run(small / "small.toml", small / "small.hex", "--out", small / "build", "--crossings", 0, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout[done.stdout.index("{") :])
    assert result["passed"]
    assert [check["compared"] for check in result["checks"]] == [SMALL.activations + SMALL.latents]
    folder = small / "build" / "SMALL_FROZEN"
    assert {path.name for path in folder.iterdir()} == {
        "SMALL_FROZEN.v", "design.json", "ports.csv", "spec.toml", "weights.hex",
    }  # fmt: skip
    assert Weights.load(folder / "weights.hex", SMALL) == Weights.load(small / "small.hex", SMALL)
    assert "module SMALL_FROZEN(" in (folder / "SMALL_FROZEN.v").read_text()


def test_what_cannot_be_frozen_is_told(small):
    assert isinstance(run(small / "small.toml", "nothing").exception, FileNotFoundError)
    wrong = run("N_MNIST", "econ_t_5elinks").exception
    assert isinstance(wrong, ValueError)
    assert str(wrong) == "N_MNIST is of the kind crossbar, which has no freezing"
