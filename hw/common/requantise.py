"""Storing a value in a number format: rounding and overflow as logic."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from sim.fixed_point import FixedPoint, Overflow, Rounding

__all__ = ["rectify"]


def rectify(m: Module, value: Value, fraction: int, target: FixedPoint) -> Value:
    """``max(value, 0)`` stored in an unsigned format: rounded by its rule, then wrapped or saturated.

    Parameters
    ----------
    m : Module
        Where the logic goes.
    value : Value
        Two's complement with `fraction` fraction bits.
    fraction : int
        Fraction bits of the value.
    target : FixedPoint
        Unsigned format.

    Returns
    -------
    Value
        ``target.width`` bits.

    Raises
    ------
    ValueError
        If the value is unsigned or the format signed.
    """
    if not value.shape().signed or target.signed:
        raise ValueError("expected a signed value and an unsigned format")
    negative, magnitude = value[-1], value[:-1]
    drop = fraction - target.fraction
    if drop <= 0:
        rounded: Value = Cat(Const(0, -drop), magnitude)
    elif target.rounding is Rounding.TRN or drop > len(value):
        # the largest value is less than half of the smallest code
        rounded = magnitude[drop:] if drop < len(magnitude) else Const(0, 1)
    else:
        magnitude = Cat(magnitude, Const(0, 2))
        kept, half, below = magnitude[drop:], magnitude[drop - 1], magnitude[: drop - 1]
        up = half & (kept[0] | below.any()) if target.rounding is Rounding.RND_CONV else half
        rounded = Signal(len(kept), name="rounded")
        m.d.comb += rounded.eq(kept + up)
    result = Signal(target.width, name="rectified")
    high = rounded[target.width :]
    if target.overflow is Overflow.SAT and len(high):
        stored: Value = rounded[: target.width] | high.any().replicate(target.width)
    else:
        stored = rounded[: target.width]
    m.d.comb += result.eq(Mux(negative, 0, stored))
    return result
