"""Guarded loading: a shadow bank is checked, swapped in between two words of data, and checked again in place."""

from enum import IntEnum
from typing import ClassVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

__all__ = ["LoadPhase", "LoadStatus", "LoaderLogic", "crc_step"]


class LoadPhase(IntEnum):
    """What the loader does."""

    IDLE = 0
    CHECK = 1
    JUDGE = 2
    SWAP = 3
    VERIFY = 4
    CONFIRM = 5


class LoadStatus(IntEnum):
    """Status code of a load; 0x80 and above: refused, nothing was applied (but see VERIFY)."""

    NONE = 0x00
    """Nothing was loaded since reset."""
    LOADING = 0x01
    """Bytes are being written."""
    CHECKING = 0x02
    """The image is being checked, swapped in, or read back."""
    APPLIED = 0x03
    """The image is in use, and reads back right."""
    INCOMPLETE = 0x81
    """A byte was not written since the image was begun, or changed by an upset before the commit."""
    CHECKSUM = 0x82
    """The checksum of the image is not the expected one."""
    UPSET = 0x83
    """A byte changed by an upset between commit and swap."""
    VERIFY = 0x84
    """The image was swapped in, but reads back wrong: load again."""


def _kept(status: LoadStatus) -> int:
    """A status as it is stored."""
    return status & 0x7 | status >> 4 & 0x8


def crc_step(crc: Value, byte: Value) -> Value:
    """CRC-32 of IEEE 802.3 (as ``zlib.crc32``) after one more byte, low bit first, without final inversion."""
    bits = list(crc ^ byte)
    for _ in range(8):
        low = bits[0]
        bits = [*bits[1:], Const(0)]
        for place in range(32):
            if 0xEDB88320 >> place & 1:
                bits[place] = bits[place] ^ low
    return Cat(bits)


class LoaderLogic(Component):
    """Next state and outputs of the loader; for `Registered`.

    ``begin`` marks all bytes of the shadow bank as missing; bytes are then written; ``commit`` checks that none is
    missing, walks over the shadow bank one byte a clock, and compares its checksum (CRC-32 over the mapped bytes,
    ascending by address) with `expected`. If it is right, `swap` copies the shadow bank, one bit of `swap` per clock:
    each part of the active bank changes just after the last word of data that it has to serve, so that every word is
    processed by old or by new values alone. At last the active bank is walked over. Without ``begin`` the bytes that
    were loaded before stay, and single ones can be changed.

    Between commit and swap the parity of all shadow bytes is watched: an upset stops the load. Writes and commands
    while the loader is busy are dropped and flagged.

    A load takes ``2 * (last - first + 1) + steps + 2`` clocks after the commit and one more for each byte that is
    read over the bus meanwhile; `rank` falls in every other clock, from any state, so it cannot hang.

    Parameters
    ----------
    first, last : int
        Lowest and highest address of the bank.
    steps : int
        Parts that are swapped one after the other.

    Attributes
    ----------
    reset : int
        Idle.

    Members
    -------
    begin, commit : In(1)
        Commands.
    write : In(1)
        A byte is to be written to the shadow bank.
    pause : In(1)
        The bus needs the read ports of the banks in this clock.
    mapped : In(1)
        There is a byte at `address`.
    shadow, active : In(8)
        Byte at `address` in the two banks.
    bad : In(1)
        Some byte of the shadow bank is missing or damaged.
    expected : In(32)
        Checksum.
    address : Out(16)
    busy : Out(1)
        The banks belong to the loader: `address` counts, `write` is dropped.
    mark : Out(1)
        Mark all bytes of the shadow bank.
    swap : Out(steps)
        Copy a part.
    status : Out(8)
        `LoadStatus`.
    dropped : Out(1)
        Something was dropped since the last begin.
    state : In, next_state : Out
    """

    STATE: ClassVar[data.StructLayout] = data.StructLayout(
        {"phase": 3, "address": 16, "crc": 32, "step": 4, "status": 4, "dropped": 1}
    )
    """`status` is the number of a `LoadStatus` below 0x80, with bit 7 in bit 3: no flip-flop that is always 0."""
    reset = 0

    def __init__(self, *, first: int, last: int, steps: int):
        if not 0 <= first <= last < 1 << 16:
            raise ValueError(f"addresses {first:#x} to {last:#x} are no range of 16 bits")
        if not 1 <= steps <= 16:
            raise ValueError(f"expected 1 to 16 parts to swap, got {steps}")
        self._first, self._last, self._steps = first, last, steps
        super().__init__({
            "begin": In(1), "commit": In(1), "write": In(1), "pause": In(1), "mapped": In(1), "shadow": In(8),
            "active": In(8), "bad": In(1), "expected": In(32), "address": Out(16), "busy": Out(1), "mark": Out(1),
            "swap": Out(steps), "status": Out(8), "dropped": Out(1), "state": In(self.STATE),
            "next_state": Out(self.STATE),
        })  # fmt: skip

    @property
    def clocks(self) -> int:
        """Clocks from a commit to its last status, with nothing read over the bus meanwhile."""
        return 2 * (self._last - self._first + 2) + self._steps

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        idle = s.phase == LoadPhase.IDLE
        m.d.comb += [
            n.as_value().eq(s.as_value()),
            self.address.eq(s.address),
            self.busy.eq(~idle),
            self.status.eq(Cat(s.status[:3], Const(0, 4), s.status[3])),
            self.dropped.eq(s.dropped),
        ]
        right = Signal()
        m.d.comb += right.eq(~s.crc == self.expected)
        walk = [n.address.eq(self._first), n.crc.eq((1 << 32) - 1)]
        refuse = n.phase.eq(LoadPhase.IDLE)
        with m.If(~idle & (self.begin | self.commit | self.write)):
            m.d.comb += n.dropped.eq(1)
        with m.Switch(s.phase):
            with m.Case(LoadPhase.IDLE):
                with m.If(self.begin):
                    m.d.comb += [self.mark.eq(1), n.status.eq(_kept(LoadStatus.LOADING)), n.dropped.eq(0)]
                with m.Elif(self.commit & self.bad):
                    m.d.comb += n.status.eq(_kept(LoadStatus.INCOMPLETE))
                with m.Elif(self.commit):
                    m.d.comb += [*walk, n.phase.eq(LoadPhase.CHECK), n.status.eq(_kept(LoadStatus.CHECKING))]
                with m.Elif(self.write):
                    m.d.comb += n.status.eq(_kept(LoadStatus.LOADING))
            with m.Case(LoadPhase.CHECK):
                self._walk(m, self.shadow, LoadPhase.JUDGE)
                with m.If(self.bad):
                    m.d.comb += [refuse, n.status.eq(_kept(LoadStatus.UPSET))]
            with m.Case(LoadPhase.JUDGE):
                m.d.comb += [n.phase.eq(LoadPhase.SWAP), n.step.eq(0)]
                with m.If(~right):
                    m.d.comb += [refuse, n.status.eq(_kept(LoadStatus.CHECKSUM))]
            with m.Case(LoadPhase.SWAP):
                # after the first part there is no way back: the crossings in flight need the rest
                with m.If((s.step == 0) & self.bad):
                    m.d.comb += [refuse, n.status.eq(_kept(LoadStatus.UPSET))]
                with m.Else():
                    m.d.comb += [self.swap.bit_select(s.step, 1).eq(1), n.step.eq(s.step + 1)]
                    with m.If(s.step >= self._steps - 1):
                        m.d.comb += [*walk, n.phase.eq(LoadPhase.VERIFY)]
            with m.Case(LoadPhase.VERIFY):
                self._walk(m, self.active, LoadPhase.CONFIRM)
            with m.Case(LoadPhase.CONFIRM):
                m.d.comb += [refuse, n.status.eq(Mux(right, _kept(LoadStatus.APPLIED), _kept(LoadStatus.VERIFY)))]
            with m.Default():
                m.d.comb += refuse
        return m

    def _walk(self, m: Module, byte: Value, then: LoadPhase) -> None:
        """One address further, unless the bus reads."""
        s, n = self.state, self.next_state
        with m.If(~self.pause):
            with m.If(self.mapped):
                m.d.comb += n.crc.eq(crc_step(s.crc, byte))
            with m.If(s.address >= self._last):
                m.d.comb += n.phase.eq(then)
            with m.Else():
                m.d.comb += n.address.eq(s.address + 1)
