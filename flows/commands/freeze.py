"""``liquidcal freeze``."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Library, Preset, finish
from flows.designs import load_design
from flows.journal import Check, Journal


def freeze(
    preset: Preset,
    model: Annotated[str, typer.Argument(help="Shipped model by name, a trained model (.npz) or a weight image.")],
    out: Annotated[Path, typer.Option("--out", help="Folder; one folder per design below it.")] = Path("build"),
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
    from flows.folder import fresh_folder
    from flows.frozen import frozen_name, frozen_weights, hardware, verify_frozen
    from hw.common.export import ports, to_verilog

    weights = frozen_weights(model, load_design(preset))
    spec = weights.spec
    name = frozen_name(spec)
    journal = Journal()
    folder = out / name
    with journal.step(f"{name}: Amaranth to Verilog"):
        component = hardware(weights)
        pins = ports(component)
        verilog = to_verilog(component, name)
    design = {"name": name, "model": Path(model).name, "latency_clocks": component.latency, "clock_period_ns": 25.0}
    with fresh_folder(folder, marker="design.json") as work:
        (work / f"{name}.v").write_text(verilog)
        (work / "spec.toml").write_text(spec.to_toml())
        weights.save(work / "weights.hex")
        with (work / "ports.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("name", "direction", "width"), *pins])
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    if crossings:
        verify_frozen(weights, journal, crossings=crossings, seed=seed)
    if proofs:
        from flows.frozen_proofs import prove_frozen
        from flows.proofs import Status

        with journal.step(f"{name}: proofs of every output"):
            done = list(prove_frozen(weights))
        open_ = [proof for proof in done if proof.status is not Status.PROVED]
        journal.check(
            Check(
                name=f"{name}: every output of both layers is the formula, for every input", passed=not open_,
                compared=len(done), unit="outputs", detail=f"{open_[0].name} {open_[0].status}" if open_ else "",
            )
        )  # fmt: skip
    result: dict[str, object] = {"directory": str(folder), "latency_clocks": component.latency}
    if synth:
        result["metrics"] = _synthesis(journal, preset, model, library, folder)
    journal.console.print(f"{verilog.count(chr(10)):,} lines of Verilog, latency {component.latency} clocks: {folder}")
    finish(journal, result, as_json)


def _synthesis(journal: Journal, preset: str, model: str, library: str, folder: Path) -> list[dict[str, object]]:
    """Synthesise and judge the netlist; its metrics."""
    from flows.cells import cell_library
    from flows.frozen import KEEP, frozen_name, frozen_weights, hardware
    from flows.metrics import GateError
    from flows.synthesis import gate_synthesis, synthesise
    from hw.common.export import to_rtlil

    weights = frozen_weights(model, load_design(preset))
    name = frozen_name(weights.spec)
    with journal.step("cell library"):
        cells = cell_library(library)
    with journal.step(f"synthesis of {name} onto {cells.name}"):
        result = synthesise(
            to_rtlil(hardware(weights), name), top=name, library=cells, out_dir=folder.parent / f"{name}_synthesis",
            keep=KEEP, command=f"liquidcal freeze {preset} {model} --synth --library {cells.name}",
        )  # fmt: skip
    try:
        gate_synthesis(result.metrics)
        detail, passed = "", True
    except GateError as error:
        detail, passed = str(error), False
    check = f"netlist on {cells.name}: all cells mapped, no latch, no loop, nothing undriven"
    count = int(result.values["design__instance__count"])
    journal.check(Check(name=check, passed=passed, compared=count, unit="cells", detail=detail))
    journal.console.print(f"{result.area_um2:,.0f} um2, {result.gate_equivalents / 1000:,.1f} kGE")
    return [metric.to_dict() for metric in result.metrics]
