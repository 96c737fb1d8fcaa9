"""`liquidcal verify` for a network: its RTL against the golden model, under weights that change, and mutants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from flows.common.journal import Check, Journal
from flows.designs.design import Design
from flows.designs.network import NetworkDesign
from flows.simulation.native import NativeModel
from flows.simulation.network import NetworkBench
from flows.simulation.network_chip import NetworkChipBench
from flows.verification import mutation
from flows.verification.bench import Tally, VerificationRun, decoy_writes, load_registers
from flows.verification.options import VerificationOptions
from flows.verification.result import Advance, VerificationReport, mutation_check
from hw.common.export import to_rtlil
from hw.common.loader import LoadStatus
from hw.common.scheme import Scheme
from hw.network.network import Network
from sim.chip_driver import LoadError
from sim.chip_registers import LOAD_BEGIN, Loading
from sim.fixed_point import IntArray
from sim.network.example_specs import campaign_spec
from sim.network.model import Network as GoldenNetwork
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights

__all__ = ["LOADS", "check_loading", "check_mutants", "check_volume", "samples", "verify_design"]

LOADS = 4
"""Sets of weights that share the samples."""
_TURNS = 251
"""Samples that come in turn while an image is loaded: a prime, so that the bus meets them in every phase."""


def samples(spec: NetworkSpec, count: int, rng: np.random.Generator) -> IntArray:
    """Codes of samples: one in eight at the ends of the range, one in eight sparse, the others anywhere in it."""
    size = spec.tensors[INPUT].size
    low, high = spec.input.min_code, spec.input.max_code
    found = rng.integers(low, high + 1, (count, size))
    ends = rng.choice([low, high, 0], (count, size))
    found[::8] = ends[::8]
    found[1::8] = np.where(rng.random((count, size)) < 0.1, found, 0)[1::8]
    return found


@dataclass(frozen=True, eq=False)
class _Segment:
    """Samples under one set of weights."""

    weights: NetworkWeights
    codes: IntArray
    expected: IntArray


def _segments(spec: NetworkSpec, first: NetworkWeights | None, loads: int, count: int, seed: int) -> Iterator[_Segment]:
    rng = np.random.default_rng(seed)
    for number in range(loads):
        weights = first if number == 0 and first is not None else NetworkWeights.random(spec, rng)
        codes = samples(spec, -(-count // loads), rng)
        yield _Segment(weights, codes, GoldenNetwork(weights).codes(codes))


def play(bench: NetworkBench, segment: _Segment, number: int, model: NativeModel, tally: Tally) -> None:
    """Load and run one segment; after some writes that must not matter, bytes in an order that changes."""
    spec = bench.spec
    if bench.loaded:
        writes = segment.weights.writes()
        if number % 2:
            bits = next(port.width for port in bench.ports if port.name == "write_address")
            model.run(decoy_writes([address for address, _ in writes], bits, number))
        load_registers(model, writes, number)
    found = bench.stream(model, segment.codes)
    wrong = (found != segment.expected).any(axis=1)
    text = ""
    if wrong.any():
        sample = int(np.argmax(wrong))
        place = int(np.argmax(found[sample] != segment.expected[sample]))
        text = (
            f"load {number}, sample {sample}, output {place}: expected code {segment.expected[sample, place]}, "
            f"got {found[sample, place]}"
        )
    tally.add(len(found), int(wrong.sum()), text and f"{spec.name}: {text}")


def check_volume(
    bench: NetworkBench, weights: NetworkWeights | None, count: int, seed: int, advance: Advance | None = None
) -> Check:
    """Random samples under several sets of weights, the first of them the given one.

    Frozen hardware has one set; all samples run on it, after writes to a port that it does not have were left out.
    """
    tally = Tally(advance)
    with bench.model(seed) as model:
        model.run({"rst": [1, 1, 1]})
        for number, segment in enumerate(_segments(bench.spec, weights, LOADS if bench.loaded else 1, count, seed)):
            play(bench, segment, number, model, tally)
    name = bench.spec.name
    return tally.check(f"{name}: random samples, against the golden model", f"samples__spec:{name}", "samples", count)


def check_loading(bench: NetworkChipBench, weights: NetworkWeights | None, seed: int) -> Check:
    """Two images over I2C while samples stream: each sample sees one of them as a whole, a bad image changes nothing.

    With direct loading samples may see a mix while bytes are written, and are compared before and after.
    """
    spec, rng = bench.spec, np.random.default_rng(seed)
    codes = samples(spec, _TURNS, rng)
    first, second = (weights or NetworkWeights.random(spec, rng)), NetworkWeights.random(spec, rng)
    guarded = bench.loading is Loading.GUARDED
    wrong: list[str] = []
    with bench.model(codes, seed) as model:
        driver = model.driver()
        driver.load(first)
        loaded = model.clocks
        if guarded:
            driver.write("load_command", LOAD_BEGIN)
            driver.write_bytes(dict(second.writes()))
            try:
                driver.commit(0)
                wrong.append("an image with a wrong checksum was taken")
            except LoadError as error:
                if error.status != LoadStatus.CHECKSUM:
                    wrong.append(f"an image with a wrong checksum: {error}")
        model.idle(_TURNS)
        before = model.clocks
        driver.load(second)
        after = model.clocks
        model.idle(_TURNS + bench.latency)
        numbers, seen = model.streamed()
    old, new = ((seen == GoldenNetwork(image).codes(codes)[numbers]).all(axis=1) for image in (first, second))
    clock = np.arange(len(seen))
    same = np.where(clock < before, old, new) | (clock < loaded) | ((clock >= before) & (clock < after))
    if guarded:
        during = np.flatnonzero((clock >= before) & (clock < after))
        switch = int(np.argmin(old[during])) if not old[during].all() else len(during)
        same[during] = np.where(np.arange(len(during)) < switch, old[during], new[during])
    if not same.all():
        wrong.append(f"sample of clock {int(np.argmin(same))}: the result of neither image, or of the other one")
    return Check(
        name=f"{spec.name}: images over I2C, {bench.loading} loading, samples against the golden model",
        passed=not wrong, compared=int((clock >= loaded).sum()), unit="samples", detail="; ".join(wrong),
    )  # fmt: skip


def check_mutants(
    seed: int, count: int, *, threads: int = 2, advance: Advance | None = None
) -> tuple[Check, mutation.CampaignResult]:
    """Mutants of `campaign_spec` under the same stimulus as any network."""
    spec = campaign_spec()
    bench = NetworkBench(spec)
    segments = list(_segments(spec, None, 6, 1200, seed))

    def passes(model: NativeModel) -> bool:
        tally = Tally()
        model.run({"rst": [1, 1, 1]})
        zero = NetworkWeights(
            spec=spec, weights={name: 0 * codes for name, codes in segments[0].weights.weights.items()},
            biases={name: 0 * codes for name, codes in segments[0].weights.biases.items()},
        )  # fmt: skip
        # what reset leaves: all weights zero
        reset = bench.stream(model, segments[0].codes[:50])
        expected = GoldenNetwork(zero).codes(segments[0].codes[:50])
        tally.add(50, int((reset != expected).sum()), "")
        for number, segment in enumerate(segments):
            play(bench, segment, number, model, tally)
            if tally.failed:
                break
        return not tally.failed

    result = mutation.run_campaign(
        to_rtlil(Network(spec=spec), spec.name), spec.name, passes, count=count, rng=np.random.default_rng(seed),
        clock="clk", threads=threads, advance=advance,
    )  # fmt: skip
    return mutation_check(spec.name, seed, count, result), result


def verify_design(design: Design, journal: Journal, options: VerificationOptions) -> VerificationReport:
    """Verify the generated hardware of a network.

    Mutants are those of a small network with the same parts. There are no proofs of whole networks: `proofs` has no
    effect.

    Raises
    ------
    ValueError
        If an option is for another chip.
    """
    spec, count = design.spec, options.crossings or design.crossings
    if options.recordings is not None or options.vectors:
        raise ValueError(f"recordings and published vectors are for other chips; {spec.name} is a network")
    run = VerificationRun(spec, options.seed, journal)
    assert isinstance(design, NetworkDesign)
    frozen = design.weights()
    weights = NetworkWeights.load(options.weights, spec) if options.weights is not None else frozen
    if design.loading is not None:
        with journal.step(f"{design.name}: Amaranth to Verilog to simulator"):
            chip = NetworkChipBench(spec, design.scheme or Scheme.NONE, design.loading)
        with journal.step(f"{design.name}: images over I2C while samples stream"):
            check = check_loading(chip, weights, options.seed)
        run.note(check)
        return run.report()
    with journal.step(f"{design.name}: Amaranth to Verilog to simulator"):
        bench = NetworkBench(spec, frozen, scheme=design.scheme or Scheme.NONE, reuse=design.factor)
    with journal.step(f"{design.name}: random samples", total=count) as advance:
        check = check_volume(bench, weights, count, options.seed, advance)
    run.note(check)
    run.mutate(
        campaign_spec().name, options.mutants,
        lambda advance: check_mutants(options.seed, options.mutants, advance=advance),
    )  # fmt: skip
    return run.report()
