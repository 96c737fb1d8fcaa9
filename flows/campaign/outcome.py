"""What an upset may come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

__all__ = ["Effect", "Outcome", "judged", "uncorrected"]


class Effect(StrEnum):
    """Classes of an upset, the worst that was seen counts: hang, corruption, correction, nothing."""

    MASKED = "masked"
    """Every frame is right and no error counter has counted."""
    CORRECTED = "corrected"
    """Every frame is right and an error counter has counted."""
    CORRUPTED = "corrupted"
    """A frame differs from the golden model while control answers as it should: silent data corruption."""
    HANG = "hang"
    """Control does not answer or answers wrong: an I2C transfer differs, or frames stop."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What became of one fault.

    Attributes
    ----------
    number : int
        Place of the fault in the list that the engine was given.
    effect : Effect
    wrong_crossings : int
        Frames that differ from the golden model, of the crossings that were watched.
    first_wrong, last_wrong : int
        Crossings of the first and the last of them; -1 if there is none.
    persistent : bool
        When watching ended, a flip-flop (other than of error counters) still differed from that of a chip without
        fault: the upset was not corrected within its time, or stays until the byte is written.
    watched : int
        Crossings that were watched, from the injection on: fewer than asked for when the chip came back to the state of
        one without fault, as then nothing more can differ.
    frames : ndarray of uint32, shape (wrong_crossings, words), optional
        The wrong frames in order, where the engine was asked to keep them.
    """

    number: int
    effect: Effect
    wrong_crossings: int = 0
    first_wrong: int = -1
    last_wrong: int = -1
    persistent: bool = False
    watched: int = 0
    frames: npt.NDArray[np.uint32] | None = None


def uncorrected(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Outcomes that a scheme of protection must not have: a wrong frame, a hang, or a flip that is not gone in time."""
    return [o for o in outcomes if o.persistent or o.effect in (Effect.CORRUPTED, Effect.HANG)]


def judged(
    number: int, *, latency: int, wrong: int, first_wrong: int, last_wrong: int, bus_wrong: bool, stopped: bool,
    counted: bool, persistent: bool, watched: int, frames: npt.NDArray[np.uint32] | None = None,
) -> Outcome:  # fmt: skip
    """The outcome of what an engine has seen of a fault: the one rule by which both engines classify.

    Parameters
    ----------
    number : int
    latency : int
        Clocks from words to frames.
    wrong : int
        Crossings with a wrong frame at the pins.
    first_wrong, last_wrong : int
        The first and the last of them; `Outcome` counts in crossings of the words, `latency` earlier.
    bus_wrong : bool
        An I2C transfer differed.
    stopped : bool
        Frames stopped.
    counted : bool
        An error counter differed from that of a chip without fault.
    persistent, watched, frames
        As `Outcome` has them.
    """
    if bus_wrong or stopped:
        effect = Effect.HANG
    elif wrong:
        effect = Effect.CORRUPTED
    else:
        effect = Effect.CORRECTED if counted else Effect.MASKED
    return Outcome(
        number=number, effect=effect, wrong_crossings=wrong, first_wrong=first_wrong - latency if wrong else -1,
        last_wrong=last_wrong - latency if wrong else -1, persistent=persistent, watched=watched, frames=frames,
    )  # fmt: skip
