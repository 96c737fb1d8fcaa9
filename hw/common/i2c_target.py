"""I2C target with a 16-bit register address, sampled by the clock of the chip."""

from enum import IntEnum
from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

__all__ = ["DEVICE_ADDRESS", "I2cPhase", "I2cTargetLogic"]

DEVICE_ADDRESS = 0x20
"""7-bit device address of ECON-T."""

_FILTER_CLOCKS = 4
"""Equal samples that a line needs to change: three samples of a spike of 50 ns do not pass."""
_SETTLE_CLOCKS = 4
"""SCL must stay high this long after a change of SDA for a START or STOP: data may change while SCL falls."""
_HOLD_CLOCKS = 7
"""From SCL low (filtered) to the next bit on SDA: 300 ns and more after the edge at the pin."""


class I2cPhase(IntEnum):
    """What the target does with the bits on the bus."""

    IDLE = 0
    DEVICE = 1
    HIGH = 2
    LOW = 3
    WRITE = 4
    READ = 5


class I2cTargetLogic(Component):
    """Next state and outputs of an I2C target; `hw.common.registered.Registered` adds the flip-flops.

    Obeys UM10204 (I2C-bus specification and user manual, NXP, rev. 7) in Standard-mode, Fast-mode and Fast-mode Plus
    with a clock of 40 MHz: SCL and SDA are two more asynchronous inputs, each synchronised by two flip-flops and
    filtered (spikes up to 50 ns are ignored, tSP). SCL is never driven: no clock stretching.

    A write transfer is START, device address with W, register address (high byte, low byte), data; each byte is stored
    at the register address when its acknowledge begins, and the address counts up, modulo 2**16. A read transfer is
    START, device address with R, data from the register address upwards; it usually follows the address bytes of a
    write transfer and a repeated START. The register address outlives a STOP.

    Every START and STOP, also in the middle of a byte, ends what was going on; a byte that was not complete is not
    stored. All bytes of an addressed transfer are acknowledged, whatever the register address. A controller that finds
    SDA held low frees it with at most nine clocks (UM10204 3.1.16): the first bit that is not acknowledged ends a read.

    Timing at 25 ns a clock: SDA changes 300 to 325 ns after the falling edge of SCL (tHD;DAT from 0, tVD;DAT at most
    450 ns). SDA and SCL may change together at the end of the high period (tHD;DAT = 0 at the input).

    Parameters
    ----------
    device_address : int
        7 bits.

    Attributes
    ----------
    reset : int
        State after reset: bus free, nothing driven.

    Members
    -------
    scl, sda : In(1)
        The lines as at the pins, asynchronous.
    read_data : In(8)
        Byte at `address`, valid in the clock with `read_enable`.
    sda_low : Out(1)
        Pull SDA low; straight from a flip-flop.
    address : Out(16)
        Register address.
    write_data : Out(8)
    write_enable : Out(1)
        High for one clock: store `write_data` at `address`.
    read_enable : Out(1)
        High for the one clock in which `read_data` is taken.
    state : In, next_state : Out
        As `STATE` lays them out.

    Raises
    ------
    ValueError
        If the device address is none, or reserved by the specification (0x00 to 0x07, 0x78 to 0x7f).
    """

    STATE: ClassVar[data.StructLayout] = data.StructLayout(
        {
            "scl_sync": 2,
            "sda_sync": 2,
            "scl": 1,
            "sda": 1,
            "scl_count": 2,
            "sda_count": 2,
            "settle": 3,
            "hold": 3,
            "phase": 3,
            "bits": 4,
            "shift": 8,
            "pointer": 16,
            "drive": 1,
        }
    )

    def __init__(self, *, device_address: int = DEVICE_ADDRESS):
        if not 0x08 <= device_address <= 0x77:
            raise ValueError(f"device address: expected 0x08 to 0x77 (others are reserved), got {device_address:#x}")
        self._device_address = device_address
        super().__init__(
            {
                "scl": In(1),
                "sda": In(1),
                "read_data": In(8),
                "sda_low": Out(1),
                "address": Out(16),
                "write_data": Out(8),
                "write_enable": Out(1),
                "read_enable": Out(1),
                "state": In(self.STATE),
                "next_state": Out(self.STATE),
            }
        )

    @property
    def reset(self) -> int:
        """State after reset: both lines high."""
        return int(self.STATE.const({"scl_sync": 3, "sda_sync": 3, "scl": 1, "sda": 1}).as_value().value)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        m.d.comb += n.as_value().eq(s.as_value())

        # lines: two flip-flops, then a change needs equal samples in a row
        flips = {}
        for line, pin in (("scl", self.scl), ("sda", self.sda)):
            sync, count = getattr(s, f"{line}_sync"), getattr(s, f"{line}_count")
            differs = sync[1] != getattr(s, line)
            flips[line] = flip = Signal(name=f"{line}_flip")
            m.d.comb += [
                getattr(n, f"{line}_sync").eq(Cat(pin, sync[0])),
                flip.eq(differs & (count == _FILTER_CLOCKS - 1)),
                getattr(n, f"{line}_count").eq(Mux(differs & ~flip, count + 1, 0)),
                getattr(n, line).eq(getattr(s, line) ^ flip),
            ]

        # START and STOP: SDA changed, and SCL stayed high for a while
        quiet = s.scl & ~flips["scl"]
        with m.If(~quiet):
            m.d.comb += n.settle.eq(0)
        with m.Elif(flips["sda"]):
            m.d.comb += n.settle.eq(_SETTLE_CLOCKS)
        with m.Elif(s.settle != 0):
            m.d.comb += n.settle.eq(s.settle - 1)
        condition = Signal()
        m.d.comb += condition.eq((s.settle == 1) & quiet & ~flips["sda"])

        # SCL: bits are taken when it rises and put out some time after it fell
        rise, fall = Signal(), Signal(name="fall")
        m.d.comb += [
            rise.eq(flips["scl"] & ~s.scl & (s.hold == 0)),
            fall.eq((s.hold == 1) & ~flips["scl"]),
        ]
        with m.If(flips["scl"]):
            # low for less than the hold time: ignored altogether
            m.d.comb += n.hold.eq(Mux(s.scl, _HOLD_CLOCKS, 0))
        with m.Elif(s.hold != 0):
            m.d.comb += n.hold.eq(s.hold - 1)

        reading = s.phase == I2cPhase.READ
        with m.If(condition):
            m.d.comb += [n.phase.eq(Mux(s.sda, I2cPhase.IDLE, I2cPhase.DEVICE)), n.bits.eq(0), n.drive.eq(0)]
        with m.Elif(rise & (s.phase != I2cPhase.IDLE)):
            with m.If(s.bits < 8):
                m.d.comb += n.bits.eq(s.bits + 1)
                with m.If(~reading):
                    m.d.comb += n.shift.eq(Cat(s.sda, s.shift[:7]))
            with m.Else():
                m.d.comb += n.bits.eq(9)
                with m.If(reading & s.sda):
                    m.d.comb += n.phase.eq(I2cPhase.IDLE)
        with m.Elif(fall & (s.phase != I2cPhase.IDLE)):
            with m.If(s.bits == 8):
                self._acknowledge(m)
            with m.Elif(s.bits >= 9):
                self._next_byte(m)
            with m.Elif(reading & (s.bits != 0)):
                m.d.comb += [n.shift.eq(s.shift << 1), n.drive.eq(~s.shift[6])]

        m.d.comb += [self.sda_low.eq(s.drive), self.address.eq(s.pointer), self.write_data.eq(s.shift)]
        return m

    def _acknowledge(self, m: Module) -> None:
        """Behind the eighth bit: use the byte, answer; a controller that reads answers itself."""
        s, n = self.state, self.next_state
        m.d.comb += n.drive.eq(1)
        with m.Switch(s.phase):
            with m.Case(I2cPhase.DEVICE), m.If(s.shift[1:] != self._device_address):
                m.d.comb += [n.phase.eq(I2cPhase.IDLE), n.drive.eq(0)]
            with m.Case(I2cPhase.HIGH):
                m.d.comb += n.pointer[8:].eq(s.shift)
            with m.Case(I2cPhase.LOW):
                m.d.comb += n.pointer[:8].eq(s.shift)
            with m.Case(I2cPhase.WRITE):
                m.d.comb += [self.write_enable.eq(1), n.pointer.eq(s.pointer + 1)]
            with m.Default():
                m.d.comb += n.drive.eq(0)

    def _next_byte(self, m: Module) -> None:
        """Behind the acknowledge bit."""
        s, n = self.state, self.next_state
        m.d.comb += [n.bits.eq(0), n.drive.eq(0)]
        load = Signal()
        with m.Switch(s.phase):
            with m.Case(I2cPhase.DEVICE):
                m.d.comb += [n.phase.eq(Mux(s.shift[0], I2cPhase.READ, I2cPhase.HIGH)), load.eq(s.shift[0])]
            with m.Case(I2cPhase.HIGH):
                m.d.comb += n.phase.eq(I2cPhase.LOW)
            with m.Case(I2cPhase.LOW):
                m.d.comb += n.phase.eq(I2cPhase.WRITE)
            with m.Case(I2cPhase.READ):
                m.d.comb += load.eq(1)
        with m.If(load):
            m.d.comb += [
                self.read_enable.eq(1),
                n.shift.eq(self.read_data),
                n.drive.eq(~self.read_data[7]),
                n.pointer.eq(s.pointer + 1),
            ]
