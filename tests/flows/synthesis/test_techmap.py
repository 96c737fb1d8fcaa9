"""The technology maps against yosys' own meaning of the cells they replace, proved for every input."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from flows.library.library import AdderCell
from flows.synthesis.recipe import AREA
from flows.synthesis.techmap import cell_map, techmap, write_techmaps
from flows.tools.yosys import YosysError, run_yosys

REPOSITORY = Path(__file__).resolve().parents[3]
OPERATORS = """
module m (input signed [3:0] a, input signed [5:0] b, input [3:0] c, output signed [7:0] sum, output [6:0] wide,
          output signed [6:0] less, output lower, output signed [4:0] negative);
  assign sum = a + b;
  assign wide = c + b[4:0];
  assign less = b - a;
  assign lower = a < b;
  assign negative = -a;
endmodule
"""
BOX = """
module m (input a, b, c, output s0, c0, s1, c1, s2, c2, s3, c3, s4, c4, s5, c5);
  _liquidcal_fa_ f0 (.A(1'b0), .B(b), .CI(c), .S(s0), .CO(c0));
  _liquidcal_fa_ f1 (.A(a), .B(1'b1), .CI(c), .S(s1), .CO(c1));
  _liquidcal_fa_ f2 (.A(a), .B(b), .CI(1'b0), .S(s2), .CO(c2));
  _liquidcal_fa_ f3 (.A(a), .B(a), .CI(c), .S(s3), .CO(c3));
  _liquidcal_fa_ f4 (.A(a), .B(b), .CI(a), .S(s4), .CO(c4));
  _liquidcal_fa_ f5 (.A(a), .B(b), .CI(b), .S(s5), .CO(c5));
endmodule
"""
MODEL = "module _liquidcal_fa_ (input A, B, CI, output CO, S); assign {CO, S} = A + B + CI; endmodule\n"


def _prove(folder: Path, gold: list[str], gate: list[str], **files: str) -> None:
    """Both ways through the same source come to the same for every input; YosysError if not."""
    for name, text in files.items():
        (folder / f"{name}.v").write_text(text)
    lines = [*gold, "proc", "flatten", "techmap", "opt_clean", "rename m gold", "design -stash gold"]
    lines += [*gate, "select -assert-none t:$alu t:$fa t:_liquidcal_fa_", "techmap", "opt_clean", "rename m gate"]
    lines += ["design -stash gate", "design -copy-from gold gold", "design -copy-from gate gate"]
    lines += ["miter -equiv -flatten gold gate miter", "sat -verify -prove trigger 0 miter"]
    run_yosys("\n".join(lines) + "\n", directory=folder, timeout_s=120)


def test_ripple_is_what_alu_means(tmp_path: Path) -> None:
    """Additions, subtractions and comparisons of signed and unsigned operands of different widths."""
    read = ["read_verilog -sv m.v", "hierarchy -top m", "proc"]
    gate = [*read, "alumacc", "select -assert-min 3 t:$alu", "techmap -map ripple.v", "techmap -map gates.v"]
    files = {"m": OPERATORS, "ripple": techmap("ripple"), "gates": techmap("gates")}
    _prove(tmp_path, read, gate, **files)
    wrong = techmap("ripple").replace("assign carry[0] = CI;", "assign carry[0] = 1'b0;")
    with pytest.raises(YosysError, match="proof did fail"):
        _prove(tmp_path, read, gate, **(files | {"ripple": wrong}))


def test_carry_save_is_what_fa_means(tmp_path: Path) -> None:
    text = "module m (input [3:0] a, b, c, d, output [5:0] y); assign y = a + b + c + d; endmodule\n"
    read = ["read_verilog -sv m.v", "hierarchy -top m", "proc"]
    gate = [*read, "alumacc", "maccmap", "select -assert-min 1 t:$fa", "techmap -map carry_save.v", "techmap"]
    _prove(
        tmp_path, read, [*gate, "techmap -map gates.v"], m=text, carry_save=techmap("carry_save"),
        gates=techmap("gates"),
    )  # fmt: skip


def test_simplified_boxes_are_full_adders(tmp_path: Path) -> None:
    gold = ["read_verilog -sv m.v model.v", "hierarchy -top m"]
    box = ["read_verilog -sv m.v", "read_verilog -lib box.v", "hierarchy -top m"]
    files = {"m": BOX, "model": MODEL, "box": techmap("full_adder_box"), "simplify": techmap("simplify")}
    _prove(tmp_path, gold, [*box, "techmap -map simplify.v"], **files)
    wrong = techmap("simplify").replace("assign CO = A; assign S = CI;", "assign CO = CI; assign S = A;")
    with pytest.raises(YosysError, match="proof did fail"):
        _prove(tmp_path, gold, [*box, "techmap -map simplify.v"], **(files | {"simplify": wrong}))


@pytest.mark.parametrize("complement", [False, True])
def test_the_cell_of_a_library_is_a_full_adder(complement: bool, tmp_path: Path) -> None:
    """On complemented operands, too: sum and carry of three complements are the complements of sum and carry."""
    text = (
        "module m (input a, b, c, output s, co); _liquidcal_fa_ f (.A(a), .B(b), .CI(c), .S(s), .CO(co)); endmodule\n"
    )
    adder = AdderCell(cell="FA", inputs=("X", "Y", "Z"), sum="T", carry="U")
    cell = "module FA (input X, Y, Z, output T, U); assign {U, T} = X + Y + Z; endmodule\n"
    gold = ["read_verilog -sv m.v model.v", "hierarchy -top m"]
    box = ["read_verilog -sv m.v cell.v", "read_verilog -lib box.v", "hierarchy", "techmap -map map.v"]
    _prove(
        tmp_path, gold, [*box, "hierarchy -top m", "flatten"], m=text, model=MODEL, box=techmap("full_adder_box"),
        cell=cell, map=cell_map(adder, complement),
    )  # fmt: skip


def test_maps_that_a_recipe_asks_for(tmp_path: Path) -> None:
    write_techmaps(tmp_path, AREA, None)
    assert (tmp_path / "cell_map.v").read_text() == techmap("gates")
    arithmetic = (tmp_path / "arithmetic_map.v").read_text()
    assert arithmetic == techmap("carry_save") + techmap("ripple")


def test_maps_and_scripts_are_in_the_wheel() -> None:
    """An installed liquidcal synthesises, too: hatchling packs every file of a package that git does not ignore."""
    build = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert build == {"packages": ["hw", "sim", "flows", "liquidcal"]}
    room = REPOSITORY / "flows" / "synthesis"
    data = [path for folder in ("techmaps", "scripts") for path in (room / folder).iterdir()]
    assert len(data) >= 12
    ignored = subprocess.run(
        ["git", "check-ignore", *data], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (ignored.returncode, ignored.stdout) == (1, "")
