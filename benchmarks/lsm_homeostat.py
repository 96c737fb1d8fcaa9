"""What a homeostat does for a liquid whose currents change: ``python -m benchmarks.lsm_homeostat``.

The readout is that of `benchmarks.lsm_sweep`: of the fresh macro, 1,500 training and 500 validation recordings, five
draws. Then the macro drifts, or all its currents are 20 % smaller or larger, as another read voltage or temperature
makes them (gains of the ADCs stand for it). The ratios of both homeostats, of one threshold and of a threshold for each
neuron, are those of the fresh liquid on its training recordings. They run over the 500 validation recordings, whose
labels they do not know, and go on while the 1,000 test recordings are scored. Nothing is trained again. What the rate
of the second does is seen on a second pass over validation, of the drifted macro. Writes
``benchmarks/results/lsm_homeostat.json``, with the same first words ``_change``, ``_currents`` and ``_rate``, and
``docs/images/lsm_homeostat.svg``; scores are kept in ``build/lsm``.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from sim.lsm_crossbar.homeostat import Homeostat, NeuronHomeostat, balanced_ratio, balanced_ratios
from sim.lsm_crossbar.learning.health import recurrent_weights
from sim.lsm_crossbar.learning.readout_training import accuracy, train
from sim.lsm_crossbar.liquid import Activity, Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings.events import encode_all
from sim.lsm_crossbar.spec import N_MNIST_HOMEOSTAT, N_MNIST_OWN_THRESHOLDS, CrossbarSpec

SPEC, OWN = N_MNIST_HOMEOSTAT, N_MNIST_OWN_THRESHOLDS
CASES = ("fresh", "drift", "current_80", "current_120")
"""As trained; drifted for 1e8 s; 80 and 120 % of the current of every cell."""
CURRENTS = ("fresh", "current_80", "current_120")
KINDS = ("off", "layer", "neuron")
"""Without homeostat; with one threshold; with a threshold for each neuron."""
RATES = range(1, 8)
WORDS = {
    "fresh": "as trained",
    "drift": "drifted for 1e8 s",
    "current_80": "80 % of the currents",
    "current_120": "120 % of the currents",
    "off": "no homeostat",
    "layer": "homeostat of one threshold",
    "neuron": "homeostat of a threshold for each neuron",
}
Figures = dict[str, NDArray[np.float64]]


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
    """Accuracy, activity, branching factor and threshold of a draw in all cases, without and with both homeostats."""
    training, validation, test = recordings.spikes
    labels = [part.labels for part in recordings.parts]
    image = draw(SPEC, seed)
    fresh = Liquid(SPEC, image)
    learned = fresh.run(training)
    chosen = train(
        SPEC, learned.counts, labels[0], fresh.counts(validation), labels[1], methods=("ridge",),
        ridge_penalties=PENALTIES,
    )  # fmt: skip
    came = int(training.sum())
    per_spike = int(learned.spikes.sum()) / came
    ratio, ratios = balanced_ratio(int(learned.spikes.sum()), came), balanced_ratios(learned.counts, came)
    connected = recurrent_weights(SPEC, image) != 0
    found: dict[str, float] = {}

    def note(name: str, activity: Activity, thresholds: NDArray[np.int64]) -> None:
        found[f"{name} accuracy"] = 100 * accuracy(chosen.readout, activity.counts, labels[2])
        found[f"{name} activity"] = float(activity.spikes.sum()) / (per_spike * float(test.sum()))
        found[f"{name} branching"] = branching_factor(activity.spikes[:100], connected, edge=BRANCHING_WINDOW)
        found[f"{name} threshold"] = float(thresholds.mean())
        found[f"{name} spread"] = float(thresholds.mean(axis=0).std()) if thresholds.ndim == 2 else 0.0

    def settled(liquid: Liquid) -> Iterator[tuple[str, Homeostat | NeuronHomeostat]]:
        """Both homeostats, after validation."""
        for kind, homeostat in (("layer", Homeostat(SPEC, ratio=ratio)), ("neuron", NeuronHomeostat(OWN, ratios))):
            liquid.regulated(validation, homeostat)
            yield kind, homeostat

    for case in CASES:
        liquid = Liquid(SPEC, changed(case, seed))
        note(f"{case} off", liquid.run(test), np.array([SPEC.threshold]))
        for kind, homeostat in settled(liquid):
            note(f"{case} {kind}", *liquid.regulated(test, homeostat))
    liquid = Liquid(SPEC, changed("drift", seed))
    for rate in RATES:
        slower = NeuronHomeostat(OWN, ratios, rate=rate)
        liquid.regulated(validation, slower)
        activity, _ = liquid.regulated(validation, slower)
        found[f"rate {rate}"] = 100 * accuracy(chosen.readout, activity.counts, labels[1])
    return found


def main() -> None:
    """Run every draw, write figures and plot."""
    recordings = Recordings()
    found = []
    for seed in DRAWS:
        words = f"homeostat 2 {recordings.key} {ENCODING} {SPEC.to_toml()} {OWN.to_toml()} {seed}"
        found.append(kept(words, lambda seed=seed: measure(recordings, seed)))  # type: ignore[misc]
        print(seed, {name: round(value, 2) for name, value in found[-1].items()}, flush=True)
    figures = {name: np.array([one[name] for one in found]) for name in found[0]}
    write(figures)
    plot(figures)


def within(scores: NDArray[np.float64]) -> float:
    """Standard deviation over the cases of a draw, of all draws together; shape of the scores: (cases, draws)."""
    return float(np.sqrt(scores.var(axis=0, ddof=1).mean()))


def write(figures: Figures) -> None:
    """Results: each case; what came back after drift; what other currents do; the rates."""
    rows, change, currents, rates = (
        Rows("python -m benchmarks.lsm_homeostat", "liquidcal", LIQUIDCAL) for _ in range(4)
    )
    draws = len(figures["fresh off accuracy"])
    for case in CASES:
        for kind in KINDS:
            about = f"{WORDS[case]}, {WORDS[kind]}; {draws} draws"
            one, key = f"{case} {kind}", f"case:{case}_{kind}"
            score = figures[f"{one} accuracy"]
            rows.add(f"accuracy__mean__{key}", round(float(score.mean()), 2), "%", f"mean, {about}")
            rows.add(f"accuracy__std__{key}", round(float(score.std(ddof=1)), 2), "%", f"standard deviation, {about}")
            rows.add(f"liquid__activity__{key}", round(float(figures[f"{one} activity"].mean()), 3), "",
                     f"liquid spikes for an input spike over those in training, mean, {about}")  # fmt: skip
            rows.add(f"branching_factor__{key}", round(float(figures[f"{one} branching"].mean()), 3), "",
                     f"branching factor on 100 recordings, mean, {about}")  # fmt: skip
            rows.add(f"neuron__threshold__{key}", round(float(figures[f"{one} threshold"].mean()), 1), "",
                     f"threshold in ADC codes, mean over neurons and test recordings, {about}")  # fmt: skip
    before = figures["fresh off accuracy"]
    for kind in KINDS:
        about = f"{WORDS[kind]}; {draws} draws"
        score, activity = (
            np.stack([figures[f"{c} {kind} {what}"] for c in CURRENTS]) for what in ("accuracy", "activity")
        )
        key = f"case:{kind}"
        drifted = figures[f"drift {kind} accuracy"]
        gain = drifted - figures["drift off accuracy"]
        if kind != "off":
            change.add(f"accuracy__recovered__{key}", round(float(gain.mean()), 2), "%",
                       f"points recovered, {WORDS['drift']}, {about}")  # fmt: skip
            change.add(f"accuracy__recovered_error__{key}", round(float(gain.std(ddof=1) / draws**0.5), 2), "%",
                       f"standard error of the points recovered, {about}")  # fmt: skip
        currents.add(f"accuracy__mean__{key}", round(float(score.mean()), 2), "%",
                   f"mean over 80, 100 and 120 % of the currents, {about}")  # fmt: skip
        currents.add(f"accuracy__std__{key}", round(float(score.std(ddof=1)), 2), "%",
                   f"standard deviation over draws and 80, 100 and 120 % of the currents, {about}")  # fmt: skip
        currents.add(f"accuracy__within__{key}", round(within(score), 2), "%",
                   f"standard deviation over 80, 100 and 120 % of the currents within a draw, {about}")  # fmt: skip
        currents.add(f"accuracy__lost__{key}", round(float((before - score[1:]).mean()), 2), "%",
                   f"points below the fresh liquid without homeostat, mean over 80 and 120 %, {about}")  # fmt: skip
        change.add(f"neuron__threshold_spread__{key}", round(float(figures[f"drift {kind} spread"].mean()), 1), "",
                   "standard deviation of the threshold between neurons, ADC codes, "
                   f"{WORDS['drift']}, {about}")  # fmt: skip
        change.add(f"accuracy__drift_spread__{key}", round(float(drifted.std(ddof=1)), 2), "%",
                   f"standard deviation between draws, {WORDS['drift']}, {about}")  # fmt: skip
        currents.add(f"liquid__activity_spread__{key}", round(float(activity.std(ddof=1)), 3), "",
                   f"standard deviation of liquid spikes for an input spike over training's, {about}")  # fmt: skip
    for rate in RATES:
        score = figures[f"rate {rate}"]
        rates.add(f"accuracy__validation__rate:{rate}", round(float(score.mean()), 2), "%",
                  f"mean on validation, {WORDS['drift']}, {WORDS['neuron']}, rate {rate}; {draws} draws")  # fmt: skip
    for name, table in (("", rows), ("_change", change), ("_currents", currents), ("_rate", rates)):
        write_metrics(RESULTS / f"lsm_homeostat{name}.json", table)


def plot(figures: Figures) -> None:
    """Activity and accuracy in all cases."""
    sheet, panels = figure(1, 2, width=8.0, height=2.8)
    shown = (("off", "#b3541e", -0.18), ("layer", "#2a6f97", 0.0), ("neuron", "#2f7d4f", 0.18))
    labels = {"off": "no homeostat", "layer": "one threshold", "neuron": "one for each neuron"}
    for panel, what, label in zip(panels.ravel(), ("activity", "accuracy"), ("activity", "accuracy, %"), strict=True):
        for kind, color, shift in shown:
            values = [figures[f"{case} {kind} {what}"] for case in CASES]
            panel.errorbar(
                np.arange(len(CASES)) + shift, [v.mean() for v in values], [v.std(ddof=1) for v in values], fmt="o",
                ms=4, capsize=2, color=color, label=labels[kind],
            )  # fmt: skip
        panel.set_xticks(range(len(CASES)), ["as trained", "drift\n1e8 s", "currents\n80 %", "currents\n120 %"])
        panel.set_ylabel(label)
    panels.ravel()[0].legend(frameon=False)
    save(sheet, IMAGES / "lsm_homeostat.svg")


if __name__ == "__main__":
    main()
