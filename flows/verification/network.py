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
from flows.verification import mutation
from flows.verification.bench import Tally, VerificationRun, decoy_writes, load_registers
from flows.verification.options import VerificationOptions
from flows.verification.result import Advance, VerificationReport, mutation_check
from hw.common.export import to_rtlil
from hw.common.scheme import Scheme
from hw.network.network import Network
from sim.fixed_point import IntArray
from sim.network.example_specs import campaign_spec
from sim.network.model import Network as GoldenNetwork
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights

__all__ = ["LOADS", "check_mutants", "check_volume", "samples", "verify_design"]

LOADS = 4
"""Sets of weights that share the samples."""


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
