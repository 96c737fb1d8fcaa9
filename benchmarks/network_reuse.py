"""Area and slack of networks against their reuse factor: ``python -m benchmarks.network_reuse``.

Loaded weights, NanGate 45, synthesis alone without wires; OpenSTA, typical corner, at the clock that gives one sample
every 25 ns: 40 MHz times the factor. Cases that are not asked for stay in the results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.measured import RESULTS, Rows, kept
from flows.common.journal import Journal
from flows.common.metrics import find, write_metrics
from flows.designs.network import NetworkDesign
from flows.steps.synthesis import SYNTHESIS
from flows.steps.timing import TIMING
from flows.synthesis.result import load_result
from flows.tools.yosys import yosys_version
from sim.network.spec import PRESETS

RESULT = RESULTS / "network_reuse.json"
CASES = [f"{name}:{factor}" for name in ("SMART_PIXEL", "JET_TAGGER") for factor in (1, 2, 4, 8)]


def measure(case: str, rows: Rows, folder: Path) -> None:
    """Synthesise and time one factor of one network."""
    name, factor = case.split(":")
    spec = PRESETS[name]
    design = NetworkDesign(spec=spec, factor=int(factor), library="nangate45")
    journal = Journal()
    SYNTHESIS(design, folder, journal)
    TIMING(design, folder, journal)
    result = load_result(folder / "synthesis")
    slack = json.loads((folder / "timing" / "timing.json").read_text())["setup_slack_ns"]
    about = f"{name}, reuse {factor}, loaded weights, nangate45"
    memory = find(result.metrics, "flow__memory__peak").value / 1e9
    for what, value, unit, method in (
        ("network__multiplies", spec.multiplies, "", "multiplications per sample"),
        ("network__area_loaded", round(result.gate_equivalents / 1000, 1), "kGE", "synthesis alone, no wires"),
        ("network__area_per_multiply_loaded", round(result.gate_equivalents / spec.multiplies), "GE",
         "whole network, weights and all registers, over multiplications per sample"),
        ("network__slack_loaded", round(slack, 2), "ns", f"of {design.period_ns:g} ns, OpenSTA, typical, no wires"),
        ("network__latency", round(design.latency * design.period_ns), "ns", f"{design.latency} clocks"),
        ("network__synthesis_memory", round(memory, 2), "GB", "of the largest yosys process"),
    ):  # fmt: skip
        rows.add(f"{what}__case:{name}_reuse_{factor}", value, unit, f"{about}: {method}", "yosys", yosys_version())


def main() -> None:
    """Measure and write; cases that are not asked for stay in the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    for case in options.cases:
        rows = Rows(f"python -m benchmarks.network_reuse --cases {case}")
        with tempfile.TemporaryDirectory(prefix="liquidcal-reuse-") as scratch:
            measure(case, rows, Path(scratch))
        mine = {metric.name for metric in rows}
        write_metrics(options.out, [*kept(options.out, lambda metric, mine=mine: metric.name in mine), *rows])


if __name__ == "__main__":
    main()
