"""`liquidcal verify` for a crossbar chip: hardware against the golden model, recordings, proofs and mutants.

The stimulus is made here once, and used for volume and for mutation alike. Expected values come from the golden model,
expected clocks from `sim.lsm_crossbar.timing`; never from hardware.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check, Journal
from flows.designs.design import Design
from flows.designs.macro_image import load_macros, macro_image
from flows.formal.crossbar import (
    NEURON_HOMEOSTAT,
    proof_count,
    prove_crossbar,
    prove_homeostat_loaded,
    prove_thresholds_loaded,
)
from flows.formal.loaded import prove_readout_loaded, readout_loaded
from flows.formal.solver import Proof
from flows.simulation.crossbar import (
    DEFAULT_FILE,
    PLUSARG,
    STROBES,
    CrossbarBench,
    Played,
    crossbar_verilog,
    play_events,
    reset_and_write,
    scratch,
)
from flows.simulation.native import NativeModel
from flows.stimulus.recordings import BoolArray, random_spikes
from flows.verification import mutation
from flows.verification.bench import Tally, VerificationRun, decoy_writes, load_registers
from flows.verification.crossbar_stimulus import (
    IMAGES,
    Segment,
    Stimulus,
    make_segment,
    make_stimulus,
    random_adcs,
    random_image,
    random_readout,
    random_regulation,
)
from flows.verification.options import VerificationOptions
from flows.verification.result import Advance, VerificationReport, mutation_check, proof_check
from sim.fixed_point import IntArray
from sim.lsm_crossbar.example_specs import campaign_spec, random_spec, regulated_spec, tiled_spec
from sim.lsm_crossbar.learning.model import TrainedCrossbar, shipped_models
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.events import Encoding, encode_all, find_recordings, read_recording
from sim.lsm_crossbar.registers import address_width, register_writes
from sim.lsm_crossbar.spec import CrossbarSpec
from sim.lsm_crossbar.timing import readout_clocks, step_clocks

__all__ = [
    "check_mutants",
    "check_proofs",
    "check_recordings",
    "check_volume",
    "difference",
    "load_recordings",
    "play",
    "verify_design",
]

STEPS = "steps"


def difference(got: Played, want: Played, spec: CrossbarSpec, where: str) -> tuple[int, str]:
    """Steps that differ, and the first difference in words; 0 and empty if there is none."""
    if len(got.spikes) != len(want.spikes):
        return len(want.spikes), f"{where}: {len(got.spikes)} steps ended, expected {len(want.spikes)}"
    wrong = (got.spikes != want.spikes).any(axis=1)
    if wrong.any():
        step = int(np.argmax(wrong))
        neuron = int(np.argmax(got.spikes[step] != want.spikes[step]))
        sample, inside = divmod(step, spec.steps)
        return int(wrong.sum()), (
            f"{where}: sample {sample}, step {inside}, neuron {neuron}: expected spike {int(want.spikes[step, neuron])}"
        )
    for name in ("counts", "scores", "classes", "spike_clocks", "class_clocks"):
        one, other = getattr(got, name), getattr(want, name)
        if len(one) != len(other):
            return 1, f"{where}: {len(one)} {name} came, expected {len(other)}"
        if (one != other).any():
            place = int(np.argmax(one != other))
            return int((one != other).sum()), f"{where}: {name}[{place}]: expected {other[place]}, got {one[place]}"
    return 0, ""


def play(spec: CrossbarSpec, stimulus: Stimulus, model: NativeModel, advance: Advance | None = None) -> str:
    """Run a stimulus on a fresh model; the first difference in words, empty if there is none.

    First the reset values, then segments, each after a load; writes come ascending, descending and shuffled, after
    some of them follow writes that must not matter, and events of rows that are no inputs. Every fourth segment has a
    reset in front, the others meet the settings and the state of the one before. Last the reset values again, now that
    every register has held something else; and the status bytes.
    """

    def from_reset(where: str) -> str:
        if text := _reset_outputs(model):
            return f"{where}: {text}"
        return _first(_without_scores(run(stimulus.reset)), _without_scores(stimulus.reset.played), spec, where)

    def run(segment: Segment) -> Played:
        got = play_events(model, spec, segment.words, segment.samples)
        if advance is not None:
            advance(len(got.spikes))
        return got

    if text := from_reset("reset values"):
        return text
    for number, segment in enumerate(stimulus.segments):
        if number % 4 == 0:
            model.run({"rst": [0, 1, 1, 0]})
        load_registers(model, segment.writes(spec), number)
        if number % 4 in (0, 3):
            model.run(_decoys(spec, number))
        if text := _first(run(segment), segment.played, spec, segment.name):
            return text
        if text := _status(spec, model, segment, number):
            return f"{segment.name}: {text}"
    for segment in stimulus.continued:
        if not segment.continues:
            model.run({"rst": [0, 1, 1, 0]})
        if writes := segment.writes(spec):
            load_registers(model, writes, 0)
        if text := _first(run(segment), segment.played, spec, segment.name):
            return text
        moved = model.run({"read_address": [5, 6, 7]})["read_data"].tolist()
        if moved != list(segment.moved.to_bytes(3, "little")):
            return f"{segment.name}: status of the homeostat: expected {segment.moved:#x}, got bytes {moved}"
    if text := from_reset("reset values of a chip that was loaded"):
        return text
    return _progress(spec, model)


def _reset_outputs(model: NativeModel) -> str:
    """Reset the chip; the first output that is not idle during and after it, in words; empty if all are."""
    got = model.run({"rst": [0, 1, 1, 0, 0, 0]})
    for name in (*STROBES, "spikes", "class_index", "read_data"):
        if got[name][1:].any():
            return f"{name} while and after rst: expected 0, got {got[name][1:].tolist()}"
    if not got["i_events__ready"][1:].all():
        return "i_events__ready while and after rst: expected 1"
    return ""


def _progress(spec: CrossbarSpec, model: NativeModel) -> str:
    """Follow the status bytes through the steps of a sample without events; empty if all are right."""
    model.run({"rst": [0, 1, 1, 0]})
    end = 1 << spec.row_bits
    for step in range(spec.steps):
        busy = step_clocks(spec, 0)
        if (step + 1) % spec.window_length == 0:
            busy += readout_clocks(spec, last=step == spec.steps - 1)
        rows = busy + 8
        events = {"i_events__payload": np.full(rows, end), "i_events__valid": np.arange(rows) == 0}
        flags = model.run(events)["read_data"].tolist()
        # closed in the clock after the event, running in the clock after that
        want = [0, 2, *[1] * busy]
        want += [0] * (rows - len(want))
        if flags != want:
            return f"flags in step {step}: expected {want}, got {flags}"
        place = (step + 1) % spec.steps
        got = model.run({"read_address": [1, 2]})["read_data"].tolist()
        if got != [place & 0xFF, place >> 8]:
            return f"step after step {step}: expected {place}, got bytes {got}"
    return ""


def _without_scores(played: Played) -> Played:
    empty = np.zeros(0, np.int64)
    return replace(played, scores=empty, classes=empty)


def _first(got: Played, want: Played, spec: CrossbarSpec, where: str) -> str:
    return difference(got, want, spec, where)[1]


def _decoys(spec: CrossbarSpec, seed: int) -> dict[str, IntArray]:
    more: dict[str, Any] = {} if spec.noise_scale is None else {"noise_enable": False, "noise_seed": 0}
    if spec.homeostat is not None:
        more["homeostat_enable"] = False
        if spec.own_thresholds:
            more |= {"homeostat_ratio": np.zeros(spec.neurons, np.int64), "homeostat_rate": 0}
        else:
            more |= {"homeostat_ratio": 0, "homeostat_band": 0}
    writes = register_writes(spec, threshold=0, bias=np.zeros(spec.outputs, np.int64), **more)
    return decoy_writes((address for address, _ in writes), address_width(spec) - 1, seed)


def _status(spec: CrossbarSpec, model: NativeModel, segment: Segment, number: int) -> str:
    """Compare the status bytes of an idle chip, and its flag of dropped events; empty if all are right."""
    last_class = int(segment.played.classes[-1])
    moved = segment.moved

    def read() -> list[int]:
        return [int(value) for value in model.run({"read_address": np.arange(8)})["read_data"]]

    def want(flags: int) -> list[int]:
        return [flags, 0, 0, last_class & 0xFF, last_class >> 8, *moved.to_bytes(4, "little")[:3]]

    # rows that are inputs, and the row of an end of step, leave the flag of dropped events alone; so does any row
    # without `valid`
    if (got := read()) != want(0):
        return f"status: expected {want(0)}, got {got}"
    every = np.arange(1 << spec.row_bits)
    model.run({"i_events__payload": every, "i_events__valid": np.zeros(len(every), np.int64)})
    if (got := read()) != want(0):
        return f"status after events without valid: expected {want(0)}, got {got}"
    rows = [row for row in (spec.inputs, spec.inputs + 1, (1 << spec.row_bits) - 1) if spec.inputs <= row]
    row = rows[number % len(rows)]
    if row >= 1 << spec.row_bits:
        return ""
    model.run({"i_events__payload": [row, 0], "i_events__valid": [1, 0]})
    # writes elsewhere leave the flag alone; one of them is to the lowest byte of the threshold
    model.run({"write_address": 1 << np.arange(address_width(spec)), "write_data": 0, "write_enable": 1})
    moved = 0 if spec.homeostat is None or spec.own_thresholds else segment.threshold & ~0xFF
    if (got := read()) != want(4):
        return f"status with a dropped event: expected {want(4)}, got {got}"
    model.run({"write_address": 0, "write_data": 0, "write_enable": [1]})
    return ""


def check_volume(bench: CrossbarBench, seed: int, steps: int, *, advance: Advance | None = None) -> Check:
    """Compare hardware and golden model over at least `steps` steps: every kind of image, random samples."""
    spec = bench.design.spec
    rng = np.random.default_rng(seed)
    adcs = {"adc_gain": np.array(bench.design.gains), "adc_offset": np.array(bench.design.offsets)}
    samples = max(1, -(-steps // (spec.steps * len(IMAGES))))
    noisy = spec.noise_scale is not None
    tally = Tally(advance)
    for number, kind in enumerate(IMAGES):
        image = random_image(spec, rng, kind, adcs)
        spikes = random_spikes(spec, rng, samples)
        segment = make_segment(
            f"image {kind}", spec, image, random_readout(spec, rng), spikes,
            noise_seed=number if noisy else None, rng=rng, engine="numba",
            regulation=random_regulation(
                spec, image, spikes, spec.threshold, rng, noise_seed=number if noisy else None
            ),
        )  # fmt: skip
        with scratch() as folder, bench.model(image, folder, 1 + number) as model:
            reset_and_write(model, segment.writes(spec))
            got = play_events(model, spec, segment.words, samples)
        tally.add(len(segment.played.spikes), *difference(got, segment.played, spec, segment.name))
    return tally.check(
        f"{spec.name}: random and corner conductances against the golden model (seed {seed})",
        f"random_conductances__spec:{spec.name}", STEPS, at_least=steps,
    )  # fmt: skip


def check_recordings(
    bench: CrossbarBench, conductances: Conductances, readout: Readout, spikes: npt.ArrayLike, name: str
) -> Check:
    """Compare hardware and golden model on given samples, spike for spike."""
    spec = bench.design.spec
    # as after reset: noise, if the macro has any, with seed 0
    noise = None if spec.noise_scale is None else 0
    segment = make_segment(name, spec, conductances, readout, spikes, noise_seed=noise, engine="numba")
    got = bench.run(conductances, readout, spikes)
    tally = Tally()
    tally.add(len(segment.played.spikes), *difference(got, segment.played, spec, name))
    return tally.check(f"{spec.name}: {name}, spike for spike", f"recordings__spec:{spec.name}", STEPS)


def load_recordings(
    spec: CrossbarSpec, folder: Path | None, weights: Path | None, count: int, seed: int = 0
) -> tuple[Conductances, list[tuple[str, Readout, BoolArray]]]:
    """The macro, and recordings as input of `verify`.

    Parameters
    ----------
    spec : CrossbarSpec
    folder : Path or None
        Recordings named by index; None: no recordings.
    weights : Path or None
        A trained model for `spec`. None: the shipped one for it; if there is none, the macro of `seed`, a random
        readout and the central crop of the sensor, or as many of its fields as the spec has inputs.
    count : int
        Recordings to take, at most, the lowest indices first.
    seed : int
        Of macro and readout, where there is no model.

    Raises
    ------
    ValueError
        If the model is for another spec, or a recording is damaged.
    """
    model = _trained(spec, weights)
    conductances = draw(spec, seed) if model is None else model.conductances
    if folder is None:
        return conductances, []
    found = find_recordings(folder)
    paths = [found[index] for index in sorted(found)[:count]]
    if model is not None:
        if not isinstance(model.encoding, Encoding):
            raise ValueError(f"the model of {spec.name} hears; --recordings are those of an event camera")
        readout, encoding, step_us = model.readout, model.encoding, model.step_us
    else:
        readout = random_readout(spec, np.random.default_rng(seed))
        side = min(16, math.isqrt(spec.inputs))
        encoding = Encoding(name="centre", left=17 - side // 2, top=17 - side // 2, columns=side, rows=side)
        step_us = -(-_RECORDING_US // spec.steps)
    events = [read_recording(path) for path in paths]
    spikes = encode_all(events, encoding, steps=spec.steps, step_us=step_us, inputs=spec.inputs)
    return conductances, [(f"{len(paths)} recordings, {folder.name}", readout, spikes)]


_RECORDING_US = 316_000
"""Length of an N-MNIST recording, three saccades."""


def _trained(spec: CrossbarSpec, weights: Path | None) -> TrainedCrossbar | None:
    if weights is None:
        models = [TrainedCrossbar.load(path) for path in shipped_models().values()]
        return next((model for model in models if model.spec == spec), None)
    model = TrainedCrossbar.load(weights)
    if model.spec != spec:
        raise ValueError(f"{weights} was trained for another spec than {spec.name}")
    return model


def check_directed(spec: CrossbarSpec, seed: int, *, advance: Advance | None = None) -> Check:
    """Run the stimulus of the mutation campaign on the design itself."""
    stimulus = make_stimulus(spec, np.random.default_rng(seed), 12, 3)
    bench = CrossbarBench(crossbar_verilog(spec, stimulus.conductances))
    tally = Tally(advance)
    with scratch() as folder, bench.model(stimulus.conductances, folder) as model:
        tally.first = play(spec, stimulus, model, tally.add)
    return tally.check(
        f"{spec.name}: settings, reset, status, events in any order (seed {seed})",
        f"directed_steps__spec:{spec.name}", STEPS,
    )  # fmt: skip


def check_mutants(
    spec: CrossbarSpec, seed: int, count: int, *, threads: int = 2, advance: Advance | None = None
) -> tuple[Check, mutation.CampaignResult]:
    """Mutate the chip `count` times and run `play` on every mutant."""
    from hw.common.export import to_rtlil
    from hw.lsm_crossbar.crossbar import Crossbar

    rng = np.random.default_rng(seed)
    stimulus = make_stimulus(spec, rng, 12, 3)
    component = Crossbar(spec=spec, image=macro_image(stimulus.conductances))
    with scratch() as folder:
        path = stimulus.conductances.write(folder)
        result = mutation.run_campaign(
            to_rtlil(component, spec.name), spec.name, lambda model: not play(spec, stimulus, model), count=count,
            rng=rng, clock="clk", threads=threads, advance=advance, plusarg=f"+{PLUSARG}={path}",
            prepare=lambda text: load_macros(text, spec, DEFAULT_FILE, plusarg=PLUSARG), loaded=_loaded(spec),
        )  # fmt: skip
    return mutation_check(spec.name, seed, count, result), result


def _loaded(spec: CrossbarSpec) -> list[mutation.Loaded]:
    """Stages whose registers are loaded before they are read; those of neurons and counters have no reset at all."""
    sizes = spec.readout_sizes
    found: list[mutation.Loaded] = []
    if spec.own_thresholds:
        found += [
            mutation.Loaded("threshold_lane", None, partial(prove_thresholds_loaded, spec)),
            mutation.Loaded("neuron_homeostat", NEURON_HOMEOSTAT.registers, partial(prove_homeostat_loaded, spec)),
        ]
    readout = partial(prove_readout_loaded, spec.name, sizes)
    return [*found, mutation.Loaded("readout", readout_loaded(sizes).registers, readout)]


def check_proofs(spec: CrossbarSpec, *, advance: Advance | None = None) -> tuple[Check, tuple[Proof, ...]]:
    """Run all proofs of `flows.formal.crossbar` for a spec."""
    proofs = tuple(prove_crossbar(spec, advance=advance))
    return proof_check(spec.name, proofs), proofs


def verify_design(design: Design, journal: Journal, options: VerificationOptions) -> VerificationReport:
    """Verify the generated hardware of a crossbar.

    Directed stimulus and mutants are those of `campaign_spec`; recordings run on the conductances of the trained model,
    whose ADCs the hardware gets.

    Parameters
    ----------
    design : Design
    journal : Journal
        Shows the steps as they run; receives every check as soon as it is known.
    options : VerificationOptions

    Raises
    ------
    ValueError
        If an option is for an encoder; see `load_recordings`.
    """
    spec, seed, steps = design.spec, options.seed, options.crossings or design.crossings
    if options.vectors:
        raise ValueError(f"published vectors are for an encoder; {spec.name} is none")
    with journal.step(f"{spec.name}: conductances and recordings"):
        conductances, samples = load_recordings(spec, options.recordings, options.weights, options.count, seed)
    run = VerificationRun(spec, seed, journal)
    if options.proofs:
        run.prove(proof_count(spec), lambda advance: check_proofs(spec, advance=advance))
    with journal.step(f"{spec.name}: Amaranth to Verilog to simulator"):
        bench = CrossbarBench(crossbar_verilog(spec, conductances))
    with journal.step(f"{spec.name}: random and corner conductances", total=steps) as advance:
        check = check_volume(bench, seed, steps, advance=advance)
    run.note(check)
    for name, readout, spikes in samples:
        with journal.step(f"{spec.name}: {name}"):
            check = check_recordings(bench, conductances, readout, spikes, name)
        run.note(check)
    mutants = options.mutants
    if spec.homeostat is not None:
        mutated = regulated_spec(spec.homeostat.per)
    else:
        mutated = campaign_spec() if spec.macros == 1 else tiled_spec()
    with journal.step(f"{mutated.name}: settings, reset, status, events in any order"):
        check = check_directed(mutated, seed)
    run.note(check)
    for number in range(options.random_specs):
        rng = np.random.default_rng((seed, number))
        drawn = random_spec(rng, f"RANDOM_{number}")
        with journal.step(f"{drawn.name}: random and corner conductances"):
            bench = CrossbarBench(crossbar_verilog(drawn, random_image(drawn, rng, "zero", random_adcs(drawn, rng))))
            check = check_volume(bench, seed + number, 400)
        run.note(check)
    run.mutate(mutated.name, mutants, lambda advance: check_mutants(mutated, seed, mutants, advance=advance))
    return run.report()
