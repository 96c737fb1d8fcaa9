"""Our placer against coloquinte: ``python -m benchmarks.placement``.

Both place the same netlists in the same cores at 70 % utilisation, one after the other on the same machine: a stage of
ECON_T, the crossbar's controller, and the whole of ECON_T. Synthesis is taken from ``report/`` and made where it is not
there. Without coloquinte (no wheel for Python 3.13) only our own side is measured. Wall clock holds everything from
arrays to arrays; kernels are compiled before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from itertools import pairwise
from math import ceil, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import RESULTS, record
from flows.common.metrics import Metric, package_version, write_metrics
from flows.netlist.netlist import Netlist, netlist_from_json
from flows.physical import place as placement
from flows.physical.mapped import Mapped

RESULT = RESULTS / "placement_engine.json"
DESIGNS = {
    "normalise": ("ECON_T", "ECON_T_normalise"),
    "calibrate": ("ECON_T", "ECON_T_calibrate"),
    "N_MNIST": ("N_MNIST", ""),
    "ECON_T": ("ECON_T", ""),
}
UTILISATION = 0.7


def coloquinte_places(problem: dict[str, Any], queue: Any) -> None:
    """In a process of its own: C++ exceptions and memory stay out of this one."""
    import coloquinte

    start, cpu = time.monotonic(), time.process_time()
    circuit = coloquinte.Circuit(len(problem["width"]))
    circuit.cell_width, circuit.cell_height = problem["width"].tolist(), problem["height"].tolist()
    circuit.cell_is_fixed = problem["fixed"].astype(bool).tolist()
    circuit.cell_is_obstruction = [False] * len(problem["width"])
    circuit.cell_x, circuit.cell_y = problem["x"].tolist(), problem["y"].tolist()
    left, right, bottom, top, row = problem["area"].tolist()
    circuit.setup_rows(coloquinte.Rectangle(left, right, bottom, top), row, True, False)
    first, cells, dx, dy = (problem[name].tolist() for name in ("start", "cells", "dx", "dy"))
    for a, b in pairwise(first):
        circuit.add_net(cells[a:b], dx[a:b], dy[a:b])
    circuit.check()
    parameters = coloquinte.ColoquinteParameters(1, 1)
    circuit.place_global(parameters)
    circuit.legalize(parameters)
    circuit.place_detailed(parameters)
    north = [orientation == coloquinte.CellOrientation.N for orientation in circuit.cell_orientation]
    result = {"x": np.array(circuit.cell_x), "y": np.array(circuit.cell_y), "north": np.array(north)}
    queue.put((result, time.monotonic() - start, time.process_time() - cpu))


def measured(job: Any) -> tuple[Any, float, float]:
    """What a call returns, its wall clock and the time of its processors."""
    start, cpu = time.monotonic(), time.process_time()
    return job(), time.monotonic() - start, time.process_time() - cpu


def netlist_of(mapped: Mapped, top: str) -> Netlist:
    """The whole design, or one module of it."""
    if not top:
        return mapped.synthesised
    return netlist_from_json(json.loads((mapped.folder / "synthesis" / "netlist.json").read_text()), top=top)


def main() -> None:
    """Place, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("designs", nargs="*", help="some of " + ", ".join(DESIGNS) + "; all where left out")
    parser.add_argument("--report", type=Path, default=Path("report"), help="where synthesis is")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    chosen = options.designs or list(DESIGNS)
    if unknown := set(chosen) - set(DESIGNS):
        parser.error(f"no design {unknown.pop()}")
    rows: list[Metric] = []
    heading = (
        f"{'design':>10} {'engine':>10} {'half-perimeters':>16} {'wire':>9} {'peak bin':>9} {'wall':>8} {'CPU':>8}"
    )
    print(heading)
    for name in chosen:
        preset, top = DESIGNS[name]
        folder = options.report / preset
        if not (folder / "synthesis" / "netlist.json").is_file():
            subprocess.run(
                [sys.executable, "-m", "flows.cli", "synth", preset, "--out", str(options.report)], check=True
            )
        mapped = Mapped(folder=folder)
        netlist, lef = netlist_of(mapped, top), mapped.lef
        width, height = placement._sizes(netlist, lef)
        area = float((width * height).sum()) / UTILISATION
        lines = max(1, round(sqrt(area) / lef.site_um[1]))
        sites = ceil(area / (lines * lef.site_um[1]) / lef.site_um[0])
        problem, pins, sizes = placement._problem(netlist, lef, width, height, rows=lines, sites=sites)
        routing = placement._routing(problem, lef)

        def ours(problem=problem, sizes=sizes, routing=routing):  # type: ignore[no-untyped-def]
            return placement._run(
                problem, sizes, effort=1, density=placement.PACKED, routing=routing, timeout_s=36000.0
            )[0]

        found: dict[str, tuple[float, float, float]] = {}
        if name == chosen[0]:
            ours()  # compiles
        engines = ["liquidcal", *(["coloquinte"] if find_spec("coloquinte") else [])]
        for engine in engines:
            if engine == "liquidcal":
                result, seconds, cpu = measured(ours)
                again = ours() if netlist.cells < 50_000 else result
                assert np.array_equal(again["x"], result["x"]) and np.array_equal(again["y"], result["y"])  # noqa: PT018
            else:
                context = multiprocessing.get_context("spawn")
                queue = context.Queue()
                child = context.Process(target=coloquinte_places, args=(problem, queue))
                child.start()
                result, seconds, cpu = queue.get()
                child.join()
            placed = placement._finish(netlist, problem, result, pins, sizes, seconds, 0)
            assert placed.overlaps == 0, f"{engine} left {placed.overlaps} cells on others"
            peak = placement.congestion(placed, lef).worst
            found[engine] = (float(placed.hpwl_um.sum()), seconds, peak)
            print(
                f"{name:>10} {engine:>10} {placed.hpwl_um.sum() / 1e3:13,.1f} mm {placed.wire_um.sum() / 1e6:7.3f} m "
                f"{100 * peak:7.0f} % {seconds:6.1f} s {cpu:6.1f} s",
                flush=True,
            )
            version = package_version(engine)
            for what, value, unit, method in (
                ("route__hpwl", round(float(placed.hpwl_um.sum()) / 1e6, 4), "m", "sum of half-perimeters"),
                ("route__congestion__worst", round(peak, 3), "", "wire over tracks, worst bin of 15 rows"),
                ("flow__runtime__total", round(seconds, 1), "s", "wall clock, kernels compiled"),
                ("flow__runtime__cpu", round(cpu, 1), "s", "time of the processors"),
            ):
                rows.append(
                    record(
                        f"{what}__case:{name}_{engine}", value, unit,
                        f"{method}; {netlist.cells:,} cells, utilisation {UTILISATION:g}, effort 1",
                        command="python -m benchmarks.placement", tool=engine, version=version, library=mapped.cells,
                    )
                )  # fmt: skip
        if "coloquinte" in found:
            (ours_m, ours_s, peak), (other_m, other_s, _) = found["liquidcal"], found["coloquinte"]
            print(f"{name:>10} length x {ours_m / other_m:.3f}, time x {ours_s / other_s:.2f}, peak {100 * peak:.0f} %")
    print(f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
    write_metrics(options.out, rows)


if __name__ == "__main__":
    main()
