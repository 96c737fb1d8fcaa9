"""One register of a pipeline."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.reset_value import check_register

__all__ = ["PipelineRegister"]


class PipelineRegister(Component):
    """Flip-flops that delay a word by one clock.

    The place where a scheme of protection against upsets goes: a component with the same ports and constructor takes
    the place of this one (argument `register` of the encoder).

    Throughput one word per clock, latency 1. Reset: `reset`, asynchronous.

    Parameters
    ----------
    width : int
        Bits.
    reset : int
        Value after reset.

    Members
    -------
    i : In(width)
    o : Out(width)

    Raises
    ------
    ValueError
        If the width is below 1 or the reset value does not fit.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int = 0):
        check_register(width, reset)
        super().__init__({"i": In(width), "o": Out(width, init=reset)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.sync += self.o.eq(self.i)
        return m
