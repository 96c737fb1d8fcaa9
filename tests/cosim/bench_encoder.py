"""cocotb tests of the whole encoder; `tests/cosim/test_cosim.py` builds and runs them."""

import os
from dataclasses import replace
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase

from flows.verification.encoder_stimulus import random_settings, random_weights, random_words
from sim.hgcal_encoder.configuration.registers import (
    DENSITY_ADDRESS,
    LINKS_ADDRESS,
    register_map,
    register_writes,
    reset_settings,
)
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.spec import CELLS, ETX_WORDS, EncoderSpec
from sim.hgcal_encoder.words import pack
from tests.cosim.agents import Bench
from tests.cosim.encoder_coverage import crossing_coverage

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


@cocotb.test()
async def every_corner(dut: SimHandleBase) -> None:
    """Every number of links, both densities, modules from empty to full; a register of each field while data flows."""
    rng = generator(5)
    bench = Bench(dut, SPEC, LATENCY)
    await bench.start()
    weights = random_weights(SPEC, rng, "uniform")
    sent = 0
    for number in range(1, ETX_WORDS + 1):
        settings = replace(random_settings(SPEC, rng, etx_count=1), high_density=bool(number % 2))
        if number == 1:
            # one cell with the largest calibration, whatever was drawn
            settings = replace(settings, factors=np.where(np.arange(CELLS) == 0, 4095, settings.factors))
            current = settings
            await bench.load(settings, weights, random_words(rng, 4, settings))
        current = replace(current, etx_count=number, high_density=settings.high_density)
        await bench.load(current, None, random_words(rng, 4, current), only=(LINKS_ADDRESS, DENSITY_ADDRESS))
        codes = np.zeros((len(_CORNERS), CELLS), np.int64)
        for row, (cells, code) in zip(codes, _CORNERS, strict=True):
            row[rng.permutation(CELLS)[:cells]] = code if code >= 0 else rng.integers(1, 128, cells)
        words = pack(codes, SPEC.word_order).astype(np.int64)
        words[:, 0] |= np.where(np.arange(len(words)) == number % 3, 0x9, 0xA) << 28
        await bench.send(words)
        # the next write finds these in the pipeline, and they are not compared
        await bench.send(words[-1:].repeat(LATENCY, axis=0))
        sent += len(words)
    starts = {field.address: field.name for field in register_map(SPEC)}
    first: dict[str, tuple[int, int]] = {}
    for write in register_writes(SPEC, current, weights):
        if write[0] in starts:
            first.setdefault(starts[write[0]], write)
    for write in first.values():
        await bench.driver.crossing(words[0], write)
    bench.dut.write_enable.value = 0
    await bench.finish(sent + len(first))


_CORNERS = ((0, 0), (1, 1), (1, 127), (5, -1), (12, 7), (30, -1), (47, 8), (48, 120), (48, 127), (48, -1), (48, -1))
"""Trigger cells above zero, and their code; -1: random ones."""


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


@cocotb.test()
async def coverage_is_closed(dut: SimHandleBase) -> None:
    """Last of all: the tests before it have left no bin empty."""
    for group in crossing_coverage(SPEC).values():
        group.close()
