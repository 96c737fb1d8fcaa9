"""Gate-level simulation against Python integers: logic, storage, toggles, faults."""

from pathlib import Path

import numpy as np
import pytest

from flows.library.functions import truth_table
from flows.library.power_library import read_power_library
from flows.netlist.gate_simulation import GateSimulator, ToggleCounter, from_lanes, to_lanes
from flows.netlist.netlist import NetlistError, netlist_from_json, read_netlist
from tests.flows.conftest import library_or_skip
from tests.flows.toy_library import TOY


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.lib"
    path.write_text(TOY)
    return path


def simulator(verilog: str, toy: Path, **options: object) -> GateSimulator:
    path = toy.parent / "design.v"
    path.write_text(verilog)
    return GateSimulator(read_netlist(path, liberty=[toy]), read_power_library([toy]), **options)  # type: ignore[arg-type]


def drive(sim: GateSimulator, name: str, values: np.ndarray) -> None:
    """One integer per stream onto a port."""
    width = len(sim.netlist.ports[name].nets)
    sim.set_port(name, from_lanes((values[None, :] >> np.arange(width)[:, None]) & 1))


def read(sim: GateSimulator, name: str) -> np.ndarray:
    bits = to_lanes(sim.values[sim.netlist.ports[name].nets])
    return (bits.astype(np.int64) << np.arange(len(bits))[:, None]).sum(0)


@pytest.mark.parametrize("name", ["nangate45", "osu018"])
def test_every_combinational_cell_of_a_library(name: str) -> None:
    """One instance of each cell; expected values come from its truth table, an integer evaluated elsewhere."""
    library = library_or_skip(name)
    names = [c for c in library.of_kind("combinational") if len(library.cells[c].inputs) <= 8]
    assert len(names) > 15
    bit = iter(range(2, 1 << 20))
    ports, cells = {}, {}
    for cell in names:
        pins = {pin: [next(bit)] for pin in (*library.cells[cell].inputs, *library.cells[cell].functions)}
        cells[f"u_{cell}"] = {"type": cell, "connections": pins}
        for pin, bits in pins.items():
            direction = "input" if pin in library.cells[cell].inputs else "output"
            ports[f"{cell}_{pin}"] = {"direction": direction, "bits": bits}
    data = {"modules": {"all": {"ports": ports, "cells": cells, "netnames": {}, "attributes": {}}}}
    sim = GateSimulator(netlist_from_json(data), read_power_library(library.liberty), words=4)
    rng = np.random.default_rng(1)
    stimulus = {p: rng.integers(0, 2, 256) for p, port in ports.items() if port["direction"] == "input"}
    for port, values in stimulus.items():
        drive(sim, port, values)
    sim.settle()
    for cell in names:
        inputs = library.cells[cell].inputs
        row = sum(stimulus[f"{cell}_{pin}"] << index for index, pin in enumerate(inputs))
        for pin, function in library.cells[cell].functions.items():
            table = truth_table(function, inputs)
            expected = np.array([table >> int(r) & 1 for r in row])
            np.testing.assert_array_equal(read(sim, f"{cell}_{pin}"), expected, err_msg=f"{cell}.{pin}")


def test_functions_of_many_operators(toy: Path) -> None:
    """AOI222 as gf180mcu writes it: eight minterms of six pins, 47 operators. Expected values are Python's."""
    terms = " | ".join(f"(!{a} & !{b} & !{c})" for a in ("A1", "A2") for b in ("B1", "B2") for c in ("C1", "C2"))
    assert terms.count("&") + terms.count("|") + terms.count("!") == 47
    pins = "".join(f"pin ({name}) {{ direction : input; capacitance : 0.01; }}" for name in
                   ("A1", "A2", "B1", "B2", "C1", "C2"))  # fmt: skip
    cell = f'cell (AOI222) {{ area : 9; {pins} pin (Z) {{ direction : output; function : "{terms}"; }} }}'
    toy.write_text(TOY.rstrip().removesuffix("}") + cell + "}\n")
    ports = ("a1", "a2", "b1", "b2", "c1", "c2")
    path = toy.with_name("m.v")
    path.write_text(f"module m (input {', '.join(ports)}, output z); AOI222 u ("
                    f"{', '.join(f'.{p.upper()}({p})' for p in ports)}, .Z(z)); endmodule")  # fmt: skip
    sim = GateSimulator(read_netlist(path, liberty=[toy]), read_power_library([toy]), words=1)
    rows = np.arange(64)
    for k, port in enumerate(ports):
        drive(sim, port, rows >> k & 1)
    sim.settle()
    a, b, c = ((rows >> 2 * k & 1) & (rows >> 2 * k + 1 & 1) for k in range(3))
    np.testing.assert_array_equal(read(sim, "z"), 1 - (a | b | c))


COUNTER = """
module counter (input ck, rn, en, output [1:0] q);
  wire n0, n1, t, a, b, c, e0, x0, x1, x2;
  // q0 ^= en; q1 ^= en & q0, of NANDs alone
  NAND g0 (.A(q[0]), .B(en), .Y(x0)); NAND g1 (.A(q[0]), .B(x0), .Y(x1)); NAND g2 (.A(en), .B(x0), .Y(x2));
  NAND g3 (.A(x1), .B(x2), .Y(n0));
  INV  g4 (.A(x0), .Y(t));
  NAND g5 (.A(q[1]), .B(t), .Y(a)); NAND g6 (.A(q[1]), .B(a), .Y(b)); NAND g7 (.A(t), .B(a), .Y(c));
  NAND g8 (.A(b), .B(c), .Y(n1));
  DFF f0 (.D(n0), .CK(ck), .RN(rn), .Q(q[0]));
  DFF f1 (.D(n1), .CK(ck), .RN(rn), .Q(q[1]));
endmodule
"""


def test_counter_with_enable_and_reset_in_128_streams(toy: Path) -> None:
    sim = simulator(COUNTER, toy, words=2)
    assert sim.clock == "ck"
    rng = np.random.default_rng(2)
    counter = ToggleCounter(sim, 100)
    state = np.zeros(128, np.int64)
    toggles, last, ones = 0, state.copy(), 0
    drive(sim, "rn", np.zeros(128, int))
    drive(sim, "en", np.zeros(128, int))
    sim.step()
    sim.settle()
    counter.start()
    for _ in range(40):
        enable, reset = rng.integers(0, 2, 128), rng.integers(0, 8, 128) > 0
        drive(sim, "en", enable)
        drive(sim, "rn", reset.astype(int))
        sim.settle()
        state = np.where(reset, state, 0)
        np.testing.assert_array_equal(read(sim, "q"), state)
        counter.add()
        toggles += int(((state ^ last)[:100] & 1).sum())
        ones += int((state[:100] & 1).sum())
        last = state.copy()
        sim.edge()
        state = np.where(reset, (state + enable) % 4, 0)
    net = sim.netlist.ports["q"].nets[0]
    assert counter.toggles[net] == toggles > 500
    assert counter.ones[net] == ones
    assert counter.cycles == 4000


def test_falling_edges_latches_and_clock_gates(toy: Path) -> None:
    sim = simulator(
        """module m (input ck, d, e, output late, transparent, gated);
          wire g;
          NDFF n (.D(d), .CK(ck), .Q(late));
          LATCH l (.D(d), .G(e), .Q(transparent));
          GATE c (.CK(ck), .E(e), .GCK(g));
          DFF f (.D(d), .CK(g), .RN(1'b1), .Q(gated));
        endmodule""",
        toy,
        words=1,
        clock="ck",
    )
    rng = np.random.default_rng(3)
    late = transparent = gated = np.zeros(64, np.int64)
    previous = None
    for _ in range(30):
        d, e = rng.integers(0, 2, 64), rng.integers(0, 2, 64)
        # the clock falls before the inputs change: a falling-edge flip-flop takes the data of the clock that ends
        if previous is not None:
            late = previous
        drive(sim, "d", d)
        drive(sim, "e", e)
        sim.settle()
        transparent = np.where(e, d, transparent)
        np.testing.assert_array_equal(read(sim, "transparent"), transparent)
        np.testing.assert_array_equal(read(sim, "gated"), gated)
        np.testing.assert_array_equal(read(sim, "late"), late)
        sim.edge()
        gated = np.where(e, d, gated)
        previous = d


def test_latches_that_are_open_while_the_clock_is_low(toy: Path) -> None:
    """In front of flip-flops they change no value, cost no second evaluation, and are not part of the clock's cone."""
    body = """module m (input ck, d, e, output q, y);
          wire g, n, p, k;
          INV i (.A(ck), .Y(g));
          %s
          NAND a (.A(p), .B(k), .Y(y));
          DFF f (.D(y), .CK(ck), .RN(1'b1), .Q(q));
        endmodule"""
    latched = simulator(
        body % "LATCH l (.D(d), .G(g), .Q(p)); LATCH m (.D(e), .G(g), .Q(k));", toy, words=1, clock="ck"
    )
    plain = simulator(body % "BUF l (.A(d), .Y(p)); BUF m (.A(e), .Y(k));", toy, words=1, clock="ck")
    assert latched.low_latches.sum() == 2
    assert not latched._level_latches
    nets = {name: int(latched.netlist.ports[name].nets[0]) for name in ("ck", "y")}
    assert nets["ck"] in latched.clock_rows
    assert nets["y"] not in latched.clock_rows
    rng = np.random.default_rng(4)
    seen = []
    for _ in range(20):
        bits = {name: rng.integers(0, 2, 64) for name in ("d", "e")}
        for sim in (latched, plain):
            for name, value in bits.items():
                drive(sim, name, value)
            sim.settle()
        for name in ("q", "y"):
            np.testing.assert_array_equal(read(latched, name), read(plain, name))
        seen.append(read(latched, "y"))
        for sim in (latched, plain):
            sim.edge()
    assert 0 < np.mean(seen) < 1


def test_two_latches_in_a_ring_are_no_loop_of_logic(toy: Path) -> None:
    """A divider by two of a low and a high latch: the old way of settling them stays."""
    sim = simulator(
        """module m (input ck, output q); wire g, n, p;
          INV i (.A(ck), .Y(g)); INV j (.A(q), .Y(n));
          LATCH first (.D(n), .G(g), .Q(p)); LATCH second (.D(p), .G(ck), .Q(q));
        endmodule""",
        toy, words=1, clock="ck",
    )  # fmt: skip
    assert not sim.low_latches.any()
    values = []
    for _ in range(4):
        sim.settle()
        values.append(int(read(sim, "q")[0]))
        sim.edge()
    assert values in ([0, 1, 0, 1], [1, 0, 1, 0])


def test_upsets_and_stuck_nets_hit_their_streams_only(toy: Path) -> None:
    sim = simulator(COUNTER, toy, words=1)
    drive(sim, "rn", np.ones(64, int))
    drive(sim, "en", np.ones(64, int))
    for _ in range(5):
        sim.step()
    sim.settle()
    np.testing.assert_array_equal(read(sim, "q"), np.full(64, 1))
    # storage 1 in stream 7
    flop = [sim.netlist.cell_name(int(cell)) for cell in sim.storage_cells].index("f1")
    sim.flip_state([flop], np.array([[1 << 7]], np.uint64))
    sim.settle()
    expected = np.full(64, 1)
    expected[7] = 3
    np.testing.assert_array_equal(read(sim, "q"), expected)
    # enable stuck at 0 in stream 3, inverted (so 0 too) in stream 4
    enable = [int(sim.netlist.ports["en"].nets[0])]
    ones = np.uint64(2**64 - 1)
    keep, flip = np.array([[ones ^ np.uint64(1 << 3)]], np.uint64), np.array([[1 << 4]], np.uint64)
    sim.fault(enable, keep=keep, put=np.zeros((1, 1), np.uint64), flip=flip)
    drive(sim, "en", np.ones(64, int))
    sim.step()
    sim.settle()
    expected = (expected + 1) % 4
    expected[3] = expected[4] = 1
    np.testing.assert_array_equal(read(sim, "q"), expected)
    # an inner net stuck at 1: x0 = 1 keeps q0 = en
    names = {name: net for net, name in enumerate(sim.netlist.net_names)}
    zero = np.zeros((1, 1), np.uint64)
    sim.fault([names["x0"]], keep=zero, put=np.array([[1 << 9]], np.uint64) | zero, flip=zero)
    sim.settle()
    assert to_lanes(sim.values[[names["x0"]]])[0, 9]
    sim.fault([], keep=np.zeros((0, 1), np.uint64), put=np.zeros((0, 1), np.uint64), flip=np.zeros((0, 1), np.uint64))
    drive(sim, "en", np.ones(64, int))
    sim.settle()
    q = read(sim, "q")
    np.testing.assert_array_equal(to_lanes(sim.values[[names["x0"]]])[0], 1 - (q & 1))


def test_one_word_and_many_agree(toy: Path) -> None:
    one, many = simulator(COUNTER, toy, words=1), simulator(COUNTER, toy, words=3)
    rng = np.random.default_rng(4)
    for _ in range(20):
        values = rng.integers(0, 2, 64)
        for sim in (one, many):
            lanes = np.tile(values, sim.words)
            drive(sim, "en", lanes)
            drive(sim, "rn", np.ones_like(lanes))
            sim.step()
    np.testing.assert_array_equal(one.state, many.state[:, :1])
    np.testing.assert_array_equal(many.state[:, 1], many.state[:, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module m (input a, output y); wire b; NAND u (.A(a), .B(b), .Y(y)); INV v (.A(y), .Y(b)); endmodule", "loop"),
        ("module m (input a, output y); INV u (.A(a), .Y(y)); BUF v (.A(a), .Y(y)); endmodule", "driven twice"),
        (
            "module m (input a, b, d, output p, q); DFF u (.D(d), .CK(a), .Q(p)); DFF v (.CK(b), .Q(q)); endmodule",
            "clock port is not evident .*a, b",
        ),
    ],
)
def test_what_cannot_be_simulated(text: str, message: str, toy: Path) -> None:
    with pytest.raises(NetlistError, match=message):
        simulator(text, toy)


def test_unknown_clock(toy: Path) -> None:
    with pytest.raises(NetlistError, match="no one-bit input port 'clk'"):
        simulator(COUNTER, toy, clock="clk")


def test_lanes_round_trip() -> None:
    bits = np.random.default_rng(5).integers(0, 2, (3, 128)).astype(bool)
    np.testing.assert_array_equal(to_lanes(from_lanes(bits)), bits)
    assert from_lanes(np.arange(64) == 5)[0] == 32


def test_storages_by_clock_widening_and_capture(tmp_path: Path) -> None:
    """What a fault campaign builds on: two flip-flops in a row, each with a clock of its own."""
    (tmp_path / "toy.lib").write_text(TOY)
    (tmp_path / "d.v").write_text(
        "module d (input ck, fast, d, output p, q); DFF a (.D(d), .CK(ck), .RN(1'b1), .Q(p));"
        " DFF b (.D(p), .CK(fast), .RN(1'b1), .Q(q)); endmodule"
    )
    netlist = read_netlist(tmp_path / "d.v", liberty=[tmp_path / "toy.lib"])
    sim = GateSimulator(netlist, read_power_library([tmp_path / "toy.lib"]), words=1, clock=("ck", "fast"))
    names = [netlist.cell_name(int(cell)) for cell in sim.storage_cells]
    assert dict(zip(names, sim.clocked_by("fast").tolist(), strict=True)) == {"a": False, "b": True}
    assert dict(zip(names, sim.clocked_by("ck").tolist(), strict=True)) == {"a": True, "b": False}
    assert not sim.latches.any()
    place = {name: k for k, name in enumerate(names)}
    d, p = np.uint64(0b0011), np.uint64(0b0101)
    sim.set_port("d", np.full((1, 1), d))
    sim.state = np.where(np.array(names)[:, None] == "a", p, np.uint64(0))
    sim.settle()
    wide = sim.widened(3)
    np.testing.assert_array_equal(wide.values, np.repeat(sim.values, 3, axis=1))
    wide.capture(np.flatnonzero(sim.clocked_by("fast")))
    assert (wide.state[place["a"]] == p).all()
    assert (wide.state[place["b"]] == p).all()
    # the simulator that it was made from has values of its own
    assert sim.state[place["b"], 0] == 0
    again = sim.widened(2)
    again.capture()
    sim.edge()
    np.testing.assert_array_equal(again.state, np.repeat(sim.state, 2, axis=1))
    assert (again.state[place["a"]] == d).all()
    again.lower_clocks()
    assert (again.values[[int(netlist.ports[name].nets[0]) for name in ("ck", "fast")]] == 0).all()
