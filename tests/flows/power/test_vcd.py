"""VCD files against counts made by hand and recordings of the same clocks; cut, malformed and mutated ones."""

import gzip
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.netlist.netlist import Netlist, read_netlist
from flows.power import vcd
from flows.power.activity import Activity, ActivityError, complete, record
from flows.power.vcd import read_vcd
from tests.flows.mutations import MUTATIONS, mutated, read_or_refused
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
        ("hello\n", "no VCD file: line 1: expected a declaration, got 'hello'"),
        (HEADER[:-21], "no \\$enddefinitions"),
        (HEADER.replace("$var wire 2 $ q [1:0]", "$var wire 0 $ q [1:0]"), "line 9: expected a width from 1"),
        (HEADER.replace("$var wire 2 $ q [1:0]", "$var wire x $ q"), "line 9: expected a width from 1"),
        (HEADER.replace("wire 2 $ q [1:0]", "wire 2 $"), "line 9: expected \\$var TYPE WIDTH CODE NAME"),
        (HEADER.replace("$scope module tb", "$scope"), "line 3: expected \\$scope TYPE NAME"),
        ("$upscope $end\n" + HEADER, "line 1: \\$upscope outside"),
        (HEADER + "$dumpports\n", "line 17: expected a value change, got '\\$dumpports'"),
        (HEADER + "#0\n2!\n", "line 18: expected a value change, got '2!'"),
        (HEADER + "#0\n0?\n", "line 18: no \\$var declares the identifier code of '0\\?'"),
        (HEADER + "#0\nb01\t?\n", "line 18: no \\$var declares the identifier code of 'b01"),
        (HEADER + "#0\nb #\n", "line 18: expected a vector"),
        (HEADER + "#0\nb021 #\n", "line 18: expected a vector"),
        (HEADER + "#0\nb011 #\n", "line 18: value 'b011 #' has more bits"),
        (HEADER + "#0\n#1x\n", "line 18: expected # and a time"),
        (HEADER + "#\n", "line 17: expected # and a time"),
        (HEADER + "#99999999999999999999\n", "line 17: expected # and a time"),
        (HEADER + f"#{1 << 60}\n", "line 17: expected # and a time below 2\\^60, got '#1152921504606846976'$"),
        (HEADER + "#0\n2! 0#\n", "line 18: expected a value change, got '2!'$"),
        (HEADER + "#9\n\n#8\n", "line 19: time '#8' goes back"),
        (HEADER + BODY + "b01", "line 48: the file ends inside"),
        (HEADER + BODY + "b01 ", "line 48: the file ends inside"),
        (HEADER + BODY + "$comment to be", "line 48: the file ends inside"),
        (HEADER.replace("$timescale 100 ps $end\n", "") + BODY, "line 15: no \\$timescale"),
        (HEADER.replace("100 ps", "1 day") + BODY, "line 2: timescale '1 day' is not understood"),
        (HEADER.replace("100 ps", "0 ps") + BODY, "line 2: timescale '0 ps' is not understood"),
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


def same(one: Activity, other: Activity) -> None:
    """Everything but the name of the file."""
    for name, value in vars(one).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(other, name), name)
        elif name != "source":
            assert value == getattr(other, name), name


SPACE = st.sampled_from([" ", "\t", "\n", "\r\n", "  ", "\v", "\f", "\t \n"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_white_space_separates(toy: tuple[Netlist, PowerLibrary], tmp_path: Path, data: st.DataObject) -> None:
    """IEEE 1364-2001, 18.2.1: white space separates tokens; between a scalar and its code it is read, too."""
    words = (HEADER + BODY).replace("0!", "0 !").split()
    comment = ["$comment", "1!", "#9", "$dumpvars", "$end"]
    at = data.draw(st.integers(words.index("$enddefinitions") + 2, len(words)))
    # not between a value and its code
    while at < len(words) and words[at - 1] in ("0", "bxx", "b0", "b1", "b10", "b11"):
        at += 1
    words[at:at] = comment
    text = "".join(word + data.draw(SPACE) for word in words)
    (tmp_path / "plain.vcd").write_text(HEADER + BODY)
    (tmp_path / "spaced.vcd").write_bytes(text.rstrip().encode() if data.draw(st.booleans()) else text.encode())
    same(*(read_vcd(tmp_path / name, *toy, clock="ck") for name in ("plain.vcd", "spaced.vcd")))


def test_chunks_do_not_show(toy: tuple[Netlist, PowerLibrary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that lies in two chunks is read as any other; an endless word is refused."""
    path = tmp_path / "a.vcd"
    path.write_text(HEADER + BODY.replace("\n", "\t\t"))
    whole = read_vcd(path, *toy, clock="ck")
    for size in (16, 17, 23):
        monkeypatch.setattr(vcd, "_CHUNK", size)
        monkeypatch.setattr(vcd, "_HEADER_CHUNK", 300)
        same(read_vcd(path, *toy, clock="ck"), whole)
    path.write_text(HEADER + "#0\nb" + 40 * "0")
    with pytest.raises(ActivityError, match="line 18: no end of a value change"):
        read_vcd(path, *toy, clock="ck")


def test_values_of_std_logic_and_long_codes(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """H and L are strong enough to count; a code may have more characters than a machine word."""
    netlist, library = toy
    path = tmp_path / "a.vcd"
    body = BODY.replace("b1 #", "bH #").replace("b10 #", "bhl #").replace("\nx", "\nU").replace("bxx", "b-W")
    path.write_text(HEADER + body + "sidle %\nr1.5 %\n")
    (tmp_path / "plain.vcd").write_text(HEADER + BODY)
    same(read_vcd(path, netlist, library, clock="ck"), read_vcd(tmp_path / "plain.vcd", netlist, library, clock="ck"))
    code = "n" + 30 * "~"
    path.write_text(HEADER.replace("wire 1 % n", f"wire 1 {code} n") + BODY.replace("1%", "1" + code))
    same(read_vcd(path, netlist, library, clock="ck"), read_vcd(tmp_path / "plain.vcd", netlist, library, clock="ck"))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS)
def test_mutated_files_are_read_or_refused(
    toy: tuple[Netlist, PowerLibrary], tmp_path: Path, mutations: list[tuple[str, int, int]]
) -> None:
    """Never a crash, nor an error that names neither the file nor what is wrong with it."""
    path = tmp_path / "mutated.vcd"
    path.write_bytes(mutated((HEADER + BODY).encode(), mutations))
    activity = read_or_refused(path, lambda: read_vcd(path, *toy, clock="ck", period_ns=10), ActivityError)
    if activity is None:
        return
    assert np.isfinite(activity.toggles_per_ns).all()
    assert ((activity.duty >= 0) & (activity.duty <= 1)).all()


def test_every_cut_inside_of_the_last_change_is_seen(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    path = tmp_path / "cut.vcd"
    text = HEADER + BODY.removesuffix("#300\n0!\n")
    for last in ("b1 $\n0&", "0&", "b11\t#"):
        for kept in range(1, len(last)):
            path.write_text(text + "#300\n" + last[:kept])
            if last[:kept].split()[-1] in ("$", "#") or last[:kept] == "b1 $\n":
                continue
            with pytest.raises(ActivityError, match=r"line \d+: (the file ends inside|expected a vector)"):
                read_vcd(path, *toy, clock="ck")


def test_the_last_word_may_be_as_long_as_a_chunk(
    toy: tuple[Netlist, PowerLibrary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is longer is refused, before it takes any memory."""
    path = tmp_path / "a.vcd"
    monkeypatch.setattr(vcd, "_CHUNK", 40)
    path.write_text(HEADER + BODY + f"#{400:039}")
    assert read_vcd(path, *toy, clock="ck").duration_ns == pytest.approx(40)
    path.write_text(HEADER + BODY + f"#{400:040}")
    with pytest.raises(ActivityError, match="line 48: no end of a value change in 0 MiB"):
        read_vcd(path, *toy, clock="ck")


def test_a_recording_may_begin_at_any_time(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    path = tmp_path / "a.vcd"
    found = []
    for start in (0, 70_000):
        path.write_text(HEADER + re.sub(r"#(\d+)", lambda time, start=start: f"#{int(time[1]) + start}", BODY))
        found.append(read_vcd(path, *toy, clock="ck"))
    assert found[1].duration_ns == found[0].duration_ns == pytest.approx(30)
    assert np.array_equal(found[0].toggles_per_ns, found[1].toggles_per_ns)
    assert np.array_equal(found[0].duty, found[1].duty)
    assert np.array_equal(found[0].annotated, found[1].annotated)


def test_times_up_to_a_limit(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    path = tmp_path / "a.vcd"
    path.write_text(HEADER + BODY + f"#{10**18}\n")
    assert read_vcd(path, *toy, clock="ck").duration_ns == pytest.approx(1e17)


def test_instants_count_where_known_values_change(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """Changes at many instants of a clock are glitches, but not those from and to unknown."""
    found = {}
    for name, values in (("unknown", "x1"), ("known", "01")):
        path = tmp_path / f"{name}.vcd"
        moves = "".join(f"#{400 + k}\nb{values[k % 2]} #\n" for k in range(60))
        path.write_text(HEADER + BODY + moves + "#500\n0!\n")
        found[name] = read_vcd(path, *toy, clock="ck")
    assert not found["unknown"].with_delays
    assert found["known"].with_delays
    # three clocks: 6 instants of the body, 60 of these
    assert "changes at 22 instants in each clock" in found["known"].notes[0]


def test_one_edge_has_no_pair(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """The final state stands for both; many instants around the one edge are glitches all the same."""
    path = tmp_path / "a.vcd"
    moves = "".join(f"#{60 + k}\nb{k % 2} #\n" for k in range(30))
    path.write_text(HEADER + BODY[: BODY.index("#100")] + moves + "#200\n0!\n")
    activity = read_vcd(path, *toy, clock="ck", period_ns=10)
    assert (activity.clocks, activity.pairs, activity.with_delays) == (1, 1, True)
    q = toy[0].ports["q"].nets
    for states in (activity.before, activity.after):
        assert to_lanes(states[q])[:, 0].tolist() == [True, False]


def test_a_damaged_gzip_file_is_named(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + BODY).encode())
    for content in (b"hello", packed[:-20], packed[:40] + b"\0\0" + packed[42:]):
        (tmp_path / "a.vcd.gz").write_bytes(content)
        with pytest.raises(ActivityError, match=r"a\.vcd\.gz"):
            read_vcd(tmp_path / "a.vcd.gz", *toy, clock="ck")


def test_a_clock_net_without_a_name_switches_twice_in_each_clock(tmp_path: Path) -> None:
    """Behind a buffer of the clock, which the file does not name: the rate of the clock itself, counted by hand."""
    (tmp_path / "toy.lib").write_text(TOY)
    (tmp_path / "t.v").write_text(
        "module t (input ck, d, output q); wire a; BUF x (.A(ck), .Y(a));"
        " DFF f (.D(d), .CK(a), .RN(1'b1), .Q(q)); endmodule"
    )
    netlist = read_netlist(tmp_path / "t.v", liberty=[tmp_path / "toy.lib"])
    lines = ["$timescale 1 ns $end $scope module t $end $var wire 1 c ck $end $var wire 1 d d $end"]
    lines += ["$var wire 1 q q $end $upscope $end $enddefinitions $end", "#0 0c 0d 0q"]
    lines += [f"#{8 * clock + 4} 1c #{8 * clock + 8} 0c" for clock in range(5)]
    (tmp_path / "t.vcd").write_text("\n".join(lines))
    library = read_power_library([tmp_path / "toy.lib"])
    activity = read_vcd(tmp_path / "t.vcd", netlist, library, clock="ck")
    rates = {netlist.net_names[net]: activity.toggles_per_ns[net] for net in range(2, netlist.nets)}
    # five rises and five falls in 40 ns
    assert rates["a"] == pytest.approx(10 / 40)
    assert rates["ck"] == pytest.approx(10 / 40)
    assert rates["d"] == rates["q"] == 0
    assert activity.duty[netlist.net_names.index("a")] == 0.5


def test_pairs_with_unknown_values_are_left_out(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """Three clocks before the reset, q unknown in them: what is kept are the pairs after it, none with q read as 0."""
    before = "".join(f"#{number}\n{number // 50 % 2}!\n" for number in range(50, 350, 50))
    start = BODY.replace("b0 $", "bxx $").replace("1%", "x%").replace("0&", "x&", 1).partition("#10\n")[0]
    late = "".join(
        f"#{int(line[1:]) + 350}\n" if line.startswith("#") else line + "\n"
        for line in BODY.partition("$end\n")[2].splitlines()
    )
    path = tmp_path / "a.vcd"
    path.write_text(HEADER + start + before + "#350\n0!\nb0 $\n1%\n0&\n" + late)
    activity = read_vcd(path, *toy, clock="ck")
    assert activity.clocks == 6
    q = to_lanes(activity.before[toy[0].ports["q"].nets])[:, :2]
    # after the reset: before the second of its clocks q is 01, before the third 10; the one before the first is 00
    assert activity.pairs == 2
    assert q.T.tolist() == [[False, False], [True, False]]
    path.write_text(HEADER + start + before + "#350\n0!\nb0 $\n1%\n0&\n#400\n")
    with pytest.raises(ActivityError, match="without unknown values"):
        read_vcd(path, *toy, clock="ck")


def test_a_testbench_with_a_wire_for_each_port_is_no_netlist(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """All ports stand in both scopes; the netlist is the one below, whose instance is named."""
    ports = ('1 " rn', "2 # d [1:0]", "2 $ q [1:0]", "1 % n")
    header = HEADER.replace("$var reg 1 ! ck $end\n", "$var reg 1 ! ck $end\n" + "".join(
        f"$var reg {port} $end\n" for port in ports))  # fmt: skip
    path = tmp_path / "a.vcd"
    path.write_text(header + BODY)
    activity = read_vcd(path, *toy, clock="ck")
    expected = read_vcd(_written(tmp_path / "b.vcd", HEADER + BODY), *toy, clock="ck")
    np.testing.assert_array_equal(activity.annotated, expected.annotated)
    np.testing.assert_array_equal(activity.toggles_per_ns, expected.toggles_per_ns)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_glitches_of_a_recording_with_delays_are_not_counted_twice(
    toy: tuple[Netlist, PowerLibrary], tmp_path: Path
) -> None:
    """Ten changes of n in each clock, at ten instants: the recording says so itself."""
    lines = ["#0", "0!", '1"', "b0 #", "b0 $", "1%", "0&"]
    for clock in range(4):
        lines += [f"#{100 * clock + 50}", "1!", *(line for k in range(10) for line in
                  (f"#{100 * clock + 60 + k}", f"{k % 2}%")), f"#{100 * clock + 100}", "0!"]  # fmt: skip
    path = _written(tmp_path / "a.vcd", HEADER + "\n".join([*lines, ""]))
    activity = read_vcd(path, *toy, clock="ck")
    assert activity.with_delays
    assert activity.notes == ("the recording has delays (changes at 12 instants in each clock), and its glitches",)
    assert not read_vcd(_written(tmp_path / "b.vcd", HEADER + BODY), *toy, clock="ck").with_delays


def test_time_grows_with_the_size_of_a_recording(toy: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """20,000 scopes of other things, and 20,000 instants in a netlist of 20,000 nets: seconds, not hours."""
    netlist, library = toy
    more = "".join(f"$scope module m{k} $end\n$var wire 1 z{k} w $end\n$upscope $end\n" for k in range(20_000))
    header = HEADER.replace("$scope module dut", more + "$scope module dut", 1)
    big = replace(netlist, nets=netlist.nets + 20_000)
    body = '#0\n0!\n1"\nb0 #\nb0 $\n1%\n' + "".join(f"#{k}\n{k % 2}!\n" for k in range(1, 20_000))
    start = time.process_time()
    activity = read_vcd(_written(tmp_path / "a.vcd", header + body), big, library, clock="ck")
    assert activity.clocks == 10_000
    # 4e8 steps for each instant's copy of all states alone would take longer
    assert time.process_time() - start < 8
