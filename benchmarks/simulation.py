"""Speed of the native Verilator harness: bunch crossings per minute of a whole encoder, wall clock and CPU time.

Usage: ``python -m benchmarks.simulation [PRESET] [--crossings N]``. Prints one JSON object. Wall clock depends on what
else the machine does; CPU time per crossing and core does not.
"""

import argparse
import json
import os
import time

import numpy as np

from flows.simulation import EncoderBench, NativeModel, encoder_design, verilator_version
from flows.verification import random_settings, random_weights, random_words
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.spec import load_spec


def main() -> None:
    """Build, check a part of the crossings against the golden model, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", nargs="?", default="ECON_T")
    parser.add_argument("--crossings", type=int, default=200_000)
    options = parser.parse_args()
    spec = load_spec(options.preset)
    start = time.perf_counter()
    design = encoder_design(spec)
    exported = time.perf_counter()
    bench = EncoderBench(design)
    built = time.perf_counter()
    rng = np.random.default_rng(1)
    settings, weights = random_settings(spec, rng), random_weights(spec, rng, "small")
    base = random_words(rng, 2000, settings)
    if not np.array_equal(bench.frames(base, settings, weights), Encoder(spec, weights, settings).frames(base)):
        raise SystemExit("hardware and golden model differ: no speed is worth reporting")
    words = base[rng.integers(0, len(base), options.crossings)]
    words[0] = base[0]
    cpu, wall = time.process_time(), time.perf_counter()
    bench.frames(words, settings, weights, threads=2)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    with NativeModel(bench.library, bench.ports, "clk") as model:
        rows = model.pack({"words": base}, len(base))
        single = time.process_time()
        model.run_rows(rows)
        single = time.process_time() - single
    result = {
        "spec": spec.name, "verilator": verilator_version(), "cores": os.cpu_count(), "load": os.getloadavg()[0],
        "export_s": round(exported - start, 2), "build_s": round(built - exported, 2), "crossings": options.crossings,
        "crossings_per_minute_two_threads": round(60 * options.crossings / wall),
        "crossings_per_cpu_minute": round(60 * options.crossings / cpu),
        "clocks_per_cpu_second_model_alone": round(len(base) / single),
    }  # fmt: skip
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
