"""What limits spoken digits of a speaker that training never heard: ``python -m benchmarks.lsm_speakers [PART ...]``.

Three people of the Free Spoken Digit Dataset are here, so two voices are learnt from and the third is the test; mean of
the three choices. The liquid of `SPOKEN_DIGITS` (ten outputs, exact chip arithmetic, five draws) is set beside what is
conventional for few voices, on the same clips and with the same additional voices: mel cepstra (13, with their slopes,
on 20 equal parts of the clip, each clip less its mean) and a kernel machine (least squares, Gaussian kernel).

- *two voices*: the two as they are.
- *three speeds*: each clip also played at 0.88 and 1.14 of its speed, which moves pitch, formants and pace.
- *and synthetic voices*: the 44 voices of the TIDIGITS-like set, too (liquid alone: it ships as spikes).

Options (penalty, width of the kernel) are chosen where one of the two voices is learnt and the other one is the test,
both ways; the third speaker is never looked at before the end. Everything is kept in ``build/lsm``, and each PART of
``levels``, ``cepstra``, ``liquid`` and ``kernel`` takes seconds. ``figures`` writes
``benchmarks/results/lsm_speakers.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.linalg import cho_factor, cho_solve
from scipy.signal import resample

from benchmarks.lsm_association import DRAWS, clip_paths, figure, speech
from benchmarks.lsm_data import RESULTS, kept, kept_array
from flows.common.metrics import Metric, write_metrics
from sim.lsm_crossbar.learning.readout_training import quantise, ridge
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings.audio import RATE_HZ, Clip, Cochlea, read_wav
from sim.lsm_crossbar.recordings.speech import tidigits_like
from sim.lsm_crossbar.spec import N_TIDIGITS

COMMAND = "python -m benchmarks.lsm_speakers"
SPEEDS = (1.0, 0.88, 1.14)
SPEC = replace(N_TIDIGITS, outputs=10, windows=3)
PENALTIES = (1e-2, 1e-1, 1.0, 3.0)
KERNELS = ((0.5, 0.01), (0.5, 0.1), (1.0, 0.01), (1.0, 0.1))
"""Widths of the kernel, in units of the root of the mean squared distance of two clips, and penalties."""
COEFFICIENTS, PARTS, BANDS = 13, 20, 26

Floats = NDArray[np.float64]


def _clips(speed: float) -> list[Clip]:
    """All clips, played at a speed."""
    found = []
    for path in clip_paths():
        clip = read_wav(path)
        if speed != 1.0:
            clip = Clip(samples=resample(clip.samples, round(len(clip.samples) / speed)), rate_hz=clip.rate_hz)
        found.append(clip)
    return found


def spikes(speed: float) -> NDArray[np.bool_]:
    """Input spikes of all clips, shape (clips, steps, channels)."""
    packed = kept_array(
        f"speakers spikes {speed} {Cochlea()}",
        lambda: np.packbits(Cochlea().all_spikes(_clips(speed), SPEC.steps), axis=2),
    )
    return np.unpackbits(packed.astype(np.uint8), axis=2, count=SPEC.inputs).view(np.bool_)


def mel_cepstra(clip: Clip) -> Floats:
    """Mel cepstra of a clip and their slopes on `PARTS` equal parts of it, less the clip's mean; flat.

    Source: S. Davis and P. Mermelstein, "Comparison of parametric representations for monosyllabic word recognition",
    IEEE Trans. Acoust. 28 (1980) 357; frames of 25 ms every 10 ms, 26 triangular filters up to half the rate.
    """
    samples = clip.samples - clip.samples.mean()
    heard = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    samples = samples[heard[0] : heard[-1] + 1]
    samples = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    size, hop = RATE_HZ // 40, RATE_HZ // 100
    samples = np.pad(samples, (0, max(0, size + hop - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop] * np.hamming(size)
    power = np.abs(np.fft.rfft(frames, 256)) ** 2
    top = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1) * 256 / RATE_HZ
    bins = np.arange(power.shape[1])
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    filters = np.clip(np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle)), 0, None)
    cepstra = dct(np.log(power @ filters.T + 1e-9), norm="ortho", axis=1)[:, :COEFFICIENTS]
    cepstra -= cepstra.mean(axis=0)
    both = np.concatenate([cepstra, np.gradient(cepstra, axis=0)], axis=1)
    places = np.linspace(0, len(both) - 1, PARTS)
    low = np.minimum(places.astype(np.int64), len(both) - 2)
    share = (places - low)[:, None]
    parts: Floats = (1 - share) * both[low] + share * both[low + 1]
    return parts.ravel()


def cepstra(speed: float) -> Floats:
    """Of all clips, shape (clips, features)."""
    return kept_array(f"speakers cepstra {speed}", lambda: np.stack([mel_cepstra(c) for c in _clips(speed)])).astype(
        np.float64
    )


def counts(seed: int, speed: float) -> NDArray[np.int64]:
    """Spike counts of all clips, shape (clips, features)."""

    def made() -> NDArray[Any]:
        found = Liquid(SPEC, draw(SPEC, seed)).counts(spikes(speed))
        return found.reshape(len(found), -1).astype(np.uint8)

    return kept_array(f"speakers counts {seed} {speed} {Cochlea()} {SPEC.to_toml()}", made).astype(np.int64)


Table = NDArray[Any]
Classes = NDArray[np.int64]
Learner = Callable[[Table, NDArray[np.int64], Table, Sequence[Any]], list[Classes]]
"""Training features, their labels, a test and options to the classes of the test, one array for each option."""


def _ridge(learnt: Table, labels: Classes, test: Table, options: Sequence[Any]) -> list[Classes]:
    """The readout in the chip's integers; options are penalties."""
    counts_ = test.reshape(len(test), SPEC.windows, SPEC.neurons)
    return [quantise(linear, SPEC).classify(counts_) for linear in ridge(learnt, labels, 10, options)]


def _kernel(learnt: Table, labels: Classes, test: Table, options: Sequence[Any]) -> list[Classes]:
    """Least squares with a Gaussian kernel on standardised features; options are widths and penalties."""
    mean, deviation = learnt.mean(axis=0), learnt.std(axis=0) + 1e-9
    base, other = (((part - mean) / deviation).astype(np.float32) for part in (learnt, test))
    wanted = np.where(labels[:, None] == np.arange(10), 1, -1).astype(np.float32)

    def squares(one: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = np.maximum((one**2).sum(1)[:, None] + (base**2).sum(1) - 2 * one @ base.T, 0)
        return found

    own, others = squares(base), squares(other)
    unit, found = np.float32(own.mean()), []
    for width, penalty in options:
        kernel = np.exp(-own / (np.float32(width**2) * unit))
        kernel[np.diag_indices_from(kernel)] += np.float32(penalty)
        weights = cho_solve(cho_factor(kernel, overwrite_a=True), wanted)
        found.append(np.argmax(np.exp(-others / (np.float32(width**2) * unit)) @ weights, axis=1))
    return found


def unseen(
    features: Mapping[float, Table],
    learner: Learner,
    options: Sequence[Any],
    more: tuple[Table, NDArray[np.int64]] | None = None,
) -> dict[str, float]:
    """Accuracy in % on each speaker that training never heard, and their mean.

    Parameters
    ----------
    features : dict of float to ndarray
        Of all clips, by speed; the test is heard at speed 1.
    learner : callable
        See `Learner`.
    options : sequence
        To choose from.
    more : (features, labels), optional
        Further voices to learn from.
    """
    speaker, digit = speech().speaker, speech().digit
    names = np.unique(speaker).tolist()

    def learnt_from(voices: list[str]) -> tuple[Table, NDArray[np.int64]]:
        rows = np.isin(speaker, voices)
        parts = [own[rows] for own in features.values()]
        labels = [digit[rows]] * len(parts)
        if more is not None:
            parts.append(more[0])
            labels.append(more[1])
        return np.concatenate(parts), np.concatenate(labels)

    result = {}
    for test in names:
        others = [name for name in names if name != test]
        scores = np.zeros(len(options))
        for voice, check in (others, others[::-1]):
            rows = speaker == check
            found = learner(*learnt_from([voice]), features[1.0][rows], options)
            scores += [np.mean(classes == digit[rows]) for classes in found]
        best = options[int(np.argmax(scores))]
        rows = speaker == test
        (classes,) = learner(*learnt_from(others), features[1.0][rows], [best])
        result[test] = 100 * float(np.mean(classes == digit[rows]))
    return result | {"mean": float(np.mean(list(result.values())))}


def liquid_figures(seed: int) -> dict[str, float]:
    """Of one macro, by what it learns from."""
    voices = tidigits_like()
    word = voices.labels < 10
    spoken = Liquid(SPEC, draw(SPEC, seed)).counts(voices.spikes[word]).reshape(int(word.sum()), -1)
    one, all_ = {1.0: counts(seed, 1.0)}, {speed: counts(seed, speed) for speed in SPEEDS}
    return {
        "two": unseen(one, _ridge, PENALTIES)["mean"],
        "speeds": unseen(all_, _ridge, PENALTIES)["mean"],
        "voices": unseen(all_, _ridge, PENALTIES, (spoken, voices.labels[word]))["mean"],
    }


def kernel_figures() -> dict[str, float]:
    """Of the conventional classifier."""
    return {
        "two": unseen({1.0: cepstra(1.0)}, _kernel, KERNELS)["mean"],
        "speeds": unseen({speed: cepstra(speed) for speed in SPEEDS}, _kernel, KERNELS)["mean"],
    }


def liquids() -> list[dict[str, float]]:
    """Of all draws."""
    return [kept(f"speakers liquid {SPEC.to_toml()} {s} {Cochlea()} 1", lambda s=s: liquid_figures(s)) for s in DRAWS]  # type: ignore[misc]


def kernel() -> dict[str, float]:
    """Of the conventional classifier, kept."""
    return kept("speakers kernel 1", kernel_figures)


WORDS = {
    "two": ("two_voices", "two voices to learn from"),
    "speeds": ("three_speeds", "two voices, at three speeds each"),
    "voices": ("three_speeds_and_synthetic_voices", "two voices at three speeds, 44 synthetic voices"),
}


def write_figures() -> None:
    """Both side by side."""
    metrics: list[Metric] = []
    draws, other = liquids(), kernel()
    for key, (case, method) in WORDS.items():
        metrics += figure("accuracy", f"liquid_{case}", [one[key] for one in draws], method, "figures", COMMAND)
    for key in other:
        case, method = WORDS[key]
        metrics += figure("accuracy", f"cepstra_and_kernel_{case}", [other[key]], method, "figures", COMMAND)
    write_metrics(RESULTS / "lsm_speakers.json", metrics)
    print([(metric.name, metric.value) for metric in metrics])


def main() -> None:
    """Run the named parts, all without names."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    jobs: dict[str, Callable[[], object]] = {
        "levels": lambda: [len(spikes(speed)) for speed in SPEEDS],
        "cepstra": lambda: [len(cepstra(speed)) for speed in SPEEDS],
        "liquid": liquids,
        "kernel": kernel,
        "figures": write_figures,
    }
    parser.add_argument("parts", nargs="*", choices=[[], *jobs], metavar="PART", help=", ".join(jobs))
    for name in parser.parse_args().parts or jobs:
        jobs[name]()


if __name__ == "__main__":
    main()
