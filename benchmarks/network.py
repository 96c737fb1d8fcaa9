"""Area, timing, power and equality of networks, weights loaded and folded in: ``python -m benchmarks.network``.

The networks are the presets of `sim.network.spec` with random weights, every code equally likely: the hardest case for
weights that are folded in, because trained weights have zeros. What ``build()`` of an hls4ml graph runs is what runs
here: synthesis onto NanGate 45, OpenSTA, gates against the golden model under random samples, RTL against the golden
model on 100,000 samples. Networks that are not asked for stay in the results.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measured import RESULTS, Rows, kept
from flows.common.metrics import write_metrics
from flows.hls4ml.build import build
from flows.synthesis.result import load_result
from sim.network.spec import PRESETS
from sim.network.weights import NetworkWeights

RESULT = RESULTS / "network.json"
SAMPLES = 100_000


def measure(rows: Rows, name: str, frozen: bool, *, power: bool) -> None:
    """Build one variant of one network and add its figures."""
    spec = PRESETS[name]
    weights = NetworkWeights.random(spec, np.random.default_rng(1))
    case = f"__spec:{name}__weights:{'frozen' if frozen else 'loaded'}"
    what = f"{name}, weights {'folded in' if frozen else 'loaded'}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory(prefix="liquidcal-network-") as scratch:
        report = build(
            weights, Path(scratch), frozen=frozen, library="nangate45", samples=SAMPLES, power=power
        )["AsicReport"]  # fmt: skip
        result = load_result(next(Path(scratch).glob("asic/*/synthesis")))
    assert report["passed"]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    multiplies = spec.multiplies
    gates = "design__instance__area__gate_equivalent"
    rows.add(f"{gates}{case}", report["kge"], "kGE", f"{what}: area, all flip-flops in it")
    rows.add(
        f"{gates}__per_multiply{case}", 1000 * report["kge"] / multiplies, "GE",
        f"{what}: area by its {multiplies:,} multiplications, all flip-flops in it",
    )  # fmt: skip
    rows.add(f"design__instance__area{case}", report["area_um2"] / 1e6, "mm2", f"{what}: area of the cells")
    rows.add(f"design__flip_flop__count{case}", result.flip_flops, "", f"{what}: flip-flops")
    rows.add(
        f"timing__setup__ws{case}", report["setup_slack_ns"], "ns", f"{what}: slack at {spec.clock_period_ns:g} ns"
    )
    if power:
        rows.add(
            f"energy__per_inference{case}", report["energy_per_sample_pj"], "pJ",
            f"{what}: random samples and weights, without wires; a trained network on its data needs less",
        )  # fmt: skip
        rows.add(f"model__codes_compared{case}", report["codes_compared"], "codes", f"{what}: gates = golden model")
    rows.add(
        f"verification__compared{case}", report["samples_compared"], "samples", f"{what}: RTL = golden model, all codes"
    )
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows.add(f"flow__runtime__cpu{case}", spent, "s", f"{what}: processor time of yosys, abc, Verilator, g++, OpenSTA")


def main() -> None:
    """Measure the networks that are asked for, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(PRESETS), choices=list(PRESETS))
    parser.add_argument("--no-power", action="store_true", help="leave the gate-level simulation out")
    chosen = parser.parse_args()
    command = "python -m benchmarks.network"
    for name in chosen.networks:
        for frozen in (False, True):
            rows = Rows(command)
            measure(rows, name, frozen, power=not chosen.no_power)
            case = f"__spec:{name}__weights:{'frozen' if frozen else 'loaded'}"
            write_metrics(RESULT, [*kept(RESULT, lambda metric, case=case: case in metric.name), *rows])


if __name__ == "__main__":
    main()
