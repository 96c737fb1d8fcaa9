"""``liquidcal encode``."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import AsJson
from flows.common.journal import Journal
from sim.hgcal_encoder.spec import CELLS, PRESETS, EncoderSpec, load_spec


class EncodeEngine(StrEnum):
    """Engines of ``encode``."""

    NUMPY = "numpy"
    NUMBA = "numba"
    RTL = "rtl"


def encode(
    out: Annotated[Path, typer.Option(help="Output CSV: frames in the testOutput layout, or latents.")],
    words: Annotated[Path | None, typer.Option(help="eRx words, CSV in the testInput layout.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Published ECON-T settings (YAML), with its weights.")] = None,
    charges: Annotated[
        Path | None, typer.Option(help="Calibrated charges CALQ_0 to CALQ_47: CSV, Parquet or ROOT.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weight image: .npz of codes or the hex text of generate.")
    ] = None,
    preset: Annotated[str, typer.Option(help=f"{', '.join(PRESETS)} or a spec in a TOML file.")] = "ECON_T",
    engine: Annotated[
        EncodeEngine, typer.Option(help="Golden model (numpy, numba) or the simulated RTL.")
    ] = EncodeEngine.NUMBA,
    as_json: AsJson = False,
) -> None:
    """Encode eRx words to eTx words, or charges to latents.

    Words: --words FILE.csv --settings FILE.yaml --out FILE.csv.
    Charges: --charges FILE --weights IMAGE --out FILE.csv. The multiplexer of --settings, else the one that a
    trained model (.npz) carries, brings trigger cells onto the grid; without either, column i is grid cell i.
    """
    from sim.hgcal_encoder.encoder import Encoder
    from sim.hgcal_encoder.files import vectors
    from sim.hgcal_encoder.files.readers import read_charges
    from sim.hgcal_encoder.files.settings_files import load_settings
    from sim.hgcal_encoder.weights import Weights

    spec = load_spec(preset)
    journal = Journal()
    if words is not None and settings is not None and charges is None:
        loaded, image = load_settings(settings, spec)
        image = Weights.load(weights, spec) if weights is not None else image
        if image is None:
            raise typer.BadParameter(f"{settings} carries no weights; add --weights IMAGE")
        rows = vectors.read_words(words)
        if engine is EncodeEngine.RTL:
            from flows.simulation.encoder import simulate_encoder

            with journal.step(f"RTL: {len(rows):,} bunch crossings", len(rows)) as advance:
                frames = simulate_encoder(spec, rows, loaded, image, advance=advance)
        else:
            frames = Encoder(spec, image, loaded, engine.value).frames(rows)
        vectors.write_frames(out, frames)
        result = {"rows": len(rows), "kind": "frames", "out": str(out), "engine": engine.value}
    elif charges is not None and weights is not None and words is None:
        if engine is EncodeEngine.RTL:
            raise typer.BadParameter("the RTL takes words: use --words and --settings with --engine rtl")
        rows = read_charges(charges)
        inputs = rows[:, _multiplexer(weights, settings, spec)]
        vectors.write_latents(out, Encoder(spec, Weights.load(weights, spec), engine=engine.value).latents(inputs))
        result = {"rows": len(rows), "kind": "latents", "out": str(out), "engine": engine.value}
    else:
        raise typer.BadParameter("give either --words and --settings, or --charges and --weights")
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        journal.console.print(f"{result['rows']:,} bunch crossings: {result['kind']} in {out}")


def _multiplexer(weights: Path, settings: Path | None, spec: EncoderSpec) -> Any:
    """Trigger cell for each grid cell: from settings, from a trained model, or as it comes."""
    import numpy as np

    from sim.hgcal_encoder.files.settings_files import load_settings

    if settings is not None:
        return load_settings(settings, spec)[0].select
    if weights.suffix == ".npz" and weights.is_file():
        with np.load(weights, allow_pickle=False) as arrays:
            if "multiplexer" in arrays:
                return arrays["multiplexer"]
    return np.arange(CELLS)
