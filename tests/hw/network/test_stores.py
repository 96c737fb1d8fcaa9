"""Storing in any format, bit by bit against `FixedPoint`, which answers to the headers of ap_fixed."""

import numpy as np
import pytest
from amaranth.hdl import Module, signed
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import Simulator

from hw.network.stores import code_shape, stored
from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.network.nodes import Store

WIDTH, FRACTION = 8, 4
CODES = np.arange(-(1 << (WIDTH - 1)), 1 << (WIDTH - 1))
_SHAPES = ((4, 2, True), (3, 1, False), (12, 6, True), (2, -4, True), (5, -6, True), (9, 4, False))
"""Width, fraction bits and sign: fewer bits at both ends, more at both, steps beyond the range."""


class Stores(Component):
    """One value into many formats."""

    def __init__(self, steps: list[tuple[Store, ...]]):
        self._steps = steps
        super().__init__(
            {"x": In(signed(WIDTH)), **{f"y{i}": Out(code_shape(s[-1].result)) for i, s in enumerate(steps)}}
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        for i, steps in enumerate(self._steps):
            m.d.comb += getattr(self, f"y{i}").eq(stored(m, self.x, FRACTION, steps, f"s{i}"))
        return m


def simulate(steps: list[tuple[Store, ...]]) -> np.ndarray:
    part, seen = Stores(steps), []

    async def bench(context: object) -> None:
        for code in CODES:
            context.set(part.x, int(code))  # type: ignore[attr-defined]
            seen.append([context.get(getattr(part, f"y{i}")) for i in range(len(steps))])  # type: ignore[attr-defined]

    simulator = Simulator(part)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(seen).T


@pytest.mark.parametrize("rounding", Rounding)
def test_every_code_in_every_mode(rounding: Rounding) -> None:
    forms = [
        FixedPoint(width=width, fraction=fraction, signed=sign, rounding=rounding, overflow=overflow)
        for width, fraction, sign in (
            (4, 2, True),
            (3, 1, False),
            (12, 6, True),
            (2, -4, True),
            (5, -6, True),
            (9, 4, False),
        )
        for overflow in Overflow
    ]
    found = simulate([(Store(inputs=(), result=form),) for form in forms])
    for form, codes in zip(forms, found, strict=True):
        assert np.array_equal(codes, form.requantise(CODES, FRACTION)), str(form)


def test_rectifiers_and_limits() -> None:
    small = FixedPoint(width=6, fraction=3, signed=False, rounding=Rounding.RND, overflow=Overflow.SAT)
    coarse = FixedPoint(width=5, fraction=-1, signed=True)
    relu = Store(inputs=(), result=small, relu=True)
    limited = Store(inputs=(), result=small, relu=True, most=3)
    found = simulate([(relu,), (limited,), (Store(inputs=(), result=coarse), limited)])
    positive = np.maximum(CODES, 0)
    assert np.array_equal(found[0], small.requantise(positive, FRACTION))
    assert np.array_equal(found[1], small.requantise(np.minimum(positive, 3 << FRACTION), FRACTION))
    units = 2 * np.maximum(coarse.requantise(CODES, FRACTION), 0)
    assert np.array_equal(found[2], small.requantise(np.minimum(units, 3), 0))
