"""Intervals for fractions that were counted, and totals over strata.

Sources: C. J. Clopper, E. S. Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial,
Biometrika 26 (1934) 404; E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22
(1927) 209; W. G. Cochran, Sampling Techniques, 3rd ed. (1977), sections 2.6 and 5.3 to 5.5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

__all__ = ["Interval", "Sample", "clopper_pearson", "stratified", "upper_limit", "wilson"]


@dataclass(frozen=True)
class Interval:
    """A fraction and its two-sided interval.

    Attributes
    ----------
    value, low, high : float
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What was counted in one stratum.

    Attributes
    ----------
    hits, trials : int
        Of `trials` that were drawn, so many had the property.
    population : int
        Units of the stratum; equal to `trials` where all were tried.
    """

    hits: int
    trials: int
    population: int

    def __post_init__(self) -> None:
        _check(self.hits, self.trials)
        if self.population < 1:
            raise ValueError(f"population: expected at least 1, got {self.population}")


def _check(hits: int, trials: int, confidence: float = 0.5) -> None:
    if trials < 1:
        raise ValueError(f"trials: expected at least 1, got {trials}")
    if not 0 <= hits <= trials:
        raise ValueError(f"hits: expected 0 to {trials}, got {hits}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected more than 0 and less than 1, got {confidence:g}")


def clopper_pearson(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact interval of a binomial fraction: covers at least with the given confidence, whatever the fraction.

    Raises
    ------
    ValueError
        If there is no trial, more hits than trials, or the confidence is outside (0, 1).
    """
    _check(hits, trials, confidence)
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0
    high = float(stats.beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
    return Interval(hits / trials, low, high)


def wilson(hits: int, trials: int, confidence: float = 0.95) -> Interval:
    """Score interval of a binomial fraction (Wilson 1927): covers on average, narrower than the exact one.

    Raises
    ------
    ValueError
        As `clopper_pearson`.
    """
    _check(hits, trials, confidence)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    fraction = hits / trials
    centre = fraction + z * z / (2 * trials)
    half = z * math.sqrt(fraction * (1 - fraction) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return Interval(fraction, max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale))


def upper_limit(trials: int, confidence: float = 0.95) -> float:
    """One-sided upper limit of a fraction of which no case was found: ``1 - (1 - confidence) ** (1 / trials)``.

    Raises
    ------
    ValueError
        If there is no trial or the confidence is outside (0, 1).
    """
    _check(0, trials, confidence)
    return -math.expm1(math.log1p(-confidence) / trials)


def stratified(samples: Sequence[Sample], confidence: float = 0.95) -> Interval:
    """Fraction of a population that was sampled by strata, weighted by their sizes.

    The interval is the normal one of stratified sampling without replacement (Cochran 1977, eq. 5.13). Strata that were
    tried as a whole add nothing to it. In a stratum without any case, or with nothing else, the variance is taken at
    the Wilson centre, so that few draws never claim certainty.

    Raises
    ------
    ValueError
        If there is no stratum, or a confidence outside (0, 1).
    """
    if not samples:
        raise ValueError("strata: expected at least one")
    _check(0, 1, confidence)
    z = float(stats.norm.ppf((1 + confidence) / 2))
    total = sum(sample.population for sample in samples)
    value = variance = 0.0
    for sample in samples:
        share = sample.population / total
        fraction = sample.hits / sample.trials
        value += share * fraction
        rest = max(0.0, 1 - sample.trials / sample.population)
        if not rest:
            continue
        centre = fraction
        if sample.hits in (0, sample.trials):
            centre = (sample.hits + z * z / 2) / (sample.trials + z * z)
        variance += share * share * rest * centre * (1 - centre) / max(1, sample.trials - 1)
    half = z * math.sqrt(variance)
    return Interval(value, max(0.0, value - half), min(1.0, value + half))
