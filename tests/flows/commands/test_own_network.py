"""A network of one's own: from a spec in a TOML file to figures, by commands alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.fixed_point import Overflow, Rounding
from sim.hgcal_encoder.files import vectors
from sim.hgcal_encoder.files.readers import ChargeTable
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from tests.conftest import long, need_module
from tests.flows.command_line import program
from tests.sim.hgcal_encoder.files.test_keras_files import public_file
from tests.specs import SMALL, scalar_latents

MINE = replace(
    SMALL,
    name="MINE",
    filters=1,
    latents=2,
    weight=replace(SMALL.weight, width=9),
    conv_product_rounding=Rounding.RND,
    dense_product_rounding=Rounding.RND_CONV,
    conv_product_fraction=9,
    conv_sum_width=14,
    activation=replace(SMALL.activation, rounding=Rounding.RND_CONV, overflow=Overflow.WRAP),
    latent=replace(SMALL.latent, rounding=Rounding.RND),
)
"""Every rule is another than that of the presets, weights need more than a byte."""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``mine.toml``, ``c.csv`` and, trained on them, ``mine_2elinks.npz``."""
    need_module("tensorflow", "train")
    folder = tmp_path_factory.mktemp("mine")
    (folder / "mine.toml").write_text(MINE.to_toml())
    rng = np.random.default_rng(3)
    charges = rng.integers(0, 400, (300, 48)) * (rng.random((300, 48)) < 0.3)
    rows = [",".join(f"CALQ_{i}" for i in range(48)), *(",".join(map(str, row)) for row in charges.tolist())]
    (folder / "c.csv").write_text("\n".join(rows) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["liquidcal", "train", "--preset", str(folder / "mine.toml"), "--elinks", "2",
                                   "--charges", str(folder / "c.csv"), "--steps", "4", "--units", "8",
                                   "--out", str(folder)])  # fmt: skip
        from flows.cli import main
        from flows.learning import training

        # its card has simulated rows; few are enough here
        patch.setattr(training, "evaluation_sample", lambda: ChargeTable(charges=charges, etas=None))
        with pytest.raises(SystemExit) as left:
            main()
    assert left.value.code in (0, None)
    return folder


def test_trained_evaluated_encoded(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The model says what it is of; what `encode` gives for it is the formula of the spec, in exact rationals."""
    spec, model = mine / "mine.toml", mine / "mine_2elinks.npz"
    trained = TrainedModel.load(model)
    assert trained.spec == MINE
    command = [line for line in (mine / "mine_2elinks.md").read_text().splitlines() if line.startswith("- Command")]
    assert "liquidcal train --preset mine.toml --elinks 2" in command[0]
    chosen = ["--preset", spec, "--elinks", 2, "--weights", model]
    code, out, error = program(
        capsys, "evaluate", "hgcal_encoder", *chosen, "--charges", mine / "c.csv", "--no-baselines", "--json"
    )
    assert code == 0, error
    assert json.loads(out)["data"][0]["images"] == 300
    words = ["--charges", mine / "c.csv", "--weights", model, "--preset", spec]
    assert program(capsys, "encode", *words, "--out", tmp_path / "l.csv")[0] == 0
    found = np.genfromtxt(tmp_path / "l.csv", delimiter=",", skip_header=1, dtype=np.int64)
    codes = trained.weights.to_codes().tolist()
    for row, latents in zip(vectors.read_charges(mine / "c.csv")[:20], found, strict=False):
        assert scalar_latents(row[trained.multiplexer].tolist(), codes, MINE) == latents.tolist()


def test_converted(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights of a Keras file become the image of the network of the TOML file, which `generate` takes."""
    weights = Weights.random(MINE, np.random.default_rng(8))
    file = public_file(tmp_path / "e.hdf5", weights)
    out = tmp_path / "image.npz"
    assert program(capsys, "convert", file, "--preset", mine / "mine.toml", "--out", out)[0] == 0
    assert Weights.load(out, MINE) == weights
    code, _, error = program(capsys, "generate", mine / "mine.toml", "--weights", out, "--out", tmp_path / "build")
    assert code == 0, error
    assert Weights.load(tmp_path / "build" / "MINE" / "weights.hex", MINE) == weights


def test_sensitivity(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [mine / "mine.toml", "--elinks", 2, "--weights", mine / "mine_2elinks.npz", "--modules", 8]
    code, out, error = program(capsys, "sensitivity", *words, "--out", tmp_path, "--json")
    assert code == 0, error
    assert (tmp_path / "MINE" / "sensitivity.npz").is_file()
    assert json.loads(out)["bits"] == MINE.weight_bits


@long
def test_verified(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Showers run through the hardware with the trained weights, beside random words with random ones."""
    words = ["verify", mine / "mine.toml", "--weights", mine / "mine_2elinks.npz", "--out", tmp_path]
    code, out, error = program(
        capsys, *words, "--crossings", 200, "--mutants", 0, "--random-specs", 0, "--no-proofs", "--json"
    )
    assert code == 0, error
    checks = {check["key"]: check for check in json.loads(out)["checks"]}
    own = checks["own_weights__spec:MINE"]
    assert own["passed"]
    assert own["compared"] > 1000
    assert "mine_2elinks.npz" in own["name"]


def test_what_does_not_fit_is_said(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line: no shipped weights, another kind of chip, a model of another network of the same name."""
    model = mine / "mine_2elinks.npz"
    other = tmp_path / "other.toml"
    other.write_text(replace(MINE, latent=MINE.activation).to_toml())
    reused = tmp_path / "reused.toml"
    reused.write_text(replace(MINE, reuse=4).to_toml())
    as_econ_t = tmp_path / "econ_t.toml"
    as_econ_t.write_text(replace(MINE, name="ECON_T").to_toml())
    evaluate = ["evaluate", "hgcal_encoder", "--charges", mine / "c.csv", "--no-baselines"]
    for words, message in (
        ([*evaluate, "--preset", mine / "mine.toml", "--elinks", 2], "no model is shipped for MINE on 2 eLinks"),
        ([*evaluate, "--preset", as_econ_t, "--elinks", 5], "no model is shipped for ECON_T on 5 eLinks"),
        ([*evaluate, "--preset", "N_MNIST"], "N_MNIST is of the kind crossbar; expected an encoder"),
        ([*evaluate, "--preset", other, "--elinks", 2, "--weights", model], "a model of another MINE"),
        (["verify", "TNS_2021", "--weights", model], "mine_2elinks.npz: weights of MINE, but the encoder is TNS_2021"),
        (["verify", "ECON_T", "--recordings", mine], "recordings to verify with are for a crossbar; ECON_T is none"),
        (["sensitivity", "N_MNIST"], "N_MNIST is of the kind crossbar; expected an encoder"),
        (["train", "--preset", "no.toml", "--out", tmp_path / "t"], "no preset and no TOML file named 'no.toml'"),
    ):
        code, out, error = program(capsys, *words)
        assert (code, out) == (2, ""), words
        assert message in error, (words, error)
        assert error.count("\n") == 1
    # how many multipliers the hardware has changes no result
    code, _, error = program(capsys, *evaluate, "--preset", reused, "--elinks", 2, "--weights", model)
    assert code == 0, error
    assert not (tmp_path / "t").exists()


@long
def test_verified_placed_timed_and_measured(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rest of the chain, with the trained weights in its power."""
    need_module("coloquinte", optional=True)
    words = [mine / "mine.toml", "--weights", mine / "mine_2elinks.npz", "--streams", 64, "--crossings", 200]
    code, out, error = program(capsys, "flow", *words, "--no-proofs", "--out", tmp_path, "--json")
    assert code == 0, error
    result = json.loads(out)
    assert result["passed"]
    folder = tmp_path / "MINE"
    power = json.loads((folder / "power" / "power.json").read_text())
    assert power["weights"] == "mine_2elinks.npz"
    assert power["frames_compared"] > 10_000
    assert EncoderSpec.from_toml((folder / "design.toml").read_text().partition("[spec]")[2].replace("[spec.", "["))
    names = {metric["name"] for metric in json.loads((folder / "report.json").read_text())["metrics"]}
    for wanted in ("design__instance__area", "timing__setup__ws", "power__total", "check__random_crossings"):
        assert any(name.startswith(wanted) for name in names), (wanted, sorted(names))
