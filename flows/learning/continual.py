"""Training of a readout of signs on one task after another, as one step.

What ``liquidcal train lsm_crossbar --continual`` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.common.journal import Journal
from flows.learning.recorded_parts import labelled_parts
from flows.learning.recordings import RecordingsTraining
from sim.lsm_crossbar.learning.continual import ContinualReadout, FieldOptions, Task, forgetting, task_of
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.measured_file import macro_of
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.audio import Cochlea
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["TrainedSequence", "parse_tasks", "sign_spec", "train_sequence"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedSequence:
    """What `train_sequence` made.

    Attributes
    ----------
    model : TrainedCrossbar
    learner : ContinualReadout
        Fields, for the next task.
    curve : ndarray of float64, shape (tasks learnt now, tasks)
        Accuracy on the test part of each task after each task that was learnt now.
    first : int
        Tasks of earlier sessions.
    card : str
    """

    model: TrainedCrossbar
    learner: ContinualReadout
    curve: NDArray[np.float64]
    first: int
    card: str

    def summary(self) -> dict[str, Any]:
        """The figures, ready for JSON."""
        return {
            "spec": self.model.spec.name, "seed": self.model.seed, "tasks_learnt": self.learner.tasks,
            "accuracy_by_task_after_each": self.curve.tolist(), "accuracy_after_all": float(self.curve[-1].mean()),
            "readout_sha256": self.model.sha256,
        }  # fmt: skip


def parse_tasks(texts: list[str] | None, labels: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    """Tasks from texts such as ``0,1``; without any, pairs of all classes that the data have.

    Raises
    ------
    ValueError
        A text that lists no two classes, a class in two tasks, or one without a sample.
    """
    present = [int(label) for label in np.unique(labels)]
    if not texts:
        return tuple(tuple(present[i : i + 2]) for i in range(0, len(present) - 1, 2))
    tasks: list[tuple[int, ...]] = []
    for text in texts:
        words = text.split(",")
        if len(words) < 2 or not all(word.isascii() and word.isdigit() and len(word) < 5 for word in words):
            raise ValueError(f"--task: expected two or more classes such as 0,1, got {text!r}")
        task = tuple(map(int, words))
        for label in task:
            if label not in present:
                raise ValueError(f"--task {text}: no recording of class {label}")
            if sum(task.count(label) for task in [*tasks, task]) > 1:
                raise ValueError(f"--task {text}: class {label} is in two tasks, or twice in one")
        tasks.append(task)
    return tuple(tasks)


def sign_spec(spec: CrossbarSpec, outputs: int) -> CrossbarSpec:
    """The spec with readout weights of 1 bit and this number of outputs; its name says so."""
    return replace(spec, name=f"{spec.name}_SIGNS", readout_weight_bits=1, outputs=outputs)


def train_sequence(
    recordings: RecordingsTraining,
    tasks: list[str] | None,
    journal: Journal,
    *,
    shared: bool = True,
    field: Path | None = None,
    options: FieldOptions | None = None,
) -> TrainedSequence:
    """Run the liquid once, learn the tasks in order, and score every task after each.

    Parameters
    ----------
    recordings : RecordingsTraining
        Liquid and data; the spec that is trained is that of `sign_spec`.
    tasks : list of str or None
        See `parse_tasks`.
    journal : Journal
    shared : bool, optional
        Whether tasks share outputs, the first class of each task being output 0; else a class is its own output.
    field : Path, optional
        Fields that an earlier session left: so many of the first tasks are not learnt again.
    options : FieldOptions, optional

    Raises
    ------
    FileNotFoundError, ValueError
        Data or fields that cannot be read, or tasks that do not fit them.
    """
    cochlea = Cochlea(channels=min(64, recordings.spec.inputs))
    with journal.step("recordings"):
        parts, sound = labelled_parts(
            recordings.spec,
            recordings.clips,
            recordings.events,
            recordings.labels,
            cochlea,
            recordings.seed,
            recordings.view,
        )
    sequence = parse_tasks(tasks, parts.labels)
    outputs = max(map(len, sequence)) if shared else 1 + max(map(max, sequence))
    spec = sign_spec(recordings.spec, outputs)
    image = macro_of(spec, seed=recordings.seed, conductances=recordings.conductances)
    with journal.step("liquid"):
        counts = Liquid(spec, image).counts(parts.spikes)
    # nothing is chosen on validation: its samples are for training
    learn, test = np.concatenate(parts.rows[:2]), parts.rows[2]

    def of(rows: NDArray[np.int64], classes: tuple[int, ...]) -> Task:
        found = task_of(counts[rows], parts.labels[rows], classes)
        return found if shared else Task(counts=found.counts, labels=np.array(classes)[found.labels])

    chosen = options or FieldOptions(seed=recordings.seed + 1)
    learner = ContinualReadout(spec, chosen) if field is None else ContinualReadout.load(field, spec, chosen)
    first = learner.tasks
    if first >= len(sequence):
        raise ValueError(f"{field}: all {first} tasks are learnt already; expected one more --task")
    readouts: list[Readout] = []
    for number in range(first, len(sequence)):
        title = f"task {number + 1}: classes {', '.join(map(str, sequence[number]))}"
        with journal.step(title, total=chosen.updates) as advance:
            learner.learn(of(learn, sequence[number]), advance)
        readouts.append(learner.readout())
    curve = forgetting(readouts, [of(test, classes) for classes in sequence])
    model = TrainedCrossbar.trained(
        spec, image, encoding=cochlea if sound else recordings.view.encoding,
        step_us=0 if sound else recordings.view.step_us, readout=readouts[-1],
    )  # fmt: skip
    rows = "\n".join(
        f"| after task {first + i + 1} | " + " | ".join(f"{100 * value:.1f}" for value in row) + " |"
        for i, row in enumerate(curve)
    )
    titles = " | ".join(",".join(map(str, classes)) for classes in sequence)
    card = f"""# {spec.name.lower()}

Readout of `{spec.name}` with weights of 1 bit that learnt {learner.tasks} tasks one after another: {outputs} outputs,
{"shared by the tasks" if shared else "one for each class"}; {parts.source}.

| | |
|---|---|
| macro | {model.macro_name} |
| sha256 of its conductance image | `{image.sha256}` |
| sha256 of the readout | `{model.sha256}` |
| inverse temperature, prior weight, updates | {chosen.beta:g}, {chosen.prior_weight:g}, {chosen.updates} |
| mean accuracy on the test parts after the last task | {100 * curve[-1].mean():.1f} % |

Accuracy in % on the test part of each task, in the chip's integers with hard weights; tasks to the right of the
diagonal are not learnt yet:

| | {titles} |
|---|{"---|" * len(sequence)}
{rows}
"""
    return TrainedSequence(model=model, learner=learner, curve=curve, first=first, card=card)
