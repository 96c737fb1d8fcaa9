"""``liquidcal generate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Preset
from flows.journal import Journal
from sim.hgcal_encoder.spec import load_spec


def generate(
    preset: Preset,
    out: Annotated[Path, typer.Option("--out", help="Folder for Verilog, ports, registers and weight image.")] = Path(
        "build"
    ),
    weights: Annotated[Path | None, typer.Option(help="Weight image to write beside the Verilog.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="Published ECON-T settings (YAML) for the register writes.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write Verilog, port list, register map and weight image of an encoder."""
    from flows.generate import generate as run
    from sim.hgcal_encoder.settings import load_settings
    from sim.hgcal_encoder.weights import Weights

    spec = load_spec(preset)
    loaded, image = load_settings(settings, spec) if settings is not None else (None, None)
    image = Weights.load(weights, spec) if weights is not None else image
    journal = Journal()
    with journal.step(f"{spec.name}: Amaranth to Verilog"):
        generated = run(spec, out / spec.name, image, loaded)
    if as_json:
        result = {"directory": str(generated.directory), "files": [path.name for path in generated.files]}
        print(json.dumps(result | {"latency_clocks": generated.latency, "lines": generated.lines}, indent=1))
    else:
        journal.console.print(
            f"{generated.lines:,} lines of Verilog, latency {generated.latency} clocks: {generated.directory}"
        )
