"""What a sweep can ask of a crossbar alone: how many digits the macro of a seed classifies."""

from __future__ import annotations

from typing import Any

import numpy as np

from flows.common.content_cache import cache_directory, code_hash, content_key, module_file, tool_versions
from flows.common.journal import Journal
from flows.steps.crossbar_demo import ENCODING, Part, synthesised_parts
from flows.steps.measure import Figure, Measure, Point
from sim.files import replacing
from sim.lsm_crossbar.learning.readout_training import accuracy, train
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["MEASURES", "RECORDINGS"]

RECORDINGS = (1000, 300, 500)
"""Recordings of the measure `accuracy`: to train on, to choose the penalty by, to test on."""


def _accuracy(point: Point) -> dict[str, float]:
    """Share of test recordings that the macro of the point's seed classifies, in %; reads of a recording.

    Exact macro arithmetic. A readout is trained on N-MNIST-like recordings, its penalty chosen on others, and scored on
    recordings of further digits; these are the same for all points, their error is that of 500 recordings. A threshold
    counts ADC codes: with another range of the ADC it has to follow.
    """
    spec = point.design.spec
    if spec.inputs < ENCODING.inputs or spec.outputs != 10:
        raise ValueError(
            f"accuracy is that on digits: expected at least {ENCODING.inputs} inputs and 10 outputs, "
            f"{spec.name} has {spec.inputs} inputs and {spec.outputs} outputs"
        )
    parts = _parts(spec)
    liquid = Liquid(spec, draw(spec, int(point.options["seed"])))
    (seen, labels), (chosen_by, chosen_labels) = ((liquid.counts(part.spikes), part.labels) for part in parts[:2])
    tested = liquid.run(parts[2].spikes)
    readout = train(spec, seen, labels, chosen_by, chosen_labels, methods=("ridge",)).readout
    return {
        "accuracy_percent": 100 * accuracy(readout, tested.counts, parts[2].labels),
        "reads_per_recording": float(tested.reads.mean()),
    }


def _parts(spec: CrossbarSpec) -> list[Part]:
    """Recordings, the same for every point of equal steps and inputs: made once and kept by content."""
    key = content_key(
        recordings=RECORDINGS, steps=spec.steps, inputs=spec.inputs,
        code=code_hash(module_file(synthesised_parts.__module__)), tools=tool_versions("numba", "numpy"),
    )  # fmt: skip
    kept = cache_directory() / "recordings" / f"{key}.npz"
    if not kept.is_file():
        made = synthesised_parts(Journal(), spec, RECORDINGS, 1)
        kept.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            f"spikes_{number}": np.packbits(part.spikes, axis=2) for number, part in enumerate(made)
        }
        arrays |= {f"labels_{number}": part.labels for number, part in enumerate(made)}
        with replacing(kept, "wb") as file:
            np.savez(file, **arrays)
    with np.load(kept) as data:
        return [
            Part(
                spikes=np.unpackbits(data[f"spikes_{k}"], axis=2, count=spec.inputs).view(np.bool_),
                labels=data[f"labels_{k}"],
            )
            for k in range(3)
        ]


MEASURES = {
    "accuracy": Measure(
        run=_accuracy,
        figures={
            "accuracy_percent": Figure(label="accuracy, %"),
            "reads_per_recording": Figure(label="reads per recording"),
        },
        reads=("seed",),
        tools=("numba", "numpy", "scipy"),
        mapped=False,
    ),
}
