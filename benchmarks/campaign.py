"""Fault campaign of ECON_T, outcomes and faults per minute: ``python -m benchmarks.campaign none [--engine netlist]``.

Every named scheme runs the whole campaign (or ``--limit`` faults of it) with as many processes as asked for, from an
empty ledger; the rate is faults over the wall-clock time from the first process started to the last outcome kept, the
chip being compiled, or synthesised and checked, before. Rows of schemes that are not asked for stay in the results.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS, kept, record
from flows.campaign.campaign import ENGINES, Job, open_engine, run_campaign, summarise, write_outcomes
from flows.common.metrics import Metric, package_version, write_metrics
from flows.library.catalogue import cell_library
from flows.tools.verilator import verilator_version
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import load_spec

FILES = {"rtl": "campaign.json", "netlist": "campaign_netlist.json"}


def case_of(scheme: str, reuse: int, clock_gating: bool) -> str:
    """Case of a campaign in the results."""
    return f"{scheme}{f'_reuse_{reuse}' * (reuse > 1)}{'_gated' * clock_gating}"


def measured(summary: dict[str, Any], seconds: float, workers: int, command: str) -> list[Metric]:
    """Metrics of one campaign: a case for each kind of fault and stratum, and one for all."""
    scheme = case_of(summary["scheme"], summary["reuse"], summary["clock_gating"])
    netlist = summary["engine"] == "netlist"
    library = cell_library("nangate45") if netlist else None
    tool = ("liquidcal", package_version("liquidcal")) if netlist else ("verilator", verilator_version())

    def metric(name: str, case: str, value: float, unit: str, method: str) -> Metric:
        return record(
            f"{name}__case:{scheme}_{case}", value, unit, method, command=command,
            tool=tool[0], version=tool[1], library=library,
        )  # fmt: skip

    found = []
    counted = "outcomes counted, frames compared with the golden model"
    for row in summary["rows"]:
        case = f"{row['kind']}_{row['stratum']}".replace(" ", "_")
        for name in ("faults", "masked", "corrected", "corrupted", "hang", "persistent"):
            found.append(metric(name, case, row[name], "", counted))
        for name in ("shown_low", "shown_high"):
            found.append(metric(name, case, 100 * row[name], "%", "Clopper-Pearson, 95 %"))
    found.append(metric("faults", "all", summary["faults"], "", counted))
    rate = 60 * summary["faults"] / seconds
    found.append(
        metric("faults_per_minute", "all", rate, "1/min", f"wall clock, {workers} processes, start of them included")
    )
    return found


def main() -> None:
    """Run the campaigns and write benchmarks/results/campaign.json or campaign_netlist.json."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("schemes", nargs="+", type=Scheme)
    parser.add_argument("--spec", default="ECON_T")
    parser.add_argument("--engine", choices=ENGINES, default="rtl")
    parser.add_argument("--clock-gating", action="store_true", help="a netlist with clock gates")
    parser.add_argument("--reuse", type=int, default=1, help="multiplications of a multiplier in a crossing")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--outcomes", type=Path, help="folder for the outcomes of every fault (.npz)")
    parser.add_argument("--result", type=Path, help="else benchmarks/results/")
    arguments = parser.parse_args()
    result = arguments.result or RESULTS / FILES[arguments.engine]
    spec = replace(load_spec(arguments.spec), reuse=arguments.reuse)
    for scheme in arguments.schemes:
        job = Job(
            spec=spec, scheme=scheme, loading=Loading.DIRECT, engine=arguments.engine,
            clock_gating=arguments.clock_gating,
        )  # fmt: skip
        open_engine(job)
        with tempfile.TemporaryDirectory(prefix="liquidcal-campaign-") as folder:
            start = time.perf_counter()
            campaign = run_campaign(job, Path(folder, "ledger"), limit=arguments.limit, workers=arguments.workers)
            seconds = time.perf_counter() - start
        summary = summarise(campaign)
        name = case_of(scheme, spec.reuse, job.clock_gating)
        if arguments.outcomes is not None:
            write_outcomes(campaign, arguments.outcomes / f"campaign-{job.engine}-{name}.npz")
        limit = f" --limit {arguments.limit}" if arguments.limit is not None else ""
        reuse = f" --reuse {spec.reuse}" if spec.reuse > 1 else ""
        engine = " --engine netlist" * (job.engine == "netlist") + " --clock-gating" * job.clock_gating
        command = f"python -m benchmarks.campaign {scheme}{engine}{reuse}{limit}"
        rows = measured(summary, seconds, arguments.workers, command)
        cases = tuple(f"__case:{name}_{kind}" for kind in ("flip_", "double_", "beam_", "transient_", "all"))
        rest = kept(result, lambda metric, cases=cases: any(case in metric.name for case in cases))
        write_metrics(result, [*rest, *rows])
        print(
            f"{name}: {summary['faults']:,} faults in {seconds:.0f} s, "
            f"{summary['uncorrected_single']:,} single upsets not corrected"
        )


if __name__ == "__main__":
    main()
