"""The phases of the published protocol, resumable: the liquid is initialised, then it counts spikes of every sample."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.learning.stimuli import Stimuli
from sim.astrocyte_liquid.liquid import Liquid
from sim.files import replacing
from sim.fixed_point import IntArray
from sim.foreign_files import read_npz

__all__ = ["CHECKPOINT", "SNAPSHOT_STEPS", "count_spikes", "digest", "initialise", "resumed"]

SNAPSHOT_STEPS = 20
"""Steps of a sample of the initialisation."""
BLOCK = 100
"""Samples between two reports of progress."""
CHECKPOINT = 1_000
"""Samples between two checkpoints."""


Advance = Callable[[int], None]


def initialise(
    liquid: Liquid,
    stimuli: Stimuli,
    snapshots: int,
    seed: int,
    *,
    checkpoint: Path | None = None,
    advance: Advance | None = None,
) -> None:
    """Tune the stored weights of a liquid on short samples, one after another.

    Parameters
    ----------
    liquid : Liquid
    stimuli : Stimuli
        To learn from, taken in a random order, over and over.
    snapshots : int
        Samples in all.
    seed : int
        Of the order and of the spikes.
    checkpoint : Path, optional
        File (``.npz``) that is written now and then, and that an interrupted run of the same inputs goes on from.
    advance : callable, optional
        Told how many samples are done since it was last told.

    Raises
    ------
    ValueError
        If the checkpoint is of another run.
    """
    # weights that are reached by other samples or from others are another run
    identity = digest(*stimuli.identity(), liquid.weights, liquid.arithmetic, repr(liquid.spec), seed)
    done = 0
    if (found := resumed(checkpoint, identity, "done", "weights", "trace")) is not None:
        liquid.weights, liquid.trace, done = found["weights"], found["trace"], int(found["done"])
        if advance is not None:
            advance(done)
    rounds = max(1, -(-snapshots // len(stimuli)))
    rng = np.random.default_rng([seed, 0x1217])
    order = np.concatenate([rng.permutation(len(stimuli)) for _ in range(rounds)])
    while done < snapshots:
        rows = order[done : min(done + BLOCK, snapshots)]
        seeds = (seed << 32) + (1 << 31) + done + np.arange(len(rows))
        liquid.initialise(stimuli.snapshots(rows, SNAPSHOT_STEPS, seeds))
        done += len(rows)
        if checkpoint is not None and (done % CHECKPOINT == 0 or done == snapshots):
            with replacing(checkpoint, "wb") as file:
                np.savez(file, identity=identity, done=done, weights=liquid.weights, trace=liquid.trace)
        if advance is not None:
            advance(len(rows))


def count_spikes(liquid: Liquid, stimuli: Stimuli, seed: int, *, plastic: bool) -> IntArray:
    """Spike counts of all samples; shape (n, neurons).

    Parameters
    ----------
    liquid : Liquid
    stimuli : Stimuli
    seed : int
        With the stimulus it decides the spikes of a sample: the same whatever liquid sees it.
    plastic : bool
    """
    blocks = []
    for first in range(0, len(stimuli), BLOCK):
        events = stimuli.samples(np.arange(first, min(first + BLOCK, len(stimuli))), liquid.spec.steps, seed)
        blocks.append(liquid.run(events, plastic=plastic).counts)
    return np.concatenate(blocks) if blocks else np.zeros((0, liquid.spec.neurons), np.int64)


def resumed(checkpoint: Path | None, identity: str, *names: str) -> Mapping[str, npt.NDArray[Any]] | None:
    """Arrays of these names that an interrupted run of the same identity left; None where it left none.

    Raises
    ------
    ValueError
        If the checkpoint is of another run.
    """
    if checkpoint is None or not checkpoint.is_file():
        return None
    found = read_npz(checkpoint)
    if set(found) != {"identity", *names} or str(found["identity"]) != identity:
        raise ValueError(f"{checkpoint}: a checkpoint of another run; delete it, or choose another folder")
    return found


def digest(*parts: object) -> str:
    """SHA-256 of arrays and texts, in hex."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.tobytes() if isinstance(part, np.ndarray) else str(part).encode())
        found.update(b"\0")
    return found.hexdigest()
