"""Earth Mover's Distance of every shipped model: ``python -m benchmarks.weights [NAME=FILE ...]``.

Medians by occupancy in exact chip arithmetic, on the simulated sample and on files of charges, and the spread between
trainings with different seeds where the model card states it. Writes ``benchmarks/results/weights.json``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measured import RESULTS, record
from flows.common.metrics import Metric, package_version, write_metrics
from flows.learning.encoder import evaluate_model, evaluation_sample
from sim.hgcal_encoder.files.readers import read_charge_table
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_models
from sim.hgcal_encoder.learning.metric import BINS

RESULT = RESULTS / "weights.json"
_SPREAD = re.compile(r"^\| (\w+) \| (\d+)-(\d+) \|.* ([\d.]+) \|$", re.MULTILINE)


def card_spread(card: str) -> float | None:
    """Largest spread of a median in the three wide bins of a model card; None if it states none."""
    if "| spread |" not in card:
        return None
    rows = _SPREAD.findall(card)
    return max(float(spread) for _, low, high, spread in rows if (int(low), int(high)) in BINS)


def main() -> None:
    """Evaluate all shipped models and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.weights", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="*", metavar="NAME=FILE", help="charges, beside the simulated sample")
    words = parser.parse_args().files
    samples = {"simulated": evaluation_sample()}
    samples |= {name: read_charge_table(path) for name, _, path in (word.partition("=") for word in words)}
    command = " ".join(["python -m benchmarks.weights", *(f"{w.partition('=')[0]}={Path(w).name}" for w in words)])
    tool = f"liquidcal (numpy {package_version('numpy')}, POT {package_version('POT')})"

    def metrics() -> Iterator[Metric]:
        for name, path in sorted(shipped_models().items()):
            result = evaluate_model(TrainedModel.load(name), samples)
            print(name)

            def metric(quantity: str, value: float, method: str, case: str = name) -> Metric:
                return record(f"{quantity}__case:{case}", round(value, 5), "", method, command=command, tool=tool)

            yield metric("bits_per_latent", int(result["kept_bits"]), "bits of each latent that are sent")
            for data in result["data"]:
                for entry in data["bins"]:
                    if entry["images"]:
                        low, high = entry["occupancy"]
                        quantity = f"{data['name']}__cells:{low}-{high}"
                        method = "median Earth Mover's Distance in low-density cells, exact chip arithmetic"
                        yield metric(quantity, entry["emd"]["median"], method)
            spread = card_spread(path.with_suffix(".md").read_text())
            if spread is not None:
                method = "largest difference of a median between trainings with different seeds, from the model card"
                yield metric("spread", spread, method)

    write_metrics(RESULT, list(metrics()))


if __name__ == "__main__":
    main()
