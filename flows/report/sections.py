"""Sections of the report that both chips have: what synthesis, placement, timing, power and FPGA steps left."""

from __future__ import annotations

import base64
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.common.metrics import find, read_metrics
from flows.estimates.carbon import die_carbon
from flows.library.catalogue import cell_library
from flows.report import drawing
from flows.report.document import Picture, Section, Tile, folder_origins, origins, read_json, shown_unit, table
from flows.synthesis.result import SynthesisResult, load_result

__all__ = ["implementation_sections"]


def implementation_sections(folder: Path) -> list[Section]:
    """Sections of the implementation steps that ran, in the order of the flow.

    Parameters
    ----------
    folder : Path
        Result folder of a design.
    """
    sections = []
    if (folder / "synthesis" / "metrics.json").is_file():
        sections.append(_area(load_result(folder / "synthesis")))
    if (folder / "placement" / "metrics.json").is_file():
        sections.append(replace(_placement(folder / "placement"), origins=folder_origins(folder / "placement")))
    if timing := read_json(folder / "timing" / "timing.json"):
        sections.append(replace(_timing(timing), origins=folder_origins(folder / "timing")))
    power = read_json(folder / "power" / "power.json")
    if power:
        sections.append(replace(_power(power), origins=folder_origins(folder / "power")))
    if swept := read_json(folder / "sweep.json"):
        sections.append(_sweep(swept, folder))
    for path in sorted(folder.glob("fpga-*/fpga.json")):
        sections.append(replace(_fpga(path), origins=folder_origins(path.parent)))
    if context := _context(folder, power):
        sections.append(context)
    return sections


def _area(result: SynthesisResult) -> Section:
    values = result.values
    library = cell_library(result.library)
    names = [s.module.removeprefix(f"{result.top}_") if s.instances else "top level" for s in result.stages]
    rows = [
        [name, len(s.instances) or 1, f"{s.area_um2:,.0f}", f"{s.gate_equivalents:,.0f}", s.flip_flops, s.cells]
        for name, s in zip(names, result.stages, strict=True)
    ]
    total = [f"{result.area_um2:,.0f}", f"{result.gate_equivalents:,.0f}"]
    rows.append(["whole design", "", *total, result.flip_flops, int(values["design__instance__count"])])
    bars = [(n, s.area_um2, f"{s.area_um2:,.0f} µm²") for n, s in zip(names, result.stages, strict=True)]
    peak = float(values["flow__memory__peak"]) / 2**30
    predictive = " A predictive kit, not a manufacturable process." if library.predictive else ""
    return Section(
        title="Area per stage",
        pictures=(Picture(markup=drawing.bars_svg(bars)),),
        tables=(table(["module", ">instances", ">area µm²", ">gate equivalents", ">flip-flops", ">cells"], rows),),
        notes=(
            (
                f"{library.name}: {library.description}{predictive} One gate equivalent is the area of its smallest"
                " two-input NAND gate. Cell area after synthesis: no placement, no wires, no clock tree."
                f" Peak memory {peak:.1f} GiB, {float(values['flow__runtime__total']):.0f} s on this machine."
            ),
        ),
        tiles=(
            Tile(value=f"{result.area_um2 / 1e6:.3f} mm²", label=f"cell area, {library.name}"),
            Tile(value=f"{result.gate_equivalents / 1000:,.0f} kGE", label="gate equivalents"),
            Tile(value=f"{result.flip_flops:,}", label="flip-flops"),
        ),
        origins=origins(result.metrics),
    )


def _placement(folder: Path) -> Section:
    metrics = {metric.name: metric for metric in read_metrics(folder / "metrics.json")}
    rows = [
        [m.label, f"{m.value:,.4g}" if isinstance(m.value, float) else m.value, shown_unit(m.unit), m.method]
        for m in metrics.values()
    ]
    data = base64.b64encode((folder / "placement.png").read_bytes()).decode()
    area = float(metrics["design__core__area"].value)
    return Section(
        title="Placement",
        pictures=(Picture(markup=f'<img alt="placed cells by stage" src="data:image/png;base64,{data}">'),),
        tables=(table(["what", ">value", "unit", "how"], rows),),
        notes=("Cells are placed, wires are estimated from the pins' positions; nothing is routed.",),
        tiles=(Tile(value=f"{area / 1e6:.3f} mm²", label="core after placement"),),
    )


def _timing(content: dict[str, Any]) -> Section:
    alike: dict[tuple[str, ...], int] = {}
    for path in content["setup_paths"]:
        row = (
            f"{path['start_stage']} to {path['end_stage']}", f"{path['cells']:,}", f"{path['delay_ns']:.2f}",
            f"{path['slack_ns']:.2f}",
            ", ".join(f"{step['stage']} {step['delay_ns']:.2f} ns" for step in path["through"]),
        )  # fmt: skip
        alike[row] = alike.get(row, 0) + 1
    # the bits of one bus give the same figures
    rows = [[row[0], count, *row[1:]] for row, count in alike.items()]
    return Section(
        title="Timing",
        lead=(
            f"Setup slack {content['setup_slack_ns']:.2f} ns at {1e3 / content['period_ns']:.0f} MHz with"
            f" {content['uncertainty_ns']:g} ns of clock uncertainty, hold slack {content['hold_slack_ns']:.3f} ns."
        ),
        pictures=(
            Picture(
                markup=drawing.histogram_svg(
                    content["slack_histogram"]["edges_ns"], content["slack_histogram"]["endpoints"], "setup slack, ns"
                )
            ),
        ),
        tables=(table(["worst paths", ">paths", ">cells", ">delay ns", ">slack ns", "through"], rows),),
        notes=(f"Setup from {content['setup_library']}, hold from {content['hold_library']}. Wires estimated.",),
        tiles=(Tile(value=f"{content['fmax_mhz']:.1f} MHz", label="largest clock"),),
    )


def _power(content: dict[str, Any]) -> Section:
    total = content["power_uw"]["total"]
    stages = {name: sum(row.values()) for name, row in content["stages_uw"].items()}
    stages["clock tree"] = content["power_uw"]["clock_tree"]
    ordered = sorted(stages.items(), key=lambda item: -item[1])
    shown = [(name, value, f"{value / 1e3:,.2f} mW") for name, value in ordered if value > 0.002 * total]
    kinds = [
        [kind.replace("_", " "), f"{value / 1e3:,.2f}", f"{value * content['period_ns'] * 1e-3:,.0f}"]
        for kind, value in content["power_uw"].items()
    ]
    spread = [
        [row["step"], f"{row['low_uw'] / 1e3:,.2f}", f"{row['high_uw'] / 1e3:,.2f}", row["how"]]
        for row in content["uncertainty"]
    ]
    energy = content["energy_per_clock_pj"]
    result = f"{energy / 1e3:,.2f} nJ" if energy >= 1e3 else f"{energy:,.0f} pJ"
    return Section(
        title="Power from activity",
        lead=(
            f"{content['activity']}; {content['annotated_nets_percent']:.1f} % of the nets have activity of their own;"
            f" wires: {content['wires']}."
        ),
        pictures=(Picture(markup=drawing.bars_svg(shown)),),
        tables=(
            table(["kind", ">mW", ">pJ per clock"], kinds),
            table(["modelling step", ">total, low, mW", ">total, high, mW", "how"], spread),
        ),
        notes=(f"Supply {content['voltage_v']:g} V, {content['library']}.", *content["notes"]),
        tiles=(Tile(value=result, label="energy per clock"),),
    )


def _sweep(content: dict[str, Any], folder: Path) -> Section:
    """Points of the last sweep of this design, and the Pareto plots that it drew."""
    points = content["points"]
    axes = list(points[0]["chosen"])
    names = list(dict.fromkeys(name for point in points for name in point["figures"]))
    rows = [
        [
            *(str(point["chosen"][axis]) for axis in axes),
            *(f"{point['figures'][name]:,.4g}" if name in point["figures"] else "failed" for name in names),
        ]
        for point in points
    ]
    pictures = []
    for path in sorted(folder.glob("pareto*.svg")):
        data = base64.b64encode(path.read_bytes()).decode()
        pictures.append(Picture(markup=f'<img alt="Pareto plot" src="data:image/svg+xml;base64,{data}">'))
    return Section(
        title="Trade-offs",
        lead=f"{len(points)} points around this design.",
        pictures=tuple(pictures),
        tables=(table([*axes, *(f">{name.replace('_', ' ')}" for name in names)], rows),),
        origins=("; ".join([*content.get("tools", []), content["command"], content["date"]]),),
    )


BOLTZMANN_J_PER_K = 1.380649e-23
"""Exact by the definition of the kelvin (SI, 2019)."""


def _context(folder: Path, power: dict[str, Any]) -> Section | None:
    """What physics would allow and what making the die costs, beside what the chip takes: no claim about the chip."""
    lines, rows = [], []
    if power:
        bit_j = BOLTZMANN_J_PER_K * 300 * math.log(2)
        energy_j = power["energy_per_clock_pj"] * 1e-12
        lines.append(
            f"Erasing one bit costs at least kT ln 2 = {bit_j * 1e21:.2f} zJ at 300 K (R. Landauer, IBM J. Res. Dev. 5"
            f" (1961) 183). The energy of one clock would pay for erasing {energy_j / bit_j:.1e} bits."
        )
    placed = folder / "placement" / "metrics.json"
    if placed.is_file():
        area_mm2 = float(find(read_metrics(placed), "design__core__area").value) / 1e6
        carbon = die_carbon(area_mm2)
        lines.append(
            f"Making a bare die of {area_mm2:.3f} mm² emits about {carbon.nominal_g:.2g} g of CO2 equivalent"
            f" ({carbon.low_g:.2g} to {carbon.high_g:.2g} g)."
        )
        rows = [
            ["low", "solar electricity, gases 99 % abated", f"{carbon.low_g:.2f}"],
            ["nominal", "grid of Taiwan, mean of both abatements", f"{carbon.nominal_g:.2f}"],
            ["high", "coal electricity, gases 95 % abated", f"{carbon.high_g:.2f}"],
        ]
    if not lines:
        return None
    notes = [
        "Context, no claim: a bound on any computer that erases, and a carbon estimate from factors of other fabs."
    ]
    if rows:
        notes.append(
            "Carbon: U. Gupta et al., ACT, ISCA 2022, factors of facebookresearch/ACT per wafer area at 28 nm, its"
            " oldest node (0.9 kWh/cm², 500 g/cm² of materials, yield 87.5 %); older nodes take fewer steps. Core area"
            " as placed, no pads, package or use."
        )
    tables = (table(["embodied carbon of a die", "assumption", ">g CO2 equivalent"], rows),) if rows else ()
    result = tuple(line for step in ("power", "placement") for line in folder_origins(folder / step))
    return Section(title="Context", lead=" ".join(lines), tables=tables, notes=tuple(notes), origins=result)


def _fpga(path: Path) -> Section:
    content = read_json(path)
    rows = [
        [name, used, content["available"][name], f"{100 * used / content['available'][name]:.1f} %"]
        for name, used in content["used"].items()
    ]
    return Section(
        title=f"FPGA {content['device']}",
        lead=f"Placed and routed: maximum clock {content['fmax_mhz']:.1f} MHz (target {content['target_mhz']:g} MHz).",
        tables=(table(["resource", ">used", ">available", ">share"], rows),),
        notes=("Ports stand behind shift chains, which are counted.",),
        tiles=(Tile(value=f"{content['fmax_mhz']:.0f} MHz", label=f"FPGA clock, {content['device']}"),),
    )
