"""Training of an association chip: recordings and clips to projections, as one step.

What ``liquidcal train association`` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.common.journal import Journal
from flows.learning.recorded_parts import ENCODING, STEP_US, SYNTHESISED, Parts, clip_parts, event_parts
from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.match import as_entries
from sim.lsm_crossbar.association.model import TrainedAssociation
from sim.lsm_crossbar.association.spec import AssociationSpec
from sim.lsm_crossbar.association.training import Samples, TrainedProjections, TrainingOptions, both_ways, fit
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.measured_file import macro_of
from sim.lsm_crossbar.recordings.audio import Cochlea

__all__ = ["AssociationTraining", "TrainedChip", "train_association"]


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
    conductances : tuple of Path, or None
        Files of the measured conductances of both macros, in the order of `MODALITIES`; None: drawn from the seed.
    recordings : int
        Event recordings that are synthesised where none are given.
    """

    spec: AssociationSpec
    seed: int = 0
    clips: Path | None = None
    events: Path | None = None
    labels: Path | None = None
    classes: tuple[int, ...] | None = None
    epochs: int = TrainingOptions().epochs
    conductances: tuple[Path, Path] | None = None
    recordings: int = SYNTHESISED


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
    samples : tuple of Samples
        Counts and labels of training, validation and test.
    spikes : tuple of ndarray of bool
        Input spikes of the test part, of vision and of audio.
    """

    model: TrainedAssociation
    result: TrainedProjections
    test: tuple[float, float]
    card: str
    entries: tuple[IntArray, IntArray]
    classes: tuple[int, ...]
    samples: tuple[Samples, Samples, Samples]
    spikes: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]

    @property
    def label_array(self) -> IntArray:
        """The class of each entry."""
        return np.array(self.classes, np.int64)

    def summary(self) -> dict[str, Any]:
        """The figures, ready for JSON."""
        (one, two), (first, second) = self.result.validation, self.test
        return {
            "spec": self.model.spec.name, "seeds": list(self.model.seeds), "classes": list(self.classes),
            "validation": {"images_by_clips": one, "clips_by_images": two},
            "test": {"images_by_clips": first, "clips_by_images": second}, "projections_sha256": self.model.sha256,
        }  # fmt: skip


def train_association(training: AssociationTraining, journal: Journal) -> TrainedChip:
    """Draw both macros, run the liquids, train and quantise the projections, and score them.

    Raises
    ------
    FileNotFoundError, ValueError
        Data that cannot be read, or no class that images and clips have in common.
    """
    spec, cochlea = training.spec, Cochlea(channels=min(64, training.spec.audio.inputs))
    with journal.step("clips through the front end"):
        heard = clip_parts(spec.audio, training.clips, cochlea, training.seed)
    with journal.step("event recordings"):
        seen = event_parts(spec.vision, training.events, training.labels, training.seed, count=training.recordings)
    classes = training.classes or tuple(int(c) for c in np.intersect1d(heard.labels, seen.labels))
    if lacking := [c for c in classes if c not in heard.labels or c not in seen.labels]:
        raise ValueError(f"class {lacking[0]}: expected examples in both modalities")
    if len(classes) < 2:
        raise ValueError(f"expected two or more classes that images and clips have in common, got {len(classes)}")
    conductances = [
        macro_of(crossbar, seed=training.seed, conductances=file)
        for crossbar, file in zip(spec.crossbars, training.conductances or (None, None), strict=True)
    ]
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
    measured = [image if image.seed is None else None for image in conductances]
    model = TrainedAssociation(
        spec=spec, seeds=(conductances[0].seed, conductances[1].seed), measured=(measured[0], measured[1]),
        conductances_sha256=(conductances[0].sha256, conductances[1].sha256), encoding=ENCODING, step_us=STEP_US,
        cochlea=cochlea, projections=result.projections,
    )  # fmt: skip
    entries = []
    for projection, part, labels in zip(result.projections, samples[0].counts, samples[0].labels, strict=True):
        embeddings = projection.embed(part)
        entries.append(as_entries(np.stack([embeddings[labels == c].mean(axis=0) for c in classes]), spec))
    card = _card(training, model, result, test, (seen, heard), classes, [len(s.labels[0]) for s in samples],
                 [len(s.labels[1]) for s in samples])  # fmt: skip
    tested = [
        parts.spikes[parts.rows[2]][np.isin(parts.labels[parts.rows[2]], np.asarray(classes))]
        for parts in (seen, heard)
    ]
    return TrainedChip(
        model=model, result=result, test=test, card=card, entries=(entries[0], entries[1]), classes=classes,
        samples=(samples[0], samples[1], samples[2]), spikes=(tested[0], tested[1]),
    )  # fmt: skip


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
| seed of both macros | {"none: measured, and stored" if training.conductances else training.seed} |
| sha256 of the conductance images | `{model.conductances_sha256[0]}`, `{model.conductances_sha256[1]}` |
| sha256 of the projections | `{model.sha256}` |
| images | {parts[0].source}; {images[0]} for training, {images[1]} for validation, {images[2]} for test |
| clips | {parts[1].source}; {clips[0]} for training, {clips[1]} for validation, {clips[2]} for test |
| retrieval of images by clips / of clips by images, validation | {ways(result.validation)} |
| the same, test, looked at once | {ways(test)} |
| chance | {chance:.1f} % |

Retrieval is top-1: right is an entry of the query's class. Conductance images that were drawn are not stored: they are
drawn again from the seed, and their hashes must agree.
"""
