"""Summaries of any number of images in constant memory: comparisons arrive in pieces.

Up to `EXACT_ROWS` images every value is kept, and medians are those of `sim.hgcal_encoder.learning.metric.summarise`.
Beyond, each bin counts values in cells whose width is 1/1024 of the power of two below (as in an HDR histogram); a
quantile, interpolated inside its cell, is then within 0.1 % of the value. Means stay exact, as sums do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.hgcal_encoder.learning.metric import (
    BINS,
    ETA_BINS,
    FINE_BINS,
    ONE_SIGMA,
    QUANTITIES,
    BinSummary,
    Comparison,
)

__all__ = ["EXACT_ROWS", "StreamedComparison"]

EXACT_ROWS = 1 << 18
"""Images whose values are all kept."""
_STEPS = 1024
_LOWEST, _HIGHEST = -24, 14
"""Powers of two between which values are told apart; those below count as 0."""
_CELLS = (_HIGHEST - _LOWEST) * _STEPS

Float64 = NDArray[np.float64]
_Bin = tuple[int, int, float | None, float | None]


class _Distribution:
    """How often values were in each cell, their number and sum."""

    def __init__(self) -> None:
        self._counts = np.zeros(_CELLS + 1, np.uint32)
        self._sum = 0.0
        self._total = 0

    def add(self, values: Float64) -> None:
        mantissa, exponent = np.frexp(np.clip(values, 0.0, np.nextafter(2.0**_HIGHEST, 0)))
        # frexp gives 0.5 <= mantissa < 1, so the power of two below is exponent - 1; cell 0 is everything near 0
        cell = (exponent - 1 - _LOWEST) * _STEPS + ((2.0 * mantissa - 1.0) * _STEPS).astype(np.int64) + 1
        cell[values < 2.0**_LOWEST] = 0
        self._counts += np.bincount(cell, minlength=_CELLS + 1).astype(np.uint32)
        self._sum += math.fsum(values)
        self._total += len(values)

    def summary(self, which: _Bin) -> BinSummary:
        n = self._total
        if not n:
            nothing: dict[str, Any] = dict.fromkeys(("median", "mean", "median_error", "width"), float("nan"))
            return BinSummary(**_limits(which), count=0, **nothing)
        half = 0.5 / math.sqrt(n)
        ends = np.cumsum(self._counts, dtype=np.int64)
        low, median, high, lower, upper = (
            self._quantile(ends, share) for share in (max(0.5 - half, 0.0), 0.5, min(0.5 + half, 1.0), *ONE_SIGMA)
        )
        return BinSummary(
            **_limits(which), count=n, median=median, mean=self._sum / n, median_error=(high - low) / 2,
            width=(upper - lower) / 2,
        )  # fmt: skip

    def _quantile(self, ends: NDArray[np.int64], share: float) -> float:
        """Linear between neighbours in the order of values, as `numpy.quantile`."""
        rank, between = divmod(share * (self._total - 1), 1.0)
        low = self._ordered(ends, int(rank))
        return low + between * (self._ordered(ends, min(int(rank) + 1, self._total - 1)) - low)

    def _ordered(self, ends: NDArray[np.int64], rank: int) -> float:
        """The value of this rank, those of a cell spread evenly over it."""
        cell = int(np.searchsorted(ends, rank, side="right"))
        if cell == 0:
            return 0.0
        octave, step = divmod(cell - 1, _STEPS)
        inside = (rank - ends[cell - 1] + 0.5) / float(self._counts[cell])
        return math.ldexp(1.0 + (step + inside) / _STEPS, octave + _LOWEST)


def _limits(which: _Bin) -> dict[str, Any]:
    return dict(zip(("lowest", "highest", "eta_lowest", "eta_highest"), which, strict=True))


class StreamedComparison:
    """Comparisons of the pieces of one data set; summarises as `sim.hgcal_encoder.learning.metric.Comparison`.

    Parameters
    ----------
    exact_rows : int, optional
        Images whose values are all kept; beyond, quantiles are within 0.1 %.

    Attributes
    ----------
    with_etas : bool
        Whether the pseudorapidity of every image is known.
    """

    def __init__(self, exact_rows: int = EXACT_ROWS) -> None:
        self._exact_rows = exact_rows
        self._kept: list[Comparison] = []
        self._rows = 0
        self.with_etas = True
        self._bins: dict[_Bin, dict[str, _Distribution]] = {}

    @property
    def exact(self) -> bool:
        """Whether quantiles are those of all values."""
        return not self._bins

    def add(self, part: Comparison) -> None:
        """Add the images of a piece."""
        self._rows += len(part.occupancies)
        self.with_etas &= part.etas is not None
        self._kept.append(part)
        if self._rows > self._exact_rows:
            for kept in self._kept:
                self._count(kept)
            self._kept = []

    def _count(self, part: Comparison) -> None:
        bins: list[_Bin] = [(low, high, None, None) for low, high in dict.fromkeys((*BINS, *FINE_BINS))]
        if part.etas is not None:
            bins += [(low, high, *edges) for low, high in BINS for edges in ETA_BINS]
        for which in bins:
            low, high, eta_low, eta_high = which
            inside = (part.occupancies >= low) & (part.occupancies <= high)
            if part.etas is not None and eta_low is not None and eta_high is not None:
                inside &= (part.etas >= eta_low) & (part.etas < eta_high)
            found = self._bins.setdefault(which, {name: _Distribution() for name in QUANTITIES})
            for name in QUANTITIES:
                values = getattr(part, name)[inside]
                found[name].add(values[np.isfinite(values)])

    def summarise(self, bins: Sequence[tuple[int, int]], *, by_eta: bool = False) -> dict[str, tuple[BinSummary, ...]]:
        """Summaries of all quantities by name, in `BINS` or `FINE_BINS`; with `by_eta` in `BINS` and `ETA_BINS`."""
        if self.exact:
            names = [field.name for field in fields(Comparison)]
            columns = {name: [getattr(part, name) for part in self._kept] for name in names}
            whole: dict[str, Any] = {
                name: None if parts[0] is None else np.concatenate(parts) for name, parts in columns.items()
            }
            return Comparison(**whole).summarise(bins, by_eta=by_eta)
        regions = ETA_BINS if by_eta else ((None, None),)
        wanted: list[_Bin] = [(low, high, *edges) for low, high in bins for edges in regions]
        return {name: tuple(self._bins[which][name].summary(which) for which in wanted) for name in QUANTITIES}
