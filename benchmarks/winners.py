"""Who wins, in words: ``python -m benchmarks.winners``.

From `emd_versus_bits.json` of `benchmarks.baselines_bits`: for each number of links and occupancy the algorithm of the
least median EMD, where a crossing of any module must leave in its own frame, where latency may vary, and in analysis,
where there is time to decode the autoencoder's frames by search; and how far the better autoencoder is from it. Writes
``benchmarks/results/winners.json``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from benchmarks.baselines_bits import COLOURS, FIXED_LATENCY, SLOW
from benchmarks.measured import RESULTS, written_by
from sim.files import replacing

SOURCE, RESULT = RESULTS / "emd_versus_bits.json", RESULTS / "winners.json"
TITLES = {"pu200": "pile-up 200", "cms": "CMS simulation without pile-up"}
TRIGGER = tuple(name for name in COLOURS if name != SLOW)
"""Algorithms whose frames a trigger has the time to decode."""
LEVEL = 1.03
"""Ratio of two medians within which neither algorithm leads."""
_NAME = re.compile(r"(\w+)__case:(\w+?)_(\d)_links_cells_([\w-]+)")


def medians(metrics: Iterable[dict[str, Any]]) -> dict[str, dict[int, dict[str, dict[str, float]]]]:
    """Median EMD by sample, links, occupancy and algorithm."""
    out: dict[str, dict[int, dict[str, dict[str, float]]]] = {}
    for metric in metrics:
        if (found := _NAME.fullmatch(metric["name"])) and found[1] in COLOURS and found[1] != "words":
            cells = out.setdefault(found[2], {}).setdefault(int(found[3]), {})
            cells.setdefault(found[4].replace("_", " "), {})[found[1]] = metric["value"]
    return out


def leaders(values: dict[str, float], allowed: Iterable[str] = COLOURS) -> list[str]:
    """Algorithms whose median is the least, or level with it, the best first."""
    kept = {name: values[name] for name in allowed if name in values}
    least = min(kept.values())
    return sorted((name for name, value in kept.items() if value <= LEVEL * least), key=kept.__getitem__)


def _in_words(cells: dict[str, dict[str, float]], allowed: Iterable[str]) -> str:
    """``best choice: 1-3, 4-7; autoencoder: 8-12``."""
    names = list(allowed)
    won: dict[str, list[str]] = {}
    for occupancy, values in cells.items():
        won.setdefault(" = ".join(leaders(values, names)[:3]).replace("_", " "), []).append(occupancy)
    return "; ".join(f"{name}: {', '.join(where)}" for name, where in won.items())


def _distance(cells: dict[str, dict[str, float]], allowed: Iterable[str]) -> str:
    """Median of the better autoencoder over that of the best other algorithm, by occupancy."""
    names = list(allowed)
    out = []
    for values in cells.values():
        ours = min(values[name] for name in names if name in values and name.startswith("autoencoder"))
        best = min(values[name] for name in names if name in values and not name.startswith("autoencoder"))
        out.append(f"{ours / best:.2g}" if best > 0 else "1" if ours == 0 else "-")
    return ", ".join(out)


def tables(metrics: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Table of a sample: rows are numbers of links."""
    out = []
    for sample, by_links in medians(metrics).items():
        rows = [
            [
                str(links),
                _in_words(cells, FIXED_LATENCY),
                _distance(cells, FIXED_LATENCY),
                _in_words(cells, TRIGGER),
                _in_words(cells, COLOURS),
                _distance(cells, COLOURS),
            ]
            for links, cells in sorted(by_links.items())
        ]
        columns = [
            "links", "leads at fixed latency", "autoencoder over best other", "leads where latency may vary",
            "leads in analysis", "autoencoder over best other in analysis",
        ]  # fmt: skip
        out.append({"title": TITLES.get(sample, sample), "columns": columns, "rows": rows})
    note = (
        f"Least median EMD by trigger cells; = joins algorithms within {100 * (LEVEL - 1):.0f} %. Autoencoder over "
        "best other is the ratio of medians, occupancies in the order of the tables above; - where the other's median "
        "is 0."
    )
    return written_by("python -m benchmarks.winners") | {"tables": out, "notes": [note]}


def main() -> None:
    """Read, compare, write."""
    with replacing(RESULT) as file:
        json.dump(tables(json.loads(SOURCE.read_text())), file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
