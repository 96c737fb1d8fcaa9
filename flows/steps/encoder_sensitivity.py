"""Step: what a flip of each weight bit of an encoder does to physics."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.campaign.conclusions import charged, conclusions
from flows.campaign.hessian import hessian_ranking
from flows.campaign.physics import physics_sample, weight_sensitivity
from flows.common.journal import Journal, origin
from flows.common.metrics import GateError, read_metrics
from flows.designs.design import Design
from sim.files import replacing
from sim.hgcal_encoder.learning.decoder import TrainedModel

__all__ = ["SensitivityOptions", "measure_sensitivity"]


@dataclass(frozen=True, kw_only=True)
class SensitivityOptions:
    """What the bits are flipped on.

    Attributes
    ----------
    model : TrainedModel
        Whose weights flip, of the design's spec.
    modules : int
        Modules to average over.
    seed : int
        Of the modules.
    costs : Path or None
        Areas of the schemes of protection, as `liquidcal cost` writes them; None: no areas in the result.
    """

    model: TrainedModel
    modules: int = 512
    seed: int = 20261
    costs: Path | None = None


def measure_sensitivity(design: Design, folder: Path, journal: Journal, options: SensitivityOptions) -> dict[str, Any]:
    """Change of EMD and energy by each weight bit, rankings, selective protection, beam.

    Returns
    -------
    dict
        What ``sensitivity.json`` holds. ``sensitivity.npz`` beside it has the figures of each bit; the report finds
        both in the folder.

    Raises
    ------
    ValueError
        If the file of costs lacks an area that is needed; nothing has been computed then.
    """
    model = options.model
    areas = None if options.costs is None else read_metrics(options.costs)
    if areas is not None:
        try:
            charged(model.spec, areas)
        except GateError as error:
            raise ValueError(f"{options.costs}: {error}") from None
    sample = physics_sample(options.modules, options.seed)
    bits = model.spec.weight_bits
    with journal.step(f"{bits:,} bits on {options.modules} modules", bits) as advance:
        found = weight_sensitivity(model, sample, advance=advance)
    with journal.step("Hessian of the loss"):
        ranking = hessian_ranking(model, sample)
    result = conclusions(found, ranking, areas) | {"origin": origin()}
    design.save(folder)
    found.save(folder / "sensitivity.npz")
    with replacing(folder / "sensitivity.json") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    return result
