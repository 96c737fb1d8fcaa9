"""What the other algorithms share: their links and dropped bits, and what each of them can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.algorithms.output_buffer import Bits, Frames, check_links, fields, short_counter, to_frames
from sim.hgcal_encoder.normalise import check_charges

__all__ = ["MAX_DROP", "Algorithm", "FixedFrame"]

MAX_DROP = 4
"""Most low bits that the chip drops; the settings 5 to 7 of its register count as 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Algorithm(ABC):
    """Golden model of an algorithm of ECON-T.

    Attributes
    ----------
    etx_count : int
        Links, 1 to 13.
    drop : int
        Register drop_lsb, 0 to 7: low bits of a charge that are cut off before it is encoded. 1 for low, 3 for high
        density in normal operation; the chip takes 5 to 7 as 0.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    etx_count: int
    drop: int = 3

    def __post_init__(self) -> None:
        check_links(self.etx_count)
        if not 0 <= self.drop <= 7:
            raise ValueError(f"drop: expected 0 to 7 bits, got {self.drop}")

    @property
    def dropped(self) -> int:
        """Low bits that are cut off."""
        return self.drop if self.drop <= MAX_DROP else 0

    @abstractmethod
    def frames(self, charges: npt.ArrayLike, bx: npt.ArrayLike) -> Frames:
        """eTx words of consecutive crossings.

        Parameters
        ----------
        charges : array_like of int, shape (n, 48)
            Calibrated charges (CALQ).
        bx : array_like of int, shape (n,)
            Bunch crossing in the orbit.

        Returns
        -------
        ndarray of uint32, shape (n, 13)

        Raises
        ------
        ValueError
            If a charge is out of range; the message names its index.
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedFrame(Algorithm):
    """An algorithm whose crossing always takes the same number of bits: counter, then its fields.

    Frames on fewer links than it needs carry the first 32 bits per link.
    """

    @property
    @abstractmethod
    def bits(self) -> int:
        """Bits of a frame that carry something."""

    @abstractmethod
    def _fields(self, charges: IntArray) -> list[Bits]:
        """What follows the counter, most significant bit first: parts of shape (n, any)."""

    def _counter(self, bx: IntArray) -> Bits:
        return fields(short_counter(bx), 4)

    def frames(self, charges: npt.ArrayLike, bx: npt.ArrayLike) -> Frames:
        """eTx words of each crossing; see `Algorithm.frames`."""
        parts = [self._counter(np.asarray(bx, dtype=np.int64)), *self._fields(check_charges(charges))]
        return to_frames(np.concatenate(parts, axis=1)[:, : 32 * self.etx_count], self.etx_count)
