"""``liquidcal freeze``."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Library, Preset, finish
from flows.common.journal import Check, Journal
from flows.designs.design import load_design
from flows.steps.freeze import synthesise_frozen


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
    from flows.common.folder import fresh_folder
    from flows.designs.frozen import frozen_name, frozen_weights, hardware
    from flows.verification.frozen import verify_frozen
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
        from flows.formal.frozen import prove_frozen
        from flows.formal.solver import Status

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
        result["metrics"] = synthesise_frozen(journal, preset, model, library, folder)
    journal.console.print(f"{verilog.count(chr(10)):,} lines of Verilog, latency {component.latency} clocks: {folder}")
    finish(journal, result, as_json)
