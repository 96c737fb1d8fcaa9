"""Activity: VCD files against counts made by hand, recordings against a VCD of the same clocks."""

from pathlib import Path

import numpy as np
import pytest

from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.gate_simulation import GateSimulator, from_lanes, population, to_lanes
from flows.netlist.netlist import Netlist, read_netlist
from flows.power.activity import ActivityError, clock_nets, complete, read_vcd, record
from tests.flows.toy_library import TOY

SHIFT = """
module shift (input ck, rn, input [1:0] d, output [1:0] q, output n);
  DFF a (.D(d[0]), .CK(ck), .RN(rn), .Q(q[0]));
  sub inner (.ck(ck), .rn(rn), .d(q[0]), .q(q[1]));
  NAND g (.A(q[0]), .B(q[1]), .Y(n));
endmodule
module sub (input ck, rn, d, output q);
  DFF b (.D(d), .CK(ck), .RN(rn), .Q(q));
endmodule
"""

HEADER = """$date today $end
$timescale 100 ps $end
$scope module tb $end
$var reg 1 ! ck $end
$scope module dut $end
$var wire 1 ! ck $end
$var wire 1 " rn $end
$var wire 2 # d [1:0] $end
$var wire 2 $ q [1:0] $end
$var wire 1 % n $end
$scope module inner $end
$var wire 1 & q $end
$upscope $end
$upscope $end
$upscope $end
$enddefinitions $end
"""


@pytest.fixture
def toy(tmp_path: Path) -> tuple[Netlist, PowerLibrary]:
    (tmp_path / "toy.lib").write_text(TOY)
    (tmp_path / "shift.v").write_text(SHIFT)
    return read_netlist(tmp_path / "shift.v", liberty=[tmp_path / "toy.lib"]), read_power_library(
        [tmp_path / "toy.lib"]
    )


BODY = """#0
$dumpvars
0!
x"
bxx #
b0 $
1%
0&
$end
#10
1"
b1 #
#50
1!
b1 $
#100
0!
b10 #
#150
1!
b10 $
1&
#200
0!
b11 #
#250
1!
b1 $
0&
#300
0!
"""


def test_counts_by_hand(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    netlist, library = toy
    path = tmp_path / "a.vcd"
    path.write_text(HEADER + BODY)
    activity = read_vcd(path, netlist, library, clock="ck")
    # 300 units of 100 ps; three rising edges
    assert activity.duration_ns == pytest.approx(30)
    assert activity.period_ns == pytest.approx(10)
    assert activity.clocks == 3
    ports = {name: netlist.ports[name].nets for name in netlist.ports}
    rate, duty = activity.toggles_per_ns, activity.duty
    assert rate[ports["ck"][0]] == pytest.approx(6 / 30)
    assert rate[ports["q"][0]] == pytest.approx(3 / 30)  # 0 1 0 1
    assert rate[ports["q"][1]] == pytest.approx(2 / 30)  # 0 0 1 0
    assert duty[ports["q"][0]] == pytest.approx((100 + 50) / 300)
    assert duty[ports["q"][1]] == pytest.approx(100 / 300)
    assert rate[ports["n"][0]] == 0
    # reset is unknown for the first 10 units: neither a toggle nor time
    assert rate[ports["rn"][0]] == 0
    assert duty[ports["rn"][0]] == pytest.approx(1)
    # d: 1 at 10, 2 at 100, 3 at 200
    assert rate[ports["d"][1]] == pytest.approx(1 / 29)
    assert duty[ports["d"][1]] == pytest.approx(200 / 290)
    assert activity.annotated[netlist.used_nets].all()


def test_kept_states_are_those_before_the_edges(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    netlist, library = toy
    path = tmp_path / "a.vcd"
    path.write_text(HEADER + BODY)
    activity = read_vcd(path, netlist, library, clock="ck")
    assert activity.pairs == 2
    q = netlist.ports["q"].nets
    before, after = (to_lanes(states[q])[:, :2] for states in (activity.before, activity.after))
    # settled before edges 1, 2, 3: q = 0, 1, 2
    assert [[int(b) for b in row] for row in before] == [[0, 1], [0, 0]]
    assert [[int(b) for b in row] for row in after] == [[1, 0], [0, 1]]


def test_scope_compression_and_missing_nets(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    import gzip

    netlist, library = toy
    path = tmp_path / "a.vcd.gz"
    lines = HEADER.replace("$var wire 1 % n $end\n", "")
    path.write_bytes(gzip.compress((lines + BODY.replace("1%\n", "")).encode()))
    activity = read_vcd(path, netlist, library, scope="tb.dut", clock="ck")
    n = netlist.ports["n"].nets[0]
    assert not activity.annotated[n]
    used = netlist.used_nets
    used[[n, netlist.ports["ck"].nets[0]]] = False
    assert activity.toggles_per_ns[n] == pytest.approx(activity.toggles_per_ns[: netlist.nets][used].mean())
    with pytest.raises(ActivityError, match="no scope 'tb.nowhere'"):
        read_vcd(path, netlist, library, scope="tb.nowhere", clock="ck")
    # the gate's states are evaluated from the flip-flops
    simulator = GateSimulator(netlist, library, words=activity.before.shape[1])
    filled = complete(activity, simulator)
    q = to_lanes(filled.before[netlist.ports["q"].nets])[:, :2]
    np.testing.assert_array_equal(to_lanes(filled.before[[n]])[0, :2], ~(q[0] & q[1]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", "no \\$enddefinitions"),
        (HEADER.replace("100 ps", "1 day") + BODY, "timescale"),
        (HEADER.replace("dut", "other").replace(" d [1:0]", " x").replace(" q", " y").replace(" rn", " z")
         .replace(" ck", " c").replace(" n $", " m $"), "no scope holds a port"),
        (HEADER, "records no time"),
        (HEADER.replace("[1:0]", "[0:1]") + BODY, "ascending"),
    ],
)  # fmt: skip
def test_unusable_files(text: str, message: str, toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    path = tmp_path / "bad.vcd"
    path.write_text(text)
    with pytest.raises(ActivityError, match=message):
        read_vcd(path, *toy, clock="ck")


def test_period_has_to_be_known(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    path = tmp_path / "a.vcd"
    path.write_text(HEADER + BODY)
    with pytest.raises(ActivityError, match="period is not evident"):
        read_vcd(path, *toy)
    assert read_vcd(path, *toy, period_ns=5).period_ns == 5
    with pytest.raises(FileNotFoundError):
        read_vcd(tmp_path / "none.vcd", *toy)


def test_a_recording_equals_the_vcd_of_the_same_clocks(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """One stream is written as a VCD by pyvcd; both ways must count the same."""
    from vcd import VCDWriter

    netlist, library = toy
    rng = np.random.default_rng(1)
    stimulus = rng.integers(0, 4, 60)
    simulator = GateSimulator(netlist, library, words=1)
    names = {"rn": 1, "d": 2, "q": 2, "n": 1}
    trace: list[dict[str, int]] = []

    def drive(sim: GateSimulator, clock: int) -> None:
        lanes = np.tile(stimulus[clock], 64)
        sim.set_port("d", from_lanes((lanes[None, :] >> np.arange(2)[:, None]) & 1))
        sim.set_port("rn", np.full((1, 1), 2**64 - 1, np.uint64))

    def watch(sim: GateSimulator, clock: int) -> None:
        row = {}
        for name in names:
            bits = to_lanes(sim.values[sim.netlist.ports[name].nets])[:, 0]
            row[name] = int((bits << np.arange(len(bits))).sum())
        trace.append(row)

    activity = record(
        simulator, drive, clocks=50, warm_up=10, lanes=1, period_ns=10, source="test", watch=watch, snapshots=3
    )
    assert activity.clocks == 50
    path = tmp_path / "r.vcd"
    with path.open("w") as file, VCDWriter(file, timescale="1 ns") as writer:
        handles = {name: writer.register_var("dut", name, "wire", size=size) for name, size in names.items()}
        clock = writer.register_var("dut", "ck", "wire", size=1, init=0)
        for number, row in enumerate(trace[9:]):
            for name, value in row.items():
                writer.change(handles[name], 10 * number, value)
            writer.change(clock, 10 * number + 5, 1)
            writer.change(clock, 10 * number + 9, 0)
        writer.close(10 * len(trace[9:]))
    read = read_vcd(path, netlist, library, clock="ck")
    for name in ("d", "q", "n"):
        for net in netlist.ports[name].nets:
            # 51 clocks in the file, 50 steps between them
            assert read.toggles_per_ns[net] * 510 == pytest.approx(activity.toggles_per_ns[net] * 500)
    assert activity.toggles_per_ns[netlist.ports["q"].nets[0]] > 0.02
    assert read.toggles_per_ns[netlist.ports["ck"].nets[0]] == pytest.approx(0.2)
    assert activity.toggles_per_ns[netlist.ports["ck"].nets[0]] == pytest.approx(0.2)


def test_many_edges_keep_a_bounded_number_of_pairs(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    lines = [HEADER]
    for number in range(1000):
        lines.append(f"#{100 * number}\n0!\nb{number % 4:b} $\n#{100 * number + 50}\n1!\n")
    path = tmp_path / "long.vcd"
    path.write_text("".join(lines) + "#100000\n")
    activity = read_vcd(path, *toy, clock="ck", max_pairs=40)
    assert 15 <= activity.pairs <= 80
    assert activity.clocks == 1000
    q = toy[0].ports["q"].nets
    before, after = (to_lanes(states[q])[:, : activity.pairs] for states in (activity.before, activity.after))
    old, new = (bits[0].astype(int) + 2 * bits[1] for bits in (before, after))
    np.testing.assert_array_equal(new, (old + 1) % 4)


def test_clock_nets_follow_buffers_and_inverters(tmp_path: Path) -> None:
    (tmp_path / "toy.lib").write_text(TOY)
    (tmp_path / "t.v").write_text(
        "module t (input ck, d, output q, r); wire a, b; BUF x (.A(ck), .Y(a)); INV y (.A(a), .Y(b));"
        " DFF f (.D(d), .CK(a), .RN(1'b1), .Q(q)); NDFF g (.D(d), .CK(b), .Q(r)); endmodule"
    )
    netlist = read_netlist(tmp_path / "t.v", liberty=[tmp_path / "toy.lib"])
    found = clock_nets(netlist, read_power_library([tmp_path / "toy.lib"]), "ck")
    names = {netlist.net_names[net]: inverted for net, inverted in found.items()}
    assert names == {"ck": False, "a": False, "b": True}


def test_population() -> None:
    words = np.random.default_rng(3).integers(0, 2**63, (20, 3)).astype(np.uint64)
    np.testing.assert_array_equal(population(words), [sum(int(w).bit_count() for w in row) for row in words])
