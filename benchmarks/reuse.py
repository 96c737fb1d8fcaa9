"""Area of ECON_T against the reuse factor of its multipliers: ``python -m benchmarks.reuse --factors 1 4 8 16``.

The whole encoder, unprotected, is generated at each factor and synthesised onto NanGate 45 with the default recipe; the
internal clock that its cells reach is the one at which OpenSTA finds no negative slack between flip-flops (typical
corner, no wires; weights are static). Rows of factors that are not asked for stay in the results.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import RESULTS, kept, record
from flows.common.metrics import Metric, write_metrics
from flows.library.catalogue import cell_library
from flows.library.library import CellLibrary
from flows.synthesis.synthesise import synthesise
from flows.tools.opensta import sta_version
from flows.tools.yosys import run_yosys
from hw.common.export import to_rtlil
from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.schedule import Schedule
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec

RESULT = RESULTS / "reuse.json"
BUNCH_CROSSING_NS = 25.0


def delay_ns(rtlil: Path, top: str, library: CellLibrary, folder: Path) -> float:
    """Longest path between flip-flops of a mapped netlist with one clock, by OpenSTA."""
    run_yosys(
        f"read_rtlil {rtlil}\nhierarchy -top {top}\nsetattr -mod -unset keep_hierarchy\nflatten\nsplitnets\n"
        "opt_clean -purge\nwrite_verilog -noattr -noexpr sta.v\n",
        directory=folder, name="sta", timeout_s=300.0,
    )  # fmt: skip
    # OpenSTA 2.0 does not read the keyword
    text = (folder / "sta.v").read_text()
    (folder / "sta.v").write_text(re.sub(r"^(\s*(?:wire|input|output)) signed ", r"\1 ", text, flags=re.M))
    script = "\n".join([
        *(f"read_liberty {path}" for path in library.liberty),
        "read_verilog sta.v", f"link_design {top}", "create_clock -name clk -period 100 [get_ports clk]",
        "set_false_path -from [all_inputs]", "report_worst_slack", "exit", "",
    ])  # fmt: skip
    (folder / "sta.tcl").write_text(script)
    result = subprocess.run(
        ["sta", "-exit", "sta.tcl"], cwd=folder, capture_output=True, text=True, timeout=300, check=True
    ).stdout
    return 100.0 - float(re.findall(r"worst slack ([-\d.]+)", result)[-1])


def measure(spec: EncoderSpec, library: CellLibrary, command: str) -> list[Metric]:
    """Synthesise one factor."""
    component = Encoder(spec=spec)
    rows: list[Metric] = []

    def add(name: str, value: float, unit: str, method: str, tool: str = "", version: str = "") -> None:
        rows.append(
            record(
                f"{name}__case:reuse_{spec.reuse}", value, unit, f"reuse {spec.reuse}: {method}", command=command,
                tool=tool or area.tool, version=version or area.tool_version, library=library,
            )
        )  # fmt: skip

    with tempfile.TemporaryDirectory(prefix="liquidcal-reuse-") as scratch:
        folder = Path(scratch)
        result = synthesise(
            to_rtlil(component, spec.name), top=spec.name, library=library, out_dir=folder / "whole",
            clock_period_ns=BUNCH_CROSSING_NS / spec.reuse, command=command,
        )  # fmt: skip
        area = next(metric for metric in result.metrics if metric.name == "design__instance__area")
        multipliers = Schedule(spec=spec).multipliers if spec.reuse > 1 else spec.multiplies
        add("design__multiplier__count", multipliers, "multipliers", f"multipliers for {spec.multiplies} products")
        add("design__instance__area", round(result.area_um2), "um2", "whole encoder, unprotected")
        kilo = result.gate_equivalents / 1000
        add("design__instance__area__gate_equivalent", round(kilo, 1), "kGE", "whole encoder in gate equivalents")
        add("design__flip_flop__count", result.flip_flops, "flip-flops", "flip-flops of the whole encoder")
        if spec.reuse > 1:
            network = next(stage for stage in result.stages if stage.module.endswith("_serial_network"))
            kilo = network.gate_equivalents / 1000
            add("design__instance__area__part:network", round(kilo, 1), "kGE", "convolution and dense layer")
            add("design__flip_flop__count__clock:internal", network.flip_flops, "flip-flops", "on the internal clock")
            add("clock__frequency", 40 * spec.reuse, "MHz", "internal clock that it needs")
            if shutil.which("sta"):
                reached = delay_ns(folder / "whole" / "netlist.il", network.module, library, folder)
                method = "internal clock that the mapped cells reach (typical corner, no wires)"
                add("clock__frequency__max", round(1000 / reached), "MHz", method, "OpenSTA", sta_version())
    add("design__latency", component.latency, "bunch crossings", "latency from words to frame")
    return rows


def factor(metric: Metric) -> int:
    """The reuse factor of a row."""
    return int(metric.name.rpartition("_")[2])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--factors", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    library = cell_library("nangate45")
    rows = kept(options.out, lambda _: False)
    for reuse in options.factors:
        spec = replace(ECON_T, reuse=reuse)
        new = measure(spec, library, f"python -m benchmarks.reuse --factors {reuse}")
        for row in new:
            print(row.method, row.value, row.unit, flush=True)
        rows = sorted([row for row in rows if factor(row) != reuse] + new, key=factor)
        write_metrics(options.out, rows)


if __name__ == "__main__":
    main()
