"""Clock gates behind clock gates: the same registers, and a clock that reaches what is written alone."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.netlist.gate_simulation import GateSimulator, to_lanes
from flows.physical.mapped import Mapped
from flows.synthesis.clock_gates import nest_clock_gates
from flows.synthesis.recipe import Recipe
from flows.synthesis.synthesise import synthesise
from tests.flows.conftest import library_or_skip
from tests.flows.netlist.test_gate_simulation import drive

WORDS, WIDTH = 20, 4
FILE = f"""module file (
    input clk, rst, we, input [4:0] a, input [{WIDTH - 1}:0] d, output reg [{WORDS * WIDTH - 1}:0] q
  );
  integer i;
  always @(posedge clk or posedge rst) if (rst) q <= 0; else
    for (i = 0; i < {WORDS}; i = i + 1) if (we && a == i) q[{WIDTH} * i +: {WIDTH}] <= d;
endmodule"""
QUICK = Recipe(name="quick", abc=("strash", "&get -n", "&nf", "&put"))


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    folder: Path = tmp_path_factory.mktemp("report") / "file"
    folder.mkdir()
    synthesise(
        FILE, top="file", library=library_or_skip("nangate45"), out_dir=folder / "synthesis", recipe=QUICK,
        clock_gating=True,
    )  # fmt: skip
    return Mapped(folder=folder)


def test_a_register_file_keeps_what_is_written(mapped: Mapped) -> None:
    """Random writes in 64 streams, against an array; a clock in which nothing is written passes two gates alone."""
    sim = GateSimulator(mapped.netlist, mapped.library, words=1)
    rng = np.random.default_rng(5)
    words = np.zeros((64, WORDS), np.int64)
    drive(sim, "rst", np.ones(64, np.int64))
    sim.settle()
    drive(sim, "rst", np.zeros(64, np.int64))
    for _ in range(200):
        enable, address, data = rng.integers(0, 2, 64), rng.integers(0, WORDS + 4, 64), rng.integers(0, 1 << WIDTH, 64)
        for name, value in (("we", enable), ("a", address), ("d", data)):
            drive(sim, name, value)
        sim.step()
        written = np.flatnonzero((enable == 1) & (address < WORDS))
        words[written, address[written]] = data[written]
        # root, common gate, own gate; the root alone where nothing is written
        clocks = np.array([[int(row[0]) >> stream & 1 for stream in range(64)] for row in sim.pulsed]).sum(axis=0)
        assert set(clocks[written]) == {3}
        assert set(np.delete(clocks, written)) == {1}
        sim.settle()
        bits = to_lanes(sim.values[sim.netlist.ports["q"].nets]).reshape(WORDS, WIDTH, 64)
        np.testing.assert_array_equal((bits << np.arange(WIDTH)[:, None]).sum(axis=1).T, words)


def gates(number: int, *, clock: int = 2, kind: str = "CLKGATE_X1") -> dict[str, Any]:
    """A module with clock gates, of which gate i has net 10 + i as enable."""
    cells = {
        f"gate_{i}": {"type": kind, "connections": {"CK": [clock], "E": [10 + i], "GCK": [100 + i]}, "parameters": {}}
        for i in range(number)
    }
    return {"ports": {"clk": {"bits": [clock], "direction": "input"}}, "netnames": {}, "attributes": {}, "cells": cells}


@pytest.mark.parametrize(("number", "common"), [(3, []), (4, [4]), (16, [16]), (17, [8, 9]), (40, [13, 13, 14])])
def test_up_to_16_gates_share_one(number: int, common: list[int]) -> None:
    module = gates(number)
    added = nest_clock_gates({"m": module}, library_or_skip("nangate45").cells)
    assert added == len(common)
    clocks = [cell["connections"]["CK"] for name, cell in module["cells"].items() if name.startswith("gate_")]
    if not common:
        assert clocks == [[2]] * number
        return
    asked = [cell["connections"] for cell in module["cells"].values() if cell["type"] == "$reduce_or"]
    assert [len(pins["A"]) for pins in asked] == common
    assert [enable for pins in asked for enable in pins["A"]] == [10 + i for i in range(number)]
    nets = [bit for (bit,) in clocks]
    assert [nets.count(net) for net in dict.fromkeys(nets)] == common
    assert 2 not in nets


def test_gates_of_other_clocks_and_modules_stay_apart() -> None:
    two = gates(3)
    two["cells"] |= {f"other_{name}": cell for name, cell in gates(3, clock=3)["cells"].items()}
    modules = {"two": two, "one": gates(3), "box": {**gates(8), "attributes": {"blackbox": "1"}}}
    assert nest_clock_gates(modules, library_or_skip("nangate45").cells) == 0


@pytest.mark.parametrize(("number", "apart", "added"), [(3, False, 0), (4, False, 1), (17, False, 2), (17, True, 0)])
def test_instances_that_have_gates_alone_share_one(number: int, apart: bool, added: int) -> None:
    """Their clock comes from it, and it opens with any of theirs; copies have nothing in common."""
    lane, pins = gates(2), {"clk": [2]}
    whole = {
        "ports": {"clk": {"bits": [2], "direction": "input"}}, "netnames": {}, "attributes": {},
        "cells": {f"lane_{i}": {"type": "lane", "connections": dict(pins)} for i in range(number)},
    }  # fmt: skip
    modules = {"top": whole, "lane": lane}
    cells = library_or_skip("nangate45").cells
    assert nest_clock_gates(modules, cells, apart=["lane"] if apart else []) == added
    kinds = [cell["type"] for cell in whole["cells"].values()]
    assert kinds.count("CLKGATE_X1") == added
    clocks = [cell["connections"]["clk"] for cell in whole["cells"].values() if cell["type"] == "lane"]
    assert ([2] in clocks) == (not added)
    assert ("clock_wanted" in lane["ports"]) == bool(added)
    if added:
        wanted = [bit for cell in whole["cells"].values() for bit in cell["connections"].get("clock_wanted", [])]
        asked = [cell["connections"]["A"] for cell in whole["cells"].values() if cell["type"] == "$reduce_or"]
        assert sorted(bit for bits in asked for bit in bits) == sorted(wanted)
        assert len(set(wanted)) == number


def test_instances_that_need_their_clock_keep_it() -> None:
    """A flip-flop without a gate, gates of two kinds, a gate with a further pin that moves, a clock that goes on."""
    free, two, test, onward = gates(2), gates(2), gates(2), gates(2)
    onward["ports"]["o"] = {"direction": "output", "bits": [2]}
    free["cells"]["f"] = {"type": "$_DFF_P_", "connections": {"C": [2], "D": [7], "Q": [8]}}
    two["cells"]["gate_0"]["type"] = "CLKGATE_X2"
    for gate in test["cells"].values():
        gate["connections"]["SE"] = [9]
    for lane in (free, two, test, onward):
        cells = {f"lane_{i}": {"type": "lane", "connections": {"clk": [2]}} for i in range(5)}
        whole = {
            "ports": {"clk": {"bits": [2], "direction": "input"}},
            "netnames": {},
            "attributes": {},
            "cells": cells,
        }
        assert nest_clock_gates({"top": whole, "lane": lane}, library_or_skip("nangate45").cells) == 0
