"""``liquidcal sensitivity``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.commands.options import AsJson, Out, Preset
from flows.common.journal import Journal


def sensitivity(
    preset: Preset = "ECON_T",
    elinks: Annotated[int, typer.Option(min=1, max=13, help="Output links.")] = 5,
    weights: Annotated[str | None, typer.Option(help="Model file (.npz); without it the shipped one.")] = None,
    modules: Annotated[int, typer.Option(min=1, help="Module images to average over.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Of the module images.")] = 20261,
    costs: Annotated[Path | None, typer.Option(help="Areas of the schemes, as liquidcal cost writes them.")] = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """What a flip of each weight bit does to physics: change of EMD and energy, rankings, selective protection, beam.

    Writes sensitivity.npz and sensitivity.json into the result folder, where the report finds them.
    """
    from flows.campaign.conclusions import TOPS
    from flows.designs.catalogue import design
    from flows.learning.encoder import find_model
    from flows.steps.encoder_sensitivity import SensitivityOptions, measure_sensitivity

    chosen = design(preset)
    model = find_model(preset=preset, elinks=elinks, weights=weights)
    folder = out / chosen.name
    options = SensitivityOptions(model=model, modules=modules, seed=seed, costs=costs)
    result = measure_sensitivity(chosen, folder, Journal(), options)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    table = Table("order of bits", "Spearman", *(f"top {100 * top:g} %" for top in TOPS), "bits for 90 %")
    for row in result["rankings"]:
        covered = (f"{100 * part:.1f} %" for part in row["covered"])
        table.add_row(row["name"], f"{row['spearman']:.3f}", *covered, f"{row['bits_for_90']:,}")
    console = Console()
    console.print(table)
    console.print(f"{folder / 'sensitivity.npz'}, {folder / 'sensitivity.json'}")
