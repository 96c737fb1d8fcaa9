"""Threshold step: how far the threshold of a neuron moves after a counting window, within its range."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from sim.lsm_crossbar.spec import OFFSET_FRACTION, RATE_MAX, RATIO_FRACTION, CrossbarSpec

__all__ = ["ThresholdStep", "excess_width"]


def excess_width(spec: CrossbarSpec) -> int:
    """Bits of a neuron's spikes too many (two's complement), in ``2**-RATIO_FRACTION`` spikes."""
    return max(spec.count_width, spec.input_count_width) + RATIO_FRACTION + 1


class ThresholdStep(Component):
    """The offset grows by ``excess / 2**rate`` spikes, by at most one, and stays where the threshold is within half and
    twice that of the register, and the offset in its bits.

    Combinational.

    Parameters
    ----------
    spec : CrossbarSpec
        One with a threshold of each neuron.

    Members
    -------
    threshold : In(spec.threshold_width)
        Of the register.
    rate : In(4)
        Above 8 it is as 8.
    excess : In(signed(excess_width(spec)))
        Spikes too many, in ``2**-RATIO_FRACTION``.
    before, after : In, Out(signed(spec.offset_width + OFFSET_FRACTION))
        Threshold of the neuron less that of the register, in ``2**-OFFSET_FRACTION``.
    """

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        offset = signed(spec.offset_width + OFFSET_FRACTION)
        super().__init__(
            {
                "threshold": In(spec.threshold_width),
                "rate": In(RATE_MAX.bit_length()),
                "excess": In(signed(excess_width(spec))),
                "before": In(offset),
                "after": Out(offset),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        width = spec.offset_width + OFFSET_FRACTION
        one, reach = 1 << OFFSET_FRACTION, 1 << (spec.offset_width - 1)
        step = Signal(signed(OFFSET_FRACTION + 2))
        # 8 - rate places to the left, none lost
        shifted = Signal(signed(len(self.excess) + RATE_MAX))
        moved = Signal(signed(width + 1))
        # how far down and up the threshold may be
        half, room = (self.threshold + 1) >> 1, Signal(spec.threshold_width, name="room")
        down, up = Signal(range(reach + 1)), Signal(range(reach), name="up")
        low, high = Signal(signed(width + 1)), Signal(signed(width + 1), name="high")
        m.d.comb += [
            shifted.eq(Mux(self.rate[3], self.excess, ((self.excess << RATE_MAX) >> self.rate[:3]))),
            step.eq(Mux(shifted > one, one, Mux(shifted < -one, -one, shifted))),
            moved.eq(self.before + step),
            room.eq(Mux(self.threshold[-1], ~self.threshold, self.threshold)),
            down.eq(Mux(half > reach, reach, half)),
            up.eq(Mux(room > reach - 1, reach - 1, room)),
            low.eq(-(down << OFFSET_FRACTION)),
            high.eq(up << OFFSET_FRACTION),
            self.after.eq(Mux(moved > high, high, Mux(moved < low, low, moved))),
        ]
        return m
