"""A receiver takes the tap that was chosen."""

import random

from amaranth.sim import Simulator, SimulatorContext

from hw.hgcal_encoder.links.deserialiser import DeserialiserLogic


def test_the_bit_is_that_of_the_tap_and_15_acts_as_14() -> None:
    logic, rng, compared = DeserialiserLogic(), random.Random(1), 0

    async def bench(ctx: SimulatorContext) -> None:
        nonlocal compared
        for tap in range(16):
            for _ in range(20):
                samples, enable, invert = rng.getrandbits(15), rng.getrandbits(1), rng.getrandbits(1)
                ctx.set(logic.samples, samples)
                ctx.set(logic.tap, tap)
                ctx.set(logic.enable, enable)
                ctx.set(logic.invert, invert)
                assert ctx.get(logic.next_state.shift) & 1 == enable & (samples >> min(tap, 14) ^ invert)
                compared += 1

    simulator = Simulator(logic)
    simulator.add_testbench(bench)
    simulator.run()
    assert compared == 320
