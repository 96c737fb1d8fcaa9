"""`liquidcal verify`: hardware against the golden model, published vectors, proofs and mutants, as typed results.

The stimulus is made here once, and used for volume and for mutation alike, so that the kill rate is a statement about
the bench that users run. Expected values come from the golden model or from published vectors, never from hardware.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check, Journal
from flows.designs.design import Design
from flows.formal.encoder import proof_count, prove_encoder
from flows.formal.solver import Proof
from flows.learning.training import load_start
from flows.simulation.encoder import EncoderBench, EncoderVerilog, encoder_verilog
from flows.simulation.native import NativeModel
from flows.verification import mutation
from flows.verification.bench import Tally, VerificationRun, decoy_writes, load_registers
from flows.verification.encoder_stimulus import Segment, Stimulus, make_stimulus, segments, start_frames
from flows.verification.options import VerificationOptions
from flows.verification.result import Advance, VerificationReport, mutation_check, proof_check
from sim.fixed_point import IntArray
from sim.hgcal_encoder.configuration.registers import ADDRESS_WIDTH, register_map, register_writes
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.example_specs import campaign_spec, random_spec
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.front_end import sent_codes
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.training_images import PLAIN, simulate_images
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import HEADER, pack

__all__ = [
    "check_directed",
    "check_mutants",
    "check_proofs",
    "check_vectors",
    "check_volume",
    "check_weights",
    "play",
    "verify_design",
]

CROSSINGS = "bunch crossings"
SHOWERS = 0.001
"""Size of the simulated set that runs through weights of one's own, some thousand modules."""


def _difference(got: npt.NDArray[np.uint32], expected: npt.NDArray[np.uint32], where: str) -> tuple[int, str]:
    wrong = (got != expected).any(axis=1)
    if not wrong.any():
        return 0, ""
    row = int(np.argmax(wrong))
    word = int(np.argmax(got[row] != expected[row]))
    return int(wrong.sum()), (
        f"{where}: crossing {row}, eTx {word}: expected {int(expected[row, word]):08x}, got {int(got[row, word]):08x}"
    )


def check_volume(
    bench: EncoderBench, seed: int, crossings: int, *, threads: int = 2, advance: Advance | None = None
) -> Check:
    """Compare hardware and golden model over at least `crossings` random bunch crossings."""
    spec, rng = bench.design.spec, np.random.default_rng(seed)
    tally = Tally(advance)
    base = segments(spec, rng, 14, 256)
    per_segment = max(1, -(-crossings // len(base)))
    for segment in base:
        # the stimulus repeats in another order: neighbours in time differ, expected frames cost no second model run
        order = rng.integers(0, len(segment.words), per_segment)
        order[0] = 0
        words = segment.words[order]
        frames = Encoder(spec, segment.weights, segment.settings, engine="numba").frames(words)
        got = bench.frames(words, segment.settings, segment.weights, threads=threads, seed=1 + tally.compared % 1000)
        tally.add(len(words), *_difference(got, frames, segment.name))
    return tally.check(
        f"{spec.name}: random crossings against the golden model (seed {seed})",
        f"random_crossings__spec:{spec.name}", CROSSINGS, at_least=crossings,
    )  # fmt: skip


def check_vectors(bench: EncoderBench, words: Path, settings: Path, frames: Path, *, threads: int = 1) -> Check:
    """Compare hardware with published frames, for published words and settings.

    Raises
    ------
    ValueError
        If the settings file carries no weights, or the files have different numbers of crossings.
    """
    configuration, weights = load_settings(settings, bench.design.spec)
    if weights is None:
        raise ValueError(f"{settings}: carries no weights")
    given, expected = read_words(words), read_frames(frames).astype(np.uint32)
    if len(given) != len(expected):
        raise ValueError(f"{words} holds {len(given)} crossings, {frames} {len(expected)}")
    got = bench.frames(given, configuration, weights, threads=threads)
    tally = Tally()
    tally.add(len(given), *_difference(got, expected, frames.name))
    return tally.check(
        f"published vectors: {frames.parent.name}/{frames.name}", f"published_vectors__file:{frames.stem}", CROSSINGS
    )


def check_weights(
    bench: EncoderBench, name: str, weights: TrainedModel | Weights, seed: int, *, threads: int = 2,
    advance: Advance | None = None,
) -> Check:  # fmt: skip
    """Compare hardware and golden model on simulated modules, with weights of one's own.

    Parameters
    ----------
    bench : EncoderBench
    name : str
        Of the weights, for the check.
    weights : TrainedModel or Weights
        Of the bench's network. A model brings its multiplexer, links and sent bits.
    seed : int
        Of showers and their order.
    """
    spec = bench.design.spec
    settings = Settings(spec=spec, high_density=PLAIN.high_density)
    if isinstance(weights, TrainedModel):
        settings = replace(
            settings, select=weights.multiplexer, etx_count=weights.elinks, keep_mask=weights.keep_mask
        )  # fmt: skip
        weights = weights.weights
    # multipliers that are shared change no result, and a model may be of a spec without
    weights = replace(weights, spec=spec)
    charges = simulate_images(seed=seed, scale=SHOWERS, plain=1.0).images.charges.astype(np.int64)
    words = pack(sent_codes(np.random.default_rng(seed).permutation(charges), settings), spec.word_order)
    frames = Encoder(spec, weights, settings, engine="numba").frames(words)
    tally = Tally()
    got = bench.frames(words, settings, weights, threads=threads, seed=seed, advance=advance)
    tally.add(len(words), *_difference(got, frames, name))
    return tally.check(
        f"{spec.name}: showers with the weights of {name} against the golden model (seed {seed})",
        f"own_weights__spec:{spec.name}", CROSSINGS,
    )  # fmt: skip


def play(design: EncoderVerilog, stimulus: Stimulus, model: NativeModel, advance: Advance | None = None) -> str:
    """Run a stimulus on a fresh model; the first difference in words, empty if there is none.

    First the reset values: frames from the first clock after reset on, and crossings before anything is written. Then
    segments, each after a reset and a load; writes come ascending, descending and shuffled, so that a byte that
    listens to another's address shows whichever is written last, and every fourth load is followed by writes that must
    not matter. Then masks and numbers of links, rewritten while crossings flow. Last the reset values again, now that
    every register has held something else.
    """
    spec = design.spec
    bench = EncoderBench.__new__(EncoderBench)
    bench.design = design
    reset = stimulus.reset
    # the first crossing after reset is number 0 whatever its header
    first = np.repeat(reset.words[:1].astype(np.uint32), design.latency + 1, axis=0)
    first[:, 0] = (first[:, 0] & np.uint32(0x0FFF_FFFF)) | np.uint32(HEADER << 28)
    start = np.concatenate([start_frames(design), reset.frames[:1]])

    def stream(segment: Segment) -> str:
        got = bench.stream(model, segment.words.astype(np.uint32), 0)
        if advance is not None:
            advance(len(got))
        return _difference(got, segment.frames, segment.name)[1]

    def from_reset(where: str) -> str:
        model.run({"rst": [0, 1, 1]})  # asynchronous reset is seen at its edge, whatever state the model started from
        _, text = _difference(model.run({"words": first})["frames"].astype(np.uint32), start, where)
        if not text:
            model.run({"rst": [0, 1, 1]})
            text = stream(reset)
        return text

    def load(segment: Segment, number: int) -> None:
        model.run({"rst": [0, 1, 1]})
        load_registers(model, register_writes(spec, segment.settings, segment.weights), number)

    if text := from_reset("first frames after reset"):
        return text
    for number, segment in enumerate(stimulus.segments):
        load(segment, number)
        if number % 4 == 0:
            model.run(_decoys(spec, number))
        if text := stream(segment):
            return text
    for number, sweep in enumerate(stimulus.sweeps):
        load(sweep.base, number)
        tail = {name: np.concatenate([rows, rows[-1:].repeat(design.latency, axis=0)])
                for name, rows in sweep.stimulus.items()}  # fmt: skip
        got = model.run(tail)["frames"][sweep.rows + design.latency].astype(np.uint32)
        if advance is not None:
            advance(len(got))
        _, text = _difference(got, sweep.frames, sweep.base.name)
        if text:
            return text
    return from_reset("first frames after reset of a loaded encoder")


def check_directed(bench: EncoderBench, seed: int, *, advance: Advance | None = None) -> Check:
    """Run the stimulus of the mutation campaign on a design: reset, decoy writes, sums, single cells, masks, links."""
    spec, rng = bench.design.spec, np.random.default_rng(seed)
    tally = Tally(advance)
    stimulus = make_stimulus(spec, rng, bench.design.latency, 40, 28)
    with bench.model() as model:
        tally.first = play(bench.design, stimulus, model, tally.add)
    return tally.check(
        f"{spec.name}: directed crossings against the golden model (seed {seed})",
        f"directed_crossings__spec:{spec.name}", CROSSINGS,
    )  # fmt: skip


def _decoys(spec: EncoderSpec, seed: int) -> dict[str, IntArray]:
    mapped = (field.address + byte for field in register_map(spec) for byte in range(field.size))
    return decoy_writes(mapped, ADDRESS_WIDTH, seed)


def check_mutants(
    spec: EncoderSpec,
    seed: int,
    count: int,
    *,
    isolation: bool = False,
    rows: int = 40,
    threads: int = 2,
    advance: Advance | None = None,
) -> tuple[Check, mutation.CampaignResult]:
    """Mutate the encoder `count` times and run `play` on every mutant, on its own seed of the same stimulus."""
    from hw.common.export import to_rtlil
    from hw.hgcal_encoder.encoder import Encoder as Hardware

    rng = np.random.default_rng(seed)
    component = Hardware(spec=spec, isolation=isolation)
    stimulus = make_stimulus(spec, rng, component.latency, rows, 84)
    design = EncoderVerilog(spec=spec, verilog="", top=spec.name, latency=component.latency)
    result = mutation.run_campaign(
        to_rtlil(component, spec.name), spec.name, lambda model: not play(design, stimulus, model), count=count,
        rng=rng, clock="clk", threads=threads, advance=advance,
    )  # fmt: skip
    return mutation_check(spec.name, seed, count, result), result


def check_proofs(
    spec: EncoderSpec, *, threads: int = 2, advance: Advance | None = None
) -> tuple[Check, tuple[Proof, ...]]:
    """Run all proofs of `flows.formal.encoder` for a spec."""
    proofs = tuple(prove_encoder(spec, threads=threads, advance=advance))
    return proof_check(spec.name, proofs), proofs


def verify_design(design: Design, journal: Journal, options: VerificationOptions) -> VerificationReport:
    """Verify the generated hardware of an encoder.

    Mutants are those of `campaign_spec`, which builds in a minute and has the same stages; each random spec runs a
    tenth of the crossings.

    Parameters
    ----------
    design : Design
    journal : Journal
        Shows the steps as they run; receives every check as soon as it is known.
    options : VerificationOptions

    Raises
    ------
    ValueError
        If an option is for a crossbar, or the weights are of another network.
    """
    spec, seed, crossings = design.spec, options.seed, options.crossings or design.crossings
    if options.recordings is not None:
        raise ValueError(f"recordings to verify with are for a crossbar; {spec.name} is none")
    own = {} if options.weights is None else {options.weights.name: load_start(str(options.weights), spec)}
    isolation = bool(design.variant().get("isolation"))
    run = VerificationRun(spec, seed, journal)

    def bench_of(built: EncoderSpec) -> EncoderBench:
        with journal.step(f"{built.name}: Amaranth to Verilog to simulator"):
            return EncoderBench(encoder_verilog(built, isolation=isolation))

    def volume(bench: EncoderBench, seed_: int, count: int) -> Check:
        with journal.step(f"{bench.design.spec.name}: random crossings", total=count) as advance:
            return check_volume(bench, seed_, count, advance=advance)

    if options.proofs:
        run.prove(proof_count(spec), lambda advance: check_proofs(spec, advance=advance))
    bench = bench_of(spec)
    run.note(volume(bench, seed, crossings))
    with journal.step(f"{spec.name}: directed crossings") as advance:
        check = check_directed(bench, seed, advance=advance)
    run.note(check)
    for name, weights in own.items():
        with journal.step(f"{spec.name}: showers with the weights of {name}") as advance:
            check = check_weights(bench, name, weights, seed, advance=advance)
        run.note(check)
    for words, settings, frames in options.vectors:
        with journal.step(f"{frames.name}: published vectors"):
            check = check_vectors(bench, words, settings, frames)
        run.note(check)
    for number in range(options.random_specs):
        drawn = random_spec(np.random.default_rng((seed, number)), f"RANDOM_{number}")
        run.note(volume(bench_of(drawn), seed + number, max(1, crossings // 10)))
    mutated, mutants = campaign_spec(), options.mutants
    run.mutate(
        mutated.name, mutants,
        lambda advance: check_mutants(mutated, seed, mutants, isolation=isolation, advance=advance),
    )  # fmt: skip
    return run.report()
