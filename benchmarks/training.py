"""Processor time of a step of training on one thread: ``python -m benchmarks.training``.

Both presets on 5 eLinks, the whole network with 512 modules a step and a decoder alone with 256, by phase of the loss;
from the difference of two trainings of different length, so that tracing and validation drop out. Also the time to
simulate a module that is trained on. Writes ``benchmarks/results/training.json``.
"""

from __future__ import annotations

import os
import time

# before TensorFlow is imported
os.environ.update(TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1", OMP_NUM_THREADS="1")

from benchmarks.measured import RESULTS, Rows
from flows.common.metrics import package_version, write_metrics
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.training import TrainingPlan, train
from sim.hgcal_encoder.learning.training_images import Images, simulate_images
from sim.hgcal_encoder.spec import ECON_T, TNS_2021

COMMAND = "python -m benchmarks.training"
STEPS = (10, 40)
PHASES = {"cross_entropy": (1.0, 1.0), "multiscale": (0.0, 1.0), "exact": (0.0, 0.0)}
"""Loss by where its phases begin."""


def seconds(images: Images, model: TrainedModel, steps: int, *, frozen: bool, phases: tuple[float, float]) -> float:
    """Processor time of a training."""
    plan = TrainingPlan(
        spec=model.spec, elinks=model.elinks, steps=steps, seed=1, batch=256 if frozen else 512,
        freeze_encoder=frozen, phases=phases, validations=1,
    )  # fmt: skip
    begin = time.process_time()
    train(images, plan, start=model)
    return time.process_time() - begin


def main() -> None:
    """Measure and write."""
    rows = Rows(COMMAND, f"liquidcal (tensorflow {package_version('tensorflow')})")
    begin = time.process_time()
    images = simulate_images(seed=1, scale=0.01).images
    each = 1e6 * (time.process_time() - begin) / len(images)
    rows.add("simulation", round(each, 1), "us", "to simulate a module, all recipes")
    few, many = STEPS
    for spec in (ECON_T, TNS_2021):
        model = TrainedModel.load(f"{spec.name.lower()}_5elinks")
        for frozen, what in ((False, "network"), (True, "decoder_alone")):
            for name, phases in PHASES.items():
                first, second = (seconds(images, model, steps, frozen=frozen, phases=phases) for steps in STEPS)
                step = 1000 * (second - first) / (many - few)
                method = f"a step with the {name.replace('_', '-')} loss, one thread"
                rows.add(f"{name}__case:{spec.name}_{what}", round(step, 1), "ms", method)
    write_metrics(RESULTS / "training.json", rows)


if __name__ == "__main__":
    main()
