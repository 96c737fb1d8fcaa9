"""``liquidcal synth``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.commands.options import AsJson, Library, Out, Preset, finish, result_folder
from flows.designs import Spec, component, load_design
from flows.journal import Journal


def synth(
    preset: Preset,
    out: Out = Path("report"),
    library: Library = "auto",
    as_json: AsJson = False,
) -> None:
    """Synthesise a design onto a cell library: area per stage, flip-flops, gates on the netlist.

    Of a crossbar the digital part: macro and weight memory are black boxes, without area.
    """
    spec = load_design(preset)
    journal = Journal()
    folder = result_folder(out, spec.name)
    result = run_synthesis(journal, spec, folder, library)
    if not as_json:
        table = Table("module", "instances", "area um2", "kGE", "flip-flops")
        for stage in result.stages:
            table.add_row(
                stage.module.removeprefix(f"{spec.name}_") if stage.instances else "top level",
                str(len(stage.instances) or 1),
                f"{stage.area_um2:,.0f}",
                f"{stage.gate_equivalents / 1000:,.1f}",
                f"{stage.flip_flops:,}",
            )
        table.add_row(
            "total", "", f"{result.area_um2:,.0f}", f"{result.gate_equivalents / 1000:,.1f}", f"{result.flip_flops:,}"
        )
        Console().print(table)
    finish(journal, {"metrics": [metric.to_dict() for metric in result.metrics]}, as_json)


def run_synthesis(journal: Journal, spec: Spec, folder: Path, library: str) -> Any:
    from flows.cells import cell_library
    from flows.journal import Check
    from flows.metrics import GateError
    from flows.synthesis import gate_synthesis, synthesise
    from hw.common.export import to_rtlil

    with journal.step("cell library"):
        cells = cell_library(library)
    with journal.step(f"synthesis of {spec.name} onto {cells.name}"):
        rtlil = to_rtlil(component(spec, black_boxes=True), spec.name)
        command = f"liquidcal synth {spec.name} --library {cells.name}"
        result = synthesise(rtlil, top=spec.name, library=cells, out_dir=folder / "synthesis", command=command)
    name = f"netlist on {cells.name}: all cells mapped, no latch, no loop, nothing undriven"
    try:
        gate_synthesis(result.metrics)
        detail, passed = "", True
    except GateError as error:
        detail, passed = str(error), False
    count = int(result.values["design__instance__count"])
    journal.check(Check(name=name, passed=passed, compared=count, unit="cells", detail=detail))
    return result
