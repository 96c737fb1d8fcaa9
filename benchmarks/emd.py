"""Exact EMD pairs per second on one core: ``python benchmarks/emd.py``. Simulated images, their reconstruction."""

import time

import numpy as np

from sim.hgcal_encoder.detector.generator import Generator
from sim.hgcal_encoder.detector.particles import BunchCrossings, PileUp, TopPairs
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.metric import earth_movers_distance, earth_movers_potentials, earth_movers_reference


def main() -> None:
    """Time the fast path, the path with potentials and POT's documented function on the same pairs."""
    for mean, few in ((0.0, "isolated top pairs"), (200.0, "top pairs in pile-up 200")):
        source = BunchCrossings(sources=(TopPairs(), PileUp(mean=mean)))
        charges = np.concatenate([images.charges for images in Generator(source=source, seed=1).stream(12)])
        charges = charges[charges.any(axis=1)][:6000]
        decoded = TrainedModel.load("econ_t_5elinks").reconstruct(charges)
        earth_movers_distance(charges[:10], decoded[:10])
        print(few)
        for name, function, count in (
            ("exact, fast path", earth_movers_distance, 6000),
            ("with potentials", earth_movers_potentials, 6000),
            ("ot.emd2", earth_movers_reference, 600),
        ):
            rows = min(count, len(charges))
            start = time.process_time()
            function(charges[:rows], decoded[:rows])
            print(f"  {name}: {rows / (time.process_time() - start):,.0f} pairs/s (processor time, one core)")


if __name__ == "__main__":
    main()
