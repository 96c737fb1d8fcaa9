"""Stage 3: the 4E3M code of a trigger cell, split so that calibration multiplies few bits."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from sim.hgcal_encoder.spec import CELLS

__all__ = ["Decode", "DecodeCell"]


class DecodeCell(Component):
    """One code to mantissa and shift; see `Decode` for the arithmetic. Combinational.

    Members
    -------
    code : In(7)
    high_density : In(1)
    mantissa : Out(4)
    shift : Out(5)
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({"code": In(7), "high_density": In(1), "mantissa": Out(4), "shift": Out(5)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        exponent = self.code[3:]
        normal = Signal()
        # 15 - max(exponent, 1)
        below = Signal(4)
        m.d.comb += [
            normal.eq(exponent.any()),
            self.mantissa.eq(Cat(self.code[:3], normal)),
            below.eq(~(exponent | ~normal)),
            # low density: two bits fewer
            self.shift.eq(Cat(below[0], below[1:] + ~self.high_density)),
        ]
        return m


class Decode(Component):
    """Codes to odd mantissas and shifts.

    With e = code[6:3] and f = code[2:0], ``mantissa = f + 8 * (e > 0)`` and ``shift = 15 - max(e, 1)``, 2 more at low
    density. The charge is ``(2 * mantissa + 1) << (16 - shift)``: the trailing one is the half LSB that undoes the
    truncation of the sender, so code 0 is not charge 0. The charge itself is not formed: calibration multiplies the
    mantissa first and shifts the product.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Members
    -------
    codes : In(7) x 48
        4E3M codes.
    high_density : In(1)
        Density of the module.
    mantissas : Out(4) x 48
        Mantissas without their trailing one.
    shifts : Out(5) x 48
        Places below full scale, 0 to 16.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__(
            {
                "codes": In(ArrayLayout(7, CELLS)),
                "high_density": In(1),
                "mantissas": Out(ArrayLayout(4, CELLS)),
                "shifts": Out(ArrayLayout(5, CELLS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for i in range(CELLS):
            cell = place(m, platform, f"cell_{i}", DecodeCell)
            m.d.comb += [
                cell.code.eq(self.codes[i]),
                cell.high_density.eq(self.high_density),
                self.mantissas[i].eq(cell.mantissa),
                self.shifts[i].eq(cell.shift),
            ]
        return m
