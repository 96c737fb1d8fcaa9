"""Pixels of the convolution by slots, if multipliers are reused."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Member, Out

from hw.common.dot_product import ActivationMultiples, DotProductFormat
from hw.common.hierarchy import place
from hw.hgcal_encoder.convolution import conv_format
from hw.hgcal_encoder.schedule import Schedule
from sim.hgcal_encoder.spec import CELLS, EncoderSpec

__all__ = ["SerialWindow", "connect", "unit_format", "wide", "window_widths", "wires"]


def wide(direction: Callable[[int], Member], **widths: int) -> dict[str, Member]:
    """Ports of these widths; one of width 0 would be no legal Verilog and is left out."""
    return {name: direction(width) for name, width in widths.items() if width}


def wires(interface: Any, name: str) -> Value:
    """A port of `wide`, also where it was left out."""
    return Value.cast(getattr(interface, name, Const(0, 0)))


def connect(m: Module, interface: Any, **values: Value) -> None:
    """Drive ports of `wide`."""
    for name, value in values.items():
        if len(value):
            m.d.comb += getattr(interface, name).eq(value)


def unit_format(spec: EncoderSpec, unit: int) -> DotProductFormat | None:
    """Dot product of a unit of the convolution; None for a unit that sees padding only."""
    taps = len(Schedule(spec=spec).unit_taps[unit])
    return conv_format(spec, taps) if taps else None


def window_widths(spec: EncoderSpec, unit: int) -> tuple[int, int, int]:
    """Bits of a unit's pixels, of three times the pixels, of their pair sums."""
    dot_format = unit_format(spec, unit)
    if dot_format is None:
        return 0, 0, 0
    width = spec.pixel.width
    return dot_format.taps * width, dot_format.taps * (width + 2), dot_format.pairs * (width + 1)


class SerialWindow(Component):
    """The window of pixels that each unit of the convolution sees in a slot, with the multiples that its neurons need.

    Combinational. A tap that its position does not have reads 0.

    Parameters
    ----------
    spec : EncoderSpec
    folded : bool
        As of `Schedule`.

    Members
    -------
    pixels : In(spec.pixel.width) x 48
        Normalised charges by trigger cell.
    slot : In(spec.reuse)
        One-hot.
    x, triple, pair : Out
        Pixels, three times the pixels and pair sums of all units, in the order of units; see `window_widths`.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec, folded: bool = False):
        self._spec = spec
        self._schedule = Schedule(spec=spec, folded=folded)
        widths = [window_widths(spec, unit) for unit in range(len(self._schedule.units))]
        super().__init__(
            {
                "pixels": In(ArrayLayout(spec.pixel.width, CELLS)),
                "slot": In(spec.reuse),
                **wide(
                    Out, x=sum(w[0] for w in widths), triple=sum(w[1] for w in widths), pair=sum(w[2] for w in widths)
                ),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self._spec.pixel.width
        xs, triples, pairs = [], [], []
        for unit, taps in enumerate(self._schedule.unit_taps):
            dot_format = unit_format(self._spec, unit)
            if dot_format is None:
                continue
            multiples = place(
                m, platform, f"multiples_{unit}", ActivationMultiples, count=len(taps), width=width,
                pairs=dot_format.pairs,
            )  # fmt: skip
            for index, tap in enumerate(taps):
                seen: Value = Const(0, width)
                for slot in range(self._spec.reuse):
                    cell = self._schedule.cell(unit, slot, tap)
                    if cell is not None:
                        seen = seen | (self.pixels[cell] & self.slot[slot].replicate(width))
                m.d.comb += multiples.x[index].eq(seen)
            xs.append(Cat(multiples.x))
            triples.append(Cat(multiples.triple))
            pairs.append(Cat(multiples.pair))
        connect(m, self, x=Cat(xs), triple=Cat(triples), pair=Cat(pairs))
        return m
