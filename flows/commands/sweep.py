"""``liquidcal sweep``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.commands.options import AsJson, Out, Preset, result_folder
from flows.designs import load_design
from flows.journal import Journal
from flows.sweep import MEASURES, OPTIONS, draw_pareto, pareto_front, parse_axis, points, write_rows
from flows.sweep import sweep as run


def sweep(
    preset: Preset,
    axis: Annotated[
        list[str],
        typer.Option(help=f"NAME=VALUE,VALUE,...: a field of the spec, or {', '.join(OPTIONS)}. May be repeated."),
    ],
    measure: Annotated[list[str], typer.Option(help=f"{', '.join(MEASURES)}. May be repeated.")],
    pareto: Annotated[
        str | None, typer.Option(help="X,Y: figures to draw against each other; a minus in front: more is better.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler; else this machine.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes on this machine; else one per core.")] = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Measure every combination of spec fields in parallel; finished points are kept and never computed twice.

    Writes sweep.json and, with --pareto, pareto.svg.
    """
    spec = load_design(preset)
    axes = [parse_axis(text, spec) for text in axis]
    figures = pareto.split(",") if pareto is not None else []
    if pareto is not None and len(figures) != 2:
        raise typer.BadParameter(f"--pareto: expected X,Y, got {pareto}")
    count = len(points(spec, axes)) * len(measure)
    journal = Journal()
    with journal.step(f"{count} measurements of {spec.name}", count) as advance:
        rows = run(spec, axes, measure, scheduler=scheduler, workers=workers, advance=advance)
    folder = result_folder(out, spec.name)
    options = [*(f"--axis {shlex.quote(a)}" for a in axis), *(f"--measure {m}" for m in measure)]
    write_rows(rows, folder / "sweep.json", f"liquidcal sweep {preset} {' '.join(options)}")
    front = pareto_front(rows, figures) if figures else []
    if figures:
        draw_pareto(rows, figures[0], figures[1], folder / "pareto.svg", spec.name)
    if as_json:
        print(json.dumps({"points": [vars(row) for row in rows], "front": front}, indent=1))
    else:
        names = list(dict.fromkeys(name for row in rows for name in row.figures))
        table = Table(*(a.name for a in axes), *names, *(["Pareto"] if figures else []))
        for index, row in enumerate(rows):
            shown = [f"{row.figures[name]:,.4g}" if name in row.figures else "failed" for name in names]
            table.add_row(*map(str, row.chosen.values()), *shown, *(["*" if index in front else ""] if figures else []))
        Console().print(table)
        journal.console.print(f"{folder / 'sweep.json'}" + (f", {folder / 'pareto.svg'}" if figures else ""))
    if errors := [error for row in rows for error in row.errors]:
        for error in errors:
            journal.console.print(f"[red]failed[/] {error}")
        raise typer.Exit(1)
