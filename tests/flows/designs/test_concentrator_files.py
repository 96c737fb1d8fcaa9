"""Files of a concentrator for a chip integrator."""

import csv
import json
from pathlib import Path

import pytest

from flows.common.journal import Journal
from flows.designs.catalogue import design
from flows.designs.generated import FileOptions
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.configuration.chip_registers import Loading
from tests.specs import FEW_LINKS

SPEC = ConcentratorSpec(name="REPEATER_ONLY", algorithms=("repeater",), etx_links=2, buffer_words=64)


def test_files_of_a_chip_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "chip.toml"
    path.write_text(SPEC.to_toml())
    settings = tmp_path / "settings.yaml"
    settings.write_text("ConfigAlgo: {alg_type: 3}\nFormatterBuffer: {active_etxs: 3, idle_pattern: 0x155}\n")
    chosen = design(str(path))
    assert (chosen.kind, chosen.spec, chosen.name) == ("concentrator", SPEC, "REPEATER_ONLY")
    out = tmp_path / "out"
    generated = chosen.generate(out, Journal(), FileOptions(settings=settings))
    assert {file.name for file in generated.files} == {
        "REPEATER_ONLY.v", "spec.toml", "ports.csv", "registers.csv", "writes.csv", "design.json",
    }  # fmt: skip
    assert ConcentratorSpec.from_toml((out / "spec.toml").read_text()) == SPEC
    assert json.loads((out / "design.json").read_text())["latency_clocks"] == {"repeater": 6}
    with (out / "writes.csv").open() as file:
        writes = {int(row["address"], 16): int(row["data"], 16) for row in csv.DictReader(file)}
    # alg_type 3 in bits 2:0; idle pattern 0x155 over two bytes
    assert (writes[0x049F], writes[0x0547], writes[0x0548]) == (3, 0x55, 0x01)
    assert "module REPEATER_ONLY(" in (out / "REPEATER_ONLY.v").read_text()
    with pytest.raises(ValueError, match="a concentrator has none"):
        chosen.generate(tmp_path / "other", Journal(), FileOptions(seed=3))


def test_files_of_the_whole_chip(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        "Algorithm: {Global: {select: 0, density: 1}}\n"
        "FormatterBuffer: {Global: {active_etxs: 3, link_reset_pattern: 0x155}}\n"
    )
    out = tmp_path / "out"
    options = FileOptions(settings=settings, loading=Loading.DIRECT)
    generated = design(FEW_LINKS).generate(out, Journal(), options)
    assert {file.name for file in generated.files} > {
        "FEW_LINKS.v", "FEW_LINKS_CHIP.v", "chip_ports.csv", "chip_registers.csv", "chip_writes.csv",
    }  # fmt: skip
    assert "module FEW_LINKS_CHIP(" in (out / "FEW_LINKS_CHIP.v").read_text()
    with (out / "chip_ports.csv").open() as file:
        ports = {row["name"]: (row["direction"], int(row["width"])) for row in csv.DictReader(file)}
    assert ports["erx"] == ("input", 180)
    assert ports["etx"] == ("output", 13)
    with (out / "chip_writes.csv").open() as file:
        writes = {int(row["address"], 16): int(row["data"], 16) for row in csv.DictReader(file)}
    # first silicon: select and density, word of idle and link reset over two bytes, number of links in bits 7:4
    assert (writes[0x0454] & 15, writes[0x03A9], writes[0x03AA], writes[0x03B0] >> 4) == (8, 0x55, 1, 3)
