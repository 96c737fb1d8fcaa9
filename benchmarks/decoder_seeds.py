"""A decoder trained alone against the shipped one: ``python -m benchmarks.decoder_seeds [NAME=FILE ...]``.

Does what ``docs/guide/training.md`` says for a weight image without a decoder, for the image of `econ_t_5elinks`, with
another seed than the shipped decoder had: other showers, initial values and batches. EMD of both by occupancy on rows
that neither was trained on, and by how much median and mean differ, with the intervals that a bootstrap of the modules
gives. Both decoders get the same modules, so pairs are drawn: what is hard for both cancels. Three minutes of one core;
``--model FILE`` takes a decoder that `liquidcal train` made in this way, ``--only`` leaves the simulated sample
out. Writes ``benchmarks/results/decoder_seeds.json``; rows of other samples stay.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from benchmarks.measured import RESULTS, Rows, kept
from flows.common.journal import Journal
from flows.common.metrics import package_version, write_metrics
from flows.learning.encoder import evaluation_sample, seen_by_chip
from flows.learning.training import Training, run_training
from sim.hgcal_encoder.files.readers import read_charges
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.metric import BINS, earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.training_images import PLAIN

Float64 = NDArray[np.float64]

COMMAND = "python -m benchmarks.decoder_seeds"
MODEL, SEED = "econ_t_5elinks", 2
RESAMPLES, CONFIDENCE = 1000, 0.95
MOST = 5000
"""Modules of an occupancy bin at most, evenly spread over the sample."""


def trained_alone(shipped: TrainedModel) -> TrainedModel:
    """The shipped weights with a decoder trained for them, with the documented command's defaults."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / f"{MODEL}.hex"
        shipped.weights.save(image)
        training = Training(elinks=shipped.elinks, fine_tune=str(image), freeze_encoder=True, seed=SEED)
        return run_training(training, journal=Journal(), out=Path(folder) / "out").model


def change_of_median(first: Float64, second: Float64, axis: int = -1) -> Any:
    """By how many % the median of the second is above that of the first."""
    return 100 * (np.median(second, axis=axis) / np.median(first, axis=axis) - 1)


def change_of_mean(first: Float64, second: Float64, axis: int = -1) -> Any:
    """By how many % the mean of the second is above that of the first."""
    return 100 * (np.mean(second, axis=axis) / np.mean(first, axis=axis) - 1)


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="*", metavar="NAME=FILE", help="charges, beside the simulated sample")
    parser.add_argument("--only", action="store_true", help="measure these files; the simulated sample's rows stay")
    parser.add_argument("--model", metavar="FILE", help=f"a decoder trained alone, seed {SEED}; else one is trained")
    options = parser.parse_args()
    files = dict(word.split("=", 1) for word in options.files)
    shipped = TrainedModel.load(MODEL)
    given = TrainedModel.load(options.model) if options.model else None
    if given is not None and given.weights != shipped.weights:
        raise SystemExit(f"{options.model}: expected the weight image of {MODEL}, got another one")
    samples = {name: read_charges(path) for name, path in files.items()}
    if not options.only:
        samples["simulated"] = evaluation_sample().charges
    again = given or trained_alone(shipped)
    words = (f"{name}={Path(path).name}" for name, path in files.items())
    tool = f"liquidcal (tensorflow {package_version('tensorflow')})"
    rows = Rows(" ".join([COMMAND, *words]), tool)
    for name, charges in samples.items():
        hits = occupancy(charges)
        for low, high in BINS:
            case = f"case:{name}_cells_{low}-{high}"
            chosen = charges[(hits >= low) & (hits <= high)]
            chosen = chosen[:: max(1, -(-len(chosen) // MOST))]
            seen = seen_by_chip(chosen, PLAIN)
            first, second = (earth_movers_distance(chosen, model.reconstruct(*seen)) for model in (shipped, again))
            rows.add(f"modules__{case}", len(chosen), "", f"modules of the sample, at most {MOST}")
            rows.add(f"shipped__{case}", round(float(np.median(first)), 4), "", "median EMD, shipped decoder")
            method = f"median EMD, decoder trained alone, seed {SEED}"
            rows.add(f"seed_{SEED}__{case}", round(float(np.median(second)), 4), "", method)
            for prefix, change in (("", change_of_median), ("mean_", change_of_mean)):
                if not prefix and not np.median(first) > 0:
                    continue
                interval = bootstrap(
                    (first, second), change, paired=True, vectorized=True, method="percentile", batch=100,
                    n_resamples=RESAMPLES, confidence_level=CONFIDENCE, random_state=np.random.default_rng(0),
                ).confidence_interval  # fmt: skip
                method = f"{prefix[:-1] or 'median'} EMD of the decoder trained alone over that of the shipped one"
                rows.add(f"{prefix}change__{case}", round(float(change(first, second)), 1), "%", method)
                for end, value in (("from", interval.low), ("to", interval.high)):
                    method = f"end of the {CONFIDENCE:.0%} bootstrap interval of this change"
                    rows.add(f"{prefix}{end}__{case}", round(float(value), 1), "%", method)
    result = RESULTS / "decoder_seeds.json"
    others = kept(result, lambda metric: any(f"case:{name}_" in metric.name for name in samples))
    write_metrics(result, [*others, *rows])


if __name__ == "__main__":
    main()
