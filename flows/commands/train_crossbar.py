"""``liquidcal train lsm_crossbar`` and ``liquidcal train association``: readout and projections of liquids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Conductances
from flows.commands.outputs import free_file, output_folder
from flows.common.journal import Journal
from sim.files import replacing

Folder = Annotated[Path, typer.Option("--out", callback=output_folder, help="Folder for the model and its card.")]
Clips = Annotated[
    Path | None,
    typer.Option(
        help="Folder of WAV files, LABEL_SPEAKER_TAKE.wav or LABEL/NAME.wav; without it the TIDIGITS-like set."
    ),
]
EventFolder = Annotated[Path | None, typer.Option(help="Folder of recordings named by index; with --labels.")]
Labels = Annotated[Path | None, typer.Option(help="Label file, lines 'index label'.")]
Seed = Annotated[int, typer.Option(min=0, help="Of macros, initial weights, and the parting of the data.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a model that --out holds.")]


def _write_card(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text)


def association(
    out: Folder,
    preset: Annotated[
        str, typer.Option(help="DIGITS_8BIT, DIGITS_4BIT, DIGITS_BINARY, or a spec in a TOML file.")
    ] = "DIGITS_8BIT",
    clips: Clips = None,
    events: EventFolder = None,
    labels: Labels = None,
    classes: Annotated[
        list[int] | None, typer.Option(help="Class to learn; once per class. Without it all that both sets have.")
    ] = None,
    seed: Seed = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the larger set.")] = 40,
    conductances: Annotated[
        tuple[Path, Path] | None,
        typer.Option(help="Measured conductances of both macros, VISION AUDIO (.csv, .npz, .mem), not a seed's."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train the projections of an association chip: seen and spoken things of one class find each other.

    Writes NAME.npz (both projections, seeds of both macros), its card NAME.md, and NAME_entries.npz: one entry of the
    embedding memory per class. Without data of your own it learns from N-MNIST-like and TIDIGITS-like digits.
    """
    from flows.learning.association import AssociationTraining, train_association
    from sim.files import write_arrays
    from sim.lsm_crossbar.association.spec import load_association

    spec = load_association(preset)
    stem = spec.name.lower()
    path = free_file(out / f"{stem}.npz", overwrite)
    journal = Journal()
    trained = train_association(
        AssociationTraining(
            spec=spec, seed=seed, clips=clips, events=events, labels=labels, epochs=epochs,
            classes=tuple(classes) if classes else None, conductances=conductances,
        ),
        journal,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    trained.model.save(path)
    _write_card(out / f"{stem}.md", trained.card)
    write_arrays(
        out / f"{stem}_entries.npz",
        {"classes": trained.label_array, "vision": trained.entries[0], "audio": trained.entries[1]},
    )
    if as_json:
        print(json.dumps(trained.summary() | {"model": str(path)}, indent=1))
    else:
        print(trained.card)


def lsm_crossbar(
    out: Folder,
    preset: Annotated[str, typer.Option(help="SPOKEN_DIGITS, N_MNIST, or a spec in a TOML file.")] = "SPOKEN_DIGITS",
    clips: Clips = None,
    events: EventFolder = None,
    labels: Labels = None,
    seed: Seed = 0,
    conductances: Conductances = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train the readout of a crossbar on labelled recordings: of events (--events, --labels), or of sound.

    Writes NAME.npz (readout, seed of the macro) and its card NAME.md. Method and penalty are chosen on validation; the
    test part is looked at once. Liquid and readout take seconds; the counts are not kept.
    """
    from flows.learning.recordings import RecordingsTraining, train_on_recordings
    from sim.lsm_crossbar.spec import load_spec

    spec = load_spec(preset)
    stem = spec.name.lower()
    path = free_file(out / f"{stem}.npz", overwrite)
    trained = train_on_recordings(
        RecordingsTraining(spec=spec, seed=seed, conductances=conductances, clips=clips, events=events, labels=labels),
        Journal(),
    )
    out.mkdir(parents=True, exist_ok=True)
    trained.model.save(path)
    _write_card(out / f"{stem}.md", trained.card)
    if as_json:
        print(json.dumps(trained.summary() | {"model": str(path)}, indent=1))
    else:
        print(trained.card)
