"""Stage 5: module sum, its 5E4M code, and charges divided by the power of two below the sum."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, SUM_WIDTH, EncoderSpec

__all__ = ["ModuleSum", "Normalise", "NormaliseCell", "SumCode"]

_SHIFT_WIDTH = 5


class ModuleSum(Component):
    """Sum of 48 calibrated charges, exact: 28 bits hold 48 times the largest charge. Combinational.

    Members
    -------
    charges : In(22) x 48
    module_sum : Out(28)
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({"charges": In(ArrayLayout(CHARGE_WIDTH, CELLS)), "module_sum": Out(SUM_WIDTH)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        # a balanced tree in which no partial sum is cut: synthesis merges it into one carry-save tree
        terms: list[Value] = [self.charges[i] for i in range(CELLS)]
        while len(terms) > 1:
            terms = [sum(terms[i + 1 : i + 2], start=terms[i]) for i in range(0, len(terms), 2)]
        m.d.comb += self.module_sum.eq(terms[0])
        return m


class SumCode(Component):
    """5E4M code of the module sum and the shift of the charges. Combinational.

    With m = floor(log2 sum), 0 for a sum of 0: exponent m - 3 and the four bits below the leading one; below 16 the sum
    itself with exponent 0.

    Members
    -------
    module_sum : In(28)
    sum_code : Out(9)
        Exponent in bits 8:4.
    shift : Out(5)
        min(m, 21).
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({"module_sum": In(SUM_WIDTH), "sum_code": Out(9), "shift": Out(_SHIFT_WIDTH)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        # shift the leading one to the top, halving the distance at each step; every skipped step is a bit of m
        aligned: Value = Cat(Const(0, (1 << _SHIFT_WIDTH) - SUM_WIDTH), self.module_sum)
        leading: list[Value] = []
        for step in reversed(range(_SHIFT_WIDTH)):
            places = 1 << step
            empty = Signal(name=f"top_{places}_empty")
            shifted = Signal(len(aligned), name=f"aligned_{places}")
            m.d.comb += [
                empty.eq(~aligned[-places:].any()),
                shifted.eq(Mux(empty, aligned << places, aligned)),
            ]
            aligned = shifted
            leading.insert(0, ~empty)
        # the sum sits 4 bits up, so that 31 stands for bit 27
        offset = (1 << _SHIFT_WIDTH) - SUM_WIDTH
        position = Signal(_SHIFT_WIDTH)
        small = Signal()
        m.d.comb += [
            position.eq(Cat(leading) - offset),
            small.eq(~self.module_sum[4:].any()),
            self.sum_code.eq(Mux(small, self.module_sum[:4], Cat(aligned[-5:-1], (position - 3)[:5]))),
            self.shift.eq(
                Mux(
                    ~self.module_sum.any(),
                    0,
                    Mux(self.module_sum[CHARGE_WIDTH - 1 :].any(), CHARGE_WIDTH - 1, position),
                )
            ),
        ]
        return m


class NormaliseCell(Component):
    """One charge to its pixel: ``(charge << fraction) >> shift``, the low bits of it. Combinational.

    Parameters
    ----------
    fraction : int
        Fraction bits of the pixel; it has one bit more.

    Members
    -------
    charge : In(22)
        Below ``2**(shift + 1)``, as every charge is that is not above the module sum.
    shift : In(5)
    pixel : Out(fraction + 1)
    """

    latency = 0

    def __init__(self, *, fraction: int):
        self._fraction = fraction
        super().__init__({"charge": In(CHARGE_WIDTH), "shift": In(_SHIFT_WIDTH), "pixel": Out(fraction + 1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        # large steps first: the bits that later steps can still reach become fewer with each
        value: Value = Cat(Const(0, self._fraction), self.charge)
        for step in reversed(range(_SHIFT_WIDTH)):
            width = self._fraction + (1 << step)
            shifted = Signal(width, name=f"shifted_{1 << step}")
            m.d.comb += shifted.eq(Mux(self.shift[step], value >> (1 << step), value))
            value = shifted
        m.d.comb += self.pixel.eq(value)
        return m


class Normalise(Component):
    """Charges divided by the largest power of two not above their sum, truncated to ``spec.pixel``: values in [0, 2).

    The shift ends at the width of a charge: for sums of ``2**22`` and more it stays, and no pixel can overflow.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Parameters
    ----------
    spec : EncoderSpec

    Members
    -------
    charges : In(22) x 48
        Calibrated charges.
    module_sum : Out(28)
        Their sum.
    sum_code : Out(9)
        Its 5E4M code, exponent in bits 8:4.
    pixels : Out(spec.pixel.width) x 48
        Normalised charges.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec):
        self._spec = spec
        super().__init__(
            {
                "charges": In(ArrayLayout(CHARGE_WIDTH, CELLS)),
                "module_sum": Out(SUM_WIDTH),
                "sum_code": Out(9),
                "pixels": Out(ArrayLayout(spec.pixel.width, CELLS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        adder = place(m, platform, "module_sum", ModuleSum)
        code = place(m, platform, "sum_code", SumCode)
        m.d.comb += [
            adder.charges.eq(self.charges),
            self.module_sum.eq(adder.module_sum),
            code.module_sum.eq(adder.module_sum),
            self.sum_code.eq(code.sum_code),
        ]
        for i in range(CELLS):
            cell = place(m, platform, f"cell_{i}", NormaliseCell, fraction=self._spec.pixel.fraction)
            m.d.comb += [
                cell.charge.eq(self.charges[i]),
                cell.shift.eq(code.shift),
                self.pixels[i].eq(cell.pixel),
            ]
        return m
