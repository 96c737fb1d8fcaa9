"""Threshold sum: which trigger cells reach their threshold, and the codes of the sums."""

from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.hgcal_encoder.float_encode import FloatEncode
from hw.hgcal_encoder.normalise import ModuleSum
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, SUM_WIDTH

__all__ = ["SUM_CODE_WIDTH", "ThresholdSum"]

SUM_CODE_WIDTH = 8
"""5E3M."""


class ThresholdSum(Component):
    """Compares 48 charges with their thresholds and adds those below.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Members
    -------
    charges : In(22) x 48
        Calibrated charges.
    threshold : In(22) x 48
        Least charge of each cell that is sent. Static.
    use_sum : In(1)
        `sum_code` is that of all cells. Static.
    above : Out(48)
        Cells at or above their threshold.
    sum_code : Out(8)
        5E3M code of the sum of the cells below.
    total_code : Out(8)
        5E3M code of the sum of all cells.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({
            "charges": In(ArrayLayout(CHARGE_WIDTH, CELLS)), "threshold": In(ArrayLayout(CHARGE_WIDTH, CELLS)),
            "use_sum": In(1), "above": Out(CELLS), "sum_code": Out(SUM_CODE_WIDTH), "total_code": Out(SUM_CODE_WIDTH),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = {name: place(m, platform, f"{name}_sum", ModuleSum) for name in ("below", "total")}
        codes = {
            name: place(m, platform, f"{name}_code", FloatEncode, width=SUM_WIDTH, exponent=5, mantissa=3)
            for name in sums
        }
        for i in range(CELLS):
            below = self.charges[i] < self.threshold[i]
            m.d.comb += [
                self.above[i].eq(~below),
                sums["below"].charges[i].eq(self.charges[i] & (below | self.use_sum).replicate(CHARGE_WIDTH)),
                sums["total"].charges[i].eq(self.charges[i]),
            ]
        m.d.comb += [codes[name].value.eq(sums[name].module_sum) for name in sums]
        m.d.comb += [self.sum_code.eq(codes["below"].code), self.total_code.eq(codes["total"].code)]
        return m
