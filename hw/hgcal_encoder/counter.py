"""The bunch-crossing counter of the frame: the only state of the data path besides pipeline registers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

__all__ = ["Counter"]

_ORBIT_COUNTER = 31


class Counter(Component):
    """Numbers bunch crossings: 31 at the start of an orbit, then the crossing number modulo 16.

    `counter` belongs to the crossing whose `orbit_start` is at the input in the same clock: 31 if it is set, else one
    more than before, modulo 16. Crossings are counted from the last orbit start, also beyond the 3564 of an LHC
    orbit.

    Throughput one crossing per clock; no flow control: fixed rate. Reset: the next crossing counts as number 0 modulo
    16, asynchronous.

    Members
    -------
    orbit_start : In(1)
        This crossing is number 0.
    counter : Out(5)
    """

    latency = 0
    clocked = True

    def __init__(self) -> None:
        super().__init__({"orbit_start": In(1), "counter": Out(5)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        number = Signal(4)
        m.d.comb += self.counter.eq(Mux(self.orbit_start, _ORBIT_COUNTER, number))
        m.d.sync += number.eq(Mux(self.orbit_start, 1, number + 1))
        return m
