"""What several commands share: arguments, the folder of results, the end of a command."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from flows.commands.outputs import output_folder
from flows.commands.tables import print_table
from flows.common.journal import Journal
from flows.designs.catalogue import presets
from flows.designs.design import Design
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import PRESETS

Preset = Annotated[
    str,
    typer.Argument(
        help=f"{', '.join(presets())}, a spec in a TOML file, or the design.toml of a folder of results; with or "
        "without --preset in front."
    ),
]
EncoderPreset = Annotated[
    str,
    typer.Option(
        "--preset",
        help=f"{', '.join(PRESETS)}, a spec in a TOML file, or the design.toml of a folder of results.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Out = Annotated[
    Path, typer.Option("--out", callback=output_folder, help="Folder of results; one folder per design below it.")
]
Library = Annotated[
    str,
    typer.Option(
        help="Cell library: nangate45, osu018, auto (the first of these that can be had); sky130, gf180mcu, sg13g2, "
        "asap7 below $PDK_ROOT, with :slow or :fast for another corner; or files joined by commas (.lib, .lef, .v)."
    ),
]
Reuse = Annotated[
    int | None,
    typer.Option("--reuse", help="Multiplications of a crossing or sample that a multiplier serves; else the spec's."),
]
SchemeOption = Annotated[
    Scheme | None, typer.Option("--scheme", help="Protected by this scheme; of an encoder the whole chip with I2C.")
]
LoadingOption = Annotated[
    Loading | None,
    typer.Option(
        "--loading",
        help="The whole chip with I2C, of a concentrator with its serial links, loaded this way; of an encoder direct "
        "if left out, of a network a write port.",
    ),
]
ClockGating = Annotated[
    bool, typer.Option("--clock-gating", help="Registers with an enable behind clock gates of the library.")
]
Isolation = Annotated[
    bool | None,
    typer.Option("--isolation", help="Latches in front of an encoder's layers: fewer glitches, more area."),
]
Conductances = Annotated[
    Path | None,
    typer.Option(help="Crossbar: measured conductances in uS (.csv, .npz), or codes (.mem), instead of a seed's."),
]
EncodingName = Annotated[
    str | None,
    typer.Option(
        help="Which part of the sensor drives which word line: centre_crop, pooled_2x2, pooled_2x2_on, "
        "pooled_3x3_split, or LEFT,TOP,COLUMNS,ROWS,POOL,POLARITY (on, off, both, split)."
    ),
]
EventFolder = Annotated[
    Path | None,
    typer.Option(
        help="Folder of recordings named by index; without --labels in folders named by class, as N-MNIST comes."
    ),
]
Labels = Annotated[Path | None, typer.Option(help="Label file, lines 'index label'.")]
Sensor = Annotated[str, typer.Option(help="Columns and rows of the event camera, such as 346x260.")]
StepUs = Annotated[int | None, typer.Option("--step-us", min=1, help="Length of a time step of events, us.")]
FromFirstEvent = Annotated[
    bool, typer.Option("--from-first-event", help="Count time from each recording's first event, not from 0.")
]
Scheduler = Annotated[str | None, typer.Option("--scheduler", help="Address of a Dask scheduler; else this machine.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Processes on this machine; else one per core.")]
Repair = Annotated[
    bool,
    typer.Option("--repair", help="Give cells the size that their loads ask for, and buffers, in the core as placed."),
]


@contextmanager
def result_folder(out: Path, chosen: Design) -> Iterator[Path]:
    """The folder of results of a design, which says in ``design.toml`` what it is of; as `Design.results`."""
    folder = out / chosen.name
    with chosen.results(folder):
        yield folder


def synthesised(out: Path, chosen: Design) -> Path:
    """The folder of a design that was synthesised.

    Raises
    ------
    FileNotFoundError
        If it was not.
    """
    folder = out / chosen.name
    if not (folder / "synthesis" / "modules.json").is_file():
        raise FileNotFoundError(f"{folder} holds no synthesis: run `{chosen.command('synth')}` first")
    return folder


def finish(journal: Journal, result: dict[str, Any], as_json: bool, folder: Path | None = None) -> None:
    """Print the result, say where files were written, and leave with 1 if a check failed."""
    if folder is not None:
        result["folder"] = str(folder)
        if not as_json:
            journal.console.print(f"results in {folder}", soft_wrap=True)
    result["passed"] = journal.passed
    result["checks"] = [vars(check) for check in journal.checks]
    if as_json:
        print(json.dumps(result, indent=1))
    if not journal.passed:
        raise typer.Exit(1)


def print_times(journal: Journal) -> None:
    """Where the time went, step by step; results that were kept count with the time of their own run."""
    total = sum(step.seconds for step in journal.steps)
    table = Table("where the time went", "seconds", "share", "CPU s", "peak MB", "", title_justify="left")
    for step in journal.steps:
        memory = "" if step.peak_mb is None else f"{step.peak_mb:,.0f}"
        cpu = "" if step.cpu_s is None else f"{step.cpu_s:.1f}"
        share = f"{100 * step.seconds / total:.0f} %" if total else ""
        table.add_row(step.name, f"{step.seconds:.1f}", share, cpu, memory, "kept" if step.kept else "")
    table.add_row("total", f"{total:.1f}", "", f"{sum(step.cpu_s or 0.0 for step in journal.steps):.1f}", "", "")
    print_table(table, journal.console)
