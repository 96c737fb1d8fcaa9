"""Liberty for power: units, order of tables, groups. Expected numbers are worked out by hand from the toy library."""

import gzip
import re
from pathlib import Path

import pytest

from flows.library.liberty_file import LibraryError
from flows.library.power_library import PowerLibrary, read_power_library
from tests.flows.conftest import library_or_skip
from tests.flows.toy_library import TOY


@pytest.fixture
def toy(tmp_path: Path) -> PowerLibrary:
    path = tmp_path / "toy.lib"
    path.write_text(TOY)
    return read_power_library([path])


def test_units(toy: PowerLibrary) -> None:
    assert toy.voltage_v == pytest.approx(1.0)
    assert toy.max_transition_ns == pytest.approx(0.5)
    inverter = toy["INV"]
    assert inverter.pins["A"].capacitance_ff == pytest.approx(2.0)  # mean of 3 and 1
    assert inverter.pins["Y"].max_capacitance_ff == pytest.approx(100)
    assert inverter.default_leakage_nw == pytest.approx(2)


def test_leakage_groups_of_supply_pins_are_kept_apart(toy: PowerLibrary) -> None:
    groups = toy["INV"].leakage
    assert sorted(len(group) for group in groups) == [1, 2]
    assert sum(state.leakage_nw for group in groups for state in group) == pytest.approx(3 + 1 + 0.5)


def test_a_table_reads_the_same_in_either_order(toy: PowerLibrary) -> None:
    rise, fall = toy["INV"].timing[0].delay
    assert rise is not None
    assert fall is not None
    for slew, load in ((0.0, 0.0), (0.1, 0.0), (0.0, 100.0), (0.03, 70.0)):
        assert rise.at(slew, load) == pytest.approx(fall.at(slew, load))
    # 10 ps * (1 + 0.3 * 1 + 0.7 * 2)
    assert rise.at(0.03, 70.0) == pytest.approx(0.027)


def test_beyond_the_table_the_slope_continues(toy: PowerLibrary) -> None:
    rise = toy["INV"].timing[0].delay[0]
    assert rise is not None
    assert rise.at(0.2, 0.0) == pytest.approx(0.03)
    assert rise.at(0.0, 200.0) == pytest.approx(0.05)
    assert rise.at(0.0, -50.0) == pytest.approx(0.0)


def test_negative_fall_energy_is_averaged_with_the_rise(toy: PowerLibrary) -> None:
    arc = toy["INV"].power[0]
    assert arc.related == ("A",)
    # no load: (10 - 4) / 2 fJ; 100 fF: (50 - 44) / 2: what the load takes on the rise comes back on the fall
    assert arc.energy(0.0, 0.0) == pytest.approx(3.0)
    assert arc.energy(0.0, 100.0) == pytest.approx(3.0)
    assert arc.energy(0.1, 0.0) == pytest.approx(13.0)


def test_a_single_power_table_serves_both_edges_and_a_single_edge_counts_half(toy: PowerLibrary) -> None:
    assert toy["BUF"].power[0].energy(0.0, 0.0) == pytest.approx(6.0)
    unequal = [arc for arc in toy["DFF"].power if arc.pin == "CK"][1]
    assert unequal.energy(0.0, 0.0) == pytest.approx(6.0)


def test_related_pins_in_one_attribute_are_several_arcs(toy: PowerLibrary) -> None:
    assert [arc.related for arc in toy["NAND"].timing] == ["A", "B"]


def test_storage(toy: PowerLibrary) -> None:
    flop, gate = toy["DFF"].storage, toy["GATE"].storage
    assert flop is not None
    assert gate is not None
    assert (flop.kind, flop.data, flop.clock, flop.clear) == ("flip_flop", "D", "CK", ("!", "RN"))
    assert (gate.kind, gate.data, gate.clock) == ("latch", "E", ("!", "CK"))
    assert toy["GATE"].pins["GCK"].function == ("&", "IQ", "CK")


def test_packed_files_read_the_same(toy: PowerLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIQUIDCAL_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "toy.lib.gz"
    path.write_bytes(gzip.compress(TOY.encode()))
    packed = read_power_library([path])
    assert list(packed) == list(toy)
    assert packed["INV"].power[0].energy(0.05, 30.0) == toy["INV"].power[0].energy(0.05, 30.0)
    path.write_bytes(b"no gzip")
    with pytest.raises(LibraryError, match="no gzip file"):
        read_power_library([path])


def test_what_has_no_tables_says_so(toy: PowerLibrary) -> None:
    assert toy.gaps(["INV", "NAND", "DFF"]) == ()
    gaps = toy.gaps(["INV", "LATCH"])
    assert [text.partition(" in ")[0] for text in gaps] == ["no internal power tables", "no leakage"]
    assert "LATCH" in gaps[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('values ("1, 3", "2, 4")', 'values ("1, 3", "2")', "3 values"),
        ("cell_rise (slew_load)", "cell_rise (nowhere)", "'nowhere' is unknown"),
        ('time_unit : "10ps"', 'time_unit : "10 parsec"', "parsec"),
        ("nom_voltage : 10;", "", "no nom_voltage"),
        ("cell (BUF)", "cell (INV)", "a second time"),
    ],
)
def test_malformed_libraries_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in TOY
    path = tmp_path / "bad.lib"
    path.write_text(TOY.replace(old, new, 1))
    with pytest.raises(LibraryError, match=message):
        for _ in map(read_power_library([path]).__getitem__, ["INV", "BUF"]):
            pass


def test_cells_in_two_files_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "a.lib", tmp_path / "b.lib"]
    for path in paths:
        path.write_text(TOY)
    with pytest.raises(LibraryError, match="second time"):
        read_power_library(paths)


def test_nangate45_against_its_text() -> None:
    """NAND2_X1: A1 rise at the first grid point 2.187802 fJ, fall 0.212994 fJ; unit 1 V^2 * 1 fF."""
    library = read_power_library(library_or_skip("nangate45").liberty)
    arc = library["NAND2_X1"].power[0]
    assert arc.energy(0.00117378, 0.365616) == pytest.approx((2.187802 + 0.212994) / 2)
    assert library["NAND2_X1"].pins["A1"].capacitance_ff == pytest.approx((1.529196 + 1.599032) / 2)
    assert len(library["NAND2_X1"].leakage[0]) == 4


def test_osu018_against_its_text() -> None:
    """DFFPOSX1, load first in its tables: unit 1 V^2 * 1 pF, so 0.040752 at the first point is 40.752 fJ."""
    library = read_power_library(library_or_skip("osu018").liberty)
    flop = library["DFFPOSX1"]
    arc = next(arc for arc in flop.power if arc.pin == "Q")
    assert arc.rise is not None
    assert arc.rise.at(0.06, 5.0) == pytest.approx(40.752)
    assert arc.rise.at(0.24, 5.0) == pytest.approx(64.07)
    assert flop.default_leakage_nw == pytest.approx(0.160725)


def every_cell(path: Path) -> list[object]:
    """Cells are read when they are asked for."""
    library = read_power_library([path])
    return [library[name] for name in library]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('index_1 ("0, 10"); index_2 ("0, 1");', 'index_2 ("0, 1");', "has no index_1, nor has its template"),
        ("area : 1;", "area : nan;", "cell INV: area: expected a number, got 'nan'"),
        ('values ("10, 30", "50, 70")', 'values ("10, 30", "50, 1e999")', "values: expected a number, got '1e999'"),
        ("cell (INV) {", "cell () {", "a group cell without a name"),
    ],
)
def test_what_is_damaged_is_refused_with_its_place(old: str, new: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "toy.lib"
    path.write_text(TOY.replace(old, new, 1))
    with pytest.raises(LibraryError, match=re.escape(message)) as error:
        every_cell(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (" cell (X) { area : 1; ", "a group begins that does not end: the file was cut"),
        (" } ", "a brace closes a group that is not open"),
        (' name : "x', "a text or comment begins that does not end: the file was cut"),
        (" /* x", "a text or comment begins that does not end: the file was cut"),
        (" a () {" * 60, "groups nest deeper than 50 levels"),
    ],
)
def test_a_cut_library_ends_in_one_line(end: str, message: str, tmp_path: Path) -> None:
    """libparse never returns from an open text, and nests as deep as its stack."""
    path = tmp_path / "toy.lib"
    path.write_text(TOY + end)
    with pytest.raises(LibraryError, match=message) as error:
        read_power_library([path])
    assert f"{path}, line {TOY.count(chr(10)) + 1}: " in str(error.value)
