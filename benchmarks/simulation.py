"""Speed of the native Verilator harness: bunch crossings per minute of a whole encoder, wall clock and CPU time.

Usage: ``python -m benchmarks.simulation [PRESET] [--crossings N] [--cached] [--out FILE]``. Writes a list of
`flows.common.metrics.Metric`. Wall clock depends on what else the machine does, so the load average is part of the
result; CPU time per crossing hardly does.
"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measured import RESULTS, Rows
from flows.common.metrics import write_metrics
from flows.simulation.encoder import EncoderBench, encoder_verilog
from flows.tools.verilator import verilator_version
from flows.verification.encoder_stimulus import random_settings, random_weights, random_words
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.spec import load_spec

RESULT = RESULTS / "simulation.json"


def children_s() -> float:
    """CPU time of all child processes that ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Build, compare a part of the crossings with the golden model, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset", nargs="?", default="ECON_T")
    parser.add_argument("--crossings", type=int, default=200_000)
    parser.add_argument("--cached", action="store_true", help="take the build from the cache; its time is left out")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    spec = load_spec(options.preset)
    rows = Rows(f"python -m benchmarks.simulation {spec.name}", "verilator", verilator_version())
    add = rows.add

    start = time.perf_counter()
    design = encoder_verilog(spec)
    add(
        "simulation__export__runtime", round(time.perf_counter() - start, 1), "s", f"Verilog of {spec.name}, wall clock"
    )
    with tempfile.TemporaryDirectory(prefix="liquidcal-") as fresh:
        if not options.cached:
            os.environ["LIQUIDCAL_CACHE"] = fresh
        start, cpu = time.perf_counter(), children_s()
        bench = EncoderBench(design)
        wall, cpu = time.perf_counter() - start, children_s() - cpu
        if not options.cached:
            add("simulation__build__runtime", round(wall, 1), "s", "build of the harness, two jobs, wall clock")
            add("simulation__build__cpu", round(cpu, 1), "s", "build of the harness, CPU time")
        measure(bench, options.crossings, add)
    rows.add_load("machine__load__average", os.getloadavg()[0], "end")
    write_metrics(options.out, rows)


def measure(bench: EncoderBench, crossings: int, add) -> None:  # type: ignore[no-untyped-def]
    """Compare, then time: loading included in the figures of two threads, as a user runs it."""
    spec = bench.design.spec
    rng = np.random.default_rng(1)
    settings, weights = random_settings(spec, rng), random_weights(spec, rng, "small")
    base = random_words(rng, 2000, settings)
    if not np.array_equal(bench.frames(base, settings, weights), Encoder(spec, weights, settings).frames(base)):
        raise SystemExit("hardware and golden model differ: no speed is worth reporting")
    words = base[rng.integers(0, len(base), crossings)]
    words[0] = base[0]
    with bench.model() as model:
        cpu = time.process_time()
        bench.load(model, settings, weights)
        add("simulation__load__cpu", round(time.process_time() - cpu, 3), "s", "settings and weights, CPU time")
        part = model.pack({"words": words[:10_000]}, min(crossings, 10_000))
        cpu = time.process_time()
        model.run_rows(part)
        each = (time.process_time() - cpu) / len(part)
    add("simulation__clock__cpu", round(1e6 * each, 2), "us", "one clock of the whole encoder, CPU time")
    cpu, wall = time.process_time(), time.perf_counter()
    bench.frames(words, settings, weights, threads=2)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    add("simulation__throughput__threads:2", round(60 * crossings / wall), "BX/min",
        f"{crossings:,} bunch crossings, two threads, wall clock, loading included")  # fmt: skip
    add("simulation__throughput__cpu", round(60 * crossings / cpu), "BX/min",
        f"{crossings:,} bunch crossings, per minute of CPU time, loading included")  # fmt: skip


if __name__ == "__main__":
    main()
