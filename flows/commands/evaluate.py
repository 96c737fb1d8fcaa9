"""``liquidcal evaluate``: one sub-command per chip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from flows.commands.options import AsJson, EncoderPreset, Scheduler, Workers
from flows.common.journal import Journal

app = typer.Typer(no_args_is_help=True, help="Quality of a trained network in exact chip arithmetic.")


@app.command("hgcal_encoder")
def hgcal_encoder(
    charges: Annotated[
        list[str] | None,
        typer.Option(
            help="Calibrated charges (CSV, Parquet, ROOT); without it a simulated sample, always the same. A tree of "
            "ROOT and the prefix of its branches: FILE.root:folder/tree:wafer_ reads wafer_CALQ0 and so on, one number "
            "an entry, or those of all modules of an event."
        ),
    ] = None,
    elinks: Annotated[int, typer.Option(min=1, max=13, help="Output links.")] = 5,
    preset: EncoderPreset = "ECON_T",
    weights: Annotated[str | None, typer.Option(help="Model file (.npz); without it the shipped one.")] = None,
    baselines: Annotated[bool, typer.Option(help="Also threshold sum, super trigger cells, best choice.")] = True,
    scheduler: Scheduler = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Earth Mover's Distance, telescoping distance, energy response and position shift by occupancy."""
    from flows.learning.encoder import evaluate_model, evaluation_sample, find_model
    from sim.hgcal_encoder.files.readers import ChargeTable, charge_tables

    model = find_model(preset=preset, elinks=elinks, weights=weights)
    samples: dict[str, ChargeTable | Iterator[ChargeTable]] = {
        Path(path).name.split(".")[0]: charge_tables(path) for path in charges or []
    }
    if len(samples) < len(charges or []):
        raise typer.BadParameter("--charges: expected files of different names")
    journal = Journal()
    if not samples:
        with journal.step("simulate showers"):
            samples = {"simulated": evaluation_sample()}
    with journal.step(f"evaluate {model.spec.name} on {elinks} eLinks", unit="modules") as advance:
        result = evaluate_model(
            model, samples, baselines=baselines, scheduler=scheduler, workers=workers, advance=advance
        )
    if as_json:
        print(json.dumps(result, indent=1))
        return
    headings = ("cells", "images", "EMD median", "mean", "telescoping x 1000", "response", "resolution", "shift mm")
    for data in result["data"]:
        # a narrow terminal breaks words rather than hiding their ends
        table = Table(Column("method", overflow="fold"), title=f"{data['name']}: {model.spec.name} on {elinks} eLinks")
        for heading in headings:
            table.add_column(heading, justify="right", overflow="fold")
        for entry in data["bins"] + data["fine_bins"]:
            _row(table, "network", entry)
        for baseline in data.get("baselines", []):
            table.add_section()
            for entry in baseline["bins"]:
                _row(table, baseline["name"], entry)
        _wide().print(table)


@app.command("lsm_crossbar")
def lsm_crossbar(
    events: Annotated[Path, typer.Option(help="Folder of N-MNIST recordings named by index, k.bin or k.bs2.")],
    labels: Annotated[Path, typer.Option(help="Label file, lines 'index label'; it says what is scored.")],
    model: Annotated[str, typer.Option(help="Model file (.npz), or the name of a shipped one.")] = "n_mnist",
    from_first_event: Annotated[
        bool, typer.Option("--from-first-event", help="Count time from each recording's first event, not from 0.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Accuracy of the liquid and its readout on recordings, per class, with the confusion matrix."""
    from flows.learning.crossbar import evaluate_crossbar
    from sim.lsm_crossbar.learning.model import TrainedCrossbar

    chosen = TrainedCrossbar.load(model)
    journal = Journal()
    with journal.step(f"evaluate {chosen.spec.name}, macro of seed {chosen.seed}"):
        result = evaluate_crossbar(chosen, events, labels, from_first_event=from_first_event)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    percent = f"{100 * result['accuracy']:.2f} +- {100 * result['accuracy_error']:.2f} %"
    classes = range(len(result["confusion"]))
    table = Table("label", title=f"{percent} of {result['recordings']:,} recordings: {chosen.spec.name}")
    for heading in ("accuracy %", *(f"as {label}" for label in classes)):
        table.add_column(heading, justify="right")
    for entry, row in zip(result["per_class"], result["confusion"], strict=True):
        share = "" if entry["accuracy"] is None else f"{100 * entry['accuracy']:.1f}"
        table.add_row(str(entry["label"]), share, *map(str, row))
    Console().print(table)


def _wide() -> Console:
    """A console that gives a file or a pipe more than the 80 columns that it does not have."""
    return Console() if Console().is_terminal else Console(width=110)


def _row(table: Table, name: str, entry: dict[str, Any]) -> None:
    if not entry["images"]:
        return
    table.add_row(
        name,
        "-".join(map(str, entry["occupancy"])),
        f"{entry['images']:,}",
        f"{entry['emd']['median']:.3f}",
        f"{entry['emd']['mean']:.3f}",
        f"{1000 * entry['telescoping']['mean']:.2f}",
        f"{entry['response']['mean']:.4f}",
        f"{entry['response']['width']:.4f}",
        f"{entry['shift_mm']['median']:.2f}",
    )
