"""Units of Liberty files against exact fractions: the same cell, written in units of every kind, reads the same."""

from fractions import Fraction
from pathlib import Path

import pytest

from flows.library.cells import read_liberty
from flows.library.liberty_file import LibraryError, read_liberty_file
from flows.library.power_library import read_power_library
from flows.netlist.delays import wire_load

F = Fraction
# what the cell is, in SI units
DELAY_S, SLEW_S = F(30, 10**12), F(50, 10**12)
PIN_F, LOAD_F, MOST_F = F(5, 10**15), F(20, 10**15), F(80, 10**15)
SUPPLY_V, LEAKAGE_W, ENERGY_J = F(12, 10), F(40, 10**9), F(7, 10**15)
WIRE_F = F(3, 10**15)


def _library(time: str, second: Fraction, load: tuple[str, str], farad: Fraction, voltage: str, volt: Fraction,
             leakage: str, watt: Fraction) -> str:  # fmt: skip
    def number(quantity: Fraction, unit: Fraction) -> str:
        return format(float(quantity / unit), ".12g")

    energy = number(ENERGY_J, volt * volt * farad)
    return f"""library (units) {{
      {time} {voltage} {leakage} capacitive_load_unit ({load[0]}, {load[1]});
      nom_voltage : {number(SUPPLY_V, volt)}; nom_temperature : 25; default_wire_load : "w";
      default_max_transition : {number(SLEW_S, second)}; default_input_pin_cap : {number(PIN_F, farad)};
      wire_load ("w") {{ capacitance : {number(WIRE_F, farad)}; fanout_length (1, 2.5); }}
      lu_table_template (d) {{ variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
        index_1 ("0, {number(SLEW_S, second)}"); index_2 ("0, {number(LOAD_F, farad)}"); }}
      cell (INV) {{ area : 2; cell_leakage_power : {number(LEAKAGE_W, watt)};
        pin (A) {{ direction : input; capacitance : {number(PIN_F, farad)}; }}
        pin (B) {{ direction : input; }}
        pin (Y) {{ direction : output; function : "A'"; max_capacitance : {number(MOST_F, farad)};
          timing () {{ related_pin : "A"; cell_rise (d) {{ values ("0, 0", "0, {number(DELAY_S, second)}"); }} }}
          internal_power () {{ related_pin : "A"; power (scalar) {{ values ("{energy}"); }} }} }} }} }}"""


UNITS = [
    ('time_unit : "1ns";', F(1, 10**9), ("1", "pf"), F(1, 10**12), 'voltage_unit : "1V";', F(1),
     'leakage_power_unit : "1nW";', F(1, 10**9)),
    ('time_unit : "1ps";', F(1, 10**12), ("1", "ff"), F(1, 10**15), 'voltage_unit : "1mV";', F(1, 1000),
     'leakage_power_unit : "1pW";', F(1, 10**12)),
    ('time_unit : "10ps";', F(1, 10**11), ("0.5", "ff"), F(1, 2 * 10**15), 'voltage_unit : "100mV";', F(1, 10),
     'leakage_power_unit : "10uW";', F(1, 10**5)),
    ('time_unit : 100ps;', F(1, 10**10), ("1.0e-3", '"nF"'), F(1, 10**12), 'voltage_unit : "1v";', F(1),
     'leakage_power_unit : "1mW";', F(1, 1000)),
    # nothing stated: ns, pF by the file, V, nW
    ("", F(1, 10**9), ("1", "PF"), F(1, 10**12), "", F(1), "", F(1, 10**9)),
]  # fmt: skip


@pytest.mark.parametrize("units", UNITS)
def test_units_of_every_kind(units: tuple[str, Fraction, tuple[str, str], Fraction, str, Fraction, str, Fraction],
                             tmp_path: Path) -> None:  # fmt: skip
    path = tmp_path / "units.lib"
    path.write_text(_library(*units))
    cells, nominal = read_liberty(path)
    assert nominal == {"voltage_v": pytest.approx(1.2, rel=1e-12), "temperature_c": 25.0}
    assert cells["INV"].pins["A"].stated_capacitance_ff == pytest.approx(5.0, rel=1e-12)
    assert cells["INV"].pins["B"].stated_capacitance_ff is None
    library = read_power_library([path])
    inverter = library["INV"]
    # both views are the same pins
    assert {name: cells["INV"].pins[name] for name in "ABY"} == dict(inverter.pins)
    assert [inverter.pins[name].capacitance_ff for name in "ABY"] == pytest.approx([5.0, 5.0, 0.0], rel=1e-12)
    assert inverter.pins["Y"].max_capacitance_ff == pytest.approx(80.0, rel=1e-12)
    assert library.voltage_v == pytest.approx(1.2, rel=1e-12)
    assert library.max_transition_ns == pytest.approx(0.05, rel=1e-12)
    assert inverter.default_leakage_nw == pytest.approx(40.0, rel=1e-12)
    assert inverter.power[0].energy(0.0, 0.0) == pytest.approx(7.0, rel=1e-9)
    rise = inverter.timing[0].delay[0]
    assert rise is not None
    assert rise.at(0.05, 20.0) == pytest.approx(0.03, rel=1e-9)
    assert rise.at(0.05, 10.0) == pytest.approx(0.015, rel=1e-9)
    wires = wire_load(path)
    assert wires is not None
    assert wires.capacitance_ff == pytest.approx(3.0, rel=1e-12)


def test_a_power_of_ten_is_exact(tmp_path: Path) -> None:
    """1e-12 / 1e-15 is 999.9999999999999."""
    path = tmp_path / "pf.lib"
    path.write_text("library (l) { capacitive_load_unit (1, pf); time_unit : 1ps; }")
    assert read_liberty_file(path).units.capacitance_ff == 1000.0
    assert read_liberty_file(path).units.time_ns == 0.001


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("time_unit : 1hour;", r"unit '1hour': expected a unit out of s, ms, us"),
        ("capacitive_load_unit (1, pV);", r"unit '1pV': expected a unit out of F, mF"),
        ("capacitive_load_unit (1);", r"capacitive_load_unit has 1 values"),
        ("leakage_power_unit : 1nA;", r"unit '1nA': expected a unit out of W"),
        ("capacitive_load_unit (-1, pf);", r"unit '-1pf': expected a number above 0"),
        ("voltage_unit : 1;", r"unit '1': expected a unit out of V"),
        (f"voltage_unit : 1{'n' * 5000}V;", r"unit '1n{195}\.\.\.: expected a unit out of V"),
    ],
)
def test_unknown_units_are_refused(statement: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.lib"
    path.write_text(f"library (l) {{ {statement} }}")
    with pytest.raises(LibraryError, match=message):
        read_liberty_file(path)


def test_a_file_is_parsed_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.lib"
    path.write_text("library (l) { nom_voltage : 1; cell (A) { area : 1; } }")
    first = read_liberty_file(path)
    assert read_liberty_file(path) is first
    path.write_text("library (l) { nom_voltage : 2; cell (A) { area : 1; } }")
    assert read_liberty_file(path).library.number("nom_voltage") == 2.0


def test_two_cells_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.lib"
    path.write_text("library (l) { cell (A) { area : 1; } cell (A) { area : 2; } }")
    with pytest.raises(LibraryError, match="describes cell A a second time"):
        read_liberty(path)


def test_nothing_but_the_reader_knows_the_parser() -> None:
    """Another parser of Liberty would change one module."""
    rooms = Path(__file__).resolve().parents[3] / "flows"
    users = [path.relative_to(rooms) for path in rooms.rglob("*.py") if "from libparse" in path.read_text()]
    assert users == [Path("library", "liberty_file.py")]
