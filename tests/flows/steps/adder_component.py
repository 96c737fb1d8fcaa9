"""The hardware of the adder; no postponed annotations here, which break Amaranth's signatures."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out


class Adder(Component):
    """``total`` is ``a + b`` two clocks later.

    Parameters
    ----------
    width : int
        Bits of both operands.
    """

    def __init__(self, *, width: int) -> None:
        super().__init__({"a": In(width), "b": In(width), "total": Out(width + 1)})
        self._width = width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        a, b = Signal(self._width), Signal(self._width)
        m.d.sync += [a.eq(self.a), b.eq(self.b), self.total.eq(a + b)]
        return m
