"""Codes of the cells that are sent, moved together, and the numbers of the first of them."""

from amaranth.hdl import Cat, Const, Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.hgcal_encoder.cell_codes import CODE_WIDTH
from hw.hgcal_encoder.frame import Compact, CompactControl
from sim.hgcal_encoder.spec import CELLS

__all__ = ["NUMBERED", "NUMBER_WIDTH", "CellPacker"]

NUMBERED = 7
"""Most cells whose numbers are sent; more have a map."""
NUMBER_WIDTH = 6


class CellPacker(Component):
    """Keeps the codes of marked cells, in the order of the cells, without gaps; zeros behind the last.

    The same steps serve all bits of a code, and the numbers of the cells, which are constants before the first step.
    Combinational, one crossing per clock; no flow control: fixed rate.

    Members
    -------
    sent : In(48)
        Marks.
    codes : In(7) x 48
    joined : Out(7) x 48
        Code of the first marked cell in element 0.
    numbers : Out(6) x 7
        Numbers of the first seven marked cells; 0 where there are fewer.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({
            "sent": In(CELLS), "codes": In(ArrayLayout(CODE_WIDTH, CELLS)),
            "joined": Out(ArrayLayout(CODE_WIDTH, CELLS)), "numbers": Out(ArrayLayout(NUMBER_WIDTH, NUMBERED)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = place(m, platform, "control", CompactControl, width=CELLS)
        m.d.comb += control.keep.eq(self.sent)

        def plane(name: str, bits: list) -> list:
            """One bit of every cell, moved together."""
            step = place(m, platform, name, Compact, width=CELLS)
            m.d.comb += [step.bits.eq(Cat(bits)), step.keep.eq(self.sent), step.move.eq(control.move)]
            return list(step.compacted)

        codes = [plane(f"code_bit_{bit}", [self.codes[i][bit] for i in range(CELLS)]) for bit in range(CODE_WIDTH)]
        m.d.comb += [self.joined[i].eq(Cat(code[i] for code in codes)) for i in range(CELLS)]
        numbers = [plane(f"number_bit_{bit}", [Const(i >> bit & 1, 1) for i in range(CELLS)])
                   for bit in range(NUMBER_WIDTH)]  # fmt: skip
        m.d.comb += [self.numbers[i].eq(Cat(number[i] for number in numbers)) for i in range(NUMBERED)]
        return m
