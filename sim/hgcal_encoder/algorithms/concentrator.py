"""The algorithms that share the chip with the autoencoder, by number, from the settings files that users have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.hgcal_encoder.algorithms.best_choice import BestChoice
from sim.hgcal_encoder.algorithms.output_buffer import SYNC_RESET, BufferThresholds, Frames
from sim.hgcal_encoder.algorithms.repeater import Repeater
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.algorithms.threshold_sum import ThresholdSum
from sim.hgcal_encoder.files.settings_files import (
    Table,
    array,
    autoencoder_settings,
    drop_lsb,
    front_end,
    integer,
    read_table,
    section,
)
from sim.hgcal_encoder.front_end import front_end as charges_of
from sim.hgcal_encoder.settings import AUTOENCODER, Settings
from sim.hgcal_encoder.spec import CELLS, ECON_T, EncoderSpec, WordOrder
from sim.hgcal_encoder.weights import Weights

Concentrator = ThresholdSum | SuperTriggerCells | BestChoice | Repeater
"""A baseline of the autoencoder: ``frames(charges, bx)``, ``receive(frames)``, ``reconstruct(charges)``."""

THRESHOLD_SUM, SUPER_TRIGGER_CELL, BEST_CHOICE, REPEATER = range(4)
"""Numbers of the algorithms in the chip's settings; 4 is the autoencoder."""


IDLE_RESET = 0x5AA
"""Reset value of `idle_pattern` on the production chip."""


def load_concentrator(path: Path) -> tuple[Concentrator, Settings]:
    """Read a settings file that selects one of the other four algorithms.

    Idle words carry `idle_pattern`; where a file does not name it, `tx_sync_word` of first silicon or
    `link_reset_pattern`, as the vectors of both spellings have it.

    Parameters
    ----------
    path : Path
        Settings file in any spelling, see `sim.hgcal_encoder.files.settings_files`.

    Returns
    -------
    algorithm : ThresholdSum, SuperTriggerCells, BestChoice or Repeater
    settings : Settings
        Multiplexer, calibration, density, links and word order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not YAML, selects the autoencoder, or a value is unknown or out of range.
    """
    return _concentrator(read_table(path), path)


@dataclass(frozen=True, kw_only=True, eq=False)
class ChipSettings:
    """What a settings file sets, whichever algorithm it selects.

    Attributes
    ----------
    algorithm : ThresholdSum, SuperTriggerCells, BestChoice, Repeater or None
        None: the autoencoder.
    settings : Settings
    weights : Weights or None
        Of the autoencoder, if the file carries an image.
    """

    algorithm: Concentrator | None
    settings: Settings
    weights: Weights | None


def load_chip_settings(path: Path, spec: EncoderSpec = ECON_T) -> ChipSettings:
    """Read a settings file, whichever of the five algorithms it selects; errors as `load_concentrator`."""
    table = read_table(path)
    try:
        chosen, _ = front_end(table, spec)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if chosen == AUTOENCODER:
        settings, weights = autoencoder_settings(table, path, spec)
        return ChipSettings(algorithm=None, settings=settings, weights=weights)
    algorithm, settings = _concentrator(table, path)
    return ChipSettings(algorithm=algorithm, settings=settings, weights=None)


def encode_words(algorithm: Concentrator, settings: Settings, words: npt.ArrayLike, first_bx: int = 0) -> Frames:
    """eTx words of shape (n, 13) for eRx words of shape (n, 12), by one of the other four algorithms.

    Parameters
    ----------
    algorithm, settings
        Of `load_chip_settings`.
    words : array_like of int, shape (n, 12)
        Consecutive bunch crossings.
    first_bx : int, optional
        Bunch crossing of the first row if it does not carry the orbit header.

    Raises
    ------
    ValueError
        If a word is out of range; the message names its index.
    """
    seen = charges_of(words, settings, first_bx)
    return algorithm.frames(seen.charges, seen.bx)


def _concentrator(table: Table, path: Path) -> tuple[Concentrator, Settings]:
    try:
        chosen, settings = front_end(table)
        return _algorithm(table, chosen, settings), settings
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def _algorithm(table: Table, chosen: int, settings: Settings) -> Concentrator:
    if not THRESHOLD_SUM <= chosen <= REPEATER:
        raise ValueError(f"selects algorithm {chosen}; expected {THRESHOLD_SUM} to {REPEATER}")
    links, drop = settings.etx_count, drop_lsb(table)
    buffer = section(table, "FormatterBuffer")

    def register(name: str, reset: int) -> int:
        return integer(buffer, name, "FormatterBuffer", reset)

    if chosen == REPEATER:
        return Repeater(etx_count=links, drop=drop)
    if chosen == SUPER_TRIGGER_CELL:
        kind = register("stc_type", 1)
        if kind not in list(SuperTriggerCellType):
            raise ValueError(f"FormatterBuffer.stc_type: expected 0 to 4, got {kind}")
        return SuperTriggerCells(kind=SuperTriggerCellType(kind), etx_count=links, drop=drop)
    use_sum = register("use_sum", 1)
    if use_sum not in (0, 1):
        raise ValueError(f"FormatterBuffer.use_sum: expected 0 or 1, got {use_sum}")
    if chosen == BEST_CHOICE:
        return BestChoice(etx_count=links, drop=drop, full_sum=bool(use_sum))
    reset = IDLE_RESET if settings.word_order is WordOrder.PRODUCTION else SYNC_RESET
    names = ("idle_pattern", "tx_sync_word", "link_reset_pattern")
    idle = next((name for name in names if name in buffer), "idle_pattern")
    default = BufferThresholds.for_links(links)
    return ThresholdSum(
        etx_count=links,
        thresholds=array(table, "AlgoThreshold", np.zeros(CELLS, np.int64)),
        drop=drop,
        full_sum=bool(use_sum),
        buffer=BufferThresholds(
            t1=register("buff_t1", default.t1), t2=register("buff_t2", default.t2), t3=register("buff_t3", default.t3)
        ),
        sync=register(idle, reset),
    )
