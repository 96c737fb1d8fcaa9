"""A tuned liquid of 1,000 neurons written into a tile of 4 x 4 macros: ``python -m benchmarks.astrocyte_tile``.

784 inputs, 1,000 neurons, whole digits of 28 x 28 pixels that ship with the package. Five draws of network, cells,
digits and spikes. Threshold and readout of every liquid are chosen on 400 validation digits (of the random tile the
leak, too), each is scored once on 1,000 test digits that are never trained on. Effects of the device are as of
`benchmarks.astrocyte_crossbar`. Writes ``benchmarks/results/astrocyte_tile.json`` and ``astrocyte_tile_gain.json``;
scores are kept in ``build/lsm``.
"""

from __future__ import annotations

from benchmarks.astrocyte_crossbar import DRIFT, drifted, fixed_macro, random_macro, run, tuned_macro, with_effects
from flows.learning.astrocyte_crossbar import Samples
from sim.astrocyte_liquid.spec import NALSM_1000

LIQUID = NALSM_1000
DRAWS = range(5)
SNAPSHOTS = 5_000
SIZES = (1_000, 400, 1_000)
STRENGTHS = (0.6, 1.8)
"""Magnitudes of all weights of the fixed network, tried on validation."""
NOISE = "read_noise_10"
EFFECTS = ("programming_10", NOISE, "pristine_10_mohm")


def measure_random(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tile as it was formed, by effect."""
    found = random_macro(LIQUID, samples, seed)
    return with_effects(*found, samples, (NOISE,)) | drifted(*found, samples)


def measure_fixed(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the network with weights of one magnitude, by effect."""
    found = fixed_macro(LIQUID, samples, seed, STRENGTHS)
    return with_effects(*found, samples, (NOISE,))


def measure_tuned(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tuned liquid, by effect."""
    found = tuned_macro(LIQUID, samples, seed, SIZES[0], SNAPSHOTS)
    return with_effects(*found, samples, EFFECTS) | drifted(*found, samples)


PARTS = {"random": measure_random, "fixed": measure_fixed, "tuned": measure_tuned}


def main() -> None:
    """Command line."""
    run("astrocyte_tile", LIQUID, SIZES, f"{SNAPSHOTS} {STRENGTHS} {EFFECTS} {DRIFT}", PARTS, DRAWS)


if __name__ == "__main__":
    main()
