"""Labelled recordings in three parts, as input spikes: training, validation and test; for every chip with liquids."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.fixed_point import IntArray
from sim.lsm_crossbar.recordings.audio import Cochlea, read_wav
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import (
    ENCODINGS,
    NMNIST_SENSOR,
    Encoding,
    Events,
    encode_all,
    labelled_recordings,
    read_recording,
)
from sim.lsm_crossbar.recordings.speech import find_speech, tidigits_like
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "ENCODING",
    "STEP_US",
    "SYNTHESISED",
    "Parts",
    "View",
    "clip_parts",
    "event_parts",
    "hold_out",
    "labelled_parts",
    "warn_of_late",
]

STEP_US = 6200
"""Length of a step of events: 50 of them hold an N-MNIST recording."""
ENCODING = ENCODINGS["pooled_3x3_split"]
SYNTHESISED = 1500
"""Synthesised recordings where none are given."""
HELD = 0.15
"""Share of the groups for validation, and as many for test."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """Input spikes with labels, and the rows of training, validation and test.

    Attributes
    ----------
    spikes : ndarray of bool, shape (n, steps, inputs)
    labels : ndarray of int64, shape (n,)
    rows : tuple of ndarray of int64
    source : str
        What the recordings are, in words.
    parted_by : str
        ``speaker``, where no speaker is in two parts, or ``recording``.
    """

    spikes: NDArray[np.bool_]
    labels: IntArray
    rows: tuple[IntArray, IntArray, IntArray]
    source: str
    parted_by: str


LEAST_GROUPS = 8
"""Speakers from which on a set is parted by speaker."""


def hold_out(groups: NDArray[Any], seed: int) -> tuple[tuple[IntArray, IntArray, IntArray], bool]:
    """Rows of training, validation and test, and whether no group is in two of them.

    With fewer than `LEAST_GROUPS` groups every sample is one of its own.

    Raises
    ------
    ValueError
        Fewer than three samples.
    """
    if len(groups) < 3:
        raise ValueError(f"expected three or more recordings, for training, validation and test, got {len(groups)}")
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    apart = len(names) >= LEAST_GROUPS
    if not apart:
        groups, names = np.arange(len(groups)), np.arange(len(groups))
    order = rng.permutation(names)
    held = max(1, round(HELD * len(order)))
    test, validation = order[:held], order[held : 2 * held]
    found = [np.flatnonzero(np.isin(groups, part)) for part in (order[2 * held :], validation, test)]
    return (found[0], found[1], found[2]), apart


def clip_parts(spec: CrossbarSpec, folder: Path | None, cochlea: Cochlea, seed: int) -> Parts:
    """Clips of a folder, or of the shipped set where there is none; parted by speaker where names say who speaks.

    Raises
    ------
    FileNotFoundError, ValueError
        A folder or a file that cannot be read; the message names it.
    """
    if folder is None:
        spoken = tidigits_like()
        if spoken.spikes.shape[1] != spec.steps or spoken.spikes.shape[2] != spec.inputs:
            raise ValueError(
                f"{spec.name}: the shipped clips have {spoken.spikes.shape[1]} steps of {spoken.spikes.shape[2]} "
                f"channels, the spec {spec.steps} of {spec.inputs}; give a folder of WAV files (--clips)"
            )
        spikes, labels = spoken.spikes, spoken.labels
        # both accents of a voice are one speaker
        speakers = np.array([voice.partition("+")[2] for voice in spoken.speakers.tolist()])
        source = f"{len(labels)} TIDIGITS-like clips of {len(np.unique(speakers))} voices of espeak-ng in two accents"
    else:
        files = find_speech(folder)
        spikes = cochlea.all_spikes((read_wav(file.path) for file in files), spec.steps, spec.inputs)
        labels = np.array([file.label for file in files], np.int64)
        speakers = np.array([file.speaker for file in files])
        source = f"{len(files)} clips of {folder.name}"
    rows, apart = hold_out(speakers, seed)
    return Parts(spikes=spikes, labels=labels, rows=rows, source=source, parted_by="speaker" if apart else "recording")


def labelled_parts(
    spec: CrossbarSpec,
    clips: Path | None,
    events: Path | None,
    labels_file: Path | None,
    cochlea: Cochlea,
    seed: int,
    view: View | None = None,
) -> tuple[Parts, bool]:
    """Recordings of one kind, and whether they are sound: events where a folder of them is given, else clips.

    Raises
    ------
    FileNotFoundError, ValueError
        Both kinds are given, or something cannot be read.
    """
    if clips is not None and events is not None:
        raise ValueError("expected recordings of events (--events) or of sound (--clips), got both")
    if events is None and labels_file is None:
        return clip_parts(spec, clips, cochlea, seed), True
    return event_parts(spec, events, labels_file, seed, view), False


@dataclass(frozen=True, kw_only=True)
class View:
    """How recordings of an event camera are seen.

    Attributes
    ----------
    encoding : Encoding
        Which part of the sensor drives which word line.
    step_us : int
        Length of a step.
    sensor : tuple of int
        Columns and rows.
    from_first_event : bool
        Time counts from the first event of each recording, as streams of a running camera need.
    """

    encoding: Encoding = ENCODING
    step_us: int = STEP_US
    sensor: tuple[int, int] = NMNIST_SENSOR
    from_first_event: bool = False

    def read(self, path: Path) -> Events:
        """A recording; errors as `read_recording`."""
        recording = read_recording(path, sensor=self.sensor)
        return recording.from_start() if self.from_first_event else recording


def warn_of_late(late: Sequence[tuple[Path, int]], recordings: int, sample_us: int) -> None:
    """Warn of recordings whose first event comes after the end of a sample, so that nothing of them is seen."""
    if late:
        path, first_us = late[0]
        warnings.warn(
            f"{len(late)} of {recordings} recordings have no event within the {sample_us:,} us of a sample: "
            f"{path.name} begins at {first_us:,} us; count time from the first event instead (--from-first-event)",
            stacklevel=3,
        )


def event_parts(
    spec: CrossbarSpec,
    folder: Path | None,
    labels_file: Path | None,
    seed: int,
    view: View | None = None,
    count: int = SYNTHESISED,
) -> Parts:
    """Event recordings of a folder, or `count` synthesised ones where there is none; those need the default view.

    Errors as `clip_parts`.
    """
    view = view or View()
    if folder is None and labels_file is not None:
        raise ValueError("--labels is of recordings: expected --events with them")
    if folder is not None:
        paths, table = labelled_recordings(folder, labels_file)
        events = [view.read(paths[index]) for index in table]
        sample_us = spec.steps * view.step_us
        late = [
            (paths[k], int(e.t_us[0])) for k, e in zip(table, events, strict=True) if len(e) and e.t_us[0] >= sample_us
        ]
        warn_of_late(late, len(events), sample_us)
        labels = np.array(list(table.values()), np.int64)
        source = f"{len(labels)} recordings of {folder.name}"
    else:
        if view.sensor != NMNIST_SENSOR:
            raise ValueError("--sensor is that of recordings: expected --events")
        digits = mnist_digits("rest")
        order = np.random.default_rng((seed, 1)).permutation(len(digits))[:count]
        events = EventCamera(seed=seed).record_all(digits.images[order])
        labels = digits.labels[order].astype(np.int64)
        source = f"{len(labels)} N-MNIST-like recordings of MNIST digits"
    spikes = encode_all(events, view.encoding, steps=spec.steps, step_us=view.step_us, inputs=spec.inputs)
    rows, _ = hold_out(np.arange(len(labels)), seed)
    return Parts(spikes=spikes, labels=labels, rows=rows, source=source, parted_by="recording")
