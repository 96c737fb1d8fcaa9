"""A small liquid that its astrocyte tunes, before and after: the demo."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flows.common.journal import Check, Journal
from flows.designs.astrocyte import MODEL, AstrocyteDesign
from flows.learning.astrocyte import LiquidTraining, evaluate_liquid, train_liquid
from flows.stimulus.astrocyte_samples import SHIPPED, scored_set
from sim.astrocyte_liquid.learning.criticality import criticality
from sim.astrocyte_liquid.liquid import Liquid
from sim.files import replacing

if TYPE_CHECKING:
    from flows.steps.demo import DemoOptions

__all__ = ["show"]

SAMPLES = 20
"""Images over which figures are averaged."""


def show(design: AstrocyteDesign, folder: Path, journal: Journal, options: DemoOptions) -> None:
    """Tune, train, score; leaves the model, ``tuning.npz`` (rasters) and ``tuning.json`` (figures) in the folder.

    The check is that tuning weakened the liquid's loop through itself: the spectral radius of its recurrent weights.
    """
    spec = design.spec
    training = LiquidTraining(seed=options.seed, snapshots=3_000, training=1_500, validation=300, passes=300)
    model, _ = train_liquid(spec, training, journal)
    model.save(folder / MODEL)
    test = scored_set(spec, SHIPPED).take(np.arange(SAMPLES))
    events = test.shown(spec, model.scale)[0].samples(np.arange(SAMPLES), spec.steps, 0)
    figures, rasters = {}, {}
    with journal.step("edge of chaos: before and after"):
        for when, liquid in (("before", Liquid(model.network)), ("after", model.liquid())):
            figures[when] = criticality(liquid, events, test.labels)
            rasters[when] = liquid.run(events[:1], plastic=False, spikes=True).spikes[0]
    tested = options.recordings
    with journal.step(f"digits in the chip's integers: {tested:,}"):
        scored = evaluate_liquid(model, count=tested)
    before, after = (figures[when].radius for when in ("before", "after"))
    journal.check(
        Check(
            name="tuning lowers the spectral radius of the recurrent weights", passed=after < before,
            compared=SAMPLES, unit="samples", detail=f"{before:.2f} before, {after:.2f} after",
        )
    )  # fmt: skip
    facts = {when: asdict(figure) for when, figure in figures.items()} | {
        "snapshots": training.snapshots, "synapses": len(model.network), "trained": training.training,
        "tested": scored["samples"], "right_percent": 100 * scored["accuracy"],
    }  # fmt: skip
    with replacing(folder / "tuning.json") as file:
        json.dump(facts, file, indent=1)
    with replacing(folder / "tuning.npz", "wb") as file:
        np.savez_compressed(file, **rasters)
