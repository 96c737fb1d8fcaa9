"""cocotb tests of the stages of a concentrator; `tests/cosim/test_concentrator.py` builds and runs them."""

import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase

from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from tests.cosim.concentrator_stages import STAGES, StageBench

SPEC = ConcentratorSpec.from_toml(Path(os.environ["LIQUIDCAL_SPEC"]).read_text())
SEED = int(os.environ["LIQUIDCAL_SEED"])
ROWS = int(os.environ["LIQUIDCAL_CROSSINGS"])


@cocotb.test()
@cocotb.parametrize(stage=list(STAGES))
async def random_rows(dut: SimHandleBase, stage: str) -> None:
    """Random and extreme inputs, every output compared with the golden function of the stage."""
    number = STAGES.index(stage)
    cocotb.log.info("seed %d, stream %d", SEED, number)
    rows = 5 * ROWS if stage == "output_buffer" else ROWS
    await StageBench(dut, stage, SPEC).run(np.random.default_rng((SEED, number)), rows)
