"""Words behind one flip-flop: the same registers, in latches; proved by yosys, and simulated against an array."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.library.cells import LibertyCell
from flows.netlist.gate_simulation import GateSimulator, to_lanes
from flows.physical.mapped import Mapped
from flows.synthesis.clock_gates import nest_clock_gates
from flows.synthesis.recipe import Recipe
from flows.synthesis.shared_storage import share_storage
from flows.synthesis.synthesise import synthesise
from flows.tools.yosys import run_yosys
from tests.flows.conftest import library_or_skip
from tests.flows.netlist.test_gate_simulation import drive

LANES, WORDS, WIDTH = 5, 6, 4
LANE = f"""module lane (input clk, rst, we, input [2:0] a, input [{WIDTH - 1}:0] d,
    output reg [{WORDS * WIDTH - 1}:0] q);
  integer i;
  always @(posedge clk) for (i = 0; i < {WORDS}; i = i + 1)
    if (we && a == i) q[{WIDTH} * i +: {WIDTH}] <= d + q[{WIDTH - 1}:0];
endmodule
"""
TOP = f"""module top (input clk, rst, input [{LANES - 1}:0] we, input [2:0] a, input [{WIDTH - 1}:0] d,
    output [{LANES * WORDS * WIDTH - 1}:0] q);
  lane l [{LANES - 1}:0] (.clk(clk), .rst(rst), .we(we), .a(a), .d(d), .q(q));
endmodule
"""
QUICK = Recipe(name="quick", abc=("strash", "&get -n", "&nf", "&put"))
# as Liberty describes it in words alone
GATE = """module CLKGATE_X1 (input CK, E, output GCK);
  reg open; always @* if (!CK) open = E; assign GCK = CK & open;
endmodule
"""


@pytest.fixture(scope="module")
def cells() -> dict[str, LibertyCell]:
    return dict(library_or_skip("nangate45").cells)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    folder: Path = tmp_path_factory.mktemp("report") / "top"
    folder.mkdir()
    synthesise(
        LANE + TOP, top="top", library=library_or_skip("nangate45"), out_dir=folder / "synthesis", recipe=QUICK,
        clock_gating=True, min_keep_cells=1,
    )  # fmt: skip
    return Mapped(folder=folder)


def test_one_flip_flop_for_each_bit_of_the_data(mapped: Mapped) -> None:
    number = {kind: len(group.cells) for kind, group in mapped.netlist.groups.items()}
    assert number["DLH_X1"] == LANES * WORDS * WIDTH
    assert number["DFF_X1"] == LANES * WIDTH
    # a gate for each word, one for the flip-flops of a lane, one for all lanes
    assert number["CLKGATE_X1"] == LANES * (WORDS + 1) + 1
    clock = mapped.netlist.ports["clk"].nets[0]
    assert sum(int((group.nets == clock).sum()) for group in mapped.netlist.groups.values()) == 1


def test_words_keep_what_is_written(mapped: Mapped) -> None:
    """Random writes of sums of data and a stored word in 64 streams; without a write the clock stands still."""
    sim = GateSimulator(mapped.netlist, mapped.library, words=1)
    rng = np.random.default_rng(5)
    sim.state = rng.integers(0, 1 << 63, (sim.storages, 1), np.uint64)
    drive(sim, "rst", np.zeros(64, np.int64))

    def clock(enable: np.ndarray, address: np.ndarray, data: np.ndarray) -> np.ndarray:
        for name, value in (("we", enable @ (1 << np.arange(LANES))), ("a", address), ("d", data)):
            drive(sim, name, value)
        sim.step()
        return np.array([[int(row[0]) >> stream & 1 for stream in range(64)] for row in sim.pulsed]).sum(axis=0)

    def stored() -> np.ndarray:
        sim.settle()
        bits = to_lanes(sim.values[sim.netlist.ports["q"].nets]).reshape(LANES, WORDS, WIDTH, 64)
        words: np.ndarray = (bits << np.arange(WIDTH)[:, None]).sum(axis=2)
        return words

    clock(np.zeros((64, LANES), np.int64), np.zeros(64, np.int64), np.zeros(64, np.int64))
    words = stored()
    assert 0 < words.mean() < (1 << WIDTH) - 1  # whatever the power-up state was
    for _ in range(50):
        enable = rng.integers(0, 2, (64, LANES)) * rng.integers(0, 2, (64, 1))
        address, data = rng.integers(0, WORDS + 2, 64), rng.integers(0, 1 << WIDTH, 64)
        pulses = clock(enable, address, data)
        for stream in range(64):
            lanes = np.flatnonzero(enable[stream]) if address[stream] < WORDS else []
            for lane in lanes:
                own = words[lane, :, stream]
                own[address[stream]] = (data[stream] + own[0]) % (1 << WIDTH)
            # root, common gate of the lanes; of each that is written common and own gate
            assert pulses[stream] == (2 + 2 * len(lanes) if len(lanes) else 1)
        np.testing.assert_array_equal(stored(), words)


@pytest.mark.parametrize("gate", [GATE, GATE.replace("if (!CK) open", "open")])
def test_yosys_proves_it(mapped: Mapped, tmp_path: Path, gate: str) -> None:
    """From any state in which both agree they agree for ever, whatever clock and inputs do; not if gates do not hold
    their enable while the clock is high."""
    # what a gate outside asks for is proved with it
    asked = f"output clock_wanted, output reg [{WORDS * WIDTH - 1}:0] q);\n  assign clock_wanted = we && a < {WORDS};"
    gold = LANE.replace("module lane", "module gold").replace(f"output reg [{WORDS * WIDTH - 1}:0] q);", asked)
    (tmp_path / "gold.v").write_text(gold)
    (tmp_path / "gate.v").write_text(gate)
    liberty = " ".join(str(path) for path in library_or_skip("nangate45").liberty)
    lines = [
        f"read_liberty -overwrite -ignore_miss_func {liberty}", "delete CLKGATE_X1", "read_verilog gate.v",
        f"read_rtlil {mapped.folder / 'synthesis' / 'netlist.il'}", "hierarchy -check -top lane", "proc",
        "setattr -mod -unset keep_hierarchy", "flatten", "read_verilog gold.v", "proc gold", "clk2fflogic", "opt_clean",
        "miter -equiv -flatten gold lane miter", "hierarchy -top miter", "opt -fast",
        "sat -tempinduct-inductonly -tempinduct -maxsteps 3 -prove trigger 0 miter",
    ]  # fmt: skip
    log = run_yosys("\n".join(lines) + "\n", directory=tmp_path, name="proof").log
    assert ("Induction step proven: SUCCESS!" in log) == (gate == GATE)
    assert ("proof failed." in log) == (gate != GATE)


def gated(words: int, *, kind: str = "$_DFF_P_", data: tuple[int, ...] = (50, 51)) -> dict[str, Any]:
    """A module with words of two bits, each behind a gate of its own."""
    pins = {"C": "input", "D": "input", "Q": "output", "R": "input"}
    found: dict[str, Any] = {}
    for i in range(words):
        found[f"gate_{i}"] = {"type": "CLKGATE_X1", "connections": {"CK": [2], "E": [10 + i], "GCK": [100 + i]}}
        for k, bit in enumerate(data):
            connections = {"C": [100 + i], "D": [bit], "Q": [200 + 2 * i + k]} | ({"R": [3]} if "PP" in kind else {})
            found[f"bit_{i}_{k}"] = {"type": kind, "connections": connections, "port_directions": pins}
    return {"ports": {"clk": {"bits": [2], "direction": "input"}}, "netnames": {}, "attributes": {}, "cells": found}


@pytest.mark.parametrize(("words", "groups"), [(3, 0), (4, 1), (16, 1), (17, 2)])
def test_at_least_four_words_and_at_most_16_behind_one(words: int, groups: int, cells: dict[str, LibertyCell]) -> None:
    module = gated(words)
    assert share_storage({"m": module}, cells) == (2 * words if groups else 0)
    kinds = [cell["type"] for cell in module["cells"].values()]
    assert kinds.count("$_DLATCH_P_") == (2 * words if groups else 0)
    assert kinds.count("$_DFF_P_") == (2 * groups if groups else 2 * words)
    before = deepcopy(module)
    assert nest_clock_gates({"m": module}, cells) == 0 or not groups
    assert not groups or module == before


def test_what_stays_flip_flops(cells: dict[str, LibertyCell]) -> None:
    """Those with a reset, those whose data differ, and all of them where the library has no latch."""
    other = gated(4)
    for name, cell in other["cells"].items():
        if name.startswith("bit_3"):
            cell["connections"]["D"] = [60]
    no_latch = {name: cell for name, cell in cells.items() if cell.kind != "latch"}
    for module, library in ((gated(8, kind="$_DFF_PP0_"), cells), (other, cells), (gated(8), no_latch)):
        assert share_storage({"m": module}, library) == 0
