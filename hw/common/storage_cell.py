"""One byte of a register file."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.reset_value import check_cell

__all__ = ["StorageCell"]


class StorageCell(Component):
    """Flip-flops with write enable and reset value: the part of a byte that fields use.

    The place where a scheme of protection against upsets goes: a component with the same ports and constructor takes
    the place of this one (argument `cell` of `RegisterFile`). Whether the enable becomes a multiplexer per bit or a
    clock gate is left to synthesis.

    Reset: `reset`, asynchronous. A write shows one clock later.

    Parameters
    ----------
    width : int
        Bits, 1 to 8.
    reset : int
        Value after reset.

    Members
    -------
    data : In(width)
        Value to write.
    enable : In(1)
        Write at the next clock edge.
    value : Out(width)
        Stored value.

    Raises
    ------
    ValueError
        If the width is outside 1 to 8 or the reset value does not fit.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int):
        check_cell(width, reset)
        self._reset = reset
        super().__init__({"data": In(width), "enable": In(1), "value": Out(width, init=reset)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.value.eq(self.data)
        return m
