"""The truncated dot product against exact rationals."""

import math
import random
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.formal.dot_product import WholeDotProduct
from flows.tools.yosys import YosysError, run_yosys
from hw.common.export import to_rtlil
from hw.hgcal_encoder.dot_product import (
    DotProductFormat,
)
from sim.fixed_point import Rounding


def exact(xs: list[int], ws: list[int], bias: int, f: DotProductFormat) -> int:
    """The specification, on rationals, without anything of the format's own arithmetic."""
    total = Fraction(bias) * 2**f.bias_shift
    for x, w in zip(xs, ws, strict=True):
        value = Fraction(x * w, 2**f.shift)
        if f.rounding == Rounding.TRN:
            total += math.floor(value)
        elif f.rounding == Rounding.RND:
            total += math.floor(value + Fraction(1, 2))
        else:
            total += round(value)  # Python rounds ties of a Fraction to even
    assert total.denominator == 1
    return int(total)


def simulate(f: DotProductFormat, cases: list[tuple[list[int], list[int], int]]) -> list[int]:
    """Results of the hardware for (activations, weights, bias)."""
    whole = WholeDotProduct(dot_format=f)
    results = []

    async def bench(ctx):
        for xs, ws, bias in cases:
            for i in range(f.taps):
                ctx.set(whole.x[i], xs[i])
                ctx.set(whole.weight[i], ws[i])
            ctx.set(whole.bias, bias)
            await ctx.delay(1e-9)
            results.append(ctx.get(whole.sum))

    simulator = Simulator(whole)
    simulator.add_testbench(bench)
    simulator.run()
    return results


def draw(f: DotProductFormat, rng: random.Random) -> tuple[list[int], list[int], int]:
    """Random operands; a third of the time only extremes."""
    extremes = rng.random() < 1 / 3

    def pick(low: int, high: int) -> int:
        return rng.choice((low, high)) if extremes else rng.randint(low, high)

    w, b = 1 << (f.weight_width - 1), 1 << (f.bias_width - 1)
    xs = [pick(0, (1 << f.activation_width) - 1) for _ in range(f.taps)]
    return xs, [pick(-w, w - 1) for _ in xs], pick(-b, b - 1)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    dot_format=st.builds(
        DotProductFormat,
        taps=st.integers(1, 5),
        activation_width=st.integers(1, 9),
        weight_width=st.integers(1, 7),
        shift=st.integers(0, 7),
        bias_width=st.integers(1, 6),
        bias_shift=st.integers(0, 4),
        rounding=st.sampled_from(Rounding),
    ),
    seed=st.integers(0, 1 << 30),
)
def test_any_format(dot_format: DotProductFormat, seed: int) -> None:
    rng = random.Random(seed)
    cases = [draw(dot_format, rng) for _ in range(20)]
    assert simulate(dot_format, cases) == [exact(*case, dot_format) for case in cases]


@pytest.mark.parametrize(("taps", "shift", "bias_shift"), [(9, 5, 2), (6, 5, 2), (4, 5, 2), (16, 4, 3), (5, 4, 3)])
def test_encoder_formats(taps: int, shift: int, bias_shift: int) -> None:
    rng = random.Random(taps)
    f = DotProductFormat(taps=taps, shift=shift, bias_shift=bias_shift)
    cases = [draw(f, rng) for _ in range(25)]
    cases += [([x] * taps, [w] * taps, b) for x in (0, 1, 255) for w in (-32, -1, 0, 31) for b in (-32, 31)]
    assert simulate(f, cases) == [exact(*case, f) for case in cases]


def test_sum_width_is_needed_and_enough() -> None:
    f = DotProductFormat(taps=9, shift=5, bias_shift=2)
    low, high = exact([255] * 9, [-32] * 9, -32, f), exact([255] * 9, [31] * 9, 31, f)
    assert f.bounds == (low, high)
    assert -(1 << (f.sum_width - 1)) <= low < -(1 << (f.sum_width - 2))
    assert simulate(f, [([255] * 9, [-32] * 9, -32), ([255] * 9, [31] * 9, 31)]) == [low, high]


@pytest.mark.parametrize("rounding", list(Rounding))
def test_a_narrow_sum_wraps(rounding: Rounding) -> None:
    rng = random.Random(5)
    f = DotProductFormat(taps=9, shift=5, bias_shift=2, rounding=rounding, width=8)
    cases = [draw(f, rng) for _ in range(40)]
    sums = [exact(*case, f) for case in cases]
    assert simulate(f, cases) == [(value + 128) % 256 - 128 for value in sums]
    assert sum(not -128 <= value < 128 for value in sums) > 10
    assert replace(f, width=40).sum_width == replace(f, width=None).sum_width
    with pytest.raises(ValueError, match="at least 8 for the bias, got 7"):
        replace(f, width=7)


@pytest.mark.parametrize("shift", [4, 5])
def test_every_weight(shift: int) -> None:
    """All weights times activations of every residue; `test_one_product_is_proven` covers the rest."""
    f = DotProductFormat(taps=1, shift=shift, bias_width=1)
    cases = [([x], [w], 0) for w in range(-32, 32) for x in (*range(33), 127, 128, 240, 254, 255)]
    assert simulate(f, cases) == [math.floor(Fraction(xs[0] * ws[0], 2**shift)) for xs, ws, _ in cases]


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


@pytest.mark.parametrize("name", ["taps", "activation_width", "weight_width", "bias_width"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} of a dot product must be at least 1, got 0"):
        DotProductFormat(**{"taps": 2, "shift": 4, name: 0})


def test_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="shift of a dot product must not be negative, got -1"):
        DotProductFormat(taps=2, shift=-1)
