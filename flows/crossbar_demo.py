"""The crossbar's part of the demo: from one seed to conductances, accuracy, RTL, verified spikes and energy."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.crossbar_energy import energy_document
from flows.crossbar_simulation import CrossbarBench, crossbar_design
from flows.journal import Check, Journal
from sim.files import replacing
from sim.fixed_point import IntArray
from sim.lsm_crossbar.conductance_file import read_conductances
from sim.lsm_crossbar.device import draw
from sim.lsm_crossbar.energy import inference_energy
from sim.lsm_crossbar.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.events import ENCODINGS, encode_all
from sim.lsm_crossbar.liquid import Engine, Liquid
from sim.lsm_crossbar.model import TrainedCrossbar
from sim.lsm_crossbar.readout_training import train
from sim.lsm_crossbar.spec import CrossbarSpec

ENCODING = ENCODINGS["pooled_3x3_split"]
RECORDING_US = 310_000
"""Length of a recording that is used: the three saccades."""
TRAINING, VALIDATION, RECORDINGS = 3000, 600, 500
"""Recordings to train on, to choose by, and to test on."""
SIMULATED = 5
"""Recordings that the RTL classifies."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """Input spikes of recordings with their labels; shapes (n, steps, inputs) and (n,)."""

    spikes: npt.NDArray[np.bool_]
    labels: IntArray


def synthesised_parts(
    journal: Journal, spec: CrossbarSpec, sizes: tuple[int, int, int], seed: int
) -> tuple[Part, Part, Part]:
    """N-MNIST-like recordings to train on, to choose by and to test on; no digit is in two parts."""
    rest, first = mnist_digits("rest"), mnist_digits("first_thousand")
    rng = np.random.default_rng([seed, 3])
    order, tested = rng.permutation(len(rest)), rng.permutation(len(first))[: sizes[2]]
    camera = EventCamera(seed=seed)
    found = []
    number = 0
    chosen = (
        rest.take(order[: sizes[0]]),
        rest.take(order[sizes[0] : sizes[0] + sizes[1]]),
        first.take(tested),
    )
    with journal.step(f"events of {sum(sizes):,} digits", sum(sizes)) as advance:
        for digits in chosen:
            parts = []
            for start in range(0, len(digits), 100):
                events = camera.record_all(digits.images[start : start + 100], number)
                number += len(events)
                step_us = RECORDING_US // spec.steps
                parts.append(encode_all(events, ENCODING, steps=spec.steps, step_us=step_us, inputs=spec.inputs))
                advance(len(events))
            found.append(Part(spikes=np.concatenate(parts), labels=digits.labels.astype(np.int64)))
    return found[0], found[1], found[2]


def run_crossbar_demo(
    journal: Journal,
    out_dir: Path,
    spec: CrossbarSpec,
    *,
    seed: int = 1,
    sizes: tuple[int, int, int] = (TRAINING, VALIDATION, RECORDINGS),
    simulated: int = SIMULATED,
) -> None:
    """Draw, record, train, test, simulate, add up energy; everything follows from the seed.

    Leaves in `out_dir` the conductance file, ``model.npz``, ``liquid.npz`` and ``energy.json``; the energy holds the
    digital part where `liquidcal power` has measured it into the same folder.

    Parameters
    ----------
    journal : Journal
        Receives steps and checks.
    out_dir : Path
        Existing folder of results of this design.
    spec : CrossbarSpec
        With ten outputs and enough inputs for the encoding.
    seed : int
        Of conductances, digits and camera.
    sizes : (int, int, int)
        Recordings to train on, to choose by, and to test on (at most 1,000).
    simulated : int
        Recordings that the RTL classifies.

    Raises
    ------
    ValueError
        If the spec has other classes than the ten digits, or too few inputs.
    """
    if spec.outputs != 10 or spec.inputs < ENCODING.inputs:
        raise ValueError(
            f"the demo shows digits: expected 10 outputs and at least {ENCODING.inputs} inputs,"
            f" {spec.name} has {spec.outputs} and {spec.inputs}"
        )
    with journal.step(f"electroforming: conductances of seed {seed}"):
        image = draw(spec, seed)
        for old in out_dir.glob("*.mem"):
            old.unlink()
        file = image.write(out_dir)
        again = read_conductances(file)
    same = bool(np.array_equal(again.codes, image.codes)) and again.sha256 == image.sha256
    name = "conductance file holds the draw"
    journal.check(Check(name=name, passed=same, compared=image.codes.size, unit="cells", detail=file.name))
    training, validation, test = synthesised_parts(journal, spec, sizes, seed)
    liquid = Liquid(spec, image, Engine.NUMBA)
    with journal.step("liquid: spike counts of all recordings"):
        seen, chosen_by = (liquid.counts(part.spikes) for part in (training, validation))
        activity = liquid.run(test.spikes)
    with journal.step("readout: penalty chosen on validation"):
        readout = train(spec, seen, training.labels, chosen_by, validation.labels, methods=("ridge",)).readout
        classes = readout.classify(activity.counts)
    TrainedCrossbar(
        spec=spec, seed=seed, conductances_sha256=image.sha256, encoding=ENCODING, readout=readout,
        step_us=RECORDING_US // spec.steps,
    ).save(out_dir / "model.npz")  # fmt: skip
    shown = test.spikes[:simulated]
    with journal.step("golden model, stage by stage"):
        plain = Liquid(spec, image, Engine.NUMPY).run(shown)
    _compare(journal, "compiled model equals NumPy model", plain.spikes, activity.spikes[:simulated], "spikes")
    with journal.step("RTL: Amaranth to Verilog, Verilator build"):
        bench = CrossbarBench(crossbar_design(spec, image))
    with journal.step(f"RTL: {simulated} recordings, event by event"):
        played = bench.run(image, readout, shown)
    _compare(
        journal, "RTL equals golden model: spikes", plain.spikes.reshape(played.spikes.shape), played.spikes, "spikes"
    )
    _compare(journal, "RTL equals golden model: counts", plain.counts.reshape(-1), played.counts, "counts")
    _compare(journal, "RTL equals golden model: classes", classes[:simulated], played.classes, "classes")
    energy = inference_energy(spec, image, activity)
    with replacing(out_dir / "energy.json") as out:
        json.dump(energy_document(spec, energy, measured_power(out_dir, spec)), out, indent=1)
    with replacing(out_dir / "liquid.npz", "wb") as out:
        np.savez_compressed(
            out,
            codes=image.codes.astype(np.uint8),
            seed=seed,
            memory_file=file.name,
            inputs=shown[0],
            spikes=plain.spikes[0],
            shown_label=test.labels[0],
            shown_class=classes[0],
            labels=test.labels,
            classes=classes,
        )


def measured_power(out_dir: Path, spec: CrossbarSpec) -> dict[str, Any] | None:
    """What `liquidcal power` left of this design, if it was run."""
    path = out_dir / "power" / "power.json"
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text())
    return told if told["design"] == spec.name else None


def _compare(
    journal: Journal, name: str, expected: npt.NDArray[np.generic], actual: npt.NDArray[np.generic], unit: str
) -> None:
    same = expected.shape == actual.shape and bool(np.array_equal(expected, actual))
    detail = ""
    if not same and expected.shape == actual.shape:
        first = tuple(int(i) for i in np.argwhere(expected != actual)[0])
        detail = f"at {first}: expected {expected[first]}, got {actual[first]}"
    elif not same:
        detail = f"expected shape {expected.shape}, got {actual.shape}"
    journal.check(Check(name=name, passed=same, compared=int(expected.size), unit=unit, detail=detail))
