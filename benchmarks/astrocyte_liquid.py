"""Accuracy of the neuron-astrocyte liquid and its baselines: ``python -m benchmarks.astrocyte_liquid``.

All liquids of a draw see the same spikes of the same images, and every readout is trained alike; the strength of the
fixed liquid is chosen on validation, and a test set is scored once. Without arguments a protocol in reduced size runs
on the digits that ship with the package. The published one needs MNIST from a user's folder:

    python -m benchmarks.astrocyte_liquid --digits FOLDER --snapshots 50000 --training 50000 --validation 10000 \\
        --test 10000 --name astrocyte_mnist

A liquid of 2,312 inputs learns from N-MNIST-like recordings of the digits, and is scored on real ones where
``--events`` has some, too: recordings of N-MNIST's training set, named by their number there, with ``labels.txt``. Of
the digits that they show it learns nothing.

``--variants`` and ``--first`` measure some variants or draws only. The others stay in the results, and the mean of a
variant is over all its draws in one setting. Initialisations and spike counts are kept in ``build/astrocyte`` by the
hash of all that they depend on, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import LIQUIDCAL, REPOSITORY, RESULTS, Rows, kept
from flows.common.metrics import Metric, write_metrics
from flows.learning.astrocyte import spike_counts
from flows.stimulus.astrocyte_samples import CAMERA, SENSOR, SampleSet
from sim.astrocyte_liquid.learning.images import probabilities
from sim.astrocyte_liquid.learning.protocol import digest, initialise
from sim.astrocyte_liquid.learning.readout_training import LinearReadout, quantise, train_readout
from sim.astrocyte_liquid.learning.stimuli import Images, Recordings, Stimuli
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.readout import Readout
from sim.astrocyte_liquid.spec import AstrocyteSpec, load_spec
from sim.digits import mnist_digits, read_digits
from sim.files import replacing
from sim.lsm_crossbar.recordings.event_camera import TRAJECTORY
from sim.lsm_crossbar.recordings.events import labelled_recordings

CACHE = REPOSITORY / "build" / "astrocyte"
STRENGTHS = (0.6, 1.0, 1.5)
"""Magnitudes of all weights of a fixed liquid, tried on validation."""
SHIPPED_RECORDINGS = 1_000
"""The digits of the first recordings of N-MNIST's training set are told apart from the others that ship."""
LEARNING_RATE = 10.0
"""Of the readouts: the best of 1, 3, 10 and 30 on the validation set of a draw. The published 0.1 needs thousands of
passes over 50,000 samples to get as far."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Samples in three parts.

    Attributes
    ----------
    stimuli, learned : Stimuli
        All samples, and those of training; images scaled by the largest value in training.
    steps : int
        Of a sample.
    labels : ndarray of int64, shape (n,)
    training, validation, test, real : ndarray of int64
        Rows of both; `real` are real recordings, where others are N-MNIST-like.
    """

    stimuli: Stimuli
    learned: Stimuli
    steps: int
    labels: NDArray[np.int64]
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    real: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @cached_property
    def plain(self) -> NDArray[Any]:
        """What a readout without a liquid sees, shape (n, inputs): pixels, or events of every input in a sample."""
        if isinstance(self.stimuli, Images):
            return self.stimuli.probability
        rows = np.arange(len(self.stimuli))
        blocks = (self.stimuli.samples(rows[k : k + 100], self.steps, 0) for k in rows[::100])
        return np.concatenate([block.sum(axis=1, dtype=np.uint8) for block in blocks])

    @cached_property
    def identity(self) -> tuple[NDArray[np.generic], ...]:
        """See `sim.astrocyte_liquid.learning.stimuli.Stimuli.identity`."""
        return self.stimuli.identity()

    @property
    def parts(self) -> tuple[NDArray[np.int64], ...]:
        """Training and validation."""
        return self.training, self.validation

    @property
    def scored(self) -> dict[str, NDArray[np.int64]]:
        """Rows of each set that is scored, by what is added to the name of a variant."""
        return {"": self.test} | ({"_real": self.real} if len(self.real) else {})


def digits_task(spec: AstrocyteSpec, folder: Path | None, sizes: tuple[int, int, int]) -> Task:
    """The digits that ship with the package, or a user's: of those, test images come from their test set."""
    training, validation, test = sizes
    if folder is None:
        digits = mnist_digits()
        images, labels = digits.images, digits.labels
        order = np.random.default_rng(2026).permutation(len(digits))
        tested, order = order[:test], order[test:]
    else:
        learned, held_out = read_digits(folder)
        images = np.concatenate([learned.images, held_out.images])
        labels = np.concatenate([learned.labels, held_out.labels])
        order = np.random.default_rng(2026).permutation(len(learned))
        tested = len(learned) + np.arange(min(test, len(held_out)))
    if len(order) < training + validation or len(tested) < test:
        raise SystemExit(f"{len(images):,} digits are fewer than {training:,} + {validation:,} + {test:,}")
    rows = order[:training]
    _, scale = probabilities(images[rows], spec)
    probability, _ = probabilities(images, spec, scale)
    return Task(
        stimuli=Images(probability), learned=Images(probability[rows]), steps=spec.steps,
        labels=labels.astype(np.int64), training=rows, validation=order[training : training + validation], test=tested,
    )  # fmt: skip


def recordings_task(spec: AstrocyteSpec, folder: Path | None, events: Path | None, sizes: tuple[int, int, int]) -> Task:
    """N-MNIST-like recordings of digits as `digits_task` has them, and real ones of the folder `events`."""
    training, validation, test = sizes
    digits = mnist_digits("rest") if folder is None else read_digits(folder)[0]
    order = np.random.default_rng(2026).permutation(len(digits))
    real = SampleSet(labels=np.zeros(0, np.int64))
    if events is not None:
        paths, table = labelled_recordings(events, events / "labels.txt")
        numbers = sorted(table)
        if folder is None and numbers[-1] > SHIPPED_RECORDINGS:
            raise SystemExit(f"recordings above {SHIPPED_RECORDINGS:,}: expected --digits, to leave out what they show")
        if folder is not None:
            order = order[~np.isin(order, np.array(numbers) - 1)]
        real = SampleSet(labels=np.array([table[k] for k in numbers], np.int64), files=tuple(paths[k] for k in numbers))
    made = training + validation + test
    if len(order) < made:
        raise SystemExit(f"{len(order):,} digits are fewer than {training:,} + {validation:,} + {test:,}")
    shown = digits.take(order[:made])
    like = SampleSet(images=shown.images, labels=shown.labels.astype(np.int64))
    recordings = _recordings(like, real)
    rows = np.arange(len(recordings))
    return Task(
        stimuli=recordings, learned=recordings.take(rows[:training]), steps=spec.steps,
        labels=np.concatenate([like.labels, real.labels]), training=rows[:training],
        validation=rows[training : training + validation], test=rows[training + validation : made], real=rows[made:],
    )  # fmt: skip


def _recordings(like: SampleSet, real: SampleSet) -> Recordings:
    """Images in front of the camera, then real recordings; those of images are kept."""
    path = CACHE / f"recordings-{_hash(repr(CAMERA), repr(TRAJECTORY), like.images)}.npz"
    if not path.is_file():
        made = like.recorded()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, "wb") as file:
            np.savez(file, start=made.start, step=made.step, line=made.line)
    with np.load(path) as data:
        made = Recordings(**{name: data[name] for name in ("start", "step", "line")}, inputs=SENSOR.inputs)
    added = real.recorded()
    return Recordings(
        start=np.concatenate([made.start, made.start[-1] + added.start[1:]]), inputs=SENSOR.inputs,
        step=np.concatenate([made.step, added.step]), line=np.concatenate([made.line, added.line]),
    )  # fmt: skip


class Draw:
    """One draw of the network on a task: initialisations and spike counts, from the cache or computed."""

    def __init__(self, spec: AstrocyteSpec, task: Task, seed: int, snapshots: int) -> None:
        self.spec, self.task, self.seed, self.snapshots = spec, task, seed, snapshots
        self.network = draw(spec, seed)
        CACHE.mkdir(parents=True, exist_ok=True)

    def tuned(self, arithmetic: Arithmetic, spec: AstrocyteSpec | None = None) -> Liquid:
        """A liquid after initialisation; `spec` where it is another one of the same network."""
        network = replace(self.network, spec=spec or self.spec)
        liquid = Liquid(network, arithmetic)
        words = (network.spec.to_toml(), *self.task.learned.identity(), self.seed, self.snapshots, arithmetic)
        path = CACHE / f"tuned-{_hash(*words)}.npz"
        initialise(liquid, self.task.learned, self.snapshots, self.seed, checkpoint=path)
        return liquid

    def counts(self, liquid: Liquid, part: NDArray[np.int64], plastic: bool) -> NDArray[np.uint8]:
        """Spike counts of a part of the task."""
        words = (liquid.spec.to_toml(), liquid.arithmetic, self.seed, plastic, liquid.weights, part)
        path = CACHE / f"counts-{_hash(*words, *self.task.identity)}.npz"
        if not path.is_file():
            checkpoint = path.with_suffix(".checkpoint.npz")
            found = spike_counts(
                liquid, self.task.stimuli.take(part), self.seed, plastic=plastic, checkpoint=checkpoint
            )
            with replacing(path, "wb") as file:
                np.savez_compressed(file, counts=found.astype(np.uint8))
            checkpoint.unlink(missing_ok=True)
        with np.load(path) as data:
            counts: NDArray[np.uint8] = data["counts"]
        return counts


def _hash(*words: object) -> str:
    return digest(*words)[:20]


class Scores:
    """Trains readouts, and collects which test images each gets right."""

    def __init__(self, task: Task, outputs: int, passes: int, *, one_hot: bool) -> None:
        self._task, self._outputs, self._passes, self._one_hot = task, outputs, passes, one_hot
        self.right: dict[str, dict[int, NDArray[np.bool_]]] = {}

    def train(self, training: NDArray[np.generic], validation: NDArray[np.generic], seed: int) -> LinearReadout:
        """A readout of counts or pixels."""
        labels = self._task.labels
        return train_readout(
            training, labels[self._task.training], validation, labels[self._task.validation], self._outputs,
            learning_rate=LEARNING_RATE, passes=self._passes, patience=200, one_hot=self._one_hot,
            seed=seed,
        )  # fmt: skip

    def add(self, name: str, seed: int, classify: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> None:
        """Note which test samples, given by their rows, get their class in a draw."""
        for suffix, rows in self._task.scored.items():
            right = classify(rows) == self._task.labels[rows]
            self.right.setdefault(name + suffix, {})[seed] = right
            print(f"  {name}{suffix}: {100 * right.mean():.2f} %", flush=True)


def measure(
    spec: AstrocyteSpec,
    task: Task,
    variants: Collection[str],
    *,
    draws: Collection[int],
    snapshots: int,
    passes: int,
    one_hot: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, dict[int, NDArray[np.bool_]]]:
    """Which test images each variant gets right in each draw; pixels alone are drawn once, as draw 0."""
    scores = Scores(task, spec.outputs, passes, one_hot=one_hot)
    if "pixels" in variants:
        pixels = scores.train(task.plain[task.training], task.plain[task.validation], 0)
        scores.add("pixels", 0, lambda rows: pixels.classify(task.plain[rows]))
    plain = replace(spec, astrocyte_weight=0.0)
    liquids = {
        "frozen": (Arithmetic.PUBLISHED, spec, False),
        "plastic": (Arithmetic.PUBLISHED, spec, True),
        "stdp": (Arithmetic.PUBLISHED, plain, True),
        "chip_frozen": (Arithmetic.CHIP, spec, False),
        "chip_plastic": (Arithmetic.CHIP, spec, True),
    }
    for seed in draws:
        one = Draw(spec, task, seed, snapshots)
        say(f"draw {seed}: {len(one.network):,} synapses")
        if "fixed" in variants:
            fixed = []
            for strength in STRENGTHS:
                liquid = Liquid(one.network, Arithmetic.PUBLISHED, weights=one.network.sign * strength)
                training, validation = (one.counts(liquid, part, False) for part in task.parts)
                fixed.append((scores.train(training, validation, seed), liquid, strength))
            readout, liquid, strength = max(fixed, key=lambda entry: entry[0].validation)
            say(f"  strength {strength} of the fixed liquid")
            scores.add("fixed", seed, partial(_classes, one, liquid, False, readout))
        for name, (arithmetic, rule, plastic) in liquids.items():
            if name in variants:
                liquid = one.tuned(arithmetic, rule)
                training, validation = (one.counts(liquid, part, plastic) for part in task.parts)
                readout = scores.train(training, validation, seed)
                scores.add(name, seed, partial(_classes, one, liquid, plastic, readout))
                if arithmetic is Arithmetic.CHIP:
                    integer = quantise(readout, spec)
                    scores.add(f"{name}_integer", seed, partial(_classes, one, liquid, plastic, integer))
    return scores.right


def _classes(
    one: Draw, liquid: Liquid, plastic: bool, readout: LinearReadout | Readout, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    return readout.classify(one.counts(liquid, rows, plastic))


METHODS = {
    "pixels": "pixels, or events of each pixel, alone, same readout",
    "fixed": "fixed liquid, strength of its weights chosen on validation",
    "stdp": "plastic without astrocyte: A- constant",
    "frozen": "initialised with the astrocyte, then frozen",
    "plastic": "initialised, plastic in every sample: the published protocol",
    "chip_frozen": "initialised and frozen in the chip's integers, readout in floating point",
    "chip_frozen_integer": "initialised, frozen and read out in the chip's integers",
    "chip_plastic": "plastic in the chip's integers, readout in floating point",
    "chip_plastic_integer": "plastic and read out in the chip's integers",
}


VARIANTS = [name for name in METHODS if not name.endswith("_integer")]


def add_accuracies(
    rows: Rows, found: Mapping[str, Mapping[int, float]], case: str, setting: str, earlier: Sequence[Metric]
) -> None:
    """Accuracy in % of each draw, with mean and spread over these and those that earlier runs found in this setting.

    Parameters
    ----------
    rows : Rows
        Where they are added.
    found : mapping of str to mapping of int to float
        By variant and number of the draw.
    case : str
        What comes in front of the draw in a name: the readout's targets.
    setting : str
        Network, samples and snapshots: with what the variant is, the method of every figure.
    earlier : sequence of Metric
        Rows of the results so far.
    """
    for name, accuracies in found.items():
        real = name.endswith("_real")
        about = METHODS[name.removesuffix("_real")] + ("; on real recordings of N-MNIST" if real else "")
        about = f"{about}; {setting}"
        known = all_draws(rows, accuracies, f"accuracy__{case}", f"case:{name}", about, earlier)
        each = list(known.values())
        rows.add(
            f"accuracy__{case}__case:{name}", round(float(np.mean(each)), 2), "%", f"{about}; mean of {len(each)} draws"
        )
        if len(each) > 1:
            spread = f"{about}; standard deviation over {len(each)} draws"
            rows.add(f"accuracy_spread__{case}__case:{name}", round(float(np.std(each, ddof=1)), 2), "%", spread)


def all_draws(
    rows: Rows, found: Mapping[int, float], stem: str, case: str, about: str, earlier: Sequence[Metric]
) -> dict[int, float]:
    """A figure of each draw, added as ``stem__draw:N__case``, and those that earlier runs added by the same method."""
    this = re.compile(rf"{stem}__draw:(\d+)__{case}")
    known = {
        int(match[1]): float(metric.value)
        for metric in earlier
        if metric.method == about and (match := this.fullmatch(metric.name))
    }
    for seed, value in found.items():
        known[seed] = round(value, 2)
        rows.add(f"{stem}__draw:{seed}__{case}", known[seed], "%", about)
    return known


def add_differences(
    rows: Rows,
    right: Mapping[str, Mapping[int, NDArray[np.bool_]]],
    case: str,
    setting: str,
    earlier: Sequence[Metric],
) -> None:
    """What the chip's integers cost: accuracy minus that of floating point on the same images, as `add_accuracies`.

    The standard error of a draw is that of a mean over its images; draws are independent.
    """
    for name in ("frozen", "plastic"):
        for other in (f"chip_{name}", f"chip_{name}_integer"):
            if not {name, other} <= set(right):
                continue
            about = f"{METHODS[other]}, minus floating point on the same images; {setting}"
            differences, errors = {}, {}
            for seed, integers in right[other].items():
                difference = 100 * (integers.astype(float) - right[name][seed])
                differences[seed] = float(difference.mean())
                errors[seed] = float(difference.std() / np.sqrt(len(difference)))
            stems = f"difference__{case}", f"difference_error__{case}"
            each = all_draws(rows, differences, stems[0], f"case:{other}", about, earlier)
            error = all_draws(rows, errors, stems[1], f"case:{other}", f"standard error; {about}", earlier)
            about = f"{about}; mean of {len(each)} draws"
            rows.add(f"{stems[0]}__case:{other}", round(float(np.mean([*each.values()])), 2), "%", about)
            both = float(np.linalg.norm([*error.values()])) / len(error)
            rows.add(f"{stems[1]}__case:{other}", round(both, 2), "%", f"standard error; {about}")


def main() -> None:
    """Command line; variants and draws that are not asked for stay in the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("spec", nargs="?", default="NALSM_1000", help="preset or TOML file")
    parser.add_argument("--digits", type=Path, help="folder or .npz with MNIST or Fashion-MNIST")
    parser.add_argument("--events", type=Path, help="folder of real recordings of N-MNIST's training set to score")
    parser.add_argument("--snapshots", type=int, default=5_000)
    parser.add_argument("--training", type=int, default=2_000)
    parser.add_argument("--validation", type=int, default=400)
    parser.add_argument("--test", type=int, default=1_000)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="number of the first of these draws")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--one-hot", action="store_true", help="readouts towards 1 and 0, as the paper's loss says")
    parser.add_argument("--passes", type=int, default=1_000, help="of a readout over its training set, at most")
    parser.add_argument("--name", default="astrocyte_digits", help="of the file in benchmarks/results")
    options = parser.parse_args()
    spec = load_spec(options.spec)
    sizes = (options.training, options.validation, options.test)
    if spec.inputs == SENSOR.inputs:
        task = recordings_task(spec, options.digits, options.events, sizes)
    else:
        task = digits_task(spec, options.digits, sizes)
    right = measure(
        spec, task, options.variants, draws=range(options.first, options.first + options.draws),
        snapshots=options.snapshots, passes=options.passes, one_hot=options.one_hot,
    )  # fmt: skip
    source = "digits that ship with the package" if options.digits is None else options.digits.name
    if spec.inputs == SENSOR.inputs:
        source = f"N-MNIST-like, {source}"
    command = f"python -m benchmarks.astrocyte_liquid {spec.name}"
    given = ("snapshots", "training", "validation", "test", "first", "draws", "passes", "name")
    command += "".join(f" --{name} {getattr(options, name)}" for name in given
                       if getattr(options, name) != parser.get_default(name))  # fmt: skip
    command += " --one-hot" if options.one_hot else ""
    command += "" if options.variants == VARIANTS else f" --variants {' '.join(options.variants)}"
    if options.digits is not None:
        command += f" --digits {options.digits.name}"
    if options.events is not None:
        command += f" --events {options.events.name}"
    rows = Rows(command, "liquidcal", LIQUIDCAL)
    targets = "one_hot" if options.one_hot else "published"
    setting = f"{spec.name}, {options.training:,} training, {options.test:,} test samples ({source})"
    setting += f", {options.snapshots:,} snapshots"
    result = RESULTS / f"{options.name}.json"
    found = {
        name: {seed: 100 * float(array.mean()) for seed, array in arrays.items()} for name, arrays in right.items()
    }
    earlier = kept(result, lambda _: False)
    add_accuracies(rows, found, f"targets:{targets}", setting, earlier)
    add_differences(rows, right, f"targets:{targets}", setting, earlier)
    mine = {metric.name for metric in rows}
    write_metrics(result, [*(metric for metric in earlier if metric.name not in mine), *rows])


if __name__ == "__main__":
    main()
