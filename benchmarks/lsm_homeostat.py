"""What a homeostat does for a liquid whose currents change: ``python -m benchmarks.lsm_homeostat``.

The readout is that of `benchmarks.lsm_sweep`: of the fresh macro, 1,500 training and 500 validation recordings, five
draws. Then the macro drifts, or all its currents are 20 % smaller or larger, as another read voltage or temperature
makes them (gains of the ADCs stand for it). The homeostat's ratio is that of the fresh liquid on its training
recordings. It runs over the 500 validation recordings, whose labels nobody looks at, and goes on while the 1,000 test
recordings are scored. Nothing is trained again. Beside it, of the drifted macro and in the model alone, what a
threshold for each neuron would do, each moved by the same rule with a ratio of its own: the hardware has one threshold.
Writes ``benchmarks/results/lsm_homeostat.json``, ``lsm_homeostat_change.json`` and ``docs/images/lsm_homeostat.svg``;
scores are kept in ``build/lsm``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.lsm_accuracy import DRAWS, ENCODING
from benchmarks.lsm_data import IMAGES, RESULTS, STEP_US, Part, kept, synthesised
from benchmarks.lsm_sweep import PENALTIES, after
from benchmarks.measured import LIQUIDCAL, Rows
from benchmarks.style import figure, save
from flows.common.metrics import write_metrics
from sim.liquid_health import BRANCHING_WINDOW, branching_factor
from sim.lsm_crossbar.homeostat import Homeostat, balanced_ratio
from sim.lsm_crossbar.learning.health import recurrent_weights
from sim.lsm_crossbar.learning.readout_training import accuracy, train
from sim.lsm_crossbar.liquid import Activity, Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings.events import encode_all
from sim.lsm_crossbar.spec import N_MNIST_HOMEOSTAT, CrossbarSpec

SPEC = N_MNIST_HOMEOSTAT
OWN_WINDOW = 16
"""Recordings of a window of the model with a threshold for each neuron."""
CASES = ("fresh", "drift", "current_80", "current_120")
"""As trained; drifted for 1e8 s; 80 and 120 % of the current of every cell."""
THRESHOLDS = {"one": "one threshold for all neurons", "own": "a threshold for each neuron, in the model"}
WORDS = {
    "fresh": "as trained",
    "drift": "drifted for 1e8 s",
    "current_80": "80 % of the currents",
    "current_120": "120 % of the currents",
}


def changed(case: str, seed: int) -> Conductances:
    """The macro of a seed in a case."""
    if case == "drift":
        return draw(replace(SPEC, device=after(1e8).device), seed)
    image = draw(SPEC, seed)
    if case == "fresh":
        return image
    gain = round(int(case.rpartition("_")[2]) / 100 * (1 << SPEC.gain_fraction))
    return replace(image, adc_gain=np.full(SPEC.adcs, gain))


def encoded(part: Part, spec: CrossbarSpec) -> NDArray[np.bool_]:
    """Input spikes of a part."""
    return encode_all(part.events, ENCODING, steps=spec.steps, step_us=STEP_US, inputs=spec.inputs)


class Recordings:
    """Input spikes and labels of the three parts, encoded when first asked for."""

    def __init__(self) -> None:
        # the first recordings of the parts of `benchmarks.lsm_accuracy`
        self.parts = (
            synthesised("train", slice(0, 1500), seed=1),
            synthesised("validation", slice(7000, 7500), seed=2),
            synthesised("test", slice(8000, 9000), seed=3),
        )
        self.key = " ".join(part.name for part in self.parts)
        self._spikes: list[NDArray[np.bool_]] = []

    @property
    def spikes(self) -> list[NDArray[np.bool_]]:
        """Of training, validation and test."""
        if not self._spikes:
            self._spikes = [encoded(part, SPEC) for part in self.parts]
        return self._spikes


def measure(recordings: Recordings, seed: int) -> dict[str, float]:
    """Accuracy, activity, branching factor and threshold of a draw, with and without homeostat, in all cases."""
    training, validation, test = recordings.spikes
    labels = [part.labels for part in recordings.parts]
    image = draw(SPEC, seed)
    fresh = Liquid(SPEC, image)
    learned = fresh.run(training)
    chosen = train(
        SPEC, learned.counts, labels[0], fresh.counts(validation), labels[1], methods=("ridge",),
        ridge_penalties=PENALTIES,
    )  # fmt: skip
    ratio = balanced_ratio(int(learned.spikes.sum()), int(training.sum()))
    connected = recurrent_weights(SPEC, image) != 0
    found: dict[str, float] = {}

    def note(name: str, activity: Activity, threshold: float) -> None:
        spikes = float(activity.spikes.sum()) * 256 / (ratio * float(test.sum()))
        found[f"{name} accuracy"] = 100 * accuracy(chosen.readout, activity.counts, labels[2])
        found[f"{name} activity"] = spikes
        found[f"{name} branching"] = branching_factor(activity.spikes[:100], connected, edge=BRANCHING_WINDOW)
        found[f"{name} threshold"] = threshold

    for case in CASES:
        liquid = Liquid(SPEC, changed(case, seed))
        note(f"{case} off", liquid.run(test), SPEC.threshold)
        homeostat = Homeostat(SPEC, ratio=ratio)
        liquid.regulated(validation, homeostat)
        activity, thresholds = liquid.regulated(test, homeostat)
        note(f"{case} on", activity, float(thresholds.mean()))
    return found


def measure_own(recordings: Recordings, seed: int) -> dict[str, float]:
    """Accuracy of a drifted draw with a threshold for each neuron: twice over validation, then on over the test."""
    training, validation, test = recordings.spikes
    labels = [part.labels for part in recordings.parts]
    fresh = Liquid(SPEC, draw(SPEC, seed))
    learned = fresh.run(training)
    chosen = train(
        SPEC, learned.counts, labels[0], fresh.counts(validation), labels[1], methods=("ridge",),
        ridge_penalties=PENALTIES,
    )  # fmt: skip
    ratios = learned.counts.sum(axis=(0, 1)) / training.sum()
    liquid = Liquid(SPEC, changed("drift", seed), "numpy")
    thresholds = np.full(SPEC.neurons, SPEC.threshold)

    def regulated(spikes: NDArray[np.bool_]) -> NDArray[np.int64]:
        counts = []
        for first in range(0, len(spikes), OWN_WINDOW):
            block = spikes[first : first + OWN_WINDOW]
            # the readable engine compares with an array as with a number
            liquid.threshold = thresholds  # type: ignore[assignment]
            counts.append(liquid.counts(block))
            balance = counts[-1].sum(axis=(0, 1)) - ratios * block.sum()
            thresholds[:] = np.clip(thresholds + np.sign(balance), SPEC.threshold // 2, 2 * SPEC.threshold)
        return np.concatenate(counts)

    regulated(validation)
    regulated(validation)
    return {"drift own accuracy": 100 * accuracy(chosen.readout, regulated(test), labels[2])}


def main() -> None:
    """Run every draw, write figures and plot."""
    recordings = Recordings()
    found = []
    for seed in DRAWS:
        words = f"homeostat 1 {recordings.key} {ENCODING} {SPEC.to_toml()} {seed}"
        found.append(kept(words, lambda seed=seed: measure(recordings, seed)))  # type: ignore[misc]
        found[-1] |= kept(f"{words} own {OWN_WINDOW}", lambda seed=seed: measure_own(recordings, seed))  # type: ignore[misc]
        print(seed, {name: round(value, 2) for name, value in found[-1].items()}, flush=True)
    write({name: np.array([one[name] for one in found]) for name in found[0]})


def write(figures: dict[str, NDArray[np.float64]]) -> None:
    """Results and plot."""
    rows, change = (Rows("python -m benchmarks.lsm_homeostat", "liquidcal", LIQUIDCAL) for _ in range(2))
    draws = len(figures["fresh off accuracy"])
    for case in CASES:
        for switch in ("off", "on"):
            about = f"{WORDS[case]}, homeostat {switch}; {draws} draws"
            one = f"{case} {switch}"
            key = f"case:{case}_{switch}"
            score = figures[f"{one} accuracy"]
            rows.add(f"accuracy__mean__{key}", round(float(score.mean()), 2), "%", f"mean, {about}")
            rows.add(f"accuracy__std__{key}", round(float(score.std(ddof=1)), 2), "%", f"standard deviation, {about}")
            rows.add(f"liquid__activity__{key}", round(float(figures[f"{one} activity"].mean()), 3), "",
                     f"liquid spikes for an input spike over those in training, mean, {about}")  # fmt: skip
            rows.add(f"branching_factor__{key}", round(float(figures[f"{one} branching"].mean()), 3), "",
                     f"branching factor on 100 recordings, mean, {about}")  # fmt: skip
            rows.add(f"neuron__threshold__{key}", round(float(figures[f"{one} threshold"].mean()), 1), "",
                     f"threshold in ADC codes, mean over test recordings, {about}")  # fmt: skip
    for switch in ("off", "on"):
        about = f"80, 100 and 120 % of the currents, homeostat {switch}; {draws} draws"
        cases = [f"{case} {switch}" for case in ("fresh", "current_80", "current_120")]
        score, activity = (np.concatenate([figures[f"{c} {what}"] for c in cases]) for what in ("accuracy", "activity"))
        key = f"case:currents_{switch}"
        rows.add(f"accuracy__mean__{key}", round(float(score.mean()), 2), "%", f"mean, {about}")
        rows.add(f"accuracy__std__{key}", round(float(score.std(ddof=1)), 2), "%", f"standard deviation, {about}")
        change.add(f"liquid__activity_spread__{key}", round(float(activity.std(ddof=1)), 3), "",
                 f"standard deviation of liquid spikes for an input spike over those in training, {about}")  # fmt: skip
    own = figures["drift own accuracy"]
    about = f"{WORDS['drift']}, model of a threshold for each neuron; {draws} draws"
    rows.add("accuracy__mean__case:drift_own", round(float(own.mean()), 2), "%", f"mean, {about}")
    rows.add("accuracy__std__case:drift_own", round(float(own.std(ddof=1)), 2), "%", f"standard deviation, {about}")
    for name, score in (("one", figures["drift on accuracy"]), ("own", own)):
        gain = score - figures["drift off accuracy"]
        change.add(f"accuracy__recovered__case:{name}", round(float(gain.mean()), 2), "%",
                 f"points recovered, {WORDS['drift']}, {THRESHOLDS[name]}, mean of {draws} draws")  # fmt: skip
    write_metrics(RESULTS / "lsm_homeostat.json", rows)
    write_metrics(RESULTS / "lsm_homeostat_change.json", change)
    sheet, panels = figure(1, 2, width=8.0, height=2.8)
    for panel, what, label in zip(panels.ravel(), ("activity", "accuracy"), ("activity", "accuracy, %"), strict=True):
        for switch, color, shift in (("off", "#b3541e", -0.12), ("on", "#2a6f97", 0.12)):
            values = [figures[f"{case} {switch} {what}"] for case in CASES]
            panel.errorbar(
                np.arange(len(CASES)) + shift, [v.mean() for v in values], [v.std(ddof=1) for v in values], fmt="o",
                ms=4, capsize=2, color=color, label=f"homeostat {switch}",
            )  # fmt: skip
        panel.set_xticks(range(len(CASES)), ["as trained", "drift\n1e8 s", "currents\n80 %", "currents\n120 %"])
        panel.set_ylabel(label)
    panels.ravel()[0].legend(frameon=False)
    save(sheet, IMAGES / "lsm_homeostat.svg")


if __name__ == "__main__":
    main()
