"""Arithmetic that stages share: rounded shifts, saturation, decays by shift and add."""

from amaranth.hdl import Mux, Value

__all__ = ["decayed", "part", "rounded", "saturated"]


def rounded(value: Value, shift: int) -> Value:
    """``value / 2**shift``, rounded to nearest, halves upwards."""
    return (value + (1 << (shift - 1))) >> shift


def part(value: Value, fraction: tuple[int, int]) -> Value:
    """The part ``numerator / 2**shift`` of a value, rounded as `rounded`."""
    numerator, shift = fraction
    return rounded(value * numerator, shift)


def decayed(value: Value, fraction: tuple[int, int]) -> Value:
    """A value less that part of it."""
    return value - part(value, fraction)


def saturated(value: Value, low: int, high: int) -> Value:
    """A signed value, or the nearer end of ``low..high``."""
    return Mux(value < low, low, Mux(value > high, high, value))
