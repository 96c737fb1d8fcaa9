"""What was asked of the encoder from words, and what it reaches: ``python -m benchmarks.encoder_targets``.

Median EMD in low-density cells by occupancy on rows that nothing was trained on, from `emd_from_words.json` of
`benchmarks.weights`: decoded by the network, which answers in microseconds, and by search, which takes milliseconds.
Beside them what the words themselves keep, the bound of any algorithm, and the best other algorithm of the chip on as
many links. Writes ``benchmarks/results/encoder_targets.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benchmarks.measured import RESULTS, written_by
from sim.files import replacing
from sim.hgcal_encoder.learning.metric import BINS

SOURCE, RESULT = RESULTS / "emd_from_words.json", RESULTS / "encoder_targets.json"
TARGETS: tuple[tuple[str, int, tuple[float | None, ...]], ...] = (
    ("ttbar", 5, (0.30, 0.45, 0.52)),
    ("ttbar", 3, (0.35, 0.50, 0.56)),
    ("electron", 5, (None, None, 0.22)),
    ("busy", 5, (0.30, 0.50, 0.65)),
)
"""Rows, eLinks, and the largest median EMD asked for in each of `BINS`."""
OF_TNS_2021 = TARGETS[:1]
"""Of these the smaller network is measured, too."""
STRETCH = ("ttbar", 5, (0.001, 0.31, 0.45))
"""What the shipped networks had from charges with exact zeros, which no word gives."""
AGAINST_BEST_CHOICE = tuple((data, links) for data in ("ttbar", "electron", "busy") for links in (2, 3))
"""Rows and eLinks on which modules of 8 and more cells were asked to beat best choice."""
OTHERS = ("best choice", "best choice rest", "threshold sum", "super trigger cells", "repeater")
COLUMNS = ("modules", "asked", "network", "search", "words", "best other", "reached")


def figures(table: dict[str, Any], links: int, cells: str) -> dict[str, str]:
    """Median and weighted mean of every algorithm, as text, by column."""
    (row,) = (row for row in table["rows"] if row[:2] == [str(links), cells])
    return dict(zip(table["columns"], row, strict=True))


def median(cell: str) -> float:
    """The median that a cell of the table begins with."""
    return float(cell.split()[0])


def rows(tables: list[dict[str, Any]]) -> Iterator[list[str]]:
    """A row for each target."""
    by_title = {table["title"]: table for table in tables}
    for data, links, asked in (*TARGETS, STRETCH):
        for (low, high), target in zip(BINS, asked, strict=True):
            if target is not None:
                text = f"{target:.3f} (stretch)" if asked is STRETCH[2] else f"{target:.2f}"
                yield _row(data, links, f"{low}-{high}", by_title[data], target, text)
    for data, links, asked in OF_TNS_2021:
        for (low, high), target in zip(BINS, asked, strict=True):
            if target is not None:
                cells = f"{low}-{high}"
                yield _row(data, links, cells, by_title[data], target, f"{target:.2f}", "TNS 2021")
    for data, links in AGAINST_BEST_CHOICE:
        if data in by_title:
            target = median(figures(by_title[data], links, "8-48")["best choice"])
            yield _row(data, links, "8-48", by_title[data], target, f"best choice, {target:.3f}")


def _row(
    data: str, links: int, cells: str, table: dict[str, Any], target: float, asked: str, preset: str = "ECON T"
) -> list[str]:  # fmt: skip
    found = figures(table, links, cells)
    network, search = found[preset], found[f"{preset} search"]
    best = min((name for name in OTHERS if found.get(name)), key=lambda name: median(found[name]))
    reached = "network" if median(network) <= target else "search" if median(search) <= target else "**no**"
    modules = f"{data}, {links} eLinks, {cells} cells" + ("" if preset == "ECON T" else f", {preset}")
    return [modules, asked, network, search, found["words"], f"{best} {found[best]}", reached]


def main() -> None:
    """Read, compare, write."""
    tables = json.loads(SOURCE.read_text())["tables"]
    note = (
        "Median EMD, in brackets its mean weighted by module energy; up to 300 modules of each occupancy. `reached`: "
        "what decodes to a median of at most what was asked. `words`: the bound of any algorithm."
    )
    table = {"title": "", "columns": list(COLUMNS), "rows": list(rows(tables))}
    with replacing(RESULT) as file:
        json.dump(
            written_by("python -m benchmarks.encoder_targets") | {"tables": [table], "notes": [note]}, file, indent=1
        )
        file.write("\n")


if __name__ == "__main__":
    main()
