"""The bunch-crossing counter of the frame: the only state of the data path besides pipeline registers."""

from collections.abc import Callable

from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import watched

__all__ = ["Counter"]

_ORBIT_COUNTER = 31
_BITS = 4


class Counter(Component):
    """Numbers bunch crossings: 31 at the start of an orbit, then the crossing number modulo 16.

    `counter` belongs to the crossing whose `orbit_start` is at the input in the same clock: 31 if it is set, else one
    more than before, modulo 16. Crossings are counted from the last orbit start, also beyond the 3564 of an LHC
    orbit.

    Throughput one crossing per clock; no flow control: fixed rate. Reset: the next crossing counts as number 0 modulo
    16, asynchronous.

    Parameters
    ----------
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.

    Members
    -------
    orbit_start : In(1)
        This crossing is number 0.
    counter : Out(5)
    error : Out(1)
        That of the register, if it has one.
    """

    latency = 0
    clocked = True

    def __init__(self, *, register: Callable[..., Component] = PipelineRegister) -> None:
        self._register = register
        self._error = watched(register)
        super().__init__({"orbit_start": In(1), "counter": Out(5)} | ({"error": Out(1)} if self._error else {}))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        number = place(m, platform, "number", self._register, width=_BITS)
        m.d.comb += [
            self.counter.eq(Mux(self.orbit_start, _ORBIT_COUNTER, number.o)),
            number.i.eq(Mux(self.orbit_start, 1, number.o + 1)),
        ]
        if self._error:
            m.d.comb += self.error.eq(number.error)
        return m
