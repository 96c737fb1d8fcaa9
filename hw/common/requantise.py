"""Storing a value in a number format: rounding and overflow as logic."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned

from sim.fixed_point import FixedPoint, Overflow, Rounding

__all__ = ["rectify", "store"]

_RECTIFIED = (Rounding.TRN, Rounding.RND, Rounding.RND_CONV)


def rectify(m: Module, value: Value, fraction: int, target: FixedPoint) -> Value:
    """``max(value, 0)`` stored in an unsigned format: rounded by its rule, then wrapped or saturated.

    For the modes that the encoder's layers have; `store` knows all.

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
        If the value is unsigned or the format signed, or it has another rounding than TRN, RND or RND_CONV, another
        overflow than WRAP or SAT.
    """
    if not value.shape().signed or target.signed:
        raise ValueError("expected a signed value and an unsigned format")
    if target.rounding not in _RECTIFIED or target.overflow not in (Overflow.WRAP, Overflow.SAT):
        raise ValueError(f"expected {' or '.join(_RECTIFIED)} with WRAP or SAT, got {target}")
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


def store(m: Module, value: Value, fraction: int, target: FixedPoint, name: str = "stored") -> Value:
    """A value stored in a number format, by any of its modes of rounding and overflow.

    Parameters
    ----------
    m : Module
        Where the logic goes.
    value : Value
        Two's complement, or unsigned, with `fraction` fraction bits.
    fraction : int
        Fraction bits of the value.
    target : FixedPoint
    name : str
        Of the signal with the result.

    Returns
    -------
    Value
        ``target.width`` bits, signed if the format is.
    """
    if not value.shape().signed:
        value = Cat(value, Const(0, 1)).as_signed()
    rounded = _rounded(value, fraction - target.fraction, target.rounding)
    width, negative = target.width, rounded[-1]
    # at least one bit beyond the format, so that there is always something to judge
    extended = Signal(signed(max(len(rounded), width + 2)), name=f"{name}_rounded")
    m.d.comb += extended.eq(rounded)
    low, high = extended[:width], extended[width - 1 if target.signed else width :]
    result = Signal(signed(width) if target.signed else unsigned(width), name=name)
    if target.overflow is Overflow.WRAP or not _leaves(len(rounded), target):
        m.d.comb += result.eq(low)
        return result
    above = ~negative & high.any()
    below = negative & ~high.all() if target.signed else negative
    if target.overflow is Overflow.SAT_SYM and target.signed:
        below = below | (negative & ~low[:-1].any())
    zero = target.overflow is Overflow.SAT_ZERO
    m.d.comb += result.eq(Mux(above, 0 if zero else target.max_code, Mux(below, 0 if zero else target.min_code, low)))
    return result


def _leaves(bits: int, target: FixedPoint) -> bool:
    """Whether a two's complement of so many bits can leave the range of a format."""
    return -(1 << (bits - 1)) < target.min_code or (1 << (bits - 1)) - 1 > target.max_code


def _rounded(value: Value, drop: int, rounding: Rounding) -> Value:
    """A two's complement without its lowest bits, by a mode of rounding; appended zeros where `drop` is negative."""
    if drop <= 0:
        return Cat(Const(0, -drop), value).as_signed()
    negative = value[-1]
    # the sign in every bit that is looked at
    value = Cat(value, negative.replicate(max(0, drop + 1 - len(value))))
    kept, half, below = value[drop:].as_signed(), value[drop - 1], value[: drop - 1].any()
    match rounding:
        case Rounding.TRN:
            return kept
        case Rounding.TRN_ZERO:
            up = negative & (half | below)
        case Rounding.RND:
            up = half
        case Rounding.RND_MIN_INF:
            up = half & below
        case Rounding.RND_CONV:
            up = half & (below | kept[0])
        case Rounding.RND_ZERO:
            up = half & (below | negative)
        case Rounding.RND_INF:
            up = half & (below | ~negative)
    return kept + up
