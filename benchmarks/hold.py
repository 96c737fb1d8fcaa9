"""Buffers for hold at an assumed fast corner: ``python -m benchmarks.hold FOLDER...``.

Takes what ``liquidcal place NAME --repair --hold 0.67`` and ``liquidcal time NAME --early 0.67`` left in folders of
results, and writes ``benchmarks/results/hold.json``: registers that data reach too soon before and after, buffers and
their share of the cells' area, slack at setup and hold.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import RESULTS, kept
from flows.common.metrics import Metric, find, read_metrics, write_metrics
from flows.library.catalogue import cell_library

TAKEN = (
    ("placement", "timing__hold_vio__count__step:placed", "too_soon"),
    ("placement", "timing__hold_vio__count", "too_soon_after"),
    ("placement", "design__instance__count__class:hold_buffer", "buffers"),
    ("timing", "timing__hold__ws", "hold_slack"),
    ("timing", "timing__setup__ws", "setup_slack"),
)
"""Step, its metric, name here."""


def rows(folder: Path) -> list[Metric]:
    """Those of one folder."""
    case = f"case:{folder.name}"
    found = [
        replace(find(read_metrics(folder / step / "metrics.json"), name), name=f"{mine}__{case}")
        for step, name, mine in TAKEN
    ]
    buffers = next(metric for metric in found if metric.name.startswith("buffers"))
    area = find(read_metrics(folder / "placement" / "metrics.json"), "design__instance__area")
    cells = cell_library(area.library)
    share = 100 * float(buffers.value) * cells.area_um2(cells.buffer[0]) / float(area.value)
    method = f"{buffers.method}, of all cells"
    return [*found, replace(area, name=f"area__{case}", value=share, unit="%", method=method)]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="report/NAME of each design")
    options = parser.parse_args()
    found = [row for folder in options.folders for row in rows(folder)]
    path, names = RESULTS / "hold.json", {row.name for row in found}
    write_metrics(path, [*found, *kept(path, lambda metric: metric.name in names)])
    print(path)


if __name__ == "__main__":
    main()
