"""Overfull bins against the shape of the core, on a chip of four slots: ``python -m benchmarks.aspect [--out report]``.

Takes what ``liquidcal place ECON_T --reuse 4 --scheme secded_words --loading direct --clock-gating --isolation
--utilisation 0.8 --aspect A --spread --repair --out report/aspect_A`` left (of one synthesis below each of them), and
writes ``benchmarks/results/aspect.json``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import RESULTS, Rows
from benchmarks.target import CHIPS
from flows.common.metrics import write_metrics
from flows.physical.mapped import Mapped
from flows.physical.place import congestion

ASPECTS = ("1", "1.36", "1.7")
"""Height over width of the core."""
REUSE = 4
"""Multiplications of a multiplier in a crossing."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()
    rows = Rows("python -m benchmarks.aspect")
    smallest = dict(CHIPS)["ours_smallest"]
    design = replace(smallest, spec=replace(smallest.spec, reuse=REUSE))
    for aspect in ASPECTS:
        mapped = Mapped(folder=options.out / f"aspect_{aspect}" / design.name)
        placed = mapped.placement
        if placed is None:
            raise SystemExit(f"{mapped.folder} holds no placement: {design.command('place')} --aspect {aspect}")
        busy = congestion(placed, mapped.lef)
        width, height = placed.core_um
        how = f"core of {width:.0f} x {height:.0f} um at {100 * placed.utilisation:.0f} % utilisation, spread, repaired"
        case = f"case:{aspect}"
        for name, value in zip(("horizontal", "vertical"), busy.mean, strict=True):
            rows.add(f"use__{name}__{case}", round(100 * value, 1), "%", f"{name} wire over tracks, mean; {how}")
        rows.add(f"overfull__{case}", round(100 * busy.overfull, 2), "%", f"bins of {busy.bin_um:.0f} um; {how}")
        rows.add(f"worst__{case}", round(100 * busy.worst), "%", f"wire over tracks, worst bin; {how}")
        rows.add(f"wire__{case}", round(float(placed.wire_um.sum()) / 1e6, 3), "m", f"estimated; {how}")
    write_metrics(RESULTS / "aspect.json", rows)


if __name__ == "__main__":
    main()
