"""What a liquid is shown: images, whose spikes are drawn, or recordings of an event camera, which have theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.learning.images import image_events
from sim.fixed_point import IntArray

__all__ = ["Images", "Recordings", "Stimuli"]

Spikes = npt.NDArray[np.uint8]


class Stimuli(Protocol):
    """Samples by number."""

    def __len__(self) -> int:
        """Samples."""
        ...

    def samples(self, rows: npt.NDArray[np.integer], steps: int, seed: int) -> Spikes:
        """Events of whole samples, shape (n, steps, inputs); the same for a sample and seed, whatever else is shown."""
        ...

    def snapshots(self, rows: npt.NDArray[np.integer], steps: int, seeds: npt.NDArray[np.integer]) -> Spikes:
        """Events of short samples, shape (n, steps, inputs), each with a seed of its own."""
        ...

    def take(self, rows: npt.NDArray[np.integer]) -> Self:
        """Some of them; a sample keeps its spikes."""
        ...

    def identity(self) -> tuple[npt.NDArray[np.generic], ...]:
        """Arrays that are equal where, and only where, the stimuli are."""
        ...


@dataclass(frozen=True, eq=False)
class Images:
    """Images as probabilities of spikes.

    Attributes
    ----------
    probability : ndarray of float64, shape (n, inputs)
        See `sim.astrocyte_liquid.learning.images.probabilities`.
    numbers : ndarray of int, shape (n,), optional
        Number of each image, which with the seed decides its spikes; its row where left out.
    """

    probability: npt.NDArray[np.float64]
    numbers: npt.NDArray[np.integer] | None = None

    def __len__(self) -> int:
        return len(self.probability)

    def samples(self, rows: npt.NDArray[np.integer], steps: int, seed: int) -> Spikes:
        """As of `Stimuli`."""
        numbers = rows if self.numbers is None else self.numbers[rows]
        return image_events(self.probability[rows], steps, (seed << 32) + numbers.astype(np.int64))

    def snapshots(self, rows: npt.NDArray[np.integer], steps: int, seeds: npt.NDArray[np.integer]) -> Spikes:
        """As of `Stimuli`."""
        return image_events(self.probability[rows], steps, seeds)

    def take(self, rows: npt.NDArray[np.integer]) -> Self:
        """As of `Stimuli`."""
        numbers = rows if self.numbers is None else self.numbers[rows]
        return replace(self, probability=self.probability[rows], numbers=numbers)

    def identity(self) -> tuple[npt.NDArray[np.generic], ...]:
        """As of `Stimuli`."""
        return (self.probability,) if self.numbers is None else (self.probability, self.numbers)


@dataclass(frozen=True, kw_only=True, eq=False)
class Recordings:
    """Recordings of an event camera, an input neuron for each pixel and polarity.

    As published for N-MNIST: a step is 1 ms, time is rounded to steps, a sample is the first steps of a recording, a
    snapshot a window that begins anywhere from step 1 to 278 of 300.

    Attributes
    ----------
    start : ndarray of int64, shape (n + 1,)
        Events of recording k are ``start[k]`` to ``start[k + 1]``, the latter excluded.
    step, line : ndarray of uint16, shape (events,)
        Step and input neuron of each event.
    inputs : int
    """

    start: npt.NDArray[np.int64]
    step: npt.NDArray[np.uint16]
    line: npt.NDArray[np.uint16]
    inputs: int

    FIRST, LAST = 1, 278
    """Steps at which a snapshot may begin."""

    def __len__(self) -> int:
        return len(self.start) - 1

    def samples(self, rows: npt.NDArray[np.integer], steps: int, seed: int) -> Spikes:  # noqa: ARG002
        """As of `Stimuli`; the seed changes nothing."""
        return self._windows(rows, np.zeros(len(rows), np.int64), steps)

    def snapshots(self, rows: npt.NDArray[np.integer], steps: int, seeds: npt.NDArray[np.integer]) -> Spikes:
        """As of `Stimuli`."""
        first = [int(np.random.default_rng(int(seed)).integers(self.FIRST, self.LAST + 1)) for seed in seeds]
        return self._windows(rows, np.array(first, np.int64), steps)

    def identity(self) -> tuple[npt.NDArray[np.generic], ...]:
        """As of `Stimuli`."""
        return self.start, self.step, self.line

    def take(self, rows: npt.NDArray[np.integer]) -> Self:
        """As of `Stimuli`."""
        parts = [slice(self.start[row], self.start[row + 1]) for row in rows]
        return replace(
            self, start=np.concatenate([[0], np.cumsum([part.stop - part.start for part in parts])]).astype(np.int64),
            step=np.concatenate([self.step[part] for part in parts]),
            line=np.concatenate([self.line[part] for part in parts]),
        )  # fmt: skip

    def _windows(self, rows: npt.NDArray[np.integer], first: IntArray, steps: int) -> Spikes:
        spikes = np.zeros((len(rows), steps, self.inputs), np.uint8)
        for place, (row, begin) in enumerate(zip(rows, first, strict=True)):
            events = slice(self.start[row], self.start[row + 1])
            step = self.step[events].astype(np.int64) - begin
            seen = (step >= 0) & (step < steps)
            spikes[place, step[seen], self.line[events][seen]] = 1
        return spikes
