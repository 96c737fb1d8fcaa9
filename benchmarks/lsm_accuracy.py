"""Accuracy of the crossbar's liquid on N-MNIST: ``python -m benchmarks.lsm_accuracy [PART ...]``.

Everything is exact macro arithmetic: integer conductance codes, ADCs, neurons, counts and quantised readout weights.
Method and penalty of the readout are chosen on validation; each test set is scored once per draw, with the chosen
readout.

``encodings`` chooses encoding and threshold on validation alone and writes ``benchmarks/results/lsm_encodings.json``,
``protocols`` writes ``lsm_accuracy.json``, ``scaling`` ``lsm_scaling.json`` and its plot, ``macros``
``lsm_macros.json``, ``health``
``lsm_health.json``, ``ship`` the model that ships and its card. Spike counts and scores are kept in ``build/lsm``, so
an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve

from benchmarks.lsm_data import (
    IMAGES,
    RESULTS,
    STEP_US,
    Counts,
    Part,
    counts,
    folds,
    kept,
    real,
    shifted,
    synthesised,
)
from benchmarks.measured import record
from benchmarks.style import figure, save
from flows.common.metrics import Metric, write_metrics
from sim.files import replacing
from sim.lsm_crossbar.learning.health import Health, liquid_health
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.learning.readout_training import (
    LinearReadout,
    TrainedReadout,
    accuracy,
    confusion_matrix,
    quantise,
    train,
)
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.events import ENCODINGS, Encoding, encode_all
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec

DRAWS = range(5)
ENCODING = ENCODINGS["pooled_3x3_split"]
PAPER = replace(N_MNIST, windows=1)
"""The paper's configuration: one window, and the central crop of one polarity (``centre_crop``)."""
PUBLISHED = 89.66
"""Accuracy of the resistive-memory liquid of arXiv 2307.00771 on N-MNIST, %, 200 neurons, a trained readout."""
WEIGHTS = Path(__file__).resolve().parent.parent / "sim" / "lsm_crossbar" / "data" / "weights"


class Parts:
    """Recordings by role. No digit is in two of the synthesised roles, and none of them in a real recording."""

    def __init__(self) -> None:
        self.train = synthesised("train", slice(0, 7000), seed=1)
        self.validation = synthesised("validation", slice(7000, 8000), seed=2)
        self.test = synthesised("test", slice(8000, 9000), seed=3)
        self.real = real()
        self.key = " ".join(part.name for part in (self.train, self.validation, self.test, self.real))


def seen_by(part: Part, encoding: Encoding, spec: CrossbarSpec, seed: int) -> tuple[Counts, Counts]:
    """Counts and labels of a part."""
    return counts(part, encoding, spec, seed), part.labels


def from_synthesised(
    parts: Parts, encoding: Encoding, spec: CrossbarSpec, seed: int, methods: Sequence[str] = ("ridge",)
) -> TrainedReadout:
    """A readout trained and validated on synthesised recordings."""
    return train(
        spec,
        *seen_by(parts.train, encoding, spec, seed),
        *seen_by(parts.validation, encoding, spec, seed),
        methods=methods,
    )


SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""Where real recordings are moved to when a readout is trained on them: five samples out of each."""


def protocols(parts: Parts, encoding: Encoding, spec: CrossbarSpec, seed: int) -> dict[str, float]:
    """Accuracy in % of one draw by protocol."""
    chosen = from_synthesised(parts, encoding, spec, seed)
    seen, labels = seen_by(parts.real, encoding, spec, seed)
    result = {"synthesised_to_real": 100 * accuracy(chosen.readout, seen, labels)}
    copies = np.stack([counts(shifted(parts.real, *shift), encoding, spec, seed) for shift in SHIFTS], axis=1)

    def trained(learn: NDArray[np.int64], check: NDArray[np.int64]) -> TrainedReadout:
        """On real recordings and their shifted copies, validated on others as they are."""
        return train(
            spec,
            copies[learn].reshape(-1, *copies.shape[2:]),
            np.repeat(labels[learn], len(SHIFTS)),
            seen[check],
            labels[check],
            methods=("ridge",),
            ridge_penalties=(1e-2, 1e-1, 1.0),
        )

    chosen = trained(*next(folds(len(labels), 5)))
    made, classes = seen_by(parts.test, encoding, spec, seed)
    result["real_to_synthesised"] = 100 * accuracy(chosen.readout, made, classes)
    right = 0
    for outer, test in folds(len(labels), 10):
        inner, check = next((outer[a], outer[b]) for a, b in folds(len(outer), 5))
        right += int((trained(inner, check).readout.classify(seen[test]) == labels[test]).sum())
    result["real_to_real"] = 100 * right / len(labels)
    return result


def metric(name: str, case: str, value: float, method: str, words: str) -> Metric:
    """One figure of this benchmark."""
    command = f"python -m benchmarks.lsm_accuracy {words}"
    return record(f"{name}__case:{case}", round(value, 2), "%", method, command=command)


def spread(case: str, values: Sequence[float], method: str, words: str) -> Iterator[Metric]:
    """Mean, standard deviation and best of several draws."""
    yield metric("accuracy__mean", case, float(np.mean(values)), f"mean of {len(values)} draws: {method}", words)
    yield metric("accuracy__std", case, float(np.std(values, ddof=1)), f"standard deviation: {method}", words)
    yield metric("accuracy__lowest", case, float(np.min(values)), f"lowest of the draws: {method}", words)


THRESHOLDS = (28, 40, 56)


def write_encodings() -> None:
    """Accuracy on validation by encoding, each at its best threshold; no test set, no real recording is read."""
    training = synthesised("train", slice(0, 2000), seed=1)
    training = Part(name=f"{training.name}-1500", events=training.events[:1500], labels=training.labels[:1500])
    validation = synthesised("validation", slice(7000, 8000), seed=2)
    metrics: list[Metric] = []
    for name, encoding in ENCODINGS.items():
        found: dict[int, list[float]] = {}
        for threshold in THRESHOLDS:
            spec = replace(N_MNIST, threshold=threshold)
            found[threshold] = []
            for seed in DRAWS:

                def one(spec: CrossbarSpec = spec, seed: int = seed, encoding: Encoding = encoding) -> dict[str, float]:
                    chosen = train(
                        spec,
                        *seen_by(training, encoding, spec, seed),
                        *seen_by(validation, encoding, spec, seed),
                        methods=("ridge",),
                        ridge_penalties=(1e-2, 3e-2, 1e-1),
                        refit=False,
                    )
                    return {"validation": 100 * chosen.chosen.validation_accuracy}

                words = f"encodings {training.name} {validation.name} {encoding} {spec.to_toml()} {seed}"
                found[threshold].append(kept(words, one)["validation"])
        best = max(THRESHOLDS, key=lambda t: float(np.mean(found[t])))
        print(name, {t: np.round(v, 1).tolist() for t, v in found.items()}, flush=True)
        method = f"on validation, {encoding.inputs} inputs, threshold {best} of {', '.join(map(str, THRESHOLDS))}"
        metrics += spread(name, found[best], method, "encodings")
        metrics.append(replace(metric("threshold", name, best, method, "encodings"), unit="", value=best))
    write_metrics(RESULTS / "lsm_encodings.json", metrics)


def write_protocols() -> None:
    """All protocols with the chip's configuration and with the paper's."""
    parts, metrics = Parts(), []
    for name, encoding, spec in (("chip", ENCODING, N_MNIST), ("paper_input", ENCODINGS["centre_crop"], PAPER)):
        draws = []
        for seed in DRAWS:
            words = f"protocols {parts.key} {encoding} {spec.to_toml()} {seed}"
            draws.append(kept(words, lambda e=encoding, s=spec, d=seed: protocols(parts, e, s, d)))
            print(name, seed, draws[-1], flush=True)
        for protocol in draws[0]:
            method = f"{protocol.replace('_', ' ')}, {encoding.name}, {spec.windows} windows, {spec.neurons} neurons"
            metrics += spread(f"{name}_{protocol}", [draw[protocol] for draw in draws], method, "protocols")
    write_metrics(RESULTS / "lsm_accuracy.json", metrics)


def write_scaling() -> None:
    """Accuracy on real recordings by number of neurons, and by number of macros side by side."""
    parts = Parts()
    sizes: dict[int, list[float]] = {}
    for neurons in (50, 100, 200, 256):
        spec = replace(N_MNIST, neurons=neurons)
        sizes[neurons] = []
        for seed in DRAWS:

            def one(spec: CrossbarSpec = spec, seed: int = seed) -> dict[str, float]:
                chosen = from_synthesised(parts, ENCODING, spec, seed)
                return {"real": 100 * accuracy(chosen.readout, *seen_by(parts.real, ENCODING, spec, seed))}

            sizes[neurons].append(kept(f"scaling {parts.key} {ENCODING} {spec.to_toml()} {seed}", one)["real"])
        print(neurons, np.round(sizes[neurons], 2), flush=True)
    macros = {1: sizes[200]}
    for number in (2, 3):
        wide = replace(N_MNIST, neurons=200 * number, rows=4096, columns=4096)
        macros[number] = []
        for first in list(DRAWS)[: 5 if number == 2 else 3]:
            seeds = [(first + i) % len(DRAWS) for i in range(number)]

            def beside(part: Part, seeds: Sequence[int] = tuple(seeds)) -> Counts:
                return np.concatenate([counts(part, ENCODING, N_MNIST, seed) for seed in seeds], axis=2)

            def several(spec: CrossbarSpec = wide, beside: Callable[[Part], Counts] = beside) -> dict[str, float]:
                chosen = train(
                    spec,
                    beside(parts.train),
                    parts.train.labels,
                    beside(parts.validation),
                    parts.validation.labels,
                    methods=("ridge",),
                    ridge_penalties=(3e-2,),
                    refit=False,
                )
                return {"real": 100 * accuracy(chosen.readout, beside(parts.real), parts.real.labels)}

            words = f"scaling {parts.key} {ENCODING} {N_MNIST.to_toml()} {seeds}"
            macros[number].append(kept(words, several)["real"])
        print(number, "macros", np.round(macros[number], 2), flush=True)
    metrics: list[Metric] = []
    for neurons, values in sizes.items():
        metrics += spread(f"neurons_{neurons}", values, f"one macro, {neurons} neurons", "scaling")
    for number in (2, 3):
        metrics += spread(f"macros_{number}", macros[number], f"{number} macros of 200 neurons side by side", "scaling")
    write_metrics(RESULTS / "lsm_scaling.json", metrics)
    sheet, panels = figure(1, 1, width=5.2, height=3.2)
    panel = panels[0, 0]
    for xs, table, label in (
        (list(sizes), sizes, "one macro"),
        ([200 * n for n in macros], macros, "1, 2, 3 macros of 200 neurons"),
    ):
        values = list(table.values())
        panel.errorbar(
            xs,
            [np.mean(v) for v in values],
            [np.std(v, ddof=1) for v in values],
            marker="o",
            ms=4,
            capsize=2,
            label=label,
        )
    panel.axhline(PUBLISHED, color="#888", lw=1, ls="--")
    panel.text(50, PUBLISHED + 0.25, "published RRAM liquid, 200 neurons: 89.66 %", fontsize=8, color="#555")
    panel.set(
        xscale="log",
        xlabel="liquid neurons",
        ylabel="accuracy on real recordings, %",
        xticks=[50, 100, 200, 400, 600],
    )
    panel.set_xticklabels(["50", "100", "200", "400", "600"])
    panel.minorticks_off()
    panel.legend(loc="lower right", frameon=False)
    save(sheet, IMAGES / "lsm_scaling.svg")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """What ridge regression needs of samples: sums over them, so that samples are added and taken away.

    In single precision, and exact: counts are small integers, and no sum of their products reaches 2**24.
    """

    number: int
    features: NDArray[np.float32]
    targets: NDArray[np.float32]
    moment: NDArray[np.float32]
    towards: NDArray[np.float32]

    @classmethod
    def of(cls, seen: Counts, labels: NDArray[np.int64]) -> _Sums:
        flat = seen.reshape(len(seen), -1).astype(np.float32)
        if len(flat) * float(flat.max()) ** 2 >= 2**24:
            raise ValueError(f"sums of {len(flat)} samples are not exact in single precision")
        wanted = np.where(labels[:, None] == np.arange(10), 1, -1).astype(np.float32)
        return cls(
            number=len(flat), features=flat.sum(axis=0), targets=wanted.sum(axis=0), moment=flat.T @ flat,
            towards=wanted.T @ flat,
        )  # fmt: skip

    def plus(self, other: _Sums, sign: int = 1) -> _Sums:
        """With the samples of others, or without them."""
        joined = {f.name: getattr(self, f.name) + sign * getattr(other, f.name) for f in fields(self)}
        return _Sums(**joined)

    def readout(self, spec: CrossbarSpec, penalty: float) -> Readout:
        """As `sim.lsm_crossbar.learning.readout_training.ridge`, in the chip's integers."""
        mean, target = self.features / self.number, self.targets / self.number
        covariance = self.moment / self.number - np.outer(mean, mean)
        scale = np.trace(covariance) / len(covariance)
        covariance[np.diag_indices_from(covariance)] += np.float32(penalty) * scale
        towards = self.towards / self.number - np.outer(target, mean)
        weights = solve(covariance, towards.T, assume_a="pos", overwrite_a=True).T.astype(np.float64)
        return quantise(LinearReadout(weights=weights, bias=target - weights @ mean), spec)


MACROS = (1, 2, 4)
MACRO_DRAWS = DRAWS
MACRO_PENALTIES = (1e-2, 3e-2, 1e-1)


def side_by_side(parts: Parts, spec: CrossbarSpec, seed: int) -> dict[str, float]:
    """Accuracy in % on real recordings of one chip with several macros.

    *synthesised*: the readout learns from 7,000 synthesised recordings; the penalty is chosen on 1,000 others. *both*:
    with this penalty also from real ones, each moved by a pixel in four directions; ten folds.
    """
    made = _Sums.of(*seen_by(parts.train, ENCODING, spec, seed))
    checked = seen_by(parts.validation, ENCODING, spec, seed)
    readouts = {penalty: made.readout(spec, penalty) for penalty in MACRO_PENALTIES}
    penalty = max(MACRO_PENALTIES, key=lambda p: accuracy(readouts[p], *checked))
    seen, labels = seen_by(parts.real, ENCODING, spec, seed)
    result = {"synthesised": 100 * accuracy(readouts[penalty], seen, labels)}
    copies = np.stack([counts(shifted(parts.real, *shift), ENCODING, spec, seed) for shift in SHIFTS], axis=1)
    tests = [test for _, test in folds(len(labels), 10)]
    own = [_Sums.of(copies[t].reshape(-1, *copies.shape[2:]), np.repeat(labels[t], len(SHIFTS))) for t in tests]
    everything = made
    for part in own:
        everything = everything.plus(part)
    right = 0
    for part, test in zip(own, tests, strict=True):
        readout = everything.plus(part, -1).readout(spec, penalty)
        right += int((readout.classify(seen[test]) == labels[test]).sum())
    return result | {"both": 100 * right / len(labels)}


def write_macros() -> None:
    """Accuracy on real recordings by macros side by side, one spec and one readout each."""
    parts, metrics = Parts(), []
    for number in MACROS:
        spec = N_MNIST if number == 1 else replace(N_MNIST, name=f"N_MNIST_{number}_MACROS", macros=number)
        draws = []
        for seed in MACRO_DRAWS:
            words = f"macros {parts.key} {ENCODING} {spec.to_toml()} {seed} {MACRO_PENALTIES}"
            draws.append(kept(words, lambda s=spec, d=seed: side_by_side(parts, s, d)))  # type: ignore[misc]
            print(number, seed, draws[-1], flush=True)
        for learnt, method in (
            ("synthesised", "readout learnt from 7,000 synthesised recordings"),
            ("both", "readout learnt from them and nine tenths of the real ones, ten folds"),
        ):
            case = f"macros_{number}_{learnt}"
            metrics += spread(case, [draw[learnt] for draw in draws], f"{number} x 200 neurons, {method}", "macros")
        write_metrics(RESULTS / "lsm_macros.json", metrics)


def write_health() -> None:
    """Health of the quantised liquid of both configurations, five draws, on 300 synthesised recordings."""
    part = Parts().validation
    metrics = []
    for name, encoding, spec in (("chip", ENCODING, N_MNIST), ("paper_input", ENCODINGS["centre_crop"], PAPER)):
        spikes = encode_all(part.events[:300], encoding, steps=spec.steps, step_us=STEP_US, inputs=spec.inputs)
        found = [liquid_health(Liquid(spec, draw(spec, seed)), spikes, part.labels[:300]) for seed in DRAWS]
        for field in fields(Health):
            values = [np.nan if (v := getattr(health, field.name)) is None else v for health in found]
            value = float(np.mean(values))
            metrics.append(
                replace(
                    metric(
                        name, field.name, 0.0, f"{field.name.replace('_', ' ')}, mean of {len(found)} draws", "health"
                    ),
                    value="more than the sample" if np.isnan(value) else round(value, 3),
                    unit="",
                )
            )
            print(name, field.name, np.round(values, 3), flush=True)
    write_metrics(RESULTS / "lsm_health.json", metrics)


def ship(seed: int = 0) -> None:
    """Train the readout that ships, on synthesised recordings only, and write it with its card."""
    parts = Parts()
    chosen = from_synthesised(parts, ENCODING, N_MNIST, seed, methods=("ridge", "softmax"))
    image = draw(N_MNIST, seed)
    model = TrainedCrossbar(
        spec=N_MNIST,
        seed=seed,
        conductances_sha256=image.sha256,
        encoding=ENCODING,
        step_us=STEP_US,
        readout=chosen.readout,
    )
    WEIGHTS.mkdir(parents=True, exist_ok=True)
    model.save(WEIGHTS / "n_mnist.npz")
    seen, labels = seen_by(parts.real, ENCODING, N_MNIST, seed)
    made, classes = seen_by(parts.test, ENCODING, N_MNIST, seed)
    on_real, on_made = accuracy(chosen.readout, seen, labels), accuracy(chosen.readout, made, classes)
    matrix = confusion_matrix(labels, chosen.readout.classify(seen), N_MNIST.outputs)
    candidates = "".join(
        f"| {c.method} | {c.penalty:g} | {100 * c.validation_accuracy:.1f} |\n" for c in chosen.candidates
    )
    best = chosen.chosen
    card = f"""# n_mnist

Readout of `N_MNIST` for digits of N-MNIST: {N_MNIST.neurons} neurons, {N_MNIST.windows} counting windows,
{N_MNIST.outputs} classes, weights of {N_MNIST.readout_weight_bits} bits.

| | |
|---|---|
| spec | `N_MNIST`, stored in the file |
| seed of the macro | {seed} |
| sha256 of its conductance image | `{image.sha256}` |
| sha256 of the readout | `{model.sha256}` |
| input | `{ENCODING.name}`, {ENCODING.inputs} of {N_MNIST.inputs} word lines, {N_MNIST.steps} steps of {STEP_US} us |
| trained on | {len(parts.train.labels)} N-MNIST-like recordings of MNIST digits |
| validation | {len(parts.validation.labels)} recordings of other digits, another camera |
| accuracy on validation | {100 * best.validation_accuracy:.1f} % ({best.method}, penalty {best.penalty:g}) |
| accuracy on {len(labels)} real recordings | {100 * on_real:.1f} % |
| accuracy on {len(classes)} synthesised recordings of further digits | {100 * on_made:.1f} % |

No real recording was used in training, nor any digit of the first 1,000 of MNIST's training set, which the real
recordings show; the camera is `sim.lsm_crossbar.recordings.event_camera`. The conductance image is not stored: it is
drawn again from the seed, and its hash must agree.

Candidates, trained on the training set alone:

| method | penalty | validation, % |
|---|---:|---:|
{candidates}
Confusion matrix on the real recordings (row: label, column: class):

```
{chr(10).join(" ".join(f"{n:3d}" for n in row) for row in matrix)}
```

Made by `python -m benchmarks.lsm_accuracy ship`. Licence: Apache-2.0, as the project.
"""
    with replacing(WEIGHTS / "n_mnist.md") as file:
        file.write(card)
    print(card)


def main() -> None:
    """Run the named parts, all without names."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.lsm_accuracy", description=(__doc__ or "").split("\n")[0]
    )
    jobs = {
        "encodings": write_encodings,
        "protocols": write_protocols,
        "scaling": write_scaling,
        "macros": write_macros,
        "health": write_health,
        "ship": ship,
    }
    parser.add_argument("parts", nargs="*", choices=[[], *jobs], metavar="PART", help=", ".join(jobs))
    for name in parser.parse_args().parts or jobs:
        jobs[name]()


if __name__ == "__main__":
    main()
