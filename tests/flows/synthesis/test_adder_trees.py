"""Trees of full adders against yosys' own meaning of the sums that they replace, proved for every input."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.library.catalogue import cell_library
from flows.synthesis import adder_trees
from flows.synthesis.adder_trees import CARRY, SUM, grow_trees
from flows.synthesis.equivalence import equivalence
from flows.synthesis.recipe import AREA
from flows.synthesis.synthesise import synthesise
from flows.tools.yosys import YosysError, run_yosys

SUMS = """
module m (input [3:0] a, b, c, input signed [2:0] d, e, input f,
          output [6:0] plain, output signed [6:0] mixed, output [4:0] narrow, output signed [5:0] less,
          output [6:0] twice, output [6:0] constant);
  assign plain = a + b + c + {f, 2'b00};
  assign mixed = $signed({1'b0, a}) + d + e + $signed(b);
  assign narrow = a + {b, 1'b1} + c + f;
  assign less = d - e - $signed({1'b0, a}) + $signed({1'b0, b});
  assign twice = a + a + b + c + a;
  assign constant = a + b + c + 7'd77;
endmodule
"""


READ = ["read_verilog -sv m.v", "hierarchy -top m", "proc"]


def _trees(folder: Path, source: str) -> dict[str, Any]:
    """Modules of a source with trees, which are ``trees.json``, too."""
    (folder / "m.v").write_text(source)
    run_yosys("\n".join([*READ, "alumacc", "opt", "write_json words.json\n"]), directory=folder, name="words")
    netlist = json.loads((folder / "words.json").read_text())
    assert grow_trees(netlist["modules"])
    (folder / "trees.json").write_text(json.dumps(netlist))
    modules: dict[str, Any] = netlist["modules"]
    return modules


def _proved(folder: Path, source: str) -> dict[str, int]:
    """Prove that trees add up what the words did; cells by type."""
    modules = _trees(folder, source)
    lines = [*READ, "techmap", "opt_clean", "rename m gold", "design -stash gold", "read_json trees.json"]
    lines += ["select -assert-none t:$macc*", "techmap", "opt_clean", "rename m gate", "design -stash gate"]
    lines += ["design -copy-from gold gold", "design -copy-from gate gate"]
    lines += ["miter -equiv -flatten gold gate miter", "sat -verify -prove trigger 0 miter"]
    run_yosys("\n".join(lines) + "\n", directory=folder, timeout_s=120)
    kinds = [cell["type"] for cell in modules["m"]["cells"].values()]
    return {kind: kinds.count(kind) for kind in kinds}


def test_trees_add_up_what_the_words_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed and unsigned words, subtracted, cut, the same word twice, and a constant."""
    _proved(tmp_path, SUMS)
    addends = adder_trees._addends
    monkeypatch.setattr(adder_trees, "_addends", lambda cell: addends(cell)[1:])
    with pytest.raises(YosysError, match="proof did fail"):
        _proved(tmp_path, SUMS)


def test_a_tree_has_an_adder_for_each_bit_less(tmp_path: Path) -> None:
    """Nine words of one bit: four adders leave one bit in the lowest column, one leaves two of four carries."""
    inputs = ", ".join(f"input x{number}" for number in range(9))
    total = " + ".join(f"x{number}" for number in range(9))
    cells = _proved(tmp_path, f"module m ({inputs}, output [3:0] y); assign y = {total}; endmodule\n")
    assert cells == {"$fa": 4 + 1, "$alu": 1}


def test_what_comes_early_is_added_first(tmp_path: Path) -> None:
    """The latest bit is at the carry input, and a column of 7 words is as deep as Wallace's four levels are, or one
    more: a chain of its bits would be eight."""
    words = ", ".join(f"input [3:0] x{number}" for number in range(7))
    total = " + ".join(f"x{number}" for number in range(7))
    cells = _trees(tmp_path, f"module m ({words}, output [6:0] y); assign y = {total}; endmodule\n")["m"]["cells"]
    at: dict[object, int] = {}
    depth: dict[object, int] = {}
    for pins in (cell["connections"] for cell in cells.values() if cell["type"] == "$fa"):
        *early, late = (at.get(pins[name][0], 0) for name in "ABC")
        assert late >= max(early)
        level = 1 + max(depth.get(pins[name][0], 0) for name in "ABC")
        at |= {pins["X"][0]: late + CARRY, pins["Y"][0]: late + SUM}
        depth |= {pins["X"][0]: level, pins["Y"][0]: level}
    assert max(depth.values()) <= 5, depth.values()


def test_a_mapped_sum_equals_its_source(tmp_path: Path) -> None:
    """The whole of synthesis with trees against the source; smaller than without."""
    library, areas = cell_library("nangate45"), {}
    words = ", ".join(f"input [3:0] x{number}" for number in range(7))
    total = " + ".join(f"x{number}" for number in range(7))
    source = f"module m ({words}, output [6:0] y); assign y = {total}; endmodule\n"
    for trees in (False, True):
        folder = tmp_path / str(trees)
        recipe = replace(AREA, trees=trees)
        result = synthesise(source, top="m", library=library, out_dir=folder, recipe=recipe)
        found = equivalence(
            gold=source, gate=result.netlist_rtlil, module="m", library=library, directory=tmp_path / f"proof_{trees}",
            method="miter",
        )  # fmt: skip
        assert found.proved
        areas[trees] = result.area_um2
    assert areas[True] < areas[False]
