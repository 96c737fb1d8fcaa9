"""One byte of a register file in three copies with a voter."""

from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.replica import Replica, majority

__all__ = ["VotedCell"]


class VotedCell(Component):
    """Takes the place of `StorageCell`: three replicas, one voter, and the vote is stored again at every clock.

    The flip of one replica, of any number of its bits, never shows at `value`, and is gone one clock later. Not
    triplicated: voter, write multiplexer, enable, clock, reset.

    Reset: `reset`, asynchronous. A write shows one clock later.

    Parameters and members as `StorageCell`, and

    Members
    -------
    error : Out(1)
        The replicas differ; high for the one clock until they are equal again.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int):
        if not 1 <= width <= 8:
            raise ValueError(f"a storage cell has 1 to 8 bits, got {width}")
        if not 0 <= reset < 1 << width:
            raise ValueError(f"reset value {reset} does not fit {width} bits")
        self._kept = {"width": width, "reset": reset}
        super().__init__({"data": In(width), "enable": In(1), "value": Out(width), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = [place(m, platform, f"replica_{k}", Replica, **self._kept) for k in range(3)]
        m.d.comb += [copy.i.eq(Mux(self.enable, self.data, self.value)) for copy in copies]
        a, b, c = (copy.o for copy in copies)
        m.d.comb += [self.value.eq(majority(a, b, c)), self.error.eq(((a ^ b) | (a ^ c)).any())]
        return m
