"""cocotb benches of the stages of a concentrator, and of a whole one at its pins, on Verilator. ``LIQUIDCAL_SEED``
repeats a run; it is printed.

The stages are those of a chip without the autoencoder, whose own have benches in test_cosim.py. The whole chip has the
two smallest algorithms: what leaves it in a crossing has a variable length, and a fixed one.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from flows.designs.concentrator import ConcentratorDesign
from flows.simulation.native import divided_read_port
from flows.tools.verilog import read_ports
from hw.common.export import to_verilog
from hw.hgcal_encoder.concentrator_core import ConcentratorCore
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.spec import WordOrder
from tests.conftest import long
from tests.cosim.chip_agents import TOP, on_bus
from tests.cosim.concentrator_stages import STAGES, WRAPPER, wrap_stages, wrapper_ports
from tests.cosim.runner import demand, run_bench
from tests.specs import FEW_LINKS

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


PINS = replace(
    FEW_LINKS, name="PINS", algorithms=("threshold_sum", "repeater"), word_order=WordOrder.PRODUCTION
)  # fmt: skip


@long
@pytest.mark.timeout(900)
def test_whole_chip_at_its_pins(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(PINS.to_toml())
    verilog = on_bus(divided_read_port(ConcentratorDesign.of(PINS).chip_verilog()), f"{PINS.name}_CHIP")
    variables = {"LIQUIDCAL_SPEC": str(tmp_path / "spec.toml"), "LIQUIDCAL_SEED": str(SEED)}
    results = run_bench(
        verilog, TOP, read_ports(verilog, TOP), "tests.cosim.bench_concentrator", variables, tmp_path, optimise="-O1",
        function_size=2000,
    )  # fmt: skip
    demand(results, 4, skipped=0)
