"""Super trigger cells of types 0 to 4: sums of 4 or 16 neighbouring trigger cells, and the place of the largest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.carry_save import balanced_sum
from hw.common.hierarchy import place
from hw.common.one_hot import any_of
from hw.hgcal_encoder.cell_codes import DropBits
from hw.hgcal_encoder.float_encode import FloatEncode
from sim.hgcal_encoder.concentrator_spec import EqualLargest
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH

__all__ = ["BODY_WIDTH", "TYPES", "SuperTriggerCellType", "SuperTriggerCells"]

_COUNTER = 4
BODY_WIDTH = 132
"""Bits of the largest frame behind its counter: type 0 with 12 positions of 2 and 12 codes of 9 bits."""


@dataclass(frozen=True, kw_only=True)
class SuperTriggerCellType:
    """Layout of a type.

    Attributes
    ----------
    size : int
        Trigger cells of a super trigger cell.
    address, code : int
        Bits of a position and of the code of a sum.
    most_links : int
        On more links it sends zeros.
    """

    size: int
    address: int
    code: int
    most_links: int

    def sums(self, links: int) -> int:
        """Super trigger cells that fit the links, after the counter."""
        if links > self.most_links:
            return 0
        return min(CELLS // self.size, (32 * links - _COUNTER) // (self.address + self.code))


TYPES = (
    SuperTriggerCellType(size=4, address=2, code=9, most_links=5),
    SuperTriggerCellType(size=16, address=4, code=9, most_links=2),
    SuperTriggerCellType(size=4, address=0, code=7, most_links=3),
    SuperTriggerCellType(size=4, address=2, code=7, most_links=4),
    SuperTriggerCellType(size=4, address=0, code=9, most_links=4),
)
"""By the number in register stc_type; 5 to 7 send zeros."""


class LargestOf(Component):
    """The largest of four values and its number. Combinational.

    Parameters
    ----------
    equal : EqualLargest
        Which number it is of equal ones.

    Members
    -------
    values : In(22) x 4
    largest : Out(22)
    position : Out(2)
    """

    latency = 0

    def __init__(self, *, equal: EqualLargest = EqualLargest.HIGHEST) -> None:
        self._equal = equal
        super().__init__({"values": In(ArrayLayout(CHARGE_WIDTH, 4)), "largest": Out(CHARGE_WIDTH), "position": Out(2)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()

        def wins(high: Value, low: Value) -> Value:
            return high > low if self._equal is EqualLargest.LOWEST else high >= low

        larger, upper = [], []
        for pair in range(2):
            low, high = self.values[2 * pair], self.values[2 * pair + 1]
            second = Signal(name=f"second_{pair}")
            value = Signal(CHARGE_WIDTH, name=f"larger_{pair}")
            m.d.comb += [second.eq(wins(high, low)), value.eq(Mux(second, high, low))]
            upper.append(second)
            larger.append(value)
        last = Signal()
        m.d.comb += [
            last.eq(wins(larger[1], larger[0])),
            self.largest.eq(Mux(last, larger[1], larger[0])),
            self.position.eq(Cat(Mux(last, upper[1], upper[0]), last)),
        ]
        return m


class SuperTriggerCells(Component):
    """Frames of all types behind their counter.

    Bits in order of transmission, the first in the highest bit: positions of the super trigger cells sent, then codes
    of their sums (5E4M of the sum, or 4E3M of the sum without dropped bits), then zeros. As many are sent as fit.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Parameters
    ----------
    equal : EqualLargest
        Which of equal largest charges gives a position.

    Members
    -------
    charges : In(22) x 48
        Calibrated charges.
    drop : In(3)
        Register drop_lsb. Static.
    kind : In(3)
        Register stc_type. Static.
    links : In(4)
        Active links. Static.
    body : Out(132)
    some : Out(1)
        This type sends something on so many links, a counter in front of `body` at least.
    """

    latency = 0

    def __init__(self, *, equal: EqualLargest = EqualLargest.HIGHEST) -> None:
        self._equal = equal
        super().__init__({
            "charges": In(ArrayLayout(CHARGE_WIDTH, CELLS)), "drop": In(3), "kind": In(3), "links": In(4),
            "body": Out(BODY_WIDTH), "some": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        fours = [self._largest(m, platform, f"largest_{group}", [self.charges[4 * group + i] for i in range(4)])
                 for group in range(CELLS // 4)]  # fmt: skip
        positions: dict[int, list[Value]] = {4: [four.position for four in fours], 16: []}
        sums: dict[int, list[Value]] = {4: [], 16: []}
        for group in range(CELLS // 4):
            total = Signal(CHARGE_WIDTH + 2, name=f"sum_{group}")
            m.d.comb += total.eq(balanced_sum([self.charges[4 * group + i] for i in range(4)]))
            sums[4].append(total)
        for group in range(CELLS // 16):
            own = slice(4 * group, 4 * group + 4)
            largest = self._largest(m, platform, f"largest_of_16_{group}", [four.largest for four in fours[own]])
            hits = [(largest.position == i).replicate(2) for i in range(4)]
            within = any_of([position & hit for position, hit in zip(positions[4][own], hits, strict=True)])
            positions[16].append(Cat(within, largest.position))
            total = Signal(CHARGE_WIDTH + 4, name=f"sum_of_16_{group}")
            m.d.comb += total.eq(balanced_sum(sums[4][own]))
            sums[16].append(total)
        codes = {
            (4, 9): [self._code(m, platform, f"wide_{i}", value, 5, 4) for i, value in enumerate(sums[4])],
            (16, 9): [self._code(m, platform, f"wide_of_16_{i}", value, 5, 4) for i, value in enumerate(sums[16])],
            (4, 7): [self._code(m, platform, f"narrow_{i}", value, 4, 3, drop=True) for i, value in enumerate(sums[4])],
        }
        terms, any_sent = [], []
        for number, kind in enumerate(TYPES):
            for count in sorted({kind.sums(links) for links in range(1, 14)} - {0}):
                links = [self.links == n for n in range(1, 14) if kind.sums(n) == count]
                hit = Signal(name=f"type_{number}_sends_{count}")
                m.d.comb += hit.eq((self.kind == number) & any_of(links))
                parts = positions[kind.size][:count] if kind.address else []
                bits = Cat(*reversed([*parts, *codes[kind.size, kind.code][:count]]))
                terms.append(Cat(Const(0, BODY_WIDTH - len(bits)), bits) & hit.replicate(BODY_WIDTH))
                any_sent.append(hit)
        m.d.comb += [self.body.eq(any_of(terms)), self.some.eq(any_of(any_sent))]
        return m

    def _largest(self, m: Module, platform: object, name: str, values: Sequence[Value]) -> Any:
        part = place(m, platform, name, LargestOf, equal=self._equal)
        m.d.comb += [part.values[i].eq(value) for i, value in enumerate(values)]
        return part

    def _code(
        self, m: Module, platform: object, name: str, value: Signal, exponent: int, mantissa: int, *, drop: bool = False
    ) -> Value:
        """Code of a sum, without its dropped bits if asked for."""
        code = place(
            m, platform, f"code_{name}", FloatEncode, width=len(value), exponent=exponent, mantissa=mantissa
        )  # fmt: skip
        if drop:
            bits = place(m, platform, f"drop_{name}", DropBits, width=len(value))
            m.d.comb += [bits.value.eq(value), bits.drop.eq(self.drop), code.value.eq(bits.dropped)]
        else:
            m.d.comb += code.value.eq(value)
        found: Value = code.code
        return found
