"""Driver, monitor, model and scoreboard of the encoder benches, joined by callbacks."""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.task import Task
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge, Timer

from sim.hgcal_encoder.configuration.registers import register_writes, reset_settings
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from tests.cosim.encoder_coverage import crossing_coverage

Row = tuple[int, ...]


def to_int(values: Sequence[int] | np.ndarray, width: int) -> int:
    """Elements of a port, element 0 in the lowest bits."""
    mask = (1 << width) - 1
    return sum((int(value) & mask) << (width * index) for index, value in enumerate(values))


class Scoreboard:
    """Compares what the monitor sees with what the model expects, in order."""

    def __init__(self) -> None:
        self.expected: deque[tuple[str, Row | None]] = deque()
        self.compared = 0
        self.ignored = 0

    def expect(self, name: str, row: Row | None) -> None:
        """Queue an expectation; None: anything goes (state undefined by the specification)."""
        self.expected.append((name, row))

    def observe(self, row: Row) -> None:
        """Compare one observation with the oldest expectation."""
        assert self.expected, f"the hardware sent {row}, but nothing was expected"
        name, expected = self.expected.popleft()
        if expected is None:
            self.ignored += 1
            return
        assert row == expected, f"{name}: expected {[f'{w:08x}' for w in expected]}, got {[f'{w:08x}' for w in row]}"
        self.compared += 1

    def finish(self, at_least: int) -> None:
        """End of test: nothing left over, and something was compared."""
        assert not self.expected, f"{len(self.expected)} expected frames never came"
        assert self.compared >= at_least, f"only {self.compared} frames were compared, expected {at_least}"


class Model:
    """Golden model behind the driver: told every crossing that is driven, tells the scoreboard what must come."""

    def __init__(self, spec: EncoderSpec, expect: Callable[[str, Row | None], None]) -> None:
        self.spec = spec
        self.expect = expect
        self.reset()

    def configure(self, settings: Settings, weights: Weights) -> None:
        """What the registers hold from now on."""
        self.loaded = True
        self.settings, self.weights = settings, weights
        self.encoder = Encoder(self.spec, weights, settings)

    def reset(self) -> None:
        """After reset the next crossing is number 0, registers hold their reset values."""
        self.bx = 0
        self.known = True
        zero = np.zeros(self.spec.parameters, np.int64)
        self.configure(reset_settings(self.spec), Weights.from_codes(zero, self.spec))
        self.loaded = False

    def crossing(self, words: np.ndarray) -> None:
        """One crossing is sampled by the hardware."""
        if words[0] >> 28 == 0x9:
            self.bx = 0
        frame = self.encoder.frames(words[None], self.bx)[0] if self.known else None
        self.expect(f"BX {self.bx}", None if frame is None else tuple(int(word) for word in frame))
        self.bx += 1


class Driver:
    """Drives words and register writes; every sampled crossing goes to `sampled`."""

    def __init__(self, dut: SimHandleBase, sampled: Callable[[np.ndarray], None]) -> None:
        self.dut: Any = dut
        self.sampled = sampled
        self.written: Callable[[int], None] = lambda address: None

    async def crossing(self, words: np.ndarray, write: tuple[int, int] | None = None) -> None:
        """One clock: words, and a register write if there is one. Releases reset."""
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        self.dut.words.value = to_int(words, 32)
        self.dut.write_enable.value = int(write is not None)
        if write is not None:
            self.dut.write_address.value, self.dut.write_data.value = write
            self.written(write[0])
        await RisingEdge(self.dut.clk)
        self.sampled(words)


class Monitor:
    """Samples frames once a clock and hands them on."""

    def __init__(self, dut: SimHandleBase, observed: Callable[[Row], None]) -> None:
        self.dut: Any = dut
        self.observed = observed
        self.skip = 0

    async def run(self) -> None:
        """Run for ever: the first `skip` samples belong to no crossing."""
        while True:
            await RisingEdge(self.dut.clk)
            await ReadOnly()
            if self.skip:
                self.skip -= 1
                continue
            value = int(self.dut.frames.value)
            self.observed(tuple(value >> (32 * i) & 0xFFFF_FFFF for i in range(13)))


class Bench:
    """The whole encoder with its agents."""

    def __init__(self, dut: SimHandleBase, spec: EncoderSpec, latency: int) -> None:
        self.dut: Any = dut
        self.spec, self.latency = spec, latency
        self.scoreboard = Scoreboard()
        self.model = Model(spec, self.scoreboard.expect)
        self.driver = Driver(dut, self._sampled)
        self.monitor = Monitor(dut, self.scoreboard.observe)
        self.coverage = crossing_coverage(spec)
        self.driver.written = lambda address: self.coverage["write"].sample(address, self.model.known)
        self._task: Task[None] | None = None

    async def start(self) -> None:
        """Clock of 25 ns, all inputs 0, in reset: the first crossing that is driven releases it."""
        for name in ("words", "write_address", "write_data", "write_enable"):
            getattr(self.dut, name).value = 0
        self.dut.rst.value = 1
        cocotb.start_soon(Clock(self.dut.clk, 25, unit="ns").start())
        self.coverage["reset"].sample("power up")
        await self._hold()

    def _sampled(self, words: np.ndarray) -> None:
        if self.model.known:
            self.coverage["crossing"].sample(words, self.model.settings)
        self.model.crossing(words)

    async def _hold(self) -> None:
        await FallingEdge(self.dut.clk)
        await FallingEdge(self.dut.clk)
        # one more edge in reset, then latency - 1 edges before the first crossing has passed
        self.monitor.skip = self.latency
        self._task = cocotb.start_soon(self.monitor.run())

    async def reset(self) -> None:
        """Asynchronous reset in the middle of a clock: outputs clear at once, crossings in flight are lost."""
        await Timer(3, "ns")
        self.coverage["reset"].sample("in stream" if self.scoreboard.expected else "idle")
        if self.model.loaded:
            self.coverage["reset"].sample("of a loaded encoder")
        self.dut.rst.value = 1
        self.dut.write_enable.value = 0
        if self._task is not None:
            self._task.cancel()
        await Timer(1, "ns")
        assert int(self.dut.frames.value) == 0, "reset does not clear the output register"
        self.scoreboard.expected.clear()
        self.model.reset()
        await self._hold()

    async def load(
        self, settings: Settings | None, weights: Weights | None, words: np.ndarray, only: Collection[int] = ()
    ) -> None:
        """Write registers, one a clock, while crossings flow; those in flight meanwhile are not compared.

        Where `only` holds addresses, the others have their values already.
        """
        writes = [w for w in register_writes(self.spec, settings, weights) if not only or w[0] in only]
        # crossings whose frame has not left the pipeline see old and new values mixed
        pending = list(self.scoreboard.expected)
        self.scoreboard.expected.clear()
        for name, row in pending:
            self.scoreboard.expect(name, row if not writes else None)
        self.model.known = not writes
        for number, write in enumerate(writes):
            await self.driver.crossing(words[number % len(words)], write)
        self.model.known = True
        self.model.configure(settings or self.model.settings, weights or self.model.weights)

    async def send(self, words: np.ndarray) -> None:
        """Crossings back to back."""
        for row in words:
            await self.driver.crossing(row)
        self.dut.write_enable.value = 0

    async def finish(self, at_least: int) -> None:
        """Let the pipeline run out and close the books."""
        for _ in range(self.latency - 1):
            await RisingEdge(self.dut.clk)
        await ReadOnly()
        # the monitor and this task wake up in the same step: give it its turn
        await FallingEdge(self.dut.clk)
        if self._task is not None:
            self._task.cancel()
        self.scoreboard.finish(at_least)
