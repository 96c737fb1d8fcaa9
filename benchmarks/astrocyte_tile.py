"""A tuned liquid of 1,000 neurons written into a tile of 4 x 4 macros: ``python -m benchmarks.astrocyte_tile``.

784 inputs, 1,000 neurons, whole digits of 28 x 28 pixels that ship with the package. Three draws of network, cells,
digits and spikes. Threshold and readout of every variant are chosen on 400 validation digits (of the random tile the
leak, too), each is scored once on 1,000 test digits that are never trained on. Effects of the device are those of a
tile on which the readout is trained. Writes ``benchmarks/results/astrocyte_tile.json`` and
``astrocyte_tile_gain.json``; scores are kept in ``build/lsm``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from benchmarks.astrocyte_crossbar import tuned, write_scores
from benchmarks.lsm_data import kept
from flows.learning.astrocyte_crossbar import (
    Samples,
    chip_spec,
    digit_samples,
    scored,
    target_conductances_us,
    written,
)
from sim.astrocyte_liquid.network import draw as draw_network
from sim.astrocyte_liquid.spec import NALSM_1000
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.spec import DeviceParameters

LIQUID = NALSM_1000
DRAWS = range(3)
SNAPSHOTS = 5_000
SIZES = (1_000, 400, 1_000)
STRENGTHS = (0.6, 1.8)
"""Magnitudes of all weights of the fixed network, tried on validation."""
IDEAL = DeviceParameters(pristine_resistance_mohm=None)
EFFECTS = {
    "programming_10": {"programming_error": 0.1},
    "pristine_10_mohm": {"pristine_resistance_mohm": 10.0},
}
WORDS = {
    "random": "fixed random liquid: a tile as it was formed, threshold and leak chosen on validation",
    "fixed": "fixed liquid of the same network: all weights of one magnitude, chosen on validation",
    "tuned": "tuned with the astrocyte, frozen, written without error",
    "programming_10": "tuned, programming error 10 %",
    "pristine_10_mohm": "tuned, cells without synapse conduct 0.1 uS",
}


def measure_random(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tile as it was formed, with the better of two leaks."""
    base = replace(chip_spec(LIQUID, DeviceParameters()), name="RANDOM_1000", threshold=40)
    found = [scored(replace(base, leak=leak), lambda chosen: draw(chosen, seed), samples) for leak in ((-6,), (-4, -5))]
    return {"random": max(found, key=lambda one: one.readout.chosen.validation_accuracy).accuracy}


def measure_fixed(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the network with weights of one magnitude."""
    network, ideal = draw_network(LIQUID, seed), chip_spec(LIQUID, IDEAL)
    found = []
    for strength in STRENGTHS:
        targets = target_conductances_us(network, network.sign.astype(np.int64) * round(64 * strength), ideal)
        found.append(scored(ideal, lambda chosen, targets=targets: written(targets, chosen, seed), samples))  # type: ignore[misc]
    return {"fixed": max(found, key=lambda one: one.readout.chosen.validation_accuracy).accuracy}


def measure_tuned(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tuned liquid, and with effects of the device."""
    network, ideal = draw_network(LIQUID, seed), chip_spec(LIQUID, IDEAL)
    targets = target_conductances_us(network, tuned(network, seed, SIZES[0], SNAPSHOTS), ideal)
    best = scored(ideal, lambda chosen: written(targets, chosen, seed), samples)
    found = {"tuned": best.accuracy}
    for name, device in EFFECTS.items():
        chip = replace(chip_spec(LIQUID, replace(IDEAL, **device)), threshold=best.spec.threshold)
        found[name] = scored(chip, lambda chosen: written(targets, chosen, seed), samples, (1.0,)).accuracy
    return found


PARTS = {"random": measure_random, "fixed": measure_fixed, "tuned": measure_tuned}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--draw", type=int, help="only this one, and no results")
    options = parser.parse_args()
    found: list[dict[str, float]] = []
    for seed in DRAWS if options.draw is None else (options.draw,):
        samples: list[Samples] = []  # half a gigabyte, made when a score is not kept

        def measured(name: str, seed: int = seed, samples: list[Samples] = samples) -> dict[str, float]:
            if not samples:
                samples.append(digit_samples(LIQUID, SIZES, seed))
            return PARTS[name](samples[0], seed)

        scores: dict[str, float] = {}
        for name in PARTS:
            words = f"astrocyte tile 1 {name} {LIQUID.to_toml()} {SNAPSHOTS} {SIZES} {STRENGTHS} {EFFECTS} {seed}"
            scores |= kept(words, lambda name=name: measured(name))  # type: ignore[misc]
        found.append({name: 100 * value for name, value in scores.items()})
        print(seed, {name: round(value, 2) for name, value in found[-1].items()}, flush=True)
    if options.draw is not None:
        return
    write_scores("astrocyte_tile", WORDS, found)


if __name__ == "__main__":
    main()
