"""A tuned liquid written into one macro, beside fixed ones: ``python -m benchmarks.astrocyte_crossbar``.

256 neurons, 196 inputs, digits of 14 x 14 pixels. Five draws of network, macro, digits and spikes. Threshold and
readout of every liquid are chosen on 500 validation digits, each is scored once on 1,000 test digits that ship with
the package and are never trained on. Effects of the device meet the tuned liquid and the fixed ones alike: they are
those of a macro on which the readout is trained, but for drift, where it is the readout of the macro as it was written.
Writes ``benchmarks/results/astrocyte_crossbar.json`` and ``astrocyte_crossbar_gain.json``; scores are kept in
``build/lsm``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial

import numpy as np

from benchmarks.lsm_data import RESULTS, kept
from benchmarks.measured import LIQUIDCAL, Rows
from flows.common.metrics import write_metrics
from flows.learning.astrocyte_crossbar import (
    FACTORS,
    Samples,
    Transfer,
    chip_spec,
    digit_samples,
    scored,
    target_conductances_us,
    written,
)
from flows.stimulus.astrocyte_samples import SHIPPED, learned_set
from sim.astrocyte_liquid.learning.protocol import initialise
from sim.astrocyte_liquid.liquid import Arithmetic
from sim.astrocyte_liquid.liquid import Liquid as AstrocyteLiquid
from sim.astrocyte_liquid.network import draw as draw_network
from sim.astrocyte_liquid.spec import NALSM_216, AstrocyteSpec
from sim.lsm_crossbar.homeostat import Homeostat, balanced_ratio
from sim.lsm_crossbar.learning.readout_training import accuracy
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw, noise_scale
from sim.lsm_crossbar.spec import CrossbarSpec, DeviceParameters, HomeostatParameters

LIQUID = replace(NALSM_216, name="NALSM_256", grid=(8, 8, 4), lane_synapses=6_144)
DRAWS = range(5)
SNAPSHOTS = 3_000
SIZES = (1_500, 500, 1_000)
STRENGTHS = (0.6, 1.0, 1.8, 3.0)
"""Magnitudes of all weights of the fixed liquid, tried on validation."""
LEAKS = ((-6,), (-4, -5))
"""Of the liquid that was formed, tried on validation."""
IDEAL = DeviceParameters(pristine_resistance_mohm=None)
DRIFT = {"drift_exponent": 0.02, "drift_exponent_sigma": 0.01, "drift_time_s": 1e8}
NO_EFFECT = "none"
EFFECTS = {
    "programming_5": ({"programming_error": 0.05}, None),
    "programming_10": ({"programming_error": 0.1}, None),
    "programming_20": ({"programming_error": 0.2}, None),
    "read_noise_2": ({}, 0.02),
    "read_noise_10": ({}, 0.1),
    "pristine_10_mohm": ({"pristine_resistance_mohm": 10.0}, None),
}
NOISES = ("read_noise_2", "read_noise_10")
"""Effects on a macro as it was formed, which nobody programs."""
LIQUIDS = {
    "random": "fixed random liquid, cells as they were formed, threshold and leak chosen on validation",
    "fixed": "fixed liquid of the same network, all weights of one magnitude, chosen on validation",
    "tuned": "tuned with the astrocyte, then frozen",
}
WORDS = {
    NO_EFFECT: "written without error",
    "programming_5": "programming error 5 %",
    "programming_10": "programming error 10 %",
    "programming_20": "programming error 20 %",
    "read_noise_2": "read noise of a cell 2 %",
    "read_noise_10": "read noise of a cell 10 %",
    "pristine_10_mohm": "cells without synapse conduct 0.1 uS",
    "drift": "drifted for 1e8 s, readout as it was",
    "drift_homeostat": "drifted for 1e8 s, readout as it was, homeostat on",
}


@cache
def tuned(liquid: AstrocyteSpec, seed: int, training: int, snapshots: int) -> np.ndarray:
    """Codes of the weights of a network after its initialisation on so many images and snapshots."""
    learned = learned_set(liquid, SHIPPED)
    chosen = learned.take(np.random.default_rng([seed, 0x7AF]).permutation(len(learned))[:training])
    found = AstrocyteLiquid(draw_network(liquid, seed), Arithmetic.CHIP)
    initialise(found, chosen.shown(liquid)[0], snapshots, seed)
    return np.asarray(found.weights)


Make = Callable[[CrossbarSpec], Conductances]


def random_macro(
    liquid: AstrocyteSpec, samples: Samples, seed: int, leaks: Sequence[tuple[int, ...]] = LEAKS,
    factors: tuple[float, ...] = FACTORS,
) -> tuple[Transfer, Make]:  # fmt: skip
    """Cells as they were formed, with the best of some leaks, and how to make them for another spec."""

    def make(chosen: CrossbarSpec) -> Conductances:
        return draw(chosen, seed)

    base = replace(chip_spec(liquid, DeviceParameters()), name="RANDOM", threshold=40)
    found = [scored(replace(base, leak=leak), make, samples, factors) for leak in leaks]
    return max(found, key=lambda one: one.readout.chosen.validation_accuracy), make


def fixed_macro(
    liquid: AstrocyteSpec, samples: Samples, seed: int, strengths: Sequence[float],
    factors: tuple[float, ...] = FACTORS,
) -> tuple[Transfer, Make]:  # fmt: skip
    """The network with weights of one magnitude, and how to make them for another spec."""
    network, ideal = draw_network(liquid, seed), chip_spec(liquid, IDEAL)
    found = []
    for strength in strengths:
        codes = network.sign.astype(np.int64) * round((1 << liquid.weight_fraction) * strength)
        make = partial(written, target_conductances_us(network, codes, ideal), seed=seed)
        found.append((scored(ideal, make, samples, factors), make))
    return max(found, key=lambda one: one[0].readout.chosen.validation_accuracy)


def tuned_macro(
    liquid: AstrocyteSpec, samples: Samples, seed: int, training: int, snapshots: int,
    factors: tuple[float, ...] = FACTORS,
) -> tuple[Transfer, Make]:  # fmt: skip
    """The tuned network, and how to make it for another spec."""
    network, ideal = draw_network(liquid, seed), chip_spec(liquid, IDEAL)
    targets = target_conductances_us(network, tuned(liquid, seed, training, snapshots), ideal)
    make = partial(written, targets, seed=seed)
    return scored(ideal, make, samples, factors), make


def with_effects(best: Transfer, make: Make, samples: Samples, names: Iterable[str]) -> dict[str, float]:
    """Accuracy of a liquid at its threshold, without and with effects of the device; the readout is trained anew."""
    found = {NO_EFFECT: best.accuracy}
    for name in names:
        device, noise = EFFECTS[name]
        chip = replace(best.spec, device=replace(best.spec.device, **device))
        chip = replace(chip, noise_scale=noise_scale(chip, noise))
        found[name] = scored(chip, make, samples, (1.0,)).accuracy
    return found


def drifted(best: Transfer, make: Make, samples: Samples) -> dict[str, float]:
    """Accuracy of written cells after 1e8 s, without and with homeostat."""
    spec = replace(best.spec, homeostat=HomeostatParameters(), device=replace(best.spec.device, **DRIFT))
    fresh = Liquid(best.spec, best.conductances).run(samples.spikes[0])
    ratio = balanced_ratio(int(fresh.spikes.sum()), int(samples.spikes[0].sum()))
    liquid = Liquid(spec, make(spec))
    homeostat = Homeostat(spec, ratio=ratio)
    liquid.regulated(samples.spikes[1], homeostat)
    activity, _ = liquid.regulated(samples.spikes[2], homeostat)
    counts = {"drift": liquid.counts(samples.spikes[2]), "drift_homeostat": activity.counts}
    return {name: accuracy(best.readout.readout, part, samples.labels[2]) for name, part in counts.items()}


def measure_random(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the macro as it was formed, by effect."""
    found = random_macro(LIQUID, samples, seed)
    return with_effects(*found, samples, NOISES) | drifted(*found, samples)


def measure_fixed(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the network with weights of one magnitude, by effect."""
    found = fixed_macro(LIQUID, samples, seed, STRENGTHS)
    return with_effects(*found, samples, EFFECTS) | drifted(*found, samples)


def measure_tuned(samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of the tuned liquid, by effect."""
    found = tuned_macro(LIQUID, samples, seed, SIZES[0], SNAPSHOTS)
    return with_effects(*found, samples, EFFECTS) | drifted(*found, samples)


PARTS = {"random": measure_random, "fixed": measure_fixed, "tuned": measure_tuned}


Scores = Mapping[str, Mapping[str, float]]
"""Of a draw: by liquid and effect the accuracy, %."""


def write_scores(name: str, found: Sequence[Scores]) -> None:
    """Write mean and spread of every liquid by effect, and what the tuned one gains, to two results files.

    Parameters
    ----------
    name : str
        Of the benchmark and of its first file; the second is ``NAME_gain``.
    found : sequence of Scores
        Of each draw.
    """
    rows, gains = (Rows(f"python -m benchmarks.{name}", "liquidcal", LIQUIDCAL) for _ in range(2))
    for case, effect in WORDS.items():
        for liquid, what in LIQUIDS.items():
            if case not in found[0][liquid]:
                continue
            each = np.array([one[liquid][case] for one in found])
            about = f"{what}; {effect}; {len(each)} draws"
            of = f"liquid:{liquid}__case:{case}"
            rows.add(f"accuracy__mean__{of}", round(float(each.mean()), 2), "%", f"mean, {about}")
            rows.add(f"accuracy__std__{of}", round(float(each.std(ddof=1)), 2), "%", f"standard deviation, {about}")
            if liquid == "tuned":
                continue
            gain = np.array([one["tuned"][case] for one in found]) - each
            error = gain.std(ddof=1) / np.sqrt(len(gain))
            gains.add(f"accuracy__gain__over:{liquid}__case:{case}", round(float(gain.mean()), 2), "%",
                      f"points of the tuned liquid above the {liquid} one; {effect}; {len(gain)} draws")  # fmt: skip
            gains.add(f"accuracy__gain_error__over:{liquid}__case:{case}", round(float(error), 2), "%",
                      f"standard error of the mean over {len(gain)} draws, tuned above {liquid}; {effect}")  # fmt: skip
    write_metrics(RESULTS / f"{name}.json", rows)
    write_metrics(RESULTS / f"{name}_gain.json", gains)


def run(
    name: str, liquid: AstrocyteSpec, sizes: tuple[int, int, int], settings: str,
    parts: Mapping[str, Callable[[Samples, int], dict[str, float]]], draws: Iterable[int],
) -> None:  # fmt: skip
    """The command line of a benchmark: measure what is not kept, and write its results.

    Parameters
    ----------
    name : str
    liquid : AstrocyteSpec
    sizes : (int, int, int)
        Of training, validation and test.
    settings : str
        What else decides the scores.
    parts : mapping of str to callable
        By liquid: from samples and seed its accuracies by effect.
    draws : iterable of int
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--draw", type=int, help="only this one, and no results")
    parser.add_argument("--part", choices=parts, help="only this liquid, with --draw")
    options = parser.parse_args()
    found: list[dict[str, dict[str, float]]] = []
    for seed in draws if options.draw is None else (options.draw,):
        samples: list[Samples] = []  # up to half a gigabyte, made when a score is not kept

        def measured(part: str, seed: int = seed, samples: list[Samples] = samples) -> dict[str, float]:
            if not samples:
                samples.append(digit_samples(liquid, sizes, seed))
            return parts[part](samples[0], seed)

        found.append({})
        for part in parts:
            if options.part in (None, part):
                words = f"{name} 3 {part} {liquid.to_toml()} {sizes} {settings} {seed}"
                scores = kept(words, lambda part=part: measured(part))  # type: ignore[misc]
                found[-1][part] = {effect: 100 * value for effect, value in scores.items()}
                print(seed, part, {effect: round(value, 2) for effect, value in found[-1][part].items()}, flush=True)
    if options.draw is None:
        write_scores(name, found)


def main() -> None:
    """Command line."""
    run("astrocyte_crossbar", LIQUID, SIZES, f"{SNAPSHOTS} {STRENGTHS} {EFFECTS} {DRIFT}", PARTS, DRAWS)


if __name__ == "__main__":
    main()
