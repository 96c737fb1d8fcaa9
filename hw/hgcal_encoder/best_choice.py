"""Best choice: the largest charges by a sorting network, and the code of the sum of the others."""

from collections.abc import Callable

from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.carry_save import balanced_sum
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.hgcal_encoder.cell_codes import DROPPED_WIDTH
from hw.hgcal_encoder.float_encode import FloatEncode
from hw.hgcal_encoder.merge_exchange import MergeExchange
from hw.hgcal_encoder.threshold_sum import SUM_CODE_WIDTH
from sim.hgcal_encoder.spec import CELLS

__all__ = ["BestChoice"]

_CUT = 11
"""Layers of the network, of 21, in the first clock: the second has the way back, the sum and its code as well."""


class BestChoice(Component):
    """Chooses cells and adds the charges of the others.

    The sum is taken where the network has brought the charges into order: those that are not sent are the ranks that
    are not wanted. Throughput one crossing per clock, latency 1; no flow control: fixed rate. Reset: as after charges
    of 0, asynchronous.

    Parameters
    ----------
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.

    Members
    -------
    dropped : In(18) x 48
        Charges without their dropped bits.
    enable : In(1)
        As for `MergeExchange`.
    wanted : In(48)
        As many low bits set as cells are sent. Static.
    use_sum : In(1)
        `sum_code` is that of all cells. Static.
    chosen : Out(48)
        Cells that are sent.
    sum_code : Out(8)
        5E3M code of the sum of the cells that are not sent.
    """

    latency = 1

    def __init__(self, *, register: Callable[..., Component] = PipelineRegister) -> None:
        self._register = register
        super().__init__({
            "dropped": In(ArrayLayout(DROPPED_WIDTH, CELLS)), "enable": In(1), "wanted": In(CELLS), "use_sum": In(1),
            "chosen": Out(CELLS), "sum_code": Out(SUM_CODE_WIDTH),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        network = place(
            m, platform, "merge_exchange", MergeExchange, size=CELLS, width=DROPPED_WIDTH, cut=_CUT,
            register=self._register,
        )  # fmt: skip
        width = DROPPED_WIDTH + (CELLS - 1).bit_length()
        code = place(m, platform, "sum_code", FloatEncode, width=width, exponent=5, mantissa=3)
        m.d.comb += [
            network.values.eq(self.dropped),
            network.enable.eq(self.enable),
            network.wanted.eq(self.wanted),
            self.chosen.eq(network.chosen),
            code.value.eq(
                balanced_sum(
                    [
                        network.ordered[i] & (~self.wanted[i] | self.use_sum).replicate(DROPPED_WIDTH)
                        for i in range(CELLS)
                    ]
                )
            ),
            self.sum_code.eq(code.code),
        ]
        return m
