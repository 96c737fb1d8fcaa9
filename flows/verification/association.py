"""`liquidcal verify` for an association chip: hardware against the golden model, proofs and mutants.

Its crossbars are verified as chips of their own (`flows.verification.crossbar`); here events go in at the pins, and
embeddings, similarities and matches are compared, with the clock of every match. Expected values come from the golden
model, expected clocks from `sim.lsm_crossbar.association.timing` and the clocks of the embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check, Journal
from flows.designs.design import Design
from flows.designs.macro_image import macro_image
from flows.formal.association import loaded_stages, proof_count, prove_association, prove_stage_loaded
from flows.formal.solver import Proof
from flows.simulation.association import AssociationBench, Looked, chip_words, load_writes, play
from flows.simulation.native import NativeModel
from flows.stimulus.recordings import random_spikes
from flows.verification import mutation
from flows.verification.bench import Tally, VerificationRun, load_registers
from flows.verification.crossbar_stimulus import random_readout
from flows.verification.options import VerificationOptions
from flows.verification.result import Advance, VerificationReport, mutation_check, proof_check
from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.example_specs import small_binary, small_chip
from sim.lsm_crossbar.association.model import Association, Matched, trained_association
from sim.lsm_crossbar.association.projection import Projection
from sim.lsm_crossbar.association.registers import setting_writes
from sim.lsm_crossbar.association.spec import MODALITIES, SHIFT_BITS, AssociationSpec
from sim.lsm_crossbar.association.timing import match_clocks
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw

__all__ = ["check_mutants", "check_proofs", "check_volume", "difference", "verify_design"]

QUERIES = "queries"


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """A load of the chip and queries to it, with what the golden model says.

    Attributes
    ----------
    name : str
    writes : list of (address, byte)
    words : ndarray of int64
        Of the event stream.
    used : tuple of int
        Entries of vision, of audio.
    want : tuple of Matched
        Of vision queries, of audio queries, each in their order.
    """

    name: str
    writes: list[tuple[int, int]]
    words: IntArray
    used: tuple[int, int]
    want: tuple[Matched, Matched]

    @property
    def samples(self) -> tuple[int, int]:
        """Queries of vision, of audio."""
        return len(self.want[0].entries), len(self.want[1].entries)


def make_segment(
    spec: AssociationSpec,
    conductances: Sequence[Conductances],
    rng: np.random.Generator,
    name: str,
    *,
    queries: int,
    used: tuple[int, int],
    engine: str = "numba",
) -> Segment:
    """Random projections, thresholds, shifts, entries and queries, steps of both modalities in any order."""
    shifts = rng.integers(0, 1 << SHIFT_BITS, 2)
    if rng.random() < 0.7:  # shifts at which scores are neither all saturated nor all gone
        shifts = rng.integers(0, [max(1, crossbar.score_width - 8) for crossbar in spec.crossbars])
    projections = [
        Projection(spec, random_readout(crossbar, rng), int(shift))
        for crossbar, shift in zip(spec.crossbars, shifts, strict=True)
    ]
    thresholds = [
        int(rng.integers(0, max(2, min(crossbar.step_input_max // 4, crossbar.threshold_max))))
        for crossbar in spec.crossbars
    ]
    lowered = replace(
        spec, vision=replace(spec.vision, threshold=thresholds[0]), audio=replace(spec.audio, threshold=thresholds[1])
    )
    # the model of a chip whose registers hold other thresholds is that of the spec with them
    chip = Association(
        lowered, conductances,
        [
            Projection(lowered, type(p.readout)(c, p.readout.weights, p.readout.bias), p.shift)
            for p, c in zip(projections, lowered.crossbars, strict=True)
        ],
        engine,
    )  # fmt: skip
    low, high = -spec.embedding_max - 1, spec.embedding_max + 1
    entries = [rng.integers(low, high, (count, spec.dimensions)) for count in used]
    if rng.random() < 0.5:  # equal entries: the lowest wins
        entries = [np.repeat(rows[: len(rows) // 2 + 1], 2, axis=0)[: len(rows)] for rows in entries]
    for modality in range(2):
        chip.store(modality, entries[modality])
    spikes = [random_spikes(crossbar, rng, queries) for crossbar in spec.crossbars]
    writes = load_writes(spec, projections, entries)
    for modality in range(2):
        writes += setting_writes(spec, modality, thresholds[modality])
    one, two = (chip.match(modality, spikes[modality]) for modality in range(2))
    return Segment(name=name, writes=writes, words=chip_words(spec, _mixed(spikes, rng)), used=used, want=(one, two))


def _mixed(
    spikes: Sequence[npt.NDArray[np.bool_]], rng: np.random.Generator
) -> list[tuple[int, npt.NDArray[np.bool_]]]:
    """Steps of both modalities in a random order, each modality's own kept."""
    left = [list(array.reshape(-1, 1, array.shape[2])) for array in spikes]
    order = rng.permutation(np.repeat([0, 1], [len(steps) for steps in left]))
    return [(int(modality), left[modality].pop(0)) for modality in order]


def expected_matches(spec: AssociationSpec, got: Looked, used: Sequence[int]) -> list[tuple[int, int]]:
    """Modality and clock of every match, from the clocks at which embeddings were complete.

    A match starts when an embedding waits and none runs, in the clock after the last one at the earliest; vision goes
    first.
    """
    waiting = [list(clocks[spec.dimensions - 1 :: spec.dimensions]) for clocks in got.embedding_clocks]
    matches: list[tuple[int, int]] = []
    free = 0
    while waiting[0] or waiting[1]:
        start = max(free, min(int(clocks[0]) for clocks in waiting if clocks))
        modality = 0 if waiting[0] and waiting[0][0] <= start else 1
        waiting[modality].pop(0)
        end = start + match_clocks(spec, used[1 - modality])
        matches.append((modality, end))
        free = end + 1
    return matches


def difference(got: Looked, segment: Segment, spec: AssociationSpec) -> tuple[int, str]:
    """Queries that differ, and the first difference in words; 0 and empty if there is none."""
    where = segment.name
    for modality, name in enumerate(MODALITIES):
        one, other = got.embeddings[modality], segment.want[modality].embeddings.ravel()
        if len(one) != len(other):
            return 1, f"{where}: {len(one)} components of {name} came, expected {len(other)}"
        if (one != other).any():
            place = int(np.argmax(one != other))
            wrong = (one != other).reshape(-1, spec.dimensions).any(axis=1)
            query, component = divmod(place, spec.dimensions)
            return int(wrong.sum()), (
                f"{where}: {name} query {query}, component {component}: expected {other[place]}, got {one[place]}"
            )
    order = expected_matches(spec, got, segment.used)
    found = list(zip(got.modalities.tolist(), got.match_clocks.tolist(), strict=True))
    if found != order:
        return 1, f"{where}: matches as (modality, clock): expected {order}, got {found}"
    taken, position = [0, 0], 0
    for number, (modality, _) in enumerate(order):
        want, query = segment.want[modality], taken[modality]
        taken[modality] += 1
        similar = want.similarities[query]
        text = f"{where}: match {number}, {MODALITIES[modality]} query {query}"
        seen = got.similarities[position : position + len(similar)]
        position += len(similar)
        if len(seen) != len(similar) or (seen != similar).any():
            return 1, f"{text}: expected the similarities {similar.tolist()}, got {seen.tolist()}"
        entry = int(want.entries[query])
        if int(got.found[number]) != int(entry >= 0):
            return 1, f"{text}: expected match_found {int(entry >= 0)}"
        if entry >= 0 and (int(got.entries[number]), int(got.best[number])) != (entry, int(similar[entry])):
            return 1, (
                f"{text}: expected entry {entry} with {similar[entry]}, "
                f"got {got.entries[number]} with {got.best[number]}"
            )
    if position != len(got.similarities):
        return 1, f"{where}: {len(got.similarities)} similarities came, expected {position}"
    return 0, ""


def _status(model: NativeModel, got: Looked) -> str:
    """Compare the status bytes of the match with the last one that was seen; empty if they are right."""
    data = [int(value) for value in model.run({"read_address": np.arange(32)})["read_data"]]
    if not len(got.modalities):
        return ""
    flags = int(got.found[-1]) << 1 | int(got.modalities[-1]) << 2
    entry, similar = int(got.entries[-1]), int(got.best[-1]) & 0xFFFF_FFFF
    want = [flags, entry & 0xFF, entry >> 8, 0, *(similar >> 8 * byte & 0xFF for byte in range(4))]
    if data[16:24] != want:
        return f"status of the match: expected {want}, got {data[16:24]}"
    if any(data[24:]):
        return f"status bytes 24 to 31: expected 0, got {data[24:]}"
    for modality, name in enumerate(MODALITIES):
        if data[8 * modality] & 3:
            return f"status of {name}: expected an idle liquid, got {data[8 * modality]}"
    return ""


def make_stimulus(
    spec: AssociationSpec, conductances: Sequence[Conductances], seed: int, queries: int
) -> list[Segment]:
    """Segments with no entry, one, some and all of them, for each modality."""
    rng = np.random.default_rng(seed)
    most = spec.entries
    counts = [(most, most), (0, 1), (1, 0), (max(1, most - 1), min(most, spec.match_lanes + 1)), (most, most),
              (min(most, spec.match_lanes), most)]  # fmt: skip
    return [
        make_segment(
            spec, conductances, rng, f"segment {number}, {used} entries", queries=queries, used=used, engine="numpy"
        )
        for number, used in enumerate(counts)
    ]


def directed(spec: AssociationSpec, stimulus: Sequence[Segment], model: NativeModel, tally: Tally | None = None) -> str:
    """Run a stimulus on a fresh model; the first difference in words, empty if there is none.

    Loads come in any order. Every third segment has a reset in front, the others meet the state of the one before.
    """
    model.run({"rst": [0, 1, 1, 0]})
    idle = model.run({"rst": 0, "i_events__valid": np.zeros(4, np.int64)})
    for name in ("vision_component_valid", "audio_component_valid", "similarity_valid", "match_valid", "match_found"):
        if idle[name].any():
            return f"{name} after rst: expected 0"
    if not idle["i_events__ready"].all():
        return "i_events__ready after rst: expected 1"
    # without entries nothing is found, whatever the weights of a chip that was not loaded
    untouched = play(model, spec, stimulus[0].words, stimulus[0].samples, (0, 0))
    if len(untouched.found) != sum(stimulus[0].samples) or untouched.found.any():
        return f"queries after rst: expected none to find an entry, got {untouched.found.tolist()}"
    for number, segment in enumerate(stimulus):
        if number % 3 == 2:
            model.run({"rst": [0, 1, 1, 0]})
        load_registers(model, segment.writes, number)
        # without the enable nothing is written
        address, data = np.array(segment.writes[-64:], np.int64).T
        model.run({"write_address": address, "write_data": ~data & 0xFF, "write_enable": 0})
        got = play(model, spec, segment.words, segment.samples, segment.used)
        failed, text = difference(got, segment, spec)
        if tally is not None:
            tally.add(sum(segment.samples), failed, text)
        if text := text or _status(model, got):
            return text if text.startswith(segment.name) else f"{segment.name}: {text}"
    return ""


def small_conductances(spec: AssociationSpec, seed: int) -> tuple[Conductances, Conductances]:
    """Macros of a small chip, with all codes and ADCs of every kind."""
    rng = np.random.default_rng(seed)
    images = []
    for crossbar in spec.crossbars:
        gain = rng.integers(1, crossbar.gain_max + 1, crossbar.image_adcs)
        offset = rng.integers(-crossbar.offset_max - 1, crossbar.offset_max + 1, crossbar.image_adcs)
        codes = rng.integers(0, crossbar.code_max + 1, (crossbar.image_rows, crossbar.columns))
        images.append(Conductances.of(crossbar, codes, adc_gain=gain, adc_offset=offset))
    return images[0], images[1]


def check_directed(spec: AssociationSpec, seed: int, *, queries: int = 3) -> Check:
    """Run the stimulus of the mutation campaign on the design itself."""
    conductances = small_conductances(spec, seed)
    bench = AssociationBench(spec, conductances)
    tally = Tally()
    with bench.model() as model:
        text = directed(spec, make_stimulus(spec, conductances, seed, queries), model, tally)
    if text and not tally.first:
        tally.first = text
    return tally.check(
        f"{spec.name}: loads, reset, status, steps of both modalities in any order (seed {seed})",
        f"directed_queries__spec:{spec.name}", QUERIES, at_least=1,
    )  # fmt: skip


def check_volume(
    bench: AssociationBench,
    conductances: Sequence[Conductances],
    seed: int,
    queries: int,
    *,
    advance: Advance | None = None,
) -> Check:
    """Compare hardware and golden model over at least `queries` random queries in several loads."""
    spec, rng, tally = bench.spec, np.random.default_rng(seed), Tally(advance)
    each = max(1, -(-queries // 8))
    for number in range(4):
        used = (spec.entries, spec.entries) if number % 2 == 0 else tuple(rng.integers(1, spec.entries + 1, 2).tolist())
        segment = make_segment(spec, conductances, rng, f"load {number}", queries=each, used=(used[0], used[1]))
        got = bench.run(segment.writes, segment.words, segment.samples, segment.used)
        tally.add(2 * each, *difference(got, segment, spec))
    return tally.check(
        f"{spec.name}: random projections and entries against the golden model (seed {seed})",
        f"random_queries__spec:{spec.name}", QUERIES, at_least=queries,
    )  # fmt: skip


def check_mutants(
    spec: AssociationSpec, seed: int, count: int, *, threads: int = 2, advance: Advance | None = None
) -> tuple[Check, mutation.CampaignResult]:
    """Mutate the stages that are this chip's own `count` times and run `directed` on every mutant."""
    from hw.common.export import to_rtlil
    from hw.lsm_crossbar.association import Association as Hardware

    rng = np.random.default_rng(seed)
    conductances = small_conductances(spec, seed)
    stimulus = make_stimulus(spec, conductances, seed, 3)
    images = tuple(macro_image(image, words=True) for image in conductances)
    result = mutation.run_campaign(
        to_rtlil(Hardware(spec=spec, images=images), spec.name), spec.name,
        lambda model: not directed(spec, stimulus, model), count=count, rng=rng, clock="clk", threads=threads,
        advance=advance, skip=[f"crossbar_{modality}" for modality in MODALITIES],
        loaded=[
            mutation.Loaded(stage, loaded.registers, partial(prove_stage_loaded, spec, stage))
            for stage, loaded in loaded_stages(spec).items()
        ],
    )  # fmt: skip
    return mutation_check(spec.name, seed, count, result), result


def check_proofs(spec: AssociationSpec, *, advance: Advance | None = None) -> tuple[Check, tuple[Proof, ...]]:
    """Run all proofs of `flows.formal.association` for a spec."""
    proofs = tuple(prove_association(spec, advance=advance))
    return proof_check(spec.name, proofs), proofs


def verify_design(design: Design, journal: Journal, options: VerificationOptions) -> VerificationReport:
    """Verify the generated hardware of an association chip.

    Volume runs on the macros of the trained model, or of the seed where there is none; directed stimulus and mutants
    are those of small chips, with dot products and with signs.

    Parameters
    ----------
    design : Design
    journal : Journal
        Shows the steps as they run; receives every check as soon as it is known.
    options : VerificationOptions

    Raises
    ------
    ValueError
        If an option is for another kind of chip.
    """
    spec, seed, queries = design.spec, options.seed, options.crossings or design.crossings
    if options.vectors:
        raise ValueError(f"published vectors are for an encoder; {spec.name} is none")
    if options.recordings is not None:
        raise ValueError(f"--recordings are those of one crossbar; {spec.name} has two")
    model = trained_association(spec, options.weights)
    conductances: Sequence[Conductances]
    conductances = [draw(crossbar, seed) for crossbar in spec.crossbars] if model is None else model.conductances
    run = VerificationRun(spec, seed, journal)
    if options.proofs:
        run.prove(proof_count(spec), lambda advance: check_proofs(spec, advance=advance))
    with journal.step(f"{spec.name}: Amaranth to Verilog to simulator"):
        bench = AssociationBench(spec, conductances)
    with journal.step(f"{spec.name}: random projections and entries", total=queries) as advance:
        check = check_volume(bench, conductances, seed, queries, advance=advance)
    run.note(check)
    for small in (small_chip(), small_binary()):
        with journal.step(f"{small.name}: loads, reset, status, steps in any order"):
            check = check_directed(small, seed)
        run.note(check)
    mutated, mutants = small_chip(), options.mutants
    run.mutate(mutated.name, mutants, lambda advance: check_mutants(mutated, seed, mutants, advance=advance))
    return run.report()
