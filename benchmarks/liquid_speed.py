"""Samples per second of the golden liquid, snnTorch and SpikingJelly: ``python -m benchmarks.liquid_speed``.

All run the liquid of the preset N_MNIST drawn from seed 0 on the same N-MNIST-like recordings, on all cores. The golden
model computes it exactly as the chip does, reads, ADCs and shifts included; the baselines compute the idealised liquid
in floating point: the same weights and neurons without ADCs. Before anything is timed, each baseline's spikes are
compared with those of a plain loop in double precision over the idealised liquid, and the golden engines with each
other; the share of spikes that the ADCs change is written beside the figures.

Engines take turns, round by round, because other processes disturb a shared machine; each figure is the median over the
rounds, each ratio the median of the rounds' ratios. A turn is a pause, in which the threads of the engine before fall
asleep, a call that is not timed and brings code and memory back, and the call that is timed. The baselines live in an
environment of their own, ``.venv-spiking``, from `baselines/spiking-requirements.txt`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measured import LIQUIDCAL, RESULTS, Baseline, Rows, baseline_python
from flows.common.metrics import write_metrics
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import ENCODINGS, encode_all
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec

RESULT = RESULTS / "liquid_speed.json"
PAUSE_S = 0.5
LIBRARIES = {"snntorch": "snnTorch", "spikingjelly": "SpikingJelly"}


def idealised(weights: np.ndarray, inputs: np.ndarray, spec: CrossbarSpec) -> np.ndarray:
    """Spikes of the liquid without ADCs: u = decay * u * (1 - s) + W x + W s in double precision."""
    membrane = np.zeros((len(inputs), spec.neurons))
    spikes = np.zeros_like(membrane)
    found = []
    for step in range(spec.steps):
        drive = inputs[:, step] @ weights[: spec.inputs] + spikes @ weights[spec.inputs :]
        membrane = float(spec.decay) * membrane * (1 - spikes) + drive
        spikes = (membrane > spec.threshold).astype(np.float64)
        found.append(spikes)
    return np.stack(found, axis=1) > 0


def main() -> None:
    """Build, compare, time, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--samples", type=int, default=1000, help="samples of a call")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    python = baseline_python("spiking")
    spec = N_MNIST
    image = draw(spec, 0)
    digits = mnist_digits().images[:200]
    recordings = EventCamera(seed=1).record_all(digits)
    some = encode_all(recordings, ENCODINGS["centre_crop"], steps=spec.steps, step_us=6200)
    inputs = np.concatenate([some] * -(-options.samples // len(some)))[: options.samples]
    codes = image.codes[: spec.used_rows, : 2 * spec.neurons].astype(np.int64)
    weights = (codes[:, 0::2] - codes[:, 1::2]) / (1 << spec.adc_shift)

    golden = Liquid(spec, image)
    activity = golden.run(inputs)
    plain = Liquid(spec, image, "numpy").run(some[:10])
    if not np.array_equal(plain.spikes, activity.spikes[:10]):
        sys.exit("benchmarks.liquid_speed: the golden engines disagree")
    ideal = idealised(weights, inputs, spec)
    load = os.getloadavg()
    wall: dict[str, list[float]] = {"golden": [], **{name: [] for name in LIBRARIES}}
    processor: dict[str, list[float]] = {name: [] for name in wall}
    differing = {}
    with tempfile.TemporaryDirectory(prefix="liquidcal-bench-") as scratch:
        liquid = Path(scratch) / "liquid.npz"
        np.savez(
            liquid,
            input_weights=weights[: spec.inputs],
            recurrent_weights=weights[spec.inputs :],
            decay=float(spec.decay),
            threshold=float(spec.threshold),
            inputs=inputs.astype(np.uint8),
        )
        baselines = Baseline(python, "spiking_network.py", liquid)
        for name in LIBRARIES:
            file = Path(scratch) / f"{name}.npy"
            baselines.ask(f"{name} {file}")
            differing[name] = float((np.load(file) != ideal).mean())
            if differing[name] > 1e-3:
                sys.exit(f"benchmarks.liquid_speed: {name} differs from the idealised liquid in {differing[name]:.2%}")
        for _ in range(options.rounds):
            time.sleep(PAUSE_S)
            activity = golden.run(inputs)
            start, used = time.perf_counter(), time.process_time()
            activity = golden.run(inputs)
            wall["golden"].append(len(inputs) / (time.perf_counter() - start))
            processor["golden"].append(len(inputs) / (time.process_time() - used))
            for name in LIBRARIES:
                time.sleep(PAUSE_S)
                baselines.ask(name)
                answer = baselines.ask(name)
                wall[name].append(len(inputs) / answer["seconds"])
                processor[name].append(len(inputs) / answer["processor_seconds"])
        baselines.close()

    rows = Rows("python -m benchmarks.liquid_speed", version=LIQUIDCAL)
    add = rows.add

    add("liquid__throughput__engine:golden", round(statistics.median(wall["golden"])), "samples/s",
        "golden model, compiled, all cores: input spikes to spikes and counts, exact macro arithmetic")  # fmt: skip
    for name, title in LIBRARIES.items():
        version = f"{baselines.about[name]} (torch {baselines.about['torch']})"
        add(f"liquid__throughput__engine:{name}", round(statistics.median(wall[name])), "samples/s",
            f"{title}, float32, {baselines.about['threads'][name]} threads, "
            f"batches of {baselines.about['batch'][name]}: the idealised liquid, input spikes to spikes",
            title, version)  # fmt: skip
    for name, title in LIBRARIES.items():
        for clock, rates in (("wall", wall), ("processor", processor)):
            ratio = statistics.median(a / b for a, b in zip(rates["golden"], rates[name], strict=True))
            spent = "" if clock == "wall" else "; by processor time, which other jobs disturb less"
            add(f"liquid__speedup__clock:{clock}__engine:{name}", round(ratio, 1), "x", f"golden over {title}{spent}")
    for name, title in LIBRARIES.items():
        add(f"liquid__spikes_differing__engine:{name}", round(100 * differing[name], 4), "%",
            f"spikes of {title} that differ from the idealised liquid in double precision")  # fmt: skip
    add("liquid__spikes_differing__engine:golden", round(100 * float((activity.spikes != ideal).mean()), 2), "%",
        "spikes of the chip's arithmetic that differ from the idealised liquid")  # fmt: skip
    add("liquid__spike_rate", round(100 * float(activity.spikes.mean()), 1), "%", "neurons that spike in a step")
    add("liquid__active_rows", round(float(activity.row_activations.sum() / len(inputs) / spec.steps), 1), "rows",
        "active rows of a step, inputs and recurrent")  # fmt: skip
    rows.add_load("liquid__load_average", load[0], "start")
    write_metrics(options.out, rows)
    print(f"wrote {os.path.relpath(options.out)}")


if __name__ == "__main__":
    main()
