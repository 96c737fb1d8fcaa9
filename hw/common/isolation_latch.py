"""Latches that hold back a word until all of it has settled."""

from amaranth.hdl import ClockSignal, Instance, Module, Value
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place

__all__ = ["IsolationLatch", "isolated"]


class IsolationLatch(Component):
    """A word that moves only after the clock has fallen: closed while the clock is 1, transparent while it is 0.

    Where signals of one crossing arrive at logic at different times, that logic toggles for each of them. Behind
    latches they arrive together, and what they do before the clock falls stays in front (operand isolation, as the
    literature has it for idle logic: M. Münch et al., Automating RT-level operand isolation to minimize power
    consumption in datapaths, DATE 2000). At the end of every clock the output equals the input, so what registers take
    is the same with and without.

    No reset: a latch is open in every clock before a register takes what it passes, so that its power-up value is never
    seen. For the same reason it needs no replica against upsets: one that is hit while closed is overwritten when it
    opens, and hit while open it recovers as a gate does; either way what the registers may see is a transient.

    Exported designs only: Amaranth's own simulator knows no latches.

    Parameters
    ----------
    width : int
        Bits.

    Members
    -------
    i : In(width)
    o : Out(width)

    Raises
    ------
    ValueError
        If the width is below 1.
    """

    clocked = True

    def __init__(self, *, width: int):
        if width < 1:
            raise ValueError(f"width: expected at least 1, got {width}")
        self._width = width
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.latch = Instance(
            "$dlatch", p_WIDTH=self._width, p_EN_POLARITY=0, i_EN=ClockSignal(), i_D=self.i, o_Q=self.o
        )
        return m


def isolated(m: Module, platform: object, name: str, value: Value) -> Value:
    """A value behind latches: see `IsolationLatch`."""
    latch = place(m, platform, f"{name}_latch", IsolationLatch, width=len(value))
    m.d.comb += latch.i.eq(value)
    kept: Value = latch.o
    return kept
