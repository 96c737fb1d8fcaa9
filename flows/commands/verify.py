"""``liquidcal verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Out, Preset, finish, result_folder
from flows.journal import Journal
from sim.hgcal_encoder.spec import load_spec


def verify(
    preset: Preset,
    out: Out = Path("report"),
    crossings: Annotated[int, typer.Option(min=1, help="Random bunch crossings against the golden model.")] = 100_000,
    mutants: Annotated[int, typer.Option(min=0, help="Mutants of the RTL that the bench must notice; 0: none.")] = 100,
    random_specs: Annotated[int, typer.Option(min=0, help="Random legal specs to verify beside the preset.")] = 2,
    proofs: Annotated[bool, typer.Option(help="Prove stages equal to their formulas.")] = True,
    words: Annotated[Path | None, typer.Option(help="Published eRx words to compare with, too.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Their settings (YAML).")] = None,
    frames: Annotated[Path | None, typer.Option(help="Their expected eTx words.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Check the RTL: proofs, random crossings against the golden model, published vectors, mutants."""
    from flows.metrics import write_metrics
    from flows.verification import verification_metrics
    from flows.verification import verify as run

    spec = load_spec(preset)
    files = [path for path in (words, settings, frames) if path is not None]
    if len(files) not in (0, 3):
        raise typer.BadParameter("published vectors need all of --words, --settings and --frames")
    journal = Journal()
    folder = result_folder(out, spec.name)
    run(
        spec,
        journal=journal,
        seed=seed,
        crossings=crossings,
        vectors=[(files[0], files[1], files[2])] if files else [],
        random_specs=random_specs,
        mutants=mutants,
        proofs=proofs,
    )
    journal.save(folder / "verification.json")
    command = f"liquidcal verify {preset} --crossings {crossings} --mutants {mutants} --seed {seed}"
    write_metrics(folder / "verification_metrics.json", verification_metrics(journal, command))
    finish(journal, {"seed": seed}, as_json)
