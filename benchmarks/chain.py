"""Run time of synthesis, placement and timing of a protected chip: ``python -m benchmarks.chain [--out report]``.

Takes what the commands of `benchmarks.target` left of the smallest chip, and writes ``benchmarks/results/chain.json``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import RESULTS, kept
from benchmarks.target import CHIPS
from flows.common.metrics import Metric, find, read_metrics, write_metrics

STEPS = {
    "synthesis": "flow__runtime__total", "placement": "flow__runtime__total__step:placement",
    "timing": "flow__runtime__total__step:timing",
}  # fmt: skip
"""Step and its metric."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()
    rows: list[Metric] = []
    for case, design in CHIPS[:1]:
        folder = options.out / design.name
        taken = [find(read_metrics(folder / step / "metrics.json"), name) for step, name in STEPS.items()]
        rows += [
            replace(metric, name=f"{step}__case:{case}", method=f"wall clock; {metric.method}")
            for step, metric in zip(STEPS, taken, strict=True)
        ]
        together = sum(float(metric.value) for metric in taken)
        rows.append(replace(taken[0], name=f"together__case:{case}", value=together, method="their sum"))
    path, names = RESULTS / "chain.json", {row.name for row in rows}
    write_metrics(path, [*rows, *kept(path, lambda metric: metric.name in names)])
    print(path)


if __name__ == "__main__":
    main()
