"""What a sweep can ask of an encoder alone: latency, and quality of shipped weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flows.learning.encoder import evaluation_sample, find_model, seen_by_chip
from flows.steps.measure import Figure, Measure, Point
from sim.hgcal_encoder.learning.metric import BINS, earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.training_images import PLAIN
from sim.hgcal_encoder.spec import PRESETS

__all__ = ["MEASURES"]


def _latency(point: Point) -> dict[str, float]:
    """Clocks of 25 ns from words at the pins to their frame, decoding, calibration and the frame included."""
    clocks = float(point.design.latency)
    return {"latency_clocks": clocks, "latency_ns": 25.0 * clocks}


def _emd(point: Point) -> dict[str, float]:
    """Median EMD of shipped weights in the arithmetic of the point's spec, on simulated images as a chip sees them.

    Another weight format takes the nearest values; nothing is trained again.
    """
    spec = point.design.spec
    preset = next((name for name, known in PRESETS.items() if known.grid == spec.grid), None)
    if preset is None:
        raise ValueError(f"{spec.name}: no shipped weights for the grid {spec.grid}")
    model = find_model(preset=preset, elinks=point.options["elinks"])
    weights = model.weights.stored_as(spec)
    charges = evaluation_sample().charges
    charges = charges[charges.sum(axis=1) > 0]
    decoded = replace(model, weights=weights).reconstruct(*seen_by_chip(charges, PLAIN))
    distance, count = earth_movers_distance(charges, decoded), occupancy(charges)
    figures = {}
    for low, high in BINS:
        inside = (count >= low) & (count <= high)
        figures[_emd_name(low, high)] = float(np.median(distance[inside]))
    return figures


def _emd_name(low: int, high: int) -> str:
    return f"emd_median_{low}_{high}"


MEASURES = {
    "latency": Measure(
        run=_latency,
        figures={"latency_clocks": Figure(label="latency, clocks"), "latency_ns": Figure(label="latency, ns")},
        tools=("amaranth",),
        mapped=False,
    ),
    "emd": Measure(
        run=_emd,
        figures={_emd_name(low, high): Figure(label=f"median EMD, {low} to {high} cells") for low, high in BINS},
        reads=("elinks",),
        tools=("numba", "numpy", "POT"),
        mapped=False,
    ),
}
