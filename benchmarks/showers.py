"""Module images per second of the shower generator on one core: ``python benchmarks/showers.py [pile-up]``."""

import sys
import time

from sim.hgcal_encoder.detector.generator import Generator
from sim.hgcal_encoder.detector.particles import PileUp


def main() -> None:
    """Compile, then time 60 bunch crossings and report the best of three thirds (other processes disturb)."""
    pile_up = float(sys.argv[1]) if len(sys.argv) > 1 else 200.0
    generator = Generator(source=PileUp(mean=pile_up), seed=1)
    generator.crossing()
    rates = []
    for _ in range(3):
        start = time.process_time()
        for _ in range(20):
            generator.crossing()
        rates.append(20 * generator.detector.n_sites / (time.process_time() - start))
    print(f"pile-up {pile_up:g}: {generator.detector.n_sites} images per crossing, best {max(rates):,.0f} images/s,")
    print("all thirds: " + ", ".join(f"{rate:,.0f}" for rate in rates) + " (processor time, one core)")


if __name__ == "__main__":
    main()
