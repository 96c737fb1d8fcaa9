"""Threshold sum: every trigger cell above its threshold, and the sum of the others.

Packet of a crossing, in 16-bit words through the output buffer (`sim.hgcal_encoder.algorithms.output_buffer`), most
significant bit first, zero-padded to a whole word; n is the number of cells at or above their threshold:

* 5 bits counter (31 at crossing 0, else the crossing modulo 16), 3 bits data type, 8 bits 5E3M module sum;
* n = 0: type 000, nothing else;
* n < 8: type 010, 3 bits n, then 6 bits of number for each cell in rising order, then 7 bits 4E3M for each;
* n >= 8: type 100, 48 bits of map, trigger cell 0 first, then 7 bits 4E3M per cell in trigger cell order;
* truncated: one word, type 110 where there was no room and 111 where the buffer was above T2.

The sum is that of the cells below threshold, without dropping bits (with ``full_sum`` of all cells); a truncated word
always carries the sum of all cells. Charges lose ``drop`` low bits before 4E3M.

Checked bit for bit against the vectors ``TS_Thr47_5eTx_MRL``: 703 full packets of type 100 and 1,079 truncated ones.
They contain no crossing below 8 cells, no idle word and no early truncation: types 000, 010 and 111 and the 3-bit count
follow the emulator, whose older numbers 001 and 010 are 010 and 100 on the chip, as the vectors show for 100.
Source: ECON-T emulator and its vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.hgcal_encoder.algorithms.algorithm import Algorithm
from sim.hgcal_encoder.algorithms.output_buffer import (
    SYNC_RESET,
    SYNC_WIDTH,
    Admission,
    BufferThresholds,
    Frames,
    admit,
    fields,
    from_frames,
    numbers,
    to_packets,
    transmit,
)
from sim.hgcal_encoder.float_code import CELL, SUM
from sim.hgcal_encoder.frame import COUNTER_WIDTH, counter
from sim.hgcal_encoder.normalise import check_charges
from sim.hgcal_encoder.spec import CELLS

THRESHOLD = 47
"""Counts of CALQ in the published settings, 1.35 transverse MIP."""
MAP_FROM = 8
"""Cells from which on a map of 48 bits replaces cell numbers."""
EMPTY, NUMBERED, MAPPED, NO_ROOM, EARLY = 0b000, 0b010, 0b100, 0b110, 0b111
_HEADER = 16
_MAP_END = _HEADER + CELLS


@dataclass(frozen=True, kw_only=True, eq=False)
class ThresholdSum(Algorithm):
    """Golden model of threshold sum.

    Attributes
    ----------
    thresholds : ndarray of int64, shape (48,)
        Least charge of each cell that is sent, 22 bits.
    full_sum : bool
        Register use_sum: send the sum of all cells instead of those below threshold.
    buffer : BufferThresholds, optional
        `BufferThresholds.for_links` if left out.
    sync : int
        Pattern of idle words, 11 bits.

    Raises
    ------
    ValueError
        If a setting is out of range.
    """

    thresholds: IntArray = field(default_factory=lambda: np.full(CELLS, THRESHOLD))
    full_sum: bool = False
    buffer: BufferThresholds | None = None
    sync: int = SYNC_RESET

    def __post_init__(self) -> None:
        super().__post_init__()
        values = check_range(self.thresholds, 0, (1 << 22) - 1, "thresholds")
        if values.shape != (CELLS,):
            raise ValueError(f"thresholds: expected {CELLS} values, got shape {values.shape}")
        object.__setattr__(self, "thresholds", values)
        if not 0 <= self.sync < 1 << SYNC_WIDTH:
            raise ValueError(f"sync: expected {SYNC_WIDTH} bits, got {self.sync:#x}")
        if self.sync >> 8 in (EMPTY, NUMBERED, MAPPED, NO_ROOM, EARLY):
            raise ValueError(f"sync: pattern {self.sync:#x} looks like a packet of type {self.sync >> 8:03b}")
        if self.buffer is None:
            object.__setattr__(self, "buffer", BufferThresholds.for_links(self.etx_count))

    @staticmethod
    def packet_bits(cells: npt.ArrayLike) -> IntArray:
        """Bits of a full packet with that many cells, without padding."""
        n = np.asarray(cells, dtype=np.int64)
        return np.select(
            [n == 0, n < MAP_FROM], [_HEADER, _HEADER + 3 + (6 + CELL.width) * n], _MAP_END + CELL.width * n
        )

    def sent(self, charges: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Cells at or above threshold, shape (n, 48)."""
        above: npt.NDArray[np.bool_] = check_charges(charges) >= self.thresholds
        return above

    def words(self, charges: npt.ArrayLike) -> IntArray:
        """16-bit words of each crossing's full packet, shape (n,)."""
        return -(-self.packet_bits(self.sent(charges).sum(axis=1)) // 16)

    def admissions(self, charges: npt.ArrayLike) -> IntArray:
        """What the output buffer takes of consecutive crossings, see `Admission`.

        Parameters
        ----------
        charges : array_like of int, shape (n, 48) or (n, chips, 48)
            Crossing by crossing; with three dimensions every chip has its own buffer.

        Returns
        -------
        ndarray of int64, shape (n,) or (n, chips)
        """
        array = np.asarray(charges)
        return self.admit(self.words(array.reshape(-1, CELLS)).reshape(array.shape[:-1]))

    def admit(self, lengths: npt.ArrayLike) -> IntArray:
        """As `admissions`, from the lengths of the full packets in 16-bit words, shape (n,) or (n, chips)."""
        assert self.buffer is not None
        return admit(lengths, self.buffer, self.etx_count)[0]

    def frames(self, charges: npt.ArrayLike, bx: npt.ArrayLike) -> Frames:
        """eTx words of consecutive crossings; see `Algorithm.frames`.

        The buffer is empty before the first crossing; what is still in it after the last one is not sent.
        """
        crossing = np.asarray(bx, dtype=np.int64)
        packets = self.packets(charges, crossing, self.admissions(charges))
        return transmit(packets, crossing, self.etx_count, self.sync)

    def packets(
        self, charges: npt.ArrayLike, bx: npt.ArrayLike, admissions: npt.ArrayLike
    ) -> list[npt.NDArray[np.uint16]]:
        """16-bit words that the buffer takes of each crossing, as it decided (`Admission`); shapes as `frames`."""
        array = check_charges(charges)
        admission = np.asarray(admissions)
        above = self.sent(array)
        count = above.sum(axis=1)
        total = array.sum(axis=1)
        sums = total if self.full_sum else np.where(above, 0, array).sum(axis=1)
        codes = CELL.encode(array, self.dropped)
        types = np.select([count == 0, count < MAP_FROM], [EMPTY, NUMBERED], MAPPED)
        types = np.where(admission == Admission.NO_ROOM, NO_ROOM, np.where(admission == Admission.EARLY, EARLY, types))
        sums = SUM.encode(np.where(admission == Admission.FULL, sums, total))
        numbers_of = counter(np.asarray(bx, dtype=np.int64))
        head = np.concatenate([fields(numbers_of, COUNTER_WIDTH), fields(types, 3), fields(sums, SUM.width)], 1)
        rows = []
        for row, kind in enumerate(types.tolist()):
            cells = np.flatnonzero(above[row])
            parts = [head[row]]
            if kind == NUMBERED:
                parts += [fields([len(cells)], 3)[0], fields(cells[None], 6)[0]]
            if kind == MAPPED:
                parts.append(above[row].astype(np.uint8))
            if kind in (NUMBERED, MAPPED):
                parts.append(fields(codes[row, cells][None], CELL.width)[0])
            rows.append(np.concatenate(parts))
        return to_packets(rows)

    def receive(self, frames: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Charges that a receiver reads out of the frames of consecutive crossings.

        The sum of the cells that are not sent is spread evenly over them; a truncated crossing is its sum spread over
        all 48.

        Parameters
        ----------
        frames : array_like of int, shape (n, 13)
            From a crossing at which the buffer was empty.

        Returns
        -------
        ndarray of float64, shape (k, 48)
            Crossings whose packet is complete, in order; k <= n.

        Raises
        ------
        ValueError
            If a packet has an unknown type; the message names the crossing and its word.
        """
        bits = from_frames(frames, self.etx_count).reshape(-1, 16)
        stream = bits.ravel()
        images: list[npt.NDArray[np.float64]] = []
        word = 0
        while word < len(bits):
            at = 16 * word
            kind = int(numbers(bits[word : word + 1, COUNTER_WIDTH:8], 3)[0, 0])
            if kind == self.sync >> 8:
                word += 1
                continue
            if kind not in (EMPTY, NUMBERED, MAPPED, NO_ROOM, EARLY):
                raise ValueError(f"crossing {len(images)}, word {word}: unknown data type {kind:03b}")
            total = float(SUM.decode(numbers(bits[word : word + 1, 8:], SUM.width))[0, 0])
            cells, values, length = np.zeros(0, np.int64), np.zeros(0), _HEADER
            if kind in (NUMBERED, MAPPED):
                map_end = at + (_HEADER + 3 if kind == NUMBERED else _MAP_END)
                if map_end > len(stream):
                    break
                if kind == NUMBERED:
                    count = int(numbers(stream[None, at + _HEADER : map_end], 3)[0, 0])
                    start = map_end + 6 * count
                else:
                    cells = np.flatnonzero(stream[at + _HEADER : map_end])
                    count, start = len(cells), map_end
                length = start - at + CELL.width * count
                if at + length > len(stream):
                    break
                if kind == NUMBERED:
                    cells = numbers(stream[None, map_end:start], 6)[0]
                values = CELL.decode(numbers(stream[None, start : at + length], CELL.width), self.dropped)[0]
            images.append(self._image(cells, values, total, truncated=kind in (NO_ROOM, EARLY)))
            word += -(-length // 16)
        return np.array(images).reshape(-1, CELLS)

    def _image(
        self, cells: IntArray, values: npt.NDArray[np.float64], total: float, *, truncated: bool
    ) -> npt.NDArray[np.float64]:
        rest = max(total - float(values.sum()), 0.0) if self.full_sum and not truncated else total
        image = np.full(CELLS, rest / max(CELLS - len(cells), 1))
        image[cells] = values
        return image

    def reconstruct(self, charges: npt.ArrayLike, admissions: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
        """What arrives for these charges, without building words.

        Parameters
        ----------
        charges : array_like of int, shape (n, 48)
        admissions : array_like of int, shape (n,), optional
            As the buffer decided (`admissions`); everything full if left out.

        Returns
        -------
        ndarray of float64, shape (n, 48)
            As `receive` gives it.
        """
        array = check_charges(charges)
        above = self.sent(array)
        full = np.ones(len(array), np.bool_) if admissions is None else np.asarray(admissions) == Admission.FULL
        kept = above & full[:, None]
        total = array.sum(axis=1)
        values = np.where(kept, CELL.decode(CELL.encode(array, self.dropped), self.dropped), 0.0)
        if self.full_sum:
            rest = np.maximum(SUM.decode(SUM.encode(total)) - values.sum(axis=1), 0.0)
        else:
            rest = SUM.decode(SUM.encode(np.where(full, np.where(above, 0, array).sum(axis=1), total)))
        image: npt.NDArray[np.float64] = values + np.where(
            kept, 0.0, (rest / np.maximum(CELLS - kept.sum(axis=1), 1))[:, None]
        )
        return image
