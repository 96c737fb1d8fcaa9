"""cocotb benches of the stages of a concentrator, on Verilator. ``LIQUIDCAL_SEED`` repeats a run; it is printed.

The chip is one without the autoencoder, whose stages have benches of their own (test_cosim.py): it builds in a minute.
"""

import os
from pathlib import Path

import pytest

from hw.common.export import to_verilog
from hw.hgcal_encoder.concentrator_core import ConcentratorCore
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from tests.cosim.concentrator_stages import STAGES, WRAPPER, wrap_stages, wrapper_ports
from tests.cosim.runner import demand, run_bench

SEED = int(os.environ.get("LIQUIDCAL_SEED", "2105"))
SPEC = ConcentratorSpec(
    name="WITHOUT_NETWORK",
    algorithms=("threshold_sum", "super_trigger_cell", "best_choice", "repeater"),
    etx_links=13,
    buffer_words=320,
)
"""A buffer that a T1 of 9 bits can outgrow."""


@pytest.mark.timeout(900)
def test_stages(tmp_path: Path) -> None:
    print(f"{SPEC.name}: LIQUIDCAL_SEED={SEED}")
    (tmp_path / "spec.toml").write_text(SPEC.to_toml())
    verilog = to_verilog(ConcentratorCore(spec=SPEC), SPEC.name)
    variables = {
        "LIQUIDCAL_SPEC": str(tmp_path / "spec.toml"), "LIQUIDCAL_SEED": str(SEED), "LIQUIDCAL_CROSSINGS": "400",
    }  # fmt: skip
    results = run_bench(
        wrap_stages(verilog, SPEC.name), WRAPPER, wrapper_ports(verilog, SPEC.name),
        "tests.cosim.bench_concentrator_stages", variables, tmp_path,
    )  # fmt: skip
    demand(results, len(STAGES), skipped=0)
