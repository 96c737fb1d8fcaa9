"""Golden model of a concentrator: eRx words in, eTx words out, whichever algorithm its registers select.

The algorithms are those of this room; what is added is what they share on the chip: every packet passes the output
buffer, link resets replace packets, and active links carry the words. Ports and choices:
`sim.hgcal_encoder.concentrator_spec`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.hgcal_encoder.algorithms.best_choice import BestChoice
from sim.hgcal_encoder.algorithms.concentrator import IDLE_RESET
from sim.hgcal_encoder.algorithms.output_buffer import (
    SYNC_RESET,
    SYNC_WIDTH,
    Admission,
    BufferThresholds,
    Frames,
    admit,
    transmit,
)
from sim.hgcal_encoder.algorithms.repeater import Repeater
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.algorithms.threshold_sum import EARLY, NO_ROOM, ThresholdSum
from sim.hgcal_encoder.concentrator_spec import (
    AlgorithmNumber,
    ConcentratorSpec,
    MaskGaps,
    SpareAlgTypes,
    TruncatedFixed,
)
from sim.hgcal_encoder.files.settings_files import (
    array,
    autoencoder_settings,
    drop_lsb,
    front_end,
    integer,
    read_table,
    section,
)
from sim.hgcal_encoder.float_code import SUM
from sim.hgcal_encoder.frame import counter, frame
from sim.hgcal_encoder.front_end import front_end as charges_of
from sim.hgcal_encoder.normalise import sum_code
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ETX_WORDS, WordOrder
from sim.hgcal_encoder.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ConcentratorModel", "ConcentratorSettings", "load_concentrator_settings"]

Packet = npt.NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, eq=False)
class ConcentratorSettings:
    """Everything that is loaded into a concentrator, by the names of the production chip.

    Attributes
    ----------
    settings : Settings
        Multiplexer, calibration, density, keep mask, word order; `etx_count` is not read.
    alg_type : int
        Algorithm, 0 to 7.
    drop_lsb : int
    threshold : ndarray of int64, shape (48,)
    use_sum : bool
    stc_type : int
    buffer : BufferThresholds
    active_etxs : int
        Mask of active links, 13 bits.
    idle_pattern, link_reset_pattern : int
        11 bits.
    weights : Weights or None
        Of the autoencoder; None: zeros, as after reset.

    Raises
    ------
    ValueError
        If a value does not fit its register.
    """

    settings: Settings
    alg_type: int
    drop_lsb: int = 0
    threshold: IntArray = field(default_factory=lambda: np.zeros(CELLS, np.int64))
    use_sum: bool = True
    stc_type: int = 1
    buffer: BufferThresholds = field(default_factory=lambda: BufferThresholds.for_links(2))
    active_etxs: int = 0b11
    idle_pattern: int = IDLE_RESET
    link_reset_pattern: int = SYNC_RESET
    weights: Weights | None = None

    def __post_init__(self) -> None:
        for name, width in (("alg_type", 3), ("drop_lsb", 3), ("stc_type", 3), ("active_etxs", ETX_WORDS),
                            ("idle_pattern", SYNC_WIDTH), ("link_reset_pattern", SYNC_WIDTH)):  # fmt: skip
            if not 0 <= getattr(self, name) < 1 << width:
                raise ValueError(f"{name}: expected 0 to {(1 << width) - 1}, got {getattr(self, name)}")
        values = check_range(self.threshold, 0, (1 << CHARGE_WIDTH) - 1, "threshold")
        if values.shape != (CELLS,):
            raise ValueError(f"threshold: expected {CELLS} values, got shape {values.shape}")
        object.__setattr__(self, "threshold", values)

    def registers(self, spec: ConcentratorSpec) -> dict[str, int]:
        """Values of the settings ports that a chip has, each as one number, element 0 in the lowest bits."""
        ordered = self.settings.of(spec.encoder).in_order(spec.word_order)
        image = self.weights.to_image() if self.weights is not None else b""
        values = {
            "mux": _together(ordered.select, 6), "cal": _together(ordered.factors, 12),
            "alg_high_density": int(ordered.high_density), "alg_type": self.alg_type, "drop_lsb": self.drop_lsb,
            "threshold": _together(self.threshold, CHARGE_WIDTH), "use_sum": int(self.use_sum),
            "stc_type": self.stc_type, "buff_t1": self.buffer.t1, "buff_t2": self.buffer.t2,
            "buff_t3": self.buffer.t3, "active_etxs": self.active_etxs, "idle_pattern": self.idle_pattern,
            "link_reset_pattern": self.link_reset_pattern, "keep_auto_encoder_bits": ordered.keep_mask,
            "weights": int.from_bytes(image, "little"),
        }  # fmt: skip
        return {name: values[name] for name in spec.settings}


def _together(values: IntArray, width: int) -> int:
    return sum(value << (width * place) for place, value in enumerate(values.tolist()))


class ConcentratorModel:
    """Golden model of one concentrator with loaded settings.

    Parameters
    ----------
    spec : ConcentratorSpec
    settings : ConcentratorSettings
    """

    def __init__(self, spec: ConcentratorSpec, settings: ConcentratorSettings) -> None:
        self.spec, self.settings = spec, settings
        self._links = list(spec.active_links(settings.active_etxs))
        self._pairs = spec.word_pairs(settings.active_etxs)

    @property
    def algorithm(self) -> AlgorithmNumber | None:
        """What the chip runs; None: nothing, which sends zeros."""
        number = self.settings.alg_type
        if number > AlgorithmNumber.AUTOENCODER:
            if self.spec.spare_alg_types is SpareAlgTypes.ZEROS:
                return None
            number = AlgorithmNumber.REPEATER
        return AlgorithmNumber(number) if self.spec.has(AlgorithmNumber(number)) else None

    @property
    def _thresholds(self) -> BufferThresholds:
        return replace(self.settings.buffer, t1=min(self.settings.buffer.t1, self.spec.buffer_words))

    @property
    def _variable(self) -> ThresholdSum | None:
        """The algorithm whose packets differ in length, if it is selected."""
        if self.algorithm is not AlgorithmNumber.THRESHOLD_SUM or not self._links:
            return None
        return ThresholdSum(
            etx_count=self._pairs, thresholds=self.settings.threshold, drop=self.settings.drop_lsb,
            full_sum=self.settings.use_sum, buffer=self._thresholds,
        )  # fmt: skip

    def lengths(self, charges: IntArray) -> IntArray:
        """16-bit words of each crossing's full packet, shape (n,), from calibrated charges of shape (n, 48)."""
        variable = self._variable
        return np.full(len(charges), 2 * self._pairs) if variable is None else variable.words(charges)

    def frames(
        self,
        words: npt.ArrayLike,
        *,
        bx: npt.ArrayLike | None = None,
        first_bx: int = 0,
        link_reset: npt.ArrayLike | None = None,
    ) -> Frames:
        """eTx words of consecutive crossings; the buffer is empty before the first.

        Parameters
        ----------
        words : array_like of int, shape (n, 12)
        bx : array_like of int, shape (n,), optional
            Numbers of the crossings; by the headers of the words if left out.
        first_bx : int, optional
            In that case, number of the first row if it does not carry the orbit header.
        link_reset : array_like of bool, shape (n,), optional
            Crossings of a link reset.

        Returns
        -------
        ndarray of uint32, shape (n, 13)
        """
        seen = charges_of(words, self.settings.settings, first_bx)
        crossing = seen.bx if bx is None else np.asarray(bx, dtype=np.int64)
        out = np.zeros((len(crossing), ETX_WORDS), np.uint32)
        if not self._links:
            return out
        count, variable = self._pairs, self._variable
        reset = np.zeros(len(crossing), np.bool_) if link_reset is None else np.asarray(link_reset, dtype=np.bool_)
        admissions, _ = admit(np.where(reset, 2 * count, self.lengths(seen.charges)), self._thresholds, count)
        if variable is not None:
            packets: Sequence[Packet] = variable.packets(seen.charges, crossing, admissions)
        else:
            packets = self._fixed(seen.charges, crossing, admissions)
        marks = counter(crossing) << SYNC_WIDTH | self.settings.link_reset_pattern
        blank = np.zeros(1, np.uint16)
        sent = [
            (np.full(2 * count, mark, np.uint16) if admission == Admission.FULL else blank) if resets else packet
            for packet, admission, resets, mark in zip(packets, admissions, reset, marks, strict=True)
        ]
        pairs = self._links if self.spec.mask_gaps is MaskGaps.KEPT else list(range(count))
        out[:, self._links] = transmit(sent, crossing, count, self.settings.idle_pattern)[:, pairs]
        return out

    def _fixed(self, charges: IntArray, bx: IntArray, admissions: IntArray) -> list[Packet]:
        """Packets of the formats with 2 n words; one word where the buffer truncates."""
        frames = self._frames(charges, bx)[:, : self._pairs].astype(np.int64)
        halves = np.stack([frames >> 16, frames & 0xFFFF], axis=2).reshape(len(frames), -1).astype(np.uint16)
        instead = np.zeros(len(frames), np.uint16)
        if self.spec.truncated_fixed is TruncatedFixed.MARKED:
            kind = np.where(admissions == Admission.EARLY, EARLY, NO_ROOM)
            instead = (counter(bx) << SYNC_WIDTH | kind << SUM.width).astype(np.uint16)
        return [row if admission == Admission.FULL else instead[number : number + 1]
                for number, (row, admission) in enumerate(zip(halves, admissions, strict=True))]  # fmt: skip

    def _frames(self, charges: IntArray, bx: IntArray) -> Frames:
        chosen, count, drop = self.settings, self._pairs, self.settings.drop_lsb
        match self.algorithm:
            case AlgorithmNumber.SUPER_TRIGGER_CELL if chosen.stc_type in list(SuperTriggerCellType):
                kind = SuperTriggerCellType(chosen.stc_type)
                equal = self.spec.equal_largest
                return SuperTriggerCells(kind=kind, etx_count=count, drop=drop, equal=equal).frames(charges, bx)
            case AlgorithmNumber.BEST_CHOICE:
                return BestChoice(etx_count=count, drop=drop, full_sum=chosen.use_sum).frames(charges, bx)
            case AlgorithmNumber.REPEATER:
                return Repeater(etx_count=count, drop=drop).frames(charges, bx)
            case AlgorithmNumber.AUTOENCODER:
                return self._autoencoder(charges, bx)
        return np.zeros((len(charges), ETX_WORDS), np.uint32)

    def _autoencoder(self, charges: IntArray, bx: IntArray) -> Frames:
        # compiled on first use; importing numba costs a second that the other algorithms do not need
        from sim.hgcal_encoder import kernel

        network = self.spec.encoder
        weights = self.settings.weights
        if weights is None:
            weights = Weights.from_codes(np.zeros(network.parameters, np.int64), network)
        codes = sum_code(charges.sum(axis=1))
        latents = kernel.encode(charges, weights)
        keep = self.settings.settings.of(network).keep_mask
        return frame(bx, codes, latents, keep, self._pairs, network)


def load_concentrator_settings(path: Path, spec: ConcentratorSpec) -> ConcentratorSettings:
    """Read a settings file of either chip, whichever algorithm it selects.

    First silicon has one ``tx_sync_word`` for idle and link-reset words. Files of published vectors name
    ``link_reset_pattern`` alone, and their idle words carry it, too.

    Parameters
    ----------
    path : Path
        Settings file in any spelling, see `sim.hgcal_encoder.files.settings_files`.
    spec : ConcentratorSpec
        Chip that it is for.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not YAML, or a value is unknown or out of range.
    """
    table = read_table(path)
    try:
        chosen, settings = front_end(table, spec.encoder)
        weights = None
        if chosen == AlgorithmNumber.AUTOENCODER:
            settings, weights = autoencoder_settings(table, path, spec.encoder)
        buffer, count = section(table, "FormatterBuffer"), settings.etx_count

        def register(name: str, reset: int) -> int:
            return integer(buffer, name, "FormatterBuffer", reset)

        production = settings.word_order is WordOrder.PRODUCTION
        link_reset = register("tx_sync_word" if "tx_sync_word" in buffer else "link_reset_pattern", SYNC_RESET)
        named = "link_reset_pattern" in buffer or "tx_sync_word" in buffer or not production
        idle = register("idle_pattern", link_reset if named else IDLE_RESET)
        default = BufferThresholds.for_links(count)
        use_sum = register("use_sum", 1)
        if use_sum not in (0, 1):
            raise ValueError(f"FormatterBuffer.use_sum: expected 0 or 1, got {use_sum}")
        return ConcentratorSettings(
            settings=settings, alg_type=chosen, drop_lsb=drop_lsb(table),
            threshold=array(table, "AlgoThreshold", np.zeros(CELLS, np.int64)), use_sum=bool(use_sum),
            stc_type=register("stc_type", 1),
            buffer=BufferThresholds(
                t1=register("buff_t1", default.t1), t2=register("buff_t2", default.t2),
                t3=register("buff_t3", default.t3),
            ),
            active_etxs=(1 << count) - 1, idle_pattern=idle, link_reset_pattern=link_reset, weights=weights,
        )  # fmt: skip
    except (ValueError, TypeError) as error:
        text = str(error)
        raise ValueError(text if text.startswith(f"{path}:") else f"{path}: {text}") from None
