"""Speed of the native Verilator harness on a whole crossbar chip: samples per minute, clocks per sample.

Usage: ``python -m benchmarks.crossbar_simulation RECORDINGS [--preset N_MNIST] [--count N] [--out FILE]``. The
recordings (N-MNIST format, named by index) are compared with the golden model, spike for spike and clock for clock; the
speed of a chip that is wrong is not written. Wall clock depends on what else the machine does, so the load average is
part of the result.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from benchmarks.measured import RESULTS, Rows
from flows.common.metrics import write_metrics
from flows.simulation.crossbar import CrossbarBench, crossbar_verilog
from flows.tools.verilator import verilator_version
from flows.verification.crossbar import difference, load_recordings
from flows.verification.crossbar_stimulus import make_segment
from sim.lsm_crossbar.spec import load_spec

RESULT = RESULTS / "crossbar_simulation.json"


def main() -> None:
    """Build, compare, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("--preset", default="N_MNIST")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    spec = load_spec(options.preset)
    command = f"python -m benchmarks.crossbar_simulation RECORDINGS --preset {spec.name} --count {options.count}"
    rows = Rows(command, "verilator", verilator_version())
    add = rows.add

    conductances, recordings = load_recordings(spec, options.recordings, None, options.count)
    bench = CrossbarBench(crossbar_verilog(spec, conductances))
    for name, readout, spikes in recordings:
        wall, cpu = time.perf_counter(), time.process_time()
        got = bench.run(conductances, readout, spikes)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        noise = None if spec.noise_scale is None else 0
        want = make_segment(name, spec, conductances, readout, spikes, noise_seed=noise, engine="numba").played
        if difference(got, want, spec, name)[0]:
            raise SystemExit("hardware and golden model differ: no speed is worth reporting")
        clocks = np.diff(got.class_clocks, prepend=0)
        add("simulation__compared", len(got.spikes), "steps", f"{name}, equal to the golden model in value and clock")
        add("simulation__sample__clocks__mean", round(float(clocks.mean())), "clocks", f"a sample, mean of {name}")
        add("simulation__sample__clocks__max", int(clocks.max()), "clocks", f"a sample, longest of {name}")
        add(
            "simulation__sample__latency", round(float(clocks.mean()) * spec.clock_period_ns / 1000, 1), "us",
            f"a sample at {spec.clock_period_ns:g} ns",
        )  # fmt: skip
        add("simulation__clock__cpu", round(1e6 * cpu / got.clocks, 2), "us", "one clock of the whole chip, CPU time")
        add("simulation__throughput__wall", round(60 * len(spikes) / wall), "samples/min", "one thread, wall clock")
        add("simulation__throughput__cpu", round(60 * len(spikes) / cpu), "samples/min", "one thread, CPU time")
    rows.add_load("machine__load__average", os.getloadavg()[0], "end")
    write_metrics(options.out, rows)


if __name__ == "__main__":
    main()
