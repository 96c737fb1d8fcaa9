"""cocotb tests of the whole astrocyte liquid; `tests/cosim/test_astrocyte.py` builds and runs them."""

import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.task import Task
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer

from flows.verification.astrocyte import random_readout, random_weights
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.neuron import input_spikes
from sim.astrocyte_liquid.registers import (
    decode_weights,
    network_writes,
    readout_writes,
    settings_writes,
    weight_reads,
)
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.engine import Engine
from tests.cosim.agents import Scoreboard
from tests.cosim.crossbar_agents import Driver

SPEC = AstrocyteSpec.from_toml(Path(os.environ["LIQUIDCAL_SPEC"]).read_text())
SEED = int(os.environ["LIQUIDCAL_SEED"])
STROBES = {"spike": "spike_valid", "step": "step_valid", "count": "count_valid", "score": "score_valid",
           "class_index": "class_valid"}  # fmt: skip
BOARDS = {"spike": "spikes", "step": "spikes", "count": "counts", "score": "scores", "class_index": "classes"}
"""Where an output is compared: spikes and the ends of steps in the order in which they come."""
STEP = -1
"""Stands for the end of a step among the sources that fire."""


class Bench:
    """The chip with its driver, a monitor of all outputs, the golden model and scoreboards."""

    def __init__(self, dut: SimHandleBase, stream: int) -> None:
        cocotb.log.info("seed %d, stream %d", SEED, stream)
        self.dut: Any = dut
        self.rng = np.random.default_rng((SEED, stream))
        self.driver = Driver(dut, self.rng)
        self.boards = {name: Scoreboard() for name in BOARDS.values()}
        self.network = draw(SPEC, SEED)
        self.liquid = Liquid(self.network, Arithmetic.CHIP, Engine.NUMPY, random_weights(self.network, self.rng))
        self.readout = random_readout(SPEC, self.rng)
        self.working: np.ndarray = self.liquid.weights
        self._tasks: list[Task[None]] = []

    async def start(self) -> None:
        """Clock of 10 ns, inputs 0, reset, everything loaded through the host's port in any order."""
        for name in ("i_events__valid", "i_events__payload", "write_address", "write_data", "write_enable",
                     "read_address", "read_enable"):  # fmt: skip
            getattr(self.dut, name).value = 0
        self.dut.rst.value = 1
        cocotb.start_soon(Clock(self.dut.clk, 10, unit="ns").start())
        await FallingEdge(self.dut.clk)
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await self.load()

    async def load(self) -> None:
        """Network, weights and readout."""
        writes = [network_writes(self.network, self.liquid.weights), readout_writes(self.readout)]
        words = [(int(a), int(d)) for one in writes for a, d in zip(one.address, one.data, strict=True)]
        await self.driver.write([words[k] for k in self.rng.permutation(len(words))])

    def watch(self) -> None:
        """Monitor on."""
        self._tasks.append(cocotb.start_soon(self._monitor()))

    def quiet(self) -> None:
        """Monitor off."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def _monitor(self) -> None:
        strobes = {kind: getattr(self.dut, name) for kind, name in STROBES.items()}
        while True:
            await FallingEdge(self.dut.clk)
            await ReadOnly()
            for kind, strobe in strobes.items():
                if int(strobe.value):
                    value = STEP if kind == "step" else int(getattr(self.dut, kind).value)
                    if kind == "score":
                        value -= value >> (SPEC.score_width - 1) << SPEC.score_width
                    self.boards[BOARDS[kind]].observe((value,))

    async def run(self, samples: int, *, plastic: bool, keep: bool, pause: float) -> None:
        """Samples of random events, offered with pauses; all that comes is compared, then every weight."""
        await self.driver.write(
            [(int(a), int(d)) for a, d in zip(*settings_writes(SPEC, plastic=plastic, keep=keep), strict=True)]
        )
        events = (self.rng.random((samples, SPEC.steps, SPEC.inputs)) < 0.3).astype(np.uint8)
        if keep:
            self.liquid.trace[:] = 0
            counts, spikes = self.liquid.initialise(events, spikes=True)
            working = None  # those that no sample walks are what was there before
        else:
            activity = self.liquid.run(events, plastic=plastic, spikes=True)
            counts, spikes = activity.counts, activity.spikes
            working = activity.weights if plastic else self.working
        self._expect(events, spikes, counts)
        self.watch()
        end = 1 << max(1, (SPEC.first_neuron - 1).bit_length())
        for step in events.reshape(-1, SPEC.inputs):
            for source in self.rng.permutation(np.flatnonzero(step)):
                await self.driver.event(int(source), pause)
            await self.driver.event(end, pause)
        for _ in range(40 * SPEC.sources * SPEC.fan_in_max):
            await self.driver.idle(1)
            if not any(board.expected for board in self.boards.values()):
                break
        await self.driver.idle(4)
        self.quiet()
        for board in self.boards.values():
            board.finish(1)
        stored, found = decode_weights(await self._weights())
        assert stored.tolist() == self.liquid.weights.tolist()
        assert working is None or found.tolist() == working.tolist()
        self.working = found

    def _expect(self, events: np.ndarray, spikes: np.ndarray, counts: np.ndarray) -> None:
        for sample in range(len(events)):
            sources = np.zeros((SPEC.steps, SPEC.sources), bool)
            sources[:, : SPEC.inputs] = input_spikes(events[sample], SPEC)
            sources[:, SPEC.first_neuron :] = spikes[sample]
            for number, step in enumerate(sources):
                for source in [*np.flatnonzero(step).tolist(), STEP]:
                    self.boards["spikes"].expect(f"sample {sample}, step {number}", (source,))
            for name, values in (
                ("counts", counts[sample]), ("scores", self.readout.scores(counts[sample][None])[0]),
                ("classes", self.readout.classify(counts[sample][None])),
            ):  # fmt: skip
                for place, value in enumerate(values):
                    self.boards[name].expect(f"sample {sample}, {name} {place}", (int(value),))

    async def _weights(self) -> np.ndarray:
        words = []
        for address in [*map(int, weight_reads(self.network)), 0, 0]:
            await FallingEdge(self.dut.clk)
            words.append(int(self.dut.read_data.value))
            self.dut.read_address.value, self.dut.read_enable.value = address, 1
        self.dut.read_enable.value = 0
        # a read shows two clocks later
        return np.array(words[2:], np.int64)


@cocotb.test()
@cocotb.parametrize(pause=[0.0, 0.6])
async def samples_in_all_modes(dut: SimHandleBase, pause: float) -> None:
    """Weights are initialised, then plastic in samples that start from the stored ones, then frozen."""
    bench = Bench(dut, 1 + int(10 * pause))
    await bench.start()
    await bench.run(2, plastic=True, keep=True, pause=pause)
    await bench.run(1, plastic=True, keep=False, pause=pause)
    await bench.run(1, plastic=False, keep=False, pause=pause)
    # without pauses the events of the next step must have waited for the running one
    assert pause or bench.driver.stalls > 0


@cocotb.test()
async def reset_in_sample(dut: SimHandleBase) -> None:
    """Reset between clock edges while a sample runs: outputs are 0, and the next event starts a new sample."""
    bench = Bench(dut, 20)
    await bench.start()
    for source in range(SPEC.inputs):
        await bench.driver.event(source, 0.0)
    for _ in range(2):
        await bench.driver.event(1 << max(1, (SPEC.first_neuron - 1).bit_length()), 0.0)
    await RisingEdge(bench.dut.clk)
    await Timer(3, "ns")
    bench.dut.rst.value = 1
    bench.dut.i_events__valid.value = 0
    await Timer(1, "ns")
    for name in ("spike_valid", "count", "score", "class_index", "read_data"):
        assert int(getattr(bench.dut, name).value) == 0, f"reset does not clear {name}"
    await FallingEdge(bench.dut.clk)
    bench.dut.rst.value = 0
    await bench.load()
    await bench.run(1, plastic=True, keep=False, pause=0.0)
