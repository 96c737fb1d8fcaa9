"""``liquidcal cost``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, ClockGating, Out, Preset


def cost(
    preset: Preset,
    clock_gating: ClockGating = False,
    out: Out = Path("report"),
    table: Annotated[Path | None, typer.Option(help="Table to write; else costs.json in the design's folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Cost of each scheme of protection: area and energy of the whole chips that synth and power left below --out.

    Rows of chips that have no results here stay as they are in the table; `sensitivity --costs` reads it. Chips with
    clock gates (--clock-gating) and without are two tables.
    """
    import json

    from flows.designs.catalogue import design

    chosen = design(preset, clock_gating=clock_gating)
    path, rows = chosen.room("costs").collect_costs(chosen, out, table)
    found = [{"case": row.case, "energy": row.has_energy} for row in rows]
    if as_json:
        print(json.dumps({"table": str(path), "cases": found}, indent=1))
        return
    for row in rows:
        print(row.case + ("" if row.has_energy else ", no energy of this netlist: run liquidcal power"))
    print(path)
