"""Modules of the endcap at pile-up 200 as stimulus of a concentrator's netlist, with settings for each algorithm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from flows.stimulus.showers import EncoderStimulus, shower_stimulus
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorSettings
from sim.hgcal_encoder.algorithms.output_buffer import BufferThresholds
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS
from sim.hgcal_encoder.weights import Weights

__all__ = ["LINKS", "algorithm_settings", "chosen_algorithm", "module_showers"]

_A = AlgorithmNumber
LINKS = {_A.THRESHOLD_SUM: 5, _A.SUPER_TRIGGER_CELL: 4, _A.BEST_CHOICE: 5, _A.REPEATER: 11, _A.AUTOENCODER: 5}
"""Links of each algorithm: 5; as many as super trigger cells of type 3 fill; as many as all codes need."""
_THRESHOLD = 47
"""Counts, as in the published settings."""
_STC_TYPE = 3


def chosen_algorithm(spec: ConcentratorSpec, name: str | None) -> AlgorithmNumber:
    """An algorithm of a chip by name; the last one, which is the autoencoder where the chip has it, if left out.

    Raises
    ------
    ValueError
        If the chip has no such algorithm.
    """
    names = {number.label: number for number in spec.numbers}
    if name is None:
        return spec.numbers[-1]
    if name not in names:
        raise ValueError(f"algorithm: expected one of {', '.join(names)} for {spec.name}, got {name[:200]!r}")
    return names[name]


def algorithm_settings(
    spec: ConcentratorSpec, number: AlgorithmNumber, front: Settings, weights: Weights | None
) -> ConcentratorSettings:
    """Settings of a module that runs an algorithm on `LINKS` links, or on as many as the chip has."""
    links = min(LINKS[number], spec.etx_links)
    return ConcentratorSettings(
        settings=front, alg_type=int(number), threshold=np.full(CELLS, _THRESHOLD), stc_type=_STC_TYPE, use_sum=False,
        buffer=BufferThresholds.for_links(links), active_etxs=(1 << links) - 1, weights=weights,
    )  # fmt: skip


def module_showers(
    spec: ConcentratorSpec,
    *,
    streams: int,
    crossings: int,
    seed: int,
    model: str | Path = "econ_t_5elinks",
    advance: Callable[[int], None] | None = None,
) -> tuple[EncoderStimulus, Weights | None]:
    """Words of modules over the endcap at pile-up 200, their settings, and weights where the chip has a network.

    Parameters
    ----------
    spec : ConcentratorSpec
    streams, crossings, seed, advance
        As for `flows.stimulus.showers.shower_stimulus`.
    model : str or Path
        Trained model, for its weights and multiplexer; random weights where the network has another shape.
    """
    trained = TrainedModel.load(model)
    same = trained.spec.weight_bits == spec.encoder.weight_bits and trained.spec.grid == spec.encoder.grid
    weights = None
    if spec.has(_A.AUTOENCODER):
        rng = np.random.default_rng(seed)
        weights = replace(trained.weights, spec=spec.encoder) if same else Weights.random(spec.encoder, rng)
    stimulus = shower_stimulus(
        spec.encoder, streams=streams, crossings=crossings, seed=seed, select=trained.multiplexer if same else None,
        advance=advance,
    )  # fmt: skip
    return stimulus, weights
