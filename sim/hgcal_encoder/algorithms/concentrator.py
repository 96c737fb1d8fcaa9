"""The algorithms that share the chip with the autoencoder, by number, from the settings files that users have."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sim.hgcal_encoder.algorithms.best_choice import BestChoice
from sim.hgcal_encoder.algorithms.output_buffer import SYNC_RESET, BufferThresholds
from sim.hgcal_encoder.algorithms.repeater import Repeater
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.algorithms.threshold_sum import ThresholdSum
from sim.hgcal_encoder.settings import Settings, array, front_end, integer, read_table, section

Concentrator = ThresholdSum | SuperTriggerCells | BestChoice | Repeater
"""A baseline of the autoencoder: ``frames(charges, bx)``, ``receive(frames)``, ``reconstruct(charges)``."""

THRESHOLD_SUM, SUPER_TRIGGER_CELL, BEST_CHOICE, REPEATER = range(4)
"""Numbers of the algorithms in the chip's settings; 4 is the autoencoder."""


def load_concentrator(path: Path) -> tuple[Concentrator, Settings]:
    """Read a published ECON-T settings file (YAML) that selects one of the other four algorithms.

    Parameters
    ----------
    path : Path
        Settings file in either spelling, see `sim.hgcal_encoder.settings`.

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
        If the file is not YAML, selects the autoencoder, or a section is missing or out of range.
    """
    table = read_table(path)
    try:
        chosen, settings = front_end(table)
        return _algorithm(table, chosen, settings.etx_count), settings
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def _algorithm(table: Mapping[Any, Any], chosen: int, links: int) -> Concentrator:
    if not THRESHOLD_SUM <= chosen <= REPEATER:
        raise ValueError(f"selects algorithm {chosen}; expected {THRESHOLD_SUM} to {REPEATER}")
    drop = table.get("AlgoDroplsb")
    drop = drop.get("Global", drop) if isinstance(drop, Mapping) else drop
    drop = integer(drop if isinstance(drop, Mapping) else {"drop_lsb": drop}, "drop_lsb", "AlgoDroplsb")
    buffer = section(table, "FormatterBuffer")

    def register(name: str, reset: int) -> int:
        return integer(buffer, name, "FormatterBuffer") if name in buffer else reset

    if chosen == REPEATER:
        return Repeater(etx_count=links, drop=drop)
    if chosen == SUPER_TRIGGER_CELL:
        return SuperTriggerCells(kind=SuperTriggerCellType(register("stc_type", 0)), etx_count=links, drop=drop)
    full_sum = bool(register("use_sum", 0))
    if chosen == BEST_CHOICE:
        return BestChoice(etx_count=links, drop=drop, full_sum=full_sum)
    default = BufferThresholds.for_links(links)
    return ThresholdSum(
        etx_count=links,
        thresholds=array(table, "AlgoThreshold"),
        drop=drop,
        full_sum=full_sum,
        buffer=BufferThresholds(
            t1=register("buff_t1", default.t1), t2=register("buff_t2", default.t2), t3=register("buff_t3", default.t3)
        ),
        sync=register("link_reset_pattern", SYNC_RESET),
    )
