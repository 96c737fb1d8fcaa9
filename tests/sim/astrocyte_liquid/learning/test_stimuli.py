"""What a liquid is shown: windows of recordings against loops over their events, images against their numbers."""

import numpy as np

from sim.astrocyte_liquid.learning.images import image_events
from sim.astrocyte_liquid.learning.stimuli import Images, Recordings


def _recordings() -> tuple[Recordings, list[list[tuple[int, int]]]]:
    rng = np.random.default_rng(3)
    events = []
    for n in (0, 40, 1, 300):
        steps, lines = np.sort(rng.integers(0, 320, n)), rng.integers(0, 7, n)
        events.append(list(zip(steps.tolist(), lines.tolist(), strict=True)))
    flat = [event for recording in events for event in recording]
    return Recordings(
        start=np.cumsum([0, *map(len, events)]), step=np.array([t for t, _ in flat], np.uint16),
        line=np.array([line for _, line in flat], np.uint16), inputs=7,
    ), events  # fmt: skip


def _window(events: list[tuple[int, int]], first: int, steps: int) -> np.ndarray:
    spikes = np.zeros((steps, 7), np.uint8)
    for step, line in events:
        if first <= step < first + steps:
            spikes[step - first, line] = 1
    return spikes


def test_samples_are_the_first_steps_of_recordings() -> None:
    recordings, events = _recordings()
    rows = np.array([3, 0, 1])
    got = recordings.samples(rows, 250, seed=9)
    assert got.shape == (3, 250, 7)
    assert len(recordings) == 4
    for place, row in enumerate(rows):
        assert (got[place] == _window(events[row], 0, 250)).all()
    taken = recordings.take(rows)
    assert (taken.samples(np.arange(3), 250, seed=0) == got).all()


def test_snapshots_begin_from_step_1_to_278() -> None:
    """The published range; each seed has a window of its own, and all windows occur."""
    recordings, events = _recordings()
    seeds = np.arange(4_000)
    got = recordings.snapshots(np.full(4_000, 3), 20, seeds)
    windows = np.array([_window(events[3], first, 20) for first in range(1, 279)])
    where = {window.tobytes(): first for first, window in enumerate(windows)}
    seen = [where[one.tobytes()] for one in got]
    distinct = len(where)
    assert len(set(seen)) > 0.98 * distinct
    assert (recordings.snapshots(np.array([3]), 20, seeds[7:8])[0] == got[7]).all()


def test_an_image_keeps_its_spikes_where_it_is_numbered() -> None:
    probability = np.random.default_rng(0).uniform(0, 0.3, (6, 11))
    rows = np.array([4, 1])
    whole = Images(probability).samples(rows, 50, 5)
    assert (whole == image_events(probability[rows], 50, (5 << 32) + rows)).all()
    assert (Images(probability[rows], rows).samples(np.arange(2), 50, 5) == whole).all()
    assert not (Images(probability[rows]).samples(np.arange(2), 50, 5) == whole).all()
