"""Step: upsets in the flip-flops of a running chip, by one or both engines, judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.campaign.campaign import ENGINES, Job, run_campaign, summarise, write_outcomes
from flows.common.journal import Check, Journal, origin
from flows.designs.design import Design
from hw.common.scheme import Scheme
from sim.files import replacing
from sim.hgcal_encoder.configuration.chip_registers import Loading

__all__ = ["CampaignOptions", "inject_faults"]


@dataclass(frozen=True, kw_only=True)
class CampaignOptions:
    """Which faults, by which engine.

    Attributes
    ----------
    engine : str
        ``rtl``, ``netlist`` or ``both``.
    limit : int or None
        Faults at most; None: every weight, setting and control bit.
    seed : int
        Of showers, modules and faults.
    scheduler : str or None
        Address of a Dask scheduler; None: processes on this machine.
    workers : int or None
        Processes on this machine; None: one per core.

    Raises
    ------
    ValueError
        An unknown engine.
    """

    engine: str = "rtl"
    limit: int | None = None
    seed: int = 1
    scheduler: str | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.engine not in (*ENGINES, "both"):
            raise ValueError(f"engine: expected {', '.join(ENGINES)} or both, got {self.engine}")

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines that run."""
        return tuple(ENGINES) if self.engine == "both" else (self.engine,)


def inject_faults(
    design: Design, folder: Path, journal: Journal, options: CampaignOptions | None = None
) -> dict[Path, dict[str, Any]]:
    """Run campaigns on a whole chip; finished parts are kept in the folder, an interrupted campaign goes on there.

    Parameters
    ----------
    design : Design
        A protected one.
    folder : Path
        Result folder of the plain design: campaigns of all variants lie side by side.
    journal : Journal
        Receives the verdict: a protected chip corrects every single upset.
    options : CampaignOptions, optional

    Returns
    -------
    dict of Path to dict
        Summary of each engine by its file.

    Raises
    ------
    ValueError
        The design is not protected, or clock gates are asked of the RTL, which has none.
    """
    options = options or CampaignOptions()
    if "campaign" in design.rooms:
        return dict(
            design.room("campaign").inject_upsets(
                design, folder, journal, engine=options.engine, limit=options.limit, seed=options.seed
            )
        )
    if not design.protected:
        raise ValueError(f"{design.name}: a campaign is for a whole chip with protected registers, see --scheme")
    if design.clock_gating and options.engine == "rtl":
        raise ValueError("the RTL has no clock gates: expected engine netlist or both")
    found, variant = {}, design.variant()
    if variant.get("isolation") and options.engine != "netlist":
        raise ValueError("the hooks of the RTL are at flip-flops, and isolation is latches: expected engine netlist")
    for engine in options.engines:
        job = Job(
            spec=design.spec, scheme=Scheme(variant["scheme"]), loading=Loading(variant["loading"]), engine=engine,
            clock_gating=design.clock_gating and engine == "netlist", isolation=variant.get("isolation", False),
            seed=options.seed,
        )  # fmt: skip
        path = folder / f"{_stem(job, options.limit)}.json"
        found[path] = summary = _run(job, path, journal, options)
        _judge(job, summary, journal)
    return found


def _stem(job: Job, limit: int | None) -> str:
    stem = f"campaign-{job.engine}-{job.scheme}-{job.loading}" + ("-gated" if job.clock_gating else "")
    stem += "-isolated" if job.isolation else ""
    stem += f"-reuse{job.spec.reuse}" if job.spec.reuse > 1 else ""
    return stem + (f"-{limit}" if limit is not None else "")


def _run(job: Job, path: Path, journal: Journal, options: CampaignOptions) -> dict[str, Any]:
    """Run one engine; summary and outcomes beside each other."""
    with ExitStack() as steps:
        building = steps.enter_context(ExitStack())
        building.enter_context(journal.step(f"{job.engine}, {job.scheme}: chip, stimulus and faults"))

        def begin(count: int) -> Callable[[int], None]:
            building.close()
            return steps.enter_context(journal.step(f"{count:,} faults, {job.engine}, {job.scheme}", count))

        found = run_campaign(
            job, path.with_suffix(""), limit=options.limit, scheduler=options.scheduler, workers=options.workers,
            begin=begin,
        )  # fmt: skip
    summary: dict[str, Any] = summarise(found) | {"origin": origin()}
    write_outcomes(found, path.with_suffix(".npz"))
    with replacing(path) as file:
        json.dump(summary, file, indent=1)
        file.write("\n")
    return summary


def _judge(job: Job, summary: dict[str, Any], journal: Journal) -> None:
    """A protected chip corrects every single upset, and in beam whatever does not meet in one word."""
    singles = sum(row["faults"] for row in summary["rows"] if row["kind"] == "flip" and row["stratum"] != "shadow")
    protected = job.scheme is not Scheme.NONE
    what = f"single upsets that {job.scheme} does not correct" if protected else "every fault has an outcome"
    journal.check(
        Check(
            name=f"{job.engine}: {what}", passed=singles > 0 and not (protected and summary["uncorrected_single"]),
            compared=singles, unit="single flips", detail=f"{summary['uncorrected_single']} uncorrected",
        )
    )  # fmt: skip
    if protected and (beam := summary.get("beam")):
        journal.check(
            Check(
                name=f"{job.engine}: stretches in beam that {job.scheme} does not correct, no two flips in one word",
                passed=not beam["uncorrected_apart"], compared=beam["apart"], unit="stretches",
                detail=f"{beam['flips']:,} flips in {beam['stretches']:,} stretches; "
                f"{beam['stretches'] - beam['apart']} in which two met",
            )
        )  # fmt: skip
