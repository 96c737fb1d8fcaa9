"""Training and scoring of an astrocyte liquid on digits or recordings.

What ``liquidcal train astrocyte_liquid`` and ``liquidcal evaluate astrocyte_liquid`` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np

from flows.common.cluster import map_in_order
from flows.common.journal import Journal
from flows.stimulus.astrocyte_samples import SHIPPED, SampleFiles, learned_set, scored_set
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.learning.protocol import CHECKPOINT, count_spikes, digest, initialise, resumed
from sim.astrocyte_liquid.learning.readout_training import quantise, train_readout
from sim.astrocyte_liquid.learning.stimuli import Stimuli
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.files import replacing
from sim.fixed_point import IntArray

__all__ = ["LiquidTraining", "evaluate_liquid", "spike_counts", "train_liquid"]

PIECE = 100
"""Samples that a process works on at a time."""


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


def spike_counts(
    liquid: Liquid, stimuli: Stimuli, seed: int, *, plastic: bool, scheduler: str | None = None,
    workers: int | None = None, checkpoint: Path | None = None, advance: Callable[[int], None] | None = None,
) -> IntArray:  # fmt: skip
    """Spike counts of all samples, shape (n, neurons): in threads here, in processes, or on a cluster.

    Parameters
    ----------
    liquid : Liquid
    stimuli : Stimuli
    seed : int
    plastic : bool
    scheduler : str, optional
        Address of a Dask scheduler.
    workers : int, optional
        Processes on this machine; threads in this one if both are left out.
    checkpoint : Path, optional
        File (``.npz``) that is written now and then, and that an interrupted run of the same inputs goes on from.
    advance : callable, optional
        Told how many samples are done since it was last told.

    Raises
    ------
    ValueError
        If the checkpoint is of another run.
    OSError
        If the scheduler does not answer.
    """
    counts = np.zeros((len(stimuli), liquid.spec.neurons), np.int64)
    identity = digest(*stimuli.identity(), liquid.weights, liquid.arithmetic, repr(liquid.spec), seed, plastic)
    done = 0
    if (found := resumed(checkpoint, identity, "counts")) is not None:
        done = len(found["counts"])
        counts[:done] = found["counts"]
        if advance is not None:
            advance(done)
    pieces = (
        stimuli.take(np.arange(first, min(first + PIECE, len(stimuli)))) for first in range(done, len(stimuli), PIECE)
    )
    constant = (liquid, seed, plastic)
    if scheduler is None and workers is None:
        results: Iterator[IntArray] = (_counts(constant, piece) for piece in pieces)
    else:
        results = map_in_order(_counts_on_a_core, constant, pieces, scheduler=scheduler, workers=workers)
    due = done + CHECKPOINT
    for result in results:
        counts[done : done + len(result)] = result
        done += len(result)
        if checkpoint is not None and (done >= due or done == len(stimuli)):
            with replacing(checkpoint, "wb") as file:
                np.savez_compressed(file, identity=identity, counts=counts[:done].astype(np.uint16))
            # the file holds all so far: written ever more rarely, it takes a fixed share of the time
            due = done + max(CHECKPOINT, done // 4)
        if advance is not None:
            advance(len(result))
    return counts


def _counts(constant: tuple[Liquid, int, bool], piece: Stimuli) -> IntArray:
    liquid, seed, plastic = constant
    return count_spikes(liquid, piece, seed, plastic=plastic)


def _counts_on_a_core(constant: tuple[Liquid, int, bool], piece: Stimuli) -> IntArray:
    numba.set_num_threads(1)
    return _counts(constant, piece)


def train_liquid(
    spec: AstrocyteSpec, training: LiquidTraining, journal: Journal, *, given: SampleFiles = SHIPPED,
    checkpoint: Path | None = None, scheduler: str | None = None, workers: int | None = None,
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
        See `sim.astrocyte_liquid.learning.protocol.initialise`; counts are kept beside it.
    scheduler, workers : optional
        See `spike_counts`.

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
    total = training.training + training.validation
    with journal.step(f"{spec.name}: spikes of {total:,} samples", total) as advance:
        for name, stimuli in (("training", shown), ("validation", chosen_by)):
            kept = None if checkpoint is None else checkpoint.with_name(f"{checkpoint.stem}.{name}.npz")
            counts.append(
                spike_counts(
                    liquid, stimuli, training.seed, plastic=training.plastic, scheduler=scheduler, workers=workers,
                    checkpoint=kept, advance=advance,
                )
            )  # fmt: skip
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


def evaluate_liquid(
    model: TrainedLiquid, *, given: SampleFiles = SHIPPED, count: int | None = None, scheduler: str | None = None,
    workers: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score a model on samples that it was not trained on, in exact chip arithmetic.

    Parameters
    ----------
    model : TrainedLiquid
    given : SampleFiles
        To be scored: of digits the test set, of recordings all.
    count : int, optional
        Samples, from the first; all where left out.
    scheduler, workers : optional
        See `spike_counts`.

    Returns
    -------
    dict
        Ready for JSON: ``spec``, ``seed``, ``plastic``, ``samples``, ``correct``, ``accuracy``, ``accuracy_error``
        (binomial standard deviation), ``confusion`` (row: label, column: class).
    """
    test = scored_set(model.spec, given)
    test = test.take(np.arange(len(test))[:count])
    stimuli, _ = test.shown(model.spec, model.scale)
    counts = spike_counts(
        model.liquid(), stimuli, model.seed, plastic=model.plastic, scheduler=scheduler, workers=workers
    )
    classes = model.readout.classify(counts)
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
