"""Tables of measured figures in README and docs, written from committed results: ``python -m benchmarks.tables``.

A Markdown file holds blocks ``<!-- figures:NAME -->`` to ``<!-- /figures -->``; each is rewritten from
``benchmarks/results/NAME.json``, a list of `flows.common.metrics.Metric`. With ``--check`` nothing is written, and the
exit code is 1 if a block differs from its results. Exit code 2: a results file or a block is malformed.

Metrics of modules (``__module:`` in the name) become one row per module with a column per quantity and a total; metrics
of cases (``__case:``) likewise, without a total; all others become one row each. What all rows have in common (tool,
library, date, command) stands once below the table.

A results file may also hold tables as text: an object with ``tables`` (each ``title``, ``columns``, ``rows``) and
``notes``, as ``benchmarks/comparison.py`` writes it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from math import floor, log10
from pathlib import Path
from typing import Any

from flows.common.metrics import Metric, label, read_metrics
from sim.files import replacing

__all__ = ["render", "render_file", "rewrite", "update"]

_BEGIN = re.compile(r"^<!-- figures:([A-Za-z0-9_]+) -->$", re.MULTILINE)
_END = "<!-- /figures -->"
_MODULE = re.compile(r"__module:([^:]+?)(?=__[a-z_]+:|$)")
_CASE = re.compile(r"__case:([^:]+)$")

_TOTALS = {"design__flip_flop__count": "design__instance__count__class:flip_flop"}
"""Where the total of a module quantity has another name."""


def render(metrics: Sequence[Metric]) -> str:
    """Markdown of a list of metrics.

    Parameters
    ----------
    metrics : sequence of Metric
        At least one.

    Returns
    -------
    str
        A table and a line on where it comes from, ending in a newline.

    Raises
    ------
    ValueError
        If there is no metric.
    """
    if not metrics:
        raise ValueError("expected at least one metric, got none")
    modules = [metric for metric in metrics if _MODULE.search(metric.name)]
    cases = [metric for metric in metrics if _CASE.search(metric.name)]
    if cases:
        return _case_table(cases) + "\n" + _origin(metrics) + "\n"
    table = _module_table(modules, metrics) if modules else _list_table(metrics)
    return table + "\n" + _origin(metrics) + "\n"


def render_file(path: Path) -> str:
    """Markdown of a results file: metrics, or tables as text.

    Raises
    ------
    ValueError
        If it holds neither.
    """
    content = json.loads(path.read_text())
    if isinstance(content, dict) and {"tables", "notes"} <= content.keys():
        return _text_tables(content)
    return render(read_metrics(path))


def _text_tables(content: dict[str, Any]) -> str:
    """Titles, tables and notes."""
    parts = []
    for part in content["tables"]:
        for row in part["rows"]:
            if len(row) != len(part["columns"]):
                raise ValueError(f"{part['title']}: expected {len(part['columns'])} cells, got {len(row)}: {row[0]}")
        lines = [part["columns"], ["---"] * len(part["columns"]), *part["rows"]]
        parts.append(f"**{part['title']}**\n\n" + "".join("| " + " | ".join(line) + " |\n" for line in lines))
    return "\n".join([*parts, *(f"{note}\n" for note in content["notes"])])


def _list_table(metrics: Sequence[Metric]) -> str:
    """One row per metric: what it is, its value, how it arises; the tool where there are several."""
    tools = sorted({_tool(metric) for metric in metrics})
    rows = []
    for metric in metrics:
        value = f"{_value(metric)} {_unit(metric)}".strip()
        how = "" if metric.method == metric.label else metric.method
        rows.append([metric.label, value, how, *([_tool(metric)] if len(tools) > 1 else [])])
    return _table(["what", "value", "how", *(["tool"] if len(tools) > 1 else [])], rows)


def _module_table(modules: Sequence[Metric], metrics: Sequence[Metric]) -> str:
    """One row per module and a total, then the other figures of the design in one line."""
    cells: dict[str, dict[str, Metric]] = {}
    for metric in modules:
        found = _MODULE.search(metric.name)
        assert found is not None
        cells.setdefault(found[1], {})[_MODULE.sub("", metric.name)] = metric
    quantities = list(dict.fromkeys(quantity for row in cells.values() for quantity in row))
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
    return _table(header, rows) + (f"\n{line[0].upper()}{line[1:]}.\n" if line else "")


def _case_table(metrics: Sequence[Metric]) -> str:
    """One row per case, one column per quantity; empty where a case has no such figure. Units stand in the header."""
    rows: dict[str, dict[str, Metric]] = {}
    for metric in metrics:
        found = _CASE.search(metric.name)
        assert found is not None
        rows.setdefault(found[1], {})[_CASE.sub("", metric.name)] = metric
    quantities = list(dict.fromkeys(quantity for row in rows.values() for quantity in row))
    header = ["case"]
    for quantity in quantities:
        units = {_unit(row[quantity]) for row in rows.values() if quantity in row} - {"", label(quantity)}
        header.append(", ".join([label(quantity), *sorted(units)]))
    return _table(
        header,
        [
            [case.replace("_", " "), *(_value(row[quantity]) if quantity in row else "" for quantity in quantities)]
            for case, row in rows.items()
        ],
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    align = ["---"] + ["---:" if i == 1 or header[0] in ("module", "case") else "---" for i in range(1, len(header))]
    lines = [header, align, *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _origin(metrics: Sequence[Metric]) -> str:
    """The line below a table: tool if there is but one, library, dates, commands."""
    tools = sorted({_tool(metric) for metric in metrics})
    parts = [tools[0]] if len(tools) == 1 else []
    parts += sorted({f"{m.library} (sha256 {m.library_sha256[:8]}...)" for m in metrics if m.library})
    days = sorted({metric.date[:10] for metric in metrics})
    parts.append(days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}")
    parts += sorted({f"`{metric.command}`" for metric in metrics})
    return "Measured: " + ", ".join(parts) + "."


def _tool(metric: Metric) -> str:
    return f"{metric.tool} {metric.tool_version}"


def _unit(metric: Metric) -> str:
    return {"um2": "µm²", "B": "MB", "x": "times", "s": "s"}.get(metric.unit, metric.unit)


def _value(metric: Metric) -> str:
    """A value as one reads it: counts exact, measured quantities to three digits, at least to the unit."""
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
    parts, missing, position = [], [], 0
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
        elif path.is_file():
            try:
                parts.append(render_file(path))
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                raise ValueError(f"{path}: {error}") from None
        else:
            missing.append(f"{where}, line {line}: no results at {path}")
            parts.append(text[begin.end() + 1 : end])
        position = end
    return "".join(parts) + text[position:], missing


def update(repository: Path, *, check: bool) -> list[str]:
    """Rewrite the blocks of ``README.md`` and ``docs/``; with `check` only tell.

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
