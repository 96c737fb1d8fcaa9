"""cocotb tests of the I2C target; `tests/cosim/test_i2c.py` builds and runs them."""

import random

import cocotb
from cocotb.handle import SimHandleBase
from cocotb.triggers import Timer
from cocotbext.i2c import I2cMaster

from tests.cosim.i2c_bus import CLOCK_PS, MODES, Bus, Controller, byte_at, decode

FAST_PLUS = MODES["fast_plus"]


@cocotb.test()
@cocotb.parametrize(speed=[100_000, 400_000, 1_000_000])
async def library_controller(dut: SimHandleBase, speed: int) -> None:
    """cocotbext-i2c's controller writes and reads bursts; other devices are left alone."""
    bus = Bus(dut, speed)
    await bus.begin()
    master = I2cMaster(sda=dut.sda, sda_o=dut.sda_1, scl=dut.scl, scl_o=dut.scl_1, speed=speed)
    await master.write(0x20, bytes([0x05, 0x38, 0x12, 0xFE, 0x00]))
    await master.send_stop()
    assert bus.writes == [(0x0538, 0x12), (0x0539, 0xFE), (0x053A, 0x00)]
    await master.write(0x20, bytes([0x05, 0x37]))
    assert await master.read(0x20, 5) == bytes([byte_at(0x0537), 0x12, 0xFE, 0x00, byte_at(0x053B)])
    await master.send_stop()
    await master.write(0x21, bytes([0x05, 0x38, 0xAA]))
    await master.send_stop()
    assert await master.read(0x21, 1) == b"\xff", "nobody answers"
    await master.send_stop()
    assert len(bus.writes) == 3


@cocotb.test()
@cocotb.parametrize(mode=list(MODES))
async def shortest_times(dut: SimHandleBase, mode: str) -> None:
    """Every time at its minimum: all is acknowledged, stored, read; SDA within the limits."""
    times = MODES[mode]
    bus = Bus(dut, 3)
    await bus.begin()
    controller = Controller(dut, times, seed=7)
    values = [bus.random.randrange(256) for _ in range(6)] + [0x00, 0xFF, 0x80, 0x01]
    assert await controller.write(0x03B0, values) == [True] * (3 + len(values))
    assert bus.writes == [(0x03B0 + i, value) for i, value in enumerate(values)]
    assert await controller.read(0x03AF, len(values) + 2) == [byte_at(0x03AF), *values, byte_at(0x03BA)]
    assert await controller.write(0x03B0, values, device=0x60) == [False] * (3 + len(values))
    assert len(bus.writes) == len(values)
    # tVD;DAT, tVD;ACK; and the 300 ns of note 3, so that receivers see a hold time whatever the slope of SCL
    assert len(bus.delays) > 30
    assert 300 <= min(bus.delays) <= max(bus.delays) <= times.valid


@cocotb.test()
async def every_device_address(dut: SimHandleBase) -> None:
    """One of 256 first bytes starts a write, one a read."""
    bus = Bus(dut)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS)
    answered = []
    for first in range(256):
        await controller.start()
        if await controller.send(first):
            answered.append(first)
            if first & 1:
                await controller.receive(False)
        await controller.stop()
    assert answered == [0x40, 0x41]
    assert not bus.writes


@cocotb.test()
async def addresses_count_up(dut: SimHandleBase) -> None:
    """A burst crosses from 0xffff to 0; the address outlives STOP; reads count as well."""
    bus = Bus(dut)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS)
    await controller.write(0xFFFE, [1, 2, 3])
    assert bus.writes == [(0xFFFE, 1), (0xFFFF, 2), (0x0000, 3)]
    assert await controller.read(None, 2) == [byte_at(1), byte_at(2)]
    await controller.write(0xFFFF, [])
    assert await controller.read(None, 2) == [2, 3]


@cocotb.test()
async def aborted_transfers(dut: SimHandleBase) -> None:
    """STOP or START behind every bit of a write: complete bytes are stored, nothing of the others; then all works.

    Behind an eighth bit the target pulls SDA low for its acknowledge, and no condition is possible: the controller has
    to clock once more.
    """
    bus = Bus(dut)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS)
    text = "".join(f"{byte:08b}1" for byte in (0x40, 0x05, 0x38, 0xC3, 0x5A))
    for length in range(len(text) + 1):
        for end in ("stop", "restart"):
            bus.writes.clear()
            await controller.start()
            for bit in text[:length]:
                await controller.bit(int(bit))
            if length % 9 == 8:
                await controller.bit(1)
            await getattr(controller, end)()
            if end == "restart":
                await controller.stop()
            assert bus.writes == [(0x0538, 0xC3), (0x0539, 0x5A)][: max(0, (length + 1) // 9 - 3)], (length, end)
        bus.writes.clear()
        assert all(await controller.write(0x1234, [length]))
        assert bus.writes == [(0x1234, length)]
        assert await controller.read(0x1234, 1) == [length]


@cocotb.test()
async def random_legal_traffic(dut: SimHandleBase) -> None:
    """Bits, START and STOP in any order, as two controllers that disagree leave them behind: what is stored is what
    the specification says of this sequence."""
    bus = Bus(dut)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS, seed=11)
    rng = random.Random(2026)
    events: list[str] = []
    for _ in range(60):
        await controller.start()
        events.append("S")
        # mostly the own address, then bits that break off anywhere
        text = f"{0x20 if rng.random() < 0.8 else rng.randrange(0x10, 0x70):07b}01"
        text += "".join(f"{rng.randrange(256):08b}1" for _ in range(rng.randrange(6)))
        text += "".join(rng.choice("01") for _ in range(rng.randrange(8)))
        for bit in text:
            await controller.bit(int(bit))
            events.append(bit)
        if rng.random() < 0.3:
            await controller.restart()
            events.append("S")
        await controller.stop()
        events.append("P")
    expected = decode(events)
    assert len(expected) > 40
    assert bus.writes == expected


@cocotb.test()
async def arbitration(dut: SimHandleBase) -> None:
    """Two controllers start together; the one that sends 1 and sees 0 gives up, and the winner's bytes arrive."""
    bus = Bus(dut)
    await bus.begin()
    first, second = Controller(dut, FAST_PLUS, 1, seed=5), Controller(dut, FAST_PLUS, 2, seed=5)

    async def compete(controller: Controller, data: list[int]) -> bool:
        await controller.start()
        for byte in data:
            for place in range(7, -1, -1):
                sent = byte >> place & 1
                if await controller.bit(sent) != sent:
                    # lost: release both lines, the other goes on
                    controller.sda.value = 1
                    controller.scl.value = 1
                    return False
            await controller.bit(1)
        await controller.stop()
        return True

    for number in range(20):
        bus.writes.clear()
        lower = [0x40, 0x05, 0x38 + number, 0x11]
        higher = [0x40, 0x05, 0x38 + number, 0x11 + (1 << number % 4) * 2] if number % 2 else [0x42, 0, 0, 0]
        baselines = [(first, lower), (second, higher)] if number % 3 else [(second, lower), (first, higher)]
        tasks = [cocotb.start_soon(compete(*baseline)) for baseline in baselines]
        assert [await task for task in tasks] == [True, False]
        assert bus.writes == [(0x0538 + number, 0x11)]


@cocotb.test()
async def spikes_are_ignored(dut: SimHandleBase) -> None:
    """Spikes of 50 ns (tSP) on either line, in every phase of the clock, change nothing."""
    bus = Bus(dut)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS, seed=3)
    controller.noise = 60
    for number in range(12):
        values = [bus.random.randrange(256) for _ in range(4)]
        bus.writes.clear()
        assert all(await controller.write(0x0700 + 4 * number, values))
        assert bus.writes == [(0x0700 + 4 * number + i, value) for i, value in enumerate(values)]
        await Timer(bus.random.randrange(CLOCK_PS), "ps")


@cocotb.test()
async def noise_then_recovery(dut: SimHandleBase) -> None:
    """Whatever happened on the lines, faster and slower than any bus mode, the next transfer is served."""
    bus = Bus(dut)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS)
    for number in range(40):
        for _ in range(bus.random.randrange(60)):
            line = bus.random.choice((dut.scl_1, dut.sda_1, dut.scl_2, dut.sda_2))
            line.value = bus.random.randrange(2)
            await Timer(bus.random.choice((10, 30, 80, 150, 400, 900)), "ns")
        for line in (dut.scl_1, dut.scl_2, dut.sda_2, dut.sda_1):
            line.value = 1
        await Timer(1, "us")
        if not int(dut.sda.value):
            await clear(dut, controller)
        # the bus is free as soon as a STOP went over it
        await controller.start()
        await controller.stop()
        bus.writes.clear()
        assert all(await controller.write(0x0440, [number]))
        assert bus.writes == [(0x0440, number)]
        assert await controller.read(0x0440, 1) == [number]


async def clear(dut: SimHandleBase, controller: Controller) -> int:
    """Clock until SDA is free (UM10204, 3.1.16), then leave SCL high; the clocks that it took."""
    for count in range(1, 10):
        dut.scl_1.value = 0
        await controller.wait(FAST_PLUS.low)
        dut.scl_1.value = 1
        await controller.wait(FAST_PLUS.high)
        if int(dut.sda.value):
            return count
    raise AssertionError("SDA is still low after nine clocks")


@cocotb.test()
async def a_stuck_target_is_cleared(dut: SimHandleBase) -> None:
    """A controller that dies in the middle of a read: the next one frees SDA with at most nine clocks."""
    bus = Bus(dut)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS)
    bus.memory |= dict.fromkeys(range(0x50, 0x60), 0x00)
    bus.memory |= dict.fromkeys(range(0x60, 0x70), 0xA5)
    stuck = 0
    for register in (0x50, 0x60):
        for length in range(1, 27):
            await controller.write(register, [])
            await controller.start()
            assert await controller.send(0x41)
            for place in range(length):
                await controller.bit(0 if place % 9 == 8 else 1)
            # SCL is released, the rest of the read never comes
            await controller.wait(FAST_PLUS.low)
            dut.sda_1.value = 1
            dut.scl_1.value = 1
            await controller.wait(FAST_PLUS.high)
            if not int(dut.sda.value):
                stuck += 1
                await clear(dut, controller)
            await controller.wait(FAST_PLUS.high)
            await controller.start()
            await controller.stop()
            assert await controller.read(0x60, 1) == [0xA5]
    assert stuck > 20


@cocotb.test()
async def stuck_lines(dut: SimHandleBase) -> None:
    """SCL or SDA held low by others for long, between and within bytes: nothing is stored, then all goes on."""
    bus = Bus(dut)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS)
    await controller.start()
    assert await controller.send(0x40)
    dut.scl_2.value = 0
    await Timer(200, "us")
    dut.scl_2.value = 1
    for byte in (0x01, 0x02, 0x77):
        assert await controller.send(byte)
    await controller.stop()
    assert bus.writes == [(0x0102, 0x77)]
    dut.sda_2.value = 0
    await Timer(200, "us")
    for _ in range(40):
        await controller.bit(1)
    dut.scl_1.value = 1
    await controller.wait(FAST_PLUS.high)
    dut.sda_2.value = 1
    await Timer(5, "us")
    assert bus.writes == [(0x0102, 0x77)]
    assert not int(dut.sda_low.value)
    assert all(await controller.write(0x0102, [0x78]))
    assert bus.memory[0x0102] == 0x78


@cocotb.test()
async def reset_releases_the_bus(dut: SimHandleBase) -> None:
    """Reset while the target drives a 0: SDA is free at once."""
    bus = Bus(dut)
    bus.memory |= dict.fromkeys(range(4), 0)
    await bus.begin()
    controller = Controller(dut, FAST_PLUS)
    await controller.write(0, [])
    await controller.start()
    assert await controller.send(0x41)
    await controller.bit(1)
    await controller.wait(FAST_PLUS.low)
    assert int(dut.sda_low.value)
    dut.rst.value = 1
    await Timer(1, "ns")
    assert not int(dut.sda_low.value)
    dut.sda_1.value = 1
    dut.scl_1.value = 1
    await Timer(1, "us")
    dut.rst.value = 0
    await Timer(1, "us")
    assert all(await controller.write(0x0003, [9]))
    assert bus.writes[-1] == (0x0003, 9)
