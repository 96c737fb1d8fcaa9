"""The astrocyte liquid as a design: known by name and file, its files, its chain, its report."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.common.journal import Journal
from flows.designs.astrocyte import AstrocyteDesign
from flows.designs.astrocyte_files import all_memories, black_boxes
from flows.designs.catalogue import design
from flows.designs.generated import FileOptions
from flows.report.write import write_report
from flows.steps.chain import chain
from sim.astrocyte_liquid.example_specs import campaign_spec
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.registers import address_width, network_writes

SPEC = campaign_spec()


def test_it_is_known_by_name_and_file(tmp_path: Path) -> None:
    assert isinstance(design("NALSM_1000"), AstrocyteDesign)
    path = tmp_path / "small.toml"
    path.write_text(SPEC.to_toml())
    small = design(str(path))
    assert small.spec == SPEC
    assert [step.name for step in chain(small) if not step.skipped(small)] == [
        "synth",
        "place",
        "time",
        "power",
        "verify",
    ]


def test_files_hold_hardware_and_the_words_that_load_it(tmp_path: Path) -> None:
    part = design(SPEC)
    made = part.generate(tmp_path / "out", Journal(), FileOptions(seed=3))
    files = {path.name for path in made.files}
    assert {"CAMPAIGN.v", "CAMPAIGN_asic.v", "CAMPAIGN_asic_black_boxes.v", "writes.csv", "registers.csv"} <= files
    boxes, asic = black_boxes(SPEC), (tmp_path / "out" / "CAMPAIGN_asic.v").read_text()
    for name, (count, width, depth) in all_memories(SPEC).items():
        module = f"CAMPAIGN_asic_memory_box_{width}_{depth}"
        assert f"module {module} (" in boxes
        assert asic.count(f"{module} ") >= 1, name
        assert count in (1, SPEC.lanes)
    lines = (tmp_path / "out" / "writes.csv").read_text().splitlines()
    network = draw(SPEC, 3)
    assert len(lines) - 1 == len(network_writes(network, network.sign.astype(np.int64)).address)
    assert max(int(line.partition(",")[0], 16) for line in lines[1:]) < 1 << address_width(SPEC)
    facts = json.loads((tmp_path / "out" / "design.json").read_text())
    assert facts["memories"]["stored"] == {"count": 2, "bits": SPEC.weight_bits, "words": SPEC.lane_synapses}
    with pytest.raises(ValueError, match="--scheme is for an encoder"):
        part.generate(tmp_path / "other", Journal(), FileOptions(scheme="tmr"))  # type: ignore[arg-type]
    assert not (tmp_path / "other").exists()


def test_the_report_shows_what_tuning_did(tmp_path: Path) -> None:
    figures = {
        "branching_factor": 1.4, "radius": 1.25, "rate": 0.2, "separation": 2.0, "growth": 2.75, "memory": 0.375,
    }  # fmt: skip
    facts = {
        "before": figures, "after": figures | {"radius": 0.75, "growth": 1.5}, "snapshots": 100, "synapses": 1234,
        "trained": 10, "tested": 20, "right_percent": 55.5,
    }  # fmt: skip
    (tmp_path / "tuning.json").write_text(json.dumps(facts))
    raster = (np.random.default_rng(0).random((30, SPEC.neurons)) < 0.1).astype(np.uint8)
    np.savez(tmp_path / "tuning.npz", before=raster, after=raster)
    page = write_report(tmp_path, design(SPEC)).read_text()
    assert "Tuned by its astrocyte" in page
    assert "0.75" in page
    assert "1.50" in page
    assert "0.38" in page
    assert f"before: {int(raster.sum()):,} spikes" in page
    assert "55.5 % of 20 digits right" in page
