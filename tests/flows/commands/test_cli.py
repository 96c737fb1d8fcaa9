"""The command line as a user meets it: files in and out, exit codes, one-line errors, nothing half-written."""

import gzip
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.files import vectors
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, WordOrder
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import pack
from tests.flows.command_line import liquidcal
from tests.sim.hgcal_encoder.files.tables import production_table


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    weights = Weights.random(ECON_T, rng)
    (folder / "s.yaml").write_text(yaml.safe_dump(production_table(weights)))
    vectors.write_words(folder / "words.csv", pack(rng.integers(0, 128, (20, 48)), WordOrder.PRODUCTION))
    weights.save(folder / "w.hex")
    header = ",".join(f"CALQ_{i}" for i in range(48))
    rows = rng.integers(0, 4000, (9, 48))
    (folder / "c.csv").write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return folder


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_encodes_words_to_frames(inputs: Path, tmp_path: Path, engine: str) -> None:
    out = tmp_path / "o.csv"
    done = liquidcal(
        "encode",
        "--words",
        inputs / "words.csv",
        "--settings",
        inputs / "s.yaml",
        "--engine",
        engine,
        "--out",
        out,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "rows": 20, "kind": "frames", "out": str(out), "engine": engine, "algorithm": "autoencoder", "wrong_headers": 0,
    }  # fmt: skip
    settings = Settings(
        select=np.arange(48)[::-1], factors=np.full(48, 2048), high_density=False, etx_count=3, keep_mask=0xFF
    )
    weights = Weights.load(inputs / "w.hex", ECON_T)
    expected = Encoder(ECON_T, weights, settings).frames(vectors.read_words(inputs / "words.csv"))
    assert np.array_equal(vectors.read_frames(out), expected)


def test_encodes_charges_to_latents(inputs: Path, tmp_path: Path) -> None:
    out = tmp_path / "latents.csv"
    done = liquidcal("encode", "--charges", inputs / "c.csv", "--weights", inputs / "w.hex", "--out", out)
    assert done.returncode == 0, done.stderr
    lines = out.read_text().splitlines()
    assert lines[0] == ",".join(f"AE_{i}" for i in range(16))
    expected = Encoder(ECON_T, Weights.load(inputs / "w.hex", ECON_T)).latents(vectors.read_charges(inputs / "c.csv"))
    assert [list(map(int, line.split(","))) for line in lines[1:]] == expected.tolist()


def test_encodes_charges_of_another_format(inputs: Path, tmp_path: Path) -> None:
    """Gzipped CSV; Parquet and ROOT go through the same reader (tests/sim/hgcal_encoder/files/test_readers.py)."""
    packed, out = tmp_path / "c.csv.gz", tmp_path / "o.csv"
    packed.write_bytes(gzip.compress((inputs / "c.csv").read_bytes()))
    options = ["--weights", inputs / "w.hex", "--engine", "numpy", "--out", out]
    done = liquidcal("encode", "--charges", packed, *options)
    assert done.returncode == 0, done.stderr
    expected = Encoder(ECON_T, Weights.load(inputs / "w.hex", ECON_T)).latents(vectors.read_charges(inputs / "c.csv"))
    assert [list(map(int, line.split(","))) for line in out.read_text().splitlines()[1:]] == expected.tolist()


def test_bad_input_gets_one_line_exit_2_and_no_file(inputs: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    lines = (inputs / "words.csv").read_text().splitlines()
    bad.write_text("\n".join([*lines[:5], lines[5].replace(",", ",x", 1), *lines[6:]]) + "\n")
    out = tmp_path / "o.csv"
    cases = [
        (["encode", "--words", bad, "--settings", inputs / "s.yaml", "--out", out], "row 6, column RX_DATA_1"),
        (["encode", "--words", "no.csv", "--settings", inputs / "s.yaml", "--out", out], "no file at no.csv"),
        (["encode", "--words", bad, "--settings", "no.yaml", "--out", out], "no settings file at no.yaml"),
        (
            ["encode", "--charges", "c.txt", "--weights", inputs / "w.hex", "--out", out],
            "c.txt: expected a name ending in",
        ),
        (["generate", "ECON_X", "--out", tmp_path / "b"], "no preset and no TOML file named 'ECON_X'"),
        (["report", "ECON_T", "--out", tmp_path / "empty"], "holds no results"),
    ]
    for arguments, message in cases:
        done = liquidcal(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for arguments in (
        ["encode", "--out", out],
        ["encode"],
        ["no-such-command"],
        ["encode", "--out", out, "--engine", "x"],
    ):
        assert liquidcal(*arguments).returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv"]


def test_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "from flows.cli import main; main()", "generate", "ECON_T", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background of a script inherits that interrupts are ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "  start ECON_T: Amaranth to Verilog\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_help_names_every_command_and_its_files() -> None:
    text = liquidcal("--help").stdout
    for command in ("demo", "encode", "generate", "verify", "synth", "power", "sweep", "report"):
        assert command in text
        assert liquidcal(command, "--help").returncode == 0


def test_generates_a_small_design_from_a_spec_file(tmp_path: Path) -> None:
    spec = replace(ECON_T, name="TINY", filters=1, latents=2)
    (tmp_path / "tiny.toml").write_text(spec.to_toml())
    weights = Weights.random(spec, np.random.default_rng(1))
    weights.save(tmp_path / "w.hex")
    done = liquidcal(
        "generate", tmp_path / "tiny.toml", "--weights", tmp_path / "w.hex", "--out", tmp_path / "b", "--json"
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "b" / "TINY"
    listed = json.loads(done.stdout)["files"]
    assert sorted(path.name for path in folder.iterdir()) == listed
    assert "module TINY(" in (folder / "TINY.v").read_text()
    assert Weights.load(folder / "weights.hex", spec) == weights
    ports = dict(line.split(",")[::2] for line in (folder / "ports.csv").read_text().splitlines()[1:])
    assert ports["words"] == "384"
    assert ports["frames"] == "416"
    assert liquidcal("generate", tmp_path / "tiny.toml", "--reuse", "2", "--out", tmp_path / "b").returncode == 0
    assert "fast_clk" in (tmp_path / "b" / "TINY_reuse2" / "TINY.v").read_text()
    assert "reuse = 2" in (tmp_path / "b" / "TINY_reuse2" / "spec.toml").read_text()
    # again over its own result, but never over a folder of the user's
    assert liquidcal("generate", tmp_path / "tiny.toml", "--out", tmp_path / "b").returncode == 0
    (tmp_path / "mine" / "TINY").mkdir(parents=True)
    (tmp_path / "mine" / "TINY" / "thesis.txt").write_text("precious")
    done = liquidcal("generate", tmp_path / "tiny.toml", "--out", tmp_path / "mine")
    assert done.returncode == 2
    assert [path.name for path in (tmp_path / "mine" / "TINY").iterdir()] == ["thesis.txt"]
