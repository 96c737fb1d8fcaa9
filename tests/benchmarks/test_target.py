"""Results of the target: what stays as it is, and what a router gets."""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.measured import record
from benchmarks.routed import for_qrouter
from benchmarks.target import write
from flows.common.metrics import read_metrics
from flows.library.lef import Layer, Lef

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


def test_tracks_and_ports_for_a_router() -> None:
    """Tracks along each layer alone; a port on the border moves to the nearest crossing inside that is on both."""
    layers = tuple(
        Layer(name=f"metal{k}", horizontal=bool(k % 2), pitch_um=pitch, width_um=0.07, ff_per_um=None)
        for k, pitch in ((1, 0.14), (2, 0.19), (3, 0.14))
    )
    lef = Lef(macros={}, layers=layers, site_um=(0.19, 1.4), site_name="s", units_per_um=2000)
    text = """DIEAREA ( 0 0 ) ( 3800 2800 ) ;
TRACKS X 140 DO 13 STEP 280 LAYER metal1 ;
TRACKS Y 140 DO 10 STEP 280 LAYER metal1 ;
TRACKS X 190 DO 10 STEP 380 LAYER metal2 ;
TRACKS Y 190 DO 7 STEP 380 LAYER metal2 ;
- p_a_0 + NET p_a_0 + LAYER metal3 ( -70 -70 ) ( 70 70 ) + PLACED ( 0 700 ) N ;
- p_b_0 + NET n3 + LAYER metal2 ( -70 -70 ) ( 70 70 ) + PLACED ( 3800 2800 ) N ;
"""
    lines = for_qrouter(text, lef).splitlines()
    assert [line.split()[1:3] + line.split()[-2:-1] for line in lines if line.startswith("TRACKS")] == [
        ["Y", "140", "metal1"], ["X", "190", "metal2"],
    ]  # fmt: skip
    assert "PLACED ( 190 700 ) N" in lines[3]
    assert "PLACED ( 3610 2660 ) N" in lines[4]
