"""Association of seen and spoken digits on the crossbar: ``python -m benchmarks.lsm_association [PART ...]``.

Everything that is scored is exact chip arithmetic: conductance codes, ADCs, neurons, counts, quantised projections,
dot products of integers. Epochs are chosen on validation; test sets are scored once per draw of both macros, except in
the published protocol, which chooses on test and says so.

Images are N-MNIST-like recordings for training and validation, and the shared real N-MNIST recordings for test. Speech
is that of the shared three speakers of the Free Spoken Digit Dataset. *Known speakers*: takes 0 to 4 of every speaker
are the test, 5 to 9 validation, the others training. *Unseen speakers*: one speaker is the test, of the two others
takes 0 to 4 are validation and the rest training; mean over the three choices. With three speakers at hand, a
projection for unseen speakers learns from two voices.

``speech`` writes ``lsm_speech.json``, ``seen`` ``lsm_association.json``, ``pairs`` ``lsm_unseen_pairs.json``,
``anchors`` ``lsm_anchors.json``, ``macros`` ``lsm_association_macros.json``: known speakers, each liquid on one, two
and four macros, on validation, too.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.lsm_data import REPOSITORY, RESULTS, STEP_US, Part, kept, kept_array, real, synthesised
from benchmarks.measured import record
from flows.common.metrics import Metric, write_metrics
from sim.lsm_crossbar.association.anchors import ANCHORS, words_spec
from sim.lsm_crossbar.association.match import as_entries
from sim.lsm_crossbar.association.projection import Projection
from sim.lsm_crossbar.association.spec import DIGITS_4BIT, DIGITS_8BIT, DIGITS_BINARY, AssociationSpec
from sim.lsm_crossbar.association.training import (
    WITHIN_PENALTY,
    Samples,
    Scatter,
    TrainingOptions,
    anchored_retrieval,
    both_ways,
    fit,
    fit_words,
    retrieval,
)
from sim.lsm_crossbar.learning.readout_training import accuracy, train
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings.audio import Cochlea, read_wav
from sim.lsm_crossbar.recordings.events import ENCODINGS, encode_all
from sim.lsm_crossbar.recordings.speech import tidigits_like
from sim.lsm_crossbar.spec import N_TIDIGITS, CrossbarSpec

DRAWS = range(5)
PAIR_DRAWS = DRAWS
"""Draws of both macros on which all 36 pairs of unseen digits are trained, each pair a model of its own."""
VARIANT_DRAWS = DRAWS
"""Draws of the variants beside the chip with 8-bit weights."""
ENCODING = ENCODINGS["pooled_3x3_split"]
SEEN = range(1, 8)
"""Digits of the published training set; 8 and 9 are its unseen ones, 0 is not used."""
DIGITS = range(1, 10)
OPTIONS = TrainingOptions()
PAIR_OPTIONS = TrainingOptions(epochs=16, patience=4)
"""Shorter for the models of the pairs, of which there are many."""
COMMAND = "python -m benchmarks.lsm_association"

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Speech:
    """Input spikes of all clips, with digit, speaker and take."""

    spikes: NDArray[np.bool_]
    digit: NDArray[np.int64]
    speaker: NDArray[np.str_]
    take: NDArray[np.int64]


def clip_paths() -> list[Path]:
    """The shared clips, in the order of their names."""
    data = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data")) / "lsm" / "fsdd_3speakers"
    return sorted(data.glob("*.wav"))


@cache
def speech() -> Speech:
    """The shared clips through the front end."""
    paths = clip_paths()
    words = [path.stem.split("_") for path in paths]
    front_end = Cochlea()
    spikes = kept_array(
        f"speech {front_end} {[path.name for path in paths]}",
        lambda: np.packbits(front_end.all_spikes(map(read_wav, paths), N_TIDIGITS.steps), axis=2),
    )
    return Speech(
        spikes=np.unpackbits(spikes, axis=2, count=front_end.channels).view(np.bool_),
        digit=np.array([int(word[0]) for word in words]), speaker=np.array([word[1] for word in words]),
        take=np.array([int(word[2]) for word in words]),
    )  # fmt: skip


def clips(spec: CrossbarSpec, seed: int) -> Counts:
    """Spike counts of all clips."""

    def made(macro: int) -> NDArray[np.uint8]:
        return Liquid(spec.one_macro, draw(spec.one_macro, macro)).counts(speech().spikes).astype(np.uint8)

    return side_by_side(spec, seed, f"clips {Cochlea()}", made)


def images(spec: CrossbarSpec, seed: int) -> dict[str, tuple[Counts, NDArray[np.int64]]]:
    """Spike counts and labels of training (3,000), validation and real recordings."""

    def made(macro: int) -> NDArray[np.uint8]:
        liquid = Liquid(spec.one_macro, draw(spec.one_macro, macro))
        spikes = image_spikes(spec.steps, spec.inputs)
        return np.concatenate([liquid.counts(one) for one in spikes.values()]).astype(np.uint8)

    parts = image_parts()
    counts = side_by_side(spec, seed, f"images {ENCODING} {STEP_US} {[part.name for part in parts.values()]}", made)
    ends = np.cumsum([len(part.labels) for part in parts.values()])
    return {
        name: (rows, part.labels) for (name, part), rows in zip(parts.items(), np.split(counts, ends[:-1]), strict=True)
    }


def side_by_side(spec: CrossbarSpec, seed: int, words: str, made: Callable[[int], NDArray[np.uint8]]) -> Counts:
    """Counts of a chip, those of each macro kept: chips with more macros have them in common."""
    seeds = [spec.macro_seed(seed, macro) for macro in range(spec.macros)]
    parts = [kept_array(f"{words} {spec.one_macro.to_toml()} {macro}", lambda k=macro: made(k)) for macro in seeds]  # type: ignore[misc]
    return np.concatenate(parts, axis=2).astype(np.int64)


@cache
def image_parts() -> dict[str, Part]:
    """Recordings of training, validation and test."""
    return {
        "train": synthesised("train", slice(0, 3000), seed=1),
        "validation": synthesised("validation", slice(7000, 8000), seed=2),
        "real": real(),
    }


@cache
def image_spikes(steps: int, inputs: int) -> dict[str, NDArray[np.bool_]]:
    """Their input spikes."""
    return {
        name: encode_all(part.events, ENCODING, steps=steps, step_us=STEP_US, inputs=inputs)
        for name, part in image_parts().items()
    }


Rows = NDArray[np.bool_]


def known_speakers() -> tuple[Rows, Rows, Rows]:
    """Clips of training, validation and test."""
    take = speech().take
    return take >= 10, (take >= 5) & (take < 10), take < 5


def without_speaker(name: str) -> tuple[Rows, Rows, Rows]:
    """The same where a speaker is the test."""
    take, other = speech().take, speech().speaker != name
    return other & (take >= 5), other & (take < 5), ~other


def parts_of(spec: AssociationSpec, seed: int, rows: tuple[Rows, Rows, Rows]) -> list[Samples]:
    """Training, validation and test of one draw: macro `seed` of vision, `seed` of audio."""
    heard, seen = clips(spec.audio, seed), images(spec.vision, seed)
    return [
        Samples(counts=(seen[name][0], heard[row]), labels=(seen[name][1], speech().digit[row]))
        for name, row in zip(("train", "validation", "real"), rows, strict=True)
    ]


def words_of(spec: AssociationSpec, seed: int, what: str) -> str:
    """All that a figure depends on."""
    return f"association {what} {spec.to_toml()} {seed} {OPTIONS} {Cochlea()} {ENCODING}"


def seen_figures(spec: AssociationSpec, seed: int) -> dict[str, float]:
    """Retrieval among digits 1 to 7 in %, both ways, for known and for unseen speakers."""
    result = {}
    training, validation, test = parts_of(spec, seed, known_speakers())
    trained = fit(spec, training.of(SEEN), validation.of(SEEN), OPTIONS)
    result["known_a2i"], result["known_i2a"] = (
        100 * value for value in both_ways(spec, trained.projections, test.of(SEEN))
    )
    ways = []
    for name in np.unique(speech().speaker):
        training, validation, test = parts_of(spec, seed, without_speaker(str(name)))
        trained = fit(spec, training.of(SEEN), validation.of(SEEN), OPTIONS)
        ways.append(both_ways(spec, trained.projections, test.of(SEEN)))
    result["unseen_a2i"], result["unseen_i2a"] = (100 * float(value) for value in np.mean(ways, axis=0))
    return result


def figure(
    name: str, case: str, values: Sequence[float], method: str, words: str, command: str = COMMAND
) -> Iterator[Metric]:
    """Mean and standard deviation of several values; of one, itself as the mean."""
    spread = [("std", np.std(values, ddof=1))] if len(values) > 1 else []
    for quantity, value in (("mean", np.mean(values)), *spread):
        yield record(
            f"{name}__{quantity}__case:{case}", round(float(value), 1), "%",
            f"{quantity} of {len(values)}: {method}", command=f"{command} {words}",
        )  # fmt: skip


VARIANTS = {
    "weights_8_bit": DIGITS_8BIT,
    "weights_4_bit": DIGITS_4BIT,
    "signs": DIGITS_BINARY,
}
WAYS = {
    "known_a2i": ("known_audio_to_image", "spoken query, images as entries, known speakers"),
    "known_i2a": ("known_image_to_audio", "seen query, clips as entries, known speakers"),
    "unseen_a2i": ("unseen_audio_to_image", "spoken query, images as entries, speakers that training never heard"),
    "unseen_i2a": ("unseen_image_to_audio", "seen query, clips as entries, speakers that training never heard"),
}


def write_seen() -> None:
    """Retrieval among the seven seen digits, by variant of the chip."""
    metrics: list[Metric] = []
    for name, spec in VARIANTS.items():
        draws = [
            kept(words_of(spec, seed, "seen"), lambda s=spec, k=seed: seen_figures(s, k))
            for seed in (DRAWS if spec is DIGITS_8BIT else VARIANT_DRAWS)
        ]
        print(name, {key: np.round([draw[key] for draw in draws], 1).tolist() for key in WAYS}, flush=True)
        for key, (quantity, method) in WAYS.items():
            metrics += figure(f"retrieval__{quantity}", name, [draw[key] for draw in draws], method, "seen")
        write_metrics(RESULTS / "lsm_association.json", metrics)


MACROS = (1, 2, 4)


def macro_figures(spec: AssociationSpec, seed: int) -> dict[str, float]:
    """Retrieval among digits 1 to 7 in %, both ways, for known speakers, on validation and on test."""
    training, validation, test = parts_of(spec, seed, known_speakers())
    trained = fit(spec, training.of(SEEN), validation.of(SEEN), OPTIONS)
    ways = {"validation": trained.validation, "known": both_ways(spec, trained.projections, test.of(SEEN))}
    return {
        f"{part}_{way}": 100 * v for part, both in ways.items() for way, v in zip(("a2i", "i2a"), both, strict=True)
    }


def write_macros() -> None:
    """Retrieval by macros of each liquid."""
    metrics: list[Metric] = []
    for number in MACROS:
        vision, audio = (replace(crossbar, macros=number) for crossbar in DIGITS_8BIT.crossbars)
        spec = replace(DIGITS_8BIT, vision=vision, audio=audio)
        draws = [kept(words_of(spec, seed, "macros"), lambda s=spec, k=seed: macro_figures(s, k)) for seed in DRAWS]  # type: ignore[misc]
        print(number, {key: np.round([draw[key] for draw in draws], 1).tolist() for key in draws[0]}, flush=True)
        for key, method in (
            ("validation_a2i", "validation: spoken query, images as entries"),
            ("validation_i2a", "validation: seen query, clips as entries"),
            ("known_a2i", "test: spoken query, images as entries"),
            ("known_i2a", "test: seen query, clips as entries"),
        ):
            words = f"known speakers, {method}, {number} macros of 200 neurons for each liquid"
            name = key.replace("a2i", "audio_to_image").replace("i2a", "image_to_audio")
            metrics += figure(f"retrieval__{name}", f"macros_{number}", [d[key] for d in draws], words, "macros")
        write_metrics(RESULTS / "lsm_association_macros.json", metrics)


ANCHOR_DRAWS = 10
ANCHOR_MACROS = DRAWS
"""Draws of both macros on which anchors are measured, 36 models each."""


def pair_figures(
    spec: AssociationSpec, seed: int, pair: tuple[int, int], rows: tuple[Rows, Rows, Rows]
) -> dict[str, float]:
    """Figures in % of a model that never saw two of the nine digits."""
    training, validation, test = parts_of(spec, seed, rows)
    seen = [digit for digit in DIGITS if digit not in pair]
    looked: list[tuple[float, float]] = []

    def look(projections: tuple[Projection, Projection]) -> None:
        """What the published protocol looks at: both test sets after every epoch that is looked at."""
        looked.append((
            both_ways(spec, projections, test.of(seen))[0], both_ways(spec, projections, test.of(pair))[0]
        ))  # fmt: skip

    trained = fit(spec, training.of(seen), validation.of(seen), PAIR_OPTIONS, look=look)
    unseen = both_ways(spec, trained.projections, test.of(pair))
    result = {"a2i": 100 * unseen[0], "i2a": 100 * unseen[1]}
    result["chosen_on_test"] = 100 * max(value for _, value in looked)
    # all nine digits as candidates: how often an unseen word finds itself
    clips_, images_ = (
        trained.projections[1].embed(test.of(pair).counts[1]),
        trained.projections[0].embed(test.of(DIGITS).counts[0]),
    )
    result["among_nine"] = 100 * retrieval(
        spec, clips_, test.of(pair).labels[1], as_entries(images_, spec), test.of(DIGITS).labels[0]
    )
    return result


WORDS = words_spec(DIGITS_8BIT)
"""The chip whose projections `fit_words` makes."""


def anchor_figures(seed: int, pair: tuple[int, int], scatters: tuple[Scatter, Scatter]) -> dict[str, float]:
    """Retrieval in % of two unseen words that k labelled pairs make known; known speakers."""
    training, _, test = parts_of(WORDS, seed, known_speakers())
    seen = [digit for digit in DIGITS if digit not in pair]
    projections = fit_words(WORDS, training, seen, scatters=scatters)
    found = {}
    for k in ANCHORS:
        ways = anchored_retrieval(WORDS, projections, training.of(pair), test.of(pair), k, ANCHOR_DRAWS)
        found[f"a2i_{k}"], found[f"i2a_{k}"] = 100 * ways[0], 100 * ways[1]
    return found


def anchor_draw(seed: int, pairs: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Means over pairs of `anchor_figures`, each of which is kept."""

    @cache
    def scatters() -> tuple[Scatter, Scatter]:
        training, _, _ = parts_of(WORDS, seed, known_speakers())
        vision, audio = (Scatter(c, y) for c, y in zip(training.counts, training.labels, strict=True))
        return vision, audio

    chip = f"{WORDS.to_toml()} {seed} {Cochlea()} {ENCODING}"
    found = [
        kept(f"anchors {pair} {ANCHORS} {ANCHOR_DRAWS} {WITHIN_PENALTY} {chip}",
             lambda p=pair: anchor_figures(seed, p, scatters()))  # type: ignore[misc]
        for pair in pairs
    ]  # fmt: skip
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def write_anchors() -> None:
    """k anchors, all 36 pairs."""
    draws = [anchor_draw(seed, list(combinations(DIGITS, 2))) for seed in ANCHOR_MACROS]
    print(draws, flush=True)
    metrics: list[Metric] = []
    for k in ANCHORS:
        for key, quantity, words in (
            ("a2i", "audio_to_image", "spoken query, images as entries"),
            ("i2a", "image_to_audio", "seen query, clips as entries"),
        ):
            method = (
                f"mean of 36 pairs of digits that training never saw, {k} labelled pairs of each, {words}, chance 50 %"
            )
            metrics += figure(
                f"retrieval__{quantity}", f"k_{k}", [one[f"{key}_{k}"] for one in draws], method, "anchors"
            )
    write_metrics(RESULTS / "lsm_anchors.json", metrics)


def write_pairs() -> None:
    """All 36 pairs of unseen digits."""
    pairs = list(combinations(DIGITS, 2))
    spec = DIGITS_8BIT
    by_draw: list[list[dict[str, float]]] = []
    for seed in PAIR_DRAWS:
        by_draw.append([
            kept(words_of(spec, seed, f"pair {pair} {PAIR_OPTIONS}"),
                 lambda p=pair, s=seed: pair_figures(spec, s, p, known_speakers()))
            for pair in pairs
        ])  # fmt: skip
        print(
            seed,
            {key: round(float(np.mean([one[key] for one in by_draw[-1]])), 1) for key in by_draw[-1][0]},
            flush=True,
        )
    metrics: list[Metric] = []
    cases = {
        "all_36_pairs_epoch_by_validation": [one["a2i"] for draw in by_draw for one in draw],
        "all_36_pairs_epoch_by_test": [one["chosen_on_test"] for draw in by_draw for one in draw],
        "pair_8_9_epoch_by_validation": [draw[-1]["a2i"] for draw in by_draw],
        "pair_8_9_epoch_by_test": [draw[-1]["chosen_on_test"] for draw in by_draw],
        "all_36_pairs_among_nine_digits": [one["among_nine"] for draw in by_draw for one in draw],
    }
    for case, values in cases.items():
        method = "spoken query of an unseen digit, images of both unseen digits as candidates, chance 50 %"
        if "nine" in case:
            method = "spoken query of an unseen digit, images of nine digits as candidates, chance 11 %"
        metrics += figure("retrieval__unseen_digit", case, values, method, "pairs")
        for quantity, value in (("lowest", min(values)), ("highest", max(values))):
            metrics.append(record(
                f"retrieval__unseen_digit__{quantity}__case:{case}", round(value, 1), "%", f"{quantity}: {method}",
                command=f"{COMMAND} pairs",
            ))  # fmt: skip
    write_metrics(RESULTS / "lsm_unseen_pairs.json", metrics)


def spoken_figures(spec: CrossbarSpec, seed: int) -> dict[str, float]:
    """Accuracy in % of a readout of ten spoken digits."""
    counts, digit = clips(spec, seed), speech().digit
    voices = tidigits_like()
    word = voices.labels < spec.outputs
    spoken = Liquid(spec, draw(spec, seed)).counts(voices.spikes[word])

    def score(rows: tuple[Rows, Rows, Rows], synthetic: bool = False) -> float:
        learn, check, test = rows
        learnt, labels = counts[learn], digit[learn]
        if synthetic:
            learnt, labels = np.concatenate([learnt, spoken]), np.concatenate([labels, voices.labels[word]])
        chosen = train(spec, learnt, labels, counts[check], digit[check], methods=("ridge",),
                       ridge_penalties=(1e-2, 1e-1, 1.0, 3.0))  # fmt: skip
        return 100 * accuracy(chosen.readout, counts[test], digit[test])

    names = [str(name) for name in np.unique(speech().speaker)]
    speakers = [score(without_speaker(name)) for name in names]
    helped = float(np.mean([score(without_speaker(name), synthetic=True) for name in names]))
    return {"known": score(known_speakers()), "unseen": float(np.mean(speakers)), "with_voices": helped} | {
        f"unseen_{name}": value for name, value in zip(np.unique(speech().speaker), speakers, strict=True)
    }


def write_speech() -> None:
    """Accuracy of the spoken digits alone, one macro."""
    spec = replace(N_TIDIGITS, outputs=10, windows=3)
    draws = [
        kept(f"speech {spec.to_toml()} {seed} {Cochlea()} voices", lambda k=seed: spoken_figures(spec, k))
        for seed in DRAWS
    ]
    print(draws, flush=True)
    metrics: list[Metric] = []
    for key, case in (
        ("known", "known_speakers"), ("unseen", "unseen_speakers"),
        ("with_voices", "unseen_speakers_and_synthetic_voices_to_learn_from"),
    ):  # fmt: skip
        metrics += figure("accuracy", case, [draw[key] for draw in draws], "ten spoken digits, one macro", "speech")
    write_metrics(RESULTS / "lsm_speech.json", metrics)


def main() -> None:
    """Run the named parts, all without names."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    jobs = {
        "speech": write_speech, "seen": write_seen, "macros": write_macros, "pairs": write_pairs,
        "anchors": write_anchors,
    }  # fmt: skip
    parser.add_argument("parts", nargs="*", choices=[[], *jobs], metavar="PART", help=", ".join(jobs))
    for name in parser.parse_args().parts or jobs:
        jobs[name]()


if __name__ == "__main__":
    main()
