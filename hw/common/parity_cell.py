"""One byte of a shadow bank: whether it was written, and whether it is intact."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.common.reset_value import check_cell

__all__ = ["ParityCell"]


class ParityCell(Component):
    """`StorageCell` with a parity bit, which also tells whether the byte was written since the last `mark`.

    `mark` makes the parity wrong, a write makes it right. So a byte that is missing from an image and a byte with an
    upset look the same, and both keep the image from being used.

    Reset: `reset` with right parity, asynchronous. A write shows one clock later and goes before a mark.

    Parameters as `StorageCell`.

    Members
    -------
    data, enable, value
        As `StorageCell`.
    mark : In(1)
        Count this byte as not written.
    bad : Out(1)
        Not written since the last mark, or one flip-flop of the cell changed by an upset.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int):
        check_cell(width, reset)
        self._reset = reset
        super().__init__({
            "data": In(width), "enable": In(1), "mark": In(1), "value": Out(width, init=reset), "bad": Out(1),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        # odd parity: a cell that lost its power is bad
        parity = Signal(init=1 - self._reset.bit_count() % 2)
        m.d.comb += self.bad.eq(self.value.xor() == parity)
        with m.If(self.enable):
            m.d.sync += [self.value.eq(self.data), parity.eq(~self.data.xor())]
        with m.Elif(self.mark):
            m.d.sync += parity.eq(self.value.xor())
        return m
