"""Training of an association chip: recordings and clips to projections, as one step.

What ``liquidcal train association`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.common.journal import Journal
from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.match import as_entries
from sim.lsm_crossbar.association.model import TrainedAssociation
from sim.lsm_crossbar.association.spec import AssociationSpec
from sim.lsm_crossbar.association.training import Samples, TrainedProjections, TrainingOptions, both_ways, fit
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings.audio import Cochlea, read_wav
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import ENCODINGS, encode_all, find_recordings, read_labels, read_recording
from sim.lsm_crossbar.recordings.speech import find_speech, tidigits_like

__all__ = ["AssociationTraining", "Parts", "TrainedChip", "hold_out", "load_clips", "load_images", "train_association"]

STEP_US = 6200
"""Length of a step of events: 50 of them hold an N-MNIST recording."""
ENCODING = ENCODINGS["pooled_3x3_split"]
IMAGES = 2000
"""Synthesised recordings to learn from where none are given; a quarter as many more for validation and for test."""


@dataclass(frozen=True, kw_only=True)
class AssociationTraining:
    """What is trained on what.

    Attributes
    ----------
    spec : AssociationSpec
    seed : int
        Of both macros, initial weights and pairs, synthesised recordings, and the parting of the data.
    clips : Path or None
        Folder of WAV files; None: the shipped TIDIGITS-like set.
    events, labels : Path or None
        Folder of recordings named by index and their label file; None: N-MNIST-like recordings of shipped digits.
    classes : tuple of int or None
        Classes to learn; None: all that both have.
    epochs : int
    """

    spec: AssociationSpec
    seed: int = 0
    clips: Path | None = None
    events: Path | None = None
    labels: Path | None = None
    classes: tuple[int, ...] | None = None
    epochs: int = TrainingOptions().epochs


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """Input spikes of one modality with labels, and the rows of training, validation and test."""

    spikes: NDArray[np.bool_]
    labels: IntArray
    rows: tuple[IntArray, IntArray, IntArray]
    source: str


def hold_out(groups: NDArray[Any], seed: int) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of training, validation and test: about 70, 15 and 15 % of the groups, none of which is in two of them.

    A group is a speaker where there are at least eight, else every sample is one of its own.
    """
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    if len(names) < 8:
        groups, names = np.arange(len(groups)), np.arange(len(groups))
    order = rng.permutation(names)
    held = max(1, round(0.15 * len(order)))
    test, validation = order[:held], order[held : 2 * held]
    found = [np.flatnonzero(np.isin(groups, part)) for part in (order[2 * held :], validation, test)]
    return found[0], found[1], found[2]


def load_clips(training: AssociationTraining, cochlea: Cochlea) -> Parts:
    """Clips of a folder, or of the shipped set; parted by speaker where names say who speaks.

    Raises
    ------
    FileNotFoundError, ValueError
        A folder or a file that cannot be read; the message names it.
    """
    spec = training.spec.audio
    if training.clips is None:
        spoken = tidigits_like()
        if spoken.spikes.shape[1:] != (spec.steps, spec.inputs):
            raise ValueError(
                f"{spec.name}: the shipped clips have {spoken.spikes.shape[1]} steps of {spoken.spikes.shape[2]} "
                f"channels, the spec {spec.steps} of {spec.inputs}: give a folder of WAV files (--clips)"
            )
        rows = hold_out(spoken.speakers, training.seed)
        return Parts(spikes=spoken.spikes, labels=spoken.labels, rows=rows, source="TIDIGITS-like clips of espeak-ng")
    files = find_speech(training.clips)
    spikes = cochlea.all_spikes((read_wav(file.path) for file in files), spec.steps, spec.inputs)
    rows = hold_out(np.array([file.speaker for file in files]), training.seed)
    labels = np.array([file.label for file in files], np.int64)
    return Parts(spikes=spikes, labels=labels, rows=rows, source=f"{len(files)} clips of {training.clips.name}")


def load_images(training: AssociationTraining) -> Parts:
    """Event recordings of a folder, or synthesised ones. Errors as `load_clips`."""
    spec = training.spec.vision
    if (training.events is None) != (training.labels is None):
        raise ValueError("--events and --labels come together: recordings named by index, and a label for each")
    if training.events is not None and training.labels is not None:
        paths, table = find_recordings(training.events), read_labels(training.labels)
        if missing := [index for index in table if index not in paths]:
            raise FileNotFoundError(f"{training.events}: no recording of the index {missing[0]} of {training.labels}")
        events = (read_recording(paths[index]) for index in table)
        labels = np.array(list(table.values()), np.int64)
        source = f"{len(labels)} recordings of {training.events.name}"
    else:
        digits = mnist_digits("rest")
        order = np.random.default_rng((training.seed, 1)).permutation(len(digits))[: IMAGES * 3 // 2]
        events = iter(EventCamera(seed=training.seed).record_all(digits.images[order]))
        labels = digits.labels[order].astype(np.int64)
        source = f"{len(labels)} N-MNIST-like recordings of MNIST digits"
    spikes = encode_all(events, ENCODING, steps=spec.steps, step_us=STEP_US, inputs=spec.inputs)
    return Parts(spikes=spikes, labels=labels, rows=hold_out(np.arange(len(labels)), training.seed), source=source)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedChip:
    """What `train_association` made.

    Attributes
    ----------
    model : TrainedAssociation
    result : TrainedProjections
        With retrieval on validation.
    test : tuple of float
        Retrieval of images by clips and of clips by images on the test part, looked at once.
    card : str
        Markdown that says all of it.
    entries : tuple of ndarray of int64
        One entry per class and modality: the mean of the training samples, for a chip that names what it sees.
    classes : tuple of int
    """

    model: TrainedAssociation
    result: TrainedProjections
    test: tuple[float, float]
    card: str
    entries: tuple[IntArray, IntArray]
    classes: tuple[int, ...]


def train_association(training: AssociationTraining, journal: Journal) -> TrainedChip:
    """Draw both macros, run the liquids, train and quantise the projections, and score them.

    Raises
    ------
    FileNotFoundError, ValueError
        Data that cannot be read, or no class that images and clips have in common.
    """
    spec, cochlea = training.spec, Cochlea(channels=min(64, training.spec.audio.inputs))
    with journal.step("clips through the front end"):
        heard = load_clips(training, cochlea)
    with journal.step("event recordings"):
        seen = load_images(training)
    classes = training.classes or tuple(int(c) for c in np.intersect1d(heard.labels, seen.labels))
    if lacking := [c for c in classes if c not in heard.labels or c not in seen.labels]:
        raise ValueError(f"class {lacking[0]}: expected examples in both modalities")
    if len(classes) < 2:
        raise ValueError(f"expected two or more classes that images and clips have in common, got {len(classes)}")
    conductances = [draw(crossbar, training.seed) for crossbar in spec.crossbars]
    with journal.step("both liquids"):
        counts = [
            Liquid(crossbar, image).counts(parts.spikes)
            for crossbar, image, parts in zip(spec.crossbars, conductances, (seen, heard), strict=True)
        ]
    samples = [
        Samples(
            counts=(counts[0][seen.rows[part]], counts[1][heard.rows[part]]),
            labels=(seen.labels[seen.rows[part]], heard.labels[heard.rows[part]]),
        ).of(classes)
        for part in range(3)
    ]
    options = replace(TrainingOptions(seed=training.seed + 1), epochs=training.epochs)
    with journal.step("projections", total=training.epochs) as advance:
        result = fit(spec, samples[0], samples[1], options, advance=advance)
    test = both_ways(spec, result.projections, samples[2])
    model = TrainedAssociation(
        spec=spec, seeds=(training.seed, training.seed),
        conductances_sha256=(conductances[0].sha256, conductances[1].sha256), encoding=ENCODING, step_us=STEP_US,
        cochlea=cochlea, projections=result.projections,
    )  # fmt: skip
    entries = []
    for projection, part, labels in zip(result.projections, samples[0].counts, samples[0].labels, strict=True):
        embeddings = projection.embed(part)
        entries.append(as_entries(np.stack([embeddings[labels == c].mean(axis=0) for c in classes]), spec))
    card = _card(training, model, result, test, (seen, heard), classes, [len(s.labels[0]) for s in samples],
                 [len(s.labels[1]) for s in samples])  # fmt: skip
    return TrainedChip(
        model=model, result=result, test=test, card=card, entries=(entries[0], entries[1]), classes=classes
    )


def _card(
    training: AssociationTraining,
    model: TrainedAssociation,
    result: TrainedProjections,
    test: tuple[float, float],
    parts: tuple[Parts, Parts],
    classes: Sequence[int],
    images: Sequence[int],
    clips: Sequence[int],
) -> str:
    spec = training.spec
    chance = 100 / len(classes)

    def ways(values: tuple[float, float]) -> str:
        return f"{100 * values[0]:.1f} % / {100 * values[1]:.1f} %"

    return f"""# {spec.name.lower()}

Projections of `{spec.name}` for classes {", ".join(map(str, classes))}: {spec.dimensions} dimensions, {spec.activation}
activation, weights of {spec.vision.readout_weight_bits} and {spec.audio.readout_weight_bits} bits, components of
{spec.embedding_bits} bits.

| | |
|---|---|
| seed of both macros | {training.seed} |
| sha256 of the conductance images | `{model.conductances_sha256[0]}`, `{model.conductances_sha256[1]}` |
| sha256 of the projections | `{model.sha256}` |
| images | {parts[0].source}; {images[0]} for training, {images[1]} for validation, {images[2]} for test |
| clips | {parts[1].source}; {clips[0]} for training, {clips[1]} for validation, {clips[2]} for test |
| retrieval of images by clips / of clips by images, validation | {ways(result.validation)} |
| the same, test, looked at once | {ways(test)} |
| chance | {chance:.1f} % |

Retrieval is top-1: right is an entry of the query's class. The conductance images are not stored: they are drawn again
from the seed, and their hashes must agree.
"""
