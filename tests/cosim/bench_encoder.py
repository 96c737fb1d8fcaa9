"""cocotb tests of the whole encoder; `tests/cosim/test_cosim.py` builds and runs them."""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase

from flows.verification.encoder_stimulus import random_settings, random_weights, random_words
from sim.hgcal_encoder.configuration.registers import register_writes, reset_settings
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.spec import EncoderSpec
from tests.cosim.agents import Bench

SPEC = EncoderSpec.from_toml(Path(os.environ["LIQUIDCAL_SPEC"]).read_text())
LATENCY = int(os.environ["LIQUIDCAL_LATENCY"])
SEED = int(os.environ["LIQUIDCAL_SEED"])
CROSSINGS = int(os.environ["LIQUIDCAL_CROSSINGS"])
VECTORS = os.environ.get("LIQUIDCAL_VECTORS", "")


def generator(stream: int) -> np.random.Generator:
    """A generator of its own for each test, so that tests do not depend on their order."""
    cocotb.log.info("seed %d, stream %d", SEED, stream)
    return np.random.default_rng((SEED, stream))


@cocotb.test()
async def reset_values(dut: SimHandleBase) -> None:
    """Nothing written: frames of the reset settings with weights 0, from the first crossing on."""
    bench = Bench(dut, SPEC, LATENCY)
    await bench.start()
    await bench.send(random_words(generator(1), CROSSINGS, reset_settings(SPEC)))
    await bench.finish(CROSSINGS)


@cocotb.test()
@cocotb.parametrize(kind=["uniform", "small", "lowest", "highest", "alternating"])
async def random_crossings(dut: SimHandleBase, kind: str) -> None:
    """Random settings, weights of one kind through the write port, crossings back to back, orbit headers in between."""
    rng = generator(2 + sum(map(ord, kind)))
    bench = Bench(dut, SPEC, LATENCY)
    await bench.start()
    settings, weights = random_settings(SPEC, rng), random_weights(SPEC, rng, kind)
    await bench.load(settings, weights, random_words(rng, 4, settings))
    await bench.send(random_words(rng, CROSSINGS, settings))
    await bench.finish(CROSSINGS)


@cocotb.test()
async def reset_in_stream(dut: SimHandleBase) -> None:
    """Reset between clock edges: output clears at once, registers return to reset values, numbering starts again."""
    rng = generator(3)
    bench = Bench(dut, SPEC, LATENCY)
    await bench.start()
    settings, weights = random_settings(SPEC, rng), random_weights(SPEC, rng, "uniform")
    await bench.load(settings, weights, random_words(rng, 4, settings))
    await bench.send(random_words(rng, CROSSINGS // 2, settings))
    await bench.reset()
    words = random_words(rng, CROSSINGS, reset_settings(SPEC))
    words[:, 0] = (words[:, 0] & 0x0FFF_FFFF) | 0xA000_0000
    await bench.send(words)
    await bench.finish(CROSSINGS)


@cocotb.test()
async def reload_in_stream(dut: SimHandleBase) -> None:
    """New registers while crossings flow: old results before, new ones after; writing what is there changes nothing."""
    rng = generator(4)
    bench = Bench(dut, SPEC, LATENCY)
    await bench.start()
    for _ in range(2):
        settings, weights = random_settings(SPEC, rng), random_weights(SPEC, rng, "uniform")
        words = random_words(rng, CROSSINGS, settings)
        await bench.load(settings, weights, words)
        await bench.send(words)
        # the same values again: every crossing counts
        writes = register_writes(SPEC, settings, weights)
        chosen = [writes[int(i)] for i in rng.integers(0, len(writes), CROSSINGS)]
        for row, write in zip(words, chosen, strict=True):
            await bench.driver.crossing(row, write)
        bench.dut.write_enable.value = 0
    await bench.finish(2 * CROSSINGS)


@cocotb.test(skip=not VECTORS)
async def published_vectors(dut: SimHandleBase) -> None:
    """Published words and settings through the write port; the published frames are what must come."""
    folder = Path(VECTORS)
    settings, weights = load_settings(folder / "AE" / "init.yaml", SPEC)
    words = read_words(folder / "testInput_bx0000-1781.csv")[: 4 * CROSSINGS]
    frames = read_frames(folder / "AE" / "testOutput_bx0000-1781.csv")[: 4 * CROSSINGS]
    bench = Bench(dut, SPEC, LATENCY)
    await bench.start()
    await bench.load(settings, weights, words)
    for row, frame in zip(words, frames, strict=True):
        bench.driver.sampled = lambda _, frame=frame: bench.scoreboard.expect(
            "published frame", tuple(int(word) for word in frame)
        )
        await bench.driver.crossing(row)
    await bench.finish(len(frames))
