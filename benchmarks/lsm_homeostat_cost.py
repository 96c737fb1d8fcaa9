"""What a homeostat costs beside the crossbar's liquid: ``python -m benchmarks.lsm_homeostat_cost``.

Synthesises, places with repair, times and measures `N_MNIST` and the same with either homeostat, all with clock gates,
below ``--out`` (three minutes); results that stand there are used. The macro and the readout of the shipped model, and
the same 32 recordings, run on all three netlists, every spike, count, score and class equal to the golden model; the
homeostat is on, and so slow that no threshold moves within a recording. Its memory is a black box
(`hw.lsm_crossbar.threshold_memory`): its area and its reads and writes, one of each for every neuron and counting
window, are by the models of `flows.estimates.crossbar_energy`, in the node of the library. Writes
``benchmarks/results/lsm_homeostat_cost.json``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows
from flows.common.journal import Journal
from flows.common.metrics import find, read_metrics, write_metrics
from flows.designs.crossbar import CrossbarDesign
from flows.estimates.crossbar_energy import SRAM_CELL_F2, SRAM_PJ_PER_BIT
from flows.steps.placement import PlacementOptions, place_design
from flows.steps.power import PowerOptions, measure_design
from flows.steps.synthesis import synthesise_design
from flows.steps.timing import time_design
from flows.synthesis.result import load_result
from hw.lsm_crossbar.threshold_memory import offset_bytes, threshold_word_bytes
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.spec import N_MNIST, N_MNIST_HOMEOSTAT, N_MNIST_OWN_THRESHOLDS, CrossbarSpec

COMMAND = "python -m benchmarks.lsm_homeostat_cost"
CASES = {"without": N_MNIST, "layer": N_MNIST_HOMEOSTAT, "neuron": N_MNIST_OWN_THRESHOLDS}
NODE_NM = 45.0
"""Feature size of the library, which the memory is taken to have, too."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What was measured of one chip: um2, flip-flops, ns, nJ for an inference."""

    area_um2: float
    flip_flops: int
    slack_ns: float
    energy_nj: float
    clocks: float
    compared: int
    how: str


def memory_bits(spec: CrossbarSpec) -> tuple[int, int]:
    """Bits of the homeostat's memory, and bits that an inference reads and writes there."""
    if not spec.own_thresholds:
        return 0, 0
    word = 8 * threshold_word_bytes(spec)
    return spec.neurons * word, spec.neurons * spec.windows * (word + 8 * offset_bytes(spec))


def measure(spec: CrossbarSpec, out: Path) -> Cost:
    """Run the steps whose results are not there, and read them."""
    journal, part = Journal(), CrossbarDesign(spec=spec, clock_gating=True)
    folder = out / part.name
    if not (folder / "timing" / "metrics.json").is_file():
        synthesise_design(part, folder, journal)
        place_design(part, folder, journal, PlacementOptions(repair=True))
        time_design(part, folder, journal)
    if not (folder / "power" / "power.json").is_file():
        model = folder / "model.npz"
        shipped = TrainedCrossbar.load("n_mnist")
        assert shipped.seed is not None
        TrainedCrossbar.trained(
            spec, draw(spec, shipped.seed), encoding=shipped.encoding, step_us=shipped.step_us,
            readout=Readout(spec, shipped.readout.weights, shipped.readout.bias),
        ).save(model)  # fmt: skip
        measure_design(part, folder, journal, PowerOptions(weights=model))
    facts = json.loads((folder / "power" / "power.json").read_text())
    return Cost(
        area_um2=float(find(read_metrics(folder / "placement" / "metrics.json"), "design__instance__area").value),
        flip_flops=load_result(folder / "synthesis").flip_flops,
        slack_ns=float(find(read_metrics(folder / "timing" / "metrics.json"), "timing__setup__ws").value),
        energy_nj=float(facts["energy_per_inference_pj"]) * 1e-3, clocks=float(facts["clocks_per_inference"]),
        compared=int(sum(facts["compared"].values())), how=f"{facts['activity']}; {facts['wires']}",
    )  # fmt: skip


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("build/homeostat_cost"))
    out = parser.parse_args().out
    rows = Rows(COMMAND, "liquidcal", LIQUIDCAL)
    found = {case: measure(spec, out) for case, spec in CASES.items()}
    base = found["without"]
    for case, one in found.items():
        bits, moved = memory_bits(CASES[case])
        memory_mm2 = bits * SRAM_CELL_F2 * (NODE_NM * 1e-3) ** 2 * 1e-6 / 0.5
        memory_nj = moved * SRAM_PJ_PER_BIT * 1e-3
        for name, value, digits, unit, method in (
            ("area__logic", one.area_um2 * 1e-6, 4, "mm2", "cells that were placed, those of the repair included"),
            ("flip_flops", one.flip_flops, 0, "", "flip-flops"),
            ("timing__slack", one.slack_ns, 2, "ns", "worst setup slack at 10 ns, placed, repaired"),
            ("energy__logic", one.energy_nj, 1, "nJ",
             f"digital part of an inference of {one.clocks:,.0f} clocks; {one.compared:,} words equal; {one.how}"),
            ("area__memory", memory_mm2, 4, "mm2", f"{bits:,} bits by the model"),
            ("energy__memory", memory_nj, 2, "nJ", f"{moved:,} bits of an inference by the model"),
        ):  # fmt: skip
            rows.add(f"{name}__case:{case}", round(value, digits), unit, method)
        if case != "without":
            for name, part, whole in (
                ("area__more", one.area_um2 * 1e-6 + memory_mm2, base.area_um2 * 1e-6),
                ("energy__more", one.energy_nj + memory_nj, base.energy_nj),
            ):
                rows.add(f"{name}__case:{case}", round(100 * (part / whole - 1), 1), "%",
                         "above the chip without, memory included")  # fmt: skip
    write_metrics(RESULTS / "lsm_homeostat_cost.json", rows)


if __name__ == "__main__":
    main()
