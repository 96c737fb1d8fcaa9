"""Links at their pins on Verilator: agents for receivers, fast commands and transmitters, functional coverage."""

from pathlib import Path

from flows.tools.verilog import read_ports
from hw.common.export import to_verilog
from sim.hgcal_encoder.link_spec import LINKS_PRODUCTION
from tests.cosim.link_agents import LinkLoop
from tests.cosim.runner import demand, run_bench
from tests.cosim.test_cosim import SEED


def test_links_at_their_pins(tmp_path: Path) -> None:
    verilog = to_verilog(LinkLoop(spec=LINKS_PRODUCTION), "link_loop")
    environment = {"LIQUIDCAL_SEED": str(SEED), "LIQUIDCAL_FOLDER": str(tmp_path)}
    ports = read_ports(verilog, "link_loop")
    results = run_bench(verilog, "link_loop", ports, "tests.cosim.bench_links", environment, tmp_path)
    demand(results, 4, skipped=0)
    assert (tmp_path / "coverage.yaml").is_file()
