"""Transmitter: words to bits, with an alignment in bits and a test pattern."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.hgcal_encoder.links.patterns import advanced
from sim.hgcal_encoder.link_spec import WORD_BITS, LinkSpec

__all__ = ["SerialiserLogic", "ShiftOutLogic"]

_PRBS = 7
_PRBS7_PATTERN = 1


class SerialiserLogic(Component):
    """Next state and output of the part of a transmitter that works once in a crossing; for `Registered`.

    Rules: `sim.hgcal_encoder.links.serialiser.Serialiser`. Latency: one clock, and as many bits as `align` says. `bits`
    come from flip-flops: the bit clock takes them a bit after the edge.

    Parameters
    ----------
    spec : LinkSpec

    Attributes
    ----------
    reset : int
        Words 0, the pattern at its start.

    Members
    -------
    word : In(32)
    align : In(6), pattern : In(3), invert : In(1)
        Registers.
    bits : Out(32)
        For `ShiftOutLogic`, first one in bit 31.
    state : In, next_state : Out
    """

    STATE: ClassVar[data.StructLayout] = data.StructLayout({
        "words": 2 * WORD_BITS, "bits": WORD_BITS, "pattern": _PRBS,
    })  # fmt: skip

    def __init__(self, *, spec: LinkSpec):
        self._reversed = spec.etx_first_bit == 0
        super().__init__({
            "word": In(WORD_BITS), "align": In(6), "pattern": In(3), "invert": In(1), "bits": Out(WORD_BITS),
            "state": In(self.STATE), "next_state": Out(self.STATE),
        })  # fmt: skip

    @property
    def reset(self) -> int:
        """State after reset."""
        return int(self.STATE.const({"pattern": (1 << _PRBS) - 1}).as_value().value)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        sequence = advanced(s.pattern, _PRBS, WORD_BITS)
        test, new = Signal(), Signal(WORD_BITS, name="new")
        words = Signal(3 * WORD_BITS, name="newest_words")
        ordered = Cat(reversed(self.word)) if self._reversed else self.word
        m.d.comb += [
            test.eq(self.pattern == _PRBS7_PATTERN),
            new.eq(Mux(test, sequence[:WORD_BITS], ordered)),
            n.pattern.eq(Mux(test, sequence[:_PRBS], (1 << _PRBS) - 1)),
            words.eq(Cat(new, s.words)),
            n.words.eq(words),
            n.bits.eq((words >> self.align)[:WORD_BITS] ^ self.invert.replicate(WORD_BITS)),
            self.bits.eq(s.bits),
        ]
        return m


class ShiftOutLogic(Component):
    """Next state and output of the shift register of a transmitter, in the domain of the bit clock; for `Registered`.

    The bit clock after each edge of the crossing clock loads `bits`; their first one is then at the pin.

    Members
    -------
    bits : In(32)
    toggle : In(1)
        Changes with every edge of the crossing clock.
    pin : Out(1)
        From a flip-flop.
    state : In, next_state : Out
    """

    reset: ClassVar[int] = 0
    STATE: ClassVar[data.StructLayout] = data.StructLayout({"shift": WORD_BITS, "toggle": 1})

    def __init__(self) -> None:
        super().__init__({
            "bits": In(WORD_BITS), "toggle": In(1), "pin": Out(1), "state": In(self.STATE),
            "next_state": Out(self.STATE),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        m.d.comb += [
            n.toggle.eq(self.toggle),
            n.shift.eq(Mux(s.toggle == self.toggle, Cat(0, s.shift[:-1]), self.bits)),
            self.pin.eq(s.shift[-1]),
        ]
        return m
