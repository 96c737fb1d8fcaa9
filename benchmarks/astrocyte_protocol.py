"""What the published protocol of 1,000 and 8,000 neurons takes: ``python -m benchmarks.astrocyte_protocol``.

Rates alone: tuning is timed on snapshots of a liquid that others have tuned before, samples and the
readout on some digits, each in processor time of one core; the protocol has 50,000 snapshots, one after
another, and 70,000 plastic samples that share the cores. Writes ``benchmarks/results/astrocyte_protocol.json``.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows
from flows.common.metrics import write_metrics
from sim.astrocyte_liquid.learning.images import image_events, probabilities
from sim.astrocyte_liquid.learning.protocol import initialise
from sim.astrocyte_liquid.learning.readout_training import train_readout
from sim.astrocyte_liquid.learning.stimuli import Images
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import NALSM_1000, NALSM_8000
from sim.digits import mnist_digits

SNAPSHOTS, SAMPLES = 50_000, 70_000
"""Of the published protocol."""
WARM, TIMED, DIGITS = 1_000, 300, 80
"""Snapshots before the clock starts, snapshots and digits that are timed."""
PASSES = 20
CORES = 2


def seconds(work: Callable[[], object]) -> float:
    """Processor time of some work."""
    before = time.process_time()
    work()
    return time.process_time() - before


def main() -> None:
    """Time both arithmetics, add up, write."""
    digits = mnist_digits()
    probability, _ = probabilities(digits.images[:2_000], NALSM_1000)
    images = Images(probability)
    events = image_events(probability[:DIGITS], NALSM_1000.steps, np.arange(DIGITS))
    rows = Rows("python -m benchmarks.astrocyte_protocol", "liquidcal", LIQUIDCAL)
    for spec, arithmetic in itertools.product((NALSM_1000, NALSM_8000), Arithmetic):
        liquid = Liquid(draw(spec, 0), arithmetic)
        initialise(liquid, images, WARM, seed=0)
        liquid.run(events[:2])
        snapshot = 1e3 * seconds(lambda liquid=liquid: initialise(liquid, images, TIMED, seed=1)) / TIMED  # type: ignore[misc]
        sample = 1e3 * seconds(lambda liquid=liquid: liquid.run(events)) / DIGITS  # type: ignore[misc]
        whole = (SNAPSHOTS * snapshot + SAMPLES * sample / CORES) / 60e3
        name = f"{spec.neurons}_{'chip' if arithmetic is Arithmetic.CHIP else 'float'}"
        key = f"case:{name}"
        rows.add(f"time__snapshot__{key}", round(snapshot, 2), "ms", f"processor time of a snapshot, {name}")
        rows.add(f"time__sample__{key}", round(sample, 2), "ms", f"processor time of a plastic sample, {name}")
        rows.add(f"time__protocol__{key}", round(whole, 1), "min",
                 f"{SNAPSHOTS:,} snapshots on one core and {SAMPLES:,} samples on {CORES}, extrapolated, {name}; "
                 "readout not counted")  # fmt: skip
        if (spec, arithmetic) == (NALSM_1000, Arithmetic.PUBLISHED):
            counts = liquid.run(events).counts
            labels = digits.labels[:DIGITS].astype(np.int64)

            def learn(counts: np.ndarray = counts, labels: np.ndarray = labels) -> object:
                return train_readout(counts, labels, counts, labels, NALSM_1000.outputs, passes=PASSES,
                                     patience=PASSES)  # fmt: skip

            learn()
            each = 1e6 * seconds(learn) / (PASSES * 2 * DIGITS)
            rows.add("time__readout_pass", round(each * 60_000 * 1e-6, 2), "s",
                     "a pass over 60,000 counts of 1,000 neurons, validation among them, extrapolated")  # fmt: skip
    write_metrics(RESULTS / "astrocyte_protocol.json", rows)


if __name__ == "__main__":
    main()
