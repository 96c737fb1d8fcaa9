"""Driver, monitors, model and scoreboards of the benches of a whole crossbar chip, joined by callbacks."""

from collections.abc import Callable, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.task import Task
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer

from sim.lsm_crossbar.liquid import Liquid, Trace
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.registers import register_writes
from sim.lsm_crossbar.spec import CrossbarSpec
from tests.cosim.agents import Scoreboard
from tests.cosim.crossbar_coverage import chip_coverage, region

KINDS = ("spikes", "count", "score", "class_index")
"""Outputs, each with a strobe of its own."""
STROBES = {"spikes": "spikes_valid", "count": "count_valid", "score": "score_valid", "class_index": "class_valid"}


class Model:
    """Golden model behind the driver: told every sample that is offered, tells the scoreboards what must come."""

    def __init__(self, spec: CrossbarSpec, conductances: Conductances, expect: Callable[[str, str, int], None]) -> None:
        self.spec, self.conductances, self.expect = spec, conductances, expect
        self.reset()

    def reset(self) -> None:
        """Settings after reset: weights are not reset, so what the readout says is not known."""
        noisy = self.spec.noise_scale is not None
        self.configure(self.spec.threshold, None, 0 if noisy else None)

    def configure(self, threshold: int, readout: Readout | None, noise_seed: int | None) -> None:
        """What the registers hold from now on."""
        self.readout = readout
        self.samples = 0
        self.liquid = Liquid(self.spec, self.conductances, "numpy", threshold=threshold, noise_seed=noise_seed)

    def sample(self, spikes: np.ndarray) -> Trace:
        """A whole sample, shape (steps, inputs), is being offered; what the liquid makes of it."""
        trace = self.liquid.trace(spikes, self.samples)
        for step, fired in enumerate(trace.spikes):
            value = sum(int(bit) << neuron for neuron, bit in enumerate(fired))
            self.expect("spikes", f"sample {self.samples}, step {step}", value)
        for feature, count in enumerate(trace.counts.ravel()):
            self.expect("count", f"sample {self.samples}, feature {feature}", int(count))
        if self.readout is not None:
            for output, score in enumerate(self.readout.scores(trace.counts[None])[0]):
                self.expect("score", f"sample {self.samples}, output {output}", int(score))
            self.expect("class_index", f"sample {self.samples}", int(self.readout.classify(trace.counts[None])[0]))
        self.samples += 1
        return trace


class Driver:
    """Offers events with random pauses; obeys the handshake: what is offered stays until it is taken."""

    def __init__(self, dut: SimHandleBase, rng: np.random.Generator) -> None:
        self.dut: Any = dut
        self.rng = rng
        self.stalls = 0
        self.offered: Callable[[int, int], None] = lambda pauses, waited: None
        self.written: Callable[[int], None] = lambda address: None

    async def event(self, word: int, pause: float) -> None:
        """One event; before it, pauses in which the payload means nothing."""
        pauses, stalls = 0, self.stalls
        while self.rng.random() < pause:
            pauses += 1
            await FallingEdge(self.dut.clk)
            self.dut.i_events__valid.value = 0
            self.dut.i_events__payload.value = int(self.rng.integers(1 << len(self.dut.i_events__payload)))
        await FallingEdge(self.dut.clk)
        self.dut.i_events__valid.value = 1
        self.dut.i_events__payload.value = word
        await Timer(1, "ns")
        while not int(self.dut.i_events__ready.value):
            self.stalls += 1
            await FallingEdge(self.dut.clk)
            await Timer(1, "ns")
        self.offered(pauses, self.stalls - stalls)

    async def idle(self, clocks: int) -> None:
        """No events."""
        for _ in range(clocks):
            await FallingEdge(self.dut.clk)
            self.dut.i_events__valid.value = 0

    async def write(self, writes: Sequence[tuple[int, int]]) -> None:
        """Register writes, one a clock."""
        for address, data in writes:
            await FallingEdge(self.dut.clk)
            self.dut.write_address.value, self.dut.write_data.value, self.dut.write_enable.value = address, data, 1
            self.written(address)
        await FallingEdge(self.dut.clk)
        self.dut.write_enable.value = 0


class Monitor:
    """Samples outputs whenever their strobes are high, and hands them on; one task wakes for all of them."""

    def __init__(self, dut: SimHandleBase, kinds: Sequence[str], observed: Callable[[str, int], None]) -> None:
        self.dut: Any = dut
        self.kinds, self.observed = kinds, observed

    async def run(self) -> None:
        """Run for ever."""
        ports = [(kind, getattr(self.dut, STROBES[kind]), getattr(self.dut, kind)) for kind in self.kinds]
        edge, settled = FallingEdge(self.dut.clk), ReadOnly()
        while True:
            await edge
            await settled
            for kind, strobe, port in ports:
                if strobe.value:
                    value, width = int(port.value), len(port)
                    signed = kind == "score" and value >> (width - 1)
                    self.observed(kind, value - (1 << width) if signed else value)


class Bench:
    """The whole chip with its agents."""

    def __init__(
        self, dut: SimHandleBase, spec: CrossbarSpec, conductances: Conductances, rng: np.random.Generator
    ) -> None:
        self.dut: Any = dut
        self.spec, self.rng = spec, rng
        self.boards = {kind: Scoreboard() for kind in KINDS}
        self.model = Model(spec, conductances, lambda kind, name, value: self.boards[kind].expect(name, (value,)))
        self.driver = Driver(dut, rng)
        self.coverage = chip_coverage(spec)
        self.driver.offered = self.coverage["event"].sample
        self.driver.written = lambda address: self.coverage["write"].sample(address, self.running)
        self._writes: list[tuple[int, int]] = []
        self._task: Task[None] | None = None

    async def start(self) -> None:
        """Clock of 10 ns, all inputs 0, reset, monitors on."""
        for name in ("i_events__valid", "i_events__payload", "write_address", "write_data", "write_enable"):
            getattr(self.dut, name).value = 0
        self.dut.read_address.value = 0
        self.dut.rst.value = 1
        self.coverage["reset"].sample("power up")
        cocotb.start_soon(Clock(self.dut.clk, 10, unit="ns").start())
        await FallingEdge(self.dut.clk)
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self._monitor()

    @property
    def running(self) -> bool:
        """Whether spikes are still to come."""
        return bool(self.boards["spikes"].expected)

    def _monitor(self) -> None:
        # without known weights nothing is expected of the readout
        kinds = KINDS if self.model.readout is not None else ("spikes", "count")
        monitor = Monitor(self.dut, kinds, lambda kind, value: self.boards[kind].observe((value,)))
        self._task = cocotb.start_soon(monitor.run())

    def quiet(self) -> None:
        """Monitors off: what comes from here on is not looked at."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    async def reset(self) -> None:
        """Asynchronous reset between clock edges, in the middle of whatever runs."""
        self.coverage["reset"].sample("of a loaded chip" if self.model.readout is not None else "of a fresh chip")
        if self.driver.stalls:
            self.coverage["reset"].sample("in a sample")
        await RisingEdge(self.dut.clk)
        await Timer(3, "ns")
        self.quiet()
        self.dut.rst.value = 1
        self.dut.i_events__valid.value = 0
        await Timer(1, "ns")
        for name in ("spikes", "class_index", "read_data"):
            assert int(getattr(self.dut, name).value) == 0, f"reset does not clear {name}"
        for board in self.boards.values():
            board.expected.clear()
        self.model.reset()
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self._monitor()

    async def load(self, readout: Readout, threshold: int, noise_seed: int | None) -> None:
        """Write all settings."""
        noise: dict[str, Any] = {}
        if self.spec.noise_scale is not None:
            noise = {"noise_enable": noise_seed is not None, "noise_seed": noise_seed or 0}
        writes = register_writes(
            self.spec, threshold=threshold, weights=readout.weights, bias=readout.bias, **noise
        )  # fmt: skip
        self._writes = [writes[i] for i in self.rng.permutation(len(writes))]
        await self.driver.write(self._writes)
        self.model.configure(threshold, readout, noise_seed)
        self.quiet()
        self._monitor()

    async def load_again(self) -> None:
        """What the registers hold already, but for the seed, which starts the count of samples anew."""
        await self.driver.write([w for w in self._writes if region(self.spec, w[0]) != "noise_seed"])

    async def send(self, spikes: np.ndarray, *, pause: float = 0.0) -> None:
        """Samples of shape (n, steps, inputs): rows in any order, some twice."""
        end = 1 << self.spec.row_bits
        for sample in spikes:
            trace = self.model.sample(sample)
            self.coverage["sample"].sample(trace.counts, self.model.readout is not None)
            for step, fired in zip(sample, trace.spikes, strict=True):
                rows = np.flatnonzero(step)
                if len(rows):
                    rows = self.rng.permutation(np.append(rows, self.rng.choice(rows, len(rows) // 3)))
                self.coverage["step"].sample(rows.tolist(), fired)
                for row in rows:
                    await self.driver.event(int(row), pause)
                await self.driver.event(end, pause)
        await self.driver.idle(1)

    async def finish(self, at_least: int) -> None:
        """Wait for the last sample and close the books."""
        spec = self.spec
        limit = 3 * (spec.batches_per_step + 2) * (spec.read_clocks + spec.rows_per_read) + spec.features + 64
        for _ in range(limit):
            if not any(self.boards[kind].expected for kind in KINDS):
                break
            await self.driver.idle(1)
        await self.driver.idle(4)
        self.quiet()
        self.boards["spikes"].finish(at_least)
        self.boards["count"].finish(1)
        known = self.model.readout is not None
        for kind in ("score", "class_index"):
            self.boards[kind].finish(1 if known else 0)
