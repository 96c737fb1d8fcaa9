"""Processor time of a step of training on one thread: ``python -m benchmarks.training``.

Both presets on 5 eLinks, the whole network with 512 modules a step and a decoder alone with 256, with the multiscale
and with the exact distance: median over the steps behind the first ones. Writes
``benchmarks/results/training.json``.
"""

from __future__ import annotations

import os
import time

# before TensorFlow is imported
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np

from benchmarks.measured import RESULTS, Rows
from flows.common.metrics import package_version, write_metrics
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.training import TrainingPlan, train
from sim.hgcal_encoder.learning.training_images import Images, simulate_images
from sim.hgcal_encoder.spec import ECON_T, TNS_2021

COMMAND = "python -m benchmarks.training"
STEPS, FIRST = 25, 5
"""Steps of a training, and how many of them are not counted."""
PHASES = {"multiscale": (0.0, 1.0), "exact": (0.0, 0.0)}
"""Loss by where its phases begin."""


def step_ms(images: Images, model: TrainedModel, *, frozen: bool, phases: tuple[float, float]) -> float:
    """Median processor time of a step."""
    plan = TrainingPlan(
        spec=model.spec, elinks=model.elinks, steps=STEPS, seed=1, batch=256 if frozen else 512,
        freeze_encoder=frozen, phases=phases, validations=1,
    )  # fmt: skip
    times: list[float] = []
    train(images, plan, start=model, advance=lambda _: times.append(time.process_time()))
    # the last step is followed by the validation
    return 1000 * float(np.median(np.diff(times[FIRST:-1])))


def main() -> None:
    """Measure and write."""
    rows = Rows(COMMAND, f"liquidcal (tensorflow {package_version('tensorflow')})")
    images = simulate_images(seed=1, scale=0.01).images
    for spec in (ECON_T, TNS_2021):
        model = TrainedModel.load(f"{spec.name.lower()}_5elinks")
        for frozen, what in ((False, "network"), (True, "decoder_alone")):
            for name, phases in PHASES.items():
                step = step_ms(images, model, frozen=frozen, phases=phases)
                method = f"processor time of a step with the {name} distance, one thread"
                rows.add(f"{name}__case:{spec.name}_{what}", round(step, 1), "ms", method)
    write_metrics(RESULTS / "training.json", rows)


if __name__ == "__main__":
    main()
