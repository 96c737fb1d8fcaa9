"""Clock trees at their ends, and a summary's figures and uncertainties worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.view import Wires, prepare
from flows.power.clock_tree import TREE_LENGTH, buffers_of, clock_tree, tree_spread
from flows.power.summary import PowerSummary, summarise
from tests.flows.power.small import activity_of, design, lanes
from tests.flows.toy_library import TOY

BUFFERS = """
  cell (WEAK) {
    area : 0.5; cell_leakage_power : 0.001;
    pin (A) { direction : input; capacitance : 0.01; }
    pin (Y) { direction : output; function : "A"; max_capacitance : 0.3;
      timing () { related_pin : "A"; timing_sense : positive_unate;
        cell_rise (slew_load) { values ("2, 4", "2, 4"); } cell_fall (slew_load) { values ("2, 4", "2, 4"); }
        rise_transition (slew_load) { values ("1, 2", "1, 2"); }
        fall_transition (slew_load) { values ("1, 2", "1, 2"); } }
      internal_power () { related_pin : "A"; power (energy_load_slew) { values ("1, 1", "9, 9"); } } }
  }
  cell (BARE) {
    area : 0.1; cell_leakage_power : 0.001;
    pin (A) { direction : input; capacitance : 0.001; }
    pin (Y) { direction : output; function : "A"; max_capacitance : 1; }
  }
  cell (ODD) {
    area : 0.1; cell_leakage_power : 0.001;
    pin (A) { direction : input; capacitance : 0.001; }
    pin (B) { direction : input; capacitance : 0.001; }
    pin (Y) { direction : output; function : "A"; max_capacitance : 1; }
  }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PowerLibrary:
    """The toy library with these buffers."""
    path = tmp_path_factory.mktemp("library") / "toy.lib"
    path.write_text(TOY.rstrip().removesuffix("}") + BUFFERS + "}\n")
    return read_power_library([path])


def tree(library: PowerLibrary, **options: Any) -> Any:
    """A tree of the weak buffer, which drives at most 30 fF, filled to 0.8: 24 fF; no wires where not said."""
    given = {"sinks": 48, "sink_ff": 1.0, "area_um2": 1e4, "wire_ff_per_um": 0.0, "slew_ns": 0.03, "usable": ["WEAK"]}
    return clock_tree(library, **given | options)


def test_a_buffer_drives_no_more_than_its_maximum(library: PowerLibrary) -> None:
    """48 sinks of 1 fF, 24 a buffer; the root drives two buffers of 1 fF."""
    found = tree(library)
    assert found.levels == (2, 1)
    assert (found.buffers, found.sinks_per_buffer) == (3, 24)
    # two transitions of 1 + 8 * load / 100 fF in fJ: 24 fF at the leaves, 2 fF at the root; and C V^2 of all pins
    assert found.energy_fj == pytest.approx(2 * (2 * (1 + 8 * 0.24) + 1 + 8 * 0.02) + 48 + 2)
    half = tree(library, voltage_v=0.5)
    assert found.energy_fj - half.energy_fj == pytest.approx(0.75 * 50)


@pytest.mark.parametrize(("sinks", "sink_ff", "levels", "first"), [
    (1, 1.0, (1,), 1), (1, 23.0, (1,), 1), (2, 1.0, (1,), 24), (2, 12.0, (1,), 2), (3, 12.0, (2, 1), 2),
])  # fmt: skip
def test_few_sinks(sinks: int, sink_ff: float, levels: tuple[int, ...], first: int, library: PowerLibrary) -> None:
    found = tree(library, sinks=sinks, sink_ff=sink_ff)
    assert (found.levels, found.sinks_per_buffer) == (levels, first)


@pytest.mark.parametrize(("options", "sinks"), [
    ({"sink_ff": 12.1}, 2), ({"sink_ff": 13.0}, 48), ({"usable": ["BARE"], "sink_ff": 0.001}, 48),
    ({"usable": ["ODD"], "sink_ff": 0.001}, 48), ({"usable": []}, 48),
])  # fmt: skip
def test_what_no_buffer_drives(options: dict[str, Any], sinks: int, library: PowerLibrary) -> None:
    """Two sinks that are too much for one buffer; a buffer without tables; a cell of two inputs is none."""
    with pytest.raises(ValueError, match="no buffer of the library drives two clock pins"):
        tree(library, sinks=sinks, **options)


def test_buffers_are_cells_of_one_input_that_pass_it_on(library: PowerLibrary) -> None:
    names = ["INV", "NAND", "DFF", "LATCH", "ODD", "BUF", "BARE", "WEAK"]
    assert [cell.name for cell in buffers_of(library, names)] == ["BUF", "BARE", "WEAK"]


def test_the_spread_of_a_tree_is_that_of_a_lean_and_a_generous_one(library: PowerLibrary) -> None:
    """By hand, of two sinks: no wire and buffers full; 1.5 times the wire and buffers half full."""
    options = {"sinks": 2, "sink_ff": 1.0, "area_um2": 1e4, "wire_ff_per_um": 0.01, "usable": ["WEAK"]}
    found = clock_tree(library, slew_ns=0.03, **options)  # type: ignore[arg-type]
    wire_ff = TREE_LENGTH * (2 * 1e4) ** 0.5 * 0.01
    energies = [2 + wire * wire_ff + 2 * (1 + 8 * (2 + wire * wire_ff) / 100) for wire in (1, 0, 1.5)]
    assert found.energy_fj == pytest.approx(energies[0])
    low, high = tree_spread(library, 0.03, found, options)
    assert (low, high) == pytest.approx((energies[1] - energies[0], energies[2] - energies[0]))
    # 26 sinks: one buffer drives them all where it is full to the brim, 30 fF, and three where half full, 15 fF
    options |= {"sinks": 26, "wire_ff_per_um": 0.0}
    found = clock_tree(library, slew_ns=0.03, **options)  # type: ignore[arg-type]
    assert found.levels == (2, 1)
    one = 26 + 2 * (1 + 8 * 0.26)
    low, _ = tree_spread(library, 0.03, found, options)
    assert found.energy_fj + low == pytest.approx(one)


def flops(count: int, folder: Path) -> tuple[PowerSummary, float]:
    """A register of so many bits whose data do not move, and the pulses of its clock per ns."""
    cells = " ".join(f"DFF f{i} (.D(1'b0), .CK(ck), .RN(1'b1), .Q(q[{i}]));" for i in range(count))
    netlist, library = design(f"module d (input ck, output [{count - 1}:0] q); {cells} endmodule", folder)
    simulator = GateSimulator(netlist, library, words=1)
    zeros = np.zeros((1, 64), bool)
    activity = activity_of(simulator, zeros, zeros)
    activity.toggles_per_ns[netlist.ports["ck"].nets] = 0.1
    wires = Wires(ff=np.zeros(netlist.nets), ohm=np.zeros(netlist.nets), ff_per_um=0.1, core_um2=400.0, source="test")
    view = prepare(netlist, library, simulator.level, wires, trees=["ck"], tree_slew_ns=0.03)
    return summarise(simulator, activity, view, usable=["BUF"]), 0.05


@pytest.mark.parametrize(("count", "trees"), [(32, 0), (33, 1)])
def test_few_pins_hang_on_the_root_of_a_tree(count: int, trees: int, library: PowerLibrary, tmp_path: Path) -> None:
    """A clock of up to 32 pins is the root of a tree that the netlist has; its net switches as any port's."""
    summary, pulses = flops(count, tmp_path)
    assert len(summary.trees) == trees
    own = [note for note in summary.notes if note == "the tree of clock ck is the netlist's own"]
    assert len(own) == 1 - trees
    assert summary.input_uw == pytest.approx(0 if trees else 0.5 * count * 0.1)
    steps = {row["step"]: row for row in summary.uncertainty}
    if trees:
        made = summary.trees["ck"]
        assert summary.clock_tree_uw == pytest.approx(made.energy_fj * pulses + made.leakage_nw / 1000)
        options = {"sinks": 33, "sink_ff": 1.0, "area_um2": 400.0, "wire_ff_per_um": 0.1, "usable": ["BUF"]}
        low, high = tree_spread(library, 0.03, made, options)
        assert low < 0 < high
        assert steps["clock tree"]["low_uw"] == pytest.approx(summary.total_uw + low * pulses)
        assert steps["clock tree"]["high_uw"] == pytest.approx(summary.total_uw + high * pulses)
    else:
        assert summary.clock_tree_uw == 0
        assert "clock tree" not in steps


def test_uncertainties_and_glitches_by_hand(tmp_path: Path) -> None:
    """a NAND (not a), as in test_power: two transitions of y that settled states do not show, each time a rises."""
    text = "module d (input a, output n, y); INV u (.A(a), .Y(n)); NAND g (.A(a), .B(n), .Y(y)); endmodule"
    netlist, library = design(text, tmp_path)
    simulator = GateSimulator(netlist, library, words=1)
    n, y = (int(netlist.ports[name].nets[0]) for name in "ny")
    wire_ff = np.zeros(netlist.nets)
    wire_ff[n], wire_ff[y] = 200.0, 30.0
    wires = Wires(ff=wire_ff, ohm=np.zeros(netlist.nets), ff_per_um=0.1, core_um2=1.0, source="test")
    view = prepare(netlist, library, simulator.level, wires, port_load_ff=3.0)
    # a rises in each kept pair of clocks; over the whole recording it moves half as often, 0.05 per ns
    activity = activity_of(simulator, lanes(0.0), lanes(1.0))
    activity.toggles_per_ns[:] /= 2
    activity.annotated[n] = False
    summary = summarise(simulator, activity, view, usable=["BUF"], glitch_clocks=4, wire_uncertainty=0.1)
    rate = 0.05
    first = float(np.mean([library["INV"].power[0].energy(view.timing.slew_ns[netlist.ports["a"].nets[0]], 208.0)]))
    # y never toggles in settled states: each arc of the NAND may be the cause, 10 or 20 fJ
    base = (first + 0.5 * 208) * rate
    pulses = 2 * (15 + 0.5 * 33) * rate
    # 2 fJ of input A with B = 0: in half of the states that it moves in
    hidden = 2 * 0.5 * rate
    # the transitions of ports are in neither count: the share that cells cause is taken of all that the stage has
    glitch_uw = pulses * (base + hidden) / base
    assert summary.kind("switching") == pytest.approx(0.5 * 208 * rate)
    assert summary.kind("glitches") == pytest.approx(glitch_uw)
    # settled: a is a port; n moves once. With delays n once, y twice
    assert summary.glitch_factor == pytest.approx(3)
    dynamic = base + hidden
    wires_uw = 0.5 * 200 * rate * (1 + glitch_uw / dynamic)
    steps = {row["step"]: (row["low_uw"], row["high_uw"]) for row in summary.uncertainty}
    total = summary.total_uw
    assert steps["wire capacitance"] == pytest.approx((total - 0.1 * wires_uw, total + 0.1 * wires_uw))
    # 2 / sqrt(64 clocks) of dynamic power
    assert steps["stimulus statistics"] == pytest.approx((total - dynamic / 4, total + dynamic / 4))
    idle = 0.5 * 208 * rate
    assert steps["nets without annotation"] == pytest.approx((total - idle, total + idle))
    assert summary.annotated_percent == pytest.approx(100 * 2 / 3)
    low, high = steps["internal energy by cause"]
    assert (low, high) == (pytest.approx(total), pytest.approx(total))
    assert summary.notes == ()


def test_without_activity_nothing_is_dynamic(tmp_path: Path) -> None:
    netlist, library = design("module d (input a, output y); INV u (.A(a), .Y(y)); endmodule", tmp_path)
    simulator = GateSimulator(netlist, library, words=1)
    wires = Wires(ff=np.full(netlist.nets, 9.0), ohm=np.zeros(netlist.nets), ff_per_um=0.1, core_um2=1.0, source="t")
    view = prepare(netlist, library, simulator.level, wires)
    summary = summarise(
        simulator, activity_of(simulator, lanes(1.0), lanes(1.0)), view, usable=["BUF"], glitch_clocks=2
    )
    assert summary.total_uw == pytest.approx(0.0035) == summary.kind("leakage")
    assert summary.glitch_factor == 1
    assert all(row["low_uw"] == row["high_uw"] == summary.total_uw for row in summary.uncertainty)


def test_a_library_without_a_largest_transition_time_has_no_slow_nets(tmp_path: Path) -> None:
    netlist, library = design("module d (input a, output y); INV u (.A(a), .Y(y)); endmodule", tmp_path)
    assert library.max_transition_ns == pytest.approx(0.5)
    (tmp_path / "toy.lib").write_text(TOY.replace("default_max_transition : 50;", ""))
    library = read_power_library([tmp_path / "toy.lib"])
    simulator = GateSimulator(netlist, library, words=1)
    wires = Wires(ff=np.full(netlist.nets, 5e3), ohm=np.zeros(netlist.nets), ff_per_um=0.1, core_um2=1.0, source="t")
    view = prepare(netlist, library, simulator.level, wires)
    summary = summarise(simulator, activity_of(simulator, lanes(0.0), lanes(1.0)), view, usable=["BUF"])
    assert summary.notes == ("glitches are not estimated: zero-delay toggles only",)
