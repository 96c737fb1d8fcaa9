"""Report step: one page per design from what the other steps left in its result folder.

A report is a verdict, tiles and sections; a section holds text, pictures and tables. The same content is written as one
self-contained HTML page (``index.html``), as Markdown (``report.md``, without pictures) and as JSON (``report.json``).
The sections of a design are collected in `flows.report.sections` (both chips), `flows.report.encoder` and
`flows.report.crossbar`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from flows.common.metrics import Metric, now, read_metrics
from flows.common.stored import read_json as read_any
from flows.common.stored import read_stored
from flows.report.drawing import STYLE

__all__ = ["Column", "Key", "Picture", "Report", "Section", "Table", "Tile", "collect", "folder_origins", "origins"]

DEPENDS_ON = ("templates",)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A table column; numbers stand right."""

    name: str
    right: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns and rows of text, ready to read."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table; a column whose name starts with ``>`` stands right. Integers get thousands separators.

    Raises
    ------
    ValueError
        If a row has another length than the columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"expected {len(columns)} cells, got {len(row)}: {row}")
    return Table(
        columns=tuple(Column(name=name.removeprefix(">"), right=name.startswith(">")) for name in columns),
        rows=tuple(tuple(f"{cell:,}" if type(cell) is int else str(cell) for cell in row) for row in rows),
    )


@dataclass(frozen=True, kw_only=True)
class Picture:
    """SVG, or an ``img`` with its data inside; safe to embed as it is."""

    markup: str
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A colour of a picture and what it stands for."""

    colour: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure that is seen first."""

    value: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """Text, pictures and tables under one title.

    Attributes
    ----------
    title, lead : str
    keys : tuple of Key
    pictures : tuple of Picture
    tables : tuple of Table
    notes : tuple of str
        What the figures are not, in small type.
    tiles : tuple of Tile
        Of this section, shown at the top of the report.
    origins : tuple of str
        Where the figures come from: tool and version, library and its hash, command, date (`origins`).
    """

    title: str
    lead: str = ""
    keys: tuple[Key, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    tiles: tuple[Tile, ...] = ()
    origins: tuple[str, ...] = ()


def origins(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """Where figures come from, a line for each tool, library and command among them."""
    found: dict[tuple[str, ...], str] = {}
    for m in metrics:
        key = (m.tool, m.tool_version, m.library, m.library_sha256, m.command)
        found[key] = max(found.get(key, ""), m.date)
    return tuple(
        "; ".join(
            [
                f"{tool} {version}",
                *([f"library {library}, SHA-256 {digest}"] if library else []),
                *([command] if command else []),
                date,
            ]
        )
        for (tool, version, library, digest, command), date in found.items()
    )


def folder_origins(folder: Path) -> tuple[str, ...]:
    """`origins` of the metrics that a step left in its folder; none if it left no metrics."""
    path = folder / "metrics.json"
    return origins(read_metrics(path)) if path.is_file() else ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that is shown of one design.

    Attributes
    ----------
    name, lead, version, date : str
    passed : bool
        Whether something was checked and nothing failed.
    verdict : str
    tiles : tuple of Tile
    sections : tuple of Section
    metrics : tuple of Metric
        Every figure with its origin.
    """

    name: str
    lead: str
    version: str
    date: str
    passed: bool
    verdict: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    metrics: tuple[Metric, ...] = field(repr=False)

    def to_html(self) -> str:
        """One self-contained page."""
        template = resources.files("flows.report").joinpath("templates", "report.html.j2").read_text()
        # autoescape everything but the pictures, which are built here
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        shown = replace(
            self,
            sections=tuple(
                replace(s, pictures=tuple(replace(p, markup=Markup(p.markup)) for p in s.pictures))
                for s in self.sections
            ),
        )
        return environment.from_string(template).render(report=shown, style=Markup(STYLE))

    def to_markdown(self) -> str:
        """Verdict, tiles, text and tables."""
        lines = [f"# {self.name}", "", f"**{self.verdict}**", "", self.lead, ""]
        lines += [f"Written {self.date} by liquidcal {self.version}.", ""]
        lines += [f"- {tile.label}: {tile.value}" for tile in self.tiles]
        for section in self.sections:
            lines += ["", f"## {section.title}", ""]
            lines += [section.lead, ""] if section.lead else []
            for part in section.tables:
                rule = ("---:" if column.right else "---" for column in part.columns)
                lines += [_row(column.name for column in part.columns), _row(rule)]
                lines += [_row(row) for row in part.rows]
                lines.append("")
            lines += [line for note in section.notes for line in (note, "")]
            lines += [line for origin in section.origins for line in (f"Measured: {origin}.", "")]
        return "\n".join(lines).rstrip() + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The content without pictures, as plain types."""
        sections = []
        for section in self.sections:
            content = asdict(section)
            del content["pictures"], content["keys"], content["tiles"]
            sections.append(content)
        return {
            "name": self.name,
            "verdict": self.verdict,
            "passed": self.passed,
            "version": self.version,
            "date": self.date,
            "tiles": [asdict(tile) for tile in self.tiles],
            "sections": sections,
            "metrics": [metric.to_dict() for metric in self.metrics],
        }


def _row(cells: Any) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a result folder; empty if the step did not run. A damaged file raises ValueError."""
    return read_stored(path) if path.is_file() else {}


def collect(folder: Path, name: str, lead: str, sections: Sequence[Section]) -> Report:
    """A report from sections, the checks of all journals and the metrics of all steps of a result folder."""
    journals = [read_any(path) for path in sorted(folder.glob("*.json"))]
    journals = [journal for journal in journals if isinstance(journal, dict) and "checks" in journal]
    ran = tuple(dict.fromkeys(j["origin"] for j in journals if j.get("origin")))
    # a journal of several steps repeats what the steps' own journals hold
    checks = _once((check for journal in journals for check in journal["checks"]), ("name", "compared", "detail"))
    steps = _once((step for journal in journals for step in journal.get("steps", [])), ("name", "seconds"))
    metrics = folder_metrics(folder)
    failed = [check["name"] for check in checks if not check["passed"]]
    if not checks:
        verdict = "NOT CHECKED: run liquidcal verify"
    elif failed:
        verdict = f"FAIL: {'; '.join(failed)}"
    else:
        verdict = f"PASS: {len(checks)} checks: {_counted(checks)}"
    sections = list(sections)
    if checks:
        rows = [[c["name"], "pass" if c["passed"] else "FAIL", c["compared"], c["unit"], c["detail"]] for c in checks]
        checked = table(["check", "", ">compared", "what", ""], rows)
        sections.append(Section(title="Checks", tables=(checked,), origins=ran))
    if metrics:
        sections.append(_origins(metrics))
    if steps:
        sections.append(replace(_times(steps), origins=ran))
    return Report(
        name=name,
        lead=lead,
        version=metadata.version("liquidcal"),
        date=now(),
        passed=bool(checks) and not failed,
        verdict=verdict,
        tiles=tuple(tile for section in sections for tile in section.tiles),
        sections=tuple(sections),
        metrics=metrics,
    )


def _counted(checks: Sequence[Mapping[str, Any]]) -> str:
    """What was checked, each kind of thing by itself: cells that were mapped are no words that were compared."""
    sums: dict[str, int] = {}
    for check in checks:
        sums[check["unit"]] = sums.get(check["unit"], 0) + check["compared"]
    return ", ".join(f"{count:,} {unit}" for unit, count in sorted(sums.items(), key=lambda item: -item[1]))


def _once(entries: Iterable[dict[str, Any]], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Entries without those that equal an earlier one in `keys`."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        found.setdefault(tuple(entry[key] for key in keys), entry)
    return list(found.values())


def _times(steps: Sequence[Mapping[str, Any]]) -> Section:
    """Time and memory of every step of the journals."""
    rows = []
    for step in steps:
        cpu, peak = step.get("cpu_s"), step.get("peak_mb")
        kept = step.get("kept", "")
        rows.append(
            [
                step["name"],
                f"{step['seconds']:.1f}",
                "" if cpu is None else f"{cpu:,.1f}",
                "" if peak is None else f"{peak:,.0f}",
                f"kept, {kept}" * bool(kept),
            ]
        )
    total = sum(step["seconds"] for step in steps)
    processor = sum(step.get("cpu_s") or 0.0 for step in steps)
    any_kept = any(step.get("kept") for step in steps)
    rows.append(["together", f"{total:,.1f}", f"{processor:,.1f}", "", ""])
    return Section(
        title="Time and memory of the flow",
        tables=(table(["step", ">seconds", ">processor, s", ">peak memory, MB", ""], rows),),
        notes=(
            "Wall clock on this machine; processor time and memory of the program and its children together.",
            *["Kept: inputs had not changed; time and memory are those of the run that made the result."] * any_kept,
        ),
    )


def folder_metrics(folder: Path) -> tuple[Metric, ...]:
    """Metrics of all steps below a result folder; figures of modules stay in their own tables."""
    found: list[Metric] = []
    for path in sorted([*folder.glob("*metrics.json"), *folder.glob("*/metrics.json")]):
        found += read_metrics(path)
    return tuple(found)


def _origins(metrics: Sequence[Metric]) -> Section:
    shown = [metric for metric in metrics if "__module:" not in metric.name]
    rows = [
        [m.label, format_number(m.value), shown_unit(m.unit), f"{m.tool} {m.tool_version}", m.method, m.command, m.date]
        for m in shown
    ]
    libraries = sorted({(m.library, m.library_sha256) for m in metrics if m.library})
    return Section(
        title="Where the figures come from",
        tables=(table(["figure", ">value", "unit", "tool", "method", "command", "date"], rows),),
        notes=tuple(f"Library {name}, SHA-256 {digest}." for name, digest in libraries),
    )


def shown_unit(unit: str) -> str:
    """A unit as it is printed: micro as its letter, powers raised."""
    micro = f"µ{unit[1:]}" if unit[:2] in ("um", "uW", "uS", "us", "uA") else unit
    return micro.replace("m2", "m²")


def format_number(value: float | str) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value
