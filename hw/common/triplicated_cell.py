"""One byte of one of three register files that correct each other."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.common.replica import majority
from hw.common.reset_value import check_cell

__all__ = ["TriplicatedCell"]


class TriplicatedCell(Component):
    """Takes the place of `StorageCell` in one of three whole register files; the bytes of the other two are inputs.

    Each of the three has its own decoder, enable, multiplexer and voter: a transient in any of them reaches one copy
    only. The flip of one copy, of any number of its bits, never shows at `value` of any file, and is gone when the byte
    is scrubbed or written next. A copy is clocked when it is written, or scrubbed and wrong, behind a clock gate of its
    own; a clock too many stores the vote. Not triplicated: clock, reset, and whatever one `value` goes into.

    Reset: `reset`, asynchronous. A write shows one clock later and goes before scrubbing.

    Parameters as `StorageCell`.

    Members
    -------
    data, enable, value
        As `StorageCell`.
    scrub : In(1)
        Store the vote at the next clock edge.
    raw : Out(width)
        This copy.
    peers : In(2 * width)
        The other two copies.
    error : Out(1)
        This copy differs from the vote and is being corrected: high in the clock with `scrub`.
    """

    latency = 1

    def __init__(self, *, width: int, reset: int):
        check_cell(width, reset)
        self._width, self._reset = width, reset
        super().__init__({
            "data": In(width), "enable": In(1), "scrub": In(1), "value": Out(width), "raw": Out(width),
            "peers": In(2 * width), "error": Out(1),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        stored = Signal(self._width, init=self._reset)
        m.d.comb += [
            self.raw.eq(stored),
            self.value.eq(majority(stored, self.peers[: self._width], self.peers[self._width :])),
            self.error.eq(self.scrub & (stored != self.value)),
        ]
        with m.If(self.enable):
            m.d.sync += stored.eq(self.data)
        with m.Elif(self.error):
            m.d.sync += stored.eq(self.value)
        return m
