"""``liquidcal generate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Preset, Reuse
from flows.common.journal import Journal
from flows.designs.design import design
from flows.designs.generated import Generated
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import EncoderSpec
from sim.lsm_crossbar.spec import CrossbarSpec


def generate(
    preset: Preset,
    out: Annotated[Path, typer.Option("--out", help="Folder for Verilog, ports, registers and weight image.")] = Path(
        "build"
    ),
    weights: Annotated[
        Path | None,
        typer.Option(help="Encoder: weight image. Crossbar: a trained model (.npz), its seed and readout."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="Published ECON-T settings (YAML) for the register writes.")
    ] = None,
    scheme: Annotated[
        Scheme | None, typer.Option(help="Encoder: write the whole chip as well, protected against upsets so.")
    ] = None,
    loading: Annotated[
        Loading, typer.Option(help="Encoder: how the chip takes settings and weights; for its register map as well.")
    ] = Loading.GUARDED,
    reuse: Reuse = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Crossbar: seed of the macro, 0 if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write Verilog, port list, register map, and weight image (encoder) or conductance file (crossbar)."""
    chosen = design(preset, reuse=reuse)
    spec = chosen.spec
    journal = Journal()
    if isinstance(spec, EncoderSpec):
        if seed is not None:
            raise typer.BadParameter("--seed draws the macro of a crossbar; an encoder has none")
        generated = _encoder(spec, out / chosen.name, weights, settings, scheme, loading, journal)
        facts = f"latency {generated.latency} clocks"
        extra = {"latency_clocks": generated.latency}
    else:
        if scheme is not None:
            raise typer.BadParameter("--scheme protects the chip around an encoder; a crossbar has none")
        if settings is not None:
            raise typer.BadParameter("--settings are those of ECON_T; a crossbar takes --weights and --seed")
        generated = _crossbar(spec, out, weights, seed, journal)
        facts, extra = "macro as memory and as black box", {}
    if as_json:
        result = {"directory": str(generated.directory), "files": [path.name for path in generated.files]}
        print(json.dumps(result | extra | {"lines": generated.lines}, indent=1))
    else:
        journal.console.print(f"{generated.lines:,} lines of Verilog, {facts}: {generated.directory}")


def _encoder(
    spec: EncoderSpec,
    folder: Path,
    weights: Path | None,
    settings: Path | None,
    scheme: Scheme | None,
    loading: Loading,
    journal: Journal,
) -> Generated:
    from flows.designs.encoder_files import generate as run
    from sim.hgcal_encoder.files.settings_files import load_settings
    from sim.hgcal_encoder.weights import Weights

    loaded, image = load_settings(settings, spec) if settings is not None else (None, None)
    image = Weights.load(weights, spec) if weights is not None else image
    with journal.step(f"{spec.name}: Amaranth to Verilog"):
        return run(spec, folder, image, loaded, scheme=scheme, loading=loading)


def _crossbar(spec: CrossbarSpec, out: Path, weights: Path | None, seed: int | None, journal: Journal) -> Generated:
    from flows.designs.crossbar_files import generate as run
    from sim.lsm_crossbar.learning.model import TrainedCrossbar
    from sim.lsm_crossbar.macro_model.device import draw

    readout = None
    if weights is not None:
        model = TrainedCrossbar.load(weights)
        if model.spec != spec:
            raise ValueError(f"{weights} was trained for another spec than {spec.name}")
        if seed not in (None, model.seed):
            raise ValueError(f"{weights} was trained on the macro of seed {model.seed}, --seed says {seed}")
        seed, readout = model.seed, model.readout
    with journal.step(f"{spec.name}: conductances of seed {seed or 0}"):
        conductances = draw(spec, seed or 0)
    with journal.step(f"{spec.name}: Amaranth to Verilog"):
        return run(spec, out / spec.name, conductances, readout)
