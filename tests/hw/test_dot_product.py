"""The truncated dot product against exact rationals."""

import math
import random
from fractions import Fraction

import pytest
from amaranth.hdl import Module, signed
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import Simulator

from hw.hgcal_encoder.dot_product import (
    ActivationMultiples,
    ActivationOffset,
    DotProduct,
    DotProductFormat,
    WeightRecoder,
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


class Whole(Component):
    """One dot product with everything it shares, straight from activations and weights."""

    def __init__(self, *, dot_format: DotProductFormat):
        self._format = dot_format
        super().__init__(
            {
                "x": In(dot_format.activation_width).array(dot_format.taps),
                "weight": In(dot_format.weight_width).array(dot_format.taps),
                "bias": In(dot_format.bias_width),
                "sum": Out(signed(dot_format.sum_width)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        f = self._format
        m = Module()
        m.submodules.multiples = multiples = ActivationMultiples(count=f.taps, width=f.activation_width, pairs=f.pairs)
        m.submodules.offset = offset = ActivationOffset(dot_format=f)
        m.submodules.recoder = recoder = WeightRecoder(dot_format=f)
        m.submodules.dot = dot = DotProduct(dot_format=f)
        for i in range(f.taps):
            m.d.comb += [component.x[i].eq(self.x[i]) for component in (multiples, offset, dot)]
            m.d.comb += [dot.triple[i].eq(multiples.triple[i]), recoder.weight[i].eq(self.weight[i])]
        for i in range(f.pairs):
            m.d.comb += [component.pair[i].eq(multiples.pair[i]) for component in (offset, dot)]
        for i in range(len(f.rows)):
            m.d.comb += dot.select[i].eq(recoder.select[i])
        m.d.comb += [dot.bias.eq(self.bias), dot.offset.eq(offset.offset), self.sum.eq(dot.sum)]
        return m


def simulate(f: DotProductFormat, cases: list[tuple[list[int], list[int], int]]) -> list[int]:
    """Results of the hardware for (activations, weights, bias)."""
    whole = Whole(dot_format=f)
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


@pytest.mark.parametrize("rounding", list(Rounding))
def test_random_formats(rounding: Rounding) -> None:
    rng = random.Random(2105)
    for _ in range(20):
        f = DotProductFormat(
            taps=rng.randint(1, 5),
            activation_width=rng.randint(1, 9),
            weight_width=rng.randint(1, 7),
            shift=rng.randint(0, 7),
            bias_width=rng.randint(1, 6),
            bias_shift=rng.randint(0, 4),
            rounding=rounding,
        )
        cases = [draw(f, rng) for _ in range(40)]
        assert simulate(f, cases) == [exact(*case, f) for case in cases], f


@pytest.mark.parametrize(("taps", "shift", "bias_shift"), [(9, 5, 2), (6, 5, 2), (4, 5, 2), (16, 4, 3), (5, 4, 3)])
def test_encoder_formats(taps: int, shift: int, bias_shift: int) -> None:
    rng = random.Random(taps)
    f = DotProductFormat(taps=taps, shift=shift, bias_shift=bias_shift)
    cases = [draw(f, rng) for _ in range(100)]
    cases += [([x] * taps, [w] * taps, b) for x in (0, 1, 255) for w in (-32, -1, 0, 31) for b in (-32, 31)]
    assert simulate(f, cases) == [exact(*case, f) for case in cases]


def test_sum_width_is_needed_and_enough() -> None:
    f = DotProductFormat(taps=9, shift=5, bias_shift=2)
    low, high = exact([255] * 9, [-32] * 9, -32, f), exact([255] * 9, [31] * 9, 31, f)
    assert f.bounds == (low, high)
    assert -(1 << (f.sum_width - 1)) <= low < -(1 << (f.sum_width - 2))
    assert simulate(f, [([255] * 9, [-32] * 9, -32), ([255] * 9, [31] * 9, 31)]) == [low, high]
