"""The event camera beside real recordings: ``python -m benchmarks.lsm_events``.

Synthesises recordings of the digits that the shared real recordings 241 to 640 show (the camera was fitted to those
before them) and compares. Writes ``benchmarks/results/lsm_events.json`` and ``docs/images/nmnist_like.svg``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.lsm_data import IMAGES, RESULTS, STEP_US, real
from benchmarks.measured import record
from benchmarks.style import figure, save
from flows.common.metrics import write_metrics
from sim.lsm_crossbar.recordings.event_camera import SACCADES_US, TRAJECTORY, EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import ENCODINGS, Events, encode_all

FIRST, LAST = 240, 640
MEASURED = (
    (15, 0.3, 1.5), (45, 0.3, 4.1), (65, 1.3, 6.2), (95, 2.0, 6.5), (145, 3.9, 4.9),
    (165, 4.7, 2.7), (205, 5.8, 1.1), (245, 4.7, 1.1), (265, 2.1, 1.6), (285, 1.0, 1.2),
)  # fmt: skip
"""Time in ms, column and row of the image's corner, by correlation of real events with the digits."""


def rows_of(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the digits of recordings 1, 2, ... stand in `mnist_digits`, from their labels."""
    occurrence = np.array([int((labels[:i] == label).sum()) for i, label in enumerate(labels)])
    rows: NDArray[np.int64] = np.searchsorted(mnist_digits().labels, np.arange(10))[labels] + occurrence
    return rows


def statistics(events: Sequence[Events]) -> dict[str, float]:
    """Figures of a set of recordings, by name."""
    sizes = np.array([len(e) for e in events])
    times = np.concatenate([e.t_us for e in events])
    saccades = np.histogram(times, [*SACCADES_US, 320_001])[0] / len(events)
    crop, pooled = (
        encode_all(events, ENCODINGS[name], steps=50, step_us=STEP_US) for name in ("centre_crop", "pooled_3x3_split")
    )
    return {
        "events": float(sizes.mean()),
        "events_std": float(sizes.std()),
        "on_fraction": float(np.mean(np.concatenate([e.on for e in events]))),
        "saccade_1": float(saccades[0]),
        "saccade_2": float(saccades[1]),
        "saccade_3": float(saccades[2]),
        "active_pixels": float(np.mean([len(np.unique(e.y.astype(int) * 34 + e.x)) for e in events])),
        "crop_spikes": float(crop.sum() / len(events)),
        "pooled_spikes": float(pooled.sum() / len(events)),
    }


WORDS = {
    "events": "events of a recording, mean",
    "events_std": "events of a recording, standard deviation",
    "on_fraction": "fraction of ON events",
    "saccade_1": "events in the first saccade",
    "saccade_2": "events in the second saccade",
    "saccade_3": "events in the third saccade",
    "active_pixels": "pixels with an event",
    "crop_spikes": "input spikes, centre_crop",
    "pooled_spikes": "input spikes, pooled_3x3_split",
}


def main() -> None:
    """Compare, write figures and plot."""
    part = real()
    events, labels = part.events[FIRST:LAST], part.labels[FIRST:LAST]
    made = EventCamera(seed=11).record_all(mnist_digits().images[rows_of(part.labels)[FIRST:LAST]])
    metrics = []
    for case, side in (("real", events), ("synthesised", made)):
        for name, value in statistics(side).items():
            metrics.append(
                record(
                    f"{case}__case:{name}",
                    round(value, 3 if name == "on_fraction" else 0),
                    "",
                    WORDS[name],
                    command="python -m benchmarks.lsm_events",
                )
            )
    write_metrics(RESULTS / "lsm_events.json", metrics)
    sheet, panels = figure(2, 2, width=7.6, height=5.4)
    colours = {"real": "#444", "synthesised": "#c8553d"}
    edges = np.arange(0, 320_001, 4000)
    sizes = {}
    for (name, colour), side in zip(colours.items(), (events, made), strict=True):
        rate = np.histogram(np.concatenate([e.t_us for e in side]), edges)[0] / len(side) / 4
        panels[0, 0].plot(edges[:-1] / 1000 + 2, rate, color=colour, label=name)
        sizes[name] = np.array([len(e) for e in side])
        mean = [sizes[name][labels == label].mean() for label in range(10)]
        shift = -0.2 if name == "real" else 0.2
        panels[1, 0].bar(np.arange(10) + shift, mean, 0.38, color=colour)
    panels[0, 0].set(xlabel="time, ms", ylabel="events per ms and recording", title="rate", ylim=(0, 37))
    panels[0, 0].legend(frameon=False, ncols=2, loc="upper center")
    panels[1, 0].set(xlabel="digit", ylabel="events of a recording", title="by class", xticks=range(10))
    panels[0, 1].scatter(sizes["real"], sizes["synthesised"], s=5, color="#2a6f97", alpha=0.6, lw=0)
    top = max(map(np.max, sizes.values()))
    panels[0, 1].plot([0, top], [0, top], color="#888", lw=0.8)
    panels[0, 1].set(xlabel="events, real", ylabel="events, synthesised", title="same digit, 400 recordings")
    knots = np.array(TRAJECTORY)
    panels[1, 1].plot(knots[:, 0], knots[:, 1], color="#2a6f97", label="column, camera")
    panels[1, 1].plot(knots[:, 0], knots[:, 2], color="#e09f3e", label="row, camera")
    measured = np.array(MEASURED)
    panels[1, 1].plot(measured[:, 0], measured[:, 1], "o", ms=4, color="#2a6f97", label="measured, real")
    panels[1, 1].plot(measured[:, 0], measured[:, 2], "o", ms=4, color="#e09f3e")
    panels[1, 1].set(xlabel="time, ms", ylabel="image offset, pixels", title="trajectory", ylim=(0, 9.5))
    panels[1, 1].legend(frameon=False, ncols=2, loc="upper center", fontsize=7.5)
    save(sheet, IMAGES / "nmnist_like.svg")


if __name__ == "__main__":
    main()
