"""A tuned liquid of 1,000 neurons written into a tile of 4 x 4 macros: ``python -m benchmarks.astrocyte_tile``.

784 inputs, 1,000 neurons, whole digits of 28 x 28 pixels that ship with the package. Three draws of network, cells,
digits and spikes. Threshold and readout of every liquid are chosen on 400 validation digits (of the random tile the
leak, too), each is scored once on 1,000 test digits that are never trained on. Effects of the device are as of
`benchmarks.astrocyte_crossbar`. Writes ``benchmarks/results/astrocyte_tile.json`` and ``astrocyte_tile_gain.json``;
scores are kept in ``build/lsm``.
"""

from __future__ import annotations

from benchmarks.astrocyte_crossbar import fixed_macro, random_macro, run, tuned_macro, with_effects
from flows.learning.astrocyte_crossbar import Samples
from sim.astrocyte_liquid.spec import NALSM_1000

LIQUID = NALSM_1000
DRAWS = range(3)
SNAPSHOTS = 5_000
SIZES = (1_000, 400, 1_000)
STRENGTHS = (0.6, 1.8)
"""Magnitudes of all weights of the fixed network, tried on validation."""
EFFECTS = ("programming_10", "pristine_10_mohm")


def measure_random(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tile as it was formed."""
    return with_effects(*random_macro(LIQUID, samples, seed), samples, ())


def measure_fixed(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the network with weights of one magnitude."""
    return with_effects(*fixed_macro(LIQUID, samples, seed, STRENGTHS), samples, ())


def measure_tuned(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tuned liquid, by effect."""
    return with_effects(*tuned_macro(LIQUID, samples, seed, SIZES[0], SNAPSHOTS), samples, EFFECTS)


PARTS = {"random": measure_random, "fixed": measure_fixed, "tuned": measure_tuned}


def main() -> None:
    """Command line."""
    run("astrocyte_tile", LIQUID, SIZES, f"{SNAPSHOTS} {STRENGTHS} {EFFECTS}", PARTS, DRAWS)


if __name__ == "__main__":
    main()
