"""The bound on leakage recovery on a netlist whose least leaky cells are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.leakage import Chooser, families, moved
from flows.library.power_library import PowerCell
from flows.netlist.delays import propagate
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import CellGroup
from flows.netlist.view import Wires
from flows.power.activity import Activity
from flows.power.cell_power import cell_power, leakage_as
from tests.flows.conftest import library_or_skip
from tests.flows.power.small import activity_of, design, lanes

SOURCE = """
module d (input a, b, output y, z);
  wire n;
  NAND2_X4 u (.A1(a), .A2(b), .ZN(n));
  BUF_X8 v (.A(n), .Z(y));
  AOI211_X4 w (.A(a), .B(b), .C1(n), .C2(b), .ZN(z));
endmodule
"""


def chooser(folder: Path, wire_ff: float) -> tuple[Chooser, GateSimulator, Activity]:
    """Of the netlist above, each net with one wire, and what its nets did."""
    cells = library_or_skip("nangate45")
    netlist, library = design(SOURCE, folder, cells)
    simulator = GateSimulator(netlist, library, words=1)
    activity = activity_of(simulator, lanes(0.5, 0.25), lanes(0.25, 0.75))
    usable = [name for name in cells.cells if name not in cells.dont_use]
    ff = np.full(netlist.nets, wire_ff)
    wires = Wires(ff=ff, ohm=np.zeros(netlist.nets), ff_per_um=0.1, core_um2=100.0, source="test")

    def leaks(group: CellGroup, kinds: Sequence[PowerCell]) -> list[np.ndarray]:
        return leakage_as(simulator, activity, group, kinds)

    return Chooser(netlist, library, wires, 0.0, usable, leaks), simulator, activity


def test_least_leaky_cells_within_their_limits(tmp_path: Path) -> None:
    """NanGate 45 states 59.4 and 118.7 fF for NAND2_X1 and _X2, 60.7 and 121.5 for CLKBUF, 29 and 242 for AOI211."""
    found, _, _ = chooser(tmp_path, wire_ff=100.0)
    assert set(found.any().netlist.groups) == {"NAND2_X1", "CLKBUF_X1", "AOI211_X1"}
    for bound in (found.capacitance(), found.transition()):
        assert set(bound.netlist.groups) == {"NAND2_X2", "CLKBUF_X2", "AOI211_X4"}
        assert bound.changed == 2
        assert sum(bound.by_type.values()) == pytest.approx(bound.before_nw - bound.after_nw)
    near, _, _ = chooser(tmp_path, wire_ff=1.0)
    assert set(near.transition().netlist.groups) == {"NAND2_X1", "CLKBUF_X1", "AOI211_X1"}


def test_what_is_saved_is_what_the_changed_netlist_leaks_less(tmp_path: Path) -> None:
    found, simulator, activity = chooser(tmp_path, wire_ff=1.0)
    bound = found.transition()
    after = GateSimulator(bound.netlist, simulator.library, words=1)
    leaks = [
        cell_power(sim, did, propagate(sim.netlist, sim.library, sim.level)).leakage_nw.sum()
        for sim, did in ((simulator, activity), (after, moved(activity, simulator, after)))
    ]
    assert leaks[0] - leaks[1] == pytest.approx(bound.before_nw - bound.after_nw)


def test_families_are_of_one_function_however_it_is_written(tmp_path: Path) -> None:
    """AOI211_X4 is three gates in a row, and its function is written otherwise than that of AOI211_X1."""
    found, _, _ = chooser(tmp_path, wire_ff=1.0)
    kinds = families(found.library, ["AOI211_X1", "AOI211_X4", "OAI211_X1", "DFFR_X1", "DFFR_X2", "DFFS_X1"])
    assert kinds["AOI211_X4"] == ["AOI211_X1", "AOI211_X4"]
    assert kinds["DFFR_X1"] == ["DFFR_X1", "DFFR_X2"]
    assert kinds["OAI211_X1"] == ["OAI211_X1"]
