"""Error flags of a channel or of the chip: what happened since it was cleared, and what of it counts."""

from typing import ClassVar

from amaranth.hdl import Module, Mux
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

__all__ = ["ErrorFlagsLogic"]


class ErrorFlagsLogic(Component):
    """Next state and outputs of flags and their mask; for `Registered`.

    Rules: `sim.hgcal_encoder.links.error_flags.ErrorFlags`.

    Parameters
    ----------
    width : int
        Flags.

    Attributes
    ----------
    reset : int
        0: no flag, none masked.

    Members
    -------
    raw : In(width)
        Flags of this clock.
    clear, write_error, write_mask : In(1)
    value : In(width)
        What is written.
    flags, mask : Out(width)
    out : Out(1)
        Any flag that is not masked.
    state : In, next_state : Out
    """

    reset: ClassVar[int] = 0

    def __init__(self, *, width: int):
        layout = data.StructLayout({"flags": width, "mask": width})
        super().__init__({
            "raw": In(width), "clear": In(1), "write_error": In(1), "write_mask": In(1), "value": In(width),
            "flags": Out(width), "mask": Out(width), "out": Out(1), "state": In(layout), "next_state": Out(layout),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        kept = Mux(self.write_error, self.value, Mux(self.clear, 0, s.flags))
        m.d.comb += [
            n.flags.eq(kept | self.raw),
            n.mask.eq(Mux(self.write_mask, self.value, s.mask)),
            self.flags.eq(s.flags),
            self.mask.eq(s.mask),
            self.out.eq((s.flags & ~s.mask).any()),
        ]
        return m
