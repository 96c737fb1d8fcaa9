"""One row of the weight image: bytes of storage cells, written one by one, read all at once."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.storage_cell import StorageCell

__all__ = ["WeightRow"]


class WeightRow(Component):
    """Weights and bias of one output, or of outputs that share them.

    A write shows one clock later. Reset: all 0, asynchronous.

    Parameters
    ----------
    bits : int
        Bits of the row.
    cell : class of Component
        Storage of one byte: `StorageCell` or a component with its ports and its constructor.

    Members
    -------
    select : In(1)
        A byte of this row is written.
    columns : In(bytes)
        Which one, one-hot.
    data : In(8)
        Byte.
    value : Out(bits)
        All codes, as `sim.network.weights` orders them.
    """

    latency = 1

    def __init__(self, *, bits: int, cell: Callable[..., Component] = StorageCell):
        self._bits, self._cell = bits, cell
        super().__init__({"select": In(1), "columns": In(-(-bits // 8)), "data": In(8), "value": Out(bits)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        parts = []
        for number in range(len(self.columns)):
            width = min(8, self._bits - 8 * number)
            byte = place(m, platform, f"byte_{number}", self._cell, width=width, reset=0)
            m.d.comb += [byte.data.eq(self.data[:width]), byte.enable.eq(self.select & self.columns[number])]
            parts.append(byte.value)
        m.d.comb += self.value.eq(Cat(parts))
        return m
