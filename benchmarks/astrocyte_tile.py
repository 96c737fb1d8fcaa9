"""A tuned liquid of 1,000 neurons written into a tile of 4 x 4 macros: ``python -m benchmarks.astrocyte_tile``.

784 inputs, 1,000 neurons, whole digits of 28 x 28 pixels that ship with the package. Five draws of network, cells,
digits and spikes. The threshold of each liquid, the strength of the fixed network and the leak of the random tile are
chosen on 400 validation digits of the first draw, for all draws; in each a readout is trained, and scored once on 1,000
test digits that are never trained on. Effects of the device are as of `benchmarks.astrocyte_crossbar`. Writes
``benchmarks/results/astrocyte_tile.json`` and ``astrocyte_tile_gain.json``; scores are kept in ``build/lsm``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.astrocyte_crossbar import (
    DRIFT,
    LEAKS,
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
STRENGTHS = (0.6, 1.8)
"""Magnitudes of all weights of the fixed network, tried on validation."""
NOISE = "read_noise_10"
EFFECTS = ("programming_10", NOISE)

Search = Callable[[Samples, int, tuple[float, ...]], tuple[Transfer, Make]]


def random_tile(leak: tuple[int, ...]) -> Search:
    """The tile as it was formed, with a leak."""
    return lambda samples, seed, factors: random_macro(LIQUID, samples, seed, (leak,), factors)


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


def best_of(searches: Mapping[str, Search], samples: Samples, seed: int) -> tuple[Transfer, Make]:
    """A draw of the liquid that is best on validation of the first draw."""
    tried = {name: chosen(name, search) for name, search in searches.items()}
    best = max(tried, key=lambda name: tried[name]["validation"])
    return searches[best](samples, seed, (tried[best]["factor"],))


def measure_random(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tile as it was formed, by effect."""
    found = best_of({f"random {leak}": random_tile(leak) for leak in LEAKS}, samples, seed)
    return with_effects(*found, samples, (NOISE,))


def measure_fixed(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the network with weights of one magnitude."""
    found = best_of({f"fixed {strength}": fixed_tile(strength) for strength in STRENGTHS}, samples, seed)
    return with_effects(*found, samples, ())


def measure_tuned(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tuned liquid, by effect."""
    found = best_of({"tuned": tuned_tile}, samples, seed)
    return with_effects(*found, samples, EFFECTS) | drifted(*found, samples)


PARTS = {"random": measure_random, "fixed": measure_fixed, "tuned": measure_tuned}


def main() -> None:
    """Command line."""
    run("astrocyte_tile", LIQUID, SIZES, f"{SNAPSHOTS} {LEAKS} {STRENGTHS} {EFFECTS} {DRIFT}", PARTS, DRAWS)


if __name__ == "__main__":
    main()
