"""``liquidcal prove`` and ``liquidcal pools``: what is proved, exit codes, files, wrong use."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.cli import app
from flows.common.metrics import read_metrics
from flows.formal.solver import Proof, Status
from flows.steps import encoder_proofs
from sim.hgcal_encoder.detector import pools
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL.to_toml())
    Weights.random(SMALL, np.random.default_rng(11)).save(tmp_path / "small.hex")
    return tmp_path


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_proofs_of_a_group_are_listed_counted_and_kept(small: Path) -> None:
    options = ("--about", "frozen", "--model", small / "small.hex", "--out", small)
    done = run("prove", small / "small.toml", *options, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout[done.stdout.index("{") :])
    assert {proof["status"] for proof in result["proofs"]} == {"proved"}
    outputs = SMALL.activations + SMALL.latents
    assert len(result["proofs"]) == outputs == result["checks"][0]["compared"]
    (metric,) = read_metrics(small / SMALL.name / "proofs_metrics.json")
    assert (metric.name, metric.value) == ("proof__count__group:frozen", outputs)
    assert metric.command.startswith(f"liquidcal prove {small / 'small.toml'} --about frozen --model ")


def test_a_proof_that_does_not_close_ends_with_1(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Iterator[Proof]:
        for name, status in (("good", Status.PROVED), ("bad", Status.REFUTED)):
            yield Proof(name=name, status=status, input_bits=1, wall_s=0.0, statement="s", counterexample={})

    monkeypatch.setitem(encoder_proofs.GROUPS, "protection", broken)
    done = run("prove", small / "small.toml", "--about", "protection", "--out", small)
    assert done.exit_code == 1
    assert "bad" in done.stdout
    assert "1 open: bad" in json.loads((small / SMALL.name / "proofs.json").read_text())["checks"][0]["detail"]


def test_what_cannot_be_proved_is_refused(small: Path) -> None:
    unknown = run("prove", small / "small.toml", "--about", "magic", "--out", small).exception
    assert "no proofs about magic; there are protection, code_words, frozen, loadable, folded" in str(unknown)
    other = run("prove", "N_MNIST", "--out", small).exception
    assert "N_MNIST is of the kind crossbar, which has no proofs" in str(other)


def test_pools_are_written_or_say_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "pool.npz"
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    done = run("pools", "ttbar", "--events", 1, "--out", out)
    assert isinstance(done.exception, ModuleNotFoundError)
    assert not out.exists()

    def made(process: str, events: int, seed: int, progress: Any) -> dict[str, Any]:
        progress(events)
        return {"off": np.arange(2 * events + 1), "kind": np.zeros(7 * seed, np.uint8)}

    monkeypatch.setattr(pools, "generate_pool", made)
    done = run("pools", "ttbar", "--events", 3, "--seed", 2, "--out", out, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout[done.stdout.index("{") :])
    assert found == {"out": str(out), "endcaps": 6, "particles": 14}
    with np.load(out) as arrays:
        assert len(arrays["off"]) == 7
    monkeypatch.setattr(pools, "generate_pool", lambda *_: (_ for _ in ()).throw(RuntimeError("Pythia gave up")))
    assert isinstance(run("pools", "minbias", "--out", out).exception, ValueError)
    assert run("pools", "higgs", "--out", out).exit_code == 2
