"""Two related clocks and clock gates: simulation against Python integers, power against a circuit solved by hand."""

from pathlib import Path

import numpy as np
import pytest

from flows.library.power_library import read_power_library
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.netlist.netlist import read_netlist
from flows.netlist.view import Wires, prepare
from flows.power.activity import Activity, ActivityError, record
from flows.power.cell_power import cell_power
from flows.power.summary import summarise
from tests.flows.toy_library import TOY

# slow: t toggles, l takes f; fast: f toggles, s takes t, h takes d behind a clock gate, 40 more stand still
CIRCUIT = f"""
module d (input ck, fast, en, d, output t, l, f, s, h, output [39:0] q);
  wire nt, nf, gated;
  INV a (.A(t), .Y(nt));
  INV b (.A(f), .Y(nf));
  GATE g (.CK(fast), .E(en), .GCK(gated));
  DFF ft (.D(nt), .CK(ck), .RN(1'b1), .Q(t));
  DFF fl (.D(f), .CK(ck), .RN(1'b1), .Q(l));
  DFF ff (.D(nf), .CK(fast), .RN(1'b1), .Q(f));
  DFF fs (.D(t), .CK(fast), .RN(1'b1), .Q(s));
  DFF fh (.D(d), .CK(gated), .RN(1'b1), .Q(h));
{"".join(f"  DFF q{i} (.D(1'b0), .CK(fast), .RN(1'b1), .Q(q[{i}]));" for i in range(40))}
endmodule
"""
PERIOD = 12.0
PULSES = 3


@pytest.fixture
def simulator(tmp_path: Path) -> GateSimulator:
    (tmp_path / "toy.lib").write_text(TOY)
    (tmp_path / "d.v").write_text(CIRCUIT)
    library = read_power_library([tmp_path / "toy.lib"])
    netlist = read_netlist(tmp_path / "d.v", liberty=[tmp_path / "toy.lib"])
    return GateSimulator(netlist, library, words=1, clock=("ck", "fast"))


def bit(sim: GateSimulator, name: str) -> np.ndarray:
    return to_lanes(sim.values[sim.netlist.ports[name].nets])[0].astype(int)


def test_coinciding_edges_are_taken_together(simulator: GateSimulator) -> None:
    """A model in integers, the edges of both clocks in the order of time."""
    sim = simulator
    assert (sim.clock, sim.clocks) == ("ck", ("ck", "fast"))
    rng = np.random.default_rng(1)
    t = ell = f = s = h = np.zeros(64, int)
    for crossing in range(20):
        en, d = rng.integers(0, 2, 64), rng.integers(0, 2, 64)
        sim.set_port("en", from_lanes(en[None]))
        sim.set_port("d", from_lanes(d[None]))
        for pulse in range(PULSES):
            sim.settle()
            expected = {"t": t, "l": ell, "f": f, "s": s, "h": h}
            for name, value in expected.items():
                np.testing.assert_array_equal(bit(sim, name), value, err_msg=f"{name} at {crossing}.{pulse}")
            last = pulse == PULSES - 1
            sim.edge(None if last else ("fast",))
            old_t, old_f = t, f
            f, s, h = 1 - old_f, old_t, np.where(en, d, h)
            if last:
                t, ell = 1 - old_t, old_f


def recorded(sim: GateSimulator) -> Activity:
    """The clock gate is open in the first 16 lanes; d is 1 everywhere."""

    def drive(_: GateSimulator, __: int) -> None:
        sim.set_port("en", from_lanes(np.arange(64)[None] < 16))
        sim.set_port("d", from_lanes(np.ones((1, 64), bool)))

    return record(
        sim, drive, clocks=8, warm_up=2, lanes=64, period_ns=PERIOD, source="test", pulses=PULSES, snapshots=8
    )


def test_rates_of_both_clocks(simulator: GateSimulator) -> None:
    activity = recorded(simulator)
    nets = {name: int(port.nets[0]) for name, port in simulator.netlist.ports.items()}
    gated = simulator.netlist.net_names.index("gated")
    per_period = {
        nets["ck"]: 2, nets["fast"]: 2 * PULSES, gated: 2 * PULSES / 4, nets["t"]: 1, nets["f"]: PULSES,
        nets["s"]: 1, nets["h"]: 0,
    }  # fmt: skip
    for net, times in per_period.items():
        assert activity.toggles_per_ns[net] * PERIOD == pytest.approx(times), simulator.netlist.net_names[net]
    # three pulses a period: f, which starts at 0, is 0 or 1 by turns before the slow edge, and l follows it
    assert activity.toggles_per_ns[nets["l"]] * PERIOD == pytest.approx(1)
    assert activity.duty[nets["ck"]] == activity.duty[nets["fast"]] == pytest.approx(0.5)
    assert activity.duty[gated] == pytest.approx(0.5 / 4)
    assert activity.clocks == 8 * 64
    assert activity.duration_ns == pytest.approx(8 * 64 * PERIOD)
    assert activity.pairs == 8 * PULSES * 64


def test_power_by_hand(simulator: GateSimulator) -> None:
    """Clock pins of the toy flip-flop: 8 fJ an edge while D = Q, (0 + 12) / 2 fJ while not, whatever the transition."""
    sim, netlist = simulator, simulator.netlist
    activity = recorded(sim)
    wires = Wires(ff=np.zeros(netlist.nets), ohm=np.zeros(netlist.nets), ff_per_um=0.1, core_um2=400.0, source="test")
    view = prepare(netlist, sim.library, sim.level, wires, trees=("ck", "fast"), tree_slew_ns=0.03)
    power = cell_power(sim, activity, view.timing)
    by_name = {netlist.cell_name(cell): power.clock_pin_uw[cell] * PERIOD for cell in range(netlist.cells)}
    assert by_name["ft"] == pytest.approx(2 * 6)
    assert by_name["ff"] == pytest.approx(2 * PULSES * 6)
    # s differs from t in the first of three steps
    assert by_name["fs"] == pytest.approx(2 * PULSES * (6 + 2 * 8) / 3)
    # d differs from h where the gate is shut; the pulses are counted behind the gate
    assert by_name["fh"] == pytest.approx(2 * PULSES / 4 * (16 * 8 + 48 * 6) / 64)
    assert by_name["q7"] == pytest.approx(2 * PULSES * 8)
    # the net behind the gate is no tree's: 1/2 C V^2 with the 1 fF of one clock pin, 1 V
    gated = netlist.net_names.index("gated")
    assert power.switching_uw[gated] == pytest.approx(0.5 * 1 * 2 * PULSES / 4 / PERIOD)
    summary = summarise(sim, activity, view, usable=["BUF"], glitch_clocks=24)
    # 42 flip-flops and the gate hang on the fast clock; two flip-flops need no tree
    assert {clock: tree.sinks for clock, tree in summary.trees.items()} == {"fast": 43}
    tree = summary.trees["fast"]
    assert summary.clock_tree_uw == pytest.approx(tree.energy_fj * PULSES / PERIOD + tree.leakage_nw / 1000)
    assert summary.notes[-1] == "the tree of clock ck is the netlist's own"
    assert summary.glitch_factor == pytest.approx(1)


def test_pulses_need_a_second_clock(simulator: GateSimulator, tmp_path: Path) -> None:
    alone = GateSimulator(simulator.netlist, simulator.library, words=1, clock="ck")
    with pytest.raises(ActivityError, match="3 pulses in a period of the clocks ck"):
        recorded(alone)
