"""Super trigger cells: sums of 4 or 16 neighbouring trigger cells, with or without the position of the largest.

Super trigger cell k is the sum of trigger cells 4k ... 4k + 3 (or 16k ... 16k + 15). Five variants:

===========  =====  =========================  ====================
type         cells  position of the largest    sum
===========  =====  =========================  ====================
0 STC4_5E4M  4      2 bits                     5E4M, nothing dropped
1 STC16_5E4M 16     4 bits                     5E4M, nothing dropped
2 CTC4_4E3M  4      none                       4E3M after ``drop``
3 STC4_4E3M  4      2 bits                     4E3M after ``drop``
4 CTC4_5E4M  4      none                       5E4M, nothing dropped
===========  =====  =========================  ====================

Frame, most significant bit of eTx 0 first, zero-padded: 4 bits counter (15 at crossing 0, else the crossing modulo 8),
the positions of all super trigger cells sent, then their sums. As many are sent as fit the links, from number 0 on; the
rest is lost. On more links than 5, 2, 3, 4, 4 for types 0 to 4 (`MOST_LINKS`) the chip sends zeros. Among equal largest
charges the highest position is sent, as the emulator and the vectors have it; the code for the beam test of September
2024 (indra-ehep/hgcal-tpg-fe @e71914d) expects the lowest, which is `EqualLargest.LOWEST`.

Type 3 on 3 links is checked bit for bit against the vectors ``STC_type3_eTx3`` (low density, drop 1). No vectors exist
for the others; their layout follows the emulator, and their number per link the bits that fit, which gives the
emulator's counts for types 0 (2, 5, 8, 11, 12), 1 (2, 3) and 2 (4, 8, 12). Type 4, CTC4B of the production chip, is in
no vector either: 9 bits a sum on 1 to 4 links give 3, 6, 10, 12, the counts of type 3.
Source: ECON-T emulator and its vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.algorithms.algorithm import FixedFrame
from sim.hgcal_encoder.algorithms.output_buffer import Bits, fields, from_frames, numbers
from sim.hgcal_encoder.concentrator_spec import EqualLargest
from sim.hgcal_encoder.float_code import CELL, WIDE_SUM, FloatCode
from sim.hgcal_encoder.normalise import check_charges
from sim.hgcal_encoder.spec import CELLS

_COUNTER = 4

Spread = Literal["peak", "even"]


class SuperTriggerCellType(IntEnum):
    """Register stc_type."""

    STC4_5E4M = 0
    STC16_5E4M = 1
    CTC4_4E3M = 2
    STC4_4E3M = 3
    CTC4_5E4M = 4


MOST_LINKS = (5, 2, 3, 4, 4)
"""Links that the types use; on more of them the chip sends zeros."""


@dataclass(frozen=True, kw_only=True)
class SuperTriggerCells(FixedFrame):
    """Golden model of super trigger cells; `drop` acts on the sums of types 2 and 3 only.

    Attributes
    ----------
    kind : SuperTriggerCellType
    equal : EqualLargest
        Which of equal largest charges gives a position.
    """

    kind: SuperTriggerCellType
    equal: EqualLargest = EqualLargest.HIGHEST

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "kind", SuperTriggerCellType(self.kind))
        object.__setattr__(self, "equal", EqualLargest(self.equal))

    @property
    def size(self) -> int:
        """Trigger cells of one super trigger cell."""
        return 16 if self.kind is SuperTriggerCellType.STC16_5E4M else 4

    @property
    def code(self) -> FloatCode:
        """Code of a sum."""
        return CELL if self.kind in (SuperTriggerCellType.CTC4_4E3M, SuperTriggerCellType.STC4_4E3M) else WIDE_SUM

    @property
    def address_width(self) -> int:
        """Bits of a position, 0 where none is sent."""
        no_position = self.kind in (SuperTriggerCellType.CTC4_4E3M, SuperTriggerCellType.CTC4_5E4M)
        return 0 if no_position else (self.size - 1).bit_length()

    @property
    def sums(self) -> int:
        """Super trigger cells sent: those that fit."""
        if self.etx_count > MOST_LINKS[self.kind]:
            return 0
        return min(CELLS // self.size, (32 * self.etx_count - _COUNTER) // (self.address_width + self.code.width))

    @property
    def whole(self) -> bool:
        """Whether all of the module is sent."""
        return self.sums * self.size == CELLS

    @property
    def bits(self) -> int:
        """Bits of a frame that carry something."""
        return bool(self.sums) * _COUNTER + self.sums * (self.address_width + self.code.width)

    @property
    def _drop(self) -> int:
        return self.dropped if self.code is CELL else 0

    def _encode(self, charges: npt.ArrayLike) -> tuple[IntArray, IntArray]:
        """Positions and sum codes of the super trigger cells sent, both (n, sums)."""
        groups = check_charges(charges).reshape(-1, CELLS // self.size, self.size)[:, : self.sums]
        if self.equal is EqualLargest.LOWEST:
            position = groups.argmax(axis=2)
        else:
            position = self.size - 1 - groups[:, :, ::-1].argmax(axis=2)
        return position, self.code.encode(groups.sum(axis=2), self._drop)

    def _counter(self, bx: IntArray) -> Bits:
        return super()._counter(bx) * np.uint8(self.sums > 0)

    def _fields(self, charges: IntArray) -> list[Bits]:
        position, codes = self._encode(charges)
        parts = [fields(position, self.address_width)] if self.address_width else []
        return [*parts, fields(codes, self.code.width)]

    def receive(self, frames: npt.ArrayLike, *, spread: Spread = "peak") -> npt.NDArray[np.float64]:
        """Charges that a receiver reads out of frames.

        Parameters
        ----------
        frames : array_like of int, shape (n, 13)
        spread : {"peak", "even"}
            Where a sum is put: on its largest cell, or evenly on all its cells. Types 2 and 4 send no position and are
            always spread evenly.

        Returns
        -------
        ndarray of float64, shape (n, 48)
            In counts of CALQ.
        """
        bits = from_frames(frames, self.etx_count)
        if not self.sums:
            return np.zeros((len(bits), CELLS))
        middle = _COUNTER + self.sums * self.address_width
        codes = numbers(bits[:, middle : self.bits], self.code.width)
        position = numbers(bits[:, _COUNTER:middle], self.address_width) if self.address_width else np.zeros_like(codes)
        return self._image(position, codes, spread)

    def reconstruct(self, charges: npt.ArrayLike, *, spread: Spread = "peak") -> npt.NDArray[np.float64]:
        """What arrives for charges (n, 48); as `receive` of `frames`, without building words."""
        return self._image(*self._encode(charges), spread)

    def _image(self, position: IntArray, codes: IntArray, spread: Spread) -> npt.NDArray[np.float64]:
        total = self.code.decode(codes, self._drop)
        image = np.zeros((len(codes), CELLS // self.size, self.size))
        if spread == "even" or not self.address_width:
            image[:, : self.sums] = total[:, :, None] / self.size
        else:
            np.put_along_axis(image[:, : self.sums], position[:, :, None], total[:, :, None], axis=2)
        return image.reshape(-1, CELLS)
