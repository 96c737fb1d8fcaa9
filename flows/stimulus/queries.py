"""Queries to an association chip by sight or by sound, with the chip that they are meant for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.match import as_entries
from sim.lsm_crossbar.association.model import Association, Matched, TrainedAssociation, trained_association
from sim.lsm_crossbar.association.projection import Projection, quantise_projection
from sim.lsm_crossbar.association.spec import MODALITIES, AssociationSpec
from sim.lsm_crossbar.liquid import Activity, Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import ENCODINGS, encode_all
from sim.lsm_crossbar.recordings.speech import tidigits_like

__all__ = ["QueryStimulus", "query_stimulus"]

Bits = npt.NDArray[np.bool_]
DENSITY = 0.05
"""Inputs that spike in a step, where spikes are random."""
ENCODING, STEP_US = ENCODINGS["pooled_3x3_split"], 6200
"""How images are seen without a model that says it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryStimulus:
    """Queries of one modality, and all that the chip holds.

    Attributes
    ----------
    spec : AssociationSpec
    modality : int
        Of the queries; index into `MODALITIES`.
    conductances : tuple of Conductances
    projections : tuple of Projection
    entries : tuple of ndarray of int64
        Of vision, of audio; those of the other modality fill its part of the memory.
    spikes : ndarray of bool, shape (queries, steps, inputs)
    source : str
    """

    spec: AssociationSpec
    modality: int
    conductances: tuple[Conductances, Conductances]
    projections: tuple[Projection, Projection]
    entries: tuple[IntArray, IntArray]
    spikes: Bits
    source: str

    @cached_property
    def activity(self) -> Activity:
        """What the liquid does."""
        crossbar = self.spec.crossbars[self.modality]
        return Liquid(crossbar, self.conductances[self.modality]).run(self.spikes)

    @cached_property
    def golden(self) -> Matched:
        """What the chip has to say."""
        chip = Association(self.spec, self.conductances, self.projections)
        chip.store(1 - self.modality, self.entries[1 - self.modality])
        return chip.look_up(self.modality, self.projections[self.modality].embed(self.activity.counts))


def query_stimulus(
    spec: AssociationSpec, modality: int, *, queries: int, seed: int = 1, weights: Path | None = None
) -> QueryStimulus:
    """N-MNIST-like recordings and TIDIGITS-like clips where the chip has the inputs for them, else random spikes.

    Entries are embeddings of further recordings, as many as the memory has.

    Parameters
    ----------
    spec : AssociationSpec
    modality : int
    queries : int
    seed : int
        Of digits and camera; without a model of macros and projections.
    weights : Path, optional
        A trained model; left out, a shipped one of this spec, else random projections.

    Raises
    ------
    ValueError
        A model of another spec.
    """
    rng = np.random.default_rng([seed, 5])
    model = trained_association(spec, weights)
    drawn = [
        _recordings(spec, number, rng, queries if number == modality else spec.entries, seed, model)
        for number in range(len(MODALITIES))
    ]
    if model is not None:
        conductances, projections = model.conductances, model.projections
    else:
        vision, audio = (draw(crossbar, seed) for crossbar in spec.crossbars)
        conductances = (vision, audio)
        made = [
            _random_projection(spec, number, Liquid(crossbar, image).counts(spikes), rng)
            for number, (crossbar, image, (spikes, _)) in enumerate(
                zip(spec.crossbars, conductances, drawn, strict=True)
            )
        ]
        projections = (made[0], made[1])
    other = 1 - modality
    known = projections[other].embed(Liquid(spec.crossbars[other], conductances[other]).counts(drawn[other][0]))
    none = np.zeros((0, spec.dimensions), np.int64)
    entries = [none, none]
    entries[other] = as_entries(known, spec)
    return QueryStimulus(
        spec=spec, modality=modality, conductances=conductances, projections=projections,
        entries=(entries[0], entries[1]), spikes=drawn[modality][0],
        source=f"{queries} queries of {MODALITIES[modality]} ({drawn[modality][1]}) among {spec.entries} entries, "
        f"{'random projections' if model is None else 'trained projections'}, seed {seed}",
    )  # fmt: skip


def _recordings(
    spec: AssociationSpec,
    modality: int,
    rng: np.random.Generator,
    count: int,
    seed: int,
    model: TrainedAssociation | None,
) -> tuple[Bits, str]:
    """Input spikes of a modality, and what they are in words."""
    crossbar = spec.crossbars[modality]
    encoding, step_us = (ENCODING, STEP_US) if model is None else (model.encoding, model.step_us)
    if modality == MODALITIES.index("vision") and crossbar.inputs >= encoding.inputs:
        digits = mnist_digits("first_thousand").take(rng.integers(0, 1000, count))
        events = EventCamera(seed=seed).record_all(digits.images)
        spikes = encode_all(events, encoding, steps=crossbar.steps, step_us=step_us, inputs=crossbar.inputs)
        return spikes, "N-MNIST-like recordings"
    spoken = tidigits_like()
    if modality == MODALITIES.index("audio") and spoken.spikes.shape[1:] == (crossbar.steps, crossbar.inputs):
        return spoken.spikes[rng.integers(0, len(spoken.labels), count)], "TIDIGITS-like clips"
    return rng.random((count, crossbar.steps, crossbar.inputs)) < DENSITY, f"random spikes, {100 * DENSITY:g} %"


def _random_projection(spec: AssociationSpec, modality: int, counts: IntArray, rng: np.random.Generator) -> Projection:
    """Normal weights in the chip's integers, the mean of the counts taken off."""
    features = spec.crossbars[modality].features
    weights = rng.normal(size=(spec.dimensions, features))
    return quantise_projection(weights, -weights @ counts.reshape(len(counts), -1).mean(axis=0), counts, modality, spec)
