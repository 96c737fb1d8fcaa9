"""What the bench of a protected whole chip takes to build: ``python -m benchmarks.bench_build [SCHEME...]``.

For each scheme the chip of ECON_T with its I2C, as fault campaigns have it (a hook at every flip-flop), is written as
Verilog, compiled into a simulator and started, with an empty cache. Writes ``benchmarks/results/bench_build.json``: run
time and processor time, and the least time that two cores could take for the work.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import RESULTS, Rows, kept
from flows.campaign.campaign import Job, open_engine
from flows.common.metrics import write_metrics
from flows.tools.verilator import verilator_version
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import ECON_T

REUSE = {Scheme.SECDED_WORDS: 3}
"""Multiplications of a multiplier in a crossing, where a scheme needs some."""


def processor_s() -> tuple[float, float]:
    """Processor time so far of this process, and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("schemes", nargs="*", type=Scheme, default=[Scheme.SECDED])
    options = parser.parse_args()
    rows = Rows("python -m benchmarks.bench_build", tool="verilator", version=verilator_version())
    for scheme in options.schemes:
        job = Job(spec=replace(ECON_T, reuse=REUSE.get(scheme, 1)), scheme=scheme, loading=Loading.DIRECT)
        with tempfile.TemporaryDirectory(prefix="liquidcal-bench-") as cache:
            os.environ["LIQUIDCAL_CACHE"] = str(Path(cache))
            start, (own, children) = time.perf_counter(), processor_s()
            open_engine(job)
            seconds = time.perf_counter() - start
            own, children = (now - before for now, before in zip(processor_s(), (own, children), strict=True))
        load = os.getloadavg()[0]
        how = f"{scheme}, from an empty cache; load average {load:.1f} at the end"
        found = (
            ("runtime__total", seconds, f"wall clock; {how}"),
            ("runtime__cpu", own + children, f"processor time; {how}"),
            ("runtime__cpu__part:compiler", children, "of it Verilator and the compiler, by two processes"),
            ("runtime__least", (own + children) / 2, "half the processor time: two cores without a pause"),
        )
        for name, value, method in found:
            rows.add(f"{name}__case:{scheme}", round(value, 1), "s", method)
    path, names = RESULTS / "bench_build.json", {row.name for row in rows}
    write_metrics(path, [*rows, *kept(path, lambda metric: metric.name in names)])


if __name__ == "__main__":
    main()
