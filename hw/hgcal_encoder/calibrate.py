"""Stage 4: calibration. Each charge times its own unsigned 1.11 factor, truncated."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH

__all__ = ["Calibrate", "CalibrateCell"]

_FACTOR_WIDTH = 12


class CalibrateCell(Component):
    """One charge; see `Calibrate` for the arithmetic. Combinational.

    The product of a 5-bit odd mantissa is factor + 2 * d0 * factor + 8 * d1 * factor with two radix-4 digits; 3 *
    factor is static, so each digit costs one AND-OR and one adder. The product moves behind the multiplication: 17
    bits are shifted, not 21 multiplied.

    Members
    -------
    mantissa : In(4)
    shift : In(5)
    factor : In(12)
    charge : Out(22)
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({"mantissa": In(4), "shift": In(5), "factor": In(_FACTOR_WIDTH), "charge": Out(CHARGE_WIDTH)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        triple = Signal(_FACTOR_WIDTH + 2)
        m.d.comb += triple.eq(self.factor + (self.factor << 1))
        rows = []
        for number in range(2):
            digit = self.mantissa.word_select(number, 2)
            row = Signal(_FACTOR_WIDTH + 2, name=f"row_{number}")
            one, two, three = digit == 1, digit == 2, digit == 3
            m.d.comb += row.eq(
                (self.factor & one.replicate(_FACTOR_WIDTH))
                | ((self.factor & two.replicate(_FACTOR_WIDTH)) << 1)
                | (triple & three.replicate(_FACTOR_WIDTH + 2))
            )
            rows.append(row)
        product = Signal(_FACTOR_WIDTH + 5)
        m.d.comb += [
            product.eq(self.factor + (rows[0] << 1) + (rows[1] << 3)),
            self.charge.eq(Cat(Const(0, 5), product) >> self.shift),
        ]
        return m


class Calibrate(Component):
    """Calibrated charges (CALQ): ``(charge * factor) >> 11`` with ``charge = (2 * mantissa + 1) << (16 - shift)``.

    Computed as ``(((2 * mantissa + 1) * factor) << 5) >> shift``, which drops the same bits. At most 22 bits.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Members
    -------
    mantissas : In(4) x 48
        Mantissas without their trailing one.
    shifts : In(5) x 48
        Places below full scale. Decoding gives 0 to 16; larger values shift on.
    factors : In(12) x 48
        Calibration factors, unsigned with 11 fraction bits.
    charges : Out(22) x 48
        Calibrated charges.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__(
            {
                "mantissas": In(ArrayLayout(4, CELLS)),
                "shifts": In(ArrayLayout(5, CELLS)),
                "factors": In(ArrayLayout(_FACTOR_WIDTH, CELLS)),
                "charges": Out(ArrayLayout(CHARGE_WIDTH, CELLS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for i in range(CELLS):
            cell = place(m, platform, f"cell_{i}", CalibrateCell)
            m.d.comb += [
                cell.mantissa.eq(self.mantissas[i]),
                cell.shift.eq(self.shifts[i]),
                cell.factor.eq(self.factors[i]),
                self.charges[i].eq(cell.charge),
            ]
        return m
