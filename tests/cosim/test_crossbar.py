"""cocotb benches of the crossbar chip on Verilator: every stage and the whole chip, on small and random legal specs.

``LIQUIDCAL_SEED`` repeats a run; the seed is printed. The presets and real recordings go through the native harness
(tests/flows/verification/test_crossbar.py).
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from flows.simulation.crossbar import PLUSARG, crossbar_verilog
from flows.tools.verilog import read_ports
from flows.verification.crossbar_stimulus import random_adcs, random_image
from hw.lsm_crossbar.crossbar import STAGES
from sim.lsm_crossbar.example_specs import campaign_spec, random_spec
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import CrossbarSpec
from tests.cosim.crossbar_stages import WRAPPER, wrap_stages, wrapper_ports
from tests.cosim.runner import demand, run_bench

SEED = int(os.environ.get("LIQUIDCAL_SEED", "2105"))
SPECS = [campaign_spec(), *(random_spec(np.random.default_rng((SEED, i)), f"RANDOM_{i}") for i in range(2))]


def images(spec: CrossbarSpec) -> list[Conductances]:
    """Images with rows of every kind, with the largest codes in all plus columns, and in one column; the same ADCs."""
    rng = np.random.default_rng((SEED, 99))
    adcs = random_adcs(spec, rng)
    return [random_image(spec, rng, kind, adcs) for kind in ("mixed", "plus", "column")]


def variables(spec: CrossbarSpec, image: Path, folder: Path) -> dict[str, str]:
    """What a bench reads of its environment."""
    print(f"{spec.name}: LIQUIDCAL_SEED={SEED}")
    (folder / "spec.toml").write_text(spec.to_toml())
    return {
        "LIQUIDCAL_SPEC": str(folder / "spec.toml"), "LIQUIDCAL_CONDUCTANCES": str(image),
        "LIQUIDCAL_SEED": str(SEED), "LIQUIDCAL_SAMPLES": "3", "LIQUIDCAL_ROUNDS": "40",
        "LIQUIDCAL_EMPTY_BINS": str(folder / "empty.json"),
    }  # fmt: skip


@pytest.mark.parametrize("spec", SPECS[:2], ids=lambda spec: spec.name)
@pytest.mark.timeout(600)
def test_stages(spec: CrossbarSpec, tmp_path: Path) -> None:
    image = images(spec)[0]
    path = image.write(tmp_path)
    design = crossbar_verilog(spec, image)
    ports = wrapper_ports(design.verilog, spec.name)
    environment = variables(spec, path, tmp_path)
    environment["LIQUIDCAL_INPUTS"] = json.dumps({
        stage: [p.name for p in read_ports(design.verilog, f"{spec.name}_{stage}")
                if not p.output and p.name not in ("clk", "rst")]
        for stage in STAGES
    })  # fmt: skip
    results = run_bench(
        wrap_stages(design.verilog, spec.name), WRAPPER, ports, "tests.cosim.bench_crossbar_stages", environment,
        tmp_path, plusargs=[f"+{PLUSARG}={path}"],
    )  # fmt: skip
    demand(results, len(STAGES), skipped=0)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.timeout(600)
def test_chip(spec: CrossbarSpec, tmp_path: Path) -> None:
    found, empty = images(spec), []
    design = crossbar_verilog(spec, found[0])
    ports = read_ports(design.verilog, design.top)
    for number, image in enumerate(found):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = image.write(folder)
        results = run_bench(
            design.verilog, design.top, ports, "tests.cosim.bench_crossbar", variables(spec, path, folder), folder,
            plusargs=[f"+{PLUSARG}={path}"],
        )  # fmt: skip
        demand(results, 5, skipped=0)
        empty.append(set(json.loads((folder / "empty.json").read_text())))
    assert not set.intersection(*empty), "cover bins that no run of the chip has hit"
