"""Files of one encoder that load a real ECON-T: writes for either chip, settings in either spelling."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from flows.designs import encoder_files
from sim.hgcal_encoder.configuration.production_registers import production_map, production_writes
from sim.hgcal_encoder.configuration.registers import register_writes
from sim.hgcal_encoder.files.settings_files import load_settings, save_settings
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T, TNS_2021, WordOrder
from sim.hgcal_encoder.weights import Weights
from tests.flows.command_line import program
from tests.sim.hgcal_encoder.files.tables import production_table


@pytest.fixture
def no_verilog(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested here does not look at the Verilog, which takes 20 s."""
    monkeypatch.setattr(encoder_files, "to_verilog", lambda *_: "")


def writes(path: Path) -> list[tuple[int, int]]:
    with path.open(newline="") as file:
        return [(int(row["address"], 16), int(row["data"], 16)) for row in csv.DictReader(file)]


@pytest.mark.usefixtures("no_verilog")
def test_writes_for_either_chip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A production file gives both; first silicon alone where it is asked for; other registers as the file has them."""
    weights = Weights.random(ECON_T, np.random.default_rng(3))
    table = production_table(weights)
    table["FormatterBuffer"]["Global"] |= {"idle_pattern": 0x123, "buff_t1": 400}  # type: ignore[index]
    table["AlgoDroplsb"] = {"Global": {"drop_lsb": 3}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(table))
    settings, _ = load_settings(tmp_path / "s.yaml")
    command = ["generate", "ECON_T", "--settings", tmp_path / "s.yaml", "--json", "--out"]
    code, out, error = program(capsys, *command, tmp_path / "both")
    assert code == 0, error
    folder = tmp_path / "both" / "ECON_T"
    assert {"writes.csv", "production_writes.csv", "production_registers.csv"} < set(json.loads(out)["files"])
    assert writes(folder / "writes.csv") == register_writes(ECON_T, settings, weights)
    others = {"idle_pattern": 0x123, "buff_t1": 400, "drop_lsb": 3}
    loads = writes(folder / "production_writes.csv")
    assert loads == production_writes(settings, weights, others=others)
    memory = dict(loads)
    # by hand, from the published map: weights from 0x600 in steps of 134 bytes, mux 0x40f, active_etxs 0x545 (bit 3)
    image = weights.to_image()
    for block in range(12):
        start = 0x600 + 134 * block
        assert bytes(memory[start + byte] for byte in range(134)) == image[134 * block : 134 * (block + 1)]
    assert [memory[0x40F + cell] for cell in range(48)] == list(range(47, -1, -1))
    assert memory[0x545] >> 3 | memory[0x546] << 5 == 0b111
    assert memory[0x547] | (memory[0x548] & 7) << 8 == 0x123
    # nothing of first silicon's addresses is written: clocks, links and other blocks lie there
    assert set(memory) <= {f.address + byte for f in production_map() for byte in range(f.size)}
    for name, here in (("p1", False), ("production", True)):
        program(capsys, *command, tmp_path / name, "--registers", name)
        assert (tmp_path / name / "ECON_T" / "production_writes.csv").is_file() == here


@pytest.mark.usefixtures("no_verilog")
def test_networks_that_the_production_chip_cannot_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Weights.random(TNS_2021, np.random.default_rng(1)).save(tmp_path / "w.hex")
    words = ["generate", "TNS_2021", "--weights", tmp_path / "w.hex", "--out", tmp_path / "b"]
    code, _, error = program(capsys, *words, "--registers", "production")
    assert code == 2
    assert "TNS_2021: the production chip holds 144 latent bits and 12,864 bits of weights" in error
    assert not (tmp_path / "b" / "TNS_2021").exists()
    assert program(capsys, *words)[0] == 0
    assert not list((tmp_path / "b" / "TNS_2021").glob("settings_*.yaml"))
    code, _, error = program(capsys, "generate", "N_MNIST", "--registers", "p1", "--out", tmp_path / "b")
    assert (code, error) == (2, "liquidcal: --registers are those of ECON_T; a crossbar has one map\n")


@pytest.mark.parametrize("order", list(WordOrder))
def test_settings_written_are_settings_read(tmp_path: Path, order: WordOrder) -> None:
    """Both spellings carry everything; the multiplexer is that of the spelling's order of cells."""
    rng = np.random.default_rng(8)
    weights = Weights.random(ECON_T, rng)
    settings = Settings(
        select=rng.integers(0, 48, 48), factors=rng.integers(0, 4096, 48), high_density=False, etx_count=3,
        keep_mask=int(rng.integers(1, 1 << 62)) << 75, word_order=WordOrder.P1,
    )  # fmt: skip
    for image in (weights, None):
        save_settings(tmp_path / "s.yaml", settings, image, order)
        found, carried = load_settings(tmp_path / "s.yaml")
        expected = settings.in_order(order)
        for name in ("select", "factors", "high_density", "etx_count", "keep_mask", "word_order"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name
        assert carried == image
    with pytest.raises(ValueError, match=r"TNS_2021: the chip has registers for 144 latent bits|holds 1608 bytes"):
        save_settings(tmp_path / "t.yaml", Settings(spec=TNS_2021), Weights.random(TNS_2021, rng), order)
    assert not (tmp_path / "t.yaml").exists()


@pytest.mark.usefixtures("no_verilog")
def test_a_weight_image_becomes_settings_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = Weights.random(ECON_T, np.random.default_rng(2))
    weights.save(tmp_path / "w.hex")
    assert program(capsys, "generate", "ECON_T", "--weights", tmp_path / "w.hex", "--out", tmp_path)[0] == 0
    for name, order in (("p1", WordOrder.P1), ("production", WordOrder.PRODUCTION)):
        settings, carried = load_settings(tmp_path / "ECON_T" / f"settings_{name}.yaml")
        assert carried == weights
        assert settings.word_order is order
        assert np.array_equal(settings.in_order(WordOrder.PRODUCTION).select, np.arange(48))
