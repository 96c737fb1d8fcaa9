"""Speech as input spikes: WAV files, and a front end of 64 gammatone channels like those of a silicon cochlea.

``Cochlea`` turns a clip into one bit per step and channel: gammatone filters at equal distances on the ERB scale,
half-wave rectification, the mean of each step, the clip's largest value as 1, logarithmic compression, and one
integrate-and-fire neuron per channel. It stands before the chip, in floating point: what enters the crossbar are bits.

Sources: M. Slaney, "An efficient implementation of the Patterson-Holdsworth auditory filter bank", Apple technical
report 35 (1993) (filters, through `scipy.signal.gammatone`); B. R. Glasberg and B. C. J. Moore, "Derivation of auditory
filter shapes from notched-noise data", Hear. Res. 47 (1990) 103 (ERB scale). Number of channels and steps, and steps
that share a clip equally, are those of S. Wang et al., Nat. Comput. Sci. 5 (2025) 37, for N-TIDIGITS.
"""

from __future__ import annotations

import json
import struct
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from math import gcd
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import wavfile
from scipy.signal import gammatone, lfilter, resample_poly

from sim.foreign_files import parse_json
from sim.messages import shown
from sim.spec_file import check_integer, check_real

__all__ = ["Clip", "Cochlea", "erb_frequencies", "read_wav"]

Float64 = NDArray[np.float64]
RATE_HZ = 8_000
"""Rate at which the filters work; other clips are resampled."""
MOST_SECONDS = 60.0
"""A spoken word is shorter; a longer file is taken for a mistake."""
_EAR_Q, _LEAST_BANDWIDTH_HZ = 9.26449, 24.7


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """A recording of sound.

    Attributes
    ----------
    samples : ndarray of float64, shape (n,)
        Sound pressure in any unit: the front end divides by the clip's largest value.
    rate_hz : int

    Raises
    ------
    ValueError
        No sample, one that is not finite, a rate below `RATE_HZ`, or more than `MOST_SECONDS`.
    """

    samples: Float64
    rate_hz: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or not len(self.samples):
            raise ValueError(f"expected at least one sample of one channel, got shape {self.samples.shape}")
        bad = np.flatnonzero(~np.isfinite(self.samples))
        if bad.size:
            raise ValueError(f"sample {bad[0]}: expected a finite number, got {self.samples[bad[0]]}")
        if self.rate_hz < RATE_HZ:
            raise ValueError(f"sampling rate: expected at least {RATE_HZ} Hz, got {self.rate_hz} Hz")
        if len(self.samples) > MOST_SECONDS * self.rate_hz:
            raise ValueError(f"expected at most {MOST_SECONDS:g} s, got {len(self.samples) / self.rate_hz:.1f} s")


def _check_chunks(raw: bytes) -> None:
    """Whether the chunks of a RIFF file fill it as they say: the library would look for what is not there."""
    order = {b"RIFF": "<", b"RIFX": ">"}.get(raw[:4])
    if order is None or raw[8:12] != b"WAVE":
        raise ValueError(f"expected it to begin with RIFF and WAVE, got {raw[:12]!r}")
    end, at = 8 + struct.unpack_from(f"{order}I", raw, 4)[0], 12
    if end > len(raw):
        raise ValueError(f"expected {end:,} bytes, got {len(raw):,}")
    names = []
    while at + 8 <= end:
        name, size = raw[at : at + 4], struct.unpack_from(f"{order}I", raw, at + 4)[0]
        at += 8 + size
        if at > end:
            raise ValueError(f"chunk {name!r} of {size:,} bytes is longer than the rest of the file")
        at += size % 2
        names.append(name)
    if (names.count(b"fmt "), names.count(b"data")) != (1, 1):
        raise ValueError(f"expected one chunk fmt and one data, got {shown(b', '.join(names).decode('latin-1'))}")


def read_wav(path: Path) -> Clip:
    """Read a WAV file of integers or floating-point numbers, at any rate from `RATE_HZ`; channels are averaged.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Not a WAV file, or one without a usable sample; the message begins with the path.
    """
    path = Path(path)
    try:
        _check_chunks(path.read_bytes())
        with warnings.catch_warnings():
            # chunks that are no sound are skipped; an end inside the sound is an error
            warnings.filterwarnings("ignore", "Chunk", wavfile.WavFileWarning)
            warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
            rate, samples = wavfile.read(path)
    except FileNotFoundError:
        raise
    except (ValueError, EOFError, OSError, ArithmeticError, struct.error, UnboundLocalError,
            wavfile.WavFileWarning) as error:  # fmt: skip
        # what the library raises for a file that it cannot read
        raise ValueError(f"{path}: not a complete WAV file: {shown(error, quoted=False)}") from None
    middle = 128 if samples.dtype == np.uint8 else 0
    values = samples.astype(np.float64) - middle
    try:
        return Clip(samples=values.mean(axis=1) if values.ndim == 2 else values, rate_hz=int(rate))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def erb_frequencies(low_hz: float, high_hz: float, channels: int) -> Float64:
    """Centre frequencies in Hz at equal distances on the ERB scale, lowest first; both ends are among them."""
    corner = _EAR_Q * _LEAST_BANDWIDTH_HZ
    return (low_hz + corner) * ((high_hz + corner) / (low_hz + corner)) ** np.linspace(0, 1, channels) - corner


@dataclass(frozen=True, kw_only=True)
class Cochlea:
    """The front end: clips to input spikes.

    Attributes
    ----------
    channels : int
        Filters, and word lines.
    low_hz, high_hz : float
        Lowest and highest centre frequency.
    trim : float or None
        Silence before the first and after the last sample above this share of the clip's largest magnitude is cut off;
        None: nothing is cut.
    compression : float
        a of log(1 + a e) / log(1 + a), with e the mean of a step over the largest of the clip.
    floor : float
        Subtracted from the compressed mean; what is below 0 then counts as 0.
    step_ms : float or None
        Length of a step; sound after the last one is not heard. None: the clip is shared equally by the steps.
    """

    channels: int = 64
    low_hz: float = 80.0
    high_hz: float = 3_700.0
    trim: float | None = 0.02
    compression: float = 200.0
    floor: float = 0.15
    step_ms: float | None = None

    def __post_init__(self) -> None:
        check_integer("channels", self.channels, 1, 1 << 10)
        check_real("low_hz", self.low_hz, 1, self.high_hz, "a frequency from 1 Hz up to high_hz")
        check_real("high_hz", self.high_hz, 1, RATE_HZ / 2, f"a frequency up to {RATE_HZ // 2} Hz")
        if self.trim is not None:
            check_real("trim", self.trim, 0, 1, "a share, 0 to 1, or None")
        check_real("compression", self.compression, 1e-9, 1e9, "a number above 0")
        check_real("floor", self.floor, 0, 1, "a number from 0 to 1")
        if self.step_ms is not None:
            check_real("step_ms", self.step_ms, 1e-3, 1e3, "a time from 0.001 to 1,000 ms, or None")

    def to_json(self) -> str:
        """All fields as JSON, for the file of a model."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Cochlea:
        """A front end of `to_json`. Raises ValueError if a field is missing, unknown or out of range."""
        table = parse_json(text, "cochlea")
        names = [f.name for f in fields(cls)]
        if not isinstance(table, dict) or sorted(table) != sorted(names):
            raise ValueError(f"cochlea: expected the fields {', '.join(names)}, got {shown(str(table))}")
        try:
            return cls(**table)
        except ValueError as error:
            raise ValueError(f"cochlea: {error}") from None

    @property
    def name(self) -> str:
        """What it is called beside encodings of events."""
        return "cochlea"

    @property
    def inputs(self) -> int:
        """Word lines that it drives."""
        return self.channels

    @cached_property
    def _filters(self) -> list[tuple[Float64, Float64]]:
        return [
            gammatone(frequency, "iir", fs=RATE_HZ)
            for frequency in erb_frequencies(self.low_hz, self.high_hz, self.channels)
        ]

    def levels(self, clip: Clip, steps: int) -> Float64:
        """Compressed mean of each step and channel, less the floor; shape (steps, channels), 0 to 1."""
        samples = clip.samples - clip.samples.mean()
        if clip.rate_hz != RATE_HZ:
            common = gcd(RATE_HZ, clip.rate_hz)
            samples = resample_poly(samples, RATE_HZ // common, clip.rate_hz // common)
        largest = np.abs(samples).max()
        if largest == 0:
            return np.zeros((steps, self.channels))
        if self.trim is not None:
            heard = np.flatnonzero(np.abs(samples) > self.trim * largest)
            samples = samples[heard[0] : heard[-1] + 1]
        if self.step_ms is None:
            edges = np.arange(steps + 1) * len(samples) // steps
        else:
            edges = np.rint(np.arange(steps + 1) * self.step_ms * RATE_HZ / 1000).astype(np.int64)
            samples = np.pad(samples, (0, max(0, edges[-1] - len(samples))))
        means = np.empty((steps, self.channels))
        for channel, (b, a) in enumerate(self._filters):
            total = np.concatenate([[0.0], np.cumsum(np.maximum(lfilter(b, a, samples), 0))])
            means[:, channel] = (total[edges[1:]] - total[edges[:-1]]) / np.maximum(np.diff(edges), 1)
        means /= max(means.max(), np.finfo(float).tiny)
        compressed = np.log1p(self.compression * means) / np.log1p(self.compression)
        levels: Float64 = np.maximum(compressed - self.floor, 0)
        return levels

    def spikes(self, clip: Clip, steps: int) -> NDArray[np.bool_]:
        """Input spikes of one clip; shape (steps, channels).

        A channel's potential grows by its level; from 1 on it spikes and loses 1.
        """
        total = np.cumsum(self.levels(clip, steps), axis=0)
        # levels are at most 1, so a step crosses at most one whole number
        whole = np.floor(total + 1e-9)
        crossed: NDArray[np.bool_] = np.diff(whole, axis=0, prepend=0) > 0
        return crossed

    def all_spikes(self, clips: Iterable[Clip], steps: int, inputs: int | None = None) -> NDArray[np.bool_]:
        """Input spikes of many clips; shape (clips, steps, inputs).

        Parameters
        ----------
        clips : iterable of Clip
        steps : int
        inputs : int, optional
            Word lines of the chip, at least `channels`; further ones stay silent.
        """
        lines = self.channels if inputs is None else inputs
        if lines < self.channels:
            raise ValueError(f"the cochlea drives {self.channels} word lines, the chip has {inputs}")
        found = [self.spikes(clip, steps) for clip in clips]
        spikes = np.zeros((len(found), steps, lines), np.bool_)
        if found:
            spikes[:, :, : self.channels] = np.stack(found)
        return spikes
