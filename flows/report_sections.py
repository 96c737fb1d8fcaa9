"""Sections of the report that both chips have: what synthesis, placement, timing, power and FPGA steps left."""

from __future__ import annotations

from pathlib import Path

from flows import drawing
from flows.cells import cell_library
from flows.report import Picture, Section, Tile, read_json, table
from flows.synthesis import SynthesisResult, load_result

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
    for path in sorted(folder.glob("fpga-*/fpga.json")):
        sections.append(_fpga(path))
    return sections


def _area(result: SynthesisResult) -> Section:
    values = result.values
    library = cell_library(result.metrics[0].library)
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
    )


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
