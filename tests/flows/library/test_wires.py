"""Wires by length: of the process that a library names, else of its LEF files."""

from pathlib import Path

import numpy as np
import pytest

from flows.library.catalogue import cell_library
from flows.library.lef import read_lef
from flows.library.wires import PROCESSES, wire_unit
from tests.conftest import REPOSITORY
from tests.flows.conftest import library_or_skip


def test_nangate45_is_its_process() -> None:
    """Between what its LEF says to ground and what its wire load says; its resistance is that of the LEF."""
    library_or_skip("nangate45")
    cells = cell_library("nangate45")
    lef = read_lef(cells.lef)
    unit = wire_unit(cells.liberty, lef)
    ground = sum(layer.ff_per_um or 0 for layer in lef.layers[1:5]) / 4
    assert 1.5 * ground < unit.ff_per_um < 0.1774
    # RPERSQ 0.25 at 0.07 um twice, 0.21 at 0.14 um twice
    assert unit.ohm_per_um == pytest.approx((2 * 0.25 / 0.07 + 2 * 0.21 / 0.14) / 4, rel=0.02)
    assert "metal2 to metal5 of nangate45" in unit.text


def test_a_library_of_no_known_process_has_its_lef() -> None:
    library_or_skip("osu018")
    cells = cell_library("osu018")
    unit = wire_unit(cells.liberty, read_lef(cells.lef))
    # its text: metals 2 to 5 are 0.3 um wide, area in pF/um2, edges in pF/um
    rows = ((1.9e-5, 6e-5), (1.3e-5, 5.4e-5), (8e-6, 4.1e-5), (8e-6, 2.4e-5))
    assert unit.ff_per_um == pytest.approx(1000 * sum(area * 0.3 + 2 * edge for area, edge in rows) / 4)
    assert unit.ohm_per_um == pytest.approx((0.08 + 0.08 + 0.07 + 0.07) / 0.3 / 4)
    assert unit.source.startswith("LEF")
    bare = wire_unit(cells.liberty)
    assert (bare.ff_per_um, bare.ohm_per_um, bare.source) == (0.2, 0.0, "assumed")


@pytest.mark.parametrize(
    ("name", "femtofarad"),
    [("sky130_fd_sc_hd__tt_025C_1v80", 0.168), ("gf180mcu_fd_sc_mcu7t5v0__tt_025C_5v00", 0.147),
     ("sg13g2_stdcell_typ_1p20V_25C", 0.151), ("asap7sc7p5t_SIMPLE_RVT_TT_nldm_211120", 0.175)],
)  # fmt: skip
def test_kits_are_known_by_the_name_in_their_liberty(name: str, femtofarad: float, tmp_path: Path) -> None:
    path = tmp_path / "any.lib"
    path.write_text(f"library ({name}) {{ nom_voltage : 1.8; cell (A) {{ area : 1; }} }}\n")
    assert wire_unit([path]).ff_per_um == pytest.approx(femtofarad, abs=0.001)


def test_every_wire_is_one_of_its_age() -> None:
    """0.1 to 0.25 fF/um and less resistance on higher layers: what 45 to 180 nm, and 7 nm, have."""
    for process in PROCESSES:
        values = list(process.layers.values())
        assert all(0.08 < capacitance < 0.25 for capacitance, _ in values)
        assert values[-1][1] < values[0][1]


def test_the_table_of_the_docs_is_that_of_the_code() -> None:
    text = (REPOSITORY / "docs" / "method" / "timing_and_placement.md").read_text()
    for process in PROCESSES:
        capacitance, resistance = np.mean(list(process.layers.values()), axis=0)
        names = list(process.layers)
        assert f"| {capacitance:.3f} | {float(f'{resistance:.3g}'):g}" in text.replace("0.210 |", "0.21 |")
        assert f"| {names[0]} to {names[-1]} |" in text
