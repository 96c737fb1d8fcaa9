"""``liquidcal freeze``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Library, Preset, finish
from flows.commands.outputs import output_folder


def freeze(
    preset: Preset,
    model: Annotated[str, typer.Argument(help="Shipped model by name, a trained model (.npz) or a weight image.")],
    out: Annotated[
        Path, typer.Option("--out", callback=output_folder, help="Folder; one folder per design below it.")
    ] = Path("build"),
    crossings: Annotated[
        int, typer.Option(min=0, help="Random bunch crossings against the golden model; 0: none.")
    ] = 20_000,
    proofs: Annotated[bool, typer.Option(help="Prove every output of both layers.")] = True,
    synth: Annotated[bool, typer.Option(help="Synthesise as well.")] = False,
    library: Library = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the random words.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Fold the weights of a model into the logic of an encoder: Verilog, check against the model, proofs, area.

    Nothing is left to load but settings; writes to the addresses of weights do nothing.
    """
    import json

    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.designs.frozen import frozen_name
    from flows.steps.freeze import FreezeOptions

    chosen = design(preset, library=library)
    folder = out / frozen_name(chosen.spec)
    options = FreezeOptions(model=model, crossings=crossings, proofs=proofs, synth=synth, seed=seed)
    journal = Journal()
    metrics = chosen.room("freezing").freeze_design(chosen, folder, journal, options)
    about = json.loads((folder / "design.json").read_text())
    result: dict[str, object] = {"directory": str(folder), "latency_clocks": about["latency_clocks"]}
    if synth:
        result["metrics"] = [metric.to_dict() for metric in metrics]
    finish(journal, result, as_json, folder)
