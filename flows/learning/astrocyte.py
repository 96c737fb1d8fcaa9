"""Training and scoring of an astrocyte liquid on digits.

What ``liquidcal train astrocyte_liquid`` and ``liquidcal evaluate astrocyte_liquid`` do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flows.common.journal import Journal
from sim.astrocyte_liquid.learning.images import probabilities
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.learning.protocol import count_spikes, initialise
from sim.astrocyte_liquid.learning.readout_training import quantise, train_readout
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.digits import Digits, mnist_digits, read_digits

__all__ = ["LiquidTraining", "evaluate_liquid", "held_out", "train_liquid"]

HELD_OUT = 2_000
"""Of the digits that ship with the package: never trained on, what `evaluate_liquid` scores."""


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
        Images that the readout learns from, and that choose its pass.
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


def held_out(folder: Path | None) -> tuple[Digits, Digits]:
    """Digits to train on, and digits to score: MNIST's own split, or of those that ship `HELD_OUT` held out."""
    if folder is not None:
        return read_digits(folder)
    digits = mnist_digits()
    order = np.random.default_rng(2026).permutation(len(digits))
    return digits.take(order[HELD_OUT:]), digits.take(order[:HELD_OUT])


def train_liquid(
    spec: AstrocyteSpec, training: LiquidTraining, journal: Journal, *, digits: Path | None = None,
    checkpoint: Path | None = None,
) -> tuple[TrainedLiquid, float]:  # fmt: skip
    """Tune a liquid in the chip's integers, and train its readout.

    Parameters
    ----------
    spec : AstrocyteSpec
    training : LiquidTraining
    journal : Journal
        Shows the steps as they run.
    digits : Path, optional
        As `sim.digits.read_digits` takes it; left out, the digits that ship with the package.
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
        Too few digits, or a checkpoint of another run.
    """
    learned, _ = held_out(digits)
    if training.training + training.validation > len(learned):
        raise ValueError(
            f"expected at most {len(learned):,} images to train on, got {training.training:,} + {training.validation:,}"
        )
    order = np.random.default_rng([training.seed, 0xD16]).permutation(len(learned))
    rows, chosen_by = np.split(order[: training.training + training.validation], [training.training])
    _, scale = probabilities(learned.images[rows], spec)
    probability, _ = probabilities(learned.images, spec, scale)
    labels = learned.labels.astype(np.int64)
    liquid = Liquid(draw(spec, training.seed), Arithmetic.CHIP)
    with journal.step(f"{spec.name}: tuned on {training.snapshots:,} snapshots", training.snapshots) as advance:
        initialise(liquid, probability[rows], training.snapshots, training.seed, checkpoint=checkpoint, advance=advance)
    counts = []
    with journal.step(f"{spec.name}: spikes of {training.training + training.validation:,} images") as advance:
        for part in (rows, chosen_by):
            counts.append(
                count_spikes(liquid, probability, part, training.seed, plastic=training.plastic, advance=advance)
            )
    with journal.step("readout: pass chosen on validation"):
        found = train_readout(
            counts[0], labels[rows], counts[1], labels[chosen_by], spec.outputs, learning_rate=1.0,
            passes=training.passes, patience=200, seed=training.seed,
        )  # fmt: skip
        readout = quantise(found, spec)
    right = float(np.mean(readout.classify(counts[1]) == labels[chosen_by]))
    model = TrainedLiquid(
        spec=spec, seed=training.seed, scale=scale, plastic=training.plastic, weights=liquid.weights, readout=readout
    )
    return model, right


def evaluate_liquid(model: TrainedLiquid, *, digits: Path | None = None, count: int | None = None) -> dict[str, Any]:
    """Score a model on digits that it was not trained on, in exact chip arithmetic.

    Parameters
    ----------
    model : TrainedLiquid
    digits : Path, optional
        As of `train_liquid`; of a user's digits the test set is scored.
    count : int, optional
        Images, from the first; all where left out.

    Returns
    -------
    dict
        Ready for JSON: ``spec``, ``seed``, ``plastic``, ``images``, ``correct``, ``accuracy``, ``accuracy_error``
        (binomial standard deviation), ``confusion`` (row: label, column: class).
    """
    _, test = held_out(digits)
    images, labels = test.images[:count], test.labels[:count].astype(np.int64)
    classes = model.classify(images)
    confusion = np.zeros((model.spec.outputs, model.spec.outputs), np.int64)
    np.add.at(confusion, (labels, classes), 1)
    share = float(np.mean(classes == labels))
    return {
        "spec": model.spec.name,
        "seed": model.seed,
        "plastic": model.plastic,
        "images": len(labels),
        "correct": int((classes == labels).sum()),
        "accuracy": share,
        "accuracy_error": float(np.sqrt(share * (1 - share) / len(labels))),
        "confusion": confusion.tolist(),
    }
