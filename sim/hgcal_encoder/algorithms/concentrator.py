"""The algorithms that share the chip with the autoencoder, by number, from the settings files that users have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sim.hgcal_encoder.algorithms.best_choice import BestChoice
from sim.hgcal_encoder.algorithms.output_buffer import SYNC_RESET, BufferThresholds
from sim.hgcal_encoder.algorithms.repeater import Repeater
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.algorithms.threshold_sum import ThresholdSum
from sim.hgcal_encoder.files.settings_files import Table, array, drop_lsb, front_end, integer, read_table, section
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, WordOrder

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
    table = read_table(path)
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
            raise ValueError(f"FormatterBuffer.stc_type: expected 0 to 3, got {kind}")
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
