"""What narrow sums of the dense layer cost in quality: ``python -m benchmarks.sum_width``.

Shipped weights of `ECON_T` on 5 eLinks with exact sums and with sums that wrap at fewer bits, on the simulated modules
of ``liquidcal evaluate`` as a chip sees them: median EMD by occupancy, and the share of latents that differ. The area
of a dot product, which depends on no weights, stays what it was. Writes ``benchmarks/results/dense_sum_width.json``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.measured import RESULTS, record
from flows.common.metrics import Metric, read_metrics, write_metrics
from flows.learning.encoder import evaluation_sample, seen_table
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.metric import BINS, earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.training import sent_latents
from sim.hgcal_encoder.spec import ECON_T

COMMAND = "python -m benchmarks.sum_width"
RESULT = RESULTS / "dense_sum_width.json"
WIDTHS = (None, 11, 10, 9)
"""Bits of a sum; None: as many as extreme weights can need."""
AREA = "dot_product_area"


def case(width: int | None) -> str:
    """Name of a width in the results."""
    return "exact_17" if width is None else str(width)


def figures(kept: dict[str, Metric]) -> list[Metric]:
    """Metrics of all widths, with the areas that are kept."""
    model, table = TrainedModel.load("econ_t_5elinks"), seen_table(evaluation_sample())
    hits = occupancy(table.charges)
    exact = sent_latents(model, table.seen)
    out = []
    for width in WIDTHS:
        spec = replace(ECON_T, dense_sum_width=width)
        narrow = replace(model, weights=model.weights.stored_as(spec))
        emd = earth_movers_distance(table.charges, narrow.reconstruct(table.seen, table.pedestals))
        for low, high in BINS:
            value = round(float(np.median(emd[(hits >= low) & (hits <= high)])), 4)
            method = "median EMD by occupancy, from words, shipped weights for 5 eLinks, dense sums of this width"
            out.append(record(f"emd__cells:{low}-{high}__case:{case(width)}", value, "", method, command=COMMAND))
        changed = round(100 * float((sent_latents(narrow, table.seen) != exact).mean()), 3)
        method = "latents that differ from those of exact sums"
        out.append(record(f"latents_changed__case:{case(width)}", changed, "%", method, command=COMMAND))
        if (area := kept.get(f"{AREA}__case:{case(width)}")) is not None:
            out.append(area)
    return out


def main() -> None:
    """Measure and write."""
    kept = {metric.name: metric for metric in read_metrics(RESULT)} if RESULT.is_file() else {}
    write_metrics(RESULT, figures(kept))


if __name__ == "__main__":
    main()
