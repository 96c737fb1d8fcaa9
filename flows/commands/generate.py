"""``liquidcal generate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Conductances, LoadingOption, Preset, Reuse, SchemeOption
from flows.commands.outputs import output_folder
from sim.hgcal_encoder.spec import WordOrder


def generate(
    preset: Preset,
    out: Annotated[
        Path,
        typer.Option("--out", callback=output_folder, help="Folder for Verilog, ports, registers and weight image."),
    ] = Path("build"),
    weights: Annotated[
        Path | None,
        typer.Option(help="Encoder: weight image. Crossbar: a trained model (.npz), its seed and readout."),
    ] = None,
    settings: Annotated[
        Path | None, typer.Option(help="Published ECON-T settings (YAML) for the register writes.")
    ] = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    registers: Annotated[
        WordOrder | None,
        typer.Option(
            case_sensitive=False,
            help="Encoder: ECON-T to load. The Verilog and writes.csv are at the addresses of first silicon (p1); "
            "production: production_writes.csv as well. As --settings are spelled if left out.",
        ),
    ] = None,
    reuse: Reuse = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Crossbar: seed of the macro, 0 if left out.")] = None,
    conductances: Conductances = None,
    as_json: AsJson = False,
) -> None:
    """Write Verilog, port list, register map, and weight image (encoder) or conductance file (crossbar)."""
    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.designs.generated import FileOptions

    chosen = design(preset, reuse=reuse)
    if conductances is not None and not chosen.measured_macro:
        raise ValueError(f"--conductances are those of the macro of a crossbar; {chosen.name} takes none")
    journal = Journal()
    options = FileOptions(
        weights=weights,
        settings=settings,
        seed=seed,
        scheme=scheme,
        loading=loading,
        registers=registers,
        conductances=conductances,
    )
    generated = chosen.generate(out / chosen.name, journal, options)
    if as_json:
        result = {"directory": str(generated.directory), "files": [path.name for path in generated.files]}
        latency = {"latency_clocks": generated.latency} if generated.latency else {}
        print(json.dumps(result | latency | {"lines": generated.lines}, indent=1))
    else:
        facts = f"latency {generated.latency} clocks" if generated.latency else "macro as memory and as black box"
        journal.console.print(f"{generated.lines:,} lines of Verilog, {facts}: {generated.directory}")
        if any(path.name == "production_writes.csv" for path in generated.files):
            journal.console.print("  writes.csv loads this Verilog, production_writes.csv a production ECON-T")
