"""A tuned liquid of 1,000 neurons written into a tile of 4 x 4 macros: ``python -m benchmarks.astrocyte_tile``.

784 inputs, 1,000 neurons, whole digits of 28 x 28 pixels that ship with the package. Five draws of network, cells,
digits and spikes. The threshold of each liquid, and the strength of the fixed network, are chosen on 400 validation
digits of the first draw, for all draws; in each a readout is trained, and scored once on 1,000 test digits that are
never trained on. Effects of the device are as of `benchmarks.astrocyte_crossbar`. Writes
``benchmarks/results/astrocyte_tile.json`` and ``astrocyte_tile_gain.json``; scores are kept in ``build/lsm``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.astrocyte_crossbar import (
    DRIFT,
    Make,
    drifted,
    fixed_macro,
    random_macro,
    run,
    tuned_macro,
    with_effects,
)
from benchmarks.lsm_data import kept
from flows.learning.astrocyte_crossbar import FACTORS, Samples, Transfer, digit_samples
from sim.astrocyte_liquid.spec import NALSM_1000

LIQUID = NALSM_1000
DRAWS = range(5)
SNAPSHOTS = 5_000
SIZES = (1_000, 400, 1_000)
LEAK = (-6,)
STRENGTHS = (0.6, 1.8)
"""Magnitudes of all weights of the fixed network, tried on validation."""
NOISE = "read_noise_10"
EFFECTS = ("programming_10", NOISE)

Search = Callable[[Samples, int, tuple[float, ...]], tuple[Transfer, Make]]


def random_tile(samples: Samples, seed: int, factors: tuple[float, ...]) -> tuple[Transfer, Make]:
    """The tile as it was formed."""
    return random_macro(LIQUID, samples, seed, (LEAK,), factors)


def fixed_tile(strength: float) -> Search:
    """The network with weights of one magnitude."""
    return lambda samples, seed, factors: fixed_macro(LIQUID, samples, seed, (strength,), factors)


def tuned_tile(samples: Samples, seed: int, factors: tuple[float, ...]) -> tuple[Transfer, Make]:
    """The tuned liquid."""
    return tuned_macro(LIQUID, samples, seed, SIZES[0], SNAPSHOTS, factors)


def chosen(name: str, search: Search) -> dict[str, float]:
    """Factor of the threshold that validation chose in the first draw, and how much of validation was right."""

    def compute() -> dict[str, float]:
        samples = digit_samples(LIQUID, (*SIZES[:2], 1), DRAWS[0])
        tries = [(factor, search(samples, DRAWS[0], (factor,))[0]) for factor in FACTORS]
        scores = [one.readout.chosen.validation_accuracy for _, one in tries]
        return {"factor": tries[int(np.argmax(scores))][0], "validation": max(scores)}

    return kept(f"astrocyte_tile choice 1 {name} {LIQUID.to_toml()} {SIZES} {SNAPSHOTS}", compute)


def measure_random(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tile as it was formed, by effect."""
    found = random_tile(samples, seed, (chosen("random", random_tile)["factor"],))
    return with_effects(*found, samples, (NOISE,))


def measure_fixed(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the network with weights of one magnitude."""
    tried = {strength: chosen(f"fixed {strength}", fixed_tile(strength)) for strength in STRENGTHS}
    best = max(tried, key=lambda strength: tried[strength]["validation"])
    return with_effects(*fixed_tile(best)(samples, seed, (tried[best]["factor"],)), samples, ())


def measure_tuned(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tuned liquid, by effect."""
    found = tuned_tile(samples, seed, (chosen("tuned", tuned_tile)["factor"],))
    return with_effects(*found, samples, EFFECTS) | drifted(*found, samples)


PARTS = {"random": measure_random, "fixed": measure_fixed, "tuned": measure_tuned}


def main() -> None:
    """Command line."""
    run("astrocyte_tile", LIQUID, SIZES, f"{SNAPSHOTS} {LEAK} {STRENGTHS} {EFFECTS} {DRIFT}", PARTS, DRAWS)


if __name__ == "__main__":
    main()
