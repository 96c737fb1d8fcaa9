"""cocotb tests of the stages of a crossbar chip, one by one; `tests/cosim/test_crossbar.py` builds and runs them."""

import json
import os
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase

from hw.lsm_crossbar.crossbar import STAGES
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
from sim.lsm_crossbar.spec import CrossbarSpec
from tests.cosim.crossbar_stages import RUNS, StageBench

SPEC = CrossbarSpec.from_toml(Path(os.environ["LIQUIDCAL_SPEC"]).read_text())
CONDUCTANCES = read_conductances(Path(os.environ["LIQUIDCAL_CONDUCTANCES"]))
INPUTS = json.loads(os.environ["LIQUIDCAL_INPUTS"])
SEED = int(os.environ["LIQUIDCAL_SEED"])
ROUNDS = int(os.environ["LIQUIDCAL_ROUNDS"])


@cocotb.test()
@cocotb.parametrize(stage=list(STAGES))
async def random_rounds(dut: SimHandleBase, stage: str) -> None:
    """Random and extreme inputs with pauses, every output compared with the golden function of the stage.

    No cover bin is left empty.
    """
    number = STAGES.index(stage)
    cocotb.log.info("seed %d, stream %d", SEED, number)
    bench = StageBench(dut, stage, SPEC, CONDUCTANCES, INPUTS[stage])
    await RUNS[stage](bench, np.random.default_rng((SEED, number)), ROUNDS)
    bench.scoreboard.finish(4)
    bench.coverage.close()
