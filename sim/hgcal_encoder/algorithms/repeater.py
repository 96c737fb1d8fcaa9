"""Repeater: every trigger cell in 4E3M, for commissioning. 341 bits, so 11 links carry a crossing.

Frame: 5 bits counter (31 at crossing 0, else the crossing modulo 16), then 7 bits 4E3M of trigger cells 0 ... 47 after
cutting ``drop`` low bits, zero-padded. Checked bit for bit against the vectors ``RPT_13eTx``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.hgcal_encoder.algorithms.output_buffer import Frames, check_links, fields, from_frames, numbers, to_frames
from sim.hgcal_encoder.float_code import CELL
from sim.hgcal_encoder.frame import COUNTER_WIDTH, counter
from sim.hgcal_encoder.normalise import check_charges
from sim.hgcal_encoder.spec import CELLS


@dataclass(frozen=True, kw_only=True)
class Repeater:
    """Golden model of the repeater.

    Attributes
    ----------
    etx_count : int
        Links, 11 to 13.
    drop : int
        Low bits of every charge that are cut off.

    Raises
    ------
    ValueError
        If the links cannot carry a crossing, or `drop` is out of range.
    """

    etx_count: int = 13
    drop: int = 3

    def __post_init__(self) -> None:
        check_links(self.etx_count)
        if self.bits > 32 * self.etx_count:
            raise ValueError(
                f"the repeater needs {-(-self.bits // 32)} links for {self.bits} bits, got {self.etx_count}"
            )
        if not 0 <= self.drop <= 7:
            raise ValueError(f"drop: expected 0 to 7 bits, got {self.drop}")

    @property
    def bits(self) -> int:
        """Bits of a frame that carry something."""
        return COUNTER_WIDTH + CELLS * CELL.width

    def frames(self, charges: npt.ArrayLike, bx: npt.ArrayLike) -> Frames:
        """eTx words, shape (n, 13), of charges (n, 48) at crossings (n,); a charge out of range raises ValueError."""
        codes = CELL.encode(check_charges(charges), self.drop)
        head = fields(counter(np.asarray(bx, dtype=np.int64)), COUNTER_WIDTH)
        return to_frames(np.concatenate([head, fields(codes, CELL.width)], axis=1), self.etx_count)

    def receive(self, frames: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Charges, shape (n, 48), that a receiver reads out of frames (n, 13)."""
        bits = from_frames(frames, self.etx_count)[:, COUNTER_WIDTH : self.bits]
        return CELL.decode(numbers(bits, CELL.width), self.drop)

    def reconstruct(self, charges: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """What arrives for charges (n, 48), without building words."""
        return CELL.decode(CELL.encode(check_charges(charges), self.drop), self.drop)
