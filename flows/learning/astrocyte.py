"""Training and scoring of an astrocyte liquid on digits or recordings.

What ``liquidcal train astrocyte_liquid`` and ``liquidcal evaluate astrocyte_liquid`` do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.common.journal import Journal
from flows.learning.astrocyte_samples import SHIPPED, SampleFiles, learned_set, scored_set
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.learning.protocol import count_spikes, initialise
from sim.astrocyte_liquid.learning.readout_training import quantise, train_readout
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["LiquidTraining", "evaluate_liquid", "train_liquid"]


@dataclass(frozen=True, kw_only=True)
class LiquidTraining:
    """What is trained, and for how long.

    Attributes
    ----------
    seed : int
        Of network, order and spikes.
    snapshots : int
        Short samples that tune the liquid.
    training, validation : int
        Samples that the readout learns from, and that choose its pass.
    plastic : bool
        Weights change within every sample, as published; else the tuned liquid is frozen.
    passes : int
        Of the readout over its training set, at most.
    """

    seed: int = 1
    snapshots: int = 5_000
    training: int = 2_000
    validation: int = 400
    plastic: bool = False
    passes: int = 1_000


def train_liquid(
    spec: AstrocyteSpec, training: LiquidTraining, journal: Journal, *, given: SampleFiles = SHIPPED,
    checkpoint: Path | None = None,
) -> tuple[TrainedLiquid, float]:  # fmt: skip
    """Tune a liquid in the chip's integers, and train its readout.

    Parameters
    ----------
    spec : AstrocyteSpec
    training : LiquidTraining
    journal : Journal
        Shows the steps as they run.
    given : SampleFiles
        To learn from.
    checkpoint : Path, optional
        See `sim.astrocyte_liquid.learning.protocol.initialise`.

    Returns
    -------
    TrainedLiquid
    float
        Share of the validation set that the chip's integers get right.

    Raises
    ------
    ValueError
        Too few samples, samples that the liquid has no inputs for, or a checkpoint of another run.
    """
    learned = learned_set(spec, given)
    if training.training + training.validation > len(learned):
        raise ValueError(
            f"expected at most {len(learned):,} samples to train on, got "
            f"{training.training:,} + {training.validation:,}"
        )
    order = np.random.default_rng([training.seed, 0xD16]).permutation(len(learned))
    rows = np.split(order[: training.training + training.validation], [training.training])
    parts = [learned.take(part) for part in rows]
    with journal.step(f"{spec.name}: {training.training + training.validation:,} samples"):
        shown, scale = parts[0].shown(spec)
        chosen_by, _ = parts[1].shown(spec, scale)
    liquid = Liquid(draw(spec, training.seed), Arithmetic.CHIP)
    with journal.step(f"{spec.name}: tuned on {training.snapshots:,} snapshots", training.snapshots) as advance:
        initialise(liquid, shown, training.snapshots, training.seed, checkpoint=checkpoint, advance=advance)
    counts = []
    with journal.step(f"{spec.name}: spikes of {training.training + training.validation:,} samples") as advance:
        for stimuli in (shown, chosen_by):
            numbers = np.arange(len(stimuli))
            counts.append(
                count_spikes(liquid, stimuli, numbers, training.seed, plastic=training.plastic, advance=advance)
            )
    with journal.step("readout: pass chosen on validation"):
        found = train_readout(
            counts[0], parts[0].labels, counts[1], parts[1].labels, spec.outputs, learning_rate=1.0,
            passes=training.passes, patience=200, seed=training.seed,
        )  # fmt: skip
        readout = quantise(found, spec)
    right = float(np.mean(readout.classify(counts[1]) == parts[1].labels))
    model = TrainedLiquid(
        spec=spec, seed=training.seed, scale=scale, plastic=training.plastic, weights=liquid.weights, readout=readout
    )
    return model, right


def evaluate_liquid(model: TrainedLiquid, *, given: SampleFiles = SHIPPED, count: int | None = None) -> dict[str, Any]:
    """Score a model on samples that it was not trained on, in exact chip arithmetic.

    Parameters
    ----------
    model : TrainedLiquid
    given : SampleFiles
        To be scored: of digits the test set, of recordings all.
    count : int, optional
        Samples, from the first; all where left out.

    Returns
    -------
    dict
        Ready for JSON: ``spec``, ``seed``, ``plastic``, ``samples``, ``correct``, ``accuracy``, ``accuracy_error``
        (binomial standard deviation), ``confusion`` (row: label, column: class).
    """
    test = scored_set(model.spec, given)
    test = test.take(np.arange(len(test))[:count])
    stimuli, _ = test.shown(model.spec, model.scale)
    classes = model.classify(stimuli)
    confusion = np.zeros((model.spec.outputs, model.spec.outputs), np.int64)
    np.add.at(confusion, (test.labels, classes), 1)
    share = float(np.mean(classes == test.labels))
    return {
        "spec": model.spec.name,
        "seed": model.seed,
        "plastic": model.plastic,
        "samples": len(test),
        "correct": int((classes == test.labels).sum()),
        "accuracy": share,
        "accuracy_error": float(np.sqrt(share * (1 - share) / len(test))),
        "confusion": confusion.tolist(),
    }
