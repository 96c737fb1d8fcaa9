"""``liquidcal train``."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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


def train(
    out: Annotated[
        Path, typer.Option("--out", callback=output_folder, help="Folder for the model, its card and the checkpoint.")
    ],
    preset: EncoderPreset = "ECON_T",
    elinks: Annotated[int, typer.Option(min=1, max=13, help="Output links: 3, 5, 7, 9 bits per latent on 2 to 5.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of showers, initial weights and batches.")] = 1,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Optimiser steps at most; 16000 from random weights, 800 from given ones."),
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
    charges: Annotated[
        list[str] | None, typer.Option(help="Charges (CSV, Parquet, ROOT) to train on instead of simulated showers.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Size of the simulated set, 1 for 2.7 million images; 0.5, to fine-tune 0.2.")
    ] = None,
    loss: Annotated[Loss, typer.Option(help="Earth Mover's Distance, or the published one.")] = Loss.EMD,
    decoder: Annotated[DecoderKind, typer.Option(help="Layers over latents and sum, or the published one.")] = (
        DecoderKind.MLP
    ),
    units: Annotated[list[int] | None, typer.Option(help="Hidden layers of the mlp; once per layer.")] = None,
    batch: Annotated[int, typer.Option(help="Images of a step.")] = 512,
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
        charges=tuple(charges or ()),
        scale=scale,
        loss=loss.value,
        decoder=decoder.value,
        units=tuple(units) if units else (512, 512),
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
