"""``liquidcal report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Out
from sim.hgcal_encoder.spec import load_spec


def report(
    preset: Annotated[str, typer.Argument(help="Design whose results are reported.")] = "ECON_T",
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Write the HTML report again from the results that are there."""
    from flows.report import write_report

    spec = load_spec(preset)
    page = write_report(out / spec.name, spec)
    if as_json:
        print(json.dumps({"report": str(page)}))
    else:
        print(page)
