"""Time and memory of every step of the chain: ``python -m benchmarks.flow N_MNIST``.

Takes the steps that ``liquidcal flow`` recorded below ``report/`` and writes ``benchmarks/results/flow_NAME.json``.
Kept steps count with the time of the run that made them.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from pathlib import Path

from benchmarks.measured import RESULTS, record
from flows.common.metrics import write_metrics

_QUANTITIES = (("runtime__total", "seconds", "s"), ("runtime__cpu", "cpu_s", "s"), ("memory", "peak_mb", "MB"))
"""Name of the figure, its key in ``flow.json``, its unit."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("design")
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--machine", default="two cores", help="what else the machine did, for the record")
    parser.add_argument("--flags", default="", help="options that the chain was run with")
    options = parser.parse_args()
    path = options.out / options.design / "flow.json"
    if not path.is_file():
        raise SystemExit(f"{path} is missing: run liquidcal flow {options.design}")
    steps = json.loads(path.read_text())["steps"]
    total = {"name": "together"} | {name: sum(step[name] for step in steps) for name in ("seconds", "cpu_s")}
    total["peak_mb"] = max(step["peak_mb"] or 0 for step in steps)
    metrics = []
    # what follows the colon is shown where steps need it to differ
    alike = Counter(step["name"].partition(":")[0] for step in steps)
    for step in [*steps, total]:
        what = step["name"].partition(":")[0]
        case = re.sub(r"[^A-Za-z0-9]+", "_", step["name"] if alike[what] > 1 else what).strip("_")
        for quantity, key, unit in _QUANTITIES:
            metrics.append(
                record(
                    f"flow__{quantity}__case:{case}", step[key], unit,
                    f"{step['name']}; wall clock, processor time and largest memory with children; {options.machine}",
                    command=f"liquidcal flow {options.design} {options.flags}".strip(),
                )
            )  # fmt: skip
    write_metrics(RESULTS / f"flow_{options.design}.json", metrics)
    print(RESULTS / f"flow_{options.design}.json")


if __name__ == "__main__":
    main()
