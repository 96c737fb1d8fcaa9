"""How an upset is classified: the whole truth table of what an engine can see, written out from the definitions."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from flows.campaign.outcome import Effect, Outcome, judged, uncorrected

SEEN: dict[str, Any] = {
    "latency": 3, "wrong": 0, "first_wrong": 0, "last_wrong": 0, "bus_wrong": False, "stopped": False,
    "counted": False, "persistent": False, "watched": 40,
}  # fmt: skip


@pytest.mark.parametrize(("bus", "stopped", "wrong", "counted"), list(product((False, True), repeat=4)))
def test_the_worst_that_was_seen_counts(bus: bool, stopped: bool, wrong: bool, counted: bool) -> None:
    """Hang above corruption above correction above nothing (docs/method/fault_campaign.md)."""
    seen = SEEN | {"wrong": 5 * wrong, "first_wrong": 10, "last_wrong": 17}
    found = judged(8, **seen | {"bus_wrong": bus, "stopped": stopped, "counted": counted})
    ranks = [(bus, Effect.HANG), (stopped, Effect.HANG), (wrong, Effect.CORRUPTED), (counted, Effect.CORRECTED)]
    assert found.effect is next((effect for seen, effect in ranks if seen), Effect.MASKED)
    assert found.number == 8
    # crossings of the words, not of the frames that leave three clocks later
    assert (found.wrong_crossings, found.first_wrong, found.last_wrong) == ((5, 7, 14) if wrong else (0, -1, -1))


def test_the_rest_is_handed_on() -> None:
    frames = np.zeros((2, 13), np.uint32)
    found = judged(1, **SEEN | {"persistent": True, "watched": 7}, frames=frames)
    assert (found.persistent, found.watched) == (True, 7)
    assert found.frames is frames
    assert judged(1, **SEEN).frames is None
    assert not judged(1, **SEEN).persistent
    plain = Outcome(number=0, effect=Effect.MASKED)
    assert (plain.wrong_crossings, plain.first_wrong, plain.last_wrong, plain.watched) == (0, -1, -1, 0)
    assert not plain.persistent


def test_what_a_protected_chip_must_not_have() -> None:
    """A wrong frame, a hang, or a flip that stays, whatever its effect; corrected and masked ones may be."""
    outcomes = [
        Outcome(number=n, effect=effect, persistent=stays)
        for n, (effect, stays) in enumerate(product(Effect, (False, True)))
    ]
    assert [(o.effect, o.persistent) for o in uncorrected(outcomes)] == [
        (Effect.MASKED, True), (Effect.CORRECTED, True), (Effect.CORRUPTED, False), (Effect.CORRUPTED, True),
        (Effect.HANG, False), (Effect.HANG, True),
    ]  # fmt: skip
    assert uncorrected([]) == []
