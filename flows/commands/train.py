"""``liquidcal train``."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands import train_astrocyte, train_crossbar
from flows.commands.options import AsJson, EncoderPreset
from flows.commands.outputs import output_folder
from flows.common.journal import Journal


class Loss(StrEnum):
    """Losses of ``train``."""

    EMD = "emd"
    TELESCOPING = "telescoping"


class DecoderKind(StrEnum):
    """Decoders of ``train``."""

    MLP = "mlp"
    PUBLISHED = "published"


app = typer.Typer(
    invoke_without_command=True,
    no_args_is_help=True,
    help="Train what a chip learns: a network, a readout, projections.",
)
app.command("lsm_crossbar")(train_crossbar.lsm_crossbar)
app.command("association")(train_crossbar.association)
app.command("astrocyte_liquid")(train_astrocyte.astrocyte_liquid)


@app.callback()
def train(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the model, its card and the checkpoint.")
    ] = None,
    preset: EncoderPreset = "ECON_T",
    elinks: Annotated[int, typer.Option(min=1, max=13, help="Output links: 3, 5, 7, 9 bits per latent on 2 to 5.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of showers, initial weights and batches.")] = 1,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Optimiser steps at most; 16000 from random weights, 8000 for a decoder alone, else 800."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Shorten the schedule to this time; the result then depends on the machine.")
    ] = None,
    fine_tune: Annotated[
        str | None,
        typer.Option(
            help="Weights to start from: a model or image (.npz, hex), a shipped model's name, or none. "
            "Without it: the shipped network for 5 eLinks if fewer are asked for."
        ),
    ] = None,
    freeze_encoder: Annotated[
        bool, typer.Option("--freeze-encoder", help="Train the decoder only; the chip's weights stay.")
    ] = False,
    start_decoder: Annotated[
        str | None, typer.Option(help="Model whose decoder is trained on, with --freeze-encoder; else from nothing.")
    ] = None,
    charges: Annotated[
        list[str] | None, typer.Option(help="Charges (CSV, Parquet, ROOT) to train on instead of simulated showers.")
    ] = None,
    ideal_charges: Annotated[
        bool,
        typer.Option("--ideal-charges", help="Take --charges as the chip's, with exact zeros, which no word gives."),
    ] = False,
    scale: Annotated[
        float | None, typer.Option(help="Size of the simulated set, 1 for 2.7 million images; 0.5, to fine-tune 0.2.")
    ] = None,
    busy: Annotated[
        float, typer.Option(help="On the number of simulated images with pile-up: more for busy modules.")
    ] = 1.0,
    loss: Annotated[Loss, typer.Option(help="Earth Mover's Distance, or the published one.")] = Loss.EMD,
    decoder: Annotated[DecoderKind, typer.Option(help="Layers over latents and sum, or the published one.")] = (
        DecoderKind.MLP
    ),
    units: Annotated[list[int] | None, typer.Option(help="Hidden layers of the mlp; once per layer.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images of a step; 512, for a decoder alone 256.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="At the start; 0.002 from random weights, 0.0002 from given ones.")
    ] = None,
    phases: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Shares of loss emd at which the multiscale and the exact distance begin."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Trainings with consecutive seeds; the card states their spread.")
    ] = 1,
    evaluate: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Charges for the card's table, beside the simulated.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training from its checkpoint.")] = (
        False
    ),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a model, or the checkpoint of a training, that --out holds.")
    ] = False,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard's event files.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train a network inside the chip's number format. Needs the extra 'train'; uses a GPU where there is one.

    Writes PRESET_Nelinks.npz (weights and decoder) and its card .md into --out. An interrupted training leaves its
    checkpoint there; the same command with --resume goes on from it. Neither is replaced without --overwrite.
    """
    if context.invoked_subcommand is not None:
        return
    if out is None:
        raise typer.BadParameter("expected a folder for the model", param_hint="--out")
    output_folder(out)
    from flows.learning.training import Training, run_training

    files = {}
    for item in evaluate or []:
        name, separator, path = item.partition("=")
        if not separator or not name:
            raise typer.BadParameter(f"--evaluate: expected NAME=FILE, got {item!r}")
        files[name] = path
    training = Training(
        preset=preset,
        elinks=elinks,
        seed=seed,
        steps=steps,
        minutes=minutes,
        fine_tune=fine_tune,
        freeze_encoder=freeze_encoder,
        start_decoder=start_decoder,
        charges=tuple(charges or ()),
        ideal_charges=ideal_charges,
        scale=scale,
        busy=busy,
        loss=loss.value,
        decoder=decoder.value,
        units=tuple(units) if units else (384, 384, 384),
        batch=batch,
        learning_rate=learning_rate,
        phases=phases,
        repeats=repeats,
    )
    journal = Journal()
    try:
        trained = run_training(
            training,
            journal=journal,
            out=out,
            evaluate=files,
            resume=resume,
            overwrite=overwrite,
            tensorboard=tensorboard,
        )
    except ModuleNotFoundError as error:
        print(f"liquidcal: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        kept = [path for path in training.checkpoints(out) if path.is_file()]
        hint = f"{kept[-1]} is kept: the same command with --resume goes on from it" if kept else "no checkpoint yet"
        print(f"liquidcal: interrupted; {hint}", file=sys.stderr)
        raise
    if as_json:
        print(json.dumps(trained.summary(), indent=1))
    else:
        print(trained.card)
