"""Buffers for hold: which pins get them, what that does to slack, and that the function stays."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from flows.library.lef import read_lef
from flows.library.library import CellLibrary
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import Netlist, read_netlist
from flows.netlist.view import Wires
from flows.physical.hold import HoldCorner, hold_repair, hold_slacks
from flows.physical.place import Placement, legalise, place
from flows.physical.timing import ClockPlan, analyse
from tests.conftest import need
from tests.flows.conftest import library_or_skip

LENGTH = 20
SHIFT = f"""module top (input clk, x, output y, z); wire a, b, c; wire [{LENGTH}:0] n; assign n[0] = c;
  DFF_X1 f (.CK(clk), .D(x), .Q(a)); DFF_X1 g (.CK(clk), .D(a), .Q(b)); DFF_X1 h (.CK(clk), .D(b), .Q(c));
  DFF_X1 o (.CK(clk), .D(c), .Q(z)); DFF_X1 l (.CK(clk), .D(n[{LENGTH}]), .Q(y));
  {" ".join(f"INV_X1 i{k} (.A(n[{k}]), .ZN(n[{k + 1}]));" for k in range(LENGTH))} endmodule"""
"""Three flip-flops that follow another one at once, and one behind a chain of inverters."""
PLAN = ClockPlan(clock="clk", period_ns=5.0, hold_uncertainty_ns=0.12)


@pytest.fixture(scope="module")
def cells() -> CellLibrary:
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    return library_or_skip("nangate45")


@pytest.fixture(scope="module")
def shift(cells: CellLibrary, tmp_path_factory: pytest.TempPathFactory) -> tuple[Netlist, PowerLibrary, Placement]:
    path = tmp_path_factory.mktemp("hold") / "top.v"
    path.write_text(SHIFT)
    netlist = read_netlist(path, liberty=cells.liberty, top="top")
    return netlist, read_power_library(cells.liberty), place(netlist, read_lef(cells.lef), utilisation=0.3, spread=True)


def wires(placed: Placement) -> Wires:
    return Wires(ff=placed.wire_ff(0.1), ohm=placed.wire_ohm(2.5), ff_per_um=0.1, core_um2=1.0, source="placement")


def test_a_fast_corner_that_is_assumed_scales_delays(shift: tuple[Netlist, PowerLibrary, Placement]) -> None:
    """Slack at hold is the delay of the path less what the flip-flop and the skew ask for: only the first is scaled."""
    netlist, library, _ = shift
    typical, fast = (analyse(netlist, library, PLAN, early=early) for early in (1.0, 0.6))
    path = typical.hold_paths[0]
    asked = path.delay_ns - path.slack_ns
    assert fast.hold_slack_ns == pytest.approx(0.6 * path.delay_ns - asked, abs=1e-3)
    assert fast.setup_slack_ns == typical.setup_slack_ns


@pytest.mark.parametrize("early", [1.0, 0.6])
def test_pins_whose_data_come_too_soon_get_buffers(
    early: float, cells: CellLibrary, shift: tuple[Netlist, PowerLibrary, Placement]
) -> None:
    netlist, library, placed = shift
    corner, lef, core = HoldCorner(liberty=cells.liberty, early=early), read_lef(cells.lef), placed.core_um
    slacks = hold_slacks(netlist, library, PLAN, corner, wires(placed))
    names = {netlist.cell_name(cell): slack for (cell, pin), slack in slacks.items() if pin == "D"}
    # f is fed by a port at the edge itself; l has its inverters in front of it
    assert {"f", "g", "h", "o"} >= names.keys() >= {"g", "h", "o"}
    mended = netlist
    for _ in range(4):
        if not slacks:
            break
        change = hold_repair(mended, cells, library, placed, slacks, corner)
        moved = {(cell, pin) for cell, pin, _ in change.moved_pins}
        assert moved == slacks.keys()
        # one buffer less would not do by the table of a buffer that drives another one
        assert len(change.buffers) >= len(moved)
        x_um, y_um = change.starts(placed)
        mended = change.apply(mended, library)
        placed = legalise(mended, lef, x_um=x_um, y_um=y_um, core_um=core)
        slacks = hold_slacks(mended, library, PLAN, corner, wires(placed))
    assert slacks == {}
    assert mended.cells > netlist.cells
    report = analyse(mended, library, PLAN, wire_ff=wires(placed).ff, wire_ohm=wires(placed).ohm, early=early)
    inside = [path.slack_ns for path in report.hold_paths if path.end_stage != "port"]
    assert len(inside) >= 3
    assert min(inside) >= 0

    bits = np.random.default_rng(1).integers(0, 1 << 64, (40, 1, 1), np.uint64)
    shown = []
    for each in (netlist, mended):
        simulator = GateSimulator(each, library, words=1)
        rows = []
        for row in bits:
            simulator.set_port("x", row)
            simulator.step()
            simulator.settle()
            rows.append([int(simulator.values[each.ports[name].nets[0], 0]) for name in ("y", "z")])
        shown.append(rows)
    assert shown[0] == shown[1]


def test_what_is_no_corner(cells: CellLibrary, shift: tuple[Netlist, PowerLibrary, Placement]) -> None:
    netlist, library, placed = shift
    with pytest.raises(ValueError, match="early: expected above 0 to 1, got 1.2"):
        HoldCorner(liberty=(Path("a.lib"),), early=1.2)
    with pytest.raises(ValueError, match="no cell 2 with a net at its pin SE"):
        hold_repair(netlist, cells, library, placed, {(2, "SE"): -0.1}, HoldCorner(liberty=cells.liberty))
