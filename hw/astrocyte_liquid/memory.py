"""A memory with one port to read and one to write, and the black box that an ASIC has in its place."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.memory import Memory as Store
from amaranth.lib.wiring import Component, In, Out

from hw.common.black_box import BlackBox

__all__ = ["TABLE_BITS", "Memory", "MemoryBox"]

TABLE_BITS = 4_096
"""An FPGA keeps memories of at most so many bits, less than a quarter of a block, in tables of its logic."""


def _pins(width: int, depth: int) -> dict[str, Any]:
    address = max((depth - 1).bit_length(), 1)
    return {
        "read_address": In(address),
        "read_enable": In(1),
        "read_data": Out(width),
        "write_address": In(address),
        "write_data": In(width),
        "write_enable": In(1),
    }


class Memory(Component):
    """Words that are loaded or written before they are read: the memory has no reset.

    A word that is written while it is read comes out old or new; the chip never does that.

    Throughput one read and one write per clock, latency of a read 1.

    Parameters
    ----------
    width, depth : int
        Bits of a word, words.

    Members
    -------
    read_address : In(bits of depth)
    read_enable : In(1)
        `read_data` changes in the next clock.
    read_data : Out(width)
    write_address : In(bits of depth)
    write_data : In(width)
    write_enable : In(1)
        The word takes `write_data` at the next clock edge.
    """

    clocked = True
    latency = 1

    def __init__(self, *, width: int, depth: int):
        self._width, self._depth = width, depth
        super().__init__(_pins(width, depth))

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        small = self._width * self._depth <= TABLE_BITS
        style = {"ram_style": "distributed" if small else "block"}
        m.submodules.store = store = Store(shape=self._width, depth=self._depth, init=[], attrs=style)
        write, read = store.write_port(), store.read_port()
        m.d.comb += [
            read.addr.eq(self.read_address),
            read.en.eq(self.read_enable),
            self.read_data.eq(read.data),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            write.en.eq(self.write_enable),
        ]
        return m


class MemoryBox(BlackBox):
    """The same pins for a memory of an ASIC's memory compiler: two ports, contents undefined at power-up. Timing as
    `Memory`; `rst` may be left unconnected inside.

    Parameters
    ----------
    width, depth : int

    Members
    -------
    read_address, read_enable, read_data, write_address, write_data, write_enable
        As `Memory`.
    """

    def __init__(self, *, width: int, depth: int):
        super().__init__(_pins(width, depth))
