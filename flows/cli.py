"""The command line: ``liquidcal``.

Exit codes: 0 the command did its job and every gate passed, 1 a gate failed, 2 wrong usage, bad input, missing tool.
"""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from flows.journal import Journal
from sim.hgcal_encoder.spec import CELLS, PRESETS, EncoderSpec, load_spec

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="""Hardware/software co-design of detector and neuromorphic chips.

    Start with [bold]liquidcal demo[/]: a shower becomes eLink words in the model and in the RTL, with one HTML report.
    PRESET is ECON_T (the network on the chip), TNS_2021 (the published 4x4x3 network) or a TOML file of your own.""",
)

Preset = Annotated[str, typer.Argument(help=f"{', '.join(PRESETS)} or a spec in a TOML file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Out = Annotated[Path, typer.Option("--out", help="Folder of results; one folder per design below it.")]
Library = Annotated[str, typer.Option(help="Cell library: nangate45, osu018, or auto (the first that can be had).")]


class EncodeEngine(StrEnum):
    """Engines of ``encode``."""

    NUMPY = "numpy"
    NUMBA = "numba"
    RTL = "rtl"


def _folder(out: Path, spec: EncoderSpec) -> Path:
    folder = out / spec.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _finish(journal: Journal, result: dict[str, Any], as_json: bool) -> None:
    """Print the result and leave with 1 if a check failed."""
    result["passed"] = journal.passed
    result["checks"] = [vars(check) for check in journal.checks]
    if as_json:
        print(json.dumps(result, indent=1))
    if not journal.passed:
        raise typer.Exit(1)


@app.command()
def demo(
    out: Out = Path("report"),
    crossings: Annotated[int, typer.Option(min=2, help="Bunch crossings that the module sees.")] = 400,
    seed: Annotated[int, typer.Option(help="Seed of the simulated particles.")] = 1,
    library: Library = "auto",
    as_json: AsJson = False,
) -> None:
    """Showers to eLink words in model and RTL, area per stage, one report. Ten minutes on two cores."""
    from flows.demo import run_demo
    from flows.report import write_report
    from sim.hgcal_encoder.spec import ECON_T

    journal = Journal()
    folder = _folder(out, ECON_T)
    run_demo(journal, folder, crossings=crossings, seed=seed)
    result = _synthesise(journal, ECON_T, folder, library)
    journal.save(folder / "journal.json")
    page = write_report(folder, ECON_T)
    _times(journal)
    journal.console.print(f"\nReport: [bold]{page}[/]")
    _finish(journal, {"report": str(page), "area_um2": result.area_um2}, as_json)


@app.command()
def encode(
    out: Annotated[Path, typer.Option(help="Output CSV: frames in the testOutput layout, or latents.")],
    words: Annotated[Path | None, typer.Option(help="eRx words, CSV in the testInput layout.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Published ECON-T settings (YAML), with its weights.")] = None,
    charges: Annotated[Path | None, typer.Option(help="Calibrated charges, CSV with CALQ_0 to CALQ_47.")] = None,
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
    Charges: --charges FILE.csv --weights IMAGE --out FILE.csv. The multiplexer of --settings, else the one that a
    trained model (.npz) carries, brings trigger cells onto the grid; without either, column i is grid cell i.
    """
    from sim.hgcal_encoder import vectors
    from sim.hgcal_encoder.encoder import Encoder
    from sim.hgcal_encoder.settings import load_settings
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
            from flows.simulation import simulate_encoder

            with journal.step(f"RTL: {len(rows):,} bunch crossings", len(rows)) as advance:
                frames = simulate_encoder(spec, rows, loaded, image, advance=advance)
        else:
            frames = Encoder(spec, image, loaded, engine.value).frames(rows)
        vectors.write_frames(out, frames)
        result = {"rows": len(rows), "kind": "frames", "out": str(out), "engine": engine.value}
    elif charges is not None and weights is not None and words is None:
        if engine is EncodeEngine.RTL:
            raise typer.BadParameter("the RTL takes words: use --words and --settings with --engine rtl")
        rows = vectors.read_charges(charges)
        inputs = rows[:, _multiplexer(weights, settings, spec)]
        vectors.write_latents(out, Encoder(spec, Weights.load(weights, spec), engine=engine.value).latents(inputs))
        result = {"rows": len(rows), "kind": "latents", "out": str(out), "engine": engine.value}
    else:
        raise typer.BadParameter("give either --words and --settings, or --charges and --weights")
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        journal.console.print(f"{result['rows']:,} bunch crossings: {result['kind']} in {out}")


@app.command()
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


@app.command()
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
    folder = _folder(out, spec)
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
    _finish(journal, {"seed": seed}, as_json)


@app.command()
def synth(
    preset: Preset,
    out: Out = Path("report"),
    library: Library = "auto",
    as_json: AsJson = False,
) -> None:
    """Synthesise an encoder onto a cell library: area per stage, flip-flops, gates on the netlist."""
    spec = load_spec(preset)
    journal = Journal()
    folder = _folder(out, spec)
    result = _synthesise(journal, spec, folder, library)
    if not as_json:
        table = Table("module", "instances", "area um2", "kGE", "flip-flops")
        for stage in result.stages:
            table.add_row(
                stage.module.removeprefix(f"{spec.name}_") if stage.instances else "top level",
                str(len(stage.instances) or 1),
                f"{stage.area_um2:,.0f}",
                f"{stage.gate_equivalents / 1000:,.1f}",
                f"{stage.flip_flops:,}",
            )
        table.add_row(
            "total", "", f"{result.area_um2:,.0f}", f"{result.gate_equivalents / 1000:,.1f}", f"{result.flip_flops:,}"
        )
        Console().print(table)
    _finish(journal, {"metrics": [metric.to_dict() for metric in result.metrics]}, as_json)


@app.command()
def report(
    preset: Annotated[str, typer.Argument(help="Design whose results are reported.")] = "ECON_T",
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Write the HTML report again from the results that are there."""
    from flows.report import write_report

    spec = load_spec(preset)
    page = write_report(out / spec.name, spec)
    if as_json:
        print(json.dumps({"report": str(page)}))
    else:
        print(page)


def _multiplexer(weights: Path, settings: Path | None, spec: EncoderSpec) -> Any:
    """Trigger cell for each grid cell: from settings, from a trained model, or as it comes."""
    import numpy as np

    from sim.hgcal_encoder.settings import load_settings

    if settings is not None:
        return load_settings(settings, spec)[0].select
    if weights.suffix == ".npz" and weights.is_file():
        with np.load(weights, allow_pickle=False) as arrays:
            if "multiplexer" in arrays:
                return arrays["multiplexer"]
    return np.arange(CELLS)


def _synthesise(journal: Journal, spec: EncoderSpec, folder: Path, library: str) -> Any:
    from flows.cells import cell_library
    from flows.journal import Check
    from flows.metrics import GateError
    from flows.synthesis import gate_synthesis, synthesise
    from hw.common.export import to_rtlil
    from hw.hgcal_encoder.encoder import Encoder

    with journal.step("cell library"):
        cells = cell_library(library)
    with journal.step(f"synthesis of {spec.name} onto {cells.name}"):
        rtlil = to_rtlil(Encoder(spec=spec), spec.name)
        command = f"liquidcal synth {spec.name} --library {cells.name}"
        result = synthesise(rtlil, top=spec.name, library=cells, out_dir=folder / "synthesis", command=command)
    name = f"netlist on {cells.name}: all cells mapped, no latch, no loop, nothing undriven"
    try:
        gate_synthesis(result.metrics)
        detail, passed = "", True
    except GateError as error:
        detail, passed = str(error), False
    count = int(result.values["design__instance__count"])
    journal.check(Check(name=name, passed=passed, compared=count, unit="cells", detail=detail))
    return result


def _times(journal: Journal) -> None:
    total = sum(step.seconds for step in journal.steps)
    table = Table("where the time went", "seconds", "share", title_justify="left")
    for step in journal.steps:
        table.add_row(step.name, f"{step.seconds:.1f}", f"{100 * step.seconds / total:.0f} %")
    table.add_row("total", f"{total:.1f}", "")
    journal.console.print(table)


def main() -> None:
    """Entry point: turns expected errors into one line and an exit code. Ctrl-C ends with 130, as shells do."""
    from flows.cells import LibraryError
    from flows.simulation import SimulatorError
    from flows.yosys import YosysError
    from hw.common.export import ExportError

    try:
        app()
    except (ValueError, TypeError, OSError, LibraryError, SimulatorError, YosysError, ExportError) as error:
        print(f"liquidcal: {error}", file=sys.stderr)
        sys.exit(2)
