"""Tables on narrow terminals: every figure and every heading is there, at any width."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from flows.commands.tables import print_table

HEADINGS = ("order of bits", "Spearman", "top 1 %", "bits for 90 %")
ROWS = [
    ("second-order estimate of the loss (FKeras)", "0.849", "28.0 %", "1,234"),
    ("[red]magnitude[/]", "-1", "", "7"),
]


def _printed(width: int, *, terminal: bool) -> str:
    table = Table(*HEADINGS, title="orders")
    for row in ROWS:
        table.add_row(*row)
    file = io.StringIO()
    print_table(table, Console(file=file, width=width, force_terminal=terminal, color_system=None))
    return file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 46, 50, 60, 79, 80, 120])
def test_nothing_is_cut_off(width: int) -> None:
    text = _printed(width, terminal=True)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for word in ("0.849", "1,234", "-1", "(FKeras)", "magnitude", "Spearman", "orders"):
        assert word in text, (width, text)
    assert text.count("┃") in (0, *(5 * lines for lines in range(1, 9))), text


def test_a_pipe_gets_one_line_per_row() -> None:
    lines = _printed(80, terminal=False).splitlines()
    (line,) = [line for line in lines if "second-order" in line]
    assert [part.strip() for part in line.strip("│").split("│")] == list(ROWS[0])
