"""Floating-point codes of ECON-T: an exponent, a mantissa without its leading one, no sign.

``xEyM`` has x exponent and y mantissa bits. Exponent 0 is denormal: the code is the value. Otherwise a code stands for
the 2**(exponent - 1) integers from (2**y + mantissa) << (exponent - 1) on. Values beyond the largest code saturate.
The chip's trigger cells are 4E3M, the module sums of threshold sum and best choice 5E3M, the others 5E4M.

`FloatCode.lowest` is the only place where this is computed: encoders, decoders and compiled kernels read its table.
Source: ECON-T emulator (public repository ECONT_Emulator) and its vectors; saturation as in the public trigger
emulation of CMS, since no vector reaches it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range


@dataclass(frozen=True, kw_only=True)
class FloatCode:
    """A code of `exponent` and `mantissa` bits.

    Raises
    ------
    ValueError
        If a width is out of range (exponent 1 to 5, mantissa 1 to 8).
    """

    exponent: int
    mantissa: int

    def __post_init__(self) -> None:
        if not 1 <= self.exponent <= 5 or not 1 <= self.mantissa <= 8:
            raise ValueError(f"expected 1 to 5 exponent and 1 to 8 mantissa bits, got {self.exponent}E{self.mantissa}M")

    @property
    def width(self) -> int:
        """Bits of a code."""
        return self.exponent + self.mantissa

    @property
    def max_code(self) -> int:
        """Largest code."""
        return (1 << self.width) - 1

    @cached_property
    def lowest(self) -> IntArray:
        """Lowest integer that each code stands for, rising, shape (2**width,); not to be written."""
        mantissa = np.arange(1 << self.mantissa)
        steps = np.arange((1 << self.exponent) - 1)[:, None]
        table: IntArray = np.concatenate([mantissa, (((1 << self.mantissa) + mantissa) << steps).ravel()])
        table.flags.writeable = False
        return table

    def encode(self, values: npt.ArrayLike, drop: int = 0) -> IntArray:
        """Codes of integers, truncated.

        Parameters
        ----------
        values : array_like of int
            Any shape, 0 ... 2**52.
        drop : int, optional
            Least significant bits cut off before encoding.

        Raises
        ------
        ValueError
            If a value is negative or too large; the message names its index.
        """
        value = check_range(values, 0, 1 << 52, "values to encode") >> drop
        codes: IntArray = self.lowest.searchsorted(value, side="right") - 1
        return codes

    def integers(self, codes: npt.ArrayLike, name: str = "floating-point codes") -> IntArray:
        """How many integers each code stands for: a power of two.

        Parameters
        ----------
        codes : array_like of int
            Any shape.
        name : str, optional
            What messages call the codes.

        Raises
        ------
        ValueError
            If a code is too wide; the message names its index.
        """
        step = (check_range(codes, 0, self.max_code, name) >> self.mantissa) - 1
        integers: IntArray = np.left_shift(1, np.maximum(step, 0))
        return integers

    def decode(
        self, codes: npt.ArrayLike, drop: int = 0, name: str = "floating-point codes"
    ) -> npt.NDArray[np.float64]:
        """What a receiver takes for the values: the middle of each code's integers, and 0 for code 0.

        Parameters
        ----------
        codes : array_like of int
            Any shape.
        drop : int, optional
            Bits that the sender cut off.
        name : str, optional
            What messages call the codes.

        Raises
        ------
        ValueError
            If a code is too wide; the message names its index.
        """
        integers = self.integers(codes, name) << drop
        code = np.asarray(codes, dtype=np.int64)
        return np.where(code > 0, (self.lowest[code] << drop) + (integers - 1) / 2.0, 0.0)


CELL = FloatCode(exponent=4, mantissa=3)
"""4E3M, a trigger cell."""
SUM = FloatCode(exponent=5, mantissa=3)
"""5E3M, the module sum of threshold sum and best choice."""
WIDE_SUM = FloatCode(exponent=5, mantissa=4)
"""5E4M, the sum of a super trigger cell and of the autoencoder's frame."""
