"""Phase of a receiver: at which of fifteen points in a bit the link is sampled.

A delay line (analogue, not modelled) samples the pin at 15 points of each bit. Which of them is used is fixed by a
register (`track_mode` 0), trained on request (1), or followed (2, 3; choice for both). All rules of training are
choices, since no source publishes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.hgcal_encoder.link_spec import PHASE_BAD, TAPS, LinkSpec

__all__ = ["PhaseSelect", "best_tap", "edges"]

_ALL = (1 << TAPS) - 1


def edges(samples: Sequence[int]) -> int:
    """Between which points a link changed: bit k is set if it ever did between tap k and the next tap.

    Parameters
    ----------
    samples : sequence of int
        Samples of consecutive bits, tap k in bit k; the tap after the last one is tap 0 of the next bit.
    """
    seen = 0
    for number, now in enumerate(samples):
        seen |= (now ^ now >> 1) & (_ALL >> 1)
        if number:
            before = samples[number - 1]
            seen |= ((before >> TAPS - 1 ^ now) & 1) << TAPS - 1
    return seen


def best_tap(seen: int) -> int:
    """The tap that is farthest from any edge; `PHASE_BAD` without edges, or if each tap has one beside it.

    The eye that is left between edges is narrowed from both sides, tap by tap, until nothing would be left; of the taps
    that are left the lowest is taken.
    """
    if not seen:
        return PHASE_BAD
    good = ~(seen | seen << 1 | seen >> TAPS - 1) & _ALL
    if not good:
        return PHASE_BAD
    while narrower := good & _around(good, 1) & _around(good, TAPS - 1):
        good = narrower
    return (good & -good).bit_length() - 1


def _around(mask: int, places: int) -> int:
    return (mask << places | mask >> TAPS - places) & _ALL


@dataclass(kw_only=True)
class PhaseSelect:
    """Phase of a receiver after each crossing.

    Training takes `spec.training_crossings` crossings in which edges are collected, then one for each tap by which the
    eye is narrowed, and ends `locked` or with 15 read back; the phase that was in use stays then. With `track_mode` 2
    or 3 one training follows another, and the phase moves by one tap towards the result, never from one end to the
    other: that would lose or repeat a bit.

    Attributes
    ----------
    spec : LinkSpec
    phase : int
        In use, if the register does not fix it.
    result : int
        Read back: the last result of training.
    locked : bool
    seen : int
        Edges collected.
    good : int
        Taps left.
    left : int
        Crossings until the eye is narrowed; 0: it is being narrowed, or nothing is trained.
    narrowing : bool
    train_before : bool
    """

    spec: LinkSpec
    phase: int = 0
    result: int = PHASE_BAD
    locked: bool = False
    seen: int = 0
    good: int = 0
    left: int = 0
    narrowing: bool = False
    train_before: bool = False

    def used(self, track_mode: int, phase_select: int) -> int:
        """Tap in use: the register's with `track_mode` 0 (15 acts as 14), else the trained one."""
        return min(phase_select, TAPS - 1) if track_mode == 0 else self.phase

    def shown(self, track_mode: int, phase_select: int) -> int:
        """Value of ``phase_select_channeloutput``."""
        return phase_select if track_mode == 0 else self.result

    def step(self, edges_now: int, *, track_mode: int, train: int, reset: bool = False) -> None:
        """One crossing, with the edges seen in it."""
        rising = bool(train) and not self.train_before
        if self.narrowing:
            narrower = self.good & _around(self.good, 1) & _around(self.good, TAPS - 1)
            if narrower:
                self.good = narrower
            else:
                self.narrowing = False
                lowest = (self.good & -self.good).bit_length() - 1
                self.result = PHASE_BAD if not self.good or not self.seen else lowest
                self.locked = self.result != PHASE_BAD
                if self.locked and track_mode == 1:
                    self.phase = self.result
                elif self.locked:
                    self.phase += (self.result > self.phase) - (self.result < self.phase)
        elif self.left:
            self.seen |= edges_now
            self.left -= 1
            if not self.left:
                self.narrowing = True
                self.good = ~(self.seen | self.seen << 1 | self.seen >> TAPS - 1) & _ALL
        elif track_mode >= 2 or (track_mode == 1 and rising):
            self.left, self.seen = self.spec.training_crossings, 0
        self.train_before = bool(train)
        if reset:
            vars(self).update(vars(PhaseSelect(spec=self.spec)))
