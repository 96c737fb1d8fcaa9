"""cocotb tests of the stages of an encoder, one by one; `tests/cosim/test_cosim.py` builds and runs them."""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase

from hw.hgcal_encoder.encoder import STAGES
from sim.hgcal_encoder.spec import EncoderSpec
from tests.cosim.encoder_coverage import stage_coverage
from tests.cosim.stages import StageBench

SPEC = EncoderSpec.from_toml(Path(os.environ["LIQUIDCAL_SPEC"]).read_text())
SEED = int(os.environ["LIQUIDCAL_SEED"])
ROWS = int(os.environ["LIQUIDCAL_CROSSINGS"])


@cocotb.test()
@cocotb.parametrize(stage=list(STAGES))
async def random_rows(dut: SimHandleBase, stage: str) -> None:
    """Random and extreme inputs, every output compared with the golden function; no cover bin is left empty."""
    number = STAGES.index(stage)
    cocotb.log.info("seed %d, stream %d", SEED, number)
    bench, coverage = StageBench(dut, stage, SPEC), stage_coverage(stage, SPEC)
    bench.driver.listeners.append(coverage.sample)
    await bench.run(np.random.default_rng((SEED, number)), ROWS)
    coverage.close()
