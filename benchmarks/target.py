"""The target of ECON_T beside what was reached, and where the energy goes: ``python -m benchmarks.target``.

Takes what ``liquidcal synth``, ``place``, ``time`` and ``power`` left below ``report/`` for the whole chip (I2C,
protection, multipliers reused) and for the unprotected encoder at several reuse factors, and writes into
``benchmarks/results``:

* ``target.json``: target, published chip, ours: area and energy in 65 nm LP by the less favourable of two published
  methods, latency, slack.
* ``target_breakdown.json``: energy of the chip by kind and by part, and the floors that show what no wiring, no gating
  and no balancing of delays could remove.
* ``reuse_energy.json``, ``reuse_energy_parts.json``: energy per inference against the reuse factor.

Every row names the file and the key that it is from. Designs without results are told, and their rows stay as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS, kept, record
from flows.common.metrics import Metric, find, read_metrics, write_metrics
from flows.designs.encoder import EncoderDesign
from flows.estimates.published import systems
from flows.estimates.translation import area_range, energy_range
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import ECON_T

FRONT_END_CLOCKS = 3
"""Registers behind words, normalise and frame, which any algorithm of the chip has."""
FACTORS = (1, 2, 4, 8)
CHIPS = (
    ("ours_smallest", EncoderDesign(
        spec=replace(ECON_T, reuse=3), scheme=Scheme.SECDED_WORDS, loading=Loading.DIRECT, clock_gating=True,
        isolation=True)),
    ("ours_isolated", EncoderDesign(
        spec=ECON_T, scheme=Scheme.SECDED, loading=Loading.DIRECT, clock_gating=True, isolation=True)),
)  # fmt: skip
"""Whole chips: rows of the table."""
TARGET = {"area": 0.9, "energy": 0.6, "latency": 50.0}
PARTS = {
    "network": ("network", "convolution", "dense", "toggle", "folded"),
    "store": ("registers",),
    "control": ("control",),
}
"""Stages by part; names that end in ``_register`` are registers of the data path, all others the front end."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """Folder of results of one design."""

    design: EncoderDesign
    folder: Path

    @cached_property
    def power(self) -> dict[str, Any]:
        """``power/power.json``."""
        content: dict[str, Any] = json.loads((self.folder / "power" / "power.json").read_text())
        return content

    @property
    def complete(self) -> bool:
        """Whether it was synthesised and simulated."""
        return all((self.folder / name).is_file() for name in ("synthesis/metrics.json", "power/power.json"))

    def metric(self, step: str, name: str) -> Metric:
        """A metric that a step left."""
        return find(read_metrics(self.folder / step / "metrics.json"), name)

    def kind(self, *kinds: str) -> float:
        """pJ per inference of some kinds."""
        return float(sum(self.power["power_uw"][kind] for kind in kinds) * self.power["period_ns"] / 1000)

    def parts(self) -> dict[str, dict[str, float]]:
        """pJ per inference by part and kind, the clock trees apart."""
        found: dict[str, dict[str, float]] = {}
        for stage, kinds in self.power["stages_uw"].items():
            part = next((name for name, stages in PARTS.items() if stage in stages), "")
            part = part or ("registers" if stage.endswith("_register") else "front_end")
            for kind, value in kinds.items():
                row = found.setdefault(part, {})
                row[kind] = row.get(kind, 0.0) + value * self.power["period_ns"] / 1000
        return found

    def worst_energy_nj(self, dynamic_pj: float) -> tuple[float, str]:
        """Dynamic energy in 65 nm LP by the less favourable method."""
        found = energy_range(library=self.power["library"], voltage_v=self.power["voltage_v"], dynamic_pj=dynamic_pj)
        worst = max(found.estimates, key=lambda estimate: estimate.value)
        return worst.value / 1000, worst.method


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()

    def results(design: EncoderDesign) -> Results | None:
        found = Results(design=design, folder=options.out / design.name)
        if not found.complete:
            print(f"no results of {design.name}: {design.command('synth')}, then power")
            return None
        return found

    encoders = {
        reuse: found
        for reuse in FACTORS
        if (found := results(EncoderDesign(spec=replace(ECON_T, reuse=reuse), clock_gating=True)))
    }
    chips = {case: found for case, design in CHIPS if (found := results(design))}
    missing = [case for case, _ in CHIPS if case not in chips]
    missing += [f"reuse_{reuse}" for reuse in FACTORS if reuse not in encoders]
    write(RESULTS / "reuse_energy.json", reuse_energy(encoders), missing)
    write(RESULTS / "reuse_energy_parts.json", reuse_parts(encoders), missing)
    write(RESULTS / "target.json", target(chips), missing)
    write(RESULTS / "target_breakdown.json", breakdown(chips, encoders), missing)


def write(path: Path, metrics: list[Metric], missing: Sequence[str]) -> None:
    """Write, with the rows there of designs that have no results now; what came out as it was keeps its date."""
    before = {metric.name: metric for metric in kept(path, lambda _: False)}
    same = [before.get(metric.name, metric) for metric in metrics]
    metrics = [old if replace(old, date=new.date) == new else new for old, new in zip(same, metrics, strict=True)]
    if not {metric.name: metric for metric in metrics}.items() - before.items():
        return
    names = {metric.name for metric in metrics}
    rest = kept(path, lambda m: m.name in names or not any(re.search(rf"{case}(?!\d)", m.name) for case in missing))
    write_metrics(path, [*metrics, *rest])
    print(path)


def row(source: Metric, name: str, value: float, unit: str, method: str) -> Metric:
    """A figure with the provenance of the one that it is from."""
    return replace(source, name=name, value=value, unit=unit, method=method)


def reuse_energy(encoders: Mapping[int, Results]) -> list[Metric]:
    """Energy by kind for each factor."""
    rows = []
    for reuse, found in encoders.items():
        total = found.metric("power", "energy__per_inference")
        where = f"{found.folder.name}/power/power.json"
        kinds = {
            "leakage": ("leakage",), "toggles_without_glitches": ("internal", "switching"),
            "glitches": ("glitches",), "clock_pins_and_trees": ("clock_pins", "clock_tree"),
        }  # fmt: skip
        area = found.metric("synthesis", "design__instance__area__gate_equivalent")
        case = f"__case:reuse_{reuse}"
        rows.append(row(area, f"area{case}", float(area.value) / 1000, "kGE", f"{area.method}; {found.folder.name}"))
        for name, keys in kinds.items():
            method = f"{where}, power_uw: {' + '.join(keys)}, times 25 ns"
            rows.append(row(total, f"{name}{case}", found.kind(*keys), "pJ", method))
        rows.append(row(total, f"energy{case}", float(total.value), "pJ", f"{where}, energy_per_inference_pj"))
        value, method = found.worst_energy_nj(float(total.value) - found.kind("leakage"))
        rows.append(row(total, f"dynamic_in_65_nm{case}", value, "nJ", f"{where}, total - leakage; {method}"))
    return rows


def reuse_parts(encoders: Mapping[int, Results]) -> list[Metric]:
    """Energy by part of the encoder for each factor."""
    rows = []
    for part in ("network", "front_end", "registers", "store"):
        for reuse, found in encoders.items():
            kinds = found.parts().get(part, {})
            total = found.metric("power", "energy__per_inference")
            method = f"{found.folder.name}/power/power.json, stages_uw, all kinds but the clock trees, times 25 ns"
            rows.append(row(total, f"reuse_{reuse}__case:{part}", sum(kinds.values()), "pJ", method))
    return rows


def target(chips: Mapping[str, Results]) -> list[Metric]:
    """Target, published chip, ours."""
    plain = record("x", 0.0, "", "", command="python -m benchmarks.target")
    rows = []
    units = {"area": "mm2", "energy": "nJ", "latency": "ns"}
    for name, value in TARGET.items():
        rows.append(row(plain, f"{name}__case:target", value, units[name], "what was asked for, in 65 nm LP terms"))
    published = systems()["econ_t"]
    for name, key in (("area", "area_mm2"), ("energy", "energy_nj"), ("latency", "added_latency_ns")):
        rows.append(row(plain, f"{name}__case:published_chip", published.figures[key], units[name], published.citation))
    for case, found in chips.items():
        rows += chip_rows(case, found)
    return rows


def chip_rows(case: str, found: Results) -> list[Metric]:
    """One chip."""
    where = found.folder.name
    placed = (found.folder / "placement" / "metrics.json").is_file()
    # behind placement with the cells of its repair
    area = found.metric("placement" if placed else "synthesis", "design__instance__area__gate_equivalent")
    total = found.metric("power", "energy__per_inference")
    rows = []
    if placed:
        core = found.metric("placement", "design__core__area")
        share = float(found.metric("placement", "design__instance__utilization").value)
        ranged = area_range(
            library=found.power["library"], area_um2=float(core.value), gate_equivalents=float(area.value),
            utilisation=share,
        )  # fmt: skip
        worst = max(ranged.estimates, key=lambda estimate: estimate.value)
        method = f"{where}/placement/metrics.json, {core.method}; {worst.method}"
        rows.append(row(core, f"area__case:{case}", worst.value, "mm2", method))
        for name, what in (
            ("utilisation", "design__instance__utilization"),
            ("overfull", "route__congestion__overfull"),
        ):
            rows.append(replace(found.metric("placement", what), name=f"{name}__case:{case}"))
    value, method = found.worst_energy_nj(float(total.value) - found.kind("leakage"))
    rows.append(row(total, f"energy__case:{case}", value, "nJ", f"{where}/power/power.json, total - leakage; {method}"))
    # words, normalise and frame hold a register each; the rest is the network's, as in the published figure
    latency = 25.0 * (found.design.latency - FRONT_END_CLOCKS)
    method = f"{found.design.latency} clocks of the chip less {FRONT_END_CLOCKS} beside the network, 25 ns each"
    rows.append(row(area, f"latency__case:{case}", latency, "ns", method))
    rows.append(row(area, f"gate_equivalents__case:{case}", float(area.value) / 1000, "kGE", f"{where}: {area.method}"))
    if (found.folder / "timing" / "metrics.json").is_file():
        slack = found.metric("timing", "timing__setup__ws")
        rows.append(replace(slack, name=f"setup_slack__case:{case}"))
        fastest = found.metric("timing", "timing__fmax")
        method = f"{where}: 1 / largest clock frequency of OpenSTA, {slack.method}"
        rows.append(row(fastest, f"least_period__case:{case}", 1000 / float(fastest.value), "ns", method))
    return rows


def breakdown(chips: Mapping[str, Results], encoders: Mapping[int, Results]) -> list[Metric]:
    """Where the energy of each chip goes, and floors."""
    rows = []
    for case, found in chips.items():
        total = found.metric("power", "energy__per_inference")
        where = f"{found.folder.name}/power/power.json"
        parts = found.parts()
        for part, kinds in parts.items():
            settled = kinds["internal"] + kinds["switching"]
            for name, value in (
                ("toggles", settled), ("glitches", kinds["glitches"]), ("clock pins", kinds["clock_pins"]),
                ("leakage", kinds["leakage"]),
            ):  # fmt: skip
                text = f"{case.replace('_', ' ')}: {part.replace('_', ' ')}, {name}"
                rows.append(row(total, f"{name.replace(' ', '_')}__case:{case}_{part}", value, "pJ", text))
        words = case.replace("_", " ")
        rows.append(
            row(total, f"clock_trees__case:{case}_all", found.kind("clock_tree"), "pJ", f"{words}: both clock trees")
        )
        rows.append(row(total, f"energy__case:{case}_all", float(total.value), "pJ", f"{words}: all ({where})"))
    for reuse, found in encoders.items():
        total = found.metric("power", "energy__per_inference")
        network = found.parts()["network"]
        floor = network["internal"] + network["switching"]
        value, method = found.worst_energy_nj(floor)
        rows.append(
            row(total, f"floor__case:reuse_{reuse}", value, "nJ",
                f"floor at reuse {reuse}: {ECON_T.multiplies:,} products with operands and sums, no glitches, "
                f"no clocks, no protection, no front end, no leakage: {floor:.0f} pJ; {method}")
        )  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
