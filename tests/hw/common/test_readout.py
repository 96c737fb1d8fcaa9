"""Lane of the readout: every count with every weight, in Amaranth's simulator."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from hw.common.readout import ReadoutLane
from tests.crossbars import SMALL_CROSSBAR


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_lane_adds_every_product(bits: int) -> None:
    """1 bit: 0 adds the count and 1 subtracts it; else a number in two's complement."""
    spec = replace(SMALL_CROSSBAR, readout_weight_bits=bits)
    lane = ReadoutLane(spec=spec)
    total = -5

    async def bench(ctx: object) -> None:
        nonlocal total
        ctx.set(lane.load, 1)  # type: ignore[attr-defined]
        ctx.set(lane.bias, total)  # type: ignore[attr-defined]
        await ctx.tick()  # type: ignore[attr-defined]
        ctx.set(lane.load, 0)  # type: ignore[attr-defined]
        for code in range(1 << bits):
            factor = 1 - 2 * code if bits == 1 else code - (1 << bits) * (code >> (bits - 1))
            for count in range(spec.count_max + 1):
                for add in (1, 0):
                    ctx.set(lane.add, add)  # type: ignore[attr-defined]
                    ctx.set(lane.count, count)  # type: ignore[attr-defined]
                    ctx.set(lane.weight, code - (1 << bits) * (code >> (bits - 1)))  # type: ignore[attr-defined]
                    await ctx.tick()  # type: ignore[attr-defined]
                    total += add * factor * count
                    assert ctx.get(lane.score) == total, (code, count)  # type: ignore[attr-defined]

    simulator = Simulator(lane)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
