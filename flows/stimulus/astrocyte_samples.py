"""What an astrocyte liquid learns from and is scored on: digits, or recordings of an event camera.

The number of inputs decides: 784 or 196 inputs see images, 2,312 a sensor of 34 x 34 pixels with both polarities apart
(N-MNIST). Without recordings of the user's own an event camera is put in front of digits: N-MNIST-like.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.learning.images import probabilities
from sim.astrocyte_liquid.learning.stimuli import Images, Recordings, Stimuli
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.digits import Digits, mnist_digits, read_digits
from sim.fixed_point import IntArray
from sim.lsm_crossbar.recordings.event_camera import EventCamera
from sim.lsm_crossbar.recordings.events import Encoding, Events, labelled_recordings, read_recording

__all__ = ["CAMERA", "SENSOR", "SHIPPED", "SampleFiles", "SampleSet", "binned", "learned_set", "scored_set"]

HELD_OUT = 2_000
"""Of the digits that ship with the package: never trained on, what a liquid is scored on."""
SENSOR = Encoding(name="whole_split", left=0, top=0, columns=34, rows=34, polarity="split")
"""Every pixel of N-MNIST's sensor, ON events first."""
STEP_US = 1_000
CAMERA = EventCamera(seed=1)
TEST_NUMBERS = 1 << 20
"""Numbers of test samples begin here, so that none has the camera's noise of one that was learned from."""


@dataclass(frozen=True, kw_only=True)
class SampleFiles:
    """A user's own data; what is left out ships with the package.

    Attributes
    ----------
    digits : Path, optional
        As `sim.digits.read_digits` takes it: MNIST's own split tells learned from tested.
    events, labels : Path, optional
        Folder of recordings named by index, and the label file; without it folders in the folder are named by class.
    """

    digits: Path | None = None
    events: Path | None = None
    labels: Path | None = None


SHIPPED = SampleFiles()


@dataclass(frozen=True, kw_only=True, eq=False)
class SampleSet:
    """Labelled samples, as images or as files of recordings.

    Attributes
    ----------
    labels : ndarray of int64, shape (n,)
    images : ndarray of uint8, shape (n, 28, 28), optional
    numbers : ndarray of int64, shape (n,), optional
        Of the images: with a seed they decide spikes, or noise of the camera.
    files : tuple of Path
        Of recordings, where there are no images.
    """

    labels: IntArray
    images: npt.NDArray[np.uint8] | None = None
    numbers: IntArray | None = None
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.integer]) -> Self:
        """Some of them."""
        return replace(
            self, labels=self.labels[rows], images=None if self.images is None else self.images[rows],
            numbers=None if self.numbers is None else self.numbers[rows],
            files=tuple(self.files[row] for row in rows) if self.files else (),
        )  # fmt: skip

    def shown(self, spec: AstrocyteSpec, scale: float | None = None) -> tuple[Stimuli, float]:
        """The samples as a liquid sees them, and the scale of the images (1 of recordings).

        Parameters
        ----------
        spec : AstrocyteSpec
        scale : float, optional
            Of the images that the liquid learned from; left out, that of these.

        Raises
        ------
        ValueError
            The liquid has inputs for neither images nor this sensor, or for images where there are recordings.
        """
        if spec.inputs == SENSOR.inputs:
            return self.recorded(), 1.0
        if self.images is None:
            raise ValueError(
                f"{spec.name} has {spec.inputs:,} inputs, for images; recordings need {SENSOR.inputs:,}, one for each "
                "pixel and polarity"
            )
        probability, scale = probabilities(self.images, spec, scale)
        return Images(probability, self.numbers), scale

    def recorded(self) -> Recordings:
        """The recordings, or those that the camera makes of the images."""
        if self.images is None:
            return binned(map(read_recording, self.files))
        numbers = np.arange(len(self)) if self.numbers is None else self.numbers
        return binned(CAMERA.record(image, int(number)) for image, number in zip(self.images, numbers, strict=True))


def binned(recordings: Iterable[Events]) -> Recordings:
    """Recordings with time in steps of 1 ms, rounded, and an input for every pixel and polarity."""
    lengths, steps, lines = [0], [np.zeros(0, np.uint16)], [np.zeros(0, np.uint16)]
    for events in recordings:
        step = (events.t_us + STEP_US // 2) // STEP_US
        kept = step < 1 << 16
        lengths.append(int(kept.sum()))
        steps.append(step[kept].astype(np.uint16))
        lines.append(SENSOR.lines(events)[kept].astype(np.uint16))
    return Recordings(
        start=np.cumsum(lengths), step=np.concatenate(steps), line=np.concatenate(lines), inputs=SENSOR.inputs
    )


def _held_out(folder: Path | None) -> tuple[Digits, Digits]:
    """Digits to train on, and digits to score: MNIST's own split, or of those that ship `HELD_OUT` held out."""
    if folder is not None:
        return read_digits(folder)
    digits = mnist_digits()
    order = np.random.default_rng(2026).permutation(len(digits))
    return digits.take(order[HELD_OUT:]), digits.take(order[:HELD_OUT])


def learned_set(spec: AstrocyteSpec, given: SampleFiles) -> SampleSet:
    """What there is to learn from: the user's recordings, or digits.

    Raises
    ------
    FileNotFoundError, ValueError
        Files that cannot be read, or that do not belong together; a label that the liquid has no output for.
    """
    return _set(spec, given, tested=False)


def scored_set(spec: AstrocyteSpec, given: SampleFiles) -> SampleSet:
    """What a liquid is scored on: all of the user's recordings, or digits that no training saw.

    Raises as `learned_set`.
    """
    return _set(spec, given, tested=True)


def _set(spec: AstrocyteSpec, given: SampleFiles, *, tested: bool) -> SampleSet:
    if given.events is None and given.labels is not None:
        raise ValueError("--labels is of recordings: expected --events with them")
    if given.events is not None:
        if given.digits is not None:
            raise ValueError("expected digits (--digits) or recordings (--events), got both")
        paths, table = labelled_recordings(given.events, given.labels)
        found = SampleSet(labels=np.array(list(table.values()), np.int64), files=tuple(paths[index] for index in table))
    else:
        digits = _held_out(given.digits)[tested]
        numbers = np.arange(len(digits)) + (TEST_NUMBERS if tested and spec.inputs == SENSOR.inputs else 0)
        found = SampleSet(images=digits.images, labels=digits.labels.astype(np.int64), numbers=numbers)
    if found.labels.max() >= spec.outputs:
        raise ValueError(
            f"{spec.name} has {spec.outputs} outputs: expected labels below that, got {found.labels.max()}"
        )
    return found
