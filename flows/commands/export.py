"""``liquidcal export``."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, ClockGating, LoadingOption, Preset, Reuse, SchemeOption
from flows.common.journal import Journal


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
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    as_json: AsJson = False,
) -> None:
    """Write a project for place and route: configuration, constraints, netlist or RTL, order of pins."""
    from flows.designs.design import INTERNAL_CLOCK, design
    from flows.physical.export import export_librelane, export_openroad
    from flows.physical.mapped import STATIC_STAGES
    from flows.physical.timing import ClockPlan
    from hw.common.export import ports, to_verilog

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, clock_gating=clock_gating)
    journal = Journal()
    tables = netlists / chosen.name / "synthesis" / "modules.json"
    mapped = tables.is_file() and json.loads(tables.read_text())["library"].partition(":")[0] == kit
    if clock_gating and not mapped:
        raise typer.BadParameter(
            f"clock gates are cells of the kit: run liquidcal synth {preset} --library {kit}{chosen.options} first"
        )
    hardware = chosen.component()
    pins = {name: (direction, width) for name, direction, width in ports(hardware)}
    with journal.step(f"{chosen.name}: {'netlist' if mapped else 'RTL'} for {flow.value} on {kit}"):
        verilog = (tables.parent / "netlist.v").read_text() if mapped else to_verilog(hardware, chosen.name)
        period_ns = chosen.period_ns
        plan = ClockPlan(
            clock="clk", internal_clock=INTERNAL_CLOCK if chosen.reuse > 1 else None, multiple=chosen.reuse,
            period_ns=period_ns, uncertainty_ns=0.03 * period_ns, hold_uncertainty_ns=0.003 * period_ns,
            resets=tuple(name for name in ("rst",) if name in pins),
        )  # fmt: skip
        static = [s for s in STATIC_STAGES if mapped and re.search(rf"^\s*\S+ {s} \($", verilog, re.MULTILINE)]
        write = export_librelane if flow is Flow.LIBRELANE else export_openroad
        config = write(
            to / chosen.name, design=chosen.name, library=kit, verilog=verilog, mapped=mapped, ports=pins, plan=plan,
            utilisation=utilisation, static_pattern=" ".join(f"{stage}/*" for stage in static),
        )  # fmt: skip
    if as_json:
        print(json.dumps({"configuration": str(config), "mapped": mapped}))
    else:
        journal.console.print(f"{config}: {'netlist of the kit' if mapped else 'RTL, which the flow synthesises'}")
