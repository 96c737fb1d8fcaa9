"""Figures of README and docs, written from committed results: ``python -m benchmarks.tables``.

A Markdown file holds two kinds of marks, both rewritten from ``benchmarks/results/NAME.json``, a list of
`flows.common.metrics.Metric`:

- a table, ``<!-- figures:NAME -->`` to ``<!-- /figures -->``;
- a figure in a sentence, ``<!-- figure:NAME:METRIC -->`` to ``<!-- /figure -->``: value and unit of one metric; with
  ``number`` in place of ``figure`` the value alone. ``NAME`` may be ``published`` and ``METRIC`` ``SYSTEM.KEY`` of
  ``flows/estimates/published.toml``, of which there are only numbers, as their authors write them.

With ``--check`` nothing is written, and the exit code is 1 if a mark differs from its results. Exit code 2: a results
file or a mark is malformed.

Metrics of modules (``__module:`` in the name) become one row per module with a column per quantity and a total; metrics
of cases (``__case:``) likewise, without a total; all others become one row each. Below the table stands the origin: a
link to the file, which holds tool, library, command and date of each figure, and what all rows have in common of these.

A table shows what its mark asks for: ``<!-- figures:NAME rows=GLOB,GLOB columns=QUANTITY,QUANTITY sort -->``. Rows are
cases, modules or metrics, columns quantities, both by their names in the file; ``sort`` puts rows in the order of their
names, numbers by value, and sums ("all", "together") last.

A results file may also hold tables as text: an object with ``tables`` (each ``title``, ``columns``, ``rows``) and
``notes``, as ``benchmarks/comparison.py`` writes it; ``rows`` then chooses tables by title. Links in it are relative to
the repository. The table ``tested_versions`` comes from ``constraints/``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import floor, log10
from pathlib import Path
from typing import Any

from benchmarks.tested_versions import versions_table
from flows.common.metrics import Metric, label, read_metrics
from flows.estimates.published import systems
from sim.files import replacing

__all__ = ["View", "render", "render_file", "rewrite", "update"]

_BEGIN = re.compile(r"^<!-- figures:([A-Za-z0-9_]+)((?: [^>]*)?) -->$", re.MULTILINE)
_END = "<!-- /figures -->"
_INLINE = re.compile(r"<!-- (figure|number):([A-Za-z0-9_]+):(\S+) -->(.*?)<!-- /\1 -->")
_INLINE_BEGIN = re.compile(r"<!-- (?:figure|number):")
_MODULE = re.compile(r"__module:([^:]+?)(?=__[a-z_]+:|$)")
_CASE = re.compile(r"__case:([^:]+)$")

_TOTALS = {"design__flip_flop__count": "design__instance__count__class:flip_flop"}
"""Where the total of a module quantity has another name."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What of a results file a table shows.

    Attributes
    ----------
    rows, columns : tuple of str
        Patterns (`fnmatch`) of cases, modules, metrics or titles, and names of quantities in their order; all where
        empty.
    sort : bool
        Rows in the order of their names, numbers by value, sums last; otherwise as in the file.
    """

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sort: bool = False

    @classmethod
    def parse(cls, text: str) -> View:
        """The options of a mark: ``rows=a*,b columns=c,d sort``.

        Raises
        ------
        ValueError
            An option that there is not.
        """
        options: dict[str, Any] = {}
        for word in text.split():
            name, equal, value = word.partition("=")
            if (name, equal) == ("sort", ""):
                options["sort"] = True
            elif name in ("rows", "columns") and value:
                options[name] = tuple(value.split(","))
            else:
                raise ValueError(f"expected rows=..., columns=... or sort, got {word!r}")
        return cls(**options)

    def shows(self, name: str) -> bool:
        """Whether a row of that name is shown."""
        return not self.rows or any(fnmatchcase(name, pattern) for pattern in self.rows)

    def of(self, names: Iterable[str]) -> list[str]:
        """Names of rows, once each, in the order in which they are shown."""
        shown = [name for name in dict.fromkeys(names) if self.shows(name)]
        return sorted(shown, key=_natural) if self.sort else shown

    def quantities(self, there: Sequence[str]) -> list[str]:
        """Quantities that are shown, in order.

        Raises
        ------
        ValueError
            One of `columns` is not there.
        """
        if missing := set(self.columns) - set(there):
            raise ValueError(f"no column {', '.join(sorted(missing))}; there are {', '.join(there)}")
        return list(self.columns or there)


def _natural(name: str) -> tuple[bool, list[tuple[bool, int, str]]]:
    """Sorting key: numbers by value, before words; sums last."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return re.search(r"(?:^|_)(?:all|together|total)$", name) is not None, [
        (not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts
    ]


def render(metrics: Sequence[Metric], view: View = View(), link: str = "") -> str:
    """Markdown of a list of metrics.

    Parameters
    ----------
    metrics : sequence of Metric
        At least one.
    view : View
        What of them is shown.
    link : str
        Where the file of the metrics is, from the text that shows them.

    Returns
    -------
    str
        A table and a line on where it comes from, ending in a newline.

    Raises
    ------
    ValueError
        If there is no metric, or nothing of what `view` asks for.
    """
    if not metrics:
        raise ValueError("expected at least one metric, got none")
    modules = [metric for metric in metrics if _MODULE.search(metric.name)]
    cases = [metric for metric in metrics if _CASE.search(metric.name)]
    if cases:
        table, shown = _case_table(cases, view)
    elif modules:
        table, shown = _module_table(modules, metrics, view)
    else:
        table, shown = _list_table(metrics, view)
    if not shown:
        raise ValueError(f"nothing to show for {view}")
    return table + "\n" + _origin(shown, link) + "\n"


def render_file(path: Path, view: View = View(), where: str = "README.md") -> str:
    """Markdown of a results file: metrics, or tables as text.

    Parameters
    ----------
    path : Path
        Below ``benchmarks/results`` of a repository.
    view : View
        What of it is shown.
    where : str
        The text that shows it, relative to the repository: what links are relative to.

    Raises
    ------
    ValueError
        If it holds neither.
    """

    def relative(target: str) -> str:
        return os.path.relpath(target, Path(where).parent)

    content = json.loads(path.read_text())
    if isinstance(content, dict) and {"tables", "notes"} <= content.keys():
        text = _text_tables(content, view, relative)
        if {"tool", "date"} <= content.keys():
            link = relative(f"benchmarks/results/{path.name}")
            text += f"\n[Origin]({link}): {content['tool']}, {content['date'][:10]}.\n"
        return text
    return render(read_metrics(path), view, relative(f"benchmarks/results/{path.name}"))


def _text_tables(content: dict[str, Any], view: View, relative: Callable[[str], str]) -> str:
    """Titles, tables and notes."""
    parts = []
    for part in content["tables"]:
        if not view.shows(part["title"].replace(" ", "_")):
            continue
        for row in part["rows"]:
            if len(row) != len(part["columns"]):
                raise ValueError(f"{part['title']}: expected {len(part['columns'])} cells, got {len(row)}: {row[0]}")
        names = [column.replace(" ", "_").replace(",", "") for column in part["columns"]]
        chosen = [names.index(name) for name in view.quantities(names)]
        rows = sorted(part["rows"], key=lambda row: _natural(" ".join(row[:2]))) if view.sort else part["rows"]
        lines = [[row[i] for i in chosen] for row in (part["columns"], ["---"] * len(names), *rows)]
        title = f"**{part['title']}**\n\n" if part["title"] else ""
        parts.append(title + "".join("| " + " | ".join(line) + " |\n" for line in lines))
    if not parts:
        raise ValueError(f"nothing to show for {view}")
    notes = content["notes"] if not view.columns else ()  # said once, below the last table of the file
    text = "\n".join([*parts, *(f"{note}\n" for note in notes)])
    return re.sub(r"\]\((?!https?:|#)([^)]+)\)", lambda link: f"]({relative(link[1])})", text)


def _list_table(metrics: Sequence[Metric], view: View) -> tuple[str, list[Metric]]:
    """One row per metric: what it is, its value, how it arises; the tool where there are several."""
    by_name = {metric.name: metric for metric in metrics if view.shows(metric.name)}
    shown = [by_name[name] for name in view.of(by_name)]
    tools = sorted({_tool(metric) for metric in shown})
    rows = []
    for metric in shown:
        value = f"{_value(metric)} {_unit(metric)}".strip()
        how = "" if metric.method == metric.label else metric.method
        rows.append([metric.label, value, how, *([_tool(metric)] if len(tools) > 1 else [])])
    return _table(["figure", "value", "how", *(["tool"] if len(tools) > 1 else [])], rows), shown


def _module_table(modules: Sequence[Metric], metrics: Sequence[Metric], view: View) -> tuple[str, list[Metric]]:
    """One row per module and a total, then the other figures of the design in one line."""
    cells: dict[str, dict[str, Metric]] = {}
    for metric in modules:
        found = _MODULE.search(metric.name)
        assert found is not None
        cells.setdefault(found[1], {})[_MODULE.sub("", metric.name)] = metric
    cells = {name: cells[name] for name in view.of(cells)}
    quantities = view.quantities(list(dict.fromkeys(quantity for row in cells.values() for quantity in row)))
    by_name = {metric.name: metric for metric in metrics}
    totals = {quantity: _TOTALS.get(quantity, quantity) for quantity in quantities}
    header = ["module"]
    for quantity in quantities:
        units = {_unit(row[quantity]) for row in cells.values() if quantity in row} - {"", "GE"}
        header.append(", ".join([label(quantity), *sorted(units)]))
    # modules carry the name of the design in front; the design's own row holds what belongs to no module below it
    design = min(cells, key=len)
    named = len(cells) > 1 and all(name.startswith(f"{design}_") for name in cells if name != design)
    rows = []
    for module, row in cells.items():
        shown = module.removeprefix(f"{design}_") if named and module != design else "top level" if named else module
        rows.append([shown, *(_value(row[quantity]) if quantity in row else "" for quantity in quantities)])
    rows.append(["**total**", *(f"**{_value(by_name[n])}**" if n in by_name else "" for n in totals.values())])
    # a modifier marks a part of a figure that stands here as a whole
    rest = [m for m in metrics if ":" not in m.name and m.name not in totals.values()]
    line = "; ".join(f"{label(m.name)} {_value(m)} {_unit(m)}".strip() for m in rest)
    return _table(header, rows) + (f"\n{line[0].upper()}{line[1:]}.\n" if line else ""), list(metrics)


def _case_table(metrics: Sequence[Metric], view: View) -> tuple[str, list[Metric]]:
    """One row per case, one column per quantity; empty where a case has no such figure. Units stand in the header."""
    rows: dict[str, dict[str, Metric]] = {}
    for metric in metrics:
        found = _CASE.search(metric.name)
        assert found is not None
        rows.setdefault(found[1], {})[_CASE.sub("", metric.name)] = metric
    quantities = view.quantities(list(dict.fromkeys(quantity for row in rows.values() for quantity in row)))
    rows = {name: rows[name] for name in view.of(rows) if rows[name].keys() & set(quantities)}
    # what all shown cases have in front of their own names is said by the text around the table
    labels = dict(zip(rows, _without_common(list(rows)), strict=True)) if view.rows else {name: name for name in rows}
    header = ["case"]
    for quantity in quantities:
        units = {_unit(row[quantity]) for row in rows.values() if quantity in row} - {"", label(quantity)}
        header.append(", ".join([label(quantity), *sorted(units)]))
    shown = [row[quantity] for row in rows.values() for quantity in quantities if quantity in row]
    lines = [
        [labels[case].replace("_", " "), *(_value(row[q]) if q in row else "" for q in quantities)]
        for case, row in rows.items()
    ]
    return _table(header, lines), shown


def _without_common(names: Sequence[str]) -> list[str]:
    """Names without the words that all of them begin with; one name alone stays, and a number keeps what it counts."""
    words = [name.split("_") for name in names]
    common = 0
    while len(names) > 1 and all(len(w) > common + 1 and w[common] == words[0][common] for w in words):
        common += 1
    if common and any(w[common].isdigit() for w in words):
        common -= 1
    return ["_".join(w[common:]) for w in words]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    align = ["---"] + ["---:" if i == 1 or header[0] in ("module", "case") else "---" for i in range(1, len(header))]
    lines = [header, align, *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _origin(metrics: Sequence[Metric], link: str) -> str:
    """The line below a table: where every figure's command stands, tool if there is but one, library, dates."""
    tools = sorted({_tool(metric) for metric in metrics})
    parts = [tools[0]] if len(tools) == 1 else []
    parts += sorted({metric.library for metric in metrics if metric.library})
    days = sorted({metric.date[:10] for metric in metrics})
    parts.append(days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}")
    return (f"[Origin]({link}): " if link else "Origin: ") + ", ".join(parts) + "."


def _tool(metric: Metric) -> str:
    return f"{metric.tool} {metric.tool_version}"


def _unit(metric: Metric) -> str:
    return {"um2": "µm²", "mm2": "mm²", "B": "MB", "x": "times", "s": "s"}.get(metric.unit, metric.unit)


def _value(metric: Metric) -> str:
    """A value as one reads it: counts exact, measured quantities to three digits, below 1e9 at least to the unit."""
    value = metric.value
    if isinstance(value, str):
        return value
    if metric.unit == "B":
        value = value / 1e6
    timed = metric.unit in ("s", "x", "B") or "/s" in metric.unit
    if isinstance(value, int) and not timed:
        return f"{value:,}"
    if value == 0:
        return "0"
    if abs(value) >= 1e9:
        return f"{value:.3g}".replace("e+", "e")
    digits = 2 - floor(log10(abs(value)))
    if not timed:
        digits = max(digits, 0)
    value = round(value, digits)
    return f"{value:,.{max(digits, 0)}f}"


def rewrite(text: str, results: Path, where: str, *, only: str | None = None) -> tuple[str, list[str]]:
    """Markdown text with its blocks as the results give them.

    Parameters
    ----------
    text : str
        Markdown.
    results : Path
        Folder of ``NAME.json``.
    where : str
        Name of the text, for messages.
    only : str, optional
        The one block to rewrite; all where left out.

    Returns
    -------
    str
        The text with every block rewritten for which there are results.
    list of str
        What blocks lack results, in words.

    Raises
    ------
    ValueError
        If a block does not end, or a results file is no list of metrics.
    """
    parts: list[str] = []
    missing: list[str] = []
    position = 0
    if only is None:
        text = _inline(text, results, where, missing)
    for begin in _BEGIN.finditer(text):
        line = text.count("\n", 0, begin.start()) + 1
        if begin.start() < position:
            raise ValueError(f"{where}, line {line}: figures:{begin[1]} begins inside another block")
        end = text.find(_END, begin.end())
        if end < 0:
            raise ValueError(f"{where}, line {line}: figures:{begin[1]} has no {_END}")
        path = results / f"{begin[1]}.json"
        parts.append(text[position : begin.end()] + "\n")
        if only not in (None, begin[1]):
            parts.append(text[begin.end() + 1 : end])
        elif begin[1] == "tested_versions":
            parts.append(versions_table(results.parent.parent / "constraints"))
        elif path.is_file():
            try:
                parts.append(render_file(path, View.parse(begin[2]), where))
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise ValueError(f"{path}: {error}") from None
        else:
            missing.append(f"{where}, line {line}: no results at {path}")
            parts.append(text[begin.end() + 1 : end])
        position = end
    return "".join(parts) + text[position:], missing


def _inline(text: str, results: Path, where: str, missing: list[str]) -> str:
    """The text with every figure in a sentence as the results give it."""

    def shown(mark: re.Match[str]) -> str:
        kind, file, name, _ = mark.groups()
        line = text.count("\n", 0, mark.start()) + 1
        path = results / f"{file}.json"
        if file == "published":
            system, _, key = name.partition(".")
            if kind != "number" or system not in systems() or key not in systems()[system].figures:
                raise ValueError(f"{where}, line {line}: published.toml has no number {name}")
            return f"<!-- number:published:{name} -->{systems()[system].figures[key]:g}<!-- /number -->"
        if not path.is_file():
            missing.append(f"{where}, line {line}: no results at {path}")
            return mark[0]
        found = [metric for metric in read_metrics(path) if metric.name == name]
        if not found:
            raise ValueError(f"{where}, line {line}: {path} has no metric {name}")
        value = _value(found[0]) if kind == "number" else f"{_value(found[0])} {_unit(found[0])}".strip()
        return f"<!-- {kind}:{file}:{name} -->{value}<!-- /{kind} -->"

    new = _INLINE.sub(shown, text)
    if (begun := len(_INLINE_BEGIN.findall(new))) != (whole := len(_INLINE.findall(new))):
        raise ValueError(f"{where}: {begun - whole} of {begun} figures in sentences are malformed or do not end")
    return new


def update(repository: Path, *, check: bool) -> list[str]:
    """Rewrite the figures of ``README.md`` and ``docs/``; with `check` only report.

    Returns
    -------
    list of str
        What does not hold: blocks without results and, with `check`, files that differ from their results.

    Raises
    ------
    ValueError
        See `rewrite`; nothing has been written then.
    """
    problems: list[str] = []
    changed: dict[Path, str] = {}
    for path in [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]:
        name = str(path.relative_to(repository))
        text = path.read_text()
        new, missing = rewrite(text, repository / "benchmarks" / "results", name)
        problems += missing
        if new != text:
            changed[path] = new
    if check:
        return problems + [f"{path.relative_to(repository)}: figures are not what the results give" for path in changed]
    for path, new in changed.items():
        with replacing(path) as file:
            file.write(new)
    return problems


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tables", description=(__doc__ or "").partition("\n\n")[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a block is not up to date")
    parser.add_argument("--repository", type=Path, default=Path(__file__).resolve().parent.parent)
    options = parser.parse_args(arguments)
    try:
        problems = update(options.repository, check=options.check)
    except (ValueError, OSError) as error:
        print(f"benchmarks.tables: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(f"benchmarks.tables: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
