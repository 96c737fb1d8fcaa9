"""Tables on standard output that lose nothing, however narrow the terminal: no heading and no figure is cut off."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

__all__ = ["print_table"]


def print_table(table: Table, console: Console | None = None) -> None:
    """Print a table: whole where it fits, with folded words where they still fit, else row by row as lines.

    A file or a pipe has no width: there the table is as wide as it needs to be, and each row is one line.
    """
    console = console or Console()
    least, widths = 1, []
    for number, column in enumerate(table.columns):
        column.overflow = "fold"
        # words of headings and of the first column may stand below each other, figures stay whole
        texts = [_plain(cell) for cell in column.cells]
        words = [word for text in [_plain(column.header), *(texts if number == 0 else ())] for word in text.split()]
        widths.append(max(map(len, [*words, *(texts if number else ()), ""])))
        least += widths[-1] + 3
    needed = Measurement.get(console, console.options.update(max_width=10_000), table)
    if not console.is_terminal:
        console = Console(file=console.file, width=max(console.width, needed.maximum), highlight=False)
        console.print(table)
    elif needed.maximum <= console.width:
        console.print(table)
    elif least <= console.width:
        widths[0] += console.width - least
        for column, width in zip(table.columns, widths, strict=True):
            column.width = width
        console.print(table)
    else:
        _print_rows(table, console)


def _print_rows(table: Table, console: Console) -> None:
    if table.title:
        console.print(table.title, style="italic")
    headings = [column.header for column in table.columns]
    for row in zip(*(column.cells for column in table.columns), strict=True):
        first, *rest = row
        console.print(first, style="bold")
        named = [f"{_plain(h)} {_plain(cell)}" for h, cell in zip(headings[1:], rest, strict=True) if _plain(cell)]
        console.print(f"  {', '.join(named)}", markup=False, highlight=False)


def _plain(cell: object) -> str:
    return Text.from_markup(cell).plain if isinstance(cell, str) else str(cell)
