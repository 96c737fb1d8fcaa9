"""Writing the report of a design or of a comparison of two runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from flows.designs.design import Design
from flows.report.document import Report, Section, folder_metrics, format_number, origins, shown_unit, table
from sim.files import replacing

__all__ = ["compare", "write_report"]

RESULTS = ("*.json", "*/*.json", "*.npz")
"""What steps leave in the folder of a design or below it: journals and sweeps, results of steps, arrays of a demo."""


def compare(folder: Path, against: Path) -> tuple[Section, ...]:
    """Metrics of two result folders side by side, those that both have, with their ratio.

    Returns
    -------
    tuple of Section
        Figures of the design; after them, if there are any, time and memory of both runs.

    Raises
    ------
    FileNotFoundError
        If one holds no metrics.
    ValueError
        If they have no figure in common.
    """
    sides = []
    for side in (folder, against):
        metrics = {m.name: m for m in folder_metrics(side) if "__module:" not in m.name}
        if not metrics:
            raise FileNotFoundError(f"{side} holds no metrics of a step")
        sides.append(metrics)
    rows: list[list[str]] = []
    times: list[list[str]] = []
    compared: list[str] = []
    for name, metric in sides[0].items():
        other = sides[1].get(name)
        if other is None or isinstance(metric.value, str) or isinstance(other.value, str):
            continue
        ratio = f"{metric.value / other.value:.3f}" if other.value else ""
        # what the machine took is no property of the design
        part = times if name.startswith("flow__") else rows
        both = (format_number(side.value) for side in (metric, other))
        part.append([metric.label, *both, shown_unit(metric.unit), ratio])
        compared.append(name)
    if not compared:
        raise ValueError(f"{folder} and {against} have no figure in common")
    result = tuple(dict.fromkeys(line for side in sides for line in origins(side[name] for name in compared)))
    parts = (
        (f"Against {against}", rows, "Figures compare if both sides used the same tools and library."),
        (f"Run times against {against}", times, "What the machine took, busy as it was: no property of the design."),
    )
    return tuple(
        Section(
            title=title, tables=(table(["figure", ">this", ">other", "unit", ">this / other"], part),), notes=(note,),
            origins=result,
        )
        for title, part, note in parts
        if part
    )  # fmt: skip


def write_report(folder: Path, design: Design, *, against: Path | None = None) -> Path:
    """Write ``index.html``, ``report.md`` and ``report.json`` of a result folder.

    Parameters
    ----------
    folder : Path
        What the steps of this design left; what is missing is left out of the page.
    design : Design
        Its kind of chip has sections of its own (`Design.room`).
    against : Path, optional
        Result folder of another run or design to compare with.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    FileNotFoundError
        If the folder holds no result at all, or the other one no metrics.
    """
    if not any(path for pattern in RESULTS for path in folder.glob(pattern)):
        raise FileNotFoundError(f"{folder} holds no results; run liquidcal demo, verify or synth first")
    beside = compare(folder, against) if against is not None else ()
    report: Report = design.room("report").chip_report(folder, design)
    report = replace(report, name=design.name, sections=(*beside[:1], *report.sections, *beside[1:]))
    for file_name, text in (
        ("report.json", json.dumps(report.to_dict(), indent=1) + "\n"),
        ("report.md", report.to_markdown()),
        ("index.html", report.to_html()),
    ):
        with replacing(folder / file_name) as file:
            file.write(text)
    return folder / "index.html"
