"""Homeostat: it compares spikes of the liquid with spikes of its input, and moves the threshold between samples."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from hw.common.carry_save import balanced_sum
from sim.lsm_crossbar.spec import BAND_MAX, RATIO_FRACTION, RATIO_MAX, CrossbarSpec

__all__ = ["Homeostat"]


class Homeostat(Component):
    """Over a window of samples, `balance` is liquid spikes minus `ratio` times input spikes, in ``2**-RATIO_FRACTION``
    spikes. At the end of the window the threshold grows by one where the balance is above the band, and falls by one
    where it is below minus the band, within half and twice the threshold of the register.

    No multiplier: a spike of the input takes the ratio once, when its row is driven. Spikes are counted as they come; a
    sample that ends moves the threshold before the next one decides.

    Reset: the threshold is that of the register, asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec
        One with a homeostat.

    Members
    -------
    restart : In(1)
        The threshold is that of the register, and a window begins.
    threshold : In(spec.threshold_width)
        Of the register. It changes with or after `restart` only.
    ratio : In(12), band : In(24)
        Registers.
    driven : In(1), row : In(spec.row_bits)
        A row is driven; rows below `spec.inputs` are spikes of the input.
    decided : In(1), lanes : In(spec.active_lanes)
        Neurons have decided: spikes of the liquid.
    sample : In(1)
        A sample has ended, all its spikes have been counted.
    moved : Out(spec.threshold_width)
        The threshold of the neurons; combinational from `threshold`.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        if spec.homeostat is None:
            raise ValueError(f"{spec.name} has no homeostat")
        self._spec, self._samples = spec, spec.homeostat.samples
        super().__init__(
            {
                "restart": In(1),
                "threshold": In(spec.threshold_width),
                "ratio": In(RATIO_MAX.bit_length()),
                "band": In(BAND_MAX.bit_length()),
                "driven": In(1),
                "row": In(spec.row_bits),
                "decided": In(1),
                "lanes": In(spec.active_lanes),
                "sample": In(1),
                "moved": Out(spec.threshold_width),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        # threshold that the neurons have, less that of the register
        offset = Signal(signed(spec.threshold_width + 1))
        balance = Signal(signed(spec.balance_width))
        seen = Signal(range(self._samples))
        spikes = Signal(spec.active_lanes.bit_length())
        last, above, below, up, down = (Signal(name=name) for name in ("last", "above", "below", "up", "down"))
        band = self.band << RATIO_FRACTION
        most, least = (Signal(spec.threshold_width, name=name) for name in ("most", "least"))
        m.d.comb += [
            self.moved.eq(self.threshold + offset),
            most.eq(Mux(self.threshold[-1], spec.threshold_max, self.threshold << 1)),
            least.eq(self.threshold >> 1),
            spikes.eq(Mux(self.decided, balanced_sum(list(self.lanes)), 0)),
            last.eq(self.sample & (seen == self._samples - 1)),
            above.eq(balance > band),
            below.eq(balance < -band),
            up.eq(last & above & (self.moved != most)),
            down.eq(last & below & (self.moved != least)),
        ]
        taken = Mux(self.driven & (self.row < spec.inputs), self.ratio, 0)
        with m.If(self.restart):
            m.d.sync += [offset.eq(0), balance.eq(0), seen.eq(0)]
        with m.Else():
            m.d.sync += [
                offset.eq(offset + up - down),
                balance.eq(Mux(last, 0, balance + (spikes << RATIO_FRACTION) - taken)),
            ]
            with m.If(self.sample):
                m.d.sync += seen.eq(Mux(last, 0, seen + 1))
        return m
