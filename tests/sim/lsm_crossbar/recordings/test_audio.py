"""Front end for sound and readers of speech: WAV files, folders, N-TIDIGITS and SHD in their published layout."""

import shutil
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from sim.lsm_crossbar.recordings.audio import Clip, Cochlea, erb_frequencies, read_wav
from sim.lsm_crossbar.recordings.speech import (
    VOICES,
    WORDS,
    chunked,
    find_speech,
    ntidigits_label,
    read_ntidigits,
    read_shd,
    read_spoken,
    synthesise_digits,
    tidigits_like,
)
from tests.conftest import need, need_module

RATE = 8000


def tone(frequency: float, seconds: float = 0.3, rate: int = RATE) -> np.ndarray:
    """A sine."""
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate)


def test_centre_frequencies_are_equally_far_apart_on_the_erb_scale() -> None:
    """Glasberg and Moore (1990): ERB number = 21.4 log10(1 + 0.00437 f / Hz)."""
    found = erb_frequencies(80, 3700, 64)
    assert (found[0], found[-1]) == (pytest.approx(80), pytest.approx(3700))
    numbers = 21.4 * np.log10(1 + 0.00437 * found)
    assert np.diff(numbers) == pytest.approx(np.diff(numbers).mean(), rel=1e-3)


@pytest.mark.parametrize("frequency", [120, 440, 1000, 3000])
def test_a_tone_is_loudest_in_the_channel_of_its_frequency(frequency: float) -> None:
    cochlea = Cochlea(floor=0.0)
    levels = cochlea.levels(Clip(samples=tone(frequency), rate_hz=RATE), 20)
    centres = erb_frequencies(80, 3700, 64)
    assert abs(int(levels[5:].mean(0).argmax()) - int(np.abs(centres - frequency).argmin())) <= 1
    assert 0 <= levels.min() <= levels.max() == pytest.approx(1)


def test_spikes_are_the_integral_of_the_levels_and_do_not_depend_on_loudness_or_rate() -> None:
    cochlea, samples = Cochlea(), tone(500) * np.hanning(2400)
    levels = cochlea.levels(Clip(samples=samples, rate_hz=RATE), 30)
    spikes = cochlea.spikes(Clip(samples=samples, rate_hz=RATE), 30)
    assert spikes.shape == (30, 64)
    potential = np.zeros(64)
    for step in range(30):
        potential += levels[step]
        fired = potential >= 1 - 1e-9
        assert (fired == spikes[step]).all()
        potential -= fired
    assert (cochlea.spikes(Clip(samples=samples * 1e-3, rate_hz=RATE), 30) == spikes).all()
    fine = tone(500, rate=44100) * np.hanning(13230)
    other = cochlea.spikes(Clip(samples=fine, rate_hz=44100), 30)
    assert np.mean(other != spikes) < 0.03
    silent = cochlea.spikes(Clip(samples=np.zeros(100), rate_hz=RATE), 30)
    assert not silent.any()


def test_steps_share_the_clip_or_have_a_fixed_length() -> None:
    sound = np.concatenate([np.zeros(800), tone(700, 0.1), np.zeros(1600)])
    shared = Cochlea().levels(Clip(samples=sound, rate_hz=RATE), 10)
    assert (shared.max(axis=1) > 0.3).all()  # silence is trimmed, every step has sound
    fixed = Cochlea(trim=None, step_ms=25).levels(Clip(samples=sound, rate_hz=RATE), 20)
    assert not fixed[:4].any()
    assert fixed[4:8].max() > 0.8
    assert not fixed[14:].any()  # after the end


def test_wav_of_any_kind_is_read_and_damage_is_one_line(tmp_path: Path) -> None:
    sound = tone(440)
    for dtype, scale in ((np.int16, 32000), (np.int32, 2**31 - 500), (np.float32, 1.0)):
        wavfile.write(tmp_path / "a.wav", RATE, (sound * scale).astype(dtype))
        found = read_wav(tmp_path / "a.wav")
        assert found.rate_hz == RATE
        assert found.samples / scale == pytest.approx(sound, abs=1e-4)
    wavfile.write(tmp_path / "u8.wav", RATE, (sound * 100 + 128).astype(np.uint8))
    assert abs(read_wav(tmp_path / "u8.wav").samples.mean()) < 1
    wavfile.write(tmp_path / "stereo.wav", RATE, np.stack([sound, np.zeros_like(sound)], 1).astype(np.float32))
    assert read_wav(tmp_path / "stereo.wav").samples == pytest.approx(sound / 2, abs=1e-6)
    with wave.open(str(tmp_path / "24.wav"), "wb") as file:  # another writer than the reader's library
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(16000)
        file.writeframes(b"".join(struct.pack("<i", int(s * 8e6))[:3] for s in tone(440, rate=16000)))
    assert read_wav(tmp_path / "24.wav").rate_hz == 16000
    whole = (tmp_path / "a.wav").read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"hello"), ("empty", b""), ("head", whole[:30])):
        (tmp_path / f"{name}.wav").write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.wav: not a complete WAV file"):
            read_wav(tmp_path / f"{name}.wav")
    # a header that promises a gigabyte, a second sound, a chunk behind the end
    head, sound_chunk = whole[:12], whole[12:]
    size = sound_chunk.index(b"data") + 4
    for name, content, message in (
        ("much", head + sound_chunk[:size] + b"\xff\xff\xff\x3f" + sound_chunk[size + 4 :], "is longer than the rest"),
        (
            "twice",
            b"RIFF" + struct.pack("<I", 4 + 2 * len(sound_chunk)) + b"WAVE" + 2 * sound_chunk,
            "one chunk fmt and",
        ),
        ("long", b"RIFF\xff\xff\xff\x3fWAVE" + sound_chunk, "expected 1,073,741,831 bytes"),
    ):
        (tmp_path / f"{name}.wav").write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.wav: not a complete WAV file: .*{message}"):
            read_wav(tmp_path / f"{name}.wav")
    wavfile.write(tmp_path / "nan.wav", RATE, np.array([0.1, np.nan], np.float32))
    with pytest.raises(ValueError, match="sample 1: expected a finite number"):
        read_wav(tmp_path / "nan.wav")
    wavfile.write(tmp_path / "slow.wav", 4000, np.ones(10, np.int16))
    with pytest.raises(ValueError, match="at least 8000 Hz, got 4000 Hz"):
        read_wav(tmp_path / "slow.wav")
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "none.wav")


def test_front_end_is_stored_and_its_fields_are_checked() -> None:
    cochlea = Cochlea(channels=32, step_ms=7.5, trim=None)
    assert Cochlea.from_json(cochlea.to_json()) == cochlea
    for fields, message in (
        ({"channels": 0}, "channels: expected 1 to 1024"),
        ({"channels": 2.5}, "channels: expected an integer"),
        ({"high_hz": 5000.0}, "high_hz: expected a frequency up to 4000 Hz"),
        ({"low_hz": float("nan")}, "low_hz"),
        ({"trim": 2.0}, "trim"),
        ({"step_ms": True}, "step_ms"),
    ):
        with pytest.raises(ValueError, match=message):
            Cochlea(**fields)


def test_speech_folders_by_name_and_by_subfolder(tmp_path: Path) -> None:
    for name in ("3_ann_0.wav", "oh_bob_12.wav", "seven/x.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        wavfile.write(tmp_path / name, RATE, np.ones(10, np.int16))
    found = find_speech(tmp_path)
    assert [(f.label, f.speaker, f.take) for f in found] == [(3, "ann", 0), (10, "bob", 12), (7, "", 0)]
    wavfile.write(tmp_path / "hello.wav", RATE, np.ones(10, np.int16))
    with pytest.raises(ValueError, match="hello.wav: expected a name LABEL_SPEAKER_TAKE.wav"):
        find_speech(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="found none"):
        find_speech(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="expected a folder"):
        find_speech(tmp_path / "none")


def test_chunks_are_the_published_ones() -> None:
    """1 ms bins, ceil(T / steps) of them are a chunk, OR: by hand."""
    time = np.array([0.0, 0.0004, 0.0021, 0.0049, 0.0051])
    spikes = chunked(time, np.array([1, 1, 0, 2, 2]), steps=3, channels=3)
    # bins 0, 0, 2, 4, 5 of T = 6: two bins a step
    assert np.argwhere(spikes).tolist() == [[0, 1], [1, 0], [2, 2]]
    # T = 5 bins over 4 steps: two bins a step, the last step stays silent
    assert np.argwhere(chunked(np.arange(5) / 1000, np.zeros(5, int), steps=4, channels=1))[:, 0].tolist() == [0, 1, 2]
    late = chunked(time + 7.25, np.array([1, 1, 0, 2, 2]), steps=3, channels=3)
    assert (late == spikes).all()
    assert not chunked(np.zeros(0), np.zeros(0, int), steps=3, channels=3).any()
    with pytest.raises(ValueError, match="event 1: expected a channel from 0 to 2, got 3"):
        chunked(np.zeros(2), np.array([0, 3]), steps=3, channels=3)
    with pytest.raises(ValueError, match="event 0: expected a time in s"):
        chunked(np.array([np.nan]), np.array([0]), steps=3, channels=3)


def test_ntidigits_single_digits_with_speakers(tmp_path: Path) -> None:
    h5py = need_module("h5py", "files")
    keys = {"train": ["man-im-a-7557", "man-im-a-7", "woman-af-b-o"], "test": ["boy-xy-a-z"]}
    with h5py.File(tmp_path / "n.hdf5", "w") as file:
        for part, names in keys.items():
            file[f"{part}_labels"] = np.array(names, "S20")
            for name in names:
                file[f"{part}_timestamps/{name}"] = np.array([0.1, 0.1005, 0.9])
                file[f"{part}_addresses/{name}"] = np.array([5, 63, 0])
    found = read_ntidigits(tmp_path / "n.hdf5", "train", steps=129)
    assert found.labels.tolist() == [7, 10]
    assert found.speakers.tolist() == ["man-im", "woman-af"]
    # 801 bins, 7 a step: the last event is in step 114
    assert [tuple(place) for place in np.argwhere(found.spikes[0])] == [(0, 5), (0, 63), (114, 0)]
    assert read_ntidigits(tmp_path / "n.hdf5", "test", steps=129).labels.tolist() == [0]
    assert ntidigits_label("girl-ab-a-12oz") == ("girl-ab", "12oz")
    with pytest.raises(ValueError, match=r"expected a key such as man-im-a-7557, got 'nonsense'"):
        ntidigits_label("nonsense")
    with h5py.File(tmp_path / "n.hdf5", "a") as file:
        del file["train_addresses/man-im-a-7"]
    with pytest.raises(ValueError, match="n.hdf5: expected a data set train_addresses/man-im-a-7"):
        read_ntidigits(tmp_path / "n.hdf5", "train", steps=129)
    (tmp_path / "text.hdf5").write_text("no")
    with pytest.raises(ValueError, match="text.hdf5"):
        read_ntidigits(tmp_path / "text.hdf5", "train", steps=129)


def test_shd_groups_channels_and_keeps_speakers(tmp_path: Path) -> None:
    h5py = need_module("h5py", "files")
    with h5py.File(tmp_path / "shd.h5", "w") as file:
        for name, kind, rows in (
            ("times", np.float16, [[0.0, 0.5], [0.25]]), ("units", np.uint16, [[0, 699], [350]]),
        ):  # fmt: skip
            data = file.create_dataset(f"spikes/{name}", (2,), dtype=h5py.vlen_dtype(kind))
            for clip, row in enumerate(rows):
                data[clip] = np.array(row, kind)
        file["labels"] = np.array([3, 19], np.uint16)
        file["extra/speaker"] = np.array([4, 11], np.uint16)
    found = read_shd(tmp_path / "shd.h5", steps=10)
    assert found.labels.tolist() == [3, 19]
    assert found.speakers.tolist() == ["4", "11"]
    # 501 bins, 51 a step
    assert np.argwhere(found.spikes[0]).tolist() == [[0, 0], [9, 63]]
    assert np.argwhere(found.spikes[1]).tolist() == [[0, 32]]
    with h5py.File(tmp_path / "shd.h5", "a") as file:
        file["spikes/units"][1] = np.array([700], np.uint16)
    with pytest.raises(ValueError, match="clip 1, event 0: expected a unit from 0 to 699, got 700"):
        read_shd(tmp_path / "shd.h5", steps=10)


def test_the_set_that_ships_is_every_word_by_every_voice() -> None:
    found = tidigits_like()
    assert found.spikes.shape == (len(VOICES) * len(WORDS), 129, 64)
    pairs = set(zip(found.speakers.tolist(), found.labels.tolist(), strict=True))
    assert pairs == {(voice, label) for voice in VOICES for label in range(len(WORDS))}
    assert 0.1 < found.spikes.mean() < 0.35


def test_a_set_of_words_that_is_none_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    good = {
        "spikes": rng.integers(0, 256, (3, 5, 2), np.uint8), "channels": np.array(13), "labels": np.arange(3),
        "speakers": np.array(["a", "b", "c"]),
    }  # fmt: skip
    np.savez(tmp_path / "s.npz", **good)
    assert read_spoken(tmp_path / "s.npz").spikes.shape == (3, 5, 13)
    for name, value, message in (
        ("channels", np.array(1 << 50), "a byte for 8 of 1125899906842624 channels"), ("channels", np.array(17), "17"),
        ("channels", np.array(0), "of 0 channels"), ("channels", np.array(13.0), "13.0 channels"),
        ("spikes", good["spikes"].astype(int), "of int64"),
        ("labels", np.arange(4), "labels: expected one for each of 3"),
        ("speakers", np.arange(3), "speakers: expected one"),
    ):  # fmt: skip
        np.savez(tmp_path / "bad.npz", **good | {name: value})
        with pytest.raises(ValueError, match=rf"bad\.npz: .*{message}"):
            read_spoken(tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", **good | {"speakers": np.full(3, 0x110000, np.uint32).view("<U1")})
    with pytest.raises(ValueError, match=r"bad\.npz: array speakers: expected text, got numbers that are no letters"):
        read_spoken(tmp_path / "bad.npz")


def test_synthesised_digits_are_those_that_ship() -> None:
    need(shutil.which("espeak-ng") is not None, "espeak-ng (Debian package espeak-ng)")
    made = synthesise_digits(VOICES[:1], words=WORDS[:3])
    assert made.labels.tolist() == [0, 1, 2]
    spikes = Cochlea().all_spikes(made.clips, 129)
    # another release of espeak-ng may speak a little differently
    assert np.mean(spikes != tidigits_like().spikes[:3]) < 0.1
    with pytest.raises(ValueError, match="espeak-ng has no voice 'no-such-voice'"):
        synthesise_digits(["no-such-voice"], words=WORDS[:1])
    with pytest.raises(ValueError, match=r"espeak-ng has no voice 'en-us\+nobody'"):
        synthesise_digits(["en-us+nobody"], words=WORDS[:1])
