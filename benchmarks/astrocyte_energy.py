"""Area and energy of the astrocyte liquid beside published chips: ``python -m benchmarks.astrocyte_energy [FOLDER]``.

The folder has results of ``liquidcal synth NALSM_216 --library nangate45`` and ``liquidcal power NALSM_216``
(``report`` where left out). Logic is as measured on its netlist in the node of its library. Memories are black boxes:
their accesses are those that the same simulation counted, 0.16 pJ a bit after M. Horowitz, ISSCC 2014, give or take a
factor of two, their area 146 squares of the feature size a bit in 0.7, 0.5 or 0.3 of it (see
`flows.estimates.crossbar_energy`). A synaptic operation is a synapse that is read, changed and written, or read alone
where nothing is to change. Writes ``benchmarks/results/astrocyte_energy.json`` and ``astrocyte_published.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows
from flows.common.metrics import find, read_metrics, write_metrics
from flows.designs.astrocyte_files import memory_bits
from flows.estimates.crossbar_energy import SRAM_CELL_F2, SRAM_PJ_PER_BIT
from flows.estimates.published import systems
from sim.astrocyte_liquid.spec import NALSM_216

SPEC = NALSM_216
NODE_NM = 45.0
OTHERS = ("spire", "odin", "reckon")


def main() -> None:
    """Read a folder of results, add up, write."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "report") / SPEC.name
    rows, others = (Rows("python -m benchmarks.astrocyte_energy", "liquidcal", LIQUIDCAL) for _ in range(2))
    area = find(read_metrics(folder / "synthesis" / "metrics.json"), "design__instance__area").value
    result = json.loads((folder / "power" / "power.json").read_text())
    metrics = read_metrics(folder / "power" / "metrics.json")
    operations, clocks = float(result["synaptic_operations"]), float(result["clocks_per_inference"])
    energy = float(result["energy_per_inference_pj"])
    low, high = (float(find(metrics, f"energy__per_inference__bound:{end}").value) for end in ("low", "high"))
    bits = sum(one["bits"] * (one["reads"] + one["writes"]) for one in result["memory_accesses"].values())
    memory = bits * SRAM_PJ_PER_BIT
    cells = memory_bits(SPEC) * SRAM_CELL_F2 * (NODE_NM * 1e-3) ** 2
    how = f"{result['activity']}; nangate45"
    rows.add("area__logic", round(float(area)), "um2", "cells of the logic, nangate45")
    for name, part in (("low", 0.7), ("nominal", 0.5), ("high", 0.3)):
        rows.add(
            f"area__memories__bound:{name}", round(cells / part), "um2", f"{memory_bits(SPEC):,} bits, by the model"
        )
    rows.add("time__sample", round(clocks * SPEC.clock_period_ns * 1e-6, 3), "ms",
             f"{SPEC.steps} steps, {clocks:,.0f} clocks of {SPEC.clock_period_ns:g} ns; {how}")  # fmt: skip
    rows.add("operations__sample", round(operations), "", f"synaptic operations of a sample; {how}")
    rows.add("power__logic", round(float(find(metrics, "power__total").value), 3), "mW", how)
    for name, value in (("low", low), ("nominal", energy), ("high", high)):
        rows.add(f"energy__operation__part:logic_{name}", round(value / operations, 3), "pJ",
                 f"logic, for a synaptic operation, {name}; {how}")  # fmt: skip
    for name, factor in (("low", 0.5), ("nominal", 1.0), ("high", 2.0)):
        rows.add(f"energy__operation__part:memories_{name}", round(factor * memory / operations, 3), "pJ",
                 f"memories, for a synaptic operation, {name}; {bits / operations:,.0f} bits of all")  # fmt: skip
    for name in OTHERS:
        one = systems()[name]
        others.add(f"energy__operation__chip:{name}", one.figures["pj_per_synaptic_operation"], "pJ",
                   f"{one.name}, {one.node}, {one.kind}, with its memories")  # fmt: skip
    write_metrics(RESULTS / "astrocyte_energy.json", rows)
    write_metrics(RESULTS / "astrocyte_published.json", others)


if __name__ == "__main__":
    main()
