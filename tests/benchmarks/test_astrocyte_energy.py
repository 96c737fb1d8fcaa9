"""Energy of the astrocyte liquid by block: nothing is lost or counted twice, and a synaptic operation is the unit."""

import json
from pathlib import Path

import pytest

from benchmarks.astrocyte_energy import add_blocks
from benchmarks.astrocyte_parts import part_of
from benchmarks.measured import Rows, record
from flows.common.metrics import write_metrics


def test_blocks_add_up_to_the_chip(tmp_path: Path) -> None:
    """1,000 clocks of 10 ns for 2,000 operations: 1 uW is 10 fJ a clock, 5 fJ an operation."""
    for name in ("synthesis", "power"):
        (tmp_path / name).mkdir()
    stages = [
        {"instances": ["lane_0", "lane_1"], "area_um2": 100.0},
        {"instances": ["scan"], "area_um2": 30.0},
        {"instances": ["readout"], "area_um2": 20.0},
    ]
    (tmp_path / "synthesis" / "modules.json").write_text(json.dumps({"library": "x", "stages": stages}))
    write_metrics(
        tmp_path / "synthesis" / "metrics.json", [record("design__instance__area", 255.0, "um2", "", command="")]
    )
    power = {
        "period_ns": 10.0, "clocks_per_inference": 1_000.0, "synaptic_operations": 2_000.0,
        "stages_uw": {
            "lane_0": {"leakage": 10.0, "glitches": 2.0}, "lane_1.neuron": {"leakage": 8.0}, "scan": {"internal": 4.0},
            "TOP": {"switching": 2.0},
        },
    }  # fmt: skip
    (tmp_path / "power" / "power.json").write_text(json.dumps(power))
    rows = Rows("test")
    add_blocks(rows, tmp_path, "after")
    found = {metric.name: metric.value for metric in rows}
    area = {name.partition("case:")[2]: value for name, value in found.items() if name.startswith("area__")}
    energy = {name.partition("case:")[2]: value for name, value in found.items() if name.startswith("energy__")}
    assert area == {"lanes": 200, "scan": 30, "readout": 20, "astrocyte": 0, "input": 0, "sequencer": 0, "host_port": 5}
    assert sum(energy.values()) == pytest.approx(26 * 0.005)
    assert energy["lanes"] == pytest.approx(20 * 0.005)


@pytest.mark.parametrize(
    ("stage", "part"),
    [("lane_3.neuron", "neurons"), ("lane_0", "walker"), ("lane_1.walker", "synapses"), ("input", "input"),
     ("lane_2.scan", "scan"), ("NALSM_216_gated", "host port")],
)  # fmt: skip
def test_parts_of_all_lanes_are_one(stage: str, part: str) -> None:
    assert part_of(stage) == part
