"""Labelled speech: folders of WAV files, HDF5 files of recorded cochleas, and digits spoken by a synthesiser.

- *Folders* of WAV files: ``LABEL_SPEAKER_TAKE.wav`` (Free Spoken Digit Dataset), or a folder per label.
- *N-TIDIGITS* (``n-tidigits.hdf5``): spikes of a 64-channel silicon cochlea. Keys such as ``man-im-a-7`` name speaker
  and digits; the data sets ``train_labels`` and ``test_labels`` list them, times in s and channels lie in groups
  ``train_timestamps``, ``train_addresses`` and the same of ``test``. The speakers of both parts differ.
- *SHD*: ``spikes/times`` in s and ``spikes/units`` of 700 channels, ``labels``, and ``extra/speaker``.
- *Synthesised*: `synthesise_digits` calls the program ``espeak-ng`` (Debian package of that name, GPL-3.0-or-later; it
  is run, not linked). Its clips are TIDIGITS-like: the same eleven words, by voices instead of people.

Recorded spikes are put on the chip's steps as S. Wang et al., Nat. Comput. Sci. 5 (2025) 37 do: 1 ms bins, cut along
time into as many equal chunks as the chip has steps, a chunk being the OR of its bins.

Sources: J. Anumula et al., "Feature representations for neuromorphic audio spike streams", Front. Neurosci. 12 (2018)
23 (N-TIDIGITS); B. Cramer et al., "The Heidelberg spiking data sets for the systematic evaluation of spiking neural
networks", IEEE Trans. Neural Netw. Learn. Syst. 33 (2022) 2744 (SHD).
"""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.files import write_arrays
from sim.fixed_point import IntArray
from sim.foreign_files import read_npz
from sim.lsm_crossbar.recordings.audio import Clip, read_wav
from sim.messages import shown

DEPENDS_ON = ("../data/tidigits_like.npz",)

__all__ = [
    "VOICES", "WORDS", "SpeechFile", "SpokenClips", "SpokenSpikes", "chunked", "find_speech", "ntidigits_label",
    "read_ntidigits", "read_shd", "read_spoken", "synthesise_digits", "tidigits_like", "write_spoken",
]  # fmt: skip

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh")
"""The eleven words of TIDIGITS; a word's place is its class."""
VOICES = tuple(
    f"{accent}+{voice}"
    for accent in ("en-us", "en-gb")
    for voice in ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt", "Andy",
                  "Annie", "max", "steph", "linda", "Gene", "Denis", "Alex")
)  # fmt: skip
"""Voices of espeak-ng that speak intelligible digits."""
_BIN_S = 1e-3


# ------------------------------------------------------------------------------------------------------------ folders
@dataclass(frozen=True, kw_only=True)
class SpeechFile:
    """One WAV file: its class, and who spoke (empty where the name does not say)."""

    path: Path
    label: int
    speaker: str
    take: int


def find_speech(folder: Path) -> list[SpeechFile]:
    """WAV files of a folder, ``LABEL_SPEAKER_TAKE.wav`` or ``LABEL/ANY.wav``, in the order of their names.

    Labels are whole numbers, or words of `WORDS`.

    Raises
    ------
    FileNotFoundError
        No such folder, or no WAV file in it.
    ValueError
        A name that does not say the label; the message names the file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder of WAV files")
    found = []
    for path in sorted(folder.glob("*.wav")):
        parts = path.stem.split("_")
        if len(parts) != 3 or not (parts[2].isascii() and parts[2].isdigit()):
            raise ValueError(f"{path}: expected a name LABEL_SPEAKER_TAKE.wav such as 7_jackson_12.wav")
        found.append(SpeechFile(path=path, label=_label(path, parts[0]), speaker=parts[1], take=int(parts[2])))
    for number, path in enumerate(sorted(folder.glob("*/*.wav"))):
        found.append(SpeechFile(path=path, label=_label(path, path.parent.name), speaker="", take=number))
    if not found:
        raise FileNotFoundError(f"{folder}: expected WAV files LABEL_SPEAKER_TAKE.wav or LABEL/NAME.wav, found none")
    return found


def _label(path: Path, text: str) -> int:
    if text.lower() in WORDS:
        return WORDS.index(text.lower())
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise ValueError(f"{path}: expected a class, a number or one of {', '.join(WORDS)}, got {shown(text)}")
    return int(text)


# --------------------------------------------------------------------------------------------------------- recorded
@dataclass(frozen=True, kw_only=True, eq=False)
class SpokenSpikes:
    """Recorded clips as input spikes.

    Attributes
    ----------
    spikes : ndarray of bool, shape (n, steps, channels)
    labels : ndarray of int64, shape (n,)
    speakers : ndarray of str, shape (n,)
    """

    spikes: NDArray[np.bool_]
    labels: IntArray
    speakers: NDArray[np.str_]


def chunked(time_s: NDArray[Any], channel: NDArray[Any], *, steps: int, channels: int) -> NDArray[np.bool_]:
    """Input spikes of one recorded clip, shape (steps, channels).

    Time counts from the first event, in bins of 1 ms; with T bins up to the last event a step is ``ceil(T / steps)``
    bins, so that the length of a step depends on the clip, and the last steps may stay silent.

    Raises
    ------
    ValueError
        Arrays of different lengths, a time that is not finite, or a channel outside; the message names the event.
    """
    if time_s.ndim != 1 or time_s.shape != channel.shape:
        raise ValueError(f"expected a time and a channel for every event, got {time_s.shape} and {channel.shape}")
    spikes = np.zeros((steps, channels), np.bool_)
    if not len(time_s):
        return spikes
    bad = np.flatnonzero(~np.isfinite(time_s))
    if bad.size:
        raise ValueError(f"event {bad[0]}: expected a time in s, got {time_s[bad[0]]}")
    bad = np.flatnonzero((channel < 0) | (channel >= channels) | (channel != np.floor(channel)))
    if bad.size:
        raise ValueError(f"event {bad[0]}: expected a channel from 0 to {channels - 1}, got {channel[bad[0]]}")
    bins = np.floor((time_s - time_s.min()) / _BIN_S + 1e-6).astype(np.int64)
    length = -(-(int(bins.max()) + 1) // steps)
    spikes[bins // length, channel.astype(np.int64)] = True
    return spikes


def ntidigits_label(key: str) -> tuple[str, str]:
    """Speaker and digits of a key: ``man-im-a-7557`` is speaker ``man-im``, digits ``7557``; o is "oh", z "zero".

    Raises
    ------
    ValueError
        If the text is no such key.
    """
    found = re.fullmatch(r"((?:man|woman|boy|girl)-[a-z]+)-[a-z0-9]-([1-9oz]+)", key)
    if not found:
        raise ValueError(f"expected a key such as man-im-a-7557, got {shown(key)}")
    return found[1], found[2]


def read_ntidigits(path: Path, part: str, *, steps: int, channels: int = 64) -> SpokenSpikes:
    """Single digits of N-TIDIGITS.

    Parameters
    ----------
    path : Path
    part : {"train", "test"}
        Their speakers differ.
    steps : int
    channels : int
        Both ears of the cochlea share 64 channels in this file.

    Raises
    ------
    ModuleNotFoundError
        Without the library h5py (extra ``files``).
    ValueError
        Not such a file; the message names the data set or the key.
    """
    words = {"z": 0, "o": 10} | {str(digit): digit for digit in range(1, 10)}

    def read(file: Any) -> SpokenSpikes:
        keys = [key.decode() if isinstance(key, bytes) else str(key) for key in _data(file, f"{part}_labels")[()]]
        spikes, labels, speakers = [], [], []
        for key in keys:
            speaker, digits = ntidigits_label(key)
            if len(digits) > 1:
                continue
            times = _data(file, f"{part}_timestamps/{key}")[()]
            addresses = _data(file, f"{part}_addresses/{key}")[()]
            try:
                spikes.append(chunked(times, addresses, steps=steps, channels=channels))
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None
            labels.append(words[digits])
            speakers.append(speaker)
        return _spoken(spikes, labels, speakers, steps, channels)

    return _hdf5(path, read)


def read_shd(path: Path, *, steps: int, channels: int = 64) -> SpokenSpikes:
    """A file of SHD; its 700 channels are merged into `channels` equal groups. Errors as `read_ntidigits`."""

    def read(file: Any) -> SpokenSpikes:
        times, units = _data(file, "spikes/times"), _data(file, "spikes/units")
        labels = np.asarray(_data(file, "labels")[()], np.int64)
        speakers = [str(int(speaker)) for speaker in _data(file, "extra/speaker")[()]]
        if not len(times) == len(units) == len(labels) == len(speakers):
            raise ValueError(
                f"expected as many times, units, labels and speakers, got {len(times)}, {len(units)}, {len(labels)} "
                f"and {len(speakers)}"
            )
        spikes = []
        for clip in range(len(labels)):
            unit = np.asarray(units[clip])
            bad = np.flatnonzero((unit < 0) | (unit >= 700))
            if bad.size:
                raise ValueError(f"clip {clip}, event {bad[0]}: expected a unit from 0 to 699, got {unit[bad[0]]}")
            channel = unit.astype(np.int64) * channels // 700
            spikes.append(chunked(np.asarray(times[clip], np.float64), channel, steps=steps, channels=channels))
        return _spoken(spikes, labels.tolist(), speakers, steps, channels)

    return _hdf5(path, read)


def _spoken(
    spikes: list[NDArray[np.bool_]], labels: list[int], speakers: list[str], steps: int, channels: int
) -> SpokenSpikes:
    return SpokenSpikes(
        spikes=np.stack(spikes) if spikes else np.zeros((0, steps, channels), np.bool_),
        labels=np.array(labels, np.int64), speakers=np.array(speakers, np.str_),
    )  # fmt: skip


def _data(file: Any, name: str) -> Any:
    if name not in file:
        raise ValueError(f"expected a data set {name}, found {shown(', '.join(file), quoted=False)}")
    return file[name]


def _hdf5(path: Path, read: Callable[[Any], SpokenSpikes]) -> SpokenSpikes:
    try:
        h5py = importlib.import_module("h5py")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{path}: HDF5 files are read by the library h5py (extra files)") from None
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with h5py.File(path) as file:
            return read(file)
    except (ValueError, OSError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        # what the library raises for a damaged file, too
        raise ValueError(f"{path}: {shown(error, quoted=False)}") from None


# ------------------------------------------------------------------------------------------------------ synthesised
@dataclass(frozen=True, kw_only=True, eq=False)
class SpokenClips:
    """Clips with their class and who spoke."""

    clips: list[Clip]
    labels: IntArray
    speakers: NDArray[np.str_]


def synthesise_digits(
    voices: Sequence[str] = VOICES, *, words: Sequence[str] = WORDS, words_per_minute: Sequence[int] = (150,)
) -> SpokenClips:
    """All words by all voices at all speeds, by the program espeak-ng; the same call gives the same clips.

    Raises
    ------
    FileNotFoundError
        Without espeak-ng; the message says how to get it.
    ValueError
        A voice that espeak-ng does not have.
    """
    program = shutil.which("espeak-ng")
    if program is None:
        raise FileNotFoundError("espeak-ng: no such program; it speaks the digits (Debian: apt install espeak-ng)")
    # an unknown voice is not an error for espeak-ng: it takes another
    languages, variants = (
        _listed(program, "--voices", r"^ *\d+ +(\S+)"),
        _listed(program, "--voices=variant", r"!v/(\S+)"),
    )
    for voice in voices:
        language, _, variant = voice.partition("+")
        if language not in languages or (variant and variant not in variants):
            raise ValueError(f"espeak-ng has no voice {shown(voice)}")
    clips, labels, speakers = [], [], []
    with tempfile.TemporaryDirectory(prefix="liquidcal-speech-") as folder:
        file = Path(folder, "word.wav")
        for voice in voices:
            for speed in words_per_minute:
                for label, word in enumerate(words):
                    command = [program, "-v", voice, "-s", str(speed), "-w", str(file), word]
                    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
                    if run.returncode or not file.is_file():
                        raise ValueError(f"espeak-ng {voice}: {shown(run.stderr.strip(), quoted=False)}")
                    clips.append(read_wav(file))
                    file.unlink()
                    labels.append(label)
                    speakers.append(voice)
    return SpokenClips(clips=clips, labels=np.array(labels, np.int64), speakers=np.array(speakers, np.str_))


def _listed(program: str, option: str, pattern: str) -> set[str]:
    """What a pattern finds in a list of voices."""
    run = subprocess.run([program, option], capture_output=True, text=True, timeout=60)
    return set(re.findall(pattern, run.stdout, re.MULTILINE))


def write_spoken(path: Path, spoken: SpokenSpikes) -> None:
    """Write spikes, labels and speakers as a compressed ``.npz``; the same set gives the same bytes."""
    write_arrays(path, {
        "spikes": np.packbits(spoken.spikes, axis=2), "channels": np.array(spoken.spikes.shape[2]),
        "labels": spoken.labels.astype(np.int16), "speakers": spoken.speakers,
    })  # fmt: skip


def read_spoken(path: Path) -> SpokenSpikes:
    """Read a file of `write_spoken`. Raises ValueError if it is none."""
    stored = read_npz(path)
    if missing := [name for name in ("spikes", "channels", "labels", "speakers") if name not in stored]:
        raise ValueError(f"{path}: not a set of spoken words: {', '.join(missing)} missing")
    packed, channels, labels = stored["spikes"], stored["channels"], stored["labels"]
    bytes_ = -(-int(channels) // 8) if channels.dtype.kind in "iu" and not channels.ndim else 0
    if packed.dtype != np.uint8 or packed.ndim != 3 or bytes_ < 1 or packed.shape[2] != bytes_:
        raise ValueError(
            f"{path}: spikes: expected a byte for 8 of {shown(channels.tolist())} channels, got {packed.shape} of "
            f"{packed.dtype}"
        )
    for name, kinds in (("labels", "iu"), ("speakers", "U")):
        if stored[name].shape != packed.shape[:1] or stored[name].dtype.kind not in kinds:
            raise ValueError(f"{path}: {name}: expected one for each of {len(packed)} clips, got {stored[name].shape}")
    spikes = np.unpackbits(packed, axis=2, count=int(channels)).view(np.bool_)
    return SpokenSpikes(spikes=spikes, labels=labels.astype(np.int64), speakers=stored["speakers"])


def tidigits_like() -> SpokenSpikes:
    """The set that ships: every word of `WORDS` by every voice of `VOICES`, through the default front end."""
    return read_spoken(Path(str(resources.files("sim.lsm_crossbar"))) / "data" / "tidigits_like.npz")
