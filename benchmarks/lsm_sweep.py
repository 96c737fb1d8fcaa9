"""What the crossbar's accuracy costs in hardware: ``python -m benchmarks.lsm_sweep``.

ADC resolution, fraction of formed cells, read noise, drift and rows per read, five draws of the macro each, in exact
macro arithmetic. A readout is trained for every draw (method ridge, penalty by validation) on 1,500 synthesised
recordings and scored on 1,000 of other digits; with drift it is the readout of the fresh macro. Writes
``benchmarks/results/lsm_sweep.json`` and ``docs/images/lsm_sweep.svg``; spike counts are kept in ``build/lsm``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks import measured
from benchmarks.lsm_accuracy import DRAWS, ENCODING, Parts
from benchmarks.lsm_data import IMAGES, RESULTS, STEP_US, Part, counts, kept
from benchmarks.style import figure, save
from flows.common.metrics import write_metrics
from sim.lsm_crossbar.learning.readout_training import accuracy, train
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw, noise_scale, programming_voltage_v
from sim.lsm_crossbar.recordings.events import encode_all
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec

MEASURED_FORMED = 0.493
"""Fraction of cells that form at the default programming voltage, as measured."""
PENALTIES = (1e-2, 3e-2, 1e-1)
DRIFT = {"drift_exponent": 0.02, "drift_exponent_sigma": 0.01}
"""Mean and spread of the drift exponent: assumed, none has been published for these cells."""


def head(part: Part, count: int) -> Part:
    """The first recordings of a part."""
    return Part(name=f"{part.name}-{count}", events=part.events[:count], labels=part.labels[:count])


def with_adc(bits: int) -> CrossbarSpec:
    """The same range of 512 conductance codes in `bits` bits; the threshold is the same charge."""
    shift = 9 - bits
    threshold = max(1, round(N_MNIST.threshold * 2.0 ** (N_MNIST.adc_shift - shift)))
    return replace(N_MNIST, adc_bits=bits, adc_shift=shift, threshold=threshold)


def with_formed(fraction: float) -> CrossbarSpec:
    """Another programming voltage; the threshold follows the standard deviation of a weight."""
    if fraction == MEASURED_FORMED:
        return N_MNIST
    device = N_MNIST.device
    mean = np.exp(device.log_mean + device.log_sigma**2 / 2)
    square = np.exp(2 * device.log_mean + 2 * device.log_sigma**2)

    def sigma(f: float) -> float:
        return float(np.sqrt(f * square - (f * mean) ** 2))

    voltage = programming_voltage_v(fraction, device)
    threshold = max(1, round(N_MNIST.threshold * sigma(fraction) / sigma(MEASURED_FORMED)))
    return replace(N_MNIST, device=replace(device, programming_voltage_v=voltage), threshold=threshold)


def with_noise(sigma: float) -> CrossbarSpec:
    """Read noise of each cell, relative."""
    return replace(N_MNIST, noise_scale=noise_scale(N_MNIST, sigma))


def with_rows(rows: int) -> CrossbarSpec:
    """Other rows per read, a power of two, at 6 bits: range of the ADC and threshold in its codes follow."""
    shift = N_MNIST.adc_shift + rows.bit_length() - N_MNIST.rows_per_read.bit_length()
    threshold = max(1, round(N_MNIST.threshold * 2.0 ** (N_MNIST.adc_shift - shift)))
    return replace(N_MNIST, rows_per_read=rows, adc_shift=shift, threshold=threshold)


def after(seconds: float) -> CrossbarSpec:
    """The macro some time after it was formed."""
    return replace(N_MNIST, device=replace(N_MNIST.device, **DRIFT, drift_time_s=seconds))


SWEEPS: dict[str, tuple[str, tuple[Any, ...], Callable[[Any], CrossbarSpec]]] = {
    "adc_bits": ("ADC bits", (2, 3, 4, 5, 6, 8), with_adc),
    "formed_fraction": ("fraction of formed cells", (0.1, 0.25, MEASURED_FORMED, 0.75), with_formed),
    "read_noise": ("read noise of a cell, %", (0.0, 2.0, 10.0, 20.0), lambda percent: with_noise(percent / 100)),
    "drift_s": ("time after forming, s", (1.0, 1e4, 1e8), after),
    "rows_per_read": ("rows of a read", (4, 8, 16, 32, 64), with_rows),
}


def main() -> None:
    """Run every point, write figures and plot."""
    parts = Parts()
    training, validation, test = head(parts.train, 1500), head(parts.validation, 500), parts.test
    table: dict[str, dict[Any, list[float]]] = {}
    reads: dict[int, float] = {}
    for name, (_, values, make) in SWEEPS.items():
        table[name] = {}
        for value in values:
            spec = make(value)
            # with drift, readout and threshold are those of the fresh macro
            chip = N_MNIST if name == "drift_s" else spec

            def point(seed: int, chip: CrossbarSpec = chip, spec: CrossbarSpec = spec) -> dict[str, float]:
                chosen = train(
                    chip,
                    counts(training, ENCODING, chip, seed),
                    training.labels,
                    counts(validation, ENCODING, chip, seed),
                    validation.labels,
                    methods=("ridge",),
                    ridge_penalties=PENALTIES,
                )
                seen = counts(test, ENCODING, chip, seed, image=spec)
                return {"test": 100 * accuracy(chosen.readout, seen, test.labels)}

            words = f"sweep {parts.key} {ENCODING} {chip.to_toml()} {spec.to_toml()}"
            scores = [kept(f"{words} {seed}", lambda s=seed, p=point: p(s))["test"] for seed in DRAWS]
            table[name][value] = scores
            print(name, value, np.round(scores, 1), flush=True)
            if name == "rows_per_read":
                spikes = encode_all(test.events[:200], ENCODING, steps=spec.steps, step_us=STEP_US, inputs=spec.inputs)
                reads[value] = float(np.mean([Liquid(spec, draw(spec, s)).run(spikes).reads for s in DRAWS]))
    write(table, reads)


figure_of = partial(measured.record, command="python -m benchmarks.lsm_sweep")
"""A figure of this benchmark."""


def write(table: dict[str, dict[Any, list[float]]], reads: dict[int, float]) -> None:
    """Results and plot of the sweeps."""
    metrics = [
        figure_of(
            f"macro__reads__case:rows_per_read_{rows}",
            round(number),
            "",
            f"reads of the macro for one recording, mean of 200 recordings and {len(DRAWS)} draws",
        )
        for rows, number in reads.items()
    ]
    for name, points in table.items():
        for value, scores in points.items():
            case = f"{name}_{value:g}".replace("+", "")
            for quantity, figure_ in (("mean", np.mean(scores)), ("std", np.std(scores, ddof=1))):
                method = f"{quantity} over {len(scores)} draws, {SWEEPS[name][0]} {value:g}"
                metrics.append(figure_of(f"accuracy__{quantity}__case:{case}", round(float(figure_), 2), "%", method))
    write_metrics(RESULTS / "lsm_sweep.json", metrics)
    best = np.mean(table["adc_bits"][8])
    enough = min(bits for bits, scores in table["adc_bits"].items() if np.mean(scores) > best - 1)
    print(f"smallest ADC that costs less than 1 point against 8 bits: {enough} bits")
    sheet, panels = figure(2, 3, width=9.6, height=5.0)
    panels.ravel()[-1].set_axis_off()
    for panel, (name, points) in zip(panels.ravel(), table.items(), strict=False):
        mean = [np.mean(scores) for scores in points.values()]
        panel.errorbar(
            list(points),
            mean,
            [np.std(s, ddof=1) for s in points.values()],
            marker="o",
            ms=4,
            capsize=2,
            color="#2a6f97",
        )
        panel.set(xlabel=SWEEPS[name][0], ylabel="accuracy, %")
        if name == "drift_s":
            panel.set_xscale("log")
        if name == "rows_per_read":
            panel.set_xscale("log", base=2)
            panel.set_xticks(list(points), [f"{rows}\n{reads[rows]:.0f}" for rows in points])
            panel.set_xlabel("rows of a read (below: reads of a recording)")
        if name == "adc_bits":
            panel.axhline(best - 1, color="#888", lw=1, ls="--")
            panel.text(8, best - 1.2, "1 point below 8 bits", fontsize=8, color="#555", ha="right", va="top")
    save(sheet, IMAGES / "lsm_sweep.svg")


if __name__ == "__main__":
    main()
