"""Digital part of every preset of the crossbar side by side: ``python -m benchmarks.lsm_presets``.

Takes the metrics that ``liquidcal synth PRESET`` left below ``report/`` and writes
``benchmarks/results/lsm_presets.json``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import RESULTS
from flows.common.metrics import find, read_metrics, write_metrics
from flows.synthesis.result import load_result
from sim.lsm_crossbar.spec import PRESETS


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()
    metrics = []
    for name in PRESETS:
        folder = options.out / name / "synthesis"
        if not (folder / "metrics.json").is_file():
            raise SystemExit(f"{folder} holds no synthesis: run liquidcal synth {name}")
        result = read_metrics(folder / "metrics.json")
        area = find(result, "design__instance__area")
        flops = find(result, "design__instance__count__class:flip_flop")
        gates = replace(area, value=round(load_result(folder).gate_equivalents / 1000, 1), unit="kGE")
        for quantity, metric in (
            ("area", area),
            ("area__gate_equivalent", gates),
            ("instance__count", find(result, "design__instance__count")),
            ("flip_flop__count", flops),
        ):
            metrics.append(replace(metric, name=f"design__{quantity}__case:{name}"))
    write_metrics(RESULTS / "lsm_presets.json", metrics)
    print(RESULTS / "lsm_presets.json")


if __name__ == "__main__":
    main()
