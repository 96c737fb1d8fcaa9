"""Area, slack and energy of networks against their reuse factor: ``python -m benchmarks.network_reuse``.

Loaded weights, NanGate 45; OpenSTA, typical corner, at the clock that gives one sample every 25 ns: 40 MHz times the
factor. First as synthesised, without wires, and with random samples under random weights on the gates, every code
compared with the golden model; with ``--placed`` timed again after ``place --repair``: wires, buffers, sizes.
OpenSTA takes about 4 GB for ``WIDE``, which was therefore synthesised alone (``--no-timing --no-energy``). Cases that
are not asked for stay in the results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import RESULTS, Rows, kept
from flows.common.journal import Journal
from flows.common.metrics import find, read_metrics, write_metrics
from flows.designs.network import NetworkDesign
from flows.steps.placement import PLACEMENT, PlacementOptions
from flows.steps.power import POWER, PowerOptions
from flows.steps.synthesis import SYNTHESIS
from flows.steps.timing import TIMING
from flows.synthesis.result import SynthesisResult, load_result
from flows.tools.yosys import yosys_version
from sim.fixed_point import FixedPoint, Overflow
from sim.network.nodes import Dense, Store
from sim.network.spec import INPUT, PRESETS, NetworkSpec

RESULT = RESULTS / "network_reuse.json"
HIDDEN = FixedPoint(width=8, fraction=8, signed=False)
WEIGHT = FixedPoint(width=6, fraction=5, signed=True)
SUM = FixedPoint(width=22, fraction=13, signed=True)
SPECS = PRESETS | {
    "WIDE": NetworkSpec(
        name="WIDE", input_shape=(96,), input=HIDDEN, outputs=("fc2",),
        nodes={
            "fc1": Dense(inputs=(INPUT,), units=96, weight=WEIGHT, bias=WEIGHT, accumulator=SUM, result=SUM),
            "relu1": Store(inputs=("fc1",), result=replace(HIDDEN, overflow=Overflow.SAT), relu=True),
            "fc2": Dense(inputs=("relu1",), units=10, weight=WEIGHT, bias=WEIGHT, accumulator=SUM, result=SUM),
        },
    )
}  # fmt: skip
"""``WIDE``: 10,176 multiplications in one clock, the size that a user is promised within ten minutes and 4 GB."""
CASES = [f"{name}:{factor}" for name in ("SMART_PIXEL", "JET_TAGGER") for factor in (1, 2, 4, 8)] + ["WIDE:1"]


def measure(case: str, rows: Rows, folder: Path, *, timing: bool, energy: bool, placed: bool) -> None:
    """Synthesise, time and play one factor of one network; place, repair and time it again."""
    name, factor = case.split(":")
    spec = SPECS[name]
    design = NetworkDesign(spec=spec, factor=int(factor), library="nangate45")
    journal = Journal()
    SYNTHESIS(design, folder, journal)
    add_synthesis(case, design, load_result(folder / "synthesis"), rows)
    if timing:
        slack = timed(design, folder, journal)
        method = f"of {design.period_ns:g} ns, OpenSTA, typical, no wires"
        add(rows, case, "network__slack_loaded", round(slack, 2), "ns", method)
    if energy:
        POWER(design, folder, journal, PowerOptions(streams=64))
        found = find(read_metrics(folder / "power" / "metrics.json"), "energy__per_inference")
        add(rows, case, "network__energy", round(float(found.value)), "pJ", found.method)
    if placed:
        PLACEMENT(design, folder, journal, PlacementOptions(repair=True))
        slack = timed(design, folder, journal)
        area = find(
            read_metrics(folder / "placement" / "metrics.json"), "design__instance__area__gate_equivalent"
        ).value
        method = "placed and repaired, cells"
        add(rows, case, "network__area_placed", round(area / 1000, 1), "kGE", method)
        add(rows, case, "network__area_per_multiply_placed", round(area / spec.multiplies), "GE", method)
        method = f"of {design.period_ns:g} ns, OpenSTA, typical, placed and repaired, with wires"
        add(rows, case, "network__slack_placed", round(slack, 2), "ns", method)


def add(rows: Rows, case: str, what: str, value: float, unit: str, method: str, *tool: str) -> None:
    """One figure of a case."""
    name, factor = case.split(":")
    about = f"{name}, reuse {factor}, loaded weights, nangate45"
    rows.add(f"{what}__case:{name}_reuse_{factor}", value, unit, f"{about}: {method}", *tool)


def add_synthesis(case: str, design: NetworkDesign, result: SynthesisResult, rows: Rows) -> None:
    """Figures of a netlist as synthesised."""
    spec, area = design.spec, result.gate_equivalents
    memory = find(result.metrics, "flow__memory__peak").value / 1e9
    seconds = find(result.metrics, "flow__runtime__total").value
    for what, value, unit, method in (
        ("network__multiplies", spec.multiplies, "", "multiplications per sample"),
        ("network__area_loaded", round(area / 1000, 1), "kGE", "synthesis alone, no wires"),
        ("network__area_per_multiply_loaded", round(area / spec.multiplies), "GE",
         "whole network, weights and all registers, over multiplications per sample"),
        ("network__latency", round(design.latency * design.period_ns), "ns", f"{design.latency} clocks"),
        ("network__synthesis_memory", round(memory, 2), "GB", "of the largest yosys process"),
        ("network__synthesis_time_loaded", round(seconds), "s", "of all yosys processes, by the clock, machine shared"),
    ):  # fmt: skip
        add(rows, case, what, value, unit, method, "yosys", yosys_version())


def timed(design: NetworkDesign, folder: Path, journal: Journal) -> float:
    """Worst slack, ns."""
    TIMING(design, folder, journal)
    return float(json.loads((folder / "timing" / "timing.json").read_text())["setup_slack_ns"])


def main() -> None:
    """Measure and write; cases that are not asked for stay in the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--placed", action="store_true", help="place and repair, too")
    parser.add_argument("--no-timing", dest="timing", action="store_false", help="no slack before placement")
    parser.add_argument("--no-energy", dest="energy", action="store_false")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    for case in options.cases:
        chosen = (" --placed" if options.placed else "") + ("" if options.timing else " --no-timing")
        chosen += "" if options.energy else " --no-energy"
        rows = Rows(f"python -m benchmarks.network_reuse --cases {case}{chosen}")
        with tempfile.TemporaryDirectory(prefix="liquidcal-reuse-") as scratch:
            measure(
                case, rows, Path(scratch), timing=options.timing, energy=options.energy, placed=options.placed
            )  # fmt: skip
        mine = {metric.name for metric in rows}
        write_metrics(options.out, [*kept(options.out, lambda metric, mine=mine: metric.name in mine), *rows])


if __name__ == "__main__":
    main()
