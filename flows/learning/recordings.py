"""Training of one crossbar's readout on labelled recordings, of events or of sound, as one step.

What ``liquidcal train lsm_crossbar`` does.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.common.journal import Journal
from flows.learning.recorded_parts import View, labelled_parts
from sim.lsm_crossbar.homeostat import balanced_ratio, balanced_ratios
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.learning.readout_training import Candidate, accuracy, confusion_matrix, train
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.measured_file import macro_of
from sim.lsm_crossbar.recordings.audio import Cochlea
from sim.lsm_crossbar.spec import CrossbarSpec, HomeostatParameters

__all__ = ["RecordingsTraining", "TrainedReadoutModel", "train_on_recordings"]


NOT_STORED = "The conductance image is not stored: it is drawn again from the seed, and its hash must agree."
STORED = "The macro was measured; its conductance codes are in the file."


@dataclass(frozen=True, kw_only=True)
class RecordingsTraining:
    """What is trained on what.

    Attributes
    ----------
    spec : CrossbarSpec
    seed : int
        Of the macro and the parting of the data.
    homeostat : bool
        Give the chip a homeostat, if the spec has none; its ratio comes from the training part.
    conductances : Path or None
        File of the macro's measured conductances; `seed` then only parts the data.
    clips : Path or None
        Folder of WAV files; None, and no events: the shipped TIDIGITS-like set.
    events, labels : Path or None
        Folder of recordings named by index and their label file, instead of sound.
    view : View
        How these recordings are seen.
    """

    spec: CrossbarSpec
    seed: int = 0
    homeostat: bool = False
    conductances: Path | None = None
    clips: Path | None = None
    events: Path | None = None
    labels: Path | None = None
    view: View = field(default_factory=View)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedReadoutModel:
    """What `train_on_recordings` made.

    Attributes
    ----------
    model : TrainedCrossbar
    chosen : Candidate
        Method, penalty and accuracy on validation.
    test_accuracy : float
        On the test part, looked at once.
    samples : tuple of int
        Of training, validation and test.
    card : str
    """

    model: TrainedCrossbar
    chosen: Candidate
    test_accuracy: float
    samples: tuple[int, int, int]
    card: str

    def summary(self) -> dict[str, Any]:
        """The figures, ready for JSON."""
        return {
            "spec": self.model.spec.name, "seed": self.model.seed, "method": self.chosen.method,
            "penalty": self.chosen.penalty, "validation_accuracy": self.chosen.validation_accuracy,
            "test_accuracy": self.test_accuracy, "samples": list(self.samples), "readout_sha256": self.model.sha256,
        }  # fmt: skip


def train_on_recordings(training: RecordingsTraining, journal: Journal) -> TrainedReadoutModel:
    """Draw the macro, run the liquid, train and choose the readout, and score it.

    Raises
    ------
    FileNotFoundError, ValueError
        Data that cannot be read, both kinds of them, or a label that is no class of the spec.
    """
    spec, cochlea = training.spec, Cochlea(channels=min(64, training.spec.inputs))
    with journal.step("recordings"):
        parts, sound = labelled_parts(
            spec, training.clips, training.events, training.labels, cochlea, training.seed, training.view
        )
    if (worst := int(parts.labels.max())) >= spec.outputs:
        raise ValueError(f"label {worst}: {spec.name} has classes 0 to {spec.outputs - 1}")
    image = macro_of(spec, seed=training.seed, conductances=training.conductances)
    with journal.step("liquid"):
        activity = Liquid(spec, image).run(parts.spikes)
        counts = activity.counts
    learn, check, test = parts.rows
    ratios = None
    if spec.own_thresholds:
        # what a fresh liquid does is what the homeostat is to keep
        ratios = balanced_ratios(counts[learn], int(parts.spikes[learn].sum()))
    elif training.homeostat or spec.homeostat is not None:
        ratio = balanced_ratio(int(activity.spikes[learn].sum()), int(parts.spikes[learn].sum()))
        spec = replace(spec, homeostat=replace(spec.homeostat or HomeostatParameters(), ratio=ratio))
    with journal.step("readout"):
        found = train(spec, counts[learn], parts.labels[learn], counts[check], parts.labels[check], methods=("ridge",))
    model = TrainedCrossbar.trained(
        spec, image, encoding=cochlea if sound else training.view.encoding,
        step_us=0 if sound else training.view.step_us, readout=found.readout, ratios=ratios,
    )  # fmt: skip
    score = accuracy(found.readout, counts[test], parts.labels[test])
    matrix = confusion_matrix(parts.labels[test], found.readout.classify(counts[test]), spec.outputs)
    error = float(np.sqrt(score * (1 - score) / len(test)))
    chosen = found.chosen
    card = f"""# {spec.name.lower()}

Readout of `{spec.name}`: {spec.all_neurons} neurons, {spec.windows} counting windows, {spec.outputs} classes, weights
of {spec.readout_weight_bits} bits.

| | |
|---|---|
| spec | stored in the file |
| macro | {model.macro_name} |
| sha256 of its conductance image | `{image.sha256}` |
| sha256 of the readout | `{model.sha256}` |
| input | {f"front end of {cochlea.channels} channels, {spec.steps} steps" if sound else training.view.encoding.name} |
| recordings | {parts.source}; {len(learn)} for training, {len(check)} for validation, {len(test)} for test |
| parted by | {parts.parted_by} |
| accuracy on validation | {100 * chosen.validation_accuracy:.1f} % ({chosen.method}, penalty {chosen.penalty:g}) |
| accuracy on test, looked at once | {100 * score:.1f} +- {100 * error:.1f} % |

Method and penalty are chosen on validation, and the chosen readout is trained once more on training and validation
together. {STORED if image.seed is None else NOT_STORED}

Confusion matrix of the test part (row: label, column: class):

```
{chr(10).join(" ".join(f"{n:3d}" for n in row) for row in matrix)}
```
"""
    return TrainedReadoutModel(
        model=model, chosen=chosen, test_accuracy=score, samples=(len(learn), len(check), len(test)), card=card
    )
