"""Where the energy of the smallest chip's network goes: ``python -m benchmarks.network_energy [--out report]``.

Runs the stimulus of `benchmarks.target` (64 detector modules) on the placed chip that ``liquidcal synth`` and ``place``
left, tells the parts of its network apart, and writes ``benchmarks/results/network_energy.json``.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS, Rows
from benchmarks.target import CHIPS
from flows.common.metrics import write_metrics
from flows.netlist.view import prepare
from flows.physical.mapped import Mapped, clocks_of
from flows.power.encoder import simulate
from flows.power.run import PowerOptions
from flows.power.summary import summarise

STREAMS, CROSSINGS, GLITCH_CLOCKS = 64, 12, 12
PARTS = {
    "dense": "dense", "convolution": "convolution", "activations_register": "registers of activations",
    "repair": "buffers of the repair",
}  # fmt: skip
"""Parts of the network, by module; all others are "the rest"."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()
    design = dict(CHIPS)["ours_smallest"]
    mapped = Mapped(folder=options.out / design.name)

    def stage(_name: str, _total: int | None = None) -> Any:
        return nullcontext(lambda _done: None)

    asked = PowerOptions(streams=STREAMS, crossings=CROSSINGS, glitch_clocks=GLITCH_CLOCKS)
    run = simulate(mapped, design, asked, stage)
    simulator = run.simulator
    simulator.netlist = replace(simulator.netlist, split=("network",))
    trees = (*clocks_of(mapped, design.internal_clocks), "rst")
    view = prepare(
        simulator.netlist, mapped.library, simulator.level, mapped.wires(), trees=trees,
        port_load_ff=mapped.cells.load_ff,
    )  # fmt: skip
    usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
    found = summarise(simulator, run.activity, view, usable=usable, glitch_clocks=GLITCH_CLOCKS)
    to_pj = found.period_ns / 1000
    sums: dict[str, dict[str, float]] = {}
    for name, kinds in found.stages.items():
        child, _, part = name.partition(".")
        if child != "network":
            continue
        row = sums.setdefault(PARTS.get(part, "the rest"), dict.fromkeys(kinds, 0.0))
        for kind, value in kinds.items():
            row[kind] += value * to_pj
    rows = Rows("python -m benchmarks.network_energy")
    how = f"{run.activity.source}; {run.compared:,} words of the netlist equal the golden model's"
    for part, kinds in sorted(sums.items(), key=lambda item: -sum(item[1].values())):
        case = f"case:{part.replace(' ', '_')}"
        rows.add(f"toggles__{case}", round(kinds["internal"] + kinds["switching"], 1), "pJ", f"without glitches; {how}")
        for kind in ("glitches", "clock_pins", "leakage"):
            rows.add(f"{kind}__{case}", round(kinds[kind], 1), "pJ", how)
    write_metrics(RESULTS / "network_energy.json", rows)


if __name__ == "__main__":
    main()
