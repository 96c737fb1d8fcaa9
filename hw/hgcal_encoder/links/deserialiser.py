"""Deserialiser of a receiver: bits of a link to the newest 32, at the tap that was chosen; clocked by the bit clock."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from sim.hgcal_encoder.link_spec import TAPS, WORD_BITS

__all__ = ["DeserialiserLogic"]


class DeserialiserLogic(Component):
    """Next state and outputs of a receiver in the domain of the bit clock; for `Registered`.

    Rules: `sim.hgcal_encoder.links.deserialiser.deserialise`. The crossing clock is the bit clock divided by 32, in
    phase with it, and takes `word` and `edges` as they are: there is no counter that could be out of step.

    Members
    -------
    samples : In(15)
        The pin at the taps of the delay line in the last bit, tap 0 first in time.
    tap : In(4)
        Tap in use; 15 acts as 14.
    enable, invert : In(1)
        Registers; a receiver that is not enabled gives 0.
    toggle : In(1)
        Changes with every edge of the crossing clock.
    word : Out(32)
        The newest bits, oldest in bit 31.
    edges : Out(15)
        Taps with an edge behind them in the last 31 bits of the crossing.
    state : In, next_state : Out
    """

    reset: ClassVar[int] = 0
    STATE: ClassVar[data.StructLayout] = data.StructLayout({"shift": WORD_BITS, "edges": TAPS, "last": 1, "toggle": 1})

    def __init__(self) -> None:
        super().__init__({
            "samples": In(TAPS), "tap": In(4), "enable": In(1), "invert": In(1), "toggle": In(1),
            "word": Out(WORD_BITS), "edges": Out(TAPS), "state": In(self.STATE), "next_state": Out(self.STATE),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        bit, now = Signal(), Signal(TAPS, name="now")
        m.d.comb += [
            bit.eq(self.enable & (Cat(self.samples, self.samples[-1]).bit_select(self.tap, 1) ^ self.invert)),
            now.eq(Cat(self.samples[:-1] ^ self.samples[1:], s.last ^ self.samples[0])),
            n.shift.eq(Cat(bit, s.shift[:-1])),
            n.last.eq(self.samples[-1]),
            n.toggle.eq(self.toggle),
            n.edges.eq(now | Mux(s.toggle == self.toggle, s.edges, 0)),
            self.word.eq(s.shift),
            self.edges.eq(s.edges),
        ]
        return m
