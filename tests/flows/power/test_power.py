"""Power against circuits worked out by hand, in three libraries, and delays against an event queue in plain Python."""

import heapq
from collections.abc import Mapping
from dataclasses import replace
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist

from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.delays import (
    DelaySimulator,
    WireLoad,
    arrivals,
    fanouts,
    net_loads,
    pin_loads,
    propagate,
    wire_load,
)
from flows.netlist.gate_simulation import GateSimulator, from_lanes, topological_levels
from flows.netlist.netlist import Netlist
from flows.netlist.view import Wires, prepare
from flows.power.activity import Activity
from flows.power.cell_power import cell_power, leakage_as
from flows.power.clock_tree import TREE_LENGTH, clock_tree
from flows.power.glitches import glitches
from flows.power.summary import summarise
from tests.flows.conftest import library_or_skip
from tests.flows.power.small import activity_of, design, lanes
from tests.flows.toy_library import TOY


def test_inverter_chain_in_the_toy_library(tmp_path: Path) -> None:
    netlist, library = design(
        "module d (input a, output y); wire n; INV u (.A(a), .Y(n)); INV v (.A(n), .Y(y)); endmodule", tmp_path
    )
    sim = GateSimulator(netlist, library, words=1)
    # a rises in 16 of 64 clocks and never falls: 0.25 toggles per 10 ns; a is 1 a quarter, then half of the time
    activity = activity_of(sim, lanes(0.25), lanes(0.5))
    timing = propagate(netlist, library, sim.level, input_slew_ns=0.0, port_load_ff=20.0)
    n, y = (netlist.net_names.index(name) for name in ("n", "y"))
    assert timing.load_ff[n] == pytest.approx(2)
    assert timing.load_ff[y] == pytest.approx(20)
    # transition: 10 ps at no load, 50 ps at 100 fF
    assert timing.slew_ns[n] == pytest.approx(0.0108)
    power = cell_power(sim, activity, timing)
    rate = 0.025
    assert power.switching_uw[n] == pytest.approx(0.5 * 2 * 1.0**2 * rate)
    assert power.switching_uw[y] == pytest.approx(0.5 * 20 * rate)
    assert power.input_uw == pytest.approx(0.5 * 2 * rate)
    # first: transition 0, load 2 fF: rise 10 + 40 * 0.02, fall -4 - 40 * 0.02, in units of 1 fJ
    first = (10.8 - 4.8) / 2
    # second: transition 10.8 ps of 100, load 20 fF: rise 10 + 20 * 0.108 + 40 * 0.2, fall -4 - 40 * 0.2
    second = (10 + 20 * 0.108 + 8 - 4 - 8) / 2
    cells = {netlist.cell_name(cell): power.internal_uw[cell] for cell in range(2)}
    assert cells["u"] == pytest.approx(first * rate)
    assert cells["v"] == pytest.approx(second * rate)
    # leakage: 3 uW where A is 1, 1 uW where 0, and 0.5 uW of the other supply pin, in nW / 1000
    leakage = {netlist.cell_name(cell): power.leakage_nw[cell] for cell in range(2)}
    assert leakage["u"] == pytest.approx(3 * 0.375 + 1 * 0.625 + 0.5)
    assert leakage["v"] == pytest.approx(3 * 0.625 + 1 * 0.375 + 0.5)


def test_nand_shares_energy_by_cause_and_states(tmp_path: Path) -> None:
    netlist, library = design("module d (input a, b, output y); NAND u (.A(a), .B(b), .Y(y)); endmodule", tmp_path)
    sim = GateSimulator(netlist, library, words=1)
    lane = np.arange(64)
    # 16 clocks: a toggles while b is 1 (output toggles). 8: b toggles while a is 1. 8: a toggles while b is 0.
    b_before = (lane < 16) | (lane >= 32)
    before = np.stack([(lane >= 16) & (lane < 24), b_before & ~((lane >= 16) & (lane < 24))])
    after = before.copy()
    after[0, :16] = True
    after[1, 16:24] = True
    before[1, 24:32] = after[1, 24:32] = False
    after[0, 24:32] = True
    activity = activity_of(sim, before, after)
    timing = propagate(netlist, library, sim.level, input_slew_ns=0.0)
    power = cell_power(sim, activity, timing)
    # output: 24 toggles in 640 ns, two thirds by A at 10 fJ, one third by B at 20 fJ
    output = 24 / 640 * (16 * 10 + 8 * 20) / 24
    # input A: 24 toggles, 8 of them with B = 0, at (3 + 1) / 2 fJ
    hidden = 24 / 640 * (8 / 24) * 2
    assert power.internal_uw[0] == pytest.approx(output + hidden)
    assert (power.low_uw, power.high_uw) == pytest.approx((24 / 640 * 10 + hidden, 24 / 640 * 20 + hidden))
    # leakage: 8 nW/1000 in A & B, else the group without `when`
    both = (before[0] & before[1]).mean() / 2 + (after[0] & after[1]).mean() / 2
    assert power.leakage_nw[0] == pytest.approx(8 * both + 2 * (1 - both))


XOR = """
  cell (XOR) {
    area : 2;
    pin (A) { direction : input; capacitance : 0.01; }
    pin (B) { direction : input; capacitance : 0.01; }
    pin (Y) {
      direction : output; function : "A ^ B";
      internal_power () { related_pin : "A"; when : "B"; power (energy_slew) { values ("30, 30"); } }
      internal_power () { related_pin : "A"; when : "!B"; power (energy_slew) { values ("6, 6"); } }
      internal_power () { related_pin : "B"; power (energy_slew) { values ("10, 10"); } }
    }
  }
"""


def test_energy_of_an_output_is_that_of_the_state_it_toggles_in(tmp_path: Path) -> None:
    """Liberty, internal_power: a group holds in the states of its `when`, for outputs as for inputs."""
    netlist, library = design(
        "module d (input a, b, output y); XOR u (.A(a), .B(b), .Y(y)); endmodule", tmp_path, cells=XOR
    )
    sim = GateSimulator(netlist, library, words=1)
    lane = np.arange(64)
    # A rises in 32 of 64 clocks of 10 ns: in 24 of them B is 1, in 8 it is 0
    before = np.stack([np.zeros(64, bool), lane < 24])
    after = np.stack([lane < 32, lane < 24])
    power = cell_power(sim, activity_of(sim, before, after), propagate(netlist, library, sim.level))
    assert power.internal_uw[0] == pytest.approx((24 * 30 + 8 * 6) / 640)
    assert (power.low_uw, power.high_uw) == (pytest.approx(32 * 6 / 640), pytest.approx(32 * 30 / 640))


LEAKY = """
  cell (LEAKY) {
    area : 1;
    cell_leakage_power : 0.005;
    leakage_power () { when : "A"; value : 0.009; }
    pin (A) { direction : input; capacitance : 0.01; }
    pin (Y) { direction : output; function : "!A"; }
  }
  cell (SILENT) {
    area : 1;
    pin (A) { direction : input; capacitance : 0.01; }
    pin (Y) { direction : output; function : "!A"; }
  }
"""


@pytest.mark.parametrize("library_default", [0.0, 3.0])
def test_leakage_of_states_that_no_group_names_is_the_cells_own(tmp_path: Path, library_default: float) -> None:
    """Liberty: `cell_leakage_power` where no group holds; without it the library's default."""
    attribute = f"default_cell_leakage_power : {library_default / 1000};" if library_default else ""
    netlist, library = design(
        "module d (input a, output x, y, z); BUF u (.A(a), .Y(x)); LEAKY v (.A(a), .Y(y)); SILENT w (.A(a), .Y(z));"
        " endmodule", tmp_path, cells=attribute + LEAKY,
    )  # fmt: skip
    sim = GateSimulator(netlist, library, words=1)
    # a is 1 in a quarter of all states
    activity = activity_of(sim, lanes(0.25), lanes(0.25))
    power = cell_power(sim, activity, propagate(netlist, library, sim.level))
    leakage = {netlist.cell_name(cell): power.leakage_nw[cell] for cell in range(3)}
    assert leakage == {
        "u": pytest.approx(4), "v": pytest.approx(0.25 * 9 + 0.75 * 5), "w": pytest.approx(library_default)
    }  # fmt: skip
    kinds = [library[name] for name in ("SILENT", "LEAKY")]
    silent, leaky = leakage_as(sim, activity, netlist.groups["SILENT"], kinds)
    assert (silent, leaky) == (pytest.approx([library_default]), pytest.approx([0.25 * 9 + 0.75 * 5]))


def test_flip_flop_in_the_toy_library(tmp_path: Path) -> None:
    netlist, library = design(
        "module d (input ck, input x, output q); DFF u (.D(x), .CK(ck), .RN(1'b1), .Q(q)); endmodule", tmp_path
    )
    sim = GateSimulator(netlist, library, words=1)
    period = 10.0
    lane = np.arange(64)
    # q holds 0 in all states; D is 1 after the clock in 16 of 64 (so q would toggle), 0 before
    nets = {name: netlist.ports[name].nets[0] for name in ("ck", "x", "q")}
    before, after = np.zeros((sim.rows, 1), np.uint64), np.zeros((sim.rows, 1), np.uint64)
    before[1] = after[1] = np.uint64(2**64 - 1)
    after[nets["x"]] = from_lanes(lane < 16)
    rate = np.zeros(sim.rows)
    rate[nets["ck"]], rate[nets["x"]], rate[nets["q"]] = 2 / period, 0.25 / period, 0.1 / period
    activity = Activity(
        toggles_per_ns=rate, duty=np.zeros(sim.rows), annotated=np.ones(netlist.nets, bool), before=before,
        after=after, mask=np.full(1, 2**64 - 1, np.uint64), clock=int(nets["ck"]), period_ns=period, clocks=64,
        duration_ns=640.0, source="test",
    )  # fmt: skip
    timing = propagate(netlist, library, sim.level, input_slew_ns=0.0)
    power = cell_power(sim, activity, timing)
    # D and Q differ in 16 of 128 states: 8 fJ where equal, (0 + 12) / 2 where not, twice a clock
    assert power.clock_pin_uw[0] == pytest.approx(2 / period * (8 * 112 / 128 + 6 * 16 / 128))
    # Q: 15 fJ a toggle, by the clock; D: 4 fJ with the clock low, 2 with it high, where it comes from a port at once
    assert power.internal_uw[0] == pytest.approx(0.1 / period * 15 + 0.25 / period * 2)
    late = cell_power(sim, activity, timing, arrival_ns=np.full(netlist.nets, 0.6 * period))
    assert late.internal_uw[0] == pytest.approx(0.1 / period * 15 + 0.25 / period * 4)
    assert power.leakage_nw[0] == pytest.approx(10)
    # the clock net is the tree's; without a tree it switches as any net of a port
    assert power.input_uw == pytest.approx(0.5 * 1 * 0.25 / period)
    own = cell_power(sim, activity, timing, modelled_clocks=())
    assert own.input_uw == pytest.approx(0.5 * 1 * 0.25 / period + 0.5 * 1 * 2 / period)


@pytest.mark.parametrize(
    ("name", "cell", "pin", "out"), [("nangate45", "INV_X1", "A", "ZN"), ("osu018", "INVX1", "A", "Y")]
)
def test_inverter_chain_in_real_libraries(name: str, cell: str, pin: str, out: str, tmp_path: Path) -> None:
    """Three inverters: the middle one sees known transition and load; its energy is looked up by a separate routine."""
    import scipy.interpolate

    cells = library_or_skip(name)
    text = "module d (input a, output y); wire m, n;"
    for instance, (i, o) in {"u": "am", "v": "mn", "w": "ny"}.items():
        text += f" {cell} {instance} (.{pin}({i}), .{out}({o}));"
    netlist, library = design(text + " endmodule", tmp_path, cells)
    sim = GateSimulator(netlist, library, words=1)
    activity = activity_of(sim, lanes(0.0), lanes(0.5))
    timing = propagate(netlist, library, sim.level, input_slew_ns=0.06, wire_ff=40.0)
    power = cell_power(sim, activity, timing)
    names = netlist.net_names
    m, n = names.index("m"), names.index("n")
    load = library[cell].pins[pin].capacitance_ff + 40.0
    assert timing.load_ff[n] == pytest.approx(load)
    assert power.switching_uw[n] == pytest.approx(0.5 * load * library.voltage_v**2 * 0.05)
    energy = 0.0
    for arc in library[cell].power:
        for table in (arc.rise, arc.fall):
            assert table is not None
            look = scipy.interpolate.RegularGridInterpolator((table.slew_ns, table.load_ff), table.values)
            energy += look((timing.slew_ns[m], load)).item() / 2
    index = next(c for c in range(3) if netlist.cell_name(c) == "v")
    assert power.internal_uw[index] == pytest.approx(0.05 * energy)
    assert energy > 0


def test_half_cv2_is_what_the_supply_gives(tmp_path: Path) -> None:
    """C V^2 per rise, from the charge drawn: n toggles are n / 2 rises."""
    netlist, library = design("module d (input a, output y); INV u (.A(a), .Y(y)); endmodule", tmp_path)
    sim = GateSimulator(netlist, library, words=1)
    activity = activity_of(sim, lanes(0.0), lanes(1.0))
    timing = propagate(netlist, library, sim.level, wire_ff=30.0)
    charge_fc = 30.0 * 1.0
    rises_per_ns = activity.toggles_per_ns[netlist.ports["y"].nets[0]] / 2
    power = cell_power(sim, activity, timing)
    assert power.switching_uw.sum() == pytest.approx(charge_fc * 1.0 * rises_per_ns)
    # at another supply the energy goes with its square
    assert cell_power(sim, activity, timing, voltage_v=0.5).switching_uw.sum() == pytest.approx(
        power.switching_uw.sum() / 4
    )


# --- loads and delays -------------------------------------------------------------------------------------------------


def test_wire_load_of_nangate45() -> None:
    found = wire_load(library_or_skip("nangate45").liberty[0])
    assert isinstance(found, WireLoad)
    assert found.name == "5K_hvratio_1_1"
    assert found.of(np.array([0]))[0] == 0
    text = (
        library_or_skip("nangate45")
        .liberty[0]
        .read_text()
        .partition('wire_load("5K_hvratio_1_1")')[2]
        .partition("}")[0]
    )
    assert f"{found.lengths[3]:.4f}" in text
    slope = float(text.partition("slope")[2].partition(":")[2].partition(";")[0])
    most = max(found.lengths)
    length = found.lengths[most] + 3 * slope
    assert found.of(np.array([most + 3]))[0] == pytest.approx(length)


def test_toy_library_has_no_wire_load(tmp_path: Path) -> None:
    (tmp_path / "toy.lib").write_text(TOY)
    assert wire_load(tmp_path / "toy.lib") is None


def test_loads_and_fanouts(tmp_path: Path) -> None:
    netlist, library = design(
        "module d (input a, output y, z); INV u (.A(a), .Y(y)); NAND v (.A(y), .B(y), .Y(z)); endmodule", tmp_path
    )
    y = netlist.ports["y"].nets[0]
    assert pin_loads(netlist, library)[y] == pytest.approx(4 + 5)
    assert fanouts(netlist, library)[y] == 3
    assert net_loads(netlist, library).tolist() == pin_loads(netlist, library).tolist()
    # a net that a tree will drive keeps the transition time of the tree, whoever drives it here
    level = topological_levels(netlist, library)
    held = propagate(netlist, library, level, fixed_slew_ns={int(y): 0.5})
    assert (held.rise_ns[y], held.fall_ns[y]) == (0.5, 0.5)
    assert propagate(netlist, library, level).rise_ns[y] < 0.1
    # what is tied to a constant loads it as any net
    tied, library = design("module d (input a, output y); NAND v (.A(1'b0), .B(a), .Y(y)); endmodule", tmp_path)
    assert pin_loads(tied, library)[:2].tolist() == [pytest.approx(4), 0]


RANDOM_CELLS = 120


def _random_netlist(seed: int, cells: int = RANDOM_CELLS) -> str:
    rng = np.random.default_rng(seed)
    wires = [f"x[{i}]" for i in range(6)]
    lines = []
    for cell in range(cells):
        picks = rng.choice(len(wires), 2)
        recent = wires[max(0, len(wires) - 12) :]
        a, b = wires[picks[0]], recent[rng.integers(len(recent))]
        kind = rng.integers(4)
        if kind == 0:
            lines.append(f"INV u{cell} (.A({b}), .Y(n{cell}));")
        elif kind == 1:
            lines.append(f"BUF u{cell} (.A({b}), .Y(n{cell}));")
        else:
            lines.append(f"NAND u{cell} (.A({a}), .B({b}), .Y(n{cell}));")
        wires.append(f"n{cell}")
    declared = ", ".join(f"n{cell}" for cell in range(cells))
    return f"module d (input [5:0] x, output {declared}); {' '.join(lines)} endmodule"


def _event_queue(
    netlist: Netlist, library: PowerLibrary, delays: Mapping[tuple[str, str, str], np.ndarray], before: np.ndarray,
    after: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Inertial-delay simulation with a heap and dictionaries; of events of one instant the last that was planned is
    first, and a net tells its readers one after the other."""
    function = {"INV": lambda v: 1 - v["A"], "BUF": lambda v: v["A"], "NAND": lambda v: 1 - (v["A"] & v["B"])}
    value = before.astype(int)
    gates: list[tuple[str, int, dict[str, int], int]] = []
    readers: dict[int, list[tuple[int, str]]] = {}
    for group in netlist.groups.values():
        for index in range(len(group.cells)):
            for pin in library[group.type].inputs:
                readers.setdefault(int(group.pin(pin)[index]), []).append((len(gates), pin))
            state = {pin: int(value[group.pin(pin)[index]]) for pin in library[group.type].inputs}
            gates.append((group.type, index, state, int(group.pin("Y")[index])))
    toggles = np.zeros(len(before), int)
    starts = [int(net) for net in netlist.ports["x"].nets if before[net] != after[net]]
    queue = [(0, -ticket, None, net) for ticket, net in enumerate(sorted(starts))]
    tickets = len(queue)
    pending: dict[int, int] = {}
    heapq.heapify(queue)
    while queue:
        now, ticket, gate, net = heapq.heappop(queue)
        if gate is not None:
            if pending.get(gate) != ticket:
                continue
            del pending[gate]
        value[net] ^= 1
        toggles[net] += 1
        for reader, pin in readers.get(net, []):
            kind, index, state, out = gates[reader]
            state[pin] ^= 1
            new = function[kind](state)
            if new == value[out]:
                pending.pop(reader, None)
            elif reader not in pending:
                wait = max(round(delays[kind, pin, "Y"][index, 0 if new else 1] * 1000), 1)
                tickets += 1
                pending[reader] = -tickets
                heapq.heappush(queue, (now + wait, -tickets, reader, out))
    return toggles


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_glitches_against_an_event_queue(seed: int, tmp_path: Path) -> None:
    netlist, library = design(_random_netlist(seed), tmp_path)
    sim = GateSimulator(netlist, library, words=1)
    rng = np.random.default_rng(seed)
    # loads that differ widely make delays that differ: no two events at one instant by accident
    timing = propagate(netlist, library, sim.level, wire_ff=rng.uniform(0, 400, netlist.nets))
    replay = DelaySimulator(sim, timing)
    excess = 0
    for _ in range(12):
        bits = rng.integers(0, 2, (2, 6, 64)).astype(bool)
        activity = activity_of(sim, bits[0], bits[1])
        before, after = ((rows[:, 0] & np.uint64(1)).astype(bool) for rows in (activity.before, activity.after))
        toggles = replay.replay(before, after)
        np.testing.assert_array_equal(
            toggles[: netlist.nets], _event_queue(netlist, library, timing.delays, before, after)[: netlist.nets]
        )
        change = (before != after)[: netlist.nets]
        toggles = toggles[: netlist.nets]
        assert ((toggles - change) % 2 == 0).all()
        excess += int((toggles - change).sum())
    assert excess > 20


def test_events_of_one_instant_against_an_event_queue(tmp_path: Path) -> None:
    """Delays of 1 to 3 ps: most events share their instant with others, and many are taken back before it comes."""
    excess = 0
    for cells in (4, 12, 40):
        netlist, library = design(_random_netlist(cells, cells), tmp_path)
        sim = GateSimulator(netlist, library, words=1)
        rng = np.random.default_rng(cells)
        timing = propagate(netlist, library, sim.level)
        for _ in range(60):
            delays = {key: rng.integers(1, 4, found.shape) / 1000 for key, found in timing.delays.items()}
            replay = DelaySimulator(sim, replace(timing, delays=delays))
            bits = rng.integers(0, 2, (2, 6, 64)).astype(bool)
            activity = activity_of(sim, bits[0], bits[1])
            before, after = ((rows[:, 0] & np.uint64(1)).astype(bool) for rows in (activity.before, activity.after))
            toggles = replay.replay(before, after)[: netlist.nets]
            expected = _event_queue(netlist, library, delays, before, after)[: netlist.nets]
            np.testing.assert_array_equal(toggles, expected)
            excess += int((toggles > 1).sum())
    assert excess > 40


TIMED = """
  cell (TLATCH) {
    area : 3;
    latch (IQ, IQN) { data_in : "D"; enable : "G"; }
    pin (D) { direction : input; capacitance : 0.01; }
    pin (G) { direction : input; capacitance : 0.01; }
    pin (Q) { direction : output; function : "IQ";
      timing () { related_pin : "G"; timing_type : rising_edge;
        cell_rise (slew_load) { values ("7, 7", "7, 7"); } cell_fall (slew_load) { values ("7, 7", "7, 7"); }
        rise_transition (slew_load) { values ("1, 1", "1, 1"); }
        fall_transition (slew_load) { values ("1, 1", "1, 1"); } }
      timing () { related_pin : "D"; timing_sense : positive_unate;
        cell_rise (slew_load) { values ("4, 4", "4, 4"); } cell_fall (slew_load) { values ("4, 4", "4, 4"); }
        rise_transition (slew_load) { values ("1, 1", "1, 1"); }
        fall_transition (slew_load) { values ("1, 1", "1, 1"); } } }
  }
"""


def test_when_registers_and_latches_let_go(tmp_path: Path) -> None:
    """A latch opens in the middle of the clock and takes 70 ps from there, or 40 ps from data that is later.

    A flip-flop's output moves after its delay from the clock, to the picosecond, and so does what follows it.
    """
    text = ("module d (input ck, x, output q, p, y); wire g; INV i (.A(ck), .Y(g)); TLATCH l (.D(x), .G(g), .Q(p)); "
            "DFF f (.D(x), .CK(ck), .RN(1'b1), .Q(q)); INV u (.A(q), .Y(y)); endmodule")  # fmt: skip
    netlist, library = design(text, tmp_path, cells=TIMED)
    sim = GateSimulator(netlist, library, words=1, clock="ck")
    assert sim.low_latches.sum() == 1
    wires = np.zeros(netlist.nets)
    nets = {name: int(netlist.ports[name].nets[0]) for name in ("x", "q", "p", "y")}
    wires[nets["q"]] = 6000.0
    timing = propagate(netlist, library, sim.level, wire_ff=wires, input_slew_ns=0.0)
    found = arrivals(sim, timing, 10.0)
    assert found[nets["p"]] == pytest.approx(10.0 + 0.07)
    # table of the flip-flop: 50 ps, and 20 ps more for each 100 fF
    first = 0.05 + 0.02 * (6000.0 + 2.0) / 100
    second = timing.delays["INV", "A", "Y"][list(netlist.groups["INV"].pin("Y")).index(nets["y"])]
    assert found[nets["q"]] == pytest.approx(first)
    replay = DelaySimulator(sim, timing, opens_ns=10.0)

    def states(x: int, q: int) -> np.ndarray:
        sim.set_port("x", np.full((1, 1), x, np.uint64))
        sim.state = np.full_like(sim.state, q)
        sim.settle()
        return (sim.values[:, 0] & np.uint64(1)).astype(bool)

    for q in (0, 1):  # the output of the flip-flop rises, then falls
        before, after = states(0, 1 - q), states(0, q)
        toggles = replay.replay(before, after)
        assert (toggles[nets["q"]], toggles[nets["y"]], toggles[nets["p"]]) == (1, 1, 0)
        assert replay.last_ps == round(1000 * first) + round(1000 * second[1 if q else 0])
    toggles = replay.replay(states(0, 0), states(1, 0))
    assert (toggles[nets["q"]], toggles[nets["p"]]) == (0, 1)
    assert replay.last_ps == 10_000 + 70


def test_a_latch_that_is_open_from_the_edge_on_passes_what_comes_then(tmp_path: Path) -> None:
    """Behind a flip-flop it moves 40 ps after that; behind a port, which moves at the edge, 70 ps after its clock."""
    text = ("module d (input ck, x, output q, p, r); DFF f (.D(x), .CK(ck), .RN(1'b1), .Q(q)); "
            "TLATCH l (.D(q), .G(ck), .Q(p)); TLATCH m (.D(x), .G(ck), .Q(r)); endmodule")  # fmt: skip
    netlist, library = design(text, tmp_path, cells=TIMED)
    sim = GateSimulator(netlist, library, words=1, clock="ck")
    assert sim.latches.sum() == 2
    assert not sim.low_latches.any()
    nets = {name: int(netlist.ports[name].nets[0]) for name in ("x", "q", "p", "r")}
    timing = propagate(netlist, library, sim.level, input_slew_ns=0.0)
    first = float(timing.delays["DFF", "CK", "Q"].max())
    replay = DelaySimulator(sim, timing, opens_ns=5.0)
    for x in (1, 0):
        before = (sim.values[:, 0] & np.uint64(1)).astype(bool)
        sim.set_port("x", np.full((1, 1), x, np.uint64))
        sim.settle()
        sim.edge()
        sim.settle()
        after = (sim.values[:, 0] & np.uint64(1)).astype(bool)
        assert [bool(after[nets[name]]) for name in ("q", "p", "r")] == [bool(x)] * 3
        toggles = replay.replay(before, after)
        assert [toggles[nets[name]] for name in ("q", "p", "r")] == [1, 1, 1]
        assert replay.last_ps == round(1000 * max(first + 0.04, 0.07))


def test_scatter_is_one_factor_for_each_gate(tmp_path: Path) -> None:
    """Rise and fall of a buffer take equally long; with a factor they do, too, and the factors spread as asked."""
    count = 300
    cells = " ".join(f"BUF u{k} (.A(x[{k}]), .Y(y[{k}]));" for k in range(count))
    netlist, library = design(
        f"module d (input [{count - 1}:0] x, output [{count - 1}:0] y); {cells} endmodule", tmp_path
    )
    sim = GateSimulator(netlist, library, words=1)
    timing = propagate(netlist, library, sim.level, port_load_ff=5000.0, input_slew_ns=0.0)
    replay = DelaySimulator(sim, timing, scatter=0.2)
    plain = 1000 * float(timing.delays["BUF", "A", "Y"].max())
    x, factors = netlist.ports["x"].nets, []
    sim.set_port("x", np.zeros((count, 1), np.uint64))
    sim.evaluate()
    low = (sim.values[:, 0] & np.uint64(1)).astype(bool)
    for k in range(count):
        high = low.copy()
        high[x[k]] = high[netlist.ports["y"].nets[k]] = True
        replay.replay(low, high)
        rise = replay.last_ps
        replay.replay(high, low)
        assert replay.last_ps == rise
        factors.append(rise / plain)
    assert np.mean(factors) == pytest.approx(1, abs=0.04)
    assert np.std(factors) == pytest.approx(0.2, abs=0.03)


def test_latches_hold_a_hazard_back(tmp_path: Path) -> None:
    """The same hazard: with both inputs behind latches that open in the middle of the clock there is no pulse, and what
    the output does when it has to move it does after the latches have opened."""
    latches = "INV i (.A(ck), .Y(g)); LATCH l (.D(a), .G(g), .Q(p)); LATCH m (.D(n), .G(g), .Q(k));"
    plain = "BUF l (.A(a), .Y(p)); BUF m (.A(n), .Y(k));"
    found = {}
    for name, between in (("latched", latches), ("plain", plain)):
        text = f"""module {name} (input ck, a, b, output n, y, z); wire g, p, k;
          INV u (.A(a), .Y(n)); {between} NAND v (.A(p), .B(k), .Y(y)); NAND w (.A(p), .B(b), .Y(z)); endmodule"""
        netlist, library = design(text, tmp_path)
        sim = GateSimulator(netlist, library, words=1, clock="ck")
        wires = np.zeros(netlist.nets)
        wires[int(netlist.ports["n"].nets[0])] = 200.0
        timing = propagate(netlist, library, sim.level, wire_ff=wires, input_slew_ns=0.0)
        replay = DelaySimulator(sim, timing, opens_ns=12.5)
        sim.set_port("b", np.ones((1, 1), np.uint64))
        states = []
        for value in (0, 1):
            sim.set_port("a", np.full((1, 1), value, np.uint64))
            sim.settle()
            states.append((sim.values[:, 0] & np.uint64(1)).astype(bool))
        toggles = replay.replay(*states)
        found[name] = {port: int(toggles[netlist.ports[port].nets[0]]) for port in "nyz"}
        # the middle of the clock, or at once
        assert 0 < replay.last_ps - (12_500 if name == "latched" else 0) < 200
    assert found == {"latched": {"n": 1, "y": 0, "z": 1}, "plain": {"n": 1, "y": 2, "z": 1}}


def test_a_hazard_that_paper_predicts(tmp_path: Path) -> None:
    """a NAND (not a): one pulse when a rises, if the pulse outlasts the gate; none when the gate is slow."""
    text = "module d (input a, output n, y); INV u (.A(a), .Y(n)); NAND g (.A(a), .B(n), .Y(y)); endmodule"
    netlist, library = design(text, tmp_path)
    sim = GateSimulator(netlist, library, words=1)
    y, n = (int(netlist.ports[name].nets[0]) for name in "yn")
    for wire_n, expected in ((200.0, 2), (0.0, 0)):
        wires = np.zeros(netlist.nets)
        wires[n] = wire_n
        timing = propagate(netlist, library, sim.level, wire_ff=wires, input_slew_ns=0.0)
        activity = activity_of(sim, lanes(0.0), lanes(1.0))
        found = glitches(sim, activity, timing, clocks=4)
        assert found.delayed[y] == 4 * expected
        assert found.settled[y] == 0
        assert found.clocks == 4
    # inverter 10 ps * (1 + 2 * 2.05), NAND 20 ps, in tables whose values count 10 ps
    fast = timing.delays[("NAND", "A", "Y")][0, 1]
    assert fast == pytest.approx(0.02)


# --- clock tree and summary -------------------------------------------------------------------------------------------


def test_length_of_random_trees() -> None:
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(6):
        points = rng.random((800, 2))
        ratios.append(minimum_spanning_tree(cdist(points, points, "cityblock")).sum() / sqrt(800))
    assert np.mean(ratios) == pytest.approx(TREE_LENGTH, abs=0.015)


def test_clock_tree_by_hand(tmp_path: Path) -> None:
    (tmp_path / "toy.lib").write_text(TOY)
    library = read_power_library([tmp_path / "toy.lib"])
    # no wires: BUF gives 10 + 40 * load / 100 ps; 30 ps allow 50 fF, filled to 0.8: 40 fF = 40 sinks of 1 fF
    tree = clock_tree(
        library, sinks=400, sink_ff=1.0, area_um2=1e4, wire_ff_per_um=0.0, slew_ns=0.03, usable=["INV", "BUF", "NAND"]
    )
    assert tree.buffer == "BUF"
    # 10 leaves; a buffer takes 2 fF, so one drives 20: a single root above
    assert tree.levels == (10, 1)
    assert tree.sinks_per_buffer == 40
    assert tree.pin_ff == pytest.approx(400 + 10 * 2)
    # per clock: C V^2, and two transitions of (6 + 2 * 0.03 / 0.1) fJ of each buffer
    assert tree.energy_fj == pytest.approx(420 + 11 * 2 * 6.6)
    assert tree.leakage_nw == pytest.approx(11 * 4)
    assert tree.area_um2 == pytest.approx(11 * 1.5)
    wired = clock_tree(library, sinks=400, sink_ff=1.0, area_um2=1e4, wire_ff_per_um=0.1, slew_ns=0.03, usable=["BUF"])
    # leaf wires: 0.82 * sqrt(400 * 1e4) um; per sink 1 fF + 0.41 fF, so 28 a buffer, 15 leaves. Above, per buffer
    # 2 fF + 2.12 fF, so 9: two, and a root
    assert wired.levels == (15, 2, 1)
    assert wired.wire_um == pytest.approx(TREE_LENGTH * (sqrt(400 * 1e4) + sqrt(15 * 1e4) + sqrt(2 * 1e4)))
    with pytest.raises(ValueError, match="no buffer"):
        clock_tree(library, sinks=9, sink_ff=90, area_um2=1, wire_ff_per_um=0, slew_ns=0.03, usable=["BUF"])


def test_summary_adds_up_and_names_what_it_rests_on(tmp_path: Path) -> None:
    flops = " ".join(f"DFF f{i} (.D(x[{i}]), .CK(ck), .RN(1'b1), .Q(q[{i}]));" for i in range(40))
    netlist, library = design(f"module d (input ck, input [39:0] x, output [39:0] q); {flops} endmodule", tmp_path)
    sim = GateSimulator(netlist, library, words=1)
    rng = np.random.default_rng(6)
    bits = rng.integers(0, 2, (2, 41, 64)).astype(bool)
    bits[:, 0] = False
    activity = activity_of(sim, bits[0], bits[1])
    activity.toggles_per_ns[netlist.ports["ck"].nets] = 0.2
    wires = Wires(ff=np.zeros(netlist.nets), ohm=np.zeros(netlist.nets), ff_per_um=0.1, core_um2=400.0, source="test")
    view = prepare(netlist, library, sim.level, wires, trees=["ck"], tree_slew_ns=0.03)
    summary = summarise(sim, activity, view, usable=["BUF"], glitch_clocks=8)
    result = summary.to_dict()
    assert result["power_uw"]["total"] == pytest.approx(sum(v for k, v in result["power_uw"].items() if k != "total"))
    assert result["energy_per_clock_pj"] == pytest.approx(result["power_uw"]["total"] * 10 / 1000)
    assert list(summary.trees) == ["ck"]
    tree = summary.trees["ck"]
    assert tree.sinks == 40
    # nothing but flip-flops: no glitch
    assert summary.glitch_factor == pytest.approx(1)
    assert result["power_uw"]["glitches"] == pytest.approx(0)
    assert {row["step"] for row in result["uncertainty"]} == {
        "stimulus statistics", "internal energy by cause", "wire capacitance", "clock tree", "glitches",
    }  # fmt: skip
    for row in result["uncertainty"]:
        assert row["low_uw"] <= summary.total_uw <= row["high_uw"]
    assert summary.notes == ()
    power = cell_power(sim, activity, view.timing)
    assert summary.kind("clock_pins") == pytest.approx(power.clock_pin_uw.sum())
    assert result["power_uw"]["clock_tree"] == pytest.approx(tree.energy_fj / 10 + tree.leakage_nw / 1000)
    plain = summarise(sim, activity, view, usable=["BUF"])
    assert any("glitches are not estimated" in note for note in plain.notes)


def test_arrivals_through_a_register_and_a_chain(tmp_path: Path) -> None:
    """From a flip-flop's own delay through two inverters; a port counts from the edge."""
    text = ("module d (input ck, x, output y, z); wire q, a; DFF f (.D(x), .CK(ck), .RN(1'b1), .Q(q)); "
            "INV u (.A(q), .Y(a)); INV v (.A(a), .Y(y)); INV w (.A(x), .Y(z)); endmodule")  # fmt: skip
    netlist, library = design(text, tmp_path)
    sim = GateSimulator(netlist, library, words=1)
    timing = propagate(netlist, library, sim.level, wire_ff=7.0, wire_ohm=3000.0, fixed_slew_ns={2: 0.0})
    delay = {key: float(found[0].max()) for key, found in timing.delays.items() if key[0] == "DFF"}
    inverters = netlist.groups["INV"]
    step = {int(net): float(timing.delays["INV", "A", "Y"][k].max()) for k, net in enumerate(inverters.pin("Y"))}
    found = arrivals(sim, timing, 10.0)
    q, a, y, z = (netlist.net_names.index(name) for name in "qayz")
    assert found[q] == pytest.approx(delay["DFF", "CK", "Q"])
    assert found[a] == pytest.approx(found[q] + step[a])
    assert found[y] == pytest.approx(found[a] + step[y])
    assert found[z] == pytest.approx(step[z])


def test_slow_nets_are_extrapolated_and_said(tmp_path: Path) -> None:
    """An inverter far beyond its tables: the slope of their border goes on, nothing is held at max_transition."""
    netlist, library = design("module d (input a, output y); INV u (.A(a), .Y(y)); endmodule", tmp_path)
    sim = GateSimulator(netlist, library, words=1)
    heavy = Wires(ff=np.full(netlist.nets, 5000.0), ohm=np.zeros(netlist.nets), ff_per_um=0.1, core_um2=1.0, source="t")
    view = prepare(netlist, library, sim.level, heavy)
    table = next(arc for arc in library["INV"].timing if arc.pin == "Y").transition[0]
    assert table is not None
    last, before = (float(table.at(0.05, load)) for load in (table.load_ff[-1], table.load_ff[-2]))
    slope = (last - before) / (table.load_ff[-1] - table.load_ff[-2])
    y = int(netlist.ports["y"].nets[0])
    assert view.timing.rise_ns[y] == pytest.approx(last + slope * (5000.0 - table.load_ff[-1]))
    assert view.timing.rise_ns[y] > (library.max_transition_ns or 0) > 0
    activity = activity_of(sim, np.zeros((1, 64), bool), np.ones((1, 64), bool))
    (note, *_) = summarise(sim, activity, view, usable=["BUF"]).notes
    assert "1 of 2 nets are slower than the library's largest transition time of 0.5 ns" in note


def test_levels_follow_the_longest_way(tmp_path: Path) -> None:
    netlist, library = design(
        "module d (input a, output y); wire m, n; INV u (.A(a), .Y(m)); INV v (.A(m), .Y(n));"
        " NAND w (.A(a), .B(n), .Y(y)); endmodule", tmp_path,
    )  # fmt: skip
    level = topological_levels(netlist, library)
    assert {netlist.cell_name(c): int(level[c]) for c in range(3)} == {"u": 0, "v": 1, "w": 2}
