"""Area and energy of the astrocyte liquid beside published chips: ``python -m benchmarks.astrocyte_energy``.

Takes what ``liquidcal synth NALSM_216``, ``time`` and ``power NALSM_216``, with ``--clock-gating`` or without or both,
and the same of the other presets of `CASES` with ``--clock-gating``, left below ``--out`` (``report``); rows of what is
not there stay as they are. Logic is as measured on its netlist in the node of its library; its dynamic energy in terms
of 28 nm is an estimate (`flows.estimates.translation`). Memories are black boxes: their accesses are those that the
same simulation counted, 0.16 pJ a bit after M. Horowitz, ISSCC 2014, give or take a factor of two, their area 146
squares of the feature size a bit in 0.7, 0.5 or 0.3 of it (see `flows.estimates.crossbar_energy`). A synaptic operation
is a synapse that is read, changed and written, or read alone where nothing is to change; a slot without synapse, which
a seeded chip reads too, is none. Writes ``benchmarks/results/astrocyte_energy.json``, ``astrocyte_published.json`` and,
by block, ``astrocyte_blocks.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows, kept
from flows.common.metrics import find, read_metrics, write_metrics
from flows.designs.astrocyte import AstrocyteDesign
from flows.designs.astrocyte_files import memory_bits
from flows.estimates.crossbar_energy import SRAM_CELL_F2, SRAM_PJ_PER_BIT
from flows.estimates.published import systems
from flows.estimates.translation import energy_range
from sim.astrocyte_liquid.spec import (
    NALSM_216,
    NALSM_216_200MHZ,
    NALSM_216_SEEDED,
    NALSM_1000,
    NALSM_1000_EVENTS,
    NALSM_1000_SEEDED,
    AstrocyteSpec,
)

COMMAND = "python -m benchmarks.astrocyte_energy"
CASES = {
    "plain": (NALSM_216, False), "gated": (NALSM_216, True), "gated_200MHz": (NALSM_216_200MHZ, True),
    "seeded_gated": (NALSM_216_SEEDED, True), "1000_gated": (NALSM_1000, True),
    "1000_events_gated": (NALSM_1000_EVENTS, True), "1000_seeded_gated": (NALSM_1000_SEEDED, True),
}  # fmt: skip
"""Spec, and whether it has clock gates."""
MEMORIES = {
    "": NALSM_216, "_seeded": NALSM_216_SEEDED, "_1000": NALSM_1000, "_1000_events": NALSM_1000_EVENTS,
    "_1000_seeded": NALSM_1000_SEEDED,
}  # fmt: skip
"""Specs whose memories' area is estimated, by what is added to its name."""
NODE_NM = 45.0
"""Feature size of the library, which the memories are taken to have, too."""
BLOCKS = ("lanes", "scan", "readout", "astrocyte", "input", "sequencer")
"""Parts of the chip; what is left are settings and the host's port. A scan for all lanes is one of earlier versions."""
OTHER_NODE = "28nm"
"""That of most chips beside ours."""
OTHERS = ("lsmcore", "spire", "odin", "reckon")
FIGURES = {
    "pj_per_synaptic_operation": ("energy__operation", "pJ"),
    "area_mm2": ("area__chip", "mm2"),
    "power_w": ("power__chip", "W"),
}
"""What of other chips stands beside ours: name and unit here."""


def add_variant(rows: Rows, folder: Path, case: str, spec: AstrocyteSpec) -> None:
    """Figures of the netlist of one variant."""
    area = find_area(folder)
    result = json.loads((folder / "power" / "power.json").read_text())
    metrics = read_metrics(folder / "power" / "metrics.json")
    operations, clocks = float(result["synaptic_operations"]), float(result["clocks_per_inference"])
    energy = {
        "low": float(find(metrics, "energy__per_inference__bound:low").value),
        "nominal": float(result["energy_per_inference_pj"]),
        "high": float(find(metrics, "energy__per_inference__bound:high").value),
    }
    bits = sum(one["bits"] * (one["reads"] + one["writes"]) for one in result["memory_accesses"].values())
    how = f"{result['activity']}; {result['library']}"
    rows.add(f"area__logic__case:{case}", round(area * 1e-6, 4), "mm2", f"cells, {result['library']}")
    rows.add(f"operations__clock__case:{case}", round(operations / clocks, 2), "",
             f"synaptic operations in a clock of {spec.clock_period_ns:g} ns; {how}")  # fmt: skip
    rows.add(f"clocks__step__case:{case}", round(result["clocks_per_step"], 1), "",
             f"{spec.groups} of them sweep; {how}")  # fmt: skip
    rows.add(f"time__sample__case:{case}", round(clocks * spec.clock_period_ns * 1e-6, 3), "ms",
             f"{spec.steps} steps, {clocks:,.0f} clocks; {how}")  # fmt: skip
    rows.add(f"power__logic__case:{case}", round(float(find(metrics, "power__total").value), 3), "mW", how)
    timing = folder / "timing" / "metrics.json"
    if timing.is_file():
        slack = float(find(read_metrics(timing), "timing__setup__ws").value)
        rows.add(f"slack__case:{case}", round(slack, 2), "ns",
                 f"OpenSTA, typical corner, not placed, memories that answer at once; {result['library']}")  # fmt: skip
    for end, value in energy.items():
        rows.add(f"energy__operation__part:logic__bound:{end}__case:{case}", round(value / operations, 3), "pJ",
                 f"logic, for a synaptic operation; {how}")  # fmt: skip
    dynamic = energy["nominal"] - float(find(metrics, "energy__per_inference__kind:leakage").value)
    other = energy_range(
        library=result["library"], voltage_v=result["voltage_v"], dynamic_pj=dynamic / operations, node=OTHER_NODE
    )
    for one in other.estimates:
        rows.add(f"energy__dynamic__by:{one.name}__case:{case}", round(one.value, 3), "pJ",
                 f"logic without leakage, for a synaptic operation, estimate for {OTHER_NODE}; "
                 f"{one.method}")  # fmt: skip
    for end, factor in (("low", 0.5), ("nominal", 1.0), ("high", 2.0)):
        value = factor * bits * SRAM_PJ_PER_BIT / operations
        rows.add(f"energy__operation__part:memories__bound:{end}__case:{case}", round(value, 3), "pJ",
                 f"memories, for a synaptic operation: {bits / operations:,.0f} bits of all")  # fmt: skip


def block_of(stage: str) -> str:
    """What a stage of the netlist is part of: all lanes are one block."""
    if stage.startswith("lane_"):
        return "lanes"
    return stage if stage in BLOCKS else "host_port"


def add_blocks(rows: Rows, folder: Path, when: str) -> None:
    """Area and energy of the blocks of `NALSM_216` with clock gates."""
    tables = json.loads((folder / "synthesis" / "modules.json").read_text())
    power = json.loads((folder / "power" / "power.json").read_text())
    to_pj = power["period_ns"] * power["clocks_per_inference"] / power["synaptic_operations"] / 1000
    area, energy = (dict.fromkeys((*BLOCKS, "host_port"), 0.0) for _ in range(2))
    for stage in tables["stages"]:
        for instance in stage["instances"]:
            area[block_of(instance)] += stage["area_um2"]
    for stage, kinds in power["stages_uw"].items():
        energy[block_of(stage)] += sum(kinds.values()) * to_pj
    area["host_port"] += find_area(folder) - sum(area.values())
    for block in area:
        case = f"when:{when}__case:{block}"
        rows.add(f"area__{case}", round(area[block]), "um2", f"cells, {tables['library']}")
        rows.add(f"energy__{case}", round(energy[block], 3), "pJ", "for a synaptic operation, without clock tree")


def find_area(folder: Path) -> float:
    """Area of all cells, um2."""
    return float(find(read_metrics(folder / "synthesis" / "metrics.json"), "design__instance__area").value)


def main() -> None:
    """Read results, add up, write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument(
        "--before", type=Path, help="the same, made by an earlier version: its blocks stand beside ours"
    )
    options = parser.parse_args()
    out = options.out
    rows, others = (Rows(COMMAND, "liquidcal", LIQUIDCAL) for _ in range(2))
    path = RESULTS / "astrocyte_energy.json"
    folders = {case: out / AstrocyteDesign(spec=spec, clock_gating=gated).name for case, (spec, gated) in CASES.items()}
    measured = [case for case, folder in folders.items() if (folder / "power" / "power.json").is_file()]
    if not measured:
        raise SystemExit(f"{out} holds no power of {NALSM_216.name}: run liquidcal synth and power {NALSM_216.name}")
    rows.extend(kept(path, lambda metric: metric.name.partition("__case:")[2] in ("", *measured)))
    for case in measured:
        add_variant(rows, folders[case], case, CASES[case][0])
    for kind, spec in MEMORIES.items():
        cells = memory_bits(spec) * SRAM_CELL_F2 * (NODE_NM * 1e-3) ** 2 * 1e-6
        for end, part in (("low", 0.7), ("nominal", 0.5), ("high", 0.3)):
            rows.add(f"area__memories{kind}__bound:{end}", round(cells / part, 3), "mm2",
                     f"{memory_bits(spec):,} bits, by the model")  # fmt: skip
    for name in OTHERS:
        one = systems()[name]
        for figure, (quantity, unit) in FIGURES.items():
            if figure in one.figures:
                others.add(f"{quantity}__case:{name}", one.figures[figure], unit, f"{one.name}, {one.node}, {one.kind}")
    write_metrics(path, rows)
    write_metrics(RESULTS / "astrocyte_published.json", others)
    path = RESULTS / "astrocyte_blocks.json"
    blocks = Rows(COMMAND, "liquidcal", LIQUIDCAL)
    sides = {"before": None if options.before is None else options.before / folders["gated"].name,
             "after": folders["gated"] if "gated" in measured else None}  # fmt: skip
    blocks.extend(
        kept(path, lambda metric: any(f"when:{when}_" in metric.name for when, side in sides.items() if side))
    )
    for when, folder in sides.items():
        if folder is not None:
            add_blocks(blocks, folder, when)
    write_metrics(path, blocks)


if __name__ == "__main__":
    main()
