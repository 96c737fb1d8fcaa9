"""Flip-flops of one word that is written as a whole."""

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

__all__ = ["CodedWord"]


class CodedWord(Component):
    """Flip-flops with one enable: data and check bits of a code word, written together, or one copy of a word.

    Nothing but flip-flops; code, correction and scrubbing are those of `hw.common.word_store.WordStore`, or of the cell
    around a `hw.common.replica.HeldReplica`. Synthesis makes the enable a clock gate
    (`flows.synthesis.synthesise.synthesise` with ``clock_gating``), or a multiplexer per bit.

    Reset: `reset`, asynchronous.

    Parameters
    ----------
    width : int
        Data and check bits.
    reset : int
        Code word after reset.

    Members
    -------
    data : In(width)
    enable : In(1)
        Store `data` at the next clock edge.
    value : Out(width)

    Raises
    ------
    ValueError
        If the width is below 1 or the reset value does not fit.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int):
        if width < 1:
            raise ValueError(f"a code word needs at least 1 bit, got {width}")
        if not 0 <= reset < 1 << width:
            raise ValueError(f"reset value {reset:#x} does not fit {width} bits")
        super().__init__({"data": In(width), "enable": In(1), "value": Out(width, init=reset)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        with m.If(self.enable):
            m.d.sync += self.value.eq(self.data)
        return m
