"""Stage 2: the 48 to 48 multiplexer that brings the inputs into trigger-cell order."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from sim.hgcal_encoder.spec import CELLS

__all__ = ["Multiplex", "MultiplexCell"]

_GROUP = 8
_SELECT_WIDTH = 6


class MultiplexCell(Component):
    """One output of the multiplexer: AND-OR in two levels of one-hot selects, 8 inputs and 6 groups.

    The selects are static, so their decoders never toggle, and an AND-OR with inverting gates is less than half of a
    tree of 47 two-way multiplexers per bit. Combinational.

    Members
    -------
    codes : In(7) x 48
    select : In(6)
        Input; 48 to 63 name none and give code 0.
    code : Out(7)
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({"codes": In(ArrayLayout(7, CELLS)), "select": In(_SELECT_WIDTH), "code": Out(7)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        groups = CELLS // _GROUP
        low = Signal(_GROUP)
        high = Signal(groups)
        m.d.comb += [
            low.eq(Cat(self.select[:3] == i for i in range(_GROUP))),
            high.eq(Cat(self.select[3:] == i for i in range(groups))),
        ]
        code: Value = Const(0, 7)
        for group in range(groups):
            within: Value = Const(0, 7)
            for i in range(_GROUP):
                within = within | (self.codes[_GROUP * group + i] & low[i].replicate(7))
            code = code | (within & high[group].replicate(7))
        m.d.comb += self.code.eq(code)
        return m


class Multiplex(Component):
    """Trigger cell i takes input ``select[i]``; inputs may be taken twice or not at all.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Members
    -------
    codes : In(7) x 48
        Codes in the order of inputs.
    select : In(6) x 48
        Input per trigger cell; 48 to 63 name no input and give code 0.
    cells : Out(7) x 48
        Codes in the order of trigger cells.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__(
            {
                "codes": In(ArrayLayout(7, CELLS)),
                "select": In(ArrayLayout(_SELECT_WIDTH, CELLS)),
                "cells": Out(ArrayLayout(7, CELLS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for i in range(CELLS):
            cell = place(m, platform, f"cell_{i}", MultiplexCell)
            m.d.comb += [
                cell.codes.eq(self.codes),
                cell.select.eq(self.select[i]),
                self.cells[i].eq(cell.code),
            ]
        return m
