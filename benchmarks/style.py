"""One look for the plots of the benchmarks, as SVG that does not change from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from sim.files import replacing

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e8ee",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "liquidcal",
}


def figure(rows: int, columns: int, *, width: float, height: float) -> tuple[Figure, Any]:
    """A sheet of panels in this style, sizes in inches; the panels as a rows x columns array."""
    with mpl.rc_context(STYLE):
        sheet = Figure(figsize=(width, height), layout="constrained")
        return sheet, sheet.subplots(rows, columns, squeeze=False)


def save(sheet: Figure, path: Path) -> None:
    """Write SVG, complete or not at all, without a date in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE), replacing(path, "wb") as file:
        sheet.savefig(file, format="svg", metadata={"Date": None})
    print(f"wrote {path}")
