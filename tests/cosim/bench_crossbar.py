"""cocotb tests of the whole crossbar chip; `tests/cosim/test_crossbar.py` builds and runs them."""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase

from flows.stimulus.recordings import random_spikes
from flows.verification.crossbar_stimulus import random_readout
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
from sim.lsm_crossbar.spec import CrossbarSpec
from tests.cosim.crossbar_agents import Bench
from tests.cosim.crossbar_coverage import chip_coverage

SPEC = CrossbarSpec.from_toml(Path(os.environ["LIQUIDCAL_SPEC"]).read_text())
CONDUCTANCES = read_conductances(Path(os.environ["LIQUIDCAL_CONDUCTANCES"]))
SEED = int(os.environ["LIQUIDCAL_SEED"])
SAMPLES = int(os.environ["LIQUIDCAL_SAMPLES"])


def bench_of(dut: SimHandleBase, stream: int) -> Bench:
    """A bench with a generator of its own for each test, so that tests do not depend on their order."""
    cocotb.log.info("seed %d, stream %d", SEED, stream)
    return Bench(dut, SPEC, CONDUCTANCES, np.random.default_rng((SEED, stream)))


@cocotb.test()
async def reset_values(dut: SimHandleBase) -> None:
    """Nothing written: spikes and counts at the threshold of the reset, from the first step on."""
    bench = bench_of(dut, 1)
    await bench.start()
    await bench.send(random_spikes(SPEC, bench.rng, SAMPLES))
    await bench.finish(SAMPLES * SPEC.steps)


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.7])
async def random_samples(dut: SimHandleBase, pause: float) -> None:
    """Samples back to back, events with and without pauses, rows in any order, under several settings.

    Meanwhile what the registers hold is written once more, which changes nothing.
    """
    bench = bench_of(dut, 2 + int(10 * pause))
    await bench.start()
    for kind in ("uniform", "equal"):
        threshold = int(bench.rng.integers(0, max(2, SPEC.step_input_max // 4)))
        seed = None if SPEC.noise_scale is None else int(bench.rng.integers(1 << 31))
        await bench.load(random_readout(SPEC, bench.rng, kind), min(threshold, SPEC.threshold_max), seed)
        again = cocotb.start_soon(bench.load_again())
        await bench.send(random_spikes(SPEC, bench.rng, SAMPLES), pause=pause)
        await again
        await bench.finish(SAMPLES * SPEC.steps)
    # without pauses the events of the next step must have waited for the running one
    assert pause or bench.driver.stalls > 0


@cocotb.test()
async def reset_in_sample(dut: SimHandleBase) -> None:
    """Reset between clock edges while a step runs and events are collected: the next event starts a new sample."""
    bench = bench_of(dut, 20)
    await bench.start()
    await bench.load(random_readout(SPEC, bench.rng), SPEC.threshold, None)
    bench.quiet()
    part = random_spikes(SPEC, bench.rng, 1)
    for step in part[0][: SPEC.steps // 2 + 1]:
        for row in np.flatnonzero(step):
            await bench.driver.event(int(row), 0.0)
        await bench.driver.event(1 << SPEC.row_bits, 0.0)
    await bench.driver.event(0, 0.0)
    await bench.reset()
    await bench.send(random_spikes(SPEC, bench.rng, SAMPLES))
    await bench.finish(SAMPLES * SPEC.steps)


@cocotb.test()
async def coverage_is_recorded(dut: SimHandleBase) -> None:
    """Last of all: bins that the tests before it have left empty; no run on one image fills all."""
    empty = [one for group in chip_coverage(SPEC).values() for one in group.empty]
    Path(os.environ["LIQUIDCAL_EMPTY_BINS"]).write_text(json.dumps(empty))
