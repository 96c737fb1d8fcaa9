"""`liquidcal verify` of a concentrator: hardware against the golden model, published vectors, proofs and mutants.

Expected values come from the golden model or from published vectors, never from hardware.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check, Journal
from flows.designs.design import Design
from flows.formal.concentrator import control_width, proof_count, prove_concentrator, prove_quiet
from flows.formal.solver import Proof
from flows.simulation.concentrator import ConcentratorBench, concentrator_latencies, concentrator_verilog, stream
from flows.simulation.native import NativeModel
from flows.simulation.serial_chip import SerialBench
from flows.verification import mutation
from flows.verification.bench import Tally, VerificationRun
from flows.verification.concentrator_stimulus import (
    CAMPAIGN,
    ConcentratorSegment,
    campaign_segments,
    concentrator_segments,
    random_spec,
)
from flows.verification.options import VerificationOptions
from flows.verification.result import Advance, VerificationReport, mutation_check, proof_check
from flows.verification.serial import check_serial_traffic, check_serial_vectors
from hw.hgcal_encoder.formatter import COUNT_WIDTH
from sim.hgcal_encoder.algorithms.concentrator_model import load_concentrator_settings
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS

__all__ = ["check_mutants", "check_proofs", "check_vectors", "check_volume", "play", "verify_design"]

CROSSINGS = "bunch crossings"
_SERIAL_SHARE = 20
"""Random crossings for one of serial traffic: the golden model of the links is slow."""
_ROWS = 512
"""Crossings of a segment: several fillings of the buffer."""


def _difference(got: npt.NDArray[np.uint32], expected: npt.NDArray[np.uint32], where: str) -> tuple[int, str]:
    wrong = (got != expected).any(axis=1)
    if not wrong.any():
        return 0, ""
    row = int(np.argmax(wrong))
    word = int(np.argmax(got[row] != expected[row]))
    return int(wrong.sum()), (
        f"{where}: crossing {row}, eTx {word}: expected {int(expected[row, word]):08x}, got {int(got[row, word]):08x}"
    )


def check_volume(bench: ConcentratorBench, seed: int, crossings: int, *, advance: Advance | None = None) -> Check:
    """Compare hardware and golden model over at least `crossings` random bunch crossings."""
    spec, rng = bench.design.spec, np.random.default_rng(seed)
    tally = Tally(advance)
    for segment in concentrator_segments(spec, rng, -(-crossings // _ROWS), _ROWS):
        with bench.model(1 + tally.compared % 1000) as model:
            bench.load(model, segment.settings.registers(spec))
            got = stream(
                model, bench.design.latencies[segment.settings.alg_type], segment.words, segment.bx,
                link_reset=segment.link_reset,
            )  # fmt: skip
        tally.add(len(got), *_difference(got, segment.frames, segment.name))
    return tally.check(
        f"{spec.name}: random crossings against the golden model (seed {seed})",
        f"random_crossings__spec:{spec.name}", CROSSINGS, at_least=crossings,
    )  # fmt: skip


def check_vectors(bench: ConcentratorBench, words: Path, settings: Path, frames: Path) -> Check:
    """Compare hardware with published frames, for published words and settings.

    Raises
    ------
    ValueError
        If the files have different numbers of crossings.
    """
    spec = bench.design.spec
    given, expected = read_words(words), read_frames(frames).astype(np.uint32)
    if len(given) != len(expected):
        raise ValueError(f"{words} holds {len(given)} crossings, {frames} {len(expected)}")
    got = bench.frames(given, load_concentrator_settings(settings, spec).registers(spec))
    tally = Tally()
    tally.add(len(given), *_difference(got, expected, frames.name))
    return tally.check(
        f"published vectors: {frames.parent.name}/{frames.name}",
        f"published_vectors__file:{frames.parent.name}_{frames.stem}", CROSSINGS,
    )  # fmt: skip


def _words_of(value: int, bits: int, rows: int) -> npt.NDArray[np.int64]:
    """A setting as a port of the core takes it: one number, or 32-bit words of it, the same for all rows."""
    if bits <= 62:
        return np.full(rows, value)
    words = [value >> 32 * place & 0xFFFF_FFFF for place in range(-(-bits // 32))]
    return np.broadcast_to(np.array(words), (rows, len(words)))


def play(
    spec: ConcentratorSpec,
    segments: list[ConcentratorSegment],
    model: NativeModel,
    advance: Advance | None = None,
) -> str:
    """Run segments on a fresh model of a core, each after a reset; the first difference in words, empty if none."""
    latencies = concentrator_latencies(spec)
    for segment in segments:
        latency = latencies[segment.settings.alg_type]
        rows = len(segment.words) + latency
        static = {
            name: _words_of(value, spec.settings[name], rows)
            for name, value in segment.settings.registers(spec).items()
        }
        # asynchronous reset is seen at its edge, whatever state the model started from
        cleared = model.run({"rst": [0, 1, 1]})
        if cleared["frames"][-1].any() or np.any(cleared["overflow"][-1]):
            return f"{segment.name}: what is sent in reset"
        # words on the pins that do not run: nothing of them may come out, nor of what the reset left in the pipeline
        idle = {name: np.resize(values, (2 * latency, *values.shape[1:])) for name, values in static.items()}
        resting = model.run({"words": np.resize(segment.words, (2 * latency, ERX_WORDS)), **idle})
        sent = resting["frames"].astype(np.uint32)
        if (sent[-1] != _idle(spec, segment, 31)).any() or np.any(resting["overflow"]):
            return f"{segment.name}: what is sent while nothing runs"
        early = (_idle(spec, segment, 31), _idle(spec, segment, 0), np.zeros(ETX_WORDS, np.uint32))
        if not np.logical_or.reduce([(sent == words).all(axis=1) for words in early]).all():
            return f"{segment.name}: what is sent after the reset"
        overflow = np.zeros(len(segment.words), np.bool_)
        got = stream(
            model, latency, segment.words, segment.bx, link_reset=segment.link_reset, static=static, overflow=overflow
        )  # fmt: skip
        if advance is not None:
            advance(len(got))
        if text := _difference(got, segment.frames, segment.name)[1]:
            return text
        if (overflow != segment.overflow).any():
            return f"{segment.name}: overflow of crossing {int(np.argmax(overflow != segment.overflow))}"
    return ""


def _idle(spec: ConcentratorSpec, segment: ConcentratorSegment, counter: int) -> npt.NDArray[np.uint32]:
    """eTx words of a crossing with an empty buffer."""
    word = counter << 11 | segment.settings.idle_pattern
    on = segment.settings.active_etxs & ((1 << spec.etx_links) - 1)
    return np.array([(word << 16 | word) * (on >> link & 1) for link in range(13)], np.uint32)


class BeforeBuffer(mutation.Loaded):
    """Reset values of the pipeline in front of the buffer: `run` is 0 there after a reset, and travels with the rest.

    The proof says that a packet with `run` 0 changes nothing in the buffer, and shows nowhere. Registers of the widths
    of the buffer's own state and of the outputs are left out, and so is the bit of `run`.
    """

    def __init__(self) -> None:
        super().__init__("pipeline_register", None, lambda: prove_quiet(CAMPAIGN, 60.0))

    def covers(self, mutant: mutation.Mutant, top: str) -> bool:
        """Whether the proof says that a mutant is equivalent."""
        found = re.fullmatch(rf"{top}_pipeline_register_(\d+)", mutant.module)
        if found is None or int(found[1]) in _OWN_WIDTHS or mutant.bit == int(found[1]) - 1:
            return False
        return super().covers(mutant, top)


_OWN_WIDTHS = {control_width(CAMPAIGN.buffer_rows), COUNT_WIDTH, 32 * CAMPAIGN.etx_links, 1}
"""Widths of registers in the buffer and behind it."""


def check_mutants(
    seed: int, count: int, *, rows: int = 96, threads: int = 2, advance: Advance | None = None
) -> tuple[Check, mutation.CampaignResult]:
    """Mutate the core of `CAMPAIGN` `count` times and run `play` on every mutant.

    What does not show is proved equivalent in its module or stage, or survives: the kill rate is a lower bound.
    """
    from hw.common.export import to_rtlil
    from hw.hgcal_encoder.concentrator_core import ConcentratorCore

    rng = np.random.default_rng(seed)
    segments = campaign_segments(CAMPAIGN, rng, rows)
    result = mutation.run_campaign(
        to_rtlil(ConcentratorCore(spec=CAMPAIGN), CAMPAIGN.name), CAMPAIGN.name,
        lambda model: not play(CAMPAIGN, segments, model), count=count, rng=rng, clock="clk", threads=threads,
        advance=advance, loaded=[BeforeBuffer()], prove_whole=False,
    )  # fmt: skip
    return mutation_check(CAMPAIGN.name, seed, count, result), result


def check_proofs(spec: ConcentratorSpec, *, advance: Advance | None = None) -> tuple[Check, tuple[Proof, ...]]:
    """Run all proofs of `flows.formal.concentrator` for a spec."""
    proofs = tuple(prove_concentrator(spec, advance=advance))
    return proof_check(spec.name, proofs), proofs


def verify_design(design: Design, journal: Journal, options: VerificationOptions) -> VerificationReport:
    """Verify the generated hardware of a concentrator; each random spec runs a tenth of the crossings.

    Parameters
    ----------
    design : Design
    journal : Journal
        Shows the steps as they run; receives every check as soon as it is known.
    options : VerificationOptions

    Raises
    ------
    ValueError
        If an option is for a crossbar.
    """
    spec, seed, crossings = design.spec, options.seed, options.crossings or design.crossings
    if options.recordings is not None or options.weights is not None:
        raise ValueError(f"recordings and weights to verify with are for a crossbar; {spec.name} is none")
    run = VerificationRun(spec, seed, journal)

    def bench_of(built: ConcentratorSpec) -> ConcentratorBench:
        with journal.step(f"{built.name}: Amaranth to Verilog to simulator"):
            return ConcentratorBench(concentrator_verilog(built))

    def volume(bench: ConcentratorBench, seed_: int, count: int) -> Check:
        with journal.step(f"{bench.design.spec.name}: random crossings", total=count) as advance:
            return check_volume(bench, seed_, count, advance=advance)

    if options.proofs:
        run.prove(proof_count(spec), lambda advance: check_proofs(spec, advance=advance))
    bench = bench_of(spec)
    run.note(volume(bench, seed, crossings))
    for words, settings, frames in options.vectors:
        with journal.step(f"{frames.name}: published vectors"):
            check = check_vectors(bench, words, settings, frames)
        run.note(check)
    if options.serial:
        with journal.step(f"{spec.name}_CHIP: Amaranth to Verilog to simulator"):
            whole = SerialBench(spec)
        rows = max(1, crossings // _SERIAL_SHARE)
        with journal.step(f"{spec.name}_CHIP: serial traffic", total=rows) as advance:
            check = check_serial_traffic(whole, seed, rows, advance=advance)
        run.note(check)
        for words, settings, frames in options.vectors:
            with journal.step(f"{frames.name}: published vectors, serial to serial"):
                check = check_serial_vectors(whole, words, settings, frames, seed=seed)
            run.note(check)
    for number in range(options.random_specs):
        drawn = random_spec(np.random.default_rng((seed, number)), f"RANDOM_{number}")
        run.note(volume(bench_of(drawn), seed + number, max(1, crossings // 10)))
    mutants = options.mutants
    run.mutate(CAMPAIGN.name, mutants, lambda advance: check_mutants(seed, mutants, advance=advance))
    return run.report()
