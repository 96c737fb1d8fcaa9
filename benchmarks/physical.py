"""Placement, timing and power of a design, as committed figures: ``python -m benchmarks.physical ECON_T``.

Takes the metrics that ``liquidcal place``, ``liquidcal time`` and ``liquidcal power`` left below ``report/``, adds the
translation into 65 nm, and writes ``placement_NAME.json``, ``timing_NAME.json``, ``power_NAME.json`` (by kind) and
``power_stages_NAME.json`` into ``benchmarks/results``. With ``--timing`` the timing alone, of any design; with
``--placed`` placement and timing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import RESULTS, record
from flows.common.metrics import Metric, find, read_metrics, write_metrics
from flows.estimates.translation import area_range, energy_range
from flows.physical.mapped import Mapped


def translated(folder: Path, name: str) -> list[Metric]:
    """Area and dynamic energy in 65 nm LP, one metric for each method."""
    mapped = Mapped(folder=folder)
    placement, power = (read_metrics(folder / step / "metrics.json") for step in ("placement", "power"))
    result = json.loads((folder / "power" / "power.json").read_text())
    total, leakage = (
        float(find(power, metric).value) for metric in ("energy__per_inference", "energy__per_inference__kind:leakage")
    )
    area = area_range(
        library=mapped.cells.name, area_um2=float(find(placement, "design__core__area").value),
        gate_equivalents=float(find(placement, "design__instance__area__gate_equivalent").value),
        utilisation=float(find(placement, "design__instance__utilization").value),
    )  # fmt: skip
    energy = energy_range(library=mapped.cells.name, voltage_v=result["voltage_v"], dynamic_pj=total - leakage)
    rows = []
    for what, found in (("design__core__area", area), ("energy__per_inference__dynamic", energy)):
        for estimate in found.estimates:
            rows.append(
                record(
                    f"{what}__node:65nm_LP__method:{estimate.name}", estimate.value, found.unit, estimate.method,
                    command=f"python -m benchmarks.physical {name}", library=mapped.cells,
                )
            )  # fmt: skip
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("design")
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--timing", action="store_true", help="write the timing alone")
    parser.add_argument("--placed", action="store_true", help="write placement and timing alone")
    options = parser.parse_args()
    folder = options.out / options.design
    if Mapped(folder=folder).placement is None:
        raise SystemExit(f"{folder} holds no placement of its netlist: run liquidcal place {options.design}")
    if options.timing:
        result = [m for m in read_metrics(folder / "timing" / "metrics.json") if m.name.startswith("timing__")]
        write_metrics(RESULTS / f"timing_{options.design}.json", result)
        print(RESULTS / f"timing_{options.design}.json")
        return
    if options.placed:
        for step in ("placement", "timing"):
            write_metrics(RESULTS / f"{step}_{options.design}.json", read_metrics(folder / step / "metrics.json"))
            print(RESULTS / f"{step}_{options.design}.json")
        return
    extra = translated(folder, options.design)
    placement, timing, power = (
        list(read_metrics(folder / step / "metrics.json")) for step in ("placement", "timing", "power")
    )
    stages = [metric for metric in power if "__module:" in metric.name]
    total = find(power, "energy__per_inference")
    # a stage below a thousandth of the total is no row of a table
    small = [metric for metric in stages if float(metric.value) < 1e-3 * float(total.value)]
    rest = sum(float(metric.value) for metric in small)
    table = [metric for metric in stages if metric not in small]
    if small:
        table.append(replace(small[0], name="energy__per_inference__module:others", value=rest))
    tree = find(power, "energy__per_inference__kind:clock_tree")
    table.append(replace(tree, name="energy__per_inference__module:clock_tree"))
    files = {
        "placement": placement + [metric for metric in extra if metric.unit == "mm2"],
        "timing": timing,
        "power": [m for m in power if "__module:" not in m.name] + [m for m in extra if m.unit == "pJ"],
        "power_stages": [*table, total],
    }
    for name, metrics in files.items():
        write_metrics(RESULTS / f"{name}_{options.design}.json", metrics)
        print(RESULTS / f"{name}_{options.design}.json")


if __name__ == "__main__":
    main()
