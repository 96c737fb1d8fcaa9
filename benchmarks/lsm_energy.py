"""Energy and area of a whole crossbar chip, as committed figures: ``python -m benchmarks.lsm_energy N_MNIST``.

Takes what ``liquidcal synth`` and ``liquidcal power`` left below ``report/``, runs the same recordings through the
golden model for array, ADCs and weight memory, and writes into ``benchmarks/results``: ``lsm_energy.json`` (parts of
one inference), ``lsm_energy_split.json`` (five parts, also per synaptic operation), ``lsm_energy_stages.json`` (digital
part, in the node of its library), ``lsm_area.json``; with ``--clock-gating`` the same as ``lsm_gated_*.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks.measured import RESULTS, record
from flows.common.metrics import Metric, write_metrics
from flows.designs.catalogue import design
from flows.estimates.crossbar_energy import NODE, Term, area_terms, digital_terms, macro_terms, split
from flows.physical.mapped import Mapped
from flows.stimulus.recordings import recorded_stimulus
from flows.synthesis.result import load_result
from sim.lsm_crossbar.energy import Estimate, inference_energy

ENDS = ("low", "nominal", "high")

Make = Callable[..., Metric]


def rows(make: Make, quantity: str, unit: str, terms: Iterable[tuple[str, Estimate, str]]) -> list[Metric]:
    """Three metrics for each term: its ends and its nominal value."""
    return [
        make(name=f"{quantity}__bound:{end}__case:{name.replace(' ', '_')}", value=getattr(estimate, end), unit=unit,
             method=method)
        for name, estimate, method in terms
        for end in ENDS
    ]  # fmt: skip


def total(terms: Iterable[Term]) -> Estimate:
    """Sum of all terms."""
    found = Estimate(low=0.0, nominal=0.0, high=0.0)
    for term in terms:
        found = found + term.estimate
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("design", nargs="?", default="N_MNIST")
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--clock-gating", action="store_true", help="the variant with clock gates: lsm_gated_*.json")
    options = parser.parse_args()
    part = design(options.design, clock_gating=options.clock_gating)
    spec = part.spec
    if "recordings" not in part.stimulus:
        raise SystemExit(f"{spec.name} is no crossbar")
    folder = options.out / part.name
    power = folder / "power" / "power.json"
    if not power.is_file():
        raise SystemExit(f"{folder} holds no power: run {part.command('synth')}, then power")
    facts = json.loads(power.read_text())
    mapped = Mapped(folder=folder)
    stimulus = recorded_stimulus(spec, streams=facts["recordings"], seed=facts["seed"])
    if stimulus.source != facts["activity"]:
        raise SystemExit(f"{power} is of {facts['activity']}, now it would be {stimulus.source}: measure power again")
    macro = inference_energy(spec, stimulus.conductances, stimulus.golden)
    command = f"python -m benchmarks.lsm_energy {options.design}{part.options}"
    make = partial(record, command=command, library=mapped.cells)

    terms = macro_terms(spec, macro) + digital_terms(facts)
    whole = total(terms)
    energy = [(t.name, t.estimate * 1e-3, t.method) for t in terms]
    energy.append(("together", whole * 1e-3, "sum; low and high ends add"))
    shares = split(terms)
    shares |= {"together": whole, "array and ADCs alone": shares["array"] + shares["ADCs"]}
    parts = [(name, estimate * 1e-3, "sum of its terms") for name, estimate in shares.items()]
    operations = macro.synaptic_operations
    each = [(name, e * (1 / operations), f"over {operations:,.0f} synaptic operations") for name, e in shares.items()]
    to_nj = facts["period_ns"] * 1e-6 * facts["clocks_per_inference"]
    kinds = ("clock_pins", "internal", "switching", "glitches", "leakage")
    stages = [
        make(name=f"energy__{kind}__module:{stage}", value=row[kind] * to_nj, unit="nJ",
             method=f"{kind.replace('_', ' ')}, {facts['activity']}; {facts['wires']}")
        for stage, row in facts["stages_uw"].items() for kind in kinds
    ]  # fmt: skip
    stages += [
        make(name=f"energy__{kind}", value=facts["power_uw"][kind] * to_nj, unit="nJ", method=f"{kind}, all stages")
        for kind in kinds
    ]
    stages += [
        make(name="energy__clock_tree", value=facts["power_uw"]["clock_tree"] * to_nj, unit="nJ",
             method="modelled clock tree"),
        make(name="energy__per_inference", value=facts["power_uw"]["total"] * to_nj, unit="nJ",
             method="digital part, all kinds, "
                    f"{facts['clocks_per_inference']:,.0f} clocks of {facts['period_ns']:g} ns"),
        make(name="verification__compared", value=int(sum(facts["compared"].values())), unit="",
             method="spikes, counts, scores and classes of the netlist, equal to the golden model's"),
    ]  # fmt: skip
    result = load_result(folder / "synthesis")
    stage_um2 = {(s.instances[0] if s.instances else part.name): s.area_um2 for s in result.stages}
    areas = area_terms(
        spec, library=mapped.cells.name, stages_um2=stage_um2, gate_um2=result.area_um2 / result.gate_equivalents
    )
    area = [(t.name, t.estimate, t.method) for t in areas]
    area.append(("together", total(areas), f"in {NODE}"))
    files = {
        "lsm_energy": rows(make, "energy__per_inference", "nJ", energy),
        "lsm_energy_split": rows(make, "energy__per_inference", "nJ", parts)
        + rows(make, "energy__per_synaptic_operation", "pJ", each),
        "lsm_energy_stages": stages,
        "lsm_area": rows(make, "design__area", "mm2", area),
    }
    for stem, metrics in files.items():
        name = stem.replace("lsm_", "lsm_gated_") if options.clock_gating else stem
        write_metrics(RESULTS / f"{name}.json", metrics)
        print(RESULTS / f"{name}.json")


if __name__ == "__main__":
    main()
