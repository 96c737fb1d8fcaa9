"""``liquidcal train lsm_crossbar`` and ``liquidcal train association``: readout and projections of liquids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import (
    AsJson,
    Conductances,
    EncodingName,
    EventFolder,
    FromFirstEvent,
    Labels,
    Sensor,
    StepUs,
)
from flows.commands.outputs import free_file, output_folder
from flows.common.journal import Journal
from sim.files import replacing

if TYPE_CHECKING:  # slow to import
    from flows.learning.recordings import RecordingsTraining

Folder = Annotated[Path, typer.Option("--out", callback=output_folder, help="Folder for the model and its card.")]
Clips = Annotated[
    Path | None,
    typer.Option(
        help="Folder of WAV files, LABEL_SPEAKER_TAKE.wav or LABEL/NAME.wav; without it the TIDIGITS-like set."
    ),
]
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
    homeostat: Annotated[
        bool, typer.Option("--homeostat", help="With a homeostat beside the liquid, in balance as it is now.")
    ] = False,
    sensor: Sensor = "34x34",
    encoding: EncodingName = None,
    step_us: StepUs = None,
    from_first_event: FromFirstEvent = False,
    continual: Annotated[
        bool, typer.Option("--continual", help="Weights of 1 bit that learn one task after another (--task).")
    ] = False,
    task: Annotated[
        list[str] | None,
        typer.Option(help="Classes of a task, such as 0,1; once per task, in order. Without it pairs of all classes."),
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared-outputs/--own-outputs", help="Whether tasks share the readout's outputs.")
    ] = True,
    prior_weight: Annotated[
        float, typer.Option(min=0, help="Times that the last task counts as prior of the next; 0: no memory.")
    ] = 8.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the tasks that NAME_field.npz in --out has learnt.")
    ] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train the readout of a crossbar on labelled recordings: of events (--events, --labels), or of sound.

    Writes NAME.npz (readout, seed of the macro) and its card NAME.md. Method and penalty are chosen on validation; the
    test part is looked at once. Liquid and readout take seconds; the counts are not kept.

    With --continual the readout has weights of 1 bit, and tasks come one after another; NAME.toml is its spec, and
    NAME_field.npz what the next task starts from.
    """
    from flows.learning.recorded_parts import ENCODING, STEP_US, View
    from flows.learning.recordings import RecordingsTraining, train_on_recordings
    from sim.lsm_crossbar.recordings.events import find_encoding, find_sensor
    from sim.lsm_crossbar.spec import load_spec

    spec = load_spec(preset)
    training = RecordingsTraining(
        spec=spec, seed=seed, conductances=conductances, clips=clips, events=events, labels=labels, homeostat=homeostat,
        view=View(
            encoding=ENCODING if encoding is None else find_encoding(encoding), sensor=find_sensor(sensor),
            step_us=STEP_US if step_us is None else step_us, from_first_event=from_first_event,
        ),
    )  # fmt: skip
    if continual:
        if homeostat:
            raise ValueError("--homeostat: expected without --continual, whose threshold stays")
        _continual(training, out, task, shared, prior_weight, resume, overwrite, as_json)
        return
    if task or resume:
        raise ValueError("--task and --resume are those of --continual")
    stem = spec.name.lower()
    path = free_file(out / f"{stem}.npz", overwrite)
    trained = train_on_recordings(training, Journal())
    out.mkdir(parents=True, exist_ok=True)
    trained.model.save(path)
    _write_card(out / f"{stem}.md", trained.card)
    if as_json:
        print(json.dumps(trained.summary() | {"model": str(path)}, indent=1))
    else:
        print(trained.card)


def _continual(
    training: RecordingsTraining,
    out: Path,
    tasks: list[str] | None,
    shared: bool,
    prior_weight: float,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    from flows.learning.continual import sign_spec, train_sequence
    from sim.lsm_crossbar.learning.continual import FieldOptions

    stem = sign_spec(training.spec, 1).name.lower()
    path, field = free_file(out / f"{stem}.npz", overwrite or resume), out / f"{stem}_field.npz"
    trained = train_sequence(
        training, tasks, Journal(), shared=shared, field=field if resume else None,
        options=FieldOptions(prior_weight=prior_weight, seed=training.seed + 1),
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    trained.learner.save(field)
    trained.model.save(path)
    _write_card(out / f"{stem}.toml", trained.model.spec.to_toml())
    _write_card(out / f"{stem}.md", trained.card)
    if as_json:
        print(json.dumps(trained.summary() | {"model": str(path)}, indent=1))
    else:
        print(trained.card)
