"""A core that sends on what came in: the links of a concentrator on their own."""

from collections.abc import Callable

from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister


class WordsThrough(Component):
    """Word i of a crossing leaves on transmitter i a clock later; the last transmitter tells the crossing.

    Members
    -------
    words, bx, link_reset_econt, frames, overflow
        As of a concentrator's core. Bit 12 of the last word is `link_reset_econt`, bits 11:0 are `bx`.
    """

    clocked = True

    def __init__(self, *, register: Callable[..., Component] = PipelineRegister) -> None:
        self._register = register
        super().__init__({
            "words": In(ArrayLayout(32, 12)), "bx": In(12), "link_reset_econt": In(1),
            "frames": Out(ArrayLayout(32, 13)), "overflow": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for link in range(12):
            step = place(m, platform, f"word_{link}", self._register, width=32)
            m.d.comb += [step.i.eq(self.words[link]), self.frames[link].eq(step.o)]
        last = place(m, platform, "crossing", self._register, width=13)
        m.d.comb += [last.i[:12].eq(self.bx), last.i[12].eq(self.link_reset_econt), self.frames[12].eq(last.o)]
        return m
