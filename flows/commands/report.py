"""``liquidcal report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Out
from flows.designs import load_design


def report(
    preset: Annotated[str, typer.Argument(help="Design whose results are reported.")] = "ECON_T",
    out: Out = Path("report"),
    against: Annotated[Path | None, typer.Option(help="Result folder of another run to compare with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report again from the results that are there: HTML, Markdown, JSON."""
    from flows.report import write_report

    spec = load_design(preset)
    page = write_report(out / spec.name, spec, against=against)
    if as_json:
        print(json.dumps({"report": str(page)}))
    else:
        print(page)
