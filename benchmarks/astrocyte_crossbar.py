"""A tuned liquid written into one macro, beside fixed ones: ``python -m benchmarks.astrocyte_crossbar``.

256 neurons, 196 inputs, digits of 14 x 14 pixels. Five draws of network, macro, digits and spikes. Threshold and
readout of every variant are chosen on 500 validation digits, each is scored once on 1,000 test digits that ship with
the package and are never trained on. Effects of the device are those of a macro on which the readout is trained, but
for drift, where it is the readout of the macro as it was written. Writes
``benchmarks/results/astrocyte_crossbar.json`` and ``astrocyte_crossbar_gain.json``; scores are kept in ``build/lsm``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.lsm_data import RESULTS, kept
from benchmarks.measured import LIQUIDCAL, Rows
from flows.common.metrics import write_metrics
from flows.learning.astrocyte_crossbar import (
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
from sim.astrocyte_liquid.network import Network
from sim.astrocyte_liquid.network import draw as draw_network
from sim.astrocyte_liquid.spec import NALSM_216
from sim.lsm_crossbar.homeostat import Homeostat, balanced_ratio
from sim.lsm_crossbar.learning.readout_training import accuracy
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.spec import DeviceParameters, HomeostatParameters

LIQUID = replace(NALSM_216, name="NALSM_256", grid=(8, 8, 4), lane_synapses=6_144)
DRAWS = range(5)
SNAPSHOTS = 3_000
SIZES = (1_500, 500, 1_000)
STRENGTHS = (0.6, 1.0, 1.8, 3.0)
"""Magnitudes of all weights of the fixed liquid, tried on validation."""
IDEAL = DeviceParameters(pristine_resistance_mohm=None)
DRIFT = {"drift_exponent": 0.02, "drift_exponent_sigma": 0.01, "drift_time_s": 1e8}
EFFECTS = {
    "programming_5": ({"programming_error": 0.05}, None),
    "programming_10": ({"programming_error": 0.1}, None),
    "programming_20": ({"programming_error": 0.2}, None),
    "read_noise_2": ({}, 0.02),
    "read_noise_10": ({}, 0.1),
    "pristine_10_mohm": ({"pristine_resistance_mohm": 10.0}, None),
}
WORDS = {
    "random": "fixed random liquid: a macro as it was formed, threshold and leak chosen on validation",
    "fixed": "fixed liquid of the same network: all weights of one magnitude, chosen on validation",
    "tuned": "tuned with the astrocyte, frozen, written without error",
    "programming_5": "tuned, programming error 5 %",
    "programming_10": "tuned, programming error 10 %",
    "programming_20": "tuned, programming error 20 %",
    "read_noise_2": "tuned, read noise of a cell 2 %",
    "read_noise_10": "tuned, read noise of a cell 10 %",
    "pristine_10_mohm": "tuned, cells without synapse conduct 0.1 uS",
    "drift": "tuned, drifted for 1e8 s, readout as it was",
    "drift_homeostat": "tuned, drifted for 1e8 s, readout as it was, homeostat on",
}


def tuned(network: Network, seed: int, training: int, snapshots: int) -> np.ndarray:
    """Codes of the weights of a network after its initialisation on so many images and snapshots."""
    learned = learned_set(network.spec, SHIPPED)
    chosen = learned.take(np.random.default_rng([seed, 0x7AF]).permutation(len(learned))[:training])
    liquid = AstrocyteLiquid(network, Arithmetic.CHIP)
    initialise(liquid, chosen.shown(network.spec)[0], snapshots, seed)
    return np.asarray(liquid.weights)


def random_macro(samples: Samples, seed: int) -> Transfer:
    """The macro as it was formed, with the better of two leaks."""
    base = replace(chip_spec(LIQUID, DeviceParameters()), name="RANDOM_256", threshold=40)
    found = [scored(replace(base, leak=leak), lambda chosen: draw(chosen, seed), samples) for leak in ((-6,), (-4, -5))]
    return max(found, key=lambda one: one.readout.chosen.validation_accuracy)


def drifted(best: Transfer, targets: np.ndarray, samples: Samples, seed: int) -> dict[str, float]:
    """Accuracy of a written macro after 1e8 s, without and with homeostat."""
    spec = replace(best.spec, homeostat=HomeostatParameters(), device=replace(IDEAL, **DRIFT))
    fresh = Liquid(best.spec, best.conductances).run(samples.spikes[0])
    ratio = balanced_ratio(int(fresh.spikes.sum()), int(samples.spikes[0].sum()))
    liquid = Liquid(spec, written(targets, spec, seed))
    homeostat = Homeostat(spec, ratio=ratio)
    liquid.regulated(samples.spikes[1], homeostat)
    activity, _ = liquid.regulated(samples.spikes[2], homeostat)
    counts = {"drift": liquid.counts(samples.spikes[2]), "drift_homeostat": activity.counts}
    return {name: accuracy(best.readout.readout, part, samples.labels[2]) for name, part in counts.items()}


def measure_random(seed: int) -> dict[str, float]:
    """Accuracy of the macro as it was formed."""
    return {"random": random_macro(digit_samples(LIQUID, SIZES, seed), seed).accuracy}


def measure_fixed(seed: int) -> dict[str, float]:
    """Accuracy of the network with weights of one magnitude."""
    network, samples, ideal = draw_network(LIQUID, seed), digit_samples(LIQUID, SIZES, seed), chip_spec(LIQUID, IDEAL)
    found = []
    for strength in STRENGTHS:
        targets = target_conductances_us(network, network.sign.astype(np.int64) * round(64 * strength), ideal)
        found.append(scored(ideal, lambda chosen, targets=targets: written(targets, chosen, seed), samples))  # type: ignore[misc]
    return {"fixed": max(found, key=lambda one: one.readout.chosen.validation_accuracy).accuracy}


def measure_tuned(seed: int) -> dict[str, float]:
    """Accuracy of the tuned liquid, and with every effect of the device."""
    network, samples, ideal = draw_network(LIQUID, seed), digit_samples(LIQUID, SIZES, seed), chip_spec(LIQUID, IDEAL)
    targets = target_conductances_us(network, tuned(network, seed, SIZES[0], SNAPSHOTS), ideal)
    best = scored(ideal, lambda chosen: written(targets, chosen, seed), samples)
    found = {"tuned": best.accuracy}
    for name, (device, noise) in EFFECTS.items():
        chip = replace(
            chip_spec(LIQUID, replace(IDEAL, **device), read_noise=noise), threshold=best.spec.threshold
        )  # fmt: skip
        found[name] = scored(chip, lambda chosen: written(targets, chosen, seed), samples, (1.0,)).accuracy
    return found | drifted(best, targets, samples, seed)


PARTS = {"random": measure_random, "fixed": measure_fixed, "tuned": measure_tuned}


def write_scores(name: str, words: Mapping[str, str], found: Sequence[Mapping[str, float]]) -> None:
    """Write mean and spread of every variant, and what the tuned liquid gains, to two results files.

    Parameters
    ----------
    name : str
        Of the benchmark and of its first file; the second is ``NAME_gain``.
    words : mapping of str to str
        What each variant is.
    found : sequence of mapping of str to float
        Of each draw the accuracy of every variant, %.
    """
    rows, gains = (Rows(f"python -m benchmarks.{name}", "liquidcal", LIQUIDCAL) for _ in range(2))
    for case, what in words.items():
        each = np.array([one[case] for one in found])
        about = f"{what}; {len(each)} draws"
        rows.add(f"accuracy__mean__case:{case}", round(float(each.mean()), 2), "%", f"mean, {about}")
        rows.add(f"accuracy__std__case:{case}", round(float(each.std(ddof=1)), 2), "%", f"standard deviation, {about}")
    for other in ("random", "fixed"):
        gain = np.array([one["tuned"] - one[other] for one in found])
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        gains.add(f"accuracy__gain__case:tuned_over_{other}", round(float(gain.mean()), 2), "%",
                 f"points of the tuned liquid above the {other} one, mean of {len(gain)} draws")  # fmt: skip
        gains.add(f"accuracy__gain_error__case:tuned_over_{other}", round(float(error), 2), "%",
                 f"standard error of the mean over {len(gain)} draws, tuned above {other}")  # fmt: skip
    write_metrics(RESULTS / f"{name}.json", rows)
    write_metrics(RESULTS / f"{name}_gain.json", gains)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--draw", type=int, help="only this one, and no results")
    parser.add_argument("--part", choices=PARTS, help="only this one, with --draw")
    options = parser.parse_args()
    found: list[dict[str, float]] = []
    for seed in DRAWS if options.draw is None else (options.draw,):
        found.append({})
        for name, part in PARTS.items():
            if options.part in (None, name):
                words = (
                    f"astrocyte crossbar 2 {name} {LIQUID.to_toml()} {SNAPSHOTS} {SIZES} {STRENGTHS} {EFFECTS} {seed}"
                )
                found[-1] |= kept(words, lambda part=part, seed=seed: part(seed))  # type: ignore[misc]
        found[-1] = {name: 100 * value for name, value in found[-1].items()}
        print(seed, {name: round(value, 2) for name, value in found[-1].items()}, flush=True)
    if options.draw is not None:
        return
    write_scores("astrocyte_crossbar", WORDS, found)


if __name__ == "__main__":
    main()
