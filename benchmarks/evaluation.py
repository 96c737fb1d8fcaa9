"""Speed and memory of ``liquidcal evaluate`` on a large file: ``python -m benchmarks.evaluation [--modules N]``.

A Parquet file of N modules, drawn again and again from the simulated sample of the evaluation, goes through the
command from file to table, on as many processes as there are cores. Writes ``benchmarks/results/evaluation.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows
from flows.common.metrics import write_metrics
from flows.common.process import Finished, run_process
from flows.learning.encoder import evaluation_sample

RESULT = RESULTS / "evaluation.json"
CHUNK = 100_000


def write_modules(path: Path, modules: int) -> None:
    """A Parquet file of charges and pseudorapidities, written in pieces."""
    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]

    sample, rng = evaluation_sample(), np.random.default_rng(1)
    assert sample.etas is not None
    writer = None
    for start in range(0, modules, CHUNK):
        rows = rng.integers(0, len(sample.charges), min(CHUNK, modules - start))
        columns = {f"CALQ_{cell}": sample.charges[rows, cell].astype(np.int32) for cell in range(48)}
        table = pa.table(columns | {"eta": sample.etas[rows]})
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _measure(path: Path, modules: int, workers: int) -> Finished:
    """Run the command on a file of so many modules."""
    run = run_process(
        [sys.executable, "-m", "flows.cli", "evaluate", "hgcal_encoder", "--charges", path, "--no-baselines", "--json",
         "--workers", str(workers)],
        tool="liquidcal", directory=Path.cwd(), timeout_s=7200.0,
    )  # fmt: skip
    if run.status:
        raise SystemExit(run.reason("liquidcal:"))
    (data,) = json.loads(run.log[run.log.index("{\n") : run.log.rindex("}") + 1])["data"]
    if data["images"] != modules:
        raise SystemExit(f"expected {modules} modules, got {data['images']}")
    return run


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--modules", type=int, default=1_000_000)
    parser.add_argument("--scratch", type=Path, help="folder for the file of modules")
    options = parser.parse_args()
    rows = Rows(f"python -m benchmarks.evaluation --modules {options.modules}", LIQUIDCAL)
    with tempfile.TemporaryDirectory(prefix="liquidcal-bench-", dir=options.scratch) as scratch:
        path = Path(scratch) / "modules.parquet"
        write_modules(path, options.modules)
        rows.add_load("load__when:start", os.getloadavg()[0], "start")
        one, all_cores = (_measure(path, options.modules, workers) for workers in (1, os.cpu_count() or 1))
    cores = os.cpu_count()
    rows.add("modules", options.modules, "", "modules from a Parquet file to the table, the network alone")
    rows.add(
        "rate__per:core", round(options.modules / one.cpu_s), "1/s",
        "modules per second of processor time in one process, its start and reading included",
    )  # fmt: skip
    rows.add(
        "rate__per:wall", round(options.modules / all_cores.wall_s), "1/s",
        f"modules per second by the clock, {cores} processes and the reader on {cores} cores",
    )  # fmt: skip
    for workers, run in ((1, one), (cores, all_cores)):
        rows.add(
            f"memory__peak__processes:{workers}", round(run.peak_memory_bytes / 1e6), "MB",
            f"largest resident memory of all processes together, {workers} at work",
        )  # fmt: skip
    rows.add_load("load__when:end", os.getloadavg()[0], "end")
    write_metrics(RESULT, rows)


if __name__ == "__main__":
    main()
