"""What is injected: populations of flip-flops by stratum, and lists of faults drawn from them.

A list is a function of chip, schedule, sizes and seed alone, so every engine and every process can make it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np

from flows.designs.storage_bits import StorageBit, Stratum

__all__ = [
    "EXHAUSTIVE", "Fault", "Kind", "Schedule", "Target", "beam_windows", "double_flips", "flips_meet", "populations",
    "single_flips", "transients",
]  # fmt: skip

Target = tuple[str, int]
"""Hierarchical path of a signal as `flows.designs.storage_bits.storage_bits` names it, and a bit of it; of a transient
the name of a net, and a bit."""

EXHAUSTIVE = (Stratum.WEIGHT, Stratum.SETTING, Stratum.CONTROL, Stratum.COUNTER)
"""Strata of which every flip-flop is upset."""

_NEAR = 8
"""Most flips of a scrubbed byte come at most so many crossings before its row is scrubbed: none lasts longer than it
must. One in `_FAR` comes at any distance."""
_FAR = 64


class Kind(StrEnum):
    """How a fault shows."""

    FLIP = "flip"
    """One flip-flop inverted at the clock edge that begins a crossing."""
    DOUBLE = "double"
    """Two flip-flops, the second one `gap` crossings after the first."""
    TRANSIENT = "transient"
    """Nets inverted for `width` crossings."""
    BEAM = "beam"
    """Flip-flops inverted one after the other, as particles come."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault; its number is its place in a list.

    Attributes
    ----------
    kind : Kind
    targets : tuple of Target
        What is inverted.
    stratum : str
        Stratum that it counts for.
    clock : int
        Crossing of the workload at whose start it is injected.
    gap : int
        `Kind.DOUBLE`: crossings between the first target and the second.
    width : int
        `Kind.TRANSIENT`: crossings that it lasts.
    arrivals : tuple of int
        `Kind.BEAM`: crossings from `clock` to the flip of each target, ascending from 0.
    """

    kind: Kind
    targets: tuple[Target, ...]
    stratum: str
    clock: int
    gap: int = 0
    width: int = 1
    arrivals: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind is Kind.BEAM:
            if not self.targets or len(self.arrivals) != len(self.targets) or self.arrivals[0] != 0:
                raise ValueError(f"beam: expected an arrival for each of {len(self.targets)} targets, the first at 0")
            if list(self.arrivals) != sorted(self.arrivals):
                raise ValueError(f"beam: expected ascending arrivals, got {self.arrivals}")
        elif self.arrivals:
            raise ValueError(f"{self.kind}: arrivals are those of a beam")
        count = 2 if self.kind is Kind.DOUBLE else 1
        one = self.kind in (Kind.FLIP, Kind.DOUBLE)
        if len(self.targets) < count or (one and len(self.targets) != count):
            raise ValueError(f"{self.kind}: expected {count} target(s), got {len(self.targets)}")
        if self.clock < 1:
            raise ValueError(f"clock: a fault is injected at crossing 1 or later, got {self.clock}")
        if self.gap < 0 or self.width < 1:
            raise ValueError(f"expected a gap from 0 and a width from 1, got {self.gap} and {self.width}")

    @property
    def delays(self) -> tuple[int, ...]:
        """Crossings from `clock` to the upset of each target."""
        if self.kind is Kind.BEAM:
            return self.arrivals
        return (0, self.gap) if self.kind is Kind.DOUBLE else (0,) * len(self.targets)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When faults may be injected, and when the scrubber comes by.

    Attributes
    ----------
    first, last : int
        First and last crossing of the workload at which a fault may be injected.
    rows : int
        Rows that the scrubber walks over, one a crossing, the first one in crossing 0; 0 without scrubber.
    first_row : int
        Number of the first row; a row is 16 bytes.
    words : tuple of str
        Names of the code words that are walked over in place of rows, in the order of the walk.
    """

    first: int
    last: int
    rows: int = 0
    first_row: int = 0
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last:
            raise ValueError(f"expected crossings 1 <= first <= last, got {self.first} and {self.last}")
        if self.words and len(self.words) != self.rows:
            raise ValueError(f"a walk over {len(self.words)} code words has as many rows, got {self.rows}")
        if self.rows and self.last - self.first + 1 < self.rows:
            raise ValueError(
                f"the scrubber needs {self.rows} crossings for a walk, faults have {self.last - self.first + 1}"
            )

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.words)}

    def scrubbed(self, path: str) -> int | None:
        """Crossing, modulo `rows`, in which the byte or word of a signal is scrubbed; None if it is not."""
        if self.words:
            word = re.search(r"(?:^|\.)(word_\w+)\.", path)
            return None if word is None else self._numbers[word[1]]
        byte = re.search(r"(?:^|\.)byte_([0-9a-f]{4})", path)
        if not self.rows or byte is None or path.startswith("shadow"):
            return None
        return ((int(byte[1], 16) >> 4) - self.first_row) % self.rows

    def draw_crossing(self, path: str, rng: np.random.Generator) -> int:
        """Draw a crossing for a flip of this signal."""
        row = self.scrubbed(path)
        if row is None:
            return int(rng.integers(self.first, self.last + 1))
        ahead = int(rng.integers(self.rows if rng.integers(_FAR) == 0 else min(_NEAR, self.rows)))
        earliest = self.first + (row - ahead - self.first) % self.rows
        return earliest + self.rows * int(rng.integers((self.last - earliest) // self.rows + 1))


def populations(bits: Sequence[StorageBit]) -> dict[Stratum, tuple[StorageBit, ...]]:
    """Flip-flops by stratum, in the order of `Stratum`; strata without any are left out."""
    found: dict[Stratum, list[StorageBit]] = {stratum: [] for stratum in Stratum}
    for bit in bits:
        found[bit.stratum].append(bit)
    return {stratum: tuple(listed) for stratum, listed in found.items() if listed}


def _chosen(rng: np.random.Generator, population: int, count: int | None) -> list[int]:
    """Places drawn without replacement, ascending; all of them for None or a count beyond the population."""
    if count is None or count >= population:
        return list(range(population))
    if count < 0:
        raise ValueError(f"expected 0 faults or more, got {count}")
    return sorted(int(place) for place in rng.choice(population, count, replace=False))


def single_flips(
    bits: Sequence[StorageBit],
    schedule: Schedule,
    *,
    seed: int,
    counts: Mapping[Stratum, int | None] | None = None,
    repeats: Mapping[Stratum, int] | None = None,
) -> list[Fault]:
    """Flips of one flip-flop: each of the strata in `EXHAUSTIVE`, and as many as asked for of the others.

    Parameters
    ----------
    bits : sequence of StorageBit
        Population.
    schedule : Schedule
    seed : int
    counts : mapping, optional
        Flip-flops drawn of a stratum, without replacement; None: all. Exhaustive strata count as None where left out,
        all others as 1,000.
    repeats : mapping, optional
        Crossings at which each of them is upset, 1 where left out.

    Returns
    -------
    list of Fault
        By stratum.
    """
    counts, repeats = counts or {}, repeats or {}
    faults = []
    for number, (stratum, population) in enumerate(populations(bits).items()):
        rng = np.random.default_rng([seed, 0, number])
        count = counts.get(stratum, None if stratum in EXHAUSTIVE else 1000)
        for place in _chosen(rng, len(population), count):
            bit = population[place]
            for _ in range(repeats.get(stratum, 1)):
                clock = schedule.draw_crossing(bit.path, rng)
                faults.append(Fault(kind=Kind.FLIP, targets=((bit.path, bit.bit),), stratum=str(stratum), clock=clock))
    return faults


def double_flips(bits: Sequence[StorageBit], schedule: Schedule, *, seed: int, count: int) -> list[Fault]:
    """Two flips of what protects the same bit, before it is corrected: one bit in two copies, or two of a code word.

    The second flip comes with the first where the vote is stored at every clock, and up to the next scrubbing where a
    scrubber walks. Pairs are drawn without replacement over protected bits. Chips without protection have none.
    """
    words: dict[str, list[StorageBit]] = {}
    for bit in bits:
        words.setdefault(bit.protected, []).append(bit)
    groups = [group for group in words.values() if len(group) > 1]
    rng = np.random.default_rng([seed, 1])
    faults = []
    for place in _chosen(rng, len(groups), count):
        group = groups[place]
        first, second = (group[int(i)] for i in rng.choice(len(group), 2, replace=False))
        clock = schedule.draw_crossing(first.path, rng)
        row = schedule.scrubbed(first.path)
        left = 0 if row is None else (row - clock) % schedule.rows
        faults.append(
            Fault(
                kind=Kind.DOUBLE,
                targets=((first.path, first.bit), (second.path, second.bit)),
                stratum=str(first.stratum),
                clock=clock,
                gap=int(rng.integers(left + 1)),
            )
        )
    return faults


def transients(nets: Sequence[Target], schedule: Schedule, *, seed: int, stratum: str, repeats: int) -> list[Fault]:
    """Each net inverted for one crossing, at `repeats` crossings drawn at random."""
    rng = np.random.default_rng([seed, 2])
    return [
        Fault(
            kind=Kind.TRANSIENT,
            targets=(net,),
            stratum=stratum,
            clock=int(rng.integers(schedule.first, schedule.last + 1)),
        )
        for net in nets
        for _ in range(repeats)
    ]


def beam_windows(
    bits: Sequence[StorageBit], schedule: Schedule, *, seed: int, windows: int, crossings: int, flips: float
) -> list[Fault]:
    """Stretches of time in beam: flips of any flip-flops as a Poisson process brings them, at a rate far above any real
    one, since otherwise there would be none.

    The shadow bank is left out: a flip there is found when the image is loaded, not corrected.

    Parameters
    ----------
    bits : sequence of StorageBit
        All equally likely.
    schedule : Schedule
    seed : int
    windows : int
        Stretches that are drawn. Those without a flip are left out, as nothing can happen in them.
    crossings : int
        Length of a stretch; what the workload has, if that is less.
    flips : float
        Mean number in a stretch.

    Returns
    -------
    list of Fault
        Of stratum ``all``.
    """
    if crossings < 1 or not flips > 0:
        raise ValueError(f"expected crossings from 1 and flips above 0, got {crossings} and {flips}")
    eligible = [bit for bit in bits if bit.stratum is not Stratum.SHADOW]
    length = min(crossings, schedule.last - schedule.first + 1)
    rng = np.random.default_rng([seed, 5])
    faults = []
    for count in rng.poisson(flips, windows).tolist():
        if not count:
            continue
        chosen = [eligible[int(place)] for place in rng.choice(len(eligible), min(count, len(eligible)), replace=False)]
        at = np.sort(rng.integers(length, size=len(chosen)))
        start = int(rng.integers(schedule.first, schedule.last - length + 2))
        faults.append(
            Fault(
                kind=Kind.BEAM, targets=tuple((bit.path, bit.bit) for bit in chosen), stratum="all",
                clock=start + int(at[0]), arrivals=tuple(int(a) for a in at - at[0]),
            )
        )  # fmt: skip
    return faults


def flips_meet(fault: Fault, schedule: Schedule, protected: Mapping[Target, str]) -> bool:
    """Whether two flips of a fault come into one word, the second before the first is corrected.

    A word is what `flows.designs.storage_bits.StorageBit.protected` names: copies of a bit, or a code word. All of
    control counts as one word, corrected with the next crossing: its copies vote on what their own logic makes of all
    bits.

    Parameters
    ----------
    fault : Fault
    schedule : Schedule
    protected : mapping of Target to str
        Word of each flip-flop.
    """
    seen: dict[str, list[int]] = {}
    for (path, bit), delay in zip(fault.targets, fault.delays, strict=True):
        clock = fault.clock + delay
        word = "control" if path.startswith("control") else protected[path, bit]
        row = schedule.scrubbed(path)
        for earlier in seen.get(word, []):
            left = 0 if row is None else (row - earlier) % schedule.rows
            if clock - earlier <= left:
                return True
        seen.setdefault(word, []).append(clock)
    return False
