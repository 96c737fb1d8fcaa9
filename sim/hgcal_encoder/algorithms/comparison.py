"""What a receiver gets back from each algorithm that fits the same links: the autoencoder's baselines side by side.

Every method is given its best use at the receiver: the sums that threshold sum and best choice transmit for the cells
they drop are spread over those cells where that is better, super trigger cells are put on their largest cell or spread.
Both ways are listed, so that nobody has to trust a choice made here. The receiver knows the pedestal of empty cells
from the chip's settings and takes it off every sum; an image of which nothing is left is spread evenly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.hgcal_encoder.algorithms.best_choice import BestChoice
from sim.hgcal_encoder.algorithms.output_buffer import Admission, check_links
from sim.hgcal_encoder.algorithms.repeater import Repeater
from sim.hgcal_encoder.algorithms.super_trigger_cell import MOST_LINKS, Spread, SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.algorithms.threshold_sum import THRESHOLD, ThresholdSum
from sim.hgcal_encoder.decode import DROP_HIGH_DENSITY, DROP_LOW_DENSITY
from sim.hgcal_encoder.normalise import check_charges
from sim.hgcal_encoder.spec import CELLS

_NOTHING = 1e-9
"""Counts in every cell of an image of which nothing arrived: an image without charge has no distance to another."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstruction:
    """Output of one algorithm for a set of images.

    Attributes
    ----------
    name : str
        Algorithm and use at the receiver: ``best_choice``, ``best_choice_rest``, ``threshold_sum``, ``stc4_5e4m_peak``.
    charges : ndarray of float64, shape (n, 48)
        In counts of CALQ.
    bits : float
        Mean bits per crossing that carry something; the links always carry 32 per link.
    truncated : float
        Share of crossings of which only the module sum arrived.
    """

    name: str
    charges: npt.NDArray[np.float64]
    bits: float
    truncated: float = 0.0


def super_trigger_cells_for(etx_count: int, drop: int = DROP_HIGH_DENSITY) -> tuple[SuperTriggerCells, ...]:
    """Types that carry the whole module on so many links, the finest first; what is cut off cannot compete.

    A type that cannot use all of the links stands on as many as it uses.
    """
    kinds = (
        SuperTriggerCellType.STC4_5E4M,
        SuperTriggerCellType.STC4_4E3M,
        SuperTriggerCellType.CTC4_4E3M,
        SuperTriggerCellType.STC16_5E4M,
    )
    models = (SuperTriggerCells(kind=k, etx_count=min(etx_count, MOST_LINKS[k]), drop=drop) for k in kinds)
    return tuple(model for model in models if model.whole)


def reconstruct_baselines(
    charges: npt.ArrayLike,
    etx_count: int,
    *,
    high_density: npt.ArrayLike = False,
    threshold: int = THRESHOLD,
    chips: npt.ArrayLike | None = None,
    rows: npt.ArrayLike | None = None,
    pedestals: npt.ArrayLike = 0,
) -> tuple[Reconstruction, ...]:
    """Best choice, threshold sum, super trigger cells and repeater on the same charges and links.

    Parameters
    ----------
    charges : array_like of int, shape (n, 48)
        Calibrated charges as the chip sees them, in trigger cell order.
    etx_count : int
        Links, 1 to 13.
    high_density : array_like of bool, scalar or shape (n,), optional
        Density of each module; it decides how many low bits 4E3M cuts off.
    threshold : int, optional
        Threshold of threshold sum in counts, for all cells.
    chips : array_like of int, shape (n,), optional
        Chip of each row. Rows of one chip are consecutive crossings and share its output buffer, which decides what
        threshold sum truncates. Without it all rows come from one chip, in their order.
    rows : array_like of int, shape (k,), optional
        Rows to reconstruct, all if left out. The others only pass through the output buffers.
    pedestals : array_like, scalar, shape (48,) or (n, 48), optional
        Calibrated charge of each trigger cell when it is empty, 0 if the charges have exact zeros.

    Returns
    -------
    tuple of Reconstruction
        Charges of shape (k, 48); bits and truncation of those rows.

    Raises
    ------
    ValueError
        If a shape differs or a charge is out of range; the message names its index.
    """
    array = check_charges(charges)
    check_links(etx_count)
    dense = np.broadcast_to(np.asarray(high_density, dtype=np.bool_), (len(array),))
    owner = np.zeros(len(array), np.int64) if chips is None else np.asarray(chips)
    if owner.shape != (len(array),):
        raise ValueError(f"chips: expected shape ({len(array)},), got {owner.shape}")
    chosen = np.arange(len(array)) if rows is None else check_range(rows, 0, len(array) - 1, "rows")
    empty = np.broadcast_to(np.asarray(pedestals, dtype=np.float64), array.shape)[chosen]
    drops = np.where(dense, DROP_HIGH_DENSITY, DROP_LOW_DENSITY)
    thresholds = np.full(CELLS, threshold)
    # the threshold does not depend on the density, so the packets' lengths do not either
    admissions = _admissions(ThresholdSum(etx_count=etx_count, thresholds=thresholds), array, owner)[chosen]
    full = admissions == Admission.FULL
    images: dict[str, npt.NDArray[np.float64]] = {}
    bits: dict[str, float] = {}

    def add(name: str, here: npt.NDArray[np.bool_], values: npt.NDArray[np.float64], size: float) -> None:
        nothing = ~values.any(axis=1)
        images.setdefault(name, np.zeros((len(chosen), CELLS)))[here] = np.where(nothing[:, None], _NOTHING, values)
        bits[name] = bits.get(name, 0.0) + size * float(here.mean())

    for drop in np.unique(drops[chosen]).tolist():
        here = drops[chosen] == drop
        part, dark = array[chosen[here]], empty[here]
        best = BestChoice(etx_count=etx_count, drop=drop)
        alone = best.reconstruct(part)
        add("best_choice", here, alone, best.bits)
        rest = best.reconstruct(part, residual="even")
        # best choice cuts low bits off every cell before it sums
        cut = np.ldexp(np.floor(np.ldexp(dark, -drop)), drop)
        add("best_choice_rest", here, np.where(alone > 0, alone, _above(rest, cut)), best.bits)
        sums = ThresholdSum(etx_count=etx_count, thresholds=thresholds, drop=drop)
        size = np.where(full[here], sums.packet_bits(sums.sent(part).sum(axis=1)), 16)
        sent = sums.sent(part) & full[here][:, None]
        image = sums.reconstruct(part, admissions[here])
        add("threshold_sum", here, np.where(sent, image, _above(image, dark)), float(size.mean()))
        for model in super_trigger_cells_for(etx_count, drop):
            spreads: tuple[Spread, ...] = ("peak", "even") if model.address_width else ("even",)
            for spread in spreads:
                image = model.reconstruct(part, spread=spread)
                held = dark if spread == "even" else np.repeat(_sums(dark, model.size), model.size, axis=1)
                add(f"{model.kind.name.lower()}_{spread}", here, _above(image, held), model.bits)
        repeater = Repeater(etx_count=etx_count, drop=drop)
        add("repeater", here, repeater.reconstruct(part), min(repeater.bits, 32 * etx_count))
    truncated = float((~full).mean()) if len(full) else 0.0
    return tuple(
        Reconstruction(
            name=name, charges=image, bits=bits[name], truncated=truncated if name == "threshold_sum" else 0.0
        )
        for name, image in images.items()
    )


def _above(values: npt.NDArray[np.float64], pedestal: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What is left of values without the pedestal that they hold."""
    out: npt.NDArray[np.float64] = np.maximum(values - pedestal, 0.0)
    return out


def _sums(values: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Sums of each `size` cells in a row."""
    out: npt.NDArray[np.float64] = values.reshape(len(values), -1, size).sum(axis=2)
    return out


def _admissions(model: ThresholdSum, charges: IntArray, chips: npt.NDArray[np.int64]) -> IntArray:
    """Decisions of the output buffers when each chip sees its rows in their order."""
    order = np.argsort(chips, kind="stable")
    starts = np.flatnonzero(np.diff(chips[order], prepend=chips[order[:1]] - 1))
    counts = np.diff(np.append(starts, len(order)))
    lengths = model.words(charges)
    # chips side by side; the ones with fewer crossings end with empty ones, which change nothing before them
    padded = np.zeros((int(counts.max()), len(counts)), np.int64)
    place = np.arange(len(order)) - np.repeat(starts, counts), np.repeat(np.arange(len(counts)), counts)
    padded[place] = lengths[order]
    out = np.empty(len(order), np.int64)
    out[order] = model.admit(padded)[place]
    return out
