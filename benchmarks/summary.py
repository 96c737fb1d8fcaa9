"""README's first table, both chips in at most eight rows: ``python -m benchmarks.summary``.

Each row has one quantity: the published chip, the best alternative that is known, ours, and how ours stands against
both and against what was asked for, worse figures included. Figures come from the files that `benchmarks.comparison`
reads; the verdict is computed from them, a range of ours counting with its worse end. Writes
``benchmarks/results/summary.json``; ``python -m benchmarks.tables`` brings it into README.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.comparison import RESULTS, Figure, Files
from sim.files import replacing

__all__ = ["MOST_ROWS", "Row", "build", "document"]

MOST_ROWS = 8
STATISTICS = 0.1
"""Two standard errors of an energy over the detector modules of `benchmarks.target`."""
COLUMNS = ("", "published chip", "best alternative", "ours", "how ours stands")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A quantity.

    Attributes
    ----------
    what : str
    published, alternative, target : Figure or None
    ours : tuple of Figure
        One figure, or the ends of a range.
    note : str
        What has to be said beside our figure.
    more : bool
        Whether more is better.
    uncertainty : float
        Of ours, relative: what differs by less is neither better nor worse.
    """

    what: str
    ours: tuple[Figure, ...]
    published: Figure | None = None
    alternative: Figure | None = None
    target: Figure | None = None
    note: str = ""
    more: bool = False
    uncertainty: float = 0.0

    def verdict(self) -> str:
        """How ours stands, from the figures alone."""
        values = [_value(figure) for figure in self.ours]
        worse = min(values) if self.more else max(values)
        said = []
        for name, other in (("the published chip", self.published), ("the alternative", self.alternative)):
            if other is not None:
                better = worse > _value(other) if self.more else worse < _value(other)
                if abs(worse - _value(other)) < self.uncertainty * worse:
                    said.append(f"**as {name}**, within the {100 * self.uncertainty:g} % of its statistics")
                else:
                    said.append(f"better than {name}" if better else f"**not better than {name}**")
        if self.target is not None:
            reached = worse >= _value(self.target) if self.more else worse <= _value(self.target)
            said.append(f"meets the target, {self.target.shown}" if reached else f"**misses {self.target.shown}**")
        return "; ".join(said)


def _value(figure: Figure) -> float:
    """A value in the unit that rows compare in: mm2, nJ, ns, %, pJ."""
    return float(figure.value)


def rows(files: Files) -> Iterator[Row]:
    """All rows, encoder first."""
    ours, other = files.ours, files.published
    yield Row(
        what="HGCAL encoder: area of the protected chip", published=other("econ_t", "area_mm2"),
        alternative=other("econ_t_earlier", "area_mm2"), ours=(ours("target", "area__case:ours_smallest"),),
        target=ours("target", "area__case:target"), note="smallest chip, multipliers used three times a crossing",
    )  # fmt: skip
    for case, note in (("ours_smallest", "the same smallest chip"), ("ours_isolated", "chip of least energy")):
        yield Row(
            what="HGCAL encoder: energy per inference", published=other("econ_t", "energy_nj"),
            alternative=other("memristive_vae", "energy_nj"), ours=(ours("target", f"energy__case:{case}"),),
            target=ours("target", "energy__case:target"), note=note, uncertainty=STATISTICS,
        )  # fmt: skip
    yield Row(
        what="HGCAL encoder: latency of the network", published=other("econ_t", "added_latency_ns"),
        alternative=other("memristive_vae", "added_latency_ns"), ours=(ours("target", "latency__case:ours_smallest"),),
        target=ours("target", "latency__case:target"), note="smallest chip",
    )  # fmt: skip
    yield Row(
        what="HGCAL encoder: median EMD, pile-up 200, 13 to 19 cells, 3 eLinks",
        alternative=ours(
            "emd_versus_bits", "threshold_sum_tuned__case:pu200_3_links_cells_13-19", note=" (tuned threshold sum)"
        ),
        ours=(ours("emd_versus_bits", "autoencoder__case:pu200_3_links_cells_13-19"),),
        note="fixed latency; threshold sum lends links to later crossings",
    )  # fmt: skip
    yield Row(
        what="LSM crossbar: N-MNIST accuracy, 200 neurons", published=other("rram_lsm", "nmnist_accuracy_percent"),
        alternative=other("lsmcore", "nmnist_accuracy_percent"), more=True,
        ours=(ours("lsm_accuracy", "accuracy__mean__case:chip_synthesised_to_real"),), note="own input and windows",
    )  # fmt: skip
    yield Row(
        what="LSM crossbar: energy per synaptic operation",
        alternative=other("spire", "pj_per_synaptic_operation"),
        ours=tuple(
            ours("lsm_gated_energy_split", f"energy__per_synaptic_operation__bound:{end}__case:together")
            for end in ("low", "high")
        ),
        note="macro by published models",
    )  # fmt: skip
    yield Row(
        what="LSM crossbar: energy per inference", alternative=other("odin", "energy_nj"),
        ours=tuple(
            ours("lsm_gated_energy_split", f"energy__per_inference__bound:{end}__case:together")
            for end in ("low", "high")
        ),
        note="one N-MNIST recording; ODIN's is one MNIST digit at 84.5 %",
    )  # fmt: skip


def build(files: Files) -> tuple[Row, ...]:
    """The rows.

    Raises
    ------
    ValueError
        More rows than a first screen holds, or figures of one row in different units.
    """
    found = tuple(rows(files))
    if len(found) > MOST_ROWS:
        raise ValueError(f"expected at most {MOST_ROWS} rows, got {len(found)}")
    for row in found:
        units = {_unit(figure) for figure in (*row.ours, row.published, row.alternative, row.target) if figure}
        if len(units) != 1:
            raise ValueError(f"{row.what}: expected figures of one unit, got {', '.join(sorted(units))}")
    return found


def _unit(figure: Figure) -> str:
    """Unit of a figure, published or measured, under one name."""
    return {"percent": "%", "pj_per_synaptic_operation": "pJ"}.get(figure.unit, figure.unit.lower().replace("pj", "pJ"))


def document(found: Sequence[Row]) -> dict[str, Any]:
    """What summary.json holds: the table as text, and every figure with its origin."""
    lines, figures = [], []
    for row in found:
        low, *high = row.ours
        mine = f"{low.shown.partition(' ')[0]} to {high[0].shown}" if high else low.shown
        cells = [figure.shown if figure else "" for figure in (row.published, row.alternative)]
        lines.append([row.what, *cells, f"{mine} ({row.note})" if row.note else mine, row.verdict()])
        named = (("published", row.published), ("baselines", row.alternative), ("target", row.target))
        figures += [
            {"row": row.what, "column": column, **asdict(figure)}
            for column, figure in (*named, *(("ours", figure) for figure in row.ours))
            if figure is not None
        ]
    note = (
        "Encoder: cells of NanGate 45 (predictive), placed, translated to 65 nm by the less favourable of two methods, "
        "energy without leakage; EMD: less is better. Crossbar: in 40 nm terms, gates measured on NanGate 45. "
        "[Origin of every figure](benchmarks/results/summary.json), [all rows](docs/results/comparison.md)."
    )
    return {
        "command": "python -m benchmarks.summary",
        "tables": [{"title": "", "columns": list(COLUMNS), "rows": lines}],
        "notes": [note],
        "figures": figures,
    }


def main() -> int:
    """Command line; returns the exit code."""
    path: Path = RESULTS / "summary.json"
    with replacing(path) as file:
        json.dump(document(build(Files())), file, indent=1, ensure_ascii=False)
        file.write("\n")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
