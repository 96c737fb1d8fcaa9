"""``liquidcal evaluate``: one sub-command per chip."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from flows.commands.options import (
    AsJson,
    Conductances,
    EncoderPreset,
    EncodingName,
    EventFolder,
    FromFirstEvent,
    Labels,
    Scheduler,
    Sensor,
    StepUs,
    Workers,
)
from flows.commands.tables import print_table
from flows.common.journal import Journal
from sim.hgcal_encoder.files.readers import ChargeTable

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def evaluate() -> None:
    """Quality of a trained network in exact chip arithmetic."""


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
    words: Annotated[
        Path | None,
        typer.Option(
            help="eRx words (CSV, testInput layout) with --settings; --charges are then those before encoding."
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="ECON-T settings (YAML): density, calibration and multiplexer; without it low density and 1."
        ),
    ] = None,
    ideal_charges: Annotated[
        bool, typer.Option("--ideal-charges", help="Take charges as the chip's, with exact zeros, which no word gives.")
    ] = False,
    elinks: Annotated[int, typer.Option(min=1, max=13, help="Output links.")] = 5,
    preset: EncoderPreset = "ECON_T",
    weights: Annotated[str | None, typer.Option(help="Model file (.npz); without it the shipped one.")] = None,
    baselines: Annotated[bool, typer.Option(help="Also the other algorithms, and the words themselves.")] = True,
    search: Annotated[
        int | None,
        typer.Option(min=1, help="Decode by search, too, with so many moves a module; 4000 take about 15 ms."),
    ] = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Earth Mover's Distance, telescoping distance, energy response and position shift by occupancy.

    Charges are sent to the chip as words: encoded in 4E3M, decoded and calibrated there. Decoded charges are compared
    with those before encoding.
    """
    from flows.learning.encoder import chip_settings, evaluate_model, evaluation_sample, find_model, table_of_words
    from sim.hgcal_encoder.files.readers import charge_tables, read_charge_table
    from sim.hgcal_encoder.files.vectors import read_words
    from sim.hgcal_encoder.learning.training_images import PLAIN

    if search is not None and ideal_charges:
        raise typer.BadParameter("--search needs words or charges sent as words: expected no --ideal-charges")
    if words is not None and (settings is None or ideal_charges or len(charges or []) > 1):
        raise typer.BadParameter("--words: expected --settings, at most one file of --charges and no --ideal-charges")
    if settings is not None and ideal_charges:
        raise typer.BadParameter("--ideal-charges never were words: expected no --settings")
    how = None
    if search is not None:
        from sim.hgcal_encoder.learning.search import Search

        how = Search(moves=search)
    model = find_model(preset=preset, elinks=elinks, weights=weights)
    sent = None if ideal_charges else PLAIN if settings is None else chip_settings(settings, model)
    samples: dict[str, ChargeTable | Iterator[ChargeTable]] = {
        Path(path).name.split(".")[0]: charge_tables(path) for path in charges or []
    }
    if len(samples) < len(charges or []):
        raise typer.BadParameter("--charges: expected files of different names")
    journal = Journal()
    if words is not None and sent is not None:
        truth = read_charge_table(charges[0]) if charges else None
        samples = {words.name.split(".")[0]: table_of_words(read_words(words), sent, truth)}
    if not samples:
        with journal.step("simulate showers"):
            samples = {"simulated": evaluation_sample()}
    with journal.step(f"evaluate {model.spec.name} on {elinks} eLinks", unit="modules") as advance:
        result = evaluate_model(
            model,
            samples,
            settings=sent,
            baselines=baselines,
            search=how,
            scheduler=scheduler,
            workers=workers,
            advance=advance,
        )
    if as_json:
        print(json.dumps(result, indent=1))
        return
    headings = (
        "cells",
        "images",
        "EMD median",
        "mean",
        "weighted",
        "telesc. x 1000",
        "response",
        "resolution",
        "shift mm",
    )
    for data in result["data"]:
        # a narrow terminal breaks words rather than hiding their ends
        table = Table(Column("method", overflow="fold"), title=f"{data['name']}: {model.spec.name} on {elinks} eLinks")
        for heading in headings:
            table.add_column(heading, justify="right", overflow="fold")
        for entry in data["bins"] + data["fine_bins"]:
            _row(table, "network", entry)
        if "search" in data:
            table.add_section()
            for entry in data["search"]["bins"] + data["search"]["fine_bins"]:
                _row(table, "network, search", entry)
        for baseline in data.get("baselines", []):
            table.add_section()
            for entry in baseline["bins"]:
                _row(table, baseline["name"], entry)
        print_table(table)
    print(
        "EMD in low-density cells: less is better. Weighted by module energy; response: decoded over true module sum."
    )
    if baselines:
        print("words: what the words themselves keep, which no algorithm beats.")


@app.command("lsm_crossbar")
def lsm_crossbar(
    events: Annotated[
        Path,
        typer.Option(
            help="Folder of recordings named by index: k.bin, .bs2, .aedat, .aedat4, .npz, .npy, .dat, .raw; for a "
            "model that hears, of WAV files "
            "LABEL_SPEAKER_TAKE.wav or LABEL/NAME.wav."
        ),
    ],
    labels: Annotated[
        Path | None, typer.Option(help="Label file, lines 'index label'; it says what is scored. Not of WAV files.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model file (.npz), or the name of a shipped one.")] = "n_mnist",
    sensor: Sensor = "34x34",
    encoding: EncodingName = None,
    step_us: StepUs = None,
    from_first_event: FromFirstEvent = False,
    conductances: Conductances = None,
    homeostat: Annotated[
        bool, typer.Option("--homeostat", help="With the model's homeostat on, recordings in the order of their index.")
    ] = False,
    drift_s: Annotated[
        float | None, typer.Option(min=1.0, help="Time, s, that the macro has drifted since the readout was trained.")
    ] = None,
    current: Annotated[
        float, typer.Option(min=0.05, max=1.9, help="All currents over those in training: read voltage, temperature.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Accuracy of the liquid and its readout on recordings, per class, with the confusion matrix."""
    from flows.learning.crossbar import changed_macro, evaluate_crossbar
    from sim.lsm_crossbar.learning.model import TrainedCrossbar
    from sim.lsm_crossbar.macro_model.measured_file import read_measured
    from sim.lsm_crossbar.recordings.events import find_encoding, find_sensor

    chosen = TrainedCrossbar.load(model)
    journal = Journal()
    if chosen.hears and (encoding is not None or step_us is not None or sensor != "34x34"):
        raise ValueError(f"{chosen.spec.name} hears: --sensor, --encoding and --step-us are for recordings of events")
    if encoding is not None:
        chosen = replace(chosen, encoding=find_encoding(encoding))
    if step_us is not None:
        chosen = replace(chosen, step_us=step_us)
    if conductances is not None:
        # the readout as it was trained, on another device
        chosen = chosen.on(read_measured(conductances, chosen.spec))
    if drift_s is not None or current != 1:
        chosen = chosen.on(changed_macro(chosen, drift_s=drift_s, current=current))
    with journal.step(f"evaluate {chosen.spec.name}, {chosen.macro_name}"):
        result = evaluate_crossbar(
            chosen, events, labels, from_first_event=from_first_event, sensor=find_sensor(sensor), homeostat=homeostat
        )
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
    print_table(table)


@app.command("astrocyte_liquid")
def astrocyte_liquid(
    model: Annotated[Path, typer.Option(help="Model file (.npz) of `liquidcal train astrocyte_liquid`.")],
    digits: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the four files of MNIST or Fashion-MNIST, or Keras' .npz; without it 2,000 "
            "digits that ship with the package and that no training saw."
        ),
    ] = None,
    events: EventFolder = None,
    labels: Labels = None,
    scheduler: Scheduler = None,
    workers: Workers = None,
    count: Annotated[int | None, typer.Option(min=1, help="Samples to score, from the first.")] = None,
    as_json: AsJson = False,
) -> None:
    """Accuracy of a tuned liquid and its readout on digits or recordings, in exact chip arithmetic."""
    from flows.learning.astrocyte import evaluate_liquid
    from flows.stimulus.astrocyte_samples import SampleFiles
    from sim.astrocyte_liquid.learning.model import TrainedLiquid

    chosen = TrainedLiquid.load(model)
    journal = Journal()
    with journal.step(f"evaluate {chosen.spec.name}, network of seed {chosen.seed}"):
        given = SampleFiles(digits=digits, events=events, labels=labels)
        result = evaluate_liquid(chosen, given=given, count=count, scheduler=scheduler, workers=workers)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    percent = f"{100 * result['accuracy']:.2f} +- {100 * result['accuracy_error']:.2f} %"
    table = Table("label", title=f"{percent} of {result['samples']:,} samples: {chosen.spec.name}")
    for label in range(len(result["confusion"])):
        table.add_column(f"as {label}", justify="right")
    for label, row in enumerate(result["confusion"]):
        table.add_row(str(label), *map(str, row))
    print_table(table)


def _row(table: Table, name: str, entry: dict[str, Any]) -> None:
    if not entry["images"]:
        return
    table.add_row(
        name,
        "-".join(map(str, entry["occupancy"])),
        f"{entry['images']:,}",
        f"{entry['emd']['median']:.3f}",
        f"{entry['emd']['mean']:.3f}",
        f"{entry['emd']['weighted_mean']:.3f}",
        f"{1000 * entry['telescoping']['mean']:.2f}",
        f"{entry['response']['mean']:.4f}",
        f"{entry['response']['width']:.4f}",
        f"{entry['shift_mm']['median']:.2f}",
    )
