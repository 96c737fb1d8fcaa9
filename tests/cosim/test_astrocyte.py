"""cocotb bench of the whole astrocyte liquid on Verilator, on a small spec; ``LIQUIDCAL_SEED`` repeats a run.

Random specs and the presets go through the native harness (tests/flows/verification/test_astrocyte.py).
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from flows.simulation.astrocyte import astrocyte_verilog
from flows.tools.verilog import read_ports
from sim.astrocyte_liquid.example_specs import campaign_spec
from tests.cosim.runner import demand, run_bench

SEED = int(os.environ.get("LIQUIDCAL_SEED", "2105"))


@pytest.mark.timeout(600)
def test_chip(tmp_path: Path) -> None:
    spec = replace(campaign_spec(), steps=13)
    print(f"{spec.name}: LIQUIDCAL_SEED={SEED}")
    (tmp_path / "spec.toml").write_text(spec.to_toml())
    verilog = astrocyte_verilog(spec)
    environment = {"LIQUIDCAL_SPEC": str(tmp_path / "spec.toml"), "LIQUIDCAL_SEED": str(SEED)}
    results = run_bench(
        verilog, spec.name, read_ports(verilog, spec.name), "tests.cosim.bench_astrocyte", environment, tmp_path
    )
    demand(results, 3, skipped=0)
