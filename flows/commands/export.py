"""``liquidcal export``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, ClockGating, Isolation, LoadingOption, Preset, Reuse, SchemeOption
from flows.commands.outputs import output_folder


class Flow(StrEnum):
    """Place-and-route flows."""

    LIBRELANE = "librelane"
    OPENROAD = "openroad"


def export(
    preset: Preset,
    flow: Annotated[Flow, typer.Option(help="LibreLane, or OpenROAD-flow-scripts.")] = Flow.LIBRELANE,
    kit: Annotated[str, typer.Option(help="sky130, gf180mcu, sg13g2; for openroad also asap7, nangate45.")] = "sky130",
    to: Annotated[Path, typer.Option("--to", callback=output_folder, help="Folder of the project.")] = Path("pnr"),
    netlists: Annotated[Path, typer.Option("--out", help="Folder of results; a netlist of the kit is used.")] = Path(
        "report"
    ),
    utilisation: Annotated[float, typer.Option(help="Cell area over core area.")] = 0.5,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    isolation: Isolation = None,
    as_json: AsJson = False,
) -> None:
    """Write a project for place and route: configuration, constraints, netlist or RTL, order of pins."""
    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.export import ExportOptions, export_design

    chosen = design(preset, clock_gating=clock_gating, reuse=reuse, scheme=scheme, loading=loading, isolation=isolation)
    journal = Journal()
    options = ExportOptions(flow=flow.value, kit=kit, utilisation=utilisation, netlists=netlists / chosen.name)
    config, mapped = export_design(chosen, to / chosen.name, journal, options)
    if as_json:
        print(json.dumps({"configuration": str(config), "mapped": mapped}))
    else:
        journal.console.print(f"{config}: {'netlist of the kit' if mapped else 'RTL, which the flow synthesises'}")
