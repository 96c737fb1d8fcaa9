"""Status bytes: what the chip is doing, for a host that reads registers."""

from amaranth.hdl import Cat, Const, Module, signed
from amaranth.lib.wiring import Component, In, Out

from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Status"]


class Status(Component):
    """Bytes by address: 0 flags (bit 0 running, 1 next step complete, 2 an event was dropped), 1 and 2 step, 3 and 4
    class of the last sample; with a homeostat 5 to 7 the threshold of the neurons, or, where each has its own, the sum
    of their differences from the register, two's complement. Other addresses read 0.

    Combinational.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    running, full, dropped : In(1)
    step : In(bits of spec.steps)
    class_index : In(bits of spec.outputs)
    threshold : In(spec.threshold_width), or In(signed(24))
        Only with `spec.homeostat`.
    read_address : In(3)
    read_data : Out(8)
    """

    def __init__(self, *, spec: CrossbarSpec):
        self._homeostat = spec.homeostat is not None
        threshold = signed(24) if spec.own_thresholds else spec.threshold_width
        super().__init__(
            {
                "running": In(1),
                "full": In(1),
                "dropped": In(1),
                "step": In(max((spec.steps - 1).bit_length(), 1)),
                "class_index": In(spec.class_bits),
                **({"threshold": In(threshold)} if self._homeostat else {}),
                "read_address": In(3),
                "read_data": Out(8),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        pad = Const(0, 16)
        step, winner = Cat(self.step, pad)[:16], Cat(self.class_index, pad)[:16]
        values = [Cat(self.running, self.full, self.dropped), step[:8], step[8:], winner[:8], winner[8:]]
        if self._homeostat:
            held = Cat(self.threshold, Const(0, 24))[:24]
            values += [held[:8], held[8:16], held[16:]]
        with m.Switch(self.read_address):
            for address, value in enumerate(values):
                with m.Case(address):
                    m.d.comb += self.read_data.eq(value)
        return m
