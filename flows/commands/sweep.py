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
from flows.common.journal import Journal
from flows.designs.design import load_design
from flows.steps.sweep import MEASURES, OPTIONS, draw_pareto, pareto_front, parse_axis, points, write_rows
from flows.steps.sweep import sweep as run


def sweep(
    preset: Preset,
    axis: Annotated[
        list[str],
        typer.Option(help=f"NAME=VALUE,VALUE,...: a field of the spec, or {', '.join(OPTIONS)}. May be repeated."),
    ],
    measure: Annotated[list[str], typer.Option(help=f"{', '.join(MEASURES)}. May be repeated.")],
    pareto: Annotated[
        list[str] | None,
        typer.Option(
            help="X,Y: figures to draw against each other; a minus in front: more is better. May be repeated."
        ),
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler; else this machine.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes on this machine; else one per core.")] = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Measure every combination of spec fields in parallel; finished points are kept and never computed twice.

    Writes sweep.json and, with --pareto, pareto.svg, pareto_2.svg and so on, which the report then shows.
    """
    spec = load_design(preset)
    axes = [parse_axis(text, spec) for text in axis]
    pairs = [tuple(text.split(",")) for text in pareto or ()]
    for text, pair in zip(pareto or (), pairs, strict=True):
        if len(pair) != 2:
            raise typer.BadParameter(f"--pareto: expected X,Y, got {text}")
    count = len(points(spec, axes)) * len(measure)
    journal = Journal()
    with journal.step(f"{count} measurements of {spec.name}", count) as advance:
        rows = run(spec, axes, measure, scheduler=scheduler, workers=workers, advance=advance)
    folder = result_folder(out, spec.name)
    options = [*(f"--axis {shlex.quote(a)}" for a in axis), *(f"--measure {m}" for m in measure)]
    used = {point.options["library"] for point in points(spec, axes)} if {"area", "energy"} & set(measure) else set()
    write_rows(
        rows, folder / "sweep.json", f"liquidcal sweep {preset} {' '.join(options)}", libraries=sorted(used)
    )  # fmt: skip
    fronts = [pareto_front(rows, pair) for pair in pairs]
    pictures = [
        folder / ("pareto.svg" if number == 1 else f"pareto_{number}.svg") for number in range(1, len(pairs) + 1)
    ]
    for stale in set(folder.glob("pareto*.svg")) - set(pictures):
        stale.unlink()
    for (x, y), picture in zip(pairs, pictures, strict=True):
        draw_pareto(rows, x, y, picture, spec.name)
    if as_json:
        by_pair = {",".join(pair): front for pair, front in zip(pairs, fronts, strict=True)}
        print(json.dumps({"points": [vars(row) for row in rows], "fronts": by_pair}, indent=1))
    else:
        names = list(dict.fromkeys(name for row in rows for name in row.figures))
        table = Table(*(a.name for a in axes), *names, *(f"front {x}, {y}" for x, y in pairs))
        for index, row in enumerate(rows):
            shown = [f"{row.figures[name]:,.4g}" if name in row.figures else "failed" for name in names]
            table.add_row(*map(str, row.chosen.values()), *shown, *("*" if index in front else "" for front in fronts))
        Console().print(table)
        journal.console.print(", ".join(map(str, [folder / "sweep.json", *pictures])))
    if errors := [error for row in rows for error in row.errors]:
        for error in errors:
            journal.console.print(f"[red]failed[/] {error}")
        raise typer.Exit(1)
