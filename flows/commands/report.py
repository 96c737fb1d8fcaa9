"""``liquidcal report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, ClockGating, Isolation, LoadingOption, Out, Reuse, SchemeOption
from flows.designs.catalogue import design


def report(
    preset: Annotated[str, typer.Argument(help="Design whose results are reported.")] = "ECON_T",
    out: Out = Path("report"),
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    isolation: Isolation = None,
    against: Annotated[Path | None, typer.Option(help="Result folder of another run to compare with.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report again from the results that are there: HTML, Markdown, JSON.

    A variant of an encoder has a folder of its own: give the options that its steps had.
    """
    from flows.report.write import write_report

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, isolation=isolation, clock_gating=clock_gating)
    page = write_report(out / chosen.name, chosen, against=against)
    if as_json:
        print(json.dumps({"report": str(page)}))
    else:
        print(page)
