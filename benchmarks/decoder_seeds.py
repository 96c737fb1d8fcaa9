"""A decoder trained alone against the shipped one: ``python -m benchmarks.decoder_seeds [NAME=FILE ...]``.

Does what ``docs/guide/training.md`` says for a weight image without a decoder, for the image of `econ_t_5elinks`, with
another seed than the shipped decoder had: other showers, initial values and batches. Median EMD by occupancy of both on
rows that neither was trained on. Two minutes of one core. Writes ``benchmarks/results/decoder_seeds.json``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measured import RESULTS, Rows
from flows.common.journal import Journal
from flows.common.metrics import package_version, write_metrics
from flows.learning.encoder import evaluation_sample, seen_by_chip
from flows.learning.training import Training, run_training
from sim.hgcal_encoder.files.readers import read_charges
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.metric import BINS, earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.training_images import PLAIN

COMMAND = "python -m benchmarks.decoder_seeds"
MODEL, SEED = "econ_t_5elinks", 2


def main() -> None:
    """Train, compare, write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="*", metavar="NAME=FILE", help="charges, beside the simulated sample")
    files = dict(word.split("=", 1) for word in parser.parse_args().files)
    samples = {"simulated": evaluation_sample().charges} | {name: read_charges(path) for name, path in files.items()}
    shipped = TrainedModel.load(MODEL)
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / f"{MODEL}.hex"
        shipped.weights.save(image)
        training = Training(elinks=shipped.elinks, fine_tune=str(image), freeze_encoder=True, seed=SEED)
        again = run_training(training, journal=Journal(), out=Path(folder) / "out").model
    words = (f"{name}={Path(path).name}" for name, path in files.items())
    tool = f"liquidcal (tensorflow {package_version('tensorflow')})"
    rows = Rows(" ".join([COMMAND, *words]), tool)
    for name, charges in samples.items():
        hits, seen = occupancy(charges), seen_by_chip(charges, PLAIN)
        distances = [earth_movers_distance(charges, model.reconstruct(*seen)) for model in (shipped, again)]
        for low, high in BINS:
            inside, case = (hits >= low) & (hits <= high), f"case:{name}_cells_{low}-{high}"
            first, second = (float(np.median(emd[inside])) for emd in distances)
            rows.add(f"shipped__{case}", round(first, 4), "", "median EMD, shipped decoder")
            rows.add(f"seed_{SEED}__{case}", round(second, 4), "", f"median EMD, decoder trained alone, seed {SEED}")
            if first > 0:
                rows.add(f"change__{case}", round(100 * (second / first - 1), 1), "%", "of the second over the first")
    write_metrics(RESULTS / "decoder_seeds.json", rows)


if __name__ == "__main__":
    main()
