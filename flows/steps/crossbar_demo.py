"""From one seed to conductances, accuracy, RTL, verified spikes and energy: the crossbar in `demo` and `flow`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check, Journal
from flows.designs.crossbar import DIGITS, MODEL, CrossbarDesign
from flows.estimates.crossbar_energy import energy_document, with_digital_part
from flows.simulation.crossbar import CrossbarBench, crossbar_verilog
from flows.stimulus.recordings import random_spikes, recorded_stimulus
from sim.engine import Engine
from sim.files import replacing
from sim.fixed_point import IntArray
from sim.lsm_crossbar.energy import inference_energy
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.learning.readout_training import train
from sim.lsm_crossbar.liquid import Activity, Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances, read_conductances
from sim.lsm_crossbar.macro_model.measured_file import macro_of
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.events import ENCODINGS, encode_all
from sim.lsm_crossbar.spec import CrossbarSpec

if TYPE_CHECKING:
    from flows.steps.demo import DemoOptions

ENCODING = ENCODINGS[DIGITS]
RECORDING_US = 310_000
"""Length of a recording that is used: the three saccades."""
TRAINING, VALIDATION, RECORDINGS = SIZES = (3000, 600, 500)
"""Recordings to train on, to choose by, and to test on."""
SIMULATED = 5
"""Recordings that the RTL classifies."""
RANDOM_SAMPLES = 32
"""Samples of random spikes for a chip that shows no digits."""
NO_SEED = -1
"""In `LIQUID` where conductances were measured."""
LIQUID, MACRO_ENERGY, ENERGY = "liquid.npz", "macro_energy.json", "energy.json"
"""Files that a draw leaves beside the model: what the report shows; energy of array and ADCs, of the chip."""


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
    conductances: Path | None = None,
    sizes: tuple[int, int, int] | None = None,
    simulated: int = SIMULATED,
) -> None:
    """Draw, record, train, test, simulate, add up energy; everything follows from the seed.

    Leaves in `out_dir` the conductance file and the files `MODEL`, `LIQUID`, `MACRO_ENERGY` and `ENERGY`; the energy
    holds the digital part where `liquidcal power` has measured it with this draw into the same folder.

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
    conductances : Path, optional
        File of measured conductances, instead of those of the seed.
    sizes : (int, int, int), optional
        Recordings to train on, to choose by, and to test on (at most 1,000); `SIZES` where left out.
    simulated : int
        Recordings that the RTL classifies.

    Raises
    ------
    ValueError
        If the spec has other classes than the ten digits, or too few inputs; a negative seed.
    """
    if not CrossbarDesign(spec=spec).shows_digits:
        raise ValueError(
            f"the demo shows digits: expected 10 outputs and at least {ENCODING.inputs} inputs,"
            f" {spec.name} has {spec.outputs} and {spec.inputs}"
        )
    image = _draw(journal, out_dir, spec, seed, conductances)
    training, validation, test = synthesised_parts(journal, spec, sizes or SIZES, seed)
    liquid = Liquid(spec, image, Engine.NUMBA)
    with journal.step("liquid: spike counts of all recordings"):
        seen, chosen_by = (liquid.counts(part.spikes) for part in (training, validation))
        activity = liquid.run(test.spikes)
    with journal.step("readout: penalty chosen on validation"):
        readout = train(spec, seen, training.labels, chosen_by, validation.labels, methods=("ridge",)).readout
    TrainedCrossbar.trained(spec, image, encoding=ENCODING, step_us=RECORDING_US // spec.steps, readout=readout).save(
        out_dir / MODEL
    )
    _simulate(journal, out_dir, spec, image, readout, test.spikes[:simulated], activity, test.labels)


def run_untrained(
    journal: Journal,
    out_dir: Path,
    spec: CrossbarSpec,
    *,
    seed: int = 1,
    conductances: Path | None = None,
    samples: int = RANDOM_SAMPLES,
    simulated: int = SIMULATED,
) -> None:
    """The same without accuracy, for a chip that shows no digits: random spikes and a random readout of the seed.

    Parameters as those of `run_crossbar_demo`. Energy is that of `samples` of sparse spikes, as `liquidcal power` has
    them; the RTL is compared on silent to full steps.
    """
    image = _draw(journal, out_dir, spec, seed, conductances)
    (out_dir / MODEL).unlink(missing_ok=True)
    # the stimulus that the gates get, too (`liquidcal power`)
    stimulus = recorded_stimulus(spec, streams=samples, seed=seed)
    with journal.step(f"liquid: {stimulus.source}"):
        activity = Liquid(spec, image, Engine.NUMBA).run(stimulus.spikes)
    shown = random_spikes(spec, np.random.default_rng([seed, 4]), simulated)
    _simulate(journal, out_dir, spec, image, stimulus.readout, shown, activity)


def _draw(journal: Journal, out_dir: Path, spec: CrossbarSpec, seed: int, conductances: Path | None) -> Conductances:
    """Conductances of a seed or a file, in the folder as the only conductance file, and read from it again."""
    title = f"electroforming: conductances of seed {seed}"
    if conductances is not None:
        title = f"measured conductances: {conductances.name}"
    with journal.step(title):
        image = macro_of(spec, seed=seed, conductances=conductances)
        for old in out_dir.glob("*.mem"):
            old.unlink()
        file = image.write(out_dir)
        again = read_conductances(file)
    same = bool(np.array_equal(again.codes, image.codes)) and again.sha256 == image.sha256
    name = "conductance file holds the draw"
    journal.check(Check(name=name, passed=same, compared=image.codes.size, unit="cells", detail=file.name))
    return again


def _simulate(
    journal: Journal,
    out_dir: Path,
    spec: CrossbarSpec,
    image: Conductances,
    readout: Readout,
    shown: npt.NDArray[np.bool_],
    activity: Activity,
    labels: IntArray | None = None,
) -> None:
    """RTL against the golden model on samples, energy of array and ADCs in `activity`, and what the report shows."""
    with journal.step("golden model, stage by stage"):
        plain = Liquid(spec, image, Engine.NUMPY).run(shown)
    compiled = Liquid(spec, image, Engine.NUMBA).run(shown)
    _compare(journal, "compiled model equals NumPy model", plain.spikes, compiled.spikes, "spikes")
    with journal.step("RTL: Amaranth to Verilog, Verilator build"):
        bench = CrossbarBench(crossbar_verilog(spec, image))
    with journal.step(f"RTL: {len(shown)} samples, event by event"):
        played = bench.run(image, readout, shown)
    _compare(
        journal, "RTL equals golden model: spikes", plain.spikes.reshape(played.spikes.shape), played.spikes, "spikes"
    )
    _compare(journal, "RTL equals golden model: counts", plain.counts.reshape(-1), played.counts, "counts")
    result = readout.classify(plain.counts)
    _compare(journal, "RTL equals golden model: classes", result, played.classes, "classes")
    energy = energy_document(spec, inference_energy(spec, image, activity))
    _write_json(out_dir / MACRO_ENERGY, energy | {"conductances": image.file_name})
    add_energy(out_dir)
    scored = {}
    if labels is not None:
        scored = {"labels": labels, "classes": readout.classify(activity.counts), "shown_label": labels[0]}
    with replacing(out_dir / LIQUID, "wb") as out:
        np.savez_compressed(
            out,
            codes=image.codes.astype(np.uint8),
            seed=NO_SEED if image.seed is None else image.seed,
            memory_file=image.file_name,
            inputs=shown[0],
            spikes=plain.spikes[0],
            shown_class=result[0],
            **scored,
        )


def add_energy(folder: Path) -> None:
    """Write `ENERGY`: `MACRO_ENERGY` and the digital part, where it was measured with the same conductances."""
    macro = json.loads((folder / MACRO_ENERGY).read_text())
    result = measured_power(folder, macro["conductances"])
    _write_json(folder / ENERGY, macro if result is None else with_digital_part(macro, result))


def measured_power(folder: Path, conductances: str) -> dict[str, Any] | None:
    """What `liquidcal power` left of this design, if it ran on the conductances of this file name."""
    path = folder / "power" / "power.json"
    if not path.is_file():
        return None
    result: dict[str, Any] = json.loads(path.read_text())
    return result if result.get("conductances") == conductances else None


def chain_summary(folder: Path) -> dict[str, Any]:
    """What came of a seed: conductance file, share of right classes (None: not trained), energy of an inference."""
    energy = json.loads((folder / ENERGY).read_text())
    with np.load(folder / LIQUID, allow_pickle=False) as arrays:
        seed = None if arrays["seed"] == NO_SEED else int(arrays["seed"])
        right = float(np.mean(arrays["labels"] == arrays["classes"])) if "labels" in arrays.files else None
    return {
        "seed": seed,
        "conductances": energy["conductances"],
        "accuracy": right,
        "energy_per_inference_nj": {
            end: sum(term[f"{end}_pj"] for term in energy["terms"]) * 1e-3 for end in ("low", "nominal", "high")
        },
        "digital_part_measured": measured_power(folder, energy["conductances"]) is not None,
    }


def summary_line(result: dict[str, Any]) -> str:
    """`chain_summary` in words."""
    parts = [result["conductances"]]
    if result["accuracy"] is not None:
        parts.append(f"{100 * result['accuracy']:.1f} % right")
    energy = result["energy_per_inference_nj"]
    whole = "whole chip" if result["digital_part_measured"] else "array, ADCs and weight memory alone"
    nominal, low, high = (f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in map(energy.get, ("nominal", "low", "high")))
    parts.append(f"{nominal} nJ per inference ({low} to {high}; {whole}, 40 nm)")
    return "; ".join(parts)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as out:
        json.dump(content, out, indent=1)
        out.write("\n")


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


def show(design: CrossbarDesign, folder: Path, journal: Journal, options: DemoOptions) -> None:
    """The demo of a crossbar."""
    sizes = (TRAINING, VALIDATION, options.recordings)
    run_crossbar_demo(journal, folder, design.spec, seed=options.seed, sizes=sizes)
