"""Power of every kind of cell against a sum state by state in plain Python (tests/flows/power/by_hand.py)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.netlist.delays import propagate
from flows.netlist.gate_simulation import GateSimulator, from_lanes
from flows.power.cell_power import cell_power
from tests.flows.power import by_hand
from tests.flows.power.small import activity_of, design

CELLS = """
  cell (XOR) {
    area : 2; cell_leakage_power : 0.007;
    leakage_power () { when : "A & B"; value : 0.009; }
    pin (A) { direction : input; capacitance : 0.01;
      internal_power () { when : "B"; power (energy_slew) { values ("3, 5"); } }
      internal_power () { power (energy_slew) { values ("1, 2"); } }
      internal_power () { related_pg_pin : VPW; power (energy_slew) { values ("0.5, 0.25"); } } }
    pin (B) { direction : input; capacitance : 0.01; }
    pin (Y) { direction : output; function : "A ^ B";
      internal_power () { related_pin : "A"; when : "B"; power (energy_load_slew) { values ("30, 31", "40, 43"); } }
      internal_power () { related_pin : "A"; when : "!B"; power (energy_slew) { values ("6, 7"); } }
      internal_power () { related_pin : "B"; power (energy_slew) { values ("10, 12"); } }
      internal_power () { related_pin : "A B"; related_pg_pin : VPW; power (energy_slew) { values ("2, 4"); } } }
  }
  cell (ANY) {
    area : 1;
    pin (A) { direction : input; capacitance : 0.01; }
    pin (B) { direction : input; capacitance : 0.01; }
    pin (Y) { direction : output; function : "A | B"; internal_power () { power (energy_slew) { values ("9, 9"); } } }
  }
  cell (SETFF) {
    area : 6; cell_leakage_power : 0.012;
    leakage_power () { when : "CK & Q"; value : 0.02; }
    ff (IQ, IQN) { next_state : "D"; clocked_on : "CK"; preset : "!SN"; }
    pin (D) { direction : input; capacitance : 0.01;
      internal_power () { when : "!CK"; power (energy_slew) { values ("4, 6"); } }
      internal_power () { when : "CK"; power (energy_slew) { values ("2, 3"); } } }
    pin (SN) { direction : input; capacitance : 0.01;
      internal_power () { when : "Q"; power (energy_slew) { values ("0.7, 0.7"); } } }
    pin (CK) { direction : input; clock : true; capacitance : 0.01;
      internal_power () { when : "D & !Q"; power (energy_slew) { values ("12, 12"); } }
      internal_power () { power (energy_slew) { values ("8, 9"); } } }
    pin (Q) { direction : output; function : "IQ";
      internal_power () { related_pin : "CK"; power (energy_slew) { values ("16, 17"); } }
      internal_power () { related_pin : "SN"; power (energy_slew) { values ("50, 52"); } } }
    pin (QN) { direction : output; function : "IQN";
      internal_power () { related_pin : "CK"; when : "D"; power (energy_slew) { values ("5, 5"); } }
      internal_power () { related_pin : "CK"; when : "!D"; power (energy_slew) { values ("7, 7"); } } }
  }
"""
EACH = 12
PAIRS = 3
"""Few pairs of states, so that there are pins that never toggle."""


def test_every_kind_of_cell_against_a_sum_by_hand(tmp_path: Path) -> None:
    """Random states, rates, transition times and loads; the clock is high in every second lane."""
    pins = {"NAND": "AB", "XOR": "AB", "ANY": "AB", "INV": "A", "BUF": "A"} | {
        "DFF": ("D", "RN"), "NDFF": "D", "SETFF": ("D", "SN"), "LATCH": "D"
    }  # fmt: skip
    clocks, outputs = {"DFF": "CK", "NDFF": "CK", "SETFF": "CK", "LATCH": "G"}, {"DFF": "Q", "LATCH": "Q"}
    outputs |= {"NDFF": "Q", "SETFF": "Q"}
    lines, number = [], 0
    for kind, ports in pins.items():
        for copy in range(EACH):
            wires = [f".{pin}(x[{(number + 5 * place) % 16}])" for place, pin in enumerate(ports)]
            wires += [f".{clocks[kind]}(ck)"] if kind in clocks else []
            wires.append(f".{outputs.get(kind, 'Y')}(y[{number}])")
            # every second flip-flop has both outputs connected
            wires += [f".QN(z[{number}])"] if kind in ("NDFF", "SETFF") and copy % 2 else []
            lines.append(f"{kind} u{number} ({', '.join(wires)});")
            number += 1
    text = f"module d (input ck, input [15:0] x, output [{number - 1}:0] y, z); {' '.join(lines)} endmodule"
    netlist, library = design(text, tmp_path, cells=CELLS)
    simulator = GateSimulator(netlist, library, words=1)
    rng = np.random.default_rng(4)
    zeros = np.zeros((len(netlist.ports["ck"].nets) + 16, 64), bool)
    before, after = rng.integers(0, 2**64, (2, simulator.rows, 1), np.uint64)
    mask = np.uint64((1 << 2 * PAIRS) - 1)
    pick = np.arange(0, 64, 2, dtype=np.uint64)
    for states in (before, after):  # lanes 2 k and 2 k + 1 hold the same pair, what lies beyond the mask anything
        even = states >> pick & np.uint64(1)
        states[:] = np.bitwise_or.reduce(even * np.uint64(3) << pick, axis=1)[:, None]
    arrival = rng.choice([0.0, 3.5, 4.9, 5.1, 9.0], netlist.nets)
    rates = rng.uniform(0.01, 0.1, simulator.rows)
    activity = replace(
        activity_of(simulator, zeros, zeros), before=before, after=after, mask=np.full(1, mask), toggles_per_ns=rates
    )
    timing = propagate(
        netlist, library, simulator.level, wire_ff=rng.uniform(0, 90, netlist.nets), input_slew_ns=rng.uniform(0, 0.09)
    )
    found = cell_power(simulator, activity, timing, arrival_ns=arrival)
    slew, load = (dict(enumerate(values.tolist())) for values in (timing.slew_ns, timing.load_ff))
    least = most = 0.0
    cells = 0
    for group in netlist.groups.values():
        cell, rows = library[group.type], simulator.pin_rows[group.type]
        for place, index in enumerate(group.cells.tolist()):
            row = {pin: int(at[place]) for pin, at in rows.items()}
            pairs = [
                ({pin: int(before[at, 0]) >> lane & 1 for pin, at in row.items()},
                 {pin: int(after[at, 0]) >> lane & 1 for pin, at in row.items()})
                for lane in range(0, 2 * PAIRS, 2)
            ]  # fmt: skip
            total = by_hand.cell_sum(
                cell, pairs, {pin: float(rates[at]) for pin, at in row.items()},
                {pin: slew.get(at, 0.0) for pin, at in row.items()},
                {pin: load.get(at, 0.0) for pin, at in row.items()},
                [pin for pin in cell.inputs if arrival[row[pin]] > 5.0],
            )  # fmt: skip
            here = found.leakage_nw[index], found.internal_uw[index], found.clock_pin_uw[index]
            expected = total.leakage_nw, total.internal_uw, total.clock_uw
            assert here == pytest.approx(expected, rel=1e-9, abs=1e-12), (group.type, place)
            least, most = least + total.least_uw, most + total.most_uw
            cells += 1
    assert cells == EACH * len(pins)
    assert (found.low_uw, found.high_uw) == pytest.approx((least, most))
    assert least < found.internal_uw.sum() < most


def test_data_finds_its_own_clock_high_or_low(tmp_path: Path) -> None:
    """Two clocks, the second twice as fast: its flip-flops find it low from a quarter of the period on."""
    netlist, library = design(
        "module d (input ck, fk, x, output p, q); DFF f (.D(x), .CK(ck), .RN(1'b1), .Q(p));"
        " DFF g (.D(x), .CK(fk), .RN(1'b1), .Q(q)); endmodule", tmp_path,
    )  # fmt: skip
    simulator = GateSimulator(netlist, library, words=1, clock=("ck", "fk"))
    bits = np.stack([np.zeros(64, bool), np.zeros(64, bool), np.arange(64) < 32])
    activity = activity_of(simulator, bits, np.stack([bits[0], bits[1], ~bits[2]]), period_ns=10.0)
    activity.toggles_per_ns[:] = 0
    for name, rate in {"ck": 0.2, "fk": 0.4, "x": 0.03}.items():
        activity.toggles_per_ns[netlist.ports[name].nets] = rate
    timing = propagate(netlist, library, simulator.level, input_slew_ns=0.0)
    for arrival_ns, late in {2.4: "", 2.6: "g", 4.9: "g", 5.1: "fg"}.items():
        power = cell_power(simulator, activity, timing, arrival_ns=np.full(netlist.nets, arrival_ns))
        # a toggle of D: 2 fJ while the clock is high, 4 fJ while it is low
        found = {netlist.cell_name(cell): power.internal_uw[cell] for cell in range(2)}
        assert found == {name: pytest.approx(0.03 * (4 if name in late else 2)) for name in "fg"}
    # the fastest clock is high for a quarter of its own period, the other for half
    early = replace(activity, high_ns=1.25)
    for arrival_ns, late in {1.2: "", 1.3: "g", 4.9: "g", 5.1: "fg"}.items():
        power = cell_power(simulator, early, timing, arrival_ns=np.full(netlist.nets, arrival_ns))
        found = {netlist.cell_name(cell): power.internal_uw[cell] for cell in range(2)}
        assert found == {name: pytest.approx(0.03 * (4 if name in late else 2)) for name in "fg"}


CLOCKED_LATCH = """
  cell (CLATCH) {
    area : 3;
    latch (IQ, IQN) { data_in : "D"; enable : "G"; }
    pin (D) { direction : input; capacitance : 0.01; }
    pin (G) { direction : input; capacitance : 0.01;
      internal_power () { when : "!D & !Q"; power (energy_slew) { values ("3, 3"); } }
      internal_power () { when : "D & Q"; power (energy_slew) { values ("5, 5"); } } }
    pin (Q) { direction : output; function : "IQ"; }
  }
"""


def test_the_clock_of_a_latch_finds_it_with_its_data_passed_on(tmp_path: Path) -> None:
    """A latch behind a clock gate holds other data than come to it in 30 of 64 states: its clock does not move in
    these, and what it costs is the mean over the others."""
    text = "module d (input ck, d, output q); CLATCH l (.D(d), .G(ck), .Q(q)); endmodule"
    netlist, library = design(text, tmp_path, cells=CLOCKED_LATCH)
    simulator = GateSimulator(netlist, library, words=1)
    zeros = np.zeros((2, 64), bool)
    activity = activity_of(simulator, zeros, zeros)
    d, q = np.zeros(64, bool), np.zeros(64, bool)
    d[:40], q[:10] = True, True
    for states in (activity.before, activity.after):
        for name, bits in (("d", d), ("q", q)):
            states[netlist.ports[name].nets] = from_lanes(bits[None])
    activity.toggles_per_ns[:] = 0
    activity.toggles_per_ns[netlist.ports["ck"].nets] = 0.2
    timing = propagate(netlist, library, simulator.level, input_slew_ns=0.0)
    power = cell_power(simulator, activity, timing)
    # 10 states with both at 1, 24 with both at 0, 30 in which they differ
    assert power.clock_pin_uw.sum() == pytest.approx(0.2 * (10 * 5 + 24 * 3) / 34)
