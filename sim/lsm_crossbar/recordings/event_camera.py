"""Event camera in front of a screen that shows a still image: N-MNIST-like recordings from MNIST digits.

The camera makes three small saccades, so the image wanders over the sensor along `TRAJECTORY`. A pixel at (x, y) sees
the brightness

    L(t) = -ln(1 + contrast * ink(x - dx(t), y - dy(t)) ** gamma)

with the ink of the digit between 0 and 1, smoothed by the optics. Brightness passes the photoreceptor, a low-pass of
first order; whenever it has moved by the pixel's threshold from where the last event left it, the pixel sends an
event, ON upwards, OFF downwards. Thresholds differ from pixel to pixel (fixed pattern of one camera) and by a common
factor from recording to recording. Background events come at random, hot pixels more often.

What the model leaves out: the arbiter of the sensor, refractory pixels, flicker of the screen, and saccades that
differ from recording to recording (unless `jitter_px` moves them).

Events made here are "N-MNIST-like": the trajectory and the parameters of `EventCamera` are fitted to 1,000 real
recordings, and the tests hold the two together: numbers of events, polarity, saccades, classes, rate profile and image
offsets (docs/method/lsm_events.md).

Sources: G. Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using saccades", Front.
Neurosci. 9 (2015) 437 (set-up, saccades); P. Lichtsteiner et al., "A 128x128 120 dB 15 us latency asynchronous
temporal contrast vision sensor", IEEE J. Solid-State Circuits 43 (2008) 566 (log-intensity threshold); Y. Hu et al.,
"v2e: From video frames to realistic DVS events", CVPR Workshops 2021 (threshold mismatch, background events).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from sim.digits import Digits, mnist_digits
from sim.lsm_crossbar.recordings.events import NMNIST_DURATION_US, NMNIST_SENSOR, Events

__all__ = ["SACCADES_US", "TRAJECTORY", "Digits", "EventCamera", "mnist_digits"]

SACCADES_US = (0, 105_000, 210_000)
"""Begin of the three saccades of N-MNIST."""

# fmt: off
TRAJECTORY: tuple[tuple[float, float, float], ...] = (
    (0, 0.41, 1.5), (5, 0.39, 1.58), (10, 0.38, 1.75), (15, 0.37, 2.05), (20, 0.36, 2.42), (25, 0.36, 2.84),
    (30, 0.37, 3.29), (35, 0.39, 3.79), (40, 0.45, 4.32), (45, 0.56, 4.87), (50, 0.76, 5.38), (55, 1.03, 5.82),
    (60, 1.35, 6.17), (65, 1.65, 6.37), (70, 2.0, 6.32), (75, 2.13, 6.32), (80, 2.16, 6.32), (85, 2.19, 6.32),
    (90, 2.24, 6.32), (95, 2.28, 6.33), (100, 2.33, 6.34), (105, 2.39, 6.35), (110, 2.46, 6.34), (115, 2.57, 6.29),
    (120, 2.7, 6.21), (125, 2.91, 6.06), (130, 3.28, 5.75), (135, 3.62, 5.38), (140, 3.89, 5.01), (145, 4.2, 4.39),
    (150, 4.41, 3.83), (155, 4.57, 3.27), (160, 4.71, 2.8), (165, 4.9, 2.32), (170, 5.03, 2.04), (175, 5.14, 1.83),
    (180, 5.22, 1.7), (185, 5.26, 1.64), (190, 5.28, 1.61), (195, 5.31, 1.56), (200, 5.4, 1.46), (205, 5.5, 1.39),
    (210, 5.57, 1.38), (215, 5.61, 1.4), (220, 5.6, 1.42), (225, 5.4, 1.43), (230, 4.98, 1.43), (235, 4.73, 1.45),
    (240, 4.29, 1.46), (245, 3.83, 1.46), (250, 3.34, 1.45), (255, 2.92, 1.43), (260, 2.37, 1.39), (265, 1.98, 1.34),
    (270, 1.58, 1.3), (275, 1.33, 1.28), (280, 1.16, 1.27), (285, 0.98, 1.26), (290, 0.8, 1.26), (295, 0.73, 1.27),
    (300, 0.73, 1.27), (305, 0.73, 1.27), (310, 0.73, 1.27),
)
# fmt: on
"""Position of the image over a recording: time in ms, then column and row of the sensor that its upper left corner
lies on, in pixels. Between these, it is interpolated linearly. Fitted to real recordings."""

_MARGIN = 16
"""Empty pixels around the 28 x 28 image: more than the image ever leaves the sensor by."""


@dataclass(frozen=True, kw_only=True)
class EventCamera:
    """A camera; equal fields give equal recordings. ``None`` switches an effect off.

    Attributes
    ----------
    seed : int
        Seed of the camera's fixed pattern and of everything that differs between recordings.
    threshold : float
        Mean contrast threshold: change of L (see the module) per event.
    threshold_spread : float or None
        Standard deviation of ln(threshold) from pixel to pixel.
    sensitivity_spread : float or None
        Standard deviation of ln(threshold) from recording to recording.
    contrast, gamma : float
        Contrast of ink against paper, and exponent of the screen.
    blur_px : float
        Standard deviation of the optics' point spread, pixels.
    photoreceptor_us : float or None
        Time constant of the photoreceptor.
    noise_hz : float or None
        Background events of a pixel per second.
    noise_on : float
        Fraction of ON among background events.
    hot_pixels : tuple of (int, int, float)
        Column, row and events per second of pixels that fire without light.
    jitter_px : float or None
        Standard deviation, from recording to recording, of the image's position in each direction; cut at 6 pixels.
    """

    seed: int
    threshold: float = 0.06
    threshold_spread: float | None = 0.2
    sensitivity_spread: float | None = 0.045
    contrast: float = 0.667
    gamma: float = 2.0
    blur_px: float = 0.8
    photoreceptor_us: float | None = 5000.0
    noise_hz: float | None = 0.35
    noise_on: float = 0.9
    hot_pixels: tuple[tuple[int, int, float], ...] = ((18, 30, 47.0),)
    jitter_px: float | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "contrast", "gamma"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("threshold_spread", "sensitivity_spread", "photoreceptor_us", "noise_hz", "jitter_px", "blur_px"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name}: expected a number of at least 0, got {value}")
        if not 0 <= self.noise_on <= 1:
            raise ValueError(f"noise_on: expected a fraction, 0 to 1, got {self.noise_on}")
        columns, rows = NMNIST_SENSOR
        for x, y, rate in self.hot_pixels:
            if not (0 <= x < columns and 0 <= y < rows and rate >= 0):
                raise ValueError(
                    f"hot pixel ({x}, {y}) at {rate} Hz: expected a pixel of the {columns} x {rows} sensor"
                )

    @cached_property
    def pattern(self) -> NDArray[np.float64]:
        """Threshold of each pixel; shape (34, 34), row first."""
        rng = np.random.default_rng([self.seed, 0])
        columns, rows = NMNIST_SENSOR
        spread: NDArray[np.float64] = np.exp((self.threshold_spread or 0.0) * rng.standard_normal((rows, columns)))
        return self.threshold * spread

    def record(self, image: NDArray[np.uint8], number: int) -> Events:
        """One recording.

        Parameters
        ----------
        image : ndarray of uint8, shape (28, 28)
            The digit shown.
        number : int
            Number of the recording, at least 0: each has noise of its own, whatever was recorded before it.

        Raises
        ------
        ValueError
            An image of another shape.
        """
        if image.shape != (28, 28):
            raise ValueError(f"image: expected shape (28, 28), got {image.shape}")
        rng = np.random.default_rng([self.seed, 1, number])
        columns, rows = NMNIST_SENSOR
        ink = np.pad((image / 255.0) ** self.gamma, _MARGIN)
        brightness = -np.log1p(self.contrast * gaussian_filter(ink, self.blur_px))
        path = _path_per_ms() + np.clip((self.jitter_px or 0.0) * rng.standard_normal(2), -6, 6)
        threshold = self.pattern * np.exp((self.sensitivity_spread or 0.0) * rng.standard_normal())
        start = rng.random((rows, columns)) - 0.5
        share = 1.0 if not self.photoreceptor_us else -np.expm1(-1000.0 / self.photoreceptor_us)
        signal = _pixels(brightness, path, threshold, start, share)
        noise = self._noise(rng)
        table = np.concatenate([signal, noise])
        table = table[np.argsort(table[:, 3], kind="stable")]
        return Events(
            x=table[:, 0].astype(np.uint16),
            y=table[:, 1].astype(np.uint16),
            on=table[:, 2] == 1,
            t_us=table[:, 3],
        )

    def record_all(self, images: Iterable[NDArray[np.uint8]], first: int = 0) -> list[Events]:
        """Recordings of several images, numbered from `first`."""
        return [self.record(image, number) for number, image in enumerate(images, first)]

    def _noise(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Background and hot pixels; columns x, y, on, t_us."""
        columns, rows = NMNIST_SENSOR
        rate = np.full((rows, columns), self.noise_hz or 0.0)
        for x, y, hertz in self.hot_pixels:
            rate[y, x] = hertz
        counts = rng.poisson(rate * NMNIST_DURATION_US * 1e-6)
        pixel = np.repeat(np.arange(columns * rows), counts.ravel())
        on = rng.random(len(pixel)) < self.noise_on
        t_us = rng.integers(0, NMNIST_DURATION_US, len(pixel))
        return np.stack([pixel % columns, pixel // columns, on, t_us], axis=1)


@lru_cache(maxsize=1)
def _path_per_ms() -> NDArray[np.float64]:
    """Image position at 0, 1, ... ms; shape (321, 2), column and row."""
    knots = np.array(TRAJECTORY)
    at = np.arange(NMNIST_DURATION_US // 1000 + 1)
    return np.stack([np.interp(at, knots[:, 0], knots[:, axis]) for axis in (1, 2)], axis=1)


@numba.njit(cache=True)
def _frame(brightness, column, row, frame):  # type: ignore[no-untyped-def]
    """What the sensor sees with the image's corner at (column, row), bilinear; `brightness` is padded by `_MARGIN`."""
    left, top = int(np.floor(-column)), int(np.floor(-row))
    right, below = -column - left, -row - top
    upper_left, upper_right = (1 - right) * (1 - below), right * (1 - below)
    lower_left, lower_right = (1 - right) * below, right * below
    for y in range(frame.shape[0]):
        upper, lower = brightness[y + top + _MARGIN], brightness[y + top + _MARGIN + 1]
        for x in range(frame.shape[1]):
            at = x + left + _MARGIN
            frame[y, x] = (
                upper_left * upper[at]
                + upper_right * upper[at + 1]
                + lower_left * lower[at]
                + lower_right * lower[at + 1]
            )


@numba.njit(cache=True)
def _pixels(brightness, path, threshold, start, share):  # type: ignore[no-untyped-def]
    """Events of all pixels, by ms; rows of x, y, on, t_us.

    `brightness` is the padded map, `path` the position per ms, `start` where between two events each pixel begins (in
    thresholds), `share` what the photoreceptor follows of a step within 1 ms.
    """
    rows, columns = threshold.shape
    events = np.empty((1 << 13, 4), np.int64)
    count = 0
    level = np.empty((rows, columns))
    _frame(brightness, path[0, 0], path[0, 1], level)
    reference = level + start * threshold
    frame = np.empty((rows, columns))
    for k in range(1, len(path)):
        _frame(brightness, path[k, 0], path[k, 1], frame)
        for y in range(rows):
            for x in range(columns):
                frame[y, x] = level[y, x] + share * (frame[y, x] - level[y, x])
        for y in range(rows):
            for x in range(columns):
                after, step = frame[y, x], threshold[y, x]
                while abs(after - reference[y, x]) >= step:
                    up = after > reference[y, x]
                    reference[y, x] += step if up else -step
                    moved = after - level[y, x]
                    within = (reference[y, x] - level[y, x]) / moved if moved != 0 else 1.0
                    if count == len(events):
                        more = np.empty((2 * count, 4), np.int64)
                        more[:count] = events
                        events = more
                    events[count, 0] = x
                    events[count, 1] = y
                    events[count, 2] = up
                    events[count, 3] = int((k - 1 + min(max(within, 0.0), 1.0)) * 1000)
                    count += 1
        level, frame = frame, level
    return events[:count]
