"""The one definition of a number format: width, fraction bits, sign, rounding, overflow.

Everything works on integer *codes*; a code ``c`` of a format with ``fraction`` bits stands for the value
``c / 2**fraction``. Models, generators and tests all read formats from here. Names and meanings of the modes
are those of the C++ ``ap_fixed`` types (AMD Vitis HLS, "Overview of arbitrary precision fixed-point data types"): all
seven modes of rounding, all of overflow but ``AP_WRAP_SM``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from sim.messages import shown

IntArray = npt.NDArray[np.int64]


class Rounding(StrEnum):
    """What becomes of fraction bits that a format does not keep."""

    TRN = "TRN"
    """Truncate towards minus infinity: drop the bits (``AP_TRN``)."""
    RND = "RND"
    """Round to nearest, ties towards plus infinity (``AP_RND``)."""
    RND_CONV = "RND_CONV"
    """Round to nearest, ties to even (``AP_RND_CONV``)."""
    RND_ZERO = "RND_ZERO"
    """Round to nearest, ties towards zero (``AP_RND_ZERO``)."""
    RND_INF = "RND_INF"
    """Round to nearest, ties away from zero (``AP_RND_INF``)."""
    RND_MIN_INF = "RND_MIN_INF"
    """Round to nearest, ties towards minus infinity (``AP_RND_MIN_INF``)."""
    TRN_ZERO = "TRN_ZERO"
    """Truncate towards zero (``AP_TRN_ZERO``)."""


class Overflow(StrEnum):
    """What becomes of values outside the range of a format."""

    WRAP = "WRAP"
    """Keep the low ``width`` bits (``AP_WRAP``)."""
    SAT = "SAT"
    """Clip to the nearest representable code (``AP_SAT``)."""
    SAT_SYM = "SAT_SYM"
    """Clip to a range with equal ends: the smallest code of a signed format is not used (``AP_SAT_SYM``)."""
    SAT_ZERO = "SAT_ZERO"
    """Values outside the range become zero (``AP_SAT_ZERO``)."""


MOST_FRACTION = 1000
"""Fraction bits, of either sign, whose least code a float64 holds."""


@dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """A fixed-point format.

    Attributes
    ----------
    width : int
        Total number of bits, sign included; 1 to 62.
    fraction : int
        Number of fraction bits; may exceed `width` or be negative (a scaled integer), at most `MOST_FRACTION`.
    signed : bool
        Two's complement if true.
    rounding : Rounding
        Applied when a value with more fraction bits is stored.
    overflow : Overflow
        Applied when a value outside the range is stored.

    Raises
    ------
    ValueError
        If the width is outside 1..62: codes are held in int64 with room for one carry. If the fraction is beyond what a
        float64 can scale. If a signed format of one bit is to have a symmetric range.
    """

    width: int
    fraction: int
    signed: bool
    rounding: Rounding = Rounding.TRN
    overflow: Overflow = Overflow.WRAP

    def __post_init__(self) -> None:
        for name, value in (("width", self.width), ("fraction", self.fraction)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise ValueError(f"{name} of a number format must be a whole number of bits, got {shown(value)}")
        if not 1 <= self.width <= 62:
            raise ValueError(f"width of a number format must be 1 to 62 bits, got {shown(self.width)}")
        if not -MOST_FRACTION <= self.fraction <= MOST_FRACTION:
            raise ValueError(
                f"fraction of a number format: expected at most {MOST_FRACTION} bits, got {shown(self.fraction)}"
            )
        if not isinstance(self.signed, bool | np.bool_):
            raise ValueError(f"signed of a number format must be true or false, got {shown(self.signed)}")
        object.__setattr__(self, "rounding", Rounding(self.rounding))
        object.__setattr__(self, "overflow", Overflow(self.overflow))
        if self.overflow is Overflow.SAT_SYM and self.signed and self.width == 1:
            raise ValueError("a signed format of 1 bit has no symmetric range: expected another overflow than SAT_SYM")

    @property
    def min_code(self) -> int:
        """Smallest code; one less of them is used by a signed format with a symmetric range."""
        if not self.signed:
            return 0
        return -self.max_code if self.overflow is Overflow.SAT_SYM else -(1 << (self.width - 1))

    @property
    def max_code(self) -> int:
        """Largest code."""
        return (1 << (self.width - (1 if self.signed else 0))) - 1

    @property
    def integer(self) -> int:
        """Integer bits, sign included (the ``I`` of ``ap_fixed<W,I>``)."""
        return self.width - self.fraction

    @property
    def lsb(self) -> float:
        """Value of one code step."""
        return 2.0**-self.fraction

    def __str__(self) -> str:
        sign = "s" if self.signed else "u"
        return f"{sign}{self.integer}.{self.fraction} {self.rounding}/{self.overflow}"

    def fit(self, codes: npt.ArrayLike) -> IntArray:
        """Apply the overflow rule to codes that already have this format's fraction.

        Parameters
        ----------
        codes : array_like of int
            Any shape.

        Returns
        -------
        ndarray of int64
            Codes in ``min_code..max_code``, same shape.
        """
        values = _integers(codes)
        match self.overflow:
            case Overflow.SAT | Overflow.SAT_SYM:
                return np.clip(values, self.min_code, self.max_code)
            case Overflow.SAT_ZERO:
                return np.where((values < self.min_code) | (values > self.max_code), 0, values)
        wrapped = values & ((1 << self.width) - 1)
        if self.signed:
            wrapped = wrapped - ((wrapped >> (self.width - 1)) << self.width)
        return wrapped

    def requantise(self, codes: npt.ArrayLike, fraction: int) -> IntArray:
        """Store codes that have `fraction` fraction bits in this format: round, then apply the overflow rule.

        Parameters
        ----------
        codes : array_like of int
            Any shape; magnitude below 2**62 after alignment.
        fraction : int
            Fraction bits of `codes`.

        Returns
        -------
        ndarray of int64
            Codes of this format, same shape.
        """
        return self.fit(round_shift(codes, fraction - self.fraction, self.rounding))

    def encode(self, values: npt.ArrayLike) -> IntArray:
        """Quantise real values: round by the format's rule, then apply the overflow rule.

        Parameters
        ----------
        values : array_like of float
            Finite values, any shape.

        Returns
        -------
        ndarray of int64
            Codes of this format.

        Raises
        ------
        ValueError
            If a value is not finite; the message names the first index.
        """
        reals = np.asarray(values, dtype=np.float64)
        if not np.isfinite(reals).all():
            index = _first(~np.isfinite(reals))
            raise ValueError(f"expected finite values, got {reals[index]} at index {index}")
        scaled = np.ldexp(reals, self.fraction)
        if self.overflow is not Overflow.WRAP:
            # beyond the range the code is decided already, and int64 could not hold the value
            scaled = np.clip(scaled, self.min_code - 1.0, self.max_code + 1.0)
        elif (np.abs(scaled) >= 2.0**62).any():
            index = _first(np.abs(scaled) >= 2.0**62)
            raise ValueError(f"value {reals[index]} at index {index} is too large to wrap exactly")
        # adding a half in floating point could round up; this form does not add
        floor = np.floor(scaled)
        up = _rounds_up(scaled - floor, 0.5, floor % 2 == 1, scaled < 0, self.rounding)
        rounded = floor + up
        return self.fit(rounded.astype(np.int64))

    def decode(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Values of codes, as float64."""
        return np.ldexp(_integers(codes).astype(np.float64), -self.fraction)

    def check(self, codes: npt.ArrayLike, name: str) -> IntArray:
        """Return codes as int64, refusing anything that is not an integer code of this format.

        Parameters
        ----------
        codes : array_like of int
            Any shape.
        name : str
            What the codes are, for the message.

        Raises
        ------
        TypeError
            If the codes are not integers.
        ValueError
            If a code is out of range; the message names its index.
        """
        return check_range(codes, self.min_code, self.max_code, name)


def wrap(codes: npt.ArrayLike, width: int | None) -> IntArray:
    """The low `width` bits of integers as two's complement; all bits if `width` is None."""
    values = _integers(codes)
    return values if width is None else FixedPoint(width=width, fraction=0, signed=True).fit(values)


def round_shift(codes: npt.ArrayLike, shift: int, rounding: Rounding = Rounding.TRN) -> IntArray:
    """``codes / 2**shift`` rounded to integers; a negative `shift` multiplies.

    Parameters
    ----------
    codes : array_like of int
        Any shape.
    shift : int
        Bits dropped (positive) or appended (negative).
    rounding : Rounding
        Rule for the dropped bits.

    Returns
    -------
    ndarray of int64
        Same shape.
    """
    values = _integers(codes)
    if shift <= 0:
        return values << -shift
    floor = values >> shift
    if rounding is Rounding.TRN:
        return floor
    return floor + _rounds_up(values - (floor << shift), 1 << (shift - 1), floor & 1 == 1, values < 0, rounding)


def _rounds_up(
    dropped: IntArray | npt.NDArray[np.float64],
    half: float,
    odd: npt.NDArray[np.bool_],
    negative: npt.NDArray[np.bool_],
    mode: Rounding,
) -> npt.NDArray[np.bool_]:
    """Where a value becomes the code above its floor, by the part above the floor, half a code, and its sign."""
    tie: npt.NDArray[np.bool_] = dropped == half
    beyond: npt.NDArray[np.bool_] = dropped > half
    match mode:
        case Rounding.TRN:
            return np.zeros(dropped.shape, bool)
        case Rounding.TRN_ZERO:
            return negative & (dropped > 0)
        case Rounding.RND:
            return beyond | tie
        case Rounding.RND_MIN_INF:
            return beyond
        case Rounding.RND_CONV:
            return beyond | (tie & odd)
        case Rounding.RND_ZERO:
            return beyond | (tie & negative)
        case Rounding.RND_INF:
            return beyond | (tie & ~negative)


def check_range(codes: npt.ArrayLike, low: int, high: int, name: str) -> IntArray:
    """Return integers as int64, refusing the first one outside ``low..high`` by its index.

    Raises
    ------
    TypeError
        If the array does not hold integers.
    ValueError
        If a value is out of range.
    """
    values = np.asarray(codes)
    if values.size and values.dtype.kind not in "iub":
        raise TypeError(f"{name}: expected integer codes, got {values.dtype}")
    bad = (values < low) | (values > high)
    if bad.any():
        index = _first(bad)
        raise ValueError(f"{name}: expected {low} to {high}, got {values[index]} at index {index}")
    return values.astype(np.int64)


def _integers(codes: npt.ArrayLike) -> IntArray:
    values = np.asarray(codes)
    if values.size and values.dtype.kind not in "iub":
        raise TypeError(f"expected integer codes, got {values.dtype}")
    return values.astype(np.int64)


def _first(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(mask)[0])
