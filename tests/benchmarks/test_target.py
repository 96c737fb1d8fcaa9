"""Results of the target: what stays as it is, and what a router gets."""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import record
from benchmarks.target import write
from flows.common.metrics import read_metrics

ROWS = [record(f"energy__case:reuse_{n}", float(n), "nJ", "m", command="c") for n in (1, 2, 16)]


def test_a_file_changes_only_where_a_figure_does(tmp_path: Path) -> None:
    """Dates and labels of rows that came out as they were stay, and rows of designs without results now do."""
    path = tmp_path / "r.json"
    old = [replace(row, date="2020-01-01T00:00:00Z") for row in ROWS]
    # as it was written before rows had labels
    text = json.dumps([{k: v for k, v in row.to_dict().items() if k != "label"} for row in old])
    path.write_text(text)
    write(path, ROWS, [])
    write(path, [], ["reuse_1"])
    assert path.read_text() == text
    changed = replace(ROWS[1], value=7.0)
    write(path, [changed], ["reuse_1"])
    found = {row.name: row for row in read_metrics(path)}
    # reuse_16 is not reuse_1
    assert found == {old[0].name: old[0], changed.name: changed}
