"""Readout of signs that learns task after task, beside the 8-bit readout: ``python -m benchmarks.lsm_continual``.

Liquid of N_MNIST, one macro, five draws; 3,000 N-MNIST-like recordings to learn from, the shared 1,000 real recordings
of N-MNIST as the test, looked at once. Options of the fields (`sim.lsm_crossbar.learning.continual.FieldOptions`) were
chosen on 1,000 N-MNIST-like recordings of further digits and the first draw. All figures are of hard weights in the
chip's integers.

- *ten classes*: all recordings at once, 1-bit weights trained as fields, and 8-bit weights by ridge regression.
- *split*: five tasks, digits 0 and 1, then 2 and 3, and so on, that share two outputs; accuracy is the mean over all
  five after the last. Without memory the prior has no weight; *together* learns all five at once, a bound.

``accuracy`` writes ``benchmarks/results/lsm_continual.json``, the curve of forgetting ``lsm_forgetting.json`` and its
plot; ``area`` synthesises the readout with both widths onto NanGate 45 and writes ``lsm_readout_area.json``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.lsm_association import images
from benchmarks.lsm_data import IMAGES, RESULTS, kept
from benchmarks.measured import record
from benchmarks.style import figure, save
from flows.common.metrics import Metric, write_metrics
from flows.estimates.crossbar_energy import memory_read_pj
from flows.library.catalogue import cell_library
from flows.synthesis.recipe import AREA
from flows.synthesis.synthesise import synthesise
from hw.common.export import to_rtlil
from hw.common.readout import Readout
from sim.lsm_crossbar.learning.continual import ContinualReadout, FieldOptions, Task, forgetting, task_of
from sim.lsm_crossbar.learning.readout_training import accuracy, train
from sim.lsm_crossbar.spec import N_MNIST, N_MNIST_4_MACROS, CrossbarSpec

COMMAND = "python -m benchmarks.lsm_continual"
DRAWS = range(5)
TASKS = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9))
SIGNS = replace(N_MNIST, readout_weight_bits=1)
SPLIT = replace(SIGNS, outputs=2)
OPTIONS = FieldOptions()
OPTIONS_FOUR = FieldOptions()
"""Of a chip with four macros."""
TOGETHER = replace(OPTIONS, updates=1000)
"""All recordings at once: five times the updates of a task."""


def ten_classes(seed: int) -> dict[str, float]:
    """Accuracy in % with both widths of weights."""
    parts = images(N_MNIST, seed)
    learner = ContinualReadout(SIGNS, TOGETHER)
    learner.learn(Task(counts=parts["train"][0], labels=parts["train"][1]))
    wide = train(N_MNIST, *parts["train"], *parts["validation"], methods=("ridge",), refit=False)
    return {
        "signs": 100 * accuracy(learner.readout(), *parts["real"]),
        "8_bit": 100 * accuracy(wide.readout, *parts["real"]),
    }


def split(seed: int, options: FieldOptions, chip: CrossbarSpec = N_MNIST) -> dict[str, float]:
    """Accuracy in % on every task after every task, as ``after_i_task_j``; numbers from 1."""
    parts = images(chip, seed)
    learner, readouts = ContinualReadout(replace(chip, readout_weight_bits=1, outputs=2), options), []
    for classes in TASKS:
        learner.learn(task_of(*parts["train"], classes))
        readouts.append(learner.readout())
    curve = 100 * forgetting(readouts, [task_of(*parts["real"], classes) for classes in TASKS])
    return {f"after_{i + 1}_task_{j + 1}": float(curve[i, j]) for i, j in np.ndindex(curve.shape)}


def together(seed: int) -> dict[str, float]:
    """Mean accuracy in % over the tasks of a readout of signs that learnt all of them at once."""
    parts = images(N_MNIST, seed)
    tasks = [task_of(*parts["train"], classes) for classes in TASKS]
    learner = ContinualReadout(SPLIT, TOGETHER)
    learner.learn(Task(counts=np.concatenate([t.counts for t in tasks]),
                       labels=np.concatenate([t.labels for t in tasks])))  # fmt: skip
    found = forgetting([learner.readout()], [task_of(*parts["real"], classes) for classes in TASKS])
    return {"mean": 100 * float(found.mean())}


def curves(name: str, options: FieldOptions) -> NDArray[np.float64]:
    """Curves of all draws, shape (draws, tasks, tasks)."""
    size = len(TASKS)
    found = []
    for seed in DRAWS:
        kept_words = f"continual {name} {SPLIT.to_toml()} {seed} {options} {TASKS} 1"
        one = kept(kept_words, lambda s=seed: split(s, options))  # type: ignore[misc]
        found.append([[one[f"after_{i + 1}_task_{j + 1}"] for j in range(size)] for i in range(size)])
    return np.array(found)


def of_four(seed: int) -> float:
    """Mean accuracy in % over the tasks after the last one, of a chip with four macros."""
    chip, size = N_MNIST_4_MACROS, len(TASKS)
    words = f"continual memory {chip.to_toml()} {seed} {OPTIONS_FOUR} {TASKS} 1"
    found = kept(words, lambda: split(seed, OPTIONS_FOUR, chip))
    return float(np.mean([found[f"after_{size}_task_{task + 1}"] for task in range(size)]))


def spread(quantity: str, case: str, values: Sequence[float], method: str) -> list[Metric]:
    """Mean and standard deviation over the draws."""
    return [
        record(f"{quantity}__{name}__case:{case}", round(float(value), 1), "%", f"{name} of {len(values)}: {method}",
               command=f"{COMMAND} accuracy")
        for name, value in (("mean", np.mean(values)), ("std", np.std(values, ddof=1)))
    ]  # fmt: skip


def write_accuracy() -> None:
    """All accuracies, the curve of forgetting and its plot."""
    both = [kept(f"continual ten {SIGNS.to_toml()} {s} {TOGETHER} 1", lambda s=s: ten_classes(s)) for s in DRAWS]  # type: ignore[misc]
    metrics: list[Metric] = []
    for key, case in (("signs", "weights_of_1_bit"), ("8_bit", "weights_of_8_bit")):
        metrics += spread("accuracy", case, [one[key] for one in both], "ten digits, 1,000 real recordings")
    memory, none = curves("memory", OPTIONS), curves("none", replace(OPTIONS, prior_weight=0.0))
    bound = [kept(f"continual all {SPLIT.to_toml()} {s} {TOGETHER} 1", lambda s=s: together(s))["mean"] for s in DRAWS]  # type: ignore[misc]
    method = "mean over five tasks of two digits that share two outputs, 1-bit weights"
    for values, case in (
        (memory[:, -1].mean(axis=1), "split_with_the_last_task_as_prior"),
        (none[:, -1].mean(axis=1), "split_without_memory"),
        (np.array([of_four(seed) for seed in DRAWS]), "split_with_the_last_task_as_prior_four_macros"),
        (np.array(bound), "all_five_tasks_together"),
    ):
        metrics += spread("accuracy", case, values.tolist(), method)
    write_metrics(RESULTS / "lsm_continual.json", metrics)
    curve: list[Metric] = []
    for case, found in (("with_prior", memory), ("without_memory", none)):
        for after in range(len(TASKS)):
            for task, digits in enumerate(TASKS[: after + 1]):
                curve.append(record(
                    f"accuracy__digits_{digits[0]}_and_{digits[1]}__case:{case}_after_task_{after + 1}",
                    round(float(found[:, after, task].mean()), 1), "%",
                    f"mean of {len(DRAWS)} draws, 1-bit weights, two outputs shared by five tasks",
                    command=f"{COMMAND} accuracy",
                ))  # fmt: skip
    write_metrics(RESULTS / "lsm_forgetting.json", curve)
    _plot(curve)
    print({"memory": memory[:, -1].mean(axis=1).round(1), "none": none[:, -1].mean(axis=1).round(1), "ten": both})


def _plot(curve: Sequence[Metric]) -> None:
    """The curve of forgetting, each task from when it is learnt on."""
    mean = {metric.name: float(metric.value) for metric in curve}
    sheet, panels = figure(1, 2, width=7.5, height=3.4)
    after = range(1, len(TASKS) + 1)
    titles = (("with_prior", "last task as prior"), ("without_memory", "no memory"))
    for panel, (case, title) in zip(panels[0], titles, strict=True):
        lines = [
            [mean[f"accuracy__digits_{a}_and_{b}__case:{case}_after_task_{n}"] for n in after[task:]]
            for task, (a, b) in enumerate(TASKS)
        ]
        for task, (a, b) in enumerate(TASKS):
            panel.plot(after[task:], lines[task], "o-", ms=3, label=f"{a} and {b}")
        seen = [np.mean([line[n - 1 - task] for task, line in enumerate(lines[:n])]) for n in after]
        panel.plot(after, seen, "k--", label="mean of those learnt")
        panel.set(title=title, xlabel="tasks learnt", xticks=after, ylim=(0, 102))
    panels[0, 0].set_ylabel("accuracy on the task, %")
    panels[0, 0].legend(loc="lower left", ncols=2)
    save(sheet, IMAGES / "forgetting.svg")


def write_area() -> None:
    """Area of the readout stage, and bits and energy of its weight memory, by width of the weights."""
    library = cell_library("nangate45")
    metrics: list[Metric] = []
    for case, spec in (("8_bit", N_MNIST), ("1_bit", SIGNS)):
        with tempfile.TemporaryDirectory() as folder:
            result = synthesise(
                to_rtlil(Readout(spec=spec), "readout"), top="readout", library=library, out_dir=Path(folder, "out"),
                recipe=AREA,
            )  # fmt: skip
        bits = spec.features * spec.outputs * spec.readout_weight_bits
        for name, value, unit, method in (
            ("design__instance__area", round(result.area_um2, 1), "um2", "readout stage: ten lanes and their control"),
            ("memory__bits", bits, "bit", "readout weights of N_MNIST"),
            ("memory__energy", round(memory_read_pj(spec).nominal * spec.features * 1e-3, 2), "nJ",
             "reads of all weights, once per sample, by bit of a word; Horowitz 2014, at 40 nm"),
        ):  # fmt: skip
            metrics.append(record(
                f"{name}__case:{case}", value, unit, method, command=f"{COMMAND} area", library=library,
            ))  # fmt: skip
    write_metrics(RESULTS / "lsm_readout_area.json", metrics)
    print([(metric.name, metric.value) for metric in metrics])


def main() -> None:
    """Run the named parts, all without names."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    jobs = {"accuracy": write_accuracy, "area": write_area}
    parser.add_argument("parts", nargs="*", choices=[[], *jobs], metavar="PART", help=", ".join(jobs))
    for name in parser.parse_args().parts or jobs:
        jobs[name]()


if __name__ == "__main__":
    main()
