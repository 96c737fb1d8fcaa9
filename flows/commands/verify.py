"""``liquidcal verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Isolation, LoadingOption, Out, Preset, Reuse, SchemeOption, finish


def verify(
    preset: Preset,
    out: Out = Path("report"),
    isolation: Isolation = None,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    crossings: Annotated[
        int | None,
        typer.Option(
            min=1, help="Random bunch crossings (encoder, 100,000) or steps (crossbar, 2,000) against the golden model."
        ),
    ] = None,
    mutants: Annotated[int, typer.Option(min=0, help="Mutants of the RTL that the bench must kill; 0: none.")] = 100,
    random_specs: Annotated[int, typer.Option(min=0, help="Random legal specs to verify beside the preset.")] = 2,
    proofs: Annotated[bool, typer.Option(help="Prove stages equal to their formulas.")] = True,
    words: Annotated[Path | None, typer.Option(help="Published eRx words to compare with, too.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Their settings (YAML).")] = None,
    frames: Annotated[Path | None, typer.Option(help="Their expected eTx words.")] = None,
    serial: Annotated[
        bool, typer.Option("--serial", help="Concentrator: the whole chip from serial bits to serial bits, too.")
    ] = False,
    recordings: Annotated[
        Path | None,
        typer.Option(help="Chips of an event camera: a folder of its recordings (k.bin, k.bs2) to run, too."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Encoder: weights of your own (.npz, hex) that showers run through, too. "
            "Other chips: the trained model (.npz) that sees the recordings; a shipped one if left out."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Recordings to run.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Check the RTL: proofs, random stimulus against the golden model, published vectors, recordings, mutants."""
    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.verification import VERIFICATION, VerificationOptions

    files = [path for path in (words, settings, frames) if path is not None]
    if len(files) not in (0, 3):
        raise typer.BadParameter("published vectors need all of --words, --settings and --frames")
    chosen = design(preset, isolation=isolation, reuse=reuse, scheme=scheme, loading=loading)
    if reason := VERIFICATION.skipped(chosen):
        raise typer.BadParameter(reason)
    if serial and not chosen.serial:
        raise typer.BadParameter(f"--serial: {chosen.name} has no serial links")
    options = VerificationOptions(
        crossings=crossings, mutants=mutants, random_specs=random_specs, proofs=proofs, seed=seed,
        vectors=((files[0], files[1], files[2]),) if files else (), serial=serial, recordings=recordings,
        weights=weights, count=count,
    )  # fmt: skip
    journal = Journal()
    VERIFICATION(chosen, out / chosen.name, journal, options)
    finish(journal, {"seed": seed}, as_json, out / chosen.name)
