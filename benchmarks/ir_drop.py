"""Error of the fast IR-drop models on a 512 x 512 array against the exact solution: ``python -m benchmarks.ir_drop``.

A macro from seed 0, the rows of a random read active, 2.5 ohm per bit-line segment and 0.05 ohm per source-line segment
(source lines strapped to a mesh). Exact: the sparse nodal solver, a quarter of a million nodes. Compared with it: line
relaxation, and the mean factors that a draw stores in its conductance codes.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from benchmarks.measured import RESULTS, Rows
from flows.common.metrics import write_metrics
from sim.lsm_crossbar.macro_model.array import column_currents, ir_drop_factors, relaxed_column_currents
from sim.lsm_crossbar.macro_model.device import draw_conductances_us
from sim.lsm_crossbar.spec import N_MNIST

RESULT = RESULTS / "ir_drop.json"
SOURCE_LINE_OHM, BIT_LINE_OHM = 0.05, 2.5


def main() -> None:
    """Solve, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reads", type=int, default=20, help="random reads that the factors are compared on")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    spec, rng = N_MNIST, np.random.default_rng(0)
    g = draw_conductances_us(spec, 0)
    volts = np.full(spec.rows, spec.read_voltage_v)
    lines = (SOURCE_LINE_OHM, BIT_LINE_OHM)
    reads = []
    for _ in range(options.reads):
        active = np.zeros((spec.rows, 1))
        active[rng.choice(spec.rows, spec.rows_per_read, replace=False)] = 1
        reads.append(active)

    def timed(call, *arguments):  # type: ignore[no-untyped-def]
        start = time.process_time()
        found = call(*arguments)
        return found, time.process_time() - start

    exact, exact_s = timed(column_currents, g * reads[0], volts, *lines)
    relaxed, relaxed_s = timed(relaxed_column_currents, g * reads[0], volts, *lines)
    relaxation = float(np.abs(relaxed / exact - 1).max())
    factors, factors_s = timed(ir_drop_factors, g, spec.rows_per_read, *lines)
    errors, drops = [], []
    for active in reads:
        ideal = (g * active).sum(axis=0) * spec.read_voltage_v
        # the relaxation has just been shown to be exact to many digits, and is quicker
        true = relaxed_column_currents(g * active, volts, *lines)
        errors.append((g * factors * active).sum(axis=0) * spec.read_voltage_v / true - 1)
        drops.append(1 - true / ideal)
    code = spec.read_voltage_v * spec.g_lsb_us
    column = (g * reads[0]).sum(axis=0).mean() * spec.read_voltage_v / code
    rows = Rows("python -m benchmarks.ir_drop")
    add = rows.add

    add("ir_drop__mean", round(100 * float(np.mean(drops)), 2), "%", "mean drop of a column's current")
    add("ir_drop__relaxation__error", float(f"{100 * relaxation:.2g}"), "%",
        "largest error of a column by line relaxation, 8 sweeps, against the nodal solver")  # fmt: skip
    add("ir_drop__factors__bias", round(100 * float(np.mean(errors)), 2), "%",
        f"mean error of a column by the factors of a draw, {options.reads} random reads")  # fmt: skip
    add("ir_drop__factors__spread", round(100 * float(np.std(errors)), 2), "%",
        "standard deviation of that error: the choice of the other rows")  # fmt: skip
    add("ir_drop__factors__spread_codes", round(float(np.std(errors) * column), 2), "codes",
        "the same in conductance codes of a mean column sum")  # fmt: skip
    for name, seconds, what in (
        ("exact", exact_s, "one read by the nodal solver"),
        ("relaxation", relaxed_s, "one read by line relaxation"),
        ("factors", factors_s, "all factors of a macro"),
    ):
        add(f"ir_drop__runtime__method:{name}", round(seconds, 3), "s", f"{what}; processor time")
    write_metrics(options.out, rows)
    print(f"wrote {os.path.relpath(options.out)}")


if __name__ == "__main__":
    main()
