"""An I2C bus with the target and two controllers, a bit-banged controller, and what a bus does by its specification."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.task import Task
from cocotb.triggers import RisingEdge, Timer, ValueChange
from cocotb.utils import get_sim_time

from hw.common.hierarchy import place
from hw.common.i2c_target import I2cTargetLogic
from hw.common.registered import Registered

CLOCK_PS = 25_000
"""40 MHz."""


class I2cBench(Component):
    """The target on a bus with two controllers: a line is low if anyone pulls it low.

    Members
    -------
    scl_1, sda_1, scl_2, sda_2 : In(1)
        What controllers drive; 1 is released.
    scl, sda : Out(1)
        The lines.
    read_data, sda_low, address, write_data, write_enable, read_enable
        Those of the target.
    """

    clocked = True

    def __init__(self) -> None:
        lines = {f"{line}_{number}": In(1) for line in ("scl", "sda") for number in (1, 2)}
        super().__init__({
            **lines, "scl": Out(1), "sda": Out(1), "read_data": In(8), "sda_low": Out(1), "address": Out(16),
            "write_data": Out(8), "write_enable": Out(1), "read_enable": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        target = place(m, platform, "target", Registered, logic=I2cTargetLogic)
        m.d.comb += [
            self.scl.eq(self.scl_1 & self.scl_2),
            self.sda.eq(self.sda_1 & self.sda_2 & ~target.sda_low),
            target.scl.eq(self.scl),
            target.sda.eq(self.sda),
            target.read_data.eq(self.read_data),
        ]
        for name in ("sda_low", "address", "write_data", "write_enable", "read_enable"):
            m.d.comb += getattr(self, name).eq(getattr(target, name))
        return m


@dataclass(frozen=True, kw_only=True)
class BusTimes:
    """Times of a bus mode in ns, from UM10204 rev. 7, table 10; minima, but for `valid` and `spike` (maxima)."""

    start_hold: int
    low: int
    high: int
    start_setup: int
    data_hold: int
    data_setup: int
    stop_setup: int
    free: int
    valid: int
    spike: int


MODES = {
    "standard": BusTimes(
        start_hold=4000, low=4700, high=4000, start_setup=4700, data_hold=0, data_setup=250, stop_setup=4000, free=4700,
        valid=3450, spike=0,
    ),
    "fast": BusTimes(
        start_hold=600, low=1300, high=600, start_setup=600, data_hold=0, data_setup=100, stop_setup=600, free=1300,
        valid=900, spike=50,
    ),
    "fast_plus": BusTimes(
        start_hold=260, low=500, high=260, start_setup=260, data_hold=0, data_setup=50, stop_setup=260, free=500,
        valid=450, spike=50,
    ),
}  # fmt: skip


class Controller:
    """Bit-banged controller: every time at the minimum of its mode; data as late as the specification lets it.

    A data bit changes either together with the falling edge of SCL (`early`), or one setup time before the rising one.
    """

    def __init__(self, dut: SimHandleBase, times: BusTimes, number: int = 1, seed: int = 1) -> None:
        self.dut: Any = dut
        self.t = times
        self.scl, self.sda = getattr(self.dut, f"scl_{number}"), getattr(self.dut, f"sda_{number}")
        self.random = random.Random(seed)
        self.noise = 0
        """Spikes of `times.spike` ns are laid over the lines in this share of half periods, in per cent."""

    async def wait(self, ns: int) -> None:
        """Let time pass, with a spike on a line now and then, apart from others by more than its own length."""
        if self.noise and ns > 4 * self.t.spike and self.random.randrange(100) < self.noise:
            before = self.random.randrange(self.t.spike, ns - 2 * self.t.spike)
            line = self.dut.scl_2 if self.random.randrange(2) else self.dut.sda_2
            await Timer(before, "ns")
            line.value = 0
            await Timer(self.t.spike, "ns")
            line.value = 1
            ns -= before + self.t.spike
        if ns:
            await Timer(ns, "ns")

    async def start(self) -> None:
        """START from a free bus."""
        self.sda.value = 0
        await self.wait(self.t.start_hold)
        self.scl.value = 0

    async def restart(self) -> None:
        """Repeated START, SCL being low."""
        await self.wait(self.t.low - self.t.data_setup)
        self.sda.value = 1
        await self.wait(self.t.data_setup)
        self.scl.value = 1
        await self.wait(self.t.start_setup)
        await self.start()

    async def stop(self) -> None:
        """STOP, SCL being low; the bus is free when this returns."""
        await self.wait(self.t.low - self.t.data_setup)
        self.sda.value = 0
        await self.wait(self.t.data_setup)
        self.scl.value = 1
        await self.wait(self.t.stop_setup)
        self.sda.value = 1
        await self.wait(self.t.free)

    async def bit(self, value: int) -> int:
        """One bit, SCL being low before and behind it; what the line showed when it was high."""
        early = self.random.randrange(2)
        if early:
            self.sda.value = value
            await self.wait(self.t.low)
        else:
            await self.wait(self.t.low - self.t.data_setup)
            self.sda.value = value
            await self.wait(self.t.data_setup)
        self.scl.value = 1
        await self.wait(self.t.high)
        seen = int(self.dut.sda.value)
        self.scl.value = 0
        return seen

    async def send(self, byte: int) -> bool:
        """A byte; whether it was acknowledged."""
        for position in range(7, -1, -1):
            await self.bit(byte >> position & 1)
        return not await self.bit(1)

    async def receive(self, acknowledge: bool) -> int:
        """A byte from the target."""
        value = 0
        for _ in range(8):
            value = value << 1 | await self.bit(1)
        await self.bit(int(not acknowledge))
        return value

    async def write(self, register: int, values: Iterable[int], device: int = 0x20) -> list[bool]:
        """A write transfer; the acknowledge of every byte."""
        await self.start()
        answers = [await self.send(byte) for byte in (device << 1, register >> 8, register & 0xFF, *values)]
        await self.stop()
        return answers

    async def read(self, register: int | None, count: int, device: int = 0x20) -> list[int]:
        """A read transfer, with the register address written first unless it is None."""
        await self.start()
        if register is not None:
            for byte in (device << 1, register >> 8, register & 0xFF):
                assert await self.send(byte)
            await self.restart()
        assert await self.send(device << 1 | 1)
        values = [await self.receive(i < count - 1) for i in range(count)]
        await self.stop()
        return values


class Bus:
    """Clock, reset, memory behind the target, and a watch on its SDA times."""

    def __init__(self, dut: SimHandleBase, seed: int = 1) -> None:
        self.dut: Any = dut
        self.random = random.Random(seed)
        self.memory: dict[int, int] = {}
        self.writes: list[tuple[int, int]] = []
        self.delays: list[int] = []
        """From the last falling edge of SCL to each change of the target's SDA, in ns."""
        self._fell = 0
        self._tasks: list[Task[None]] = []

    async def begin(self) -> None:
        """Free bus, reset, and a phase between clock and bus that differs from test to test."""
        for name in ("scl_1", "sda_1", "scl_2", "sda_2"):
            getattr(self.dut, name).value = 1
        self.dut.read_data.value = 0
        self.dut.rst.value = 1
        self._tasks = [
            cocotb.start_soon(step)
            for step in (Clock(self.dut.clk, CLOCK_PS, "ps").start(), self._store(), self._fetch(), self._watch())
        ]
        await Timer(4 * CLOCK_PS, "ps")
        self.dut.rst.value = 0
        await Timer(20 * CLOCK_PS + self.random.randrange(CLOCK_PS), "ps")

    async def _store(self) -> None:
        while True:
            await RisingEdge(self.dut.write_enable)
            # taken in the middle of the one clock in which it is high
            await Timer(CLOCK_PS // 2, "ps")
            assert int(self.dut.write_enable.value) == 1
            address, value = int(self.dut.address.value), int(self.dut.write_data.value)
            self.memory[address] = value
            self.writes.append((address, value))
            await Timer(CLOCK_PS, "ps")
            assert int(self.dut.write_enable.value) == 0, "one byte, one clock"

    async def _fetch(self) -> None:
        while True:
            await ValueChange(self.dut.address)
            address = int(self.dut.address.value)
            self.dut.read_data.value = self.memory.get(address, byte_at(address))

    async def _watch(self) -> None:
        cocotb.start_soon(self._falls())
        while True:
            await ValueChange(self.dut.sda_low)
            self.delays.append(round(get_sim_time("ns") - self._fell))

    async def _falls(self) -> None:
        while True:
            await ValueChange(self.dut.scl)
            if not int(self.dut.scl.value):
                self._fell = get_sim_time("ns")


def byte_at(address: int) -> int:
    """What lies at an address that was not written."""
    return (address * 0x9D + (address >> 8) * 0x35 + 0x5A) & 0xFF


def decode(events: Sequence[str], pointer: int = 0, device: int = 0x20) -> list[tuple[int, int]]:
    """Bytes that a target stores for a sequence of ``"S"`` (START), ``"P"`` (STOP), ``"0"``, ``"1"``.

    Written from UM10204, 3.1: conditions reset the logic, a byte is eight bits and an acknowledge bit.
    """
    stored = []
    position = None
    bits = ""
    for event in events:
        if event in "SP":
            position, bits = (0 if event == "S" else None), ""
            continue
        if position is None:
            continue
        bits += event
        if len(bits) == 9:
            byte, bits = int(bits[:8], 2), ""
            if position == 0 and byte != device << 1:
                position = None  # another device, or a read: nothing is stored
                continue
            if position == 1:
                pointer = byte << 8 | pointer & 0xFF
            elif position == 2:
                pointer = pointer & 0xFF00 | byte
            elif position >= 3:
                stored.append((pointer, byte))
                pointer = pointer + 1 & 0xFFFF
            position += 1
    return stored


__all__ = ["CLOCK_PS", "MODES", "Bus", "BusTimes", "Controller", "I2cBench", "byte_at", "decode"]
