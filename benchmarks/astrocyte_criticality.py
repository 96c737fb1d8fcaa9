"""The edge of chaos, seen: NALSM_1000 along its initialisation: ``python -m benchmarks.astrocyte_criticality``.

Branching factor as published, spectral radius, growth of the smallest disturbance, rate, separation and memory of the
frozen liquid, before, on the way, and after; in floating point. Writes
``benchmarks/results/astrocyte_criticality.json`` and ``docs/images/astrocyte_criticality.svg``.
"""

from __future__ import annotations

import argparse

import matplotlib as mpl

from benchmarks.astrocyte_liquid import digits_task
from benchmarks.measured import LIQUIDCAL, REPOSITORY, RESULTS, Rows
from flows.common.metrics import write_metrics
from sim.astrocyte_liquid.learning.criticality import Criticality, criticality
from sim.astrocyte_liquid.learning.protocol import initialise
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import load_spec

QUANTITIES = (
    ("branching_factor", "branching factor", 3),
    ("radius", "spectral radius of the recurrent weights, in thresholds", 3),
    ("growth", "growth in 10 ms of the effect of one event that is missing", 3),
    ("rate", "spikes of a neuron per step", 4),
    ("separation", "separation of the classes (Norton and Ventura)", 3),
    ("memory", "memory of a random signal (capacity after Jaeger)", 3),
)
UNITS = {"memory": "ms"}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("spec", nargs="?", default="NALSM_1000", help="preset or TOML file")
    parser.add_argument("--snapshots", type=int, nargs="+", default=[0, 100, 300, 1_000, 3_000, 10_000, 50_000])
    parser.add_argument("--samples", type=int, default=20, help="images that the figures are means of")
    options = parser.parse_args()
    spec = load_spec(options.spec)
    task = digits_task(spec, None, (2_000, 400, 1_000))
    liquid = Liquid(draw(spec, 0), Arithmetic.PUBLISHED)
    shown = task.validation[: options.samples]
    events = task.stimuli.samples(shown, spec.steps, 0)
    rows = Rows(f"python -m benchmarks.astrocyte_criticality {spec.name}", "liquidcal", LIQUIDCAL)

    def measured(case: str, about: str) -> Criticality:
        found = criticality(liquid, events, task.labels[shown])
        for key, name, digits in QUANTITIES:
            value = round(getattr(found, key), digits)
            rows.add(f"{key}__case:{case}", value, UNITS.get(key, ""),
                     f"{name}; frozen after {about}, mean of {len(shown)} images, draw 0")  # fmt: skip
        return found

    course: list[Criticality] = []
    done = 0
    for snapshots in options.snapshots:
        # a seed of its own for each stretch: what is left of one never repeats in the next
        initialise(liquid, task.learned, snapshots - done, snapshots)
        done = snapshots
        course.append(measured(str(snapshots), f"{snapshots:,} snapshots"))
    liquid.weights[liquid.network.source >= spec.first_neuron] = 0
    measured("no_recurrence", f"{done:,} snapshots, then without recurrent synapses")
    write_metrics(RESULTS / "astrocyte_criticality.json", rows)
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, len(QUANTITIES) // 2, figsize=(11, 5), layout="constrained")
    for axis, (key, name, _) in zip(axes.flat, QUANTITIES, strict=True):
        axis.plot(options.snapshots, [getattr(found, key) for found in course], "o-", color="#b3541e", markersize=3)
        axis.set_xscale("symlog", linthresh=100)
        if key == "growth":
            axis.axhline(1, color="gray", linewidth=0.8, linestyle="--")
        axis.set_title(name.partition(" of ")[0], fontsize=9)
        axis.set_xlabel("snapshots", fontsize=8)
        axis.tick_params(labelsize=7)
    figure.savefig(REPOSITORY / "docs" / "images" / "astrocyte_criticality.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
