"""Static timing: OpenSTA's delays against table look-ups of ours, paths in the designer's terms, refusals."""

import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.delays import propagate, wire_transition_ns
from flows.netlist.gate_simulation import topological_levels
from flows.netlist.netlist import Netlist, netlist_from_json, read_netlist
from flows.physical import timing
from flows.physical.timing import ClockPlan, TimingPath, TimingReport, analyse, flat_verilog
from flows.tools import opensta
from flows.tools.opensta import OpenStaError, sta_version
from tests.conftest import need
from tests.flows.conftest import library_or_skip

DESIGN = """
module front (input clk, input [1:0] \\d.in , output [1:0] q);
  DFFR_X1 a (.CK(clk), .RN(1'b1), .D(\\d.in [0]), .Q(q[0]));
  DFFR_X1 b (.CK(clk), .RN(1'b1), .D(\\d.in [1]), .Q(q[1]));
endmodule
module logic (input [1:0] q, input s, output r);
  wire m, n;
  INV_X1 u (.A(q[0]), .ZN(m));
  NAND2_X1 v (.A1(m), .A2(q[1]), .ZN(n));
  NAND2_X1 w (.A1(n), .A2(s), .ZN(r));
endmodule
module settings (input clk, d, output s);
  DFFR_X1 keep (.CK(clk), .RN(1'b1), .D(d), .Q(s));
endmodule
module top (input clk, rst, input [1:0] x, input load, output y);
  wire [1:0] q; wire r, s;
  front first (.clk(clk), .\\d.in (x), .q(q));
  settings registers (.clk(clk), .d(load), .s(s));
  logic stage (.q(q), .s(s), .r(r));
  DFFR_X1 last (.CK(clk), .RN(rst), .D(r), .Q(y));
endmodule
"""


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> tuple[Netlist, PowerLibrary]:
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    cells = library_or_skip("nangate45")
    path = tmp_path_factory.mktemp("timing") / "top.v"
    path.write_text(DESIGN)
    return read_netlist(path, liberty=cells.liberty, top="top"), read_power_library(cells.liberty)


PLAN = ClockPlan(clock="clk", period_ns=25.0, resets=("rst",), static_stages=("registers",), static_clocks=4)


def test_delays_are_those_of_the_tables(design: tuple[Netlist, PowerLibrary]) -> None:
    """The worst path, recomputed with tables of `flows.library.power_library` as `flows.netlist.delays` walks them."""
    netlist, library = design
    wires = np.zeros(netlist.nets)
    names = netlist.net_names
    wires[names.index("r")] = 12.0
    report = analyse(netlist, library, PLAN, wire_ff=wires)
    worst = report.paths[0]
    assert (worst.start_stage, worst.end_stage) == ("first", "top")
    own = propagate(
        netlist, library, topological_levels(netlist, library), wire_ff=wires,
        fixed_slew_ns={int(netlist.ports["clk"].nets[0]): 0.0},
    )  # fmt: skip
    # OpenSTA takes rise and fall capacitances of pins apart, `flows.netlist.delays` their mean: a few per cent of
    # these loads
    assert worst.delay_ns == pytest.approx(_longest(netlist, own), rel=0.03)
    assert worst.slack_ns < 25 - worst.delay_ns
    assert report.fmax_mhz == pytest.approx(1000 / (25 - worst.slack_ns))


def test_wires_resist(design: tuple[Netlist, PowerLibrary]) -> None:
    """Long wires: OpenSTA, which takes an effective capacitance, finds a little less delay than the whole one gives.

    At the last register's input alone the wire's share is Elmore's: R (C / 2 + pin).
    """
    netlist, library = design
    wires = np.full(netlist.nets, 30.0)
    clock = {int(netlist.ports["clk"].nets[0]): 0.0}
    bare = analyse(netlist, library, PLAN, wire_ff=wires)
    for ohm, most in ((1000.0, 1.06), (4000.0, 1.15)):
        report = analyse(netlist, library, PLAN, wire_ff=wires, wire_ohm=ohm)
        own = propagate(
            netlist, library, topological_levels(netlist, library), wire_ff=wires, wire_ohm=ohm, fixed_slew_ns=clock
        )
        assert report.paths[0].delay_ns > bare.paths[0].delay_ns
        assert report.paths[0].delay_ns < _longest(netlist, own) < most * report.paths[0].delay_ns
        last = netlist.net_names.index("r")
        pin = library["DFFR_X1"].pins["D"].capacitance_ff
        assert own.wire_ns[last] == pytest.approx(ohm * (15.0 + pin) * 1e-6)


def test_an_exponential_step_of_a_wire(design: tuple[Netlist, PowerLibrary]) -> None:
    """A step into R and C falls from 70 to 30 % (this library's thresholds) in RC ln(7/3); steps of that kind add up as
    squares."""
    netlist, library = design
    assert library.slew_thresholds == (0.3, 0.7)
    options = {"wire_ff": 30.0, "fixed_slew_ns": {int(netlist.ports["clk"].nets[0]): 0.0}}
    level = topological_levels(netlist, library)
    short, long = (propagate(netlist, library, level, wire_ohm=ohm, **options) for ohm in (0.0, 2000.0))  # type: ignore[arg-type]
    first = int(netlist.groups["DFFR_X1"].pin("Q")[0])  # its driver's own slew does not depend on resistances
    step_ns = long.wire_ns[first] * math.log(7 / 3) / library.slew_derate
    assert long.rise_ns[first] == pytest.approx(math.hypot(short.rise_ns[first], step_ns))
    assert long.fall_ns[first] == pytest.approx(math.hypot(short.fall_ns[first], step_ns))


def test_a_wire_has_no_resistance_where_none_is_given(design: tuple[Netlist, PowerLibrary]) -> None:
    """At a hundred picofarads one ohm would be 50 ps."""
    netlist, library = design
    wires = np.zeros(netlist.nets)
    wires[netlist.net_names.index("r")] = 1e5
    plan = replace(PLAN, period_ns=1e4)
    left_out, zero = (analyse(netlist, library, plan, wire_ff=wires, **ohm) for ohm in ({}, {"wire_ohm": 0.0}))  # type: ignore[arg-type]
    assert left_out.paths[0].delay_ns == zero.paths[0].delay_ns > 100


def test_a_clock_so_slow_that_paths_take_no_time(design: tuple[Netlist, PowerLibrary]) -> None:
    """A millisecond: the tool's seven digits leave nothing of the paths, and no clock is too fast for them."""
    report = analyse(*design, replace(PLAN, period_ns=1e6))
    assert report.setup_slack_ns == pytest.approx(1e6, rel=1e-6)
    assert 1e3 < report.fmax_mhz <= 1e7


def test_open_outputs_have_the_delay_of_the_cell_alone(design: tuple[Netlist, PowerLibrary]) -> None:
    netlist, library = design
    level = topological_levels(netlist, library)
    clock = {int(netlist.ports["clk"].nets[0]): 0.0}
    found = propagate(netlist, library, level, wire_ff=30.0, wire_ohm=1000.0, fixed_slew_ns=clock)
    arcs = [arc for arc in library["DFFR_X1"].timing if (arc.related, arc.pin, arc.kind) == ("CK", "QN", "rising_edge")]
    for edge in (0, 1):
        expected = np.mean([arc.delay[edge].at(0.0, 0.0) for arc in arcs])  # type: ignore[union-attr]
        assert found.delays["DFFR_X1", "CK", "QN"][:, edge] == pytest.approx(expected)


def test_wires_as_spef(design: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """IEEE 1481, by line: every net with a wire, where it begins and ends, half of it on each side of its resistance.

    A port is *P with the direction of the whole design, a pin *I with its own; parts are numbered from 1.
    """
    netlist, library = design
    wires = np.full(netlist.nets, 0.5)
    wires[netlist.net_names.index("s")] = 0
    timing.write_spef(tmp_path / "a.spef", netlist, library, wire_ff=wires, wire_ohm=200.0)
    head, *nets = (tmp_path / "a.spef").read_text().split("*D_NET ")
    assert "*C_UNIT 1 FF\n*R_UNIT 1 OHM\n" in head
    assert "PIN_CAP NONE" in head
    names = timing.net_spelling(netlist)
    driven = {names[net] for net in np.flatnonzero(netlist.used_nets).tolist()} - {names[netlist.net_names.index("s")]}
    assert {net.split()[0] for net in nets} == driven
    inputs = {name for name, direction, _ in timing.port_bits(netlist) if direction == "input"}
    for net in nets:
        name, total = net.split()[:2]
        connections, parts = net.partition("*CONN\n")[2].partition("*CAP\n")[::2]
        capacitances, resistances = parts.partition("*END")[0].partition("*RES\n")[::2]
        first, *others = connections.splitlines()
        assert first == f"*P {name} I" if name in inputs else re.fullmatch(r"\*I c\d+:(ZN|Q|QN) O", first)
        assert all(re.fullmatch(r"\*I c\d+:(CK|RN|D|A|A1|A2) I", line) for line in others)
        assert float(total) == 0.5
        begins = first.split()[1]
        assert capacitances.splitlines() == [f"1 {begins} 0.25", f"2 {name}:1 0.25"]
        ways = [line.split() for line in resistances.splitlines()]
        assert [int(way[0]) for way in ways] == list(range(1, len(others) + 2))
        assert ways[0][1:] == [begins, f"{name}:1", "200"]
        assert [way[2] for way in ways[1:]] == [line.split()[1] for line in others]


def test_a_port_that_the_netlist_lacks_keeps_its_name(design: tuple[Netlist, PowerLibrary]) -> None:
    names = timing._Names(*design)
    assert names.point("p_other_7") == ("other", "port")
    assert names.point("p_x_1") == ("x[1]", "port")
    assert names.point("p_load_0") == ("load", "port")
    assert names.point("strange") == ("strange", "")


def _longest(netlist: Netlist, own: object) -> float:
    """Arrival at net r over all register-to-register paths of the data, by edge."""
    arrival: dict[int, tuple[float, float]] = {}
    group = netlist.groups["DFFR_X1"]
    for index, net in enumerate(group.pin("Q")):
        if netlist.stages[netlist.cell_stage[group.cells[index]]] == "first":
            rise, fall = own.delays[("DFFR_X1", "CK", "Q")][index]  # type: ignore[attr-defined]
            arrival[int(net)] = (rise, fall)
    changed = True
    while changed:
        changed = False
        for kind, pins in (("INV_X1", ("A",)), ("NAND2_X1", ("A1", "A2"))):
            cells = netlist.groups[kind]
            for index in range(len(cells.cells)):
                best = [0.0, 0.0]
                for pin in pins:
                    source = int(cells.pin(pin)[index])
                    if source in arrival:
                        rise, fall = own.delays[(kind, pin, "ZN")][index]  # type: ignore[attr-defined]
                        best = [max(best[0], arrival[source][1] + rise), max(best[1], arrival[source][0] + fall)]
                out = int(cells.pin("ZN")[index])
                if max(best) > 0 and arrival.get(out) != tuple(best):
                    arrival[out] = (best[0], best[1])
                    changed = True
    return max(arrival[int(netlist.net_names.index("r"))])


def test_paths_in_the_designers_terms(design: tuple[Netlist, PowerLibrary]) -> None:
    report = analyse(*design, PLAN)
    worst = report.paths[0]
    assert worst.start in ("q[0]", "q[1]")
    assert worst.end == "y"
    assert [step.stage for step in worst.steps] == ["first", "stage"]
    assert sum(step.delay_ns for step in worst.steps) == pytest.approx(worst.delay_ns, abs=2e-4)
    assert worst.cells in (3, 4)
    assert "stage" in str(worst)
    # ports by the designer's names, bits of a bus by their numbers
    assert {path.start for path in report.paths if path.start_stage == "port"} == {"x[0]", "x[1]", "load"}
    # all ends have a slack: four registers and the port
    assert len(report.endpoint_slacks_ns) == 5
    assert report.endpoint_slacks_ns.min() == pytest.approx(report.setup_slack_ns, abs=2e-4)


def test_settings_are_quasi_static(design: tuple[Netlist, PowerLibrary]) -> None:
    report = analyse(*design, PLAN)
    assert {path.start for path in report.static_paths} == {"s"}
    # four clocks for one NAND: what is left is almost four periods
    assert 99 < report.static_paths[0].slack_ns < 100
    # a slow one, with one clock like all others, is still none of the data: it does not set the largest clock
    netlist, library = design
    wires = np.zeros(netlist.nets)
    wires[netlist.net_names.index("s")] = 300.0
    relaxed = analyse(netlist, library, PLAN, wire_ff=wires)
    slow = analyse(netlist, library, replace(PLAN, static_clocks=1), wire_ff=wires)
    assert slow.setup_slack_ns < relaxed.setup_slack_ns - 0.1
    assert slow.fmax_mhz == pytest.approx(relaxed.fmax_mhz, rel=1e-3)
    strict = analyse(*design, ClockPlan(clock="clk", period_ns=25.0, resets=("rst",)))
    assert strict.static_paths == ()
    assert len(strict.paths) == len(report.paths)


def test_wires_slow_it_down_and_uncertainty_counts(design: tuple[Netlist, PowerLibrary]) -> None:
    netlist, library = design
    bare = analyse(netlist, library, PLAN)
    loaded = analyse(netlist, library, PLAN, wire_ff=np.full(netlist.nets, 20.0))
    assert loaded.fmax_mhz < 0.9 * bare.fmax_mhz
    uncertain = analyse(
        netlist, library, ClockPlan(**{**vars(PLAN), "uncertainty_ns": 0.5, "hold_uncertainty_ns": 0.2})
    )
    assert uncertain.setup_slack_ns == pytest.approx(bare.setup_slack_ns - 0.5, abs=2e-4)
    assert uncertain.hold_slack_ns == pytest.approx(bare.hold_slack_ns - 0.2, abs=2e-4)


def test_a_latch_has_what_its_clock_leaves_it(tmp_path: Path) -> None:
    """A latch that is open while the clock is low: a path from it has three quarters of a period where the clock is
    high for a quarter, and half where it is high for half."""
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    cells = library_or_skip("nangate45")
    text = """module top (input clk, input rst, input x, output y); wire a, b, c;
      DFFR_X1 f (.CK(clk), .RN(rst), .D(x), .Q(a)); DLL_X1 l (.D(a), .GN(clk), .Q(b)); INV_X1 i (.A(b), .ZN(c));
      DFFR_X1 g (.CK(clk), .RN(rst), .D(c), .Q(y)); endmodule"""
    (tmp_path / "top.v").write_text(text)
    netlist, library = read_netlist(tmp_path / "top.v", liberty=cells.liberty), read_power_library(cells.liberty)

    def worst(high: float) -> TimingPath:
        report = analyse(netlist, library, ClockPlan(clock="clk", period_ns=8.0, resets=("rst",), clock_high=high))
        return next(path for path in report.paths if (path.start, path.end) == ("b", "y"))

    half, quarter = worst(0.5), worst(0.25)
    assert (half.apart_ns, quarter.apart_ns) == (pytest.approx(4.0), pytest.approx(6.0))
    assert quarter.slack_ns == pytest.approx(half.slack_ns + 2.0, abs=2e-3)
    with pytest.raises(ValueError, match="clock_high: expected above 0 and below 1, got 1"):
        ClockPlan(clock="clk", period_ns=8.0, clock_high=1.0)


def chain(first: str, last: str, length: int, name: str) -> str:
    """Inverters from one net to another."""
    nets = [first, *(f"{name}{k}" for k in range(1, length)), last]
    return "".join(f"INV_X1 {name}_{k} (.A({nets[k]}), .ZN({nets[k + 1]}));" for k in range(length))


def test_the_largest_clock_with_a_latch_in_the_way(tmp_path: Path) -> None:
    """60 inverters, a latch that is open while the clock is low, 100 inverters. Opened after a quarter of the period it
    passes on what comes while it is open, and both chains have the period; after half, the second has what is left."""
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    cells = library_or_skip("nangate45")
    library = read_power_library(cells.liberty)
    front, behind = chain("a", "b", 60, "p"), chain("c", "d", 100, "q")

    def least_ns(middle: str, plan: ClockPlan) -> float:
        (tmp_path / "top.v").write_text(
            f"""module top (input {", ".join(plan.clocks)}, input x, output y, z); wire a, b, c, d;
            DFF_X1 f (.CK(clk), .D(x), .Q(a)); {middle} DFF_X1 g (.CK(clk), .D(d), .Q(y));
            DFF_X1 h (.CK({plan.clock}), .D(x), .Q(z)); endmodule"""
        )
        netlist = read_netlist(tmp_path / "top.v", liberty=cells.liberty)
        return 1000 / analyse(netlist, library, plan).fmax_mhz

    # from register to register, without latch and uncertainty
    bare = ClockPlan(clock="clk", period_ns=8.0)
    both = least_ns(f"{front} BUF_X1 l (.A(b), .Z(c)); {behind}", bare)
    back = least_ns(f"BUF_X1 l (.A(a), .Z(c)); {behind}", bare)
    for high, expected in ((0.25, both / 0.95), (0.5, back / 0.45)):
        assert expected == pytest.approx(max(both / 0.95, back / (0.95 - high)))
        plan = ClockPlan(clock="clk", period_ns=8.0, uncertainty_ns=0.4, clock_high=high)
        latched = f"{front} DLL_X1 l (.D(b), .GN(clk), .Q(c)); {behind}"
        found = least_ns(latched, plan)
        assert found == pytest.approx(expected, rel=0.05)
    # the same on an internal clock, another one, named before or after it, half as fast
    for name in ("a_slow", "slow"):
        twice = replace(plan, clock=name, internal_clock="clk", multiple=2, period_ns=16.0, uncertainty_ns=0.8)
        assert least_ns(latched, twice) == pytest.approx(2 * found, rel=0.01)


def test_a_latch_that_opens_with_its_data_passes_them_on(tmp_path: Path) -> None:
    """A flip-flop, a latch that is open while the clock is high, a flip-flop: one path, the latch's own delay in it.
    The latch has half a period for what comes to it."""
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    cells = library_or_skip("nangate45")
    library = read_power_library(cells.liberty)

    def report(between: str, period_ns: float) -> TimingReport:
        (tmp_path / "top.v").write_text(
            f"""module top (input clk, input x, output y); wire a, b, c, d; DFF_X1 f (.CK(clk), .D(x), .Q(a)); {between}
            DFF_X1 g (.CK(clk), .D(d), .Q(y)); endmodule"""
        )
        netlist = read_netlist(tmp_path / "top.v", liberty=cells.liberty)
        return analyse(netlist, library, ClockPlan(clock="clk", period_ns=period_ns))

    def to_the_end(found: TimingReport) -> TimingPath:
        return next(path for path in found.paths if path.end == "y" and path.end_stage != "port")

    inverters = "INV_X1 i (.A(b), .ZN(c)); INV_X1 j (.A(c), .ZN(d));"
    latched = report(f"DLH_X1 l (.D(a), .G(clk), .Q(b)); {inverters}", 8.0)
    buffered = report(f"BUF_X1 l (.A(a), .Z(b)); {inverters}", 8.0)
    passed, plain = to_the_end(latched), to_the_end(buffered)
    assert passed.apart_ns == plain.apart_ns == 8.0
    # one cell in place of the other, of 40 to 120 ps by the library's tables
    assert 0 < plain.slack_ns - passed.slack_ns < 0.1
    assert latched.setup_slack_ns == min(path.slack_ns for path in latched.paths) > 7
    assert latched.fmax_mhz == pytest.approx(1000 / (8.0 - latched.setup_slack_ns), rel=1e-3)
    assert len(latched.endpoint_slacks_ns) == len(buffered.endpoint_slacks_ns)
    slow = "".join(f"INV_X1 s{k} (.A({'a' if k == 0 else f'w{k}'}), .ZN(w{k + 1}));" for k in range(40))
    late = report(f"{slow} DLH_X1 l (.D(w40), .G(clk), .Q(d));", 0.4)
    assert late.setup_slack_ns < 0
    assert any(path.end == "d" and path.apart_ns == 0 for path in late.paths)


def test_inputs_and_outputs_leave_time_to_the_surroundings(design: tuple[Netlist, PowerLibrary]) -> None:
    """A fifth of 25 ns outside: what starts or ends at a port has 5 ns less, what runs between registers has all."""
    netlist, library = design

    def slacks(share: float) -> dict[tuple[str, str], float]:
        plan = ClockPlan(**{**vars(PLAN), "io_share": share})
        return {(path.start, path.end): path.slack_ns for path in analyse(netlist, library, plan).paths}

    none, fifth = slacks(0.0), slacks(0.2)
    assert none.keys() == fifth.keys()
    inputs = {"x[0]", "x[1]", "load"}
    assert {start for start, _ in none} & inputs
    for (start, end), slack in none.items():
        # y is the name of the last register, and of the port that it drives
        change = {5.0} if start in inputs else {0.0, 5.0} if end == "y" else {0.0}
        assert any(fifth[start, end] == pytest.approx(slack - ns, abs=2e-3) for ns in change)
    with pytest.raises(ValueError, match="io_share: expected 0 to below 1, got 1.0"):
        ClockPlan(**{**vars(PLAN), "io_share": 1.0})


def test_corners_are_kept_apart(design: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    """A slow corner made by hand: every delay of NAND2_X1 doubled. Setup sees it, hold does not."""
    netlist, library = design
    slow = tmp_path / "slow.lib"
    text = library.files[0].read_text()
    begin = text.index("cell (NAND2_X1)")
    end = text.index("cell (NAND2_X2)")
    lines = []
    doubling = False
    for line in text[begin:end].splitlines():
        if "cell_rise" in line or "cell_fall" in line:
            doubling = True
        elif "transition(" in line or "power(" in line:
            doubling = False
        if doubling and '"' in line and "index" not in line:
            head, _, rest = line.partition('"')
            numbers, _, tail = rest.partition('"')
            line = head + '"' + ",".join(str(2 * float(n)) for n in numbers.split(",")) + '"' + tail
        lines.append(line)
    slow.write_text(text[:begin] + "\n".join(lines) + text[end:])
    typical = analyse(netlist, library, PLAN)
    corner = analyse(netlist, library, PLAN, setup_liberty=[slow], hold_liberty=list(library.files))
    assert corner.setup_slack_ns < typical.setup_slack_ns - 0.01
    assert corner.hold_slack_ns == pytest.approx(typical.hold_slack_ns)
    assert (corner.setup_library, corner.hold_library) == ("slow.lib", "stdcells.lib")


def test_flat_verilog_is_the_same_netlist(design: tuple[Netlist, PowerLibrary], tmp_path: Path) -> None:
    netlist, library = design
    (tmp_path / "flat.v").write_text(flat_verilog(netlist))
    again = read_netlist(tmp_path / "flat.v", liberty=library.files)
    assert again.cells == netlist.cells
    assert {k: len(g.cells) for k, g in again.groups.items()} == {k: len(g.cells) for k, g in netlist.groups.items()}
    assert sorted(p for p in again.ports if p.startswith("p_x")) == ["p_x_0", "p_x_1"]


def test_what_cannot_be_analysed(design: tuple[Netlist, PowerLibrary], monkeypatch: pytest.MonkeyPatch) -> None:
    netlist, library = design
    with pytest.raises(ValueError, match="no clock port 'ck'"):
        analyse(netlist, library, ClockPlan(clock="ck", period_ns=25))
    with pytest.raises(ValueError, match="no stage 'weights'"):
        analyse(netlist, library, ClockPlan(clock="clk", period_ns=25, static_stages=("weights",)))
    with pytest.raises(ValueError, match="no reset port 'reset'"):
        analyse(netlist, library, ClockPlan(clock="clk", period_ns=25, resets=("reset",)))
    with pytest.raises(ValueError, match="period_ns"):
        ClockPlan(clock="clk", period_ns=0)
    with pytest.raises(ValueError, match="uncertainty_ns"):
        ClockPlan(clock="clk", period_ns=1, uncertainty_ns=1)
    with pytest.raises(ValueError, match="static_clocks"):
        ClockPlan(clock="clk", period_ns=1, static_clocks=0)
    monkeypatch.setattr(opensta.shutil, "which", lambda name: None)
    with pytest.raises(OpenStaError, match="Debian's package `opensta`"):
        analyse(netlist, library, PLAN)


def test_the_internal_clock_is_a_whole_number_of_picoseconds() -> None:
    """25 ns / 3 = 8.333 ns; the outer clock is then 24.999 ns, so that every third edge coincides."""
    assert ClockPlan(clock="c", period_ns=25.0).clocks == {"c": 25.0}
    for period_ns, multiple, fast, slow in (
        (25.0, 3, 8.333, 24.999), (25.0, 4, 6.25, 25.0), (10.0, 1, 10.0, 10.0), (32.3, 1, 32.3, 32.3),
    ):  # fmt: skip
        plan = ClockPlan(clock="c", internal_clock="f", multiple=multiple, period_ns=period_ns)
        assert plan.clocks == {"c": slow, "f": fast}
    for wrong in ({"multiple": 2}, {"multiple": 0}, {"internal_clock": "f", "multiple": 0}):
        with pytest.raises(ValueError, match="multiple: expected at least 1, and 1 without an internal clock"):
            ClockPlan(clock="c", period_ns=25.0, **wrong)  # type: ignore[arg-type]
    assert ClockPlan(clock="c", period_ns=1.0, static_clocks=1).static_clocks == 1
    for wrong_ns in (-0.1, 1.0):
        with pytest.raises(ValueError, match="uncertainty_ns"):
            ClockPlan(clock="c", period_ns=1.0, uncertainty_ns=wrong_ns)


def test_paths_between_two_clocks_have_the_time_between_their_edges(tmp_path: Path) -> None:
    """20 ns and 5 ns: a path has 5 ns, and the uncertainty of the fast clock is a quarter of the other one."""
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    cells = library_or_skip("nangate45")
    (tmp_path / "two.v").write_text(
        "module two (input ck, fast, d, output q); wire a, b, n;"
        " DFF_X1 slow (.CK(ck), .D(d), .Q(a)); INV_X1 u (.A(a), .ZN(n)); DFF_X1 quick (.CK(fast), .D(n), .Q(b));"
        " DFF_X1 back (.CK(ck), .D(b), .Q(q)); endmodule"
    )
    netlist, library = read_netlist(tmp_path / "two.v", liberty=cells.liberty), read_power_library(cells.liberty)
    plan = ClockPlan(clock="ck", internal_clock="fast", multiple=4, period_ns=20.0)
    report = analyse(netlist, library, plan)
    inner = {path.start: path for path in report.paths if path.start in ("a", "b")}
    assert [inner[name].apart_ns for name in "ab"] == [5.0, 5.0]
    worst = min(inner.values(), key=lambda path: path.slack_ns)
    # counted from the edge that launches, which for b is the fast clock's at 15 ns
    assert all(0 < path.delay_ns < 1 for path in inner.values())
    # what is left of 5 ns is left four times in 20
    assert report.fmax_mhz == pytest.approx(50 * 5 / (5 - worst.slack_ns), rel=1e-6)
    doubtful = analyse(netlist, library, replace(plan, uncertainty_ns=2.0, hold_uncertainty_ns=0.4))
    later = {path.start: path for path in doubtful.paths if path.start in ("a", "b")}
    # a is taken by the fast clock, b by the slow one
    assert later["a"].slack_ns == pytest.approx(inner["a"].slack_ns - 0.5, abs=2e-4)
    assert later["b"].slack_ns == pytest.approx(inner["b"].slack_ns - 2.0, abs=2e-4)
    assert doubtful.hold_slack_ns < report.hold_slack_ns


def test_ports_have_surroundings(design: tuple[Netlist, PowerLibrary]) -> None:
    """Time outside, load and driver of ports count for paths through ports, and for no other."""
    netlist, library = design

    def slacks(plan: ClockPlan = PLAN, **options: object) -> dict[str, float]:
        found = analyse(netlist, library, plan, **options).paths  # type: ignore[arg-type]
        ends: dict[str, float] = {}
        for path in found:
            kind = "input" if path.start_stage == "port" else "output" if path.end_stage == "port" else "inner"
            ends[kind] = min(ends.get(kind, 1e9), path.slack_ns)
        return ends

    bare = slacks()
    assert bare == slacks(port_load_ff=0.0, paths=10)
    outside = slacks(replace(PLAN, io_share=0.2))
    assert outside["inner"] == bare["inner"]
    assert outside["output"] == pytest.approx(bare["output"] - 5.0, abs=2e-4)
    assert outside["input"] == pytest.approx(bare["input"] - 5.0, abs=2e-4)
    loaded = slacks(port_load_ff=10.0)
    assert (loaded["input"], loaded["output"] < bare["output"] - 0.005) == (bare["input"], True)
    driven = slacks(driving_cell="INV_X1")
    assert (driven["output"], driven["input"] < bare["input"] - 0.001) == (bare["output"], True)
    # wires of input ports count as those inside
    wires = np.zeros(netlist.nets)
    wires[netlist.ports["x"].nets] = 50.0
    assert slacks(driving_cell="INV_X1", wire_ff=wires)["input"] < driven["input"] - 0.01


REPORT = """
Startpoint: c3 (rising edge-triggered flip-flop clocked by clk)
Endpoint: p_y_0 (output port)
Path is unconstrained

Startpoint: c3 (rising edge-triggered flip-flop clocked by clk)
Endpoint: p_y_0 (output port clocked by clk)
Path Group: clk
Path Type: max

   Delay     Time   Description
-----------------------------------------------------------
  5.0000   5.0000   clock clk (rise edge)
  0.0000   5.0000   clock network delay (ideal)
  0.0000   5.0000 ^ c3/CK (DFF_X1)
  0.1000   5.1000 v c3/Q (DFF_X1)
  0.2000   5.3000 ^ c4/ZN (INV_X1)
  0.0000   5.3000 ^ p_y_0 (out)
           5.3000   data arrival time

 10.0000  10.0000   clock clk (rise edge)
  0.0000  10.0000   clock network delay (ideal)
  0.0000  10.0000   output external delay
          10.0000   data required time
-----------------------------------------------------------
          10.0000   data required time
          -5.3000   data arrival time
-----------------------------------------------------------
           4.7000   slack (MET)
"""


def test_a_report_of_the_tool_is_read(design: tuple[Netlist, PowerLibrary]) -> None:
    """As OpenSTA writes it: a path without constraint has no slack; the last cell before a port is on the path."""
    (path,) = timing._parse(REPORT)
    assert path == {
        "start": "c3", "end": "p_y_0", "cells": [(3, 0.1), (4, 0.2)], "slack": 4.7, "arrival": 0.3, "apart": 5.0,
    }  # fmt: skip
    at_a_register = REPORT.replace("p_y_0 (out)", "c5/D (DFF_X1)").replace("p_y_0", "c5")
    assert timing._parse(at_a_register)[0]["cells"] == [(3, 0.1), (4, 0.2)]
    with pytest.raises(OpenStaError, match="1 clock edges of the path from c3 to p_y_0"):
        timing._parse(REPORT.replace(" 10.0000  10.0000   clock", " 10.0000  10.0000   clack"))


def test_version() -> None:
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    assert sta_version().count(".") == 2


EDGES = """
library (edges) {
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; leakage_power_unit : "1nW";
  capacitive_load_unit (1, ff); nom_voltage : 1; slew_derate_from_library : 0.5;
  slew_lower_threshold_pct_rise : 20; slew_upper_threshold_pct_rise : 80;
  slew_lower_threshold_pct_fall : 20; slew_upper_threshold_pct_fall : 80;
  lu_table_template (t) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0, 1"); index_2 ("0, 100");
  }
  cell (B) {
    area : 1; pin (A) { direction : input; capacitance : 1; }
    pin (Y) { direction : output; function : "A";
      timing () { related_pin : "A"; timing_sense : positive_unate;
        cell_rise (t) { values ("0, 0", "0, 0"); } cell_fall (t) { values ("0, 0", "0, 0"); }
        rise_transition (t) { values ("0.4, 0.4", "0.4, 0.4"); }
        fall_transition (t) { values ("0.1, 0.1", "0.1, 0.1"); } }
    }
  }
  cell (X) {
    area : 1; pin (A) { direction : input; capacitance : 1; } pin (C) { direction : input; capacitance : 1; }
    pin (Y) { direction : output; function : "A ^ C";
      timing () { related_pin : "A"; timing_sense : non_unate;
        cell_rise (t) { values ("0, 0", "1, 1"); } cell_fall (t) { values ("0, 0", "1, 1"); }
        rise_transition (t) { values ("0, 0", "0, 0"); } fall_transition (t) { values ("0, 0", "0, 0"); } }
      timing () { related_pin : "C"; timing_sense : positive_unate;
        cell_rise (t) { values ("0, 0", "1, 1"); } cell_fall (t) { values ("0, 0", "1, 1"); }
        rise_transition (t) { values ("0, 0", "0, 0"); } fall_transition (t) { values ("0, 0", "0, 0"); } }
    }
  }
}
"""


def test_an_arc_of_both_senses_takes_the_slower_edge(tmp_path: Path) -> None:
    """A cell whose delay is the transition time at its input, after a buffer that rises in 0.4 and falls in 0.1 ns.

    At a port the transition time is 0.05 ns unless said.
    """
    (tmp_path / "edges.lib").write_text(EDGES)
    library = read_power_library([tmp_path / "edges.lib"])
    cells = {
        "b": {"type": "B", "connections": {"A": [2], "Y": [3]}},
        "x": {"type": "X", "connections": {"A": [3], "C": [3], "Y": [4]}},
        "first": {"type": "X", "connections": {"A": [2], "C": [2], "Y": [5]}},
    }
    ports = {"a": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [4, 5]}}
    module = {"ports": ports, "cells": cells, "netnames": {}, "attributes": {"top": "1"}}
    netlist = netlist_from_json({"modules": {"edges": module}})
    found = propagate(netlist, library, topological_levels(netlist, library)).delays
    rows = [netlist.cell_name(int(cell)) for cell in netlist.groups["X"].cells]
    both = {pin: dict(zip(rows, found["X", pin, "Y"].tolist(), strict=True)) for pin in "AC"}
    assert both["A"] == {"x": pytest.approx([0.4, 0.4]), "first": pytest.approx([0.05, 0.05])}
    assert both["C"] == {"x": pytest.approx([0.4, 0.1]), "first": pytest.approx([0.05, 0.05])}
    # an exponential of 1 ns goes from 20 to 80 % in 1.39 ns, of which this library writes twice as much
    assert float(wire_transition_ns(library, 1.0)) == pytest.approx(2 * 1.3863, rel=1e-4)
