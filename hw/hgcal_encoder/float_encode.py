"""Floating-point code of an unsigned integer: 4E3M of a trigger cell, 5E3M and 5E4M of sums."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

__all__ = ["FloatEncode"]


class FloatEncode(Component):
    """The code of `sim.hgcal_encoder.float_code.FloatCode`, truncated; values beyond the largest code give all ones.

    With ``s = max(floor(log2 value) - mantissa, 0)`` the code is ``(s << mantissa) + (value >> s)``: the leading one of
    the shifted value counts the exponent up by one, and below ``2**mantissa`` there is none. Combinational.

    Parameters
    ----------
    width : int
        Bits of the value.
    exponent, mantissa : int
        Bits of the code.

    Members
    -------
    value : In(width)
    code : Out(exponent + mantissa)
    """

    latency = 0

    def __init__(self, *, width: int, exponent: int, mantissa: int):
        self._width, self._exponent, self._mantissa = width, exponent, mantissa
        super().__init__({"value": In(width), "code": Out(exponent + mantissa)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        mantissa = self._mantissa
        # bits of the largest value that has a code of its own
        reach = mantissa + (1 << self._exponent) - 1
        value: Value = self.value[:reach]
        shift: list[Value] = []
        for step in reversed(range(self._exponent)):
            # a value below 2**(mantissa + 2**step) is not shifted by so much; what is left is below that
            bound = mantissa + (1 << step)
            if len(value) <= bound:
                continue
            far = Signal(name=f"shift_{1 << step}")
            left = Signal(bound, name=f"value_{1 << step}")
            m.d.comb += [far.eq(value[bound:].any()), left.eq(Mux(far, value >> (1 << step), value))]
            value = left
            shift.insert(0, far)
        code = Signal(self._exponent + mantissa)
        m.d.comb += code.eq((Cat(shift) << mantissa) + value)
        beyond = self.value[reach:].any() if self._width > reach else None
        m.d.comb += self.code.eq(code if beyond is None else code | beyond.replicate(len(code)))
        return m
