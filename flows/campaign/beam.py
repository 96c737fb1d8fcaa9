"""Corrupted bunch crossings of a chip in beam: Poisson upsets at a flux and a cross-section, by formula and simulated.

Every flip-flop flips at the rate flux times cross-section. A store is made of words: a plain bit, a bit in three
copies, a code word. A word loses its content when more of its flip-flops are wrong at a scrubbing than its scheme
corrects; a plain bit with its every flip. What is lost stays, and is inverted by the next loss, until the image is
loaded again; meanwhile it corrupts a part of the crossings, which the campaign or `flows.campaign.physics` tells.
Crossings are corrupted by lost words independently of each other.

Transients in logic, clock and reset are not in these rates: no cross-section for them has been published.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import integrate, stats

__all__ = [
    "CROSSINGS_PER_DAY", "Beam", "Corruption", "Store", "corrupted_fraction", "loss_rate_hz", "shift_rate", "simulate",
]  # fmt: skip

Float64 = npt.NDArray[np.float64]

CROSSING_S = 25e-9
CROSSINGS_PER_DAY = 86400 / CROSSING_S
FILL_S = 36000.0
"""Ten hours: an image is loaded at the start of a fill."""


@dataclass(frozen=True, kw_only=True)
class Beam:
    """Radiation at the chip.

    Attributes
    ----------
    flux_per_cm2_s : float
        Hadrons above 20 MeV; the highest in HGCAL by default.
    cross_section_cm2 : float
        Of one flip-flop; that of ECON-D in 217 MeV protons by default.
    low_cm2, high_cm2 : float
        Range of the cross-section.
    """

    flux_per_cm2_s: float = 2e7
    cross_section_cm2: float = 2.3e-14
    low_cm2: float = 2.0e-14
    high_cm2: float = 2.6e-14

    def __post_init__(self) -> None:
        if not self.flux_per_cm2_s >= 0 or not 0 <= self.low_cm2 <= self.cross_section_cm2 <= self.high_cm2:
            raise ValueError(
                f"expected a flux from 0 and cross-sections 0 <= low <= value <= high, got {self.flux_per_cm2_s},"
                f" {self.low_cm2}, {self.cross_section_cm2}, {self.high_cm2}"
            )

    @property
    def rates_hz(self) -> tuple[float, float, float]:
        """Upsets of one flip-flop per second: at the value, the low and the high end of the cross-section."""
        return tuple(self.flux_per_cm2_s * s for s in (self.cross_section_cm2, self.low_cm2, self.high_cm2))  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True, eq=False)
class Store:
    """Equal words that hold bits of known harm.

    Attributes
    ----------
    harm : ndarray of float64, shape (words,)
        Part of the crossings that are corrupted while a word is lost.
    flip_flops : int
        Of a word: 1 plain, 3 with a voter, 13 a byte in a code word.
    corrects : int
        Wrong flip-flops of a word that do no harm: 0 or 1.
    scrub_s : float
        Time between corrections of a word; without effect where nothing is corrected.
    """

    harm: Float64
    flip_flops: int = 1
    corrects: int = 0
    scrub_s: float = CROSSING_S

    def __post_init__(self) -> None:
        harm = np.asarray(self.harm, np.float64)
        if harm.ndim != 1 or not ((harm >= 0) & (harm <= 1)).all():
            raise ValueError("harm: expected one fraction per word")
        if self.flip_flops < 1 or not 0 <= self.corrects < self.flip_flops or not self.scrub_s > 0:
            raise ValueError(
                f"expected flip_flops >= 1, 0 <= corrects < flip_flops, scrub_s > 0, got {self.flip_flops},"
                f" {self.corrects}, {self.scrub_s}"
            )
        object.__setattr__(self, "harm", harm)


def _odd(rate_hz: float, time_s: float | Float64) -> float | Float64:
    """Probability that a Poisson process has an odd number of events."""
    odd: float | Float64 = -np.expm1(-2 * rate_hz * np.asarray(time_s)) / 2
    return odd


def loss_rate_hz(store: Store, rate_hz: float) -> float:
    """Losses of one word per second at `rate_hz` upsets of one flip-flop.

    Plain words: every flip. Others: at each scrubbing more than `corrects` flip-flops are wrong with binomial
    probability, each being wrong after an odd number of flips.
    """
    if store.corrects == 0:
        return store.flip_flops * rate_hz
    wrong = float(_odd(rate_hz, store.scrub_s))
    return float(stats.binom.sf(store.corrects, store.flip_flops, wrong)) / store.scrub_s


def corrupted_fraction(stores: Sequence[Store], rate_hz: float, reload_s: float = FILL_S) -> float:
    """Part of all crossings that are corrupted, the image being loaded every `reload_s` seconds.

    ``1 - 1/T integral over 0..T of product over words of (1 - harm * (1 - exp(-2 L t)) / 2) dt``, L the loss rate.
    """
    rates = [loss_rate_hz(store, rate_hz) for store in stores]

    def clean(time_s: float) -> float:
        # the sum of small terms is kept exact: most words do little harm
        return sum(
            float(np.log1p(-store.harm * _odd(rate, time_s)).sum()) for store, rate in zip(stores, rates, strict=True)
        )

    total = sum(float(store.harm.sum()) * rate for store, rate in zip(stores, rates, strict=True))
    if total == 0:
        return 0.0
    # all changes come within a few times of the first loss
    points = [t for t in (0.1 / total, 1 / total, 10 / total) if t < reload_s]
    value, _ = integrate.quad(
        lambda t: -math.expm1(clean(t)), 0.0, reload_s, points=points or None, limit=200, epsrel=1e-8
    )
    return float(value / reload_s)


def shift_rate(shifts: Float64, rate_hz: float, reload_s: float = FILL_S) -> float:
    """Mean change of a figure of physics: sum over plain bits of the change by a lost one times the time it is lost.

    Parameters
    ----------
    shifts : ndarray of float64, shape (bits,)
        Mean change of a crossing while a bit is flipped, such as `flows.campaign.physics.Sensitivity.emd_shift`. Bits
        add: an estimate where few are flipped at a time.
    rate_hz : float
        Losses of one bit per second.
    reload_s : float
    """
    time = 2 * rate_hz * reload_s
    lost = 0.5 * (1 + math.expm1(-time) / time) if time > 1e-6 else time / 4
    return float(np.sum(shifts)) * lost


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """What a simulation counted.

    Attributes
    ----------
    crossings, corrupted : int
    upsets, losses : int
        Flips of flip-flops, and words lost by them.
    """

    crossings: int
    corrupted: int
    upsets: int
    losses: int

    @property
    def fraction(self) -> float:
        """Corrupted part."""
        return self.corrupted / self.crossings


def simulate(
    stores: Sequence[Store],
    rate_hz: float,
    *,
    reload_s: float,
    reloads: int,
    seed: int,
) -> Corruption:
    """Poisson arrivals of upsets, one by one: flips, scrubbing, losses, loading, corrupted crossings.

    Parameters
    ----------
    stores : sequence of Store
    rate_hz : float
        Upsets of one flip-flop per second.
    reload_s : float
        Time from one loading to the next.
    reloads : int
        Times that are simulated.
    seed : int
    """
    if reloads < 1:
        raise ValueError(f"reloads: expected at least 1, got {reloads}")
    rng = np.random.default_rng(seed)
    crossings = round(reload_s / CROSSING_S)
    owner = np.concatenate([np.full(len(s.harm) * s.flip_flops, i) for i, s in enumerate(stores)])
    word = np.concatenate([np.repeat(np.arange(len(s.harm)), s.flip_flops) for s in stores])
    place = np.concatenate([np.tile(np.arange(s.flip_flops), len(s.harm)) for s in stores])
    corrupted = upsets = losses = 0
    for _ in range(reloads):
        count = int(rng.poisson(rate_hz * len(owner) * reload_s))
        times, upset = np.sort(rng.random(count)) * reload_s, rng.integers(len(owner), size=count)
        upsets += count
        lost: set[tuple[int, int]] = set()
        # words with wrong flip-flops: the scrubbing that ends their time, and which are wrong
        wrong: dict[tuple[int, int], tuple[int, set[int]]] = {}
        changes: list[tuple[float, tuple[int, int]]] = []
        for time, target in zip(times.tolist(), upset.tolist(), strict=True):
            store = stores[owner[target]]
            key = (int(owner[target]), int(word[target]))
            if store.corrects == 0:
                changes.append((time, key))
                continue
            visit = int(time / store.scrub_s)
            last, flipped = wrong.get(key, (visit, set()))
            if last != visit:
                if len(flipped) > store.corrects:
                    changes.append(((last + 1) * store.scrub_s, key))
                flipped = set()
            wrong[key] = (visit, flipped ^ {int(place[target])})
        changes += [
            ((visit + 1) * stores[key[0]].scrub_s, key)
            for key, (visit, flipped) in wrong.items()
            if len(flipped) > stores[key[0]].corrects and (visit + 1) * stores[key[0]].scrub_s < reload_s
        ]
        changes.sort()
        losses += len(changes)
        before = 0.0
        for time, change in [*changes, (reload_s, None)]:
            between = round(time / CROSSING_S) - round(before / CROSSING_S)
            clean = math.prod(1 - float(stores[i].harm[k]) for i, k in lost)
            corrupted += int(rng.binomial(between, 1 - clean))
            before = time
            if change is not None:
                lost ^= {change}
    return Corruption(crossings=crossings * reloads, corrupted=corrupted, upsets=upsets, losses=losses)
