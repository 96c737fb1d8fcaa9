"""Repair after placement: limits against the library's text, the same function before and after, legal placement."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flows.library.lef import read_lef
from flows.library.library import CellLibrary
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.delays import pin_loads
from flows.netlist.gate_simulation import GateSimulator, topological_levels
from flows.netlist.netlist import Netlist, netlist_from_json
from flows.physical.place import Placement, PlacementError, legalise, place
from flows.physical.repair import Repair, drive_limits, load_repairs, overloaded, plan, repaired, save_repairs
from tests.flows.conftest import library_or_skip

FF_PER_UM = 0.177


@pytest.fixture(scope="module")
def nangate() -> tuple[CellLibrary, PowerLibrary]:
    cells = library_or_skip("nangate45")
    return cells, read_power_library(cells.liberty)


def fan(*, readers: int, gate: bool = False, adder: bool = False) -> Netlist:
    """A flip-flop whose inverted output goes through a NAND2 (or the sum of a full adder) to many readers.

    Every reader is an XOR with an input of its own and ends in an output bit; with `gate` their flip-flops have
    one clock gate instead. The net of all readers is port ``all``, too.
    """
    names = {"clk": 2, "d": 3, "e": 4, "q": 5, "many": 6, "open": 7, "gated": 8}
    ins, outs = range(100, 100 + readers), range(100 + readers, 100 + 2 * readers)
    root: dict[str, Any] = {"type": "NAND2_X1", "connections": {"A1": [names["q"]], "A2": [names["e"]], "ZN": [6]}}
    if adder:
        pins = {"A": [names["q"]], "B": [names["e"]], "CI": [names["d"]], "S": [6], "CO": [names["open"]]}
        root = {"type": "FA_X1", "connections": pins}
    clock = names["gated"] if gate else names["clk"]
    cells = {
        "ff": {"type": "DFF_X1", "connections": {"D": [3], "CK": [2], "Q": [5]}},
        "root": root,
        "cg": {"type": "CLKGATE_X1", "connections": {"CK": [2], "E": [4], "GCK": [8]}},
    }
    for k, (source, target) in enumerate(zip(ins, outs, strict=True)):
        cells[f"x{k}"] = {"type": "XOR2_X1", "connections": {"A": [6], "B": [source], "Z": [target + readers]}}
        cells[f"r{k}"] = {"type": "DFF_X1", "connections": {"D": [target + readers], "CK": [clock], "Q": [target]}}
    ports = {
        "clk": {"direction": "input", "bits": [2]}, "d": {"direction": "input", "bits": [3]},
        "e": {"direction": "input", "bits": [4]}, "x": {"direction": "input", "bits": list(ins)},
        "y": {"direction": "output", "bits": list(outs)}, "all": {"direction": "output", "bits": [6]},
    }  # fmt: skip
    module = {"ports": ports, "cells": cells, "netnames": {}, "attributes": {"top": "1"}}
    return netlist_from_json({"modules": {"fan": module}})


def at(netlist: Netlist, library: PowerLibrary, side_um: float, seed: int = 1) -> Placement:
    """Cells at random in a square: only what `plan` reads."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(0, side_um, (2, netlist.cells))
    boxes = np.zeros((netlist.nets, 4))
    boxes[:, [1, 3]] = side_um
    pins = np.zeros(netlist.nets, np.int64)
    for group in netlist.groups.values():
        np.add.at(pins, group.nets[group.nets >= 0], 1)
    length = np.where(pins > 2, 2 * side_um, 1.0)
    return Placement(
        x_um=x, y_um=y, width_um=np.ones(netlist.cells), height_um=np.full(netlist.cells, 1.4),
        core_um=(side_um, side_um), utilisation=0.5, hpwl_um=length, pins=pins, boxes_um=boxes, seconds=0.0,
        peak_memory_bytes=0,
    )  # fmt: skip


def outputs(netlist: Netlist, library: PowerLibrary, readers: int) -> list[np.ndarray[Any, Any]]:
    """What the ports put out over twelve clocks of random inputs, 64 streams."""
    simulator = GateSimulator(netlist, library, words=1, clock="clk")
    rng = np.random.default_rng(5)
    simulator.state = np.zeros_like(simulator.state)
    result = []
    for _ in range(12):
        for name, bits in (("d", 1), ("e", 1), ("x", readers)):
            simulator.set_port(name, rng.integers(0, 1 << 63, (bits, 1), dtype=np.uint64))
        simulator.settle()
        result += [simulator.values[netlist.ports[name].nets].copy() for name in ("y", "all")]
        simulator.edge()
    return result


def test_limits_are_those_of_the_library(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    cells, library = nangate
    text = Path(cells.liberty[0]).read_text()
    for name in ("BUF_X4", "NAND2_X1"):
        body = re.split(r"\n\s*cell \(", text.partition(f"\n  cell ({name}) {{")[2])[0]
        stated = [float(found) for found in re.findall(r"max_capacitance\s*:\s*([\d.]+)", body)]
        assert list(drive_limits(library[name], None).values()) == pytest.approx(stated)
    # a limit of transition below the library's own is reached at a smaller load: where the table crosses it
    kind = library["BUF_X4"]
    strict = drive_limits(kind, 0.05)["Z"]
    assert strict < drive_limits(kind, None)["Z"]
    arc = next(arc for arc in kind.timing if arc.pin == "Z")
    rise, fall = arc.transition
    assert rise is not None
    assert fall is not None
    slowest = max(float(table.at(0.025, strict)) for table in (rise, fall))
    assert slowest == pytest.approx(0.05, rel=0.05)


LINEAR = """
library (linear) {
  time_unit : "1ns"; voltage_unit : "1V"; current_unit : "1uA"; leakage_power_unit : "1nW";
  capacitive_load_unit (1, ff);
  nom_voltage : 1;
  lu_table_template (t) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0, 1"); index_2 ("0, 50, 100");
  }
  cell (B) {
    area : 1;
    pin (A) { direction : input; capacitance : 1; }
    pin (Y) { direction : output; function : "A";
      timing () { related_pin : "A";
        rise_transition (t) { values ("0, 0.5, 1", "1, 1.5, 2"); }
        fall_transition (t) { values ("0, 0.5, 1", "1, 1.5, 2"); } }
    }
  }
}
"""


def test_a_limit_by_transition_is_where_the_table_crosses_it(tmp_path: Path) -> None:
    """Transition = input + load / 100 fF: at 0.8 ns, with 0.4 ns at the input, that is 40 fF; 1.5 ns lie beyond."""
    (tmp_path / "linear.lib").write_text(LINEAR)
    cell = read_power_library([tmp_path / "linear.lib"])["B"]
    assert drive_limits(cell, 0.8)["Y"] == pytest.approx(40, abs=1)
    assert drive_limits(cell, 1.9)["Y"] == pytest.approx(95, abs=1)
    # beyond the table's last load, where its slope goes on, up to twice as much
    assert drive_limits(cell, 3.0)["Y"] == pytest.approx(150, abs=2)
    assert drive_limits(cell, 4.5)["Y"] == drive_limits(cell, None)["Y"] == np.inf


def inverter_at_a_port(size: int) -> Netlist:
    """An inverter between two ports."""
    ports = {"y": {"direction": "output", "bits": [3]}, "a": {"direction": "input", "bits": [2]}}
    inverter = {"type": f"INV_X{size}", "connections": {"A": [2], "ZN": [3]}}
    module = {"ports": ports, "cells": {"inverter": inverter}, "netnames": {}, "attributes": {"top": "1"}}
    return netlist_from_json({"modules": {"one": module}})


def test_a_load_at_the_limit_is_within_it(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    """The output port is the netlist's first net, which a cell drives as any other."""
    cells, library = nangate
    netlist = inverter_at_a_port(1)
    placed = at(netlist, library, 20.0)
    placed = replace(placed, hpwl_um=np.zeros(netlist.nets))
    limit = drive_limits(library["INV_X1"], library.max_transition_ns)["ZN"]
    for load, kinds in ((limit, {}), (limit * 1.01, {0: "INV_X2"})):
        options = {"ff_per_um": FF_PER_UM, "port_load_ff": load}
        assert overloaded(netlist, library, placed, **options) == len(kinds)
        change = plan(netlist, library, cells, placed, **options)
        assert (dict(change.resized), change.buffers, change.left) == (kinds, (), 0)
    # the last load was too much; a size that is not to be used is left out
    without = replace(cells, dont_use=(*cells.dont_use, "INV_X2"))
    assert dict(plan(netlist, library, without, placed, **options).resized) == {0: "INV_X4"}
    # a wire alone: outside of the port there is nothing unless said
    net = int(netlist.ports["y"].nets[0])
    for load, bad in ((limit - 0.5, 0), (limit + 0.5, 1)):
        wired = replace(placed, hpwl_um=np.eye(netlist.nets)[net] * load / FF_PER_UM)
        assert overloaded(netlist, library, wired, ff_per_um=FF_PER_UM) == bad
        assert len(plan(netlist, library, cells, wired, ff_per_um=FF_PER_UM).resized) == bad


def test_a_larger_cell_loads_its_driver_in_the_same_round(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    """A NAND2 that is just within its limit, before an inverter that is not: what the larger inverter asks counts."""
    cells, library = nangate
    ports = {name: {"direction": "input", "bits": [k]} for k, name in enumerate("ab", 2)}
    ports["y"] = {"direction": "output", "bits": [5]}
    root = {"type": "NAND2_X1", "connections": {"A1": [2], "A2": [3], "ZN": [4]}}
    inverter = {"type": "INV_X1", "connections": {"A": [4], "ZN": [5]}}
    module = {"ports": ports, "cells": {"root": root, "inverter": inverter}, "netnames": {}, "attributes": {"top": "1"}}
    netlist = netlist_from_json({"modules": {"two": module}})
    port_load_ff = 3 * drive_limits(library["INV_X1"], library.max_transition_ns)["ZN"]
    limit = drive_limits(library["NAND2_X1"], library.max_transition_ns)["ZN"]
    small, large = (library[kind].pins["A"].capacitance_ff for kind in ("INV_X1", "INV_X4"))
    placed = at(netlist, library, 20.0)
    # the wire of the NAND2 fills its limit half way between the inputs of both inverters
    length = np.zeros(netlist.nets)
    between = int(netlist.groups["NAND2_X1"].pin("ZN")[0])
    length[between] = (limit - (small + large) / 2) / FF_PER_UM
    placed = replace(placed, hpwl_um=length)
    assert placed.wire_ff(FF_PER_UM)[between] == pytest.approx(limit - (small + large) / 2)
    options = {"ff_per_um": FF_PER_UM, "port_load_ff": port_load_ff}
    assert overloaded(netlist, library, placed, **options) == 1
    change = plan(netlist, library, cells, placed, **options)
    kinds = {netlist.cell_name(cell): kind for cell, kind in change.resized}
    assert kinds == {"inverter": "INV_X4", "root": "NAND2_X2"}
    assert overloaded(change.apply(netlist, library), library, placed, **options) == 0
    # what the larger inverter asks for in addition just fits: the NAND2 stays
    length[between] = (limit - small - 1.2 * (large - small)) / FF_PER_UM
    change = plan(netlist, library, cells, replace(placed, hpwl_um=length), **options)
    assert {netlist.cell_name(cell): kind for cell, kind in change.resized} == {"inverter": "INV_X4"}


@pytest.mark.parametrize(
    ("readers", "side_um", "adder"),
    [(6, 20.0, False), (40, 60.0, False), (40, 60.0, True), (600, 900.0, False), (1500, 90.0, False)],
)
def test_every_net_is_within_its_drivers_limits_and_the_function_stays(
    nangate: tuple[CellLibrary, PowerLibrary], readers: int, side_um: float, adder: bool
) -> None:
    cells, library = nangate
    netlist = fan(readers=readers, adder=adder)
    placed = at(netlist, library, side_um)
    before = overloaded(netlist, library, placed, ff_per_um=FF_PER_UM)
    change = plan(netlist, library, cells, placed, ff_per_um=FF_PER_UM)
    mended = change.apply(netlist, library)
    few = readers == 6
    assert (before == 0) == few
    assert (not change.buffers and not change.resized) == few
    if len(change.buffers) == 1:
        # wires as planned: what went behind the buffer is as long as before, the way to the buffer has no length
        length = np.append(placed.hpwl_um, placed.hpwl_um[change.buffers[0].source])
        length[change.buffers[0].source] = 0
        pins = np.append(placed.pins, placed.pins[change.buffers[0].source])
        assert overloaded(mended, library, replace(placed, hpwl_um=length, pins=pins), ff_per_um=FF_PER_UM) == 0
        assert change.left == 0
        # beside the driver; the output port goes behind it with the readers
        (buffer,) = change.buffers
        drivers = {}
        for kind, pin in (("NAND2_X1", "ZN"), ("FA_X1", "S"), ("DFF_X1", "Q")):
            if (group := netlist.groups.get(kind)) is not None:
                drivers |= dict(zip(group.pin(pin).tolist(), group.cells.tolist(), strict=True))
        root = drivers[buffer.source]
        assert (buffer.x_um, buffer.y_um) == (placed.x_um[root] + 0.5, placed.y_um[root])
        assert [port for port, _, net in change.moved_ports if net == buffer.target] == ["all"]
    # what a port brings in is not ours to drive
    clock = int(netlist.ports["clk"].nets[0])
    assert clock not in {buffer.source for buffer in change.buffers}
    # 600 readers across 0.9 mm are more than the largest buffer may drive, 1500 more than placement looks at
    assert (len(change.buffers) > 1) == (readers >= 600)
    topological_levels(mended, library)
    for old, new in zip(outputs(netlist, library, readers), outputs(mended, library, readers), strict=True):
        np.testing.assert_array_equal(old, new)
    assert pin_loads(mended, library).sum() >= pin_loads(netlist, library).sum()
    assert set(mended.stages) == set(netlist.stages)
    if change.buffers:
        assert mended.cell_name(netlist.cells).endswith("buffer_0")


def test_a_clock_gate_gets_larger_but_no_buffer(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    cells, library = nangate
    netlist = fan(readers=90, gate=True)
    change = plan(netlist, library, cells, at(netlist, library, 300.0), ff_per_um=FF_PER_UM)
    gate = int(netlist.groups["CLKGATE_X1"].cells[0])
    assert dict(change.resized)[gate] in {"CLKGATE_X2", "CLKGATE_X4", "CLKGATE_X8"}
    gated = int(netlist.groups["CLKGATE_X1"].pin("GCK")[0])
    assert gated not in {buffer.source for buffer in change.buffers}
    assert not {pin for _, pin, _ in change.moved_pins} & {"CK"}


def test_no_buffer_stands_behind_a_clock_gate_however_many_inverters_do(
    nangate: tuple[CellLibrary, PowerLibrary],
) -> None:
    """Gate, inverter, 90 flip-flops; an inverter at the gate that drives nothing; 90 gates of data with buffers."""
    cells, library = nangate
    count = 90
    q, d = range(100, 100 + count), range(300, 300 + count)
    made = {
        "cg": {"type": "CLKGATE_X1", "connections": {"CK": [2], "E": [3], "GCK": [4]}},
        "turned": {"type": "INV_X1", "connections": {"A": [4], "ZN": [5]}},
        "idle": {"type": "INV_X1", "connections": {"A": [4]}},
    }
    for k, (out, data) in enumerate(zip(q, d, strict=True)):
        made[f"r{k}"] = {"type": "DFF_X1", "connections": {"D": [data], "CK": [5], "Q": [out]}}
    for k, (out, data) in enumerate(zip(q, d, strict=True)):
        made[f"x{k}"] = {"type": "NAND2_X1", "connections": {"A1": [out], "A2": [9999], "ZN": [data]}}
    made["root"] = {"type": "NAND2_X1", "connections": {"A1": [3], "A2": [100], "ZN": [9999]}}
    ports = {
        "clk": {"direction": "input", "bits": [2]}, "e": {"direction": "input", "bits": [3]},
        "y": {"direction": "output", "bits": list(q)},
    }  # fmt: skip
    module = {"ports": ports, "cells": made, "netnames": {}, "attributes": {"top": "1"}}
    netlist = netlist_from_json({"modules": {"gated": module}})
    inverters = netlist.groups["INV_X1"]
    names = [netlist.cell_name(int(cell)) for cell in inverters.cells]
    nets = dict(zip(names, inverters.pin("ZN").tolist(), strict=True))
    assert nets["idle"] < 0
    gates = netlist.groups["NAND2_X1"]
    root = next(int(net) for cell, net in zip(gates.cells, gates.pin("ZN"), strict=True)
                if netlist.cell_name(int(cell)) == "root")  # fmt: skip
    assert root == netlist.nets - 1
    change = plan(netlist, library, cells, at(netlist, library, 400.0), ff_per_um=FF_PER_UM)
    sources = {buffer.source for buffer in change.buffers}
    assert root in sources
    assert nets["turned"] not in sources
    assert not {pin for _, pin, _ in change.moved_pins} & {"CK"}
    resized = {netlist.cell_name(cell): kind for cell, kind in change.resized}
    assert resized["turned"].startswith("INV_X")
    # across 40 mm no inverter can drive them: the largest there is, and nothing between clock and flip-flops
    far = plan(netlist, library, cells, at(netlist, library, 40_000.0), ff_per_um=FF_PER_UM)
    assert {netlist.cell_name(cell): kind for cell, kind in far.resized}["turned"] == "INV_X32"
    assert nets["turned"] not in {buffer.source for buffer in far.buffers}
    assert far.left > 0


def _largest_buffer(cells: CellLibrary) -> float:
    """What the library's text says that BUF_X32 may drive, in fF."""
    body = re.split(r"\n\s*cell \(", Path(cells.liberty[0]).read_text().partition("\n  cell (BUF_X32) {")[2])[0]
    (found,) = re.findall(r"max_capacitance\s*:\s*([\d.]+)", body)
    return float(found)


def test_groups_of_sinks_are_halved_until_a_largest_buffer_is_half_full(
    nangate: tuple[CellLibrary, PowerLibrary],
) -> None:
    """All readers in one place, just fewer than fill four buffers by half: a little less margin or more shows."""
    cells, library = nangate
    pin_ff = library["XOR2_X1"].pins["A"].capacitance_ff
    readers = int(3.9 * _largest_buffer(cells) / 2 / pin_ff)
    netlist = fan(readers=readers)
    change = plan(netlist, library, cells, at(netlist, library, 0.0), ff_per_um=FF_PER_UM)
    root = int(netlist.ports["all"].nets[0])
    count = sum(buffer.source == root for buffer in change.buffers)
    assert count == 4


def test_a_group_of_sinks_is_no_more_than_half_of_what_a_buffer_drives(
    nangate: tuple[CellLibrary, PowerLibrary],
) -> None:
    """Pins and the half-perimeter of their places, where wires weigh more than pins."""
    cells, library = nangate
    netlist = fan(readers=600)
    placed = at(netlist, library, 900.0)
    change = plan(netlist, library, cells, placed, ff_per_um=1.5)
    groups: dict[int, list[int]] = {buffer.target: [] for buffer in change.buffers}
    for cell, _, net in change.moved_pins:
        if net in groups:
            groups[net].append(cell)
    assert sum(map(len, groups.values())) == 600
    pin_ff, loads = library["XOR2_X1"].pins["A"].capacitance_ff, []
    groups = {net: found for net, found in groups.items() if found}
    for found in groups.values():
        perimeter = np.ptp(placed.x_um[found]) + np.ptp(placed.y_um[found])
        loads.append(len(found) * pin_ff + 1.5 * perimeter)
    assert len(groups) > 4
    assert max(loads) <= _largest_buffer(cells) / 2


def geometry(netlist: Netlist, x_um: npt.ArrayLike, y_um: npt.ArrayLike) -> Placement:
    """Boxes of nets from the centres of cells of 1 um, by plain loops; ports are nowhere."""
    x, y = np.asarray(x_um, float), np.asarray(y_um, float)
    points: list[list[tuple[float, float]]] = [[] for _ in range(netlist.nets)]
    for group in netlist.groups.values():
        for cell, row in zip(group.cells.tolist(), group.nets.tolist(), strict=True):
            for net in row:
                if net >= 0:
                    points[net].append((x[cell] + 0.5, y[cell]))
    boxes = np.zeros((netlist.nets, 4))
    for net, found in enumerate(points):
        if len(found) > 1:
            across, up = zip(*found, strict=True)
            boxes[net] = min(across), max(across), min(up), max(up)
    return Placement(
        x_um=x, y_um=y, width_um=np.ones(netlist.cells), height_um=np.full(netlist.cells, 1.4), core_um=(1e4, 1e4),
        utilisation=0.5, hpwl_um=boxes[:, 1] - boxes[:, 0] + boxes[:, 3] - boxes[:, 2],
        pins=np.array([len(found) for found in points]), boxes_um=boxes, seconds=0.0, peak_memory_bytes=0,
    )  # fmt: skip


def slowest_pin_ns(netlist: Netlist, library: PowerLibrary, placed: Placement, net: int) -> float:
    """Transition time after a wire of 0.104 fF and 2.56 ohm a micrometre: that of the driver and an exponential's, as
    squares.

    NanGate measures transition times from 30 to 70 % of the supply.
    """
    wire_ff, kohm = float(placed.wire_um[net]) * 0.104, float(placed.hpwl_um[net]) * 2.56e-3
    pins_ff, driver_ns = 0.0, 0.0
    for group in netlist.groups.values():
        for pin in library[group.type].inputs:
            pins_ff += int((group.pin(pin) == net).sum()) * library[group.type].pins[pin].capacitance_ff
    for group in netlist.groups.values():
        for arc in library[group.type].timing:
            if (group.pin(arc.pin) == net).any():
                slow = library.max_transition_ns
                assert slow is not None
                tables = [table for table in arc.transition if table is not None]
                driver_ns = max([driver_ns, *(float(t.at(slow / 2, pins_ff + wire_ff)) for t in tables)])
    wire_ns = np.log(0.7 / 0.3) * kohm * (wire_ff / 2 + pins_ff) * 1e-3
    return float(np.hypot(driver_ns, wire_ns))


WIRE = {"ff_per_um": 0.104, "ohm_per_um": 2.56}


def inverters(size: int, readers: int = 1) -> Netlist:
    """An inverter of a size, ``root``, before some of the smallest, ``0`` and up."""
    ports = {"y": {"direction": "output", "bits": [*range(4, 4 + readers)]}, "a": {"direction": "input", "bits": [2]}}
    made = {"root": {"type": f"INV_X{size}", "connections": {"A": [2], "ZN": [3]}}}
    made |= {str(k): {"type": "INV_X1", "connections": {"A": [3], "ZN": [4 + k]}} for k in range(readers)}
    module = {"ports": ports, "cells": made, "netnames": {}, "attributes": {"top": "1"}}
    return netlist_from_json({"modules": {"two": module}})


def apart(netlist: Netlist, *um: float) -> Placement:
    """The readers of `inverters` so far from the first one, in a row."""
    where = {"root": 0.0} | {str(k): x for k, x in enumerate(um)}
    return geometry(netlist, [where[netlist.cell_name(cell)] for cell in range(netlist.cells)], [0.0] * netlist.cells)


def longest(within: Callable[[float], bool]) -> float:
    """Largest length in um, 10 to 5000, for which something holds that holds for all shorter ones."""
    low, high = 10.0, 5000.0
    while high - low > 0.1:
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return low


def test_a_far_sink_has_its_buffer_as_far_away_as_that_reaches(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    """The largest buffer with half of its limits reaches so far; where that is a little more than a share of the way to
    the driver, the buffer stands there."""
    cells, library = nangate
    netlist = inverters(4)
    kind, most = library["BUF_X32"], library.max_transition_ns
    assert most is not None
    tables = [table for arc in kind.timing for table in arc.transition if table is not None]
    pin_ff = library["INV_X1"].pins["A"].capacitance_ff

    def within(um: float) -> bool:
        load_ff = 0.104 * um + pin_ff
        wire_ns = np.log(0.7 / 0.3) * 2.56e-6 * um * (load_ff - 0.104 * um / 2)
        slowest = max(float(table.at(most / 2, 2 * load_ff)) for table in tables)
        return bool(np.hypot(slowest, 2 * wire_ns) <= most and 2 * load_ff <= _largest_buffer(cells))

    reach = longest(within)
    # with its whole limits a cell drives 1.4 times as far: nothing is needed at 0.8 of the way
    for share in (0.65, 0.5, 0.4, 0.3, 0.2, 0.1):
        way = reach / (1.04 * share)
        change = plan(netlist, library, cells, apart(netlist, way), **WIRE)
        (last,) = {net for _, _, net in change.moved_pins}
        (buffer,) = (buffer for buffer in change.buffers if buffer.target == last)
        assert way + 0.5 - buffer.x_um == pytest.approx(share * way, rel=1e-6)
    # two on either side are more than the cell drives, and each has one
    netlist, way = inverters(4, readers=2), reach / (1.04 * 0.8)
    change = plan(netlist, library, cells, apart(netlist, way, -way), **WIRE)
    targets = {net for _, _, net in change.moved_pins}
    places = sorted(buffer.x_um - 0.5 for buffer in change.buffers if buffer.target in targets)
    assert places == pytest.approx([-0.2 * way, 0.2 * way], rel=1e-6)


def test_far_sinks_share_a_buffer_and_a_near_one_needs_none(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    """One reader beside the driver, two 3 mm away: these have a buffer at the nearer of them, and nothing else has."""
    cells, library = nangate
    netlist = inverters(4, readers=3)
    change = plan(netlist, library, cells, apart(netlist, 5.0, 3000.0, 3002.0), **WIRE)
    assert sorted(netlist.cell_name(cell) for cell, _, _ in change.moved_pins) == ["1", "2"]
    (net,) = {net for _, _, net in change.moved_pins}
    assert [buffer.x_um for buffer in change.buffers if buffer.target == net] == [3000.5]


def test_a_port_is_taken_to_be_in_the_middle_of_its_net(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    """Buffers for it stand on the straight way there."""
    cells, library = nangate
    netlist = inverter_at_a_port(4)
    net = int(netlist.ports["y"].nets[0])
    placed = geometry(netlist, [0.0], [0.0])
    placed.boxes_um[net], placed.hpwl_um[net] = (0.0, 3000.0, 0.0, 1000.0), 4000.0
    change = plan(netlist, library, cells, placed, port_load_ff=5.0, **WIRE)
    (moved,) = change.moved_ports
    assert moved[:2] == ("y", 0)
    assert change.buffers
    for buffer in change.buffers:
        assert 0.5 < buffer.x_um < 1500
        assert (buffer.x_um - 0.5) / 1499.5 == pytest.approx(buffer.y_um / 500)


def test_without_a_largest_transition_time_the_load_alone_counts(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    """INV_X4 drives 243 fF, whatever a wire of high resistance makes of it: 2.3 mm."""
    _, library = nangate
    netlist, free = inverters(4), replace(library, max_transition_ns=None)
    assert [overloaded(netlist, free, apart(netlist, um), **WIRE) for um in (2200.0, 2400.0)] == [0, 1]


def test_a_gated_clock_that_no_gate_drives_is_one_net_left(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    cells, library = nangate
    made = {"cg": {"type": "CLKGATE_X1", "connections": {"CK": [2], "E": [3], "GCK": [4]}}}
    made |= {f"r{k}": {"type": "DFF_X1", "connections": {"D": [3], "CK": [4], "Q": [5 + k]}} for k in range(2)}
    ports = {"clk": {"direction": "input", "bits": [2]}, "e": {"direction": "input", "bits": [3]},
             "y": {"direction": "output", "bits": [5, 6]}}  # fmt: skip
    module = {"ports": ports, "cells": made, "netnames": {}, "attributes": {"top": "1"}}
    netlist = netlist_from_json({"modules": {"gated": module}})
    where = {"cg": 0.0, "r0": -20_000.0, "r1": 20_000.0}
    placed = geometry(netlist, [where[netlist.cell_name(cell)] for cell in range(3)], [0.0] * 3)
    change = plan(netlist, library, cells, placed, **WIRE)
    assert {netlist.cell_name(cell): kind for cell, kind in change.resized} == {"cg": "CLKGATE_X8"}
    assert (change.left, change.buffers) == (1, ())


def test_what_is_largest_already_is_no_change(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    cells, library = nangate
    netlist = inverters(32)
    change = plan(netlist, library, cells, apart(netlist, 100_000.0), **WIRE)
    assert (change.left, change.resized) == (1, ())


def test_the_resistance_of_a_wire_counts(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    """Two inverters: at the length at which the slowest pin just keeps the limit nothing is done; beyond
    it a larger cell or a buffer comes; without resistance that length is well within."""
    cells, library = nangate
    netlist = inverters(4)
    between = int(netlist.groups["INV_X1"].pin("A")[0])
    most = library.max_transition_ns
    assert most is not None

    low = longest(lambda um: slowest_pin_ns(netlist, library, apart(netlist, um), between) <= most)
    # loads at the limit are found on a grid of 1/200 of what the tables hold
    for um, bad in ((0.99 * low, 0), (1.02 * low, 1)):
        assert overloaded(netlist, library, apart(netlist, um), **WIRE) == bad
        change = plan(netlist, library, cells, apart(netlist, um), **WIRE)
        assert bool(change.buffers or change.resized) == bool(bad)
    # without it 2.2 mm are within what the library lets the inverter drive, 243 fF
    far = apart(netlist, 2200.0)
    assert overloaded(netlist, library, far, ff_per_um=0.104) == 0
    change = plan(netlist, library, cells, far, ff_per_um=0.104)
    assert not change.buffers
    assert not change.resized


@pytest.mark.parametrize(("readers", "side_um"), [(1, 4000.0), (2, 3000.0), (40, 1500.0), (600, 900.0), (1500, 700.0)])
def test_trees_across_a_resistive_core_are_fast_everywhere(
    nangate: tuple[CellLibrary, PowerLibrary], readers: int, side_um: float
) -> None:
    """Every net of the data after the repair, buffers where they are wanted, judged by a second sum."""
    cells, library = nangate
    netlist = fan(readers=readers)
    rng = np.random.default_rng(7)
    x, y = rng.uniform(0, side_um, (2, netlist.cells))
    # what belongs together stands together; the driver of all stands in a corner
    names = {netlist.cell_name(cell): cell for cell in range(netlist.cells)}
    for name in ("ff", "root", "cg"):
        x[names[name]] = y[names[name]] = 0.0
    for k in range(readers):
        x[names[f"r{k}"]], y[names[f"r{k}"]] = x[names[f"x{k}"]], y[names[f"x{k}"]]
    if readers == 1:
        x[names["x0"]] = x[names["r0"]] = side_um
    placed = geometry(netlist, x, y)
    root = int(netlist.groups["NAND2_X1"].pin("ZN")[0])
    most = library.max_transition_ns
    assert most is not None
    assert slowest_pin_ns(netlist, library, placed, root) > most
    change = plan(netlist, library, cells, placed, **WIRE)
    mended = change.apply(netlist, library)
    after = geometry(mended, *change.starts(placed))
    driven = {root, *(buffer.target for buffer in change.buffers)}
    slowest = {net: slowest_pin_ns(mended, library, after, net) for net in driven}
    assert change.left == 0
    assert max(slowest.values()) <= 1.02 * most
    assert overloaded(mended, library, after, **WIRE) == 0
    # no more than it takes: pieces of 0.3 mm of a tree (0.7 sqrt(points x area) long) and the way to it; six sinks each
    assert len(change.buffers) <= (2 + 0.7 * readers**0.5) * side_um / 300 + readers / 6
    topological_levels(mended, library)
    for old, new in zip(outputs(netlist, library, readers), outputs(mended, library, readers), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_no_cell_can_drive_is_counted(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    """Readers across 40 mm: the wire to their buffers alone is more than the largest NAND2 drives."""
    cells, library = nangate
    netlist = fan(readers=40)
    change = plan(netlist, library, cells, at(netlist, library, 40_000.0), ff_per_um=FF_PER_UM)
    assert change.left > 0
    root = int(netlist.groups["NAND2_X1"].cells[0])
    assert dict(change.resized)[root] == "NAND2_X4"


def test_repaired_cells_stand_legally_in_the_same_core(
    nangate: tuple[CellLibrary, PowerLibrary], tmp_path: Path
) -> None:
    cells, library = nangate
    netlist = fan(readers=120)
    lef = read_lef(cells.lef)
    placed = place(netlist, lef, utilisation=0.5, spread=True)
    rounds = []
    mended, found = netlist, placed
    for _ in range(2):
        change = plan(mended, library, cells, found, ff_per_um=3.0)
        mended = change.apply(mended, library)
        x, y = change.starts(found)
        found = legalise(mended, lef, x_um=x, y_um=y, core_um=found.core_um)
        rounds.append(change)
    assert found.overlaps == 0
    assert found.core_um == placed.core_um
    assert found.utilisation > placed.utilisation
    assert overloaded(netlist, library, placed, ff_per_um=3.0) > overloaded(mended, library, found, ff_per_um=3.0)
    # cells stay near where they were
    moved = np.hypot(found.x_um[: netlist.cells] - placed.x_um, found.y_um[: netlist.cells] - placed.y_um)
    assert np.median(moved) < 0.1 * placed.core_um[0]
    save_repairs(tmp_path / "repair.json", rounds)
    again = load_repairs(tmp_path / "repair.json")
    assert again == tuple(rounds)
    same = repaired(netlist, library, again)
    assert all((same.groups[kind].nets == group.nets).all() for kind, group in mended.groups.items())
    with pytest.raises(PlacementError, match=r"take 9\d\.\d % of the core|take \d{3}"):
        legalise(mended, lef, x_um=found.x_um, y_um=found.y_um, core_um=(found.core_um[0], found.core_um[1] / 2))


def test_a_repair_of_another_netlist_is_refused(nangate: tuple[CellLibrary, PowerLibrary]) -> None:
    _, library = nangate
    netlist = fan(readers=3)
    with pytest.raises(ValueError, match=r"a repair of 1 cells and 2 nets is none of fan with 9"):
        Repair(cells=1, nets=2).apply(netlist, library)
    assert Repair(cells=1, nets=2).left == 0
    assert replace(netlist).cells == Repair(cells=netlist.cells, nets=netlist.nets).apply(netlist, library).cells
