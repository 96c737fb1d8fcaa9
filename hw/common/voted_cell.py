"""One byte of a register file in three copies with a voter."""

from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.replica import HeldReplica, majority
from hw.common.reset_value import check_cell

__all__ = ["VotedCell"]


class VotedCell(Component):
    """Takes the place of `StorageCell`: three replicas, one voter; the vote is stored again wherever they differ.

    The flip of one replica, of any number of its bits, never shows at `value`, and is gone one clock later. Replicas
    are clocked when the byte is written or they differ, each behind a clock gate of its own: an upset of one gate
    reaches one replica, and is gone one clock later as well. A clock too many stores the vote. Not triplicated: voter,
    write multiplexer, enable, clock, reset.

    Reset: `reset`, asynchronous. A write shows one clock later.

    Parameters and members as `StorageCell`, and

    Members
    -------
    error : Out(1)
        The replicas differ; high for the one clock until they are equal again.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int):
        check_cell(width, reset)
        self._kept = {"width": width, "reset": reset}
        super().__init__({"data": In(width), "enable": In(1), "value": Out(width), "error": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        copies = [place(m, platform, f"replica_{k}", HeldReplica, **self._kept) for k in range(3)]
        for copy in copies:
            m.d.comb += [
                copy.data.eq(Mux(self.enable, self.data, self.value)),
                copy.enable.eq(self.enable | self.error),
            ]
        a, b, c = (copy.value for copy in copies)
        m.d.comb += [self.value.eq(majority(a, b, c)), self.error.eq(((a ^ b) | (a ^ c)).any())]
        return m
