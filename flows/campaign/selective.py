"""Protecting only the bits that matter: area against corruption, bits taken in the order of a ranking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.campaign.hessian import coverage
from flows.common.metrics import Metric, find
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import image_fields
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["Pareto", "bit_cost_um2", "bits_for", "pareto"]

Float64 = npt.NDArray[np.float64]


def bit_cost_um2(spec: EncoderSpec, metrics: Iterable[Metric], scheme: Scheme = Scheme.TMR_REGISTERS) -> float:
    """Area that protects one stored bit: difference of the stores of `scheme` and of none over the bits they hold.

    Parameters
    ----------
    spec : EncoderSpec
    metrics : iterable of Metric
        Of `flows.report.protection_cost.costs`, with a chip of each of the two cases in direct loading.
    scheme : Scheme
        Copies and voter of a bit do not depend on its neighbours in `tmr_registers`, so its cost is that of a bit.
    """
    listed = list(metrics)
    areas = []
    for case in (scheme, Scheme.NONE):
        value = find(listed, f"store__area__case:{case}_direct").value
        assert not isinstance(value, str)
        areas.append(value)
    return (areas[0] - areas[1]) / sum(field.width for field in image_fields(spec))


@dataclass(frozen=True, kw_only=True, eq=False)
class Pareto:
    """Points of one ranking.

    Attributes
    ----------
    bits : ndarray of int64
        Protected bits.
    area_um2 : ndarray of float64
        Added area.
    left : ndarray of float64
        Part of the corruption that is left.
    """

    bits: npt.NDArray[np.int64]
    area_um2: Float64
    left: Float64


def pareto(corruption: Float64, scores: Float64, cost_um2: float, points: int = 129) -> Pareto:
    """Added area and corruption that is left when the highest-ranked bits are protected.

    Parameters
    ----------
    corruption : ndarray of float64, shape (bits,)
        What a bit does while it is wrong, not negative; all bits flip at one rate.
    scores : ndarray of float64, shape (bits,)
        Of the ranking.
    cost_um2 : float
        Of protecting one bit.
    points : int
    """
    bits = np.linspace(0, len(corruption), points).round().astype(np.int64)
    left = 1.0 - coverage(corruption, scores, bits.tolist())
    return Pareto(bits=bits, area_um2=bits.astype(np.float64) * cost_um2, left=np.clip(left, 0.0, 1.0))


def bits_for(corruption: Float64, scores: Float64, part: float) -> int:
    """Bits to protect, in the order of a ranking, for the given part of the corruption to be gone.

    Raises
    ------
    ValueError
        If the part is not between 0 and 1.
    """
    if not 0 <= part <= 1:
        raise ValueError(f"part of the corruption: expected 0 to 1, got {part}")
    held = np.cumsum(corruption[np.argsort(-scores, kind="stable")])
    return int(np.searchsorted(held, part * held[-1] * (1 - 1e-12)) + 1) if part else 0
