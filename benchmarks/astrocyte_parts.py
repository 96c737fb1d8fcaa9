"""Where the energy of a synaptic operation goes: ``python -m benchmarks.astrocyte_parts [--out report]``.

Plays digits, as ``liquidcal power`` does, on the netlist that ``liquidcal synth NALSM_216_200MHZ --clock-gating`` left
below ``--out``, and tells parts of the chip and kinds of energy apart. *Arithmetic* is what cells without a clock spend
in neurons and synapses, charging their outputs and switching inside, without glitches: no register, no clock, no
address, no memory, no leakage. An operation in these cells cannot take less. Writes
``benchmarks/results/astrocyte_parts.json``.
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import RESULTS, Rows
from flows.common.metrics import write_metrics
from flows.designs.astrocyte import AstrocyteDesign
from flows.netlist.view import prepare
from flows.physical.mapped import Mapped, clocks_of
from flows.power.astrocyte import simulate
from flows.power.cell_power import cell_power
from flows.power.run import PowerOptions
from flows.power.summary import KINDS, summarise
from sim.astrocyte_liquid.spec import NALSM_216_200MHZ

COMMAND = "python -m benchmarks.astrocyte_parts"
GLITCH_CLOCKS = 16
PARTS = {
    "neuron": "neurons", "walker": "synapses", "scan": "scan", "": "walker", "readout": "readout",
    "astrocyte": "astrocyte", "input": "input", "sequencer": "sequencer",
}  # fmt: skip
"""What a stage of a lane, or of the chip, is called here; all others are "host port". What has its own boundary of the
walker is the arithmetic of a synapse."""
ARITHMETIC = ("neurons", "synapses")


def part_of(stage: str) -> str:
    """Part that a stage of the netlist belongs to: those of all lanes are one."""
    lane, _, name = stage.partition(".")
    return PARTS.get(name if lane.startswith("lane_") else lane, "host port")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()
    design = AstrocyteDesign(spec=NALSM_216_200MHZ, clock_gating=True)
    mapped = Mapped(folder=options.out / design.name)

    def stage(_name: str, _total: int | None = None) -> Any:
        return nullcontext(lambda _done: None)

    run = simulate(mapped, design, PowerOptions(glitch_clocks=GLITCH_CLOCKS), stage)
    simulator = run.simulator
    netlist = simulator.netlist
    trees = (*clocks_of(mapped, design.internal_clocks), "rst")
    view = prepare(
        netlist, mapped.library, simulator.level, mapped.wires(), trees=trees, port_load_ff=mapped.cells.load_ff
    )
    usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
    found = summarise(simulator, run.activity, view, usable=usable, glitch_clocks=GLITCH_CLOCKS)
    per_clock = float(run.result["synaptic_operations"]) / run.clocks_per_inference
    to_pj = found.period_ns / 1000 / per_clock

    parts = np.array([part_of(name) for name in netlist.stages])[netlist.cell_stage]
    area, clocked = np.zeros(netlist.cells), np.zeros(netlist.cells, bool)
    flip_flops = np.zeros(netlist.cells, bool)
    for group in netlist.groups.values():
        cell = mapped.cells.cells[group.type]
        area[group.cells] = cell.area_um2
        flip_flops[group.cells] = cell.kind == "flip_flop"
        clocked[group.cells] = cell.kind in ("flip_flop", "latch", "clock_gate")
    power = cell_power(simulator, run.activity, view.timing)
    driven = power.driver >= 0
    spent = power.internal_uw + np.bincount(
        power.driver[driven], weights=power.switching_uw[driven], minlength=netlist.cells
    )

    sums: dict[str, dict[str, float]] = {}
    for name, kinds in found.stages.items():
        row = sums.setdefault(part_of(name), dict.fromkeys(KINDS, 0.0))
        for kind, value in kinds.items():
            row[kind] += value * to_pj
    rows = Rows(COMMAND)
    how = f"for a synaptic operation; {run.activity.source}; {run.compared:,} spikes and weights equal the model's"
    for part, kinds in sorted(sums.items(), key=lambda item: -sum(item[1].values())):
        case, inside = f"case:{part.replace(' ', '_')}", parts == part
        rows.add(f"area__{case}", round(float(area[inside].sum())), "um2", f"cells, {mapped.cells.name}")
        rows.add(f"flip_flops__{case}", int(flip_flops[inside].sum()), "", f"cells, {mapped.cells.name}")
        rows.add(f"toggles__{case}", round(kinds["internal"] + kinds["switching"], 3), "pJ", f"without glitches; {how}")
        for kind in ("glitches", "clock_pins", "leakage"):
            rows.add(f"{kind}__{case}", round(kinds[kind], 3), "pJ", how)
    for kind, value in (
        ("toggles", found.kind("internal") + found.kind("switching")),
        *((kind, found.kind(kind)) for kind in ("glitches", "clock_pins", "leakage")),
        ("clock_tree", found.clock_tree_uw),
    ):
        rows.add(f"all__kind:{kind}", round(value * to_pj, 3), "pJ", how)
    for part in ARITHMETIC:
        value = float(spent[(parts == part) & ~clocked].sum()) * to_pj
        rows.add(f"arithmetic__part:{part}", round(value, 3), "pJ", f"cells without a clock, without glitches; {how}")
    write_metrics(RESULTS / "astrocyte_parts.json", rows)


if __name__ == "__main__":
    main()
