"""Repeater: every trigger cell in 4E3M, for commissioning. 341 bits, so 11 links carry a crossing.

Frame: 5 bits counter (31 at crossing 0, else the crossing modulo 16), then 7 bits 4E3M of trigger cells 0 ... 47 after
cutting ``drop`` low bits, zero-padded; on fewer than 11 links its first 32 bits per link. Checked bit for bit against
the vectors ``RPT_13eTx``; fewer links follow the ECON-T emulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.algorithms.algorithm import FixedFrame
from sim.hgcal_encoder.algorithms.output_buffer import Bits, fields, from_frames, numbers
from sim.hgcal_encoder.float_code import CELL
from sim.hgcal_encoder.frame import COUNTER_WIDTH, counter
from sim.hgcal_encoder.normalise import check_charges
from sim.hgcal_encoder.spec import CELLS


@dataclass(frozen=True, kw_only=True)
class Repeater(FixedFrame):
    """Golden model of the repeater; attributes as in `Algorithm`."""

    etx_count: int = 13

    @property
    def bits(self) -> int:
        """Bits of a frame that carry something."""
        return COUNTER_WIDTH + self.cells * CELL.width

    @property
    def cells(self) -> int:
        """Trigger cells that arrive whole, from number 0 on."""
        return min(CELLS, (32 * self.etx_count - COUNTER_WIDTH) // CELL.width)

    def _counter(self, bx: IntArray) -> Bits:
        return fields(counter(bx), COUNTER_WIDTH)

    def _fields(self, charges: IntArray) -> list[Bits]:
        return [fields(CELL.encode(charges, self.dropped), CELL.width)]

    def receive(self, frames: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Charges, shape (n, 48), that a receiver reads out of frames (n, 13); 0 for cells that do not arrive."""
        codes = numbers(from_frames(frames, self.etx_count)[:, COUNTER_WIDTH : self.bits], CELL.width)
        return CELL.decode(np.pad(codes, ((0, 0), (0, CELLS - self.cells))), self.dropped)

    def reconstruct(self, charges: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """What arrives for charges (n, 48), without building words."""
        values = CELL.decode(CELL.encode(check_charges(charges), self.dropped), self.dropped)
        return np.where(np.arange(CELLS) < self.cells, values, 0.0)
