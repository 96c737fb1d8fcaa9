"""``liquidcal export``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Preset
from flows.journal import Journal


class Flow(StrEnum):
    """Place-and-route flows."""

    LIBRELANE = "librelane"
    OPENROAD = "openroad"


def export(
    preset: Preset,
    flow: Annotated[Flow, typer.Option(help="LibreLane, or OpenROAD-flow-scripts.")] = Flow.LIBRELANE,
    kit: Annotated[str, typer.Option(help="sky130, gf180mcu, sg13g2; for openroad also asap7, nangate45.")] = "sky130",
    to: Annotated[Path, typer.Option("--to", help="Folder of the project.")] = Path("pnr"),
    netlists: Annotated[Path, typer.Option("--out", help="Folder of results; a netlist of the kit is used.")] = Path(
        "report"
    ),
    utilisation: Annotated[float, typer.Option(help="Cell area over core area.")] = 0.5,
    as_json: AsJson = False,
) -> None:
    """Write a project for place and route: configuration, constraints, netlist or RTL, order of pins."""
    from flows.designs import component, load_design
    from flows.export_pnr import export_librelane, export_openroad
    from flows.timing import ClockPlan
    from hw.common.export import ports, to_verilog

    spec = load_design(preset)
    journal = Journal()
    tables = netlists / spec.name / "synthesis" / "modules.json"
    mapped = tables.is_file() and json.loads(tables.read_text())["library"].partition(":")[0] == kit
    hardware = component(spec)
    pins = {name: (direction, width) for name, direction, width in ports(hardware)}
    with journal.step(f"{spec.name}: {'netlist' if mapped else 'RTL'} for {flow.value} on {kit}"):
        verilog = (tables.parent / "netlist.v").read_text() if mapped else to_verilog(hardware, spec.name)
        plan = ClockPlan(
            clock="clk", period_ns=25.0, uncertainty_ns=0.75, hold_uncertainty_ns=0.075,
            resets=tuple(name for name in ("rst",) if name in pins),
        )  # fmt: skip
        write = export_librelane if flow is Flow.LIBRELANE else export_openroad
        config = write(
            to / spec.name, design=spec.name, library=kit, verilog=verilog, mapped=mapped, ports=pins, plan=plan,
            utilisation=utilisation, static_pattern="registers/*" if mapped else "",
        )  # fmt: skip
    if as_json:
        print(json.dumps({"configuration": str(config), "mapped": mapped}))
    else:
        journal.console.print(f"{config}: {'netlist of the kit' if mapped else 'RTL, which the flow synthesises'}")
