"""Charges without their dropped bits, and their 4E3M codes: what threshold sum, best choice and repeater send."""

from amaranth.hdl import Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import any_of
from hw.hgcal_encoder.float_encode import FloatEncode
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH

__all__ = ["CODE_WIDTH", "DROPPED_WIDTH", "CellCodes", "DropBits"]

CODE_WIDTH = 7
DROPPED_WIDTH = 18
"""Bits of a charge without its dropped bits: the largest one is the largest that 4E3M tells apart."""
_MOST = 4
"""Most bits that are dropped; a register value above it drops none."""


class DropBits(Component):
    """A value without its lowest bits. Combinational.

    Parameters
    ----------
    width : int
        Bits of the value.

    Members
    -------
    value : In(width)
    drop : In(3)
        Bits to drop, 0 to 4; 5 to 7 drop none. Static.
    dropped : Out(width)
    """

    latency = 0

    def __init__(self, *, width: int):
        super().__init__({"value": In(width), "drop": In(3), "dropped": Out(width)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        by = [self.drop == count for count in range(1, _MOST + 1)]
        terms: list[Value] = [self.value & (~any_of(by)).replicate(len(self.value))]
        terms += [(self.value >> count) & hit.replicate(len(self.value)) for count, hit in enumerate(by, 1)]
        m.d.comb += self.dropped.eq(any_of(terms))
        return m


class CellCode(Component):
    """One charge: what is left of it, at most 18 bits, and its code. Combinational.

    Members
    -------
    charge : In(22)
    drop : In(3)
    dropped : Out(18)
        Ends at ``2**18 - 1``.
    code : Out(7)
        4E3M.
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__(
            {"charge": In(CHARGE_WIDTH), "drop": In(3), "dropped": Out(DROPPED_WIDTH), "code": Out(CODE_WIDTH)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        drop = place(m, platform, "drop_bits", DropBits, width=CHARGE_WIDTH)
        code = place(m, platform, "float_encode", FloatEncode, width=DROPPED_WIDTH, exponent=4, mantissa=3)
        beyond = drop.dropped[DROPPED_WIDTH:].any()
        m.d.comb += [
            drop.value.eq(self.charge),
            drop.drop.eq(self.drop),
            self.dropped.eq(drop.dropped[:DROPPED_WIDTH] | beyond.replicate(DROPPED_WIDTH)),
            code.value.eq(self.dropped),
            self.code.eq(code.code),
        ]
        return m


class CellCodes(Component):
    """All 48 charges; see `CellCode`. Combinational, one crossing per clock; no flow control: fixed rate.

    Members
    -------
    charges : In(22) x 48
        Calibrated charges.
    drop : In(3)
        Register drop_lsb. Static.
    dropped : Out(18) x 48
    codes : Out(7) x 48
    """

    latency = 0

    def __init__(self) -> None:
        super().__init__({
            "charges": In(ArrayLayout(CHARGE_WIDTH, CELLS)), "drop": In(3),
            "dropped": Out(ArrayLayout(DROPPED_WIDTH, CELLS)), "codes": Out(ArrayLayout(CODE_WIDTH, CELLS)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for i in range(CELLS):
            cell = place(m, platform, f"cell_{i}", CellCode)
            m.d.comb += [
                cell.charge.eq(self.charges[i]),
                cell.drop.eq(self.drop),
                self.dropped[i].eq(cell.dropped),
                self.codes[i].eq(cell.code),
            ]
        return m
