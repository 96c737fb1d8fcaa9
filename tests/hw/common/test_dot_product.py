"""The truncated dot product against exact rationals."""

import math
import random
from dataclasses import replace
from fractions import Fraction

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.common.dot_product import DotProduct, DotProductFormat
from hw.common.whole_dot_product import WholeDotProduct
from sim.fixed_point import Rounding
from sim.hgcal_encoder.spec import ROUNDINGS


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


def simulate(f: DotProductFormat, cases: list[tuple[list[int], list[int], int]], group: int = 0) -> list[int]:
    """Results of the hardware for (activations, weights, bias)."""
    whole = WholeDotProduct(dot_format=f, group=group)
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
    low = -(1 << (f.activation_width - 1)) if f.signed else 0
    xs = [pick(low, low + (1 << f.activation_width) - 1) for _ in range(f.taps)]
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
        rounding=st.sampled_from(ROUNDINGS),
    ),
    signed=st.booleans(),
    group=st.sampled_from((0, 2, 4)),
    seed=st.integers(0, 1 << 30),
)
def test_any_format(dot_format: DotProductFormat, signed: bool, group: int, seed: int) -> None:
    rng = random.Random(seed)
    if signed:
        width = max(dot_format.activation_width, dot_format.shift + 1)
        dot_format = replace(dot_format, activation_width=width, signed=True)
    cases = [draw(dot_format, rng) for _ in range(20)]
    assert simulate(dot_format, cases, group) == [exact(*case, dot_format) for case in cases]


@pytest.mark.parametrize(
    ("taps", "shift", "bias_shift", "group"),
    [(9, 5, 2, 0), (6, 5, 2, 0), (4, 5, 2, 0), (16, 4, 3, 0), (5, 4, 3, 0), (19, 4, 3, 8)],
)
def test_encoder_formats(taps: int, shift: int, bias_shift: int, group: int) -> None:
    rng = random.Random(taps)
    f = DotProductFormat(taps=taps, shift=shift, bias_shift=bias_shift)
    cases = [draw(f, rng) for _ in range(25)]
    cases += [([x] * taps, [w] * taps, b) for x in (0, 1, 255) for w in (-32, -1, 0, 31) for b in (-32, 31)]
    assert simulate(f, cases, group) == [exact(*case, f) for case in cases]


def test_sum_width_is_needed_and_enough() -> None:
    f = DotProductFormat(taps=9, shift=5, bias_shift=2)
    low, high = exact([255] * 9, [-32] * 9, -32, f), exact([255] * 9, [31] * 9, 31, f)
    assert f.bounds == (low, high)
    assert -(1 << (f.sum_width - 1)) <= low < -(1 << (f.sum_width - 2))
    assert simulate(f, [([255] * 9, [-32] * 9, -32), ([255] * 9, [31] * 9, 31)]) == [low, high]


@pytest.mark.parametrize("rounding", ROUNDINGS)
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


@pytest.mark.parametrize("name", ["taps", "activation_width", "weight_width", "bias_width"])
def test_counts_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} of a dot product must be at least 1, got 0"):
        DotProductFormat(**{"taps": 2, "shift": 4, name: 0})


@pytest.mark.parametrize("group", [3, -2])
def test_groups_hold_pairs(group: int) -> None:
    with pytest.raises(ValueError, match=f"group: expected an even number of taps, or 0, got {group}"):
        DotProduct(dot_format=DotProductFormat(taps=8, shift=4), group=group)


def test_signed_activations_that_lose_their_sign_are_refused() -> None:
    with pytest.raises(ValueError, match="more bits than the 4 that products lose, got 4"):
        DotProductFormat(taps=2, shift=4, activation_width=4, signed=True)


def test_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="shift of a dot product must not be negative, got -1"):
        DotProductFormat(taps=2, shift=-1)
