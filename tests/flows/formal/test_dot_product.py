"""Proofs about single dot products with a SAT solver, and that such a proof can fail."""

import re
from pathlib import Path

import pytest
from amaranth.back import rtlil

from flows.tools.yosys import YosysError, run_yosys
from hw.common.dot_product import (
    DotProductFormat,
)
from hw.common.export import to_rtlil
from hw.common.whole_dot_product import WholeDotProduct
from sim.fixed_point import Rounding


def specification(f: DotProductFormat, name: str) -> str:
    """One product and a bias in Verilog, by division with remainder."""
    half = 1 << f.shift >> 1
    up = {
        Rounding.TRN: "0",
        Rounding.RND: f"{f.shift} > 0 && remainder >= {half}",
        Rounding.RND_CONV: f"{f.shift} > 0 && (remainder > {half} || (remainder == {half} && quotient[0]))",
    }[f.rounding]
    return f"""
module {name} (input [{f.activation_width - 1}:0] x, input signed [{f.weight_width - 1}:0] weight,
               input signed [{f.bias_width - 1}:0] bias, output signed [{f.sum_width - 1}:0] sum);
  wire signed [31:0] product = $signed({{1'b0, x}}) * weight;
  wire signed [31:0] quotient = product >>> {f.shift};
  wire [31:0] remainder = product & {(1 << f.shift) - 1};
  wire signed [31:0] rounded = quotient + (({up}) ? 1 : 0);
  assign sum = rounded + (bias <<< {f.bias_shift});
endmodule
"""


def prove(folder: Path, pairs: list[tuple[DotProductFormat, DotProductFormat]]) -> None:
    """Prove hardware of the first format equal to the specification of the second, for every input."""
    script = []
    for number, (hardware, claim) in enumerate(pairs):
        (folder / f"{number}.il").write_text(rtlil.convert(WholeDotProduct(dot_format=hardware), name="hardware"))
        (folder / f"{number}.v").write_text(specification(claim, "specification"))
        script += [
            "design -reset",
            f"read_rtlil {number}.il",
            "proc",
            "flatten",  # drops whatever is not below the top, so the specification comes after
            "opt_clean",
            f"read_verilog -sv {number}.v",
            "proc",
            "miter -equiv -flatten specification hardware miter",
            "hierarchy -top miter",
        ]
        # one easy proof per weight instead of one hard proof of a multiplier
        script += [
            f"sat -verify -prove trigger 0 -set in_weight {weight} miter"
            for weight in range(1 << hardware.weight_width)
        ]
    run_yosys("\n".join(script), directory=folder)


@pytest.mark.parametrize(("shift", "rounding"), [(5, Rounding.TRN), (4, Rounding.TRN), (4, Rounding.RND_CONV)])
def test_one_product_is_proven(shift: int, rounding: Rounding, tmp_path: Path) -> None:
    """Every weight, activation and bias."""
    f = DotProductFormat(taps=1, shift=shift, bias_width=2, bias_shift=1, rounding=rounding)
    prove(tmp_path, [(f, f)])


def test_the_proof_can_fail(tmp_path: Path) -> None:
    floor = DotProductFormat(taps=1, shift=4, bias_width=2)
    nearest = DotProductFormat(taps=1, shift=4, bias_width=2, rounding=Rounding.RND)
    assert floor.sum_width == nearest.sum_width
    with pytest.raises(YosysError):
        prove(tmp_path, [(floor, nearest)])


def test_behind_an_activation_of_zero_nothing_depends_on_the_weight(tmp_path: Path) -> None:
    """For all weights, rows of two silent taps are 0 and their carries stand still: there is nothing to gate."""
    (tmp_path / "dot.il").write_text(to_rtlil(WholeDotProduct(dot_format=DotProductFormat(taps=4, shift=4)), "dot"))
    read = ["read_rtlil dot.il", "hierarchy -top dot", "proc", "flatten", "opt_clean"]
    log = run_yosys("\n".join([*read, "select -list w:dot.row_* w:dot.carry_*"]), directory=tmp_path).log
    wires = re.findall(r"^dot/(dot\.(?:row|carry)_\S+)", log, re.M)
    own = [name for name in wires if re.match(r"dot\.(row_[01]_|carry_[01]_)", name)]
    # two digits and one carry of each tap at least, two rows of the pair
    assert len(own) >= 8
    assert len(own) < len(wires)
    claims = [f"-prove {name} {'-1' if 'carry' in name else '0'}" for name in own]
    run_yosys("\n".join([*read, *(f"sat -verify -set x[15:0] 0 {claim}" for claim in claims)]), directory=tmp_path)
    # with one activation of the pair above zero its weight shows
    run_yosys("\n".join([*read, *(f"sat -falsify -set x[7:0] 1 {claim}" for claim in claims[-1:])]), directory=tmp_path)
