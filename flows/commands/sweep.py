"""``liquidcal sweep``."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Out, Preset, Scheduler, Workers
from flows.commands.tables import print_table


def sweep(
    preset: Preset,
    axis: Annotated[
        list[str],
        typer.Option(
            help="NAME=VALUE,VALUE,...: a field of the spec, or library, scheme, loading, clock_gating, elinks, seed. "
            "May be repeated."
        ),
    ],
    measure: Annotated[
        list[str],
        typer.Option(help="area, energy; of an encoder latency, emd; of a crossbar accuracy. May be repeated."),
    ],
    pareto: Annotated[
        list[str] | None,
        typer.Option(
            help="X,Y: figures to draw against each other; a minus in front: more is better. May be repeated."
        ),
    ] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Measure every combination of spec fields in parallel; finished points are kept and never computed twice.

    Writes sweep.json and, with --pareto, pareto.svg, pareto_2.svg and so on, which the report then shows.
    """
    from rich.table import Table

    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.pareto import draw_pareto, pareto_front
    from flows.steps.sweep import figures, parse_axis, points, write_rows
    from flows.steps.sweep import sweep as run

    around = design(preset)
    axes = [parse_axis(text, around) for text in axis]
    pairs = [tuple(text.split(",")) for text in pareto or ()]
    for text, pair in zip(pareto or (), pairs, strict=True):
        if len(pair) != 2:
            raise typer.BadParameter(f"--pareto: expected X,Y, got {text}")
    found = points(around, axes)
    count = len(found) * len(measure)
    journal = Journal()
    with journal.step(f"{count} measurements of {around.name}", count) as advance:
        rows = run(around, axes, measure, scheduler=scheduler, workers=workers, advance=advance)
    folder = out / around.name
    around.save(folder)
    options = [*(f"--axis {shlex.quote(a)}" for a in axis), *(f"--measure {m}" for m in measure)]
    used = {point.design.library for point in found} if {"area", "energy"} & set(measure) else set()
    write_rows(rows, folder / "sweep.json", around.command("sweep", *options), libraries=sorted(used))
    fronts = [pareto_front(rows, pair) for pair in pairs]
    pictures = [
        folder / ("pareto.svg" if number == 1 else f"pareto_{number}.svg") for number in range(1, len(pairs) + 1)
    ]
    for stale in set(folder.glob("pareto*.svg")) - set(pictures):
        stale.unlink()
    for (x, y), picture in zip(pairs, pictures, strict=True):
        draw_pareto(rows, x, y, picture, around.name, figures(around))
    if as_json:
        by_pair = {",".join(pair): front for pair, front in zip(pairs, fronts, strict=True)}
        print(json.dumps({"points": [vars(row) for row in rows], "fronts": by_pair}, indent=1))
    else:
        names = list(dict.fromkeys(name for row in rows for name in row.figures))
        table = Table(*(a.name for a in axes), *names, *(f"front {x}, {y}" for x, y in pairs))
        for index, row in enumerate(rows):
            shown = [f"{row.figures[name]:,.4g}" if name in row.figures else "failed" for name in names]
            table.add_row(*map(str, row.chosen.values()), *shown, *("*" if index in front else "" for front in fronts))
        print_table(table)
        print(", ".join(map(str, [folder / "sweep.json", *pictures])))
    if errors := [error for row in rows for error in row.errors]:
        for error in errors:
            journal.console.print(f"[red]failed[/] {error}")
        raise typer.Exit(1)
