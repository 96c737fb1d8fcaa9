"""Faults per minute on the mapped netlist of ECON_T: ``python -m benchmarks.campaign_netlist``.

One process strikes the chip with flips of every stratum, double flips and transients on nets of every kind, as many as
asked for, within a few hundred crossings; the rate is faults over the processor time of the sweep. The chip is
synthesised before (``--netlist FOLDER`` takes a synthesis that is at hand). Replaces the rows of its scheme in
``benchmarks/results/campaign_netlist.json``.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.campaign import case_of
from flows.campaign.faults import Kind, double_flips, single_flips, transients
from flows.campaign.netlist import ChipNetlist, NetlistEngine, map_chip
from flows.campaign.outcome import Effect
from flows.campaign.rtl import RESET
from flows.campaign.workload import make_workload
from flows.cells import cell_library
from flows.metrics import Metric, now, package_version, read_metrics, write_metrics
from flows.protection import Stratum, chip_bits
from hw.common.scheme import Scheme
from sim.hgcal_encoder.chip_registers import Loading
from sim.hgcal_encoder.spec import ECON_T

RESULT = Path(__file__).resolve().parent / "results" / "campaign_netlist.json"
CROSSINGS = 640
"""Of the workload: faults strike in the first 300 and are watched behind that."""


def main() -> None:
    """Strike, count, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaign_netlist", description=main.__doc__)
    parser.add_argument("--scheme", type=Scheme, default=Scheme.TMR_MODULE)
    parser.add_argument("--reuse", type=int, default=1, help="multiplications of a multiplier in a crossing")
    parser.add_argument("--netlist", type=Path, help="folder of a synthesis of the chip")
    parser.add_argument("--faults", type=int, default=12000)
    parser.add_argument("--words", type=int, default=16)
    options = parser.parse_args()
    library, scheme = cell_library("nangate45"), options.scheme
    spec = replace(ECON_T, reuse=options.reuse)
    folder = options.netlist or map_chip(spec, scheme, Loading.DIRECT, library)
    whole = make_workload(spec, Loading.DIRECT)
    part = slice(0, CROSSINGS)
    workload = replace(
        whole, words=whole.words[part], scl=whole.scl[part], sda=whole.sda[part], frames=whole.frames[part], reads=(),
        acknowledged=whole.acknowledged[whole.acknowledged < CROSSINGS],
    )  # fmt: skip
    bits = chip_bits(spec, scheme, Loading.DIRECT)
    engine = NetlistEngine(workload, scheme, chip=ChipNetlist.load(folder), bits=bits, words=options.words)
    schedule = replace(engine.schedule, last=engine.schedule.first + 299)
    sizes = Counter(bit.stratum for bit in bits)
    # flips are nine tenths of the faults, each stratum by its size
    counts: dict[Stratum, int | None] = {
        stratum: max(1, round(0.9 * options.faults * size / len(bits))) for stratum, size in sizes.items()
    }
    faults = single_flips(bits, schedule, seed=1, counts=counts)
    faults += double_flips(bits, schedule, seed=1, count=options.faults // 20)
    rng = np.random.default_rng(1)
    kinds = engine.transient_nets()
    for kind, nets in kinds.items():
        chosen = rng.choice(len(nets), min(len(nets), options.faults // 20 // len(kinds)), replace=False)
        faults += transients([nets[i] for i in chosen], schedule, seed=1, stratum=kind, repeats=1)
    faults += transients([RESET], schedule, seed=1, stratum="reset", repeats=1)
    engine.run(faults[:1])
    began, wall = time.process_time(), time.monotonic()
    outcomes = engine.run(faults)
    seconds, wall = time.process_time() - began, time.monotonic() - wall

    chip = case_of(scheme, spec.reuse)
    command = f"python -m benchmarks.campaign_netlist --scheme {scheme}"
    command += f" --reuse {spec.reuse}" if spec.reuse > 1 else ""

    def metric(name: str, case: str, value: float, unit: str, method: str) -> Metric:
        return Metric(
            name=f"{name}__case:{chip}_{case}", value=value, unit=unit, tool="liquidcal",
            tool_version=package_version("liquidcal"), library=library.name, library_sha256=library.sha256,
            method=method, command=command, date=now(),
        )  # fmt: skip

    found = []
    groups: dict[str, list[int]] = {}
    for number, fault in enumerate(faults):
        groups.setdefault(f"{fault.kind}_{fault.stratum}".replace(" ", "_"), []).append(number)
    for case, numbers in groups.items():
        effects = Counter(outcomes[number].effect for number in numbers)
        found.append(metric("faults", case, len(numbers), "", "outcomes counted"))
        found += [metric(str(e), case, effects[e], "", "frames compared with the golden model") for e in Effect]
        found.append(metric("not_gone", case, sum(outcomes[n].persistent for n in numbers), "", "states compared"))
    rate = 60 * len(faults) / seconds
    found.append(metric("faults", "all", len(faults), "", "outcomes counted"))
    found.append(metric("faults_per_minute", "all", rate, "1/min", "processor time of one process, loading apart"))
    mine = (*(f"__case:{chip}_{kind}_" for kind in Kind), f"__case:{chip}_all")
    kept = [m for m in read_metrics(RESULT) if not any(case in m.name for case in mine)] if RESULT.is_file() else []
    write_metrics(RESULT, [*kept, *found])
    print(
        f"{len(faults):,} faults, {seconds:.1f} s of one core, {wall:.1f} s on the clock: {rate:,.0f} a minute and core"
    )


if __name__ == "__main__":
    main()
