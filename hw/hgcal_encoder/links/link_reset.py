"""LinkReset ECON-T: when the transmitters carry the packet that the back end aligns to."""

from typing import ClassVar

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from sim.hgcal_encoder.link_spec import LinkSpec

__all__ = ["LinkResetLogic"]


class LinkResetLogic(Component):
    """Next state and output of the link reset; for `Registered`.

    Rules: `sim.hgcal_encoder.links.link_reset.LinkReset`.

    Parameters
    ----------
    spec : LinkSpec

    Attributes
    ----------
    reset : int
        0: no packet.

    Members
    -------
    command, chip_sync : In(1)
        Commands of this crossing.
    active : Out(1)
        This crossing belongs to the packet.
    state : In, next_state : Out
    """

    reset: ClassVar[int] = 0

    def __init__(self, *, spec: LinkSpec):
        self._start = spec.link_reset_crossings + spec.link_reset_delay - 1
        self._length = spec.link_reset_crossings
        state = self._start.bit_length()
        super().__init__({
            "command": In(1), "chip_sync": In(1), "active": Out(1), "state": In(state), "next_state": Out(state),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += self.active.eq((self.state != 0) & (self.state <= self._length))
        with m.If(self.chip_sync):
            m.d.comb += self.next_state.eq(0)
        with m.Elif(self.command):
            m.d.comb += self.next_state.eq(self._start)
        with m.Elif(self.state != 0):
            m.d.comb += self.next_state.eq(self.state - 1)
        return m
