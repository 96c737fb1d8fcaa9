"""Step: an encoder with constant weights, from model to Verilog, checks, proofs and netlist."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from flows.common.folder import fresh_folder
from flows.common.journal import Check, Journal
from flows.common.metrics import Metric
from flows.designs.design import Design
from flows.designs.frozen import KEEP, frozen_name, frozen_weights, hardware
from flows.designs.tables import write_ports
from flows.formal.frozen import prove_frozen
from flows.formal.solver import Status
from flows.steps.synthesis import judge_netlist
from flows.synthesis.synthesise import synthesise
from flows.verification.frozen import verify_frozen
from hw.common.export import ports, to_rtlil, to_verilog
from sim.hgcal_encoder.weights import Weights

__all__ = ["FreezeOptions", "freeze_design"]


@dataclass(frozen=True, kw_only=True)
class FreezeOptions:
    """What is folded in, and what is checked.

    Attributes
    ----------
    model : str
        Shipped model by name, a trained model (.npz) or a weight image.
    crossings : int
        Random bunch crossings against the golden model; 0: none.
    proofs : bool
        Prove every output of both layers.
    synth : bool
        Synthesise as well, onto the design's library.
    seed : int
        Of the random words.
    """

    model: str
    crossings: int = 20_000
    proofs: bool = True
    synth: bool = False
    seed: int = 1


def freeze_design(design: Design, folder: Path, journal: Journal, options: FreezeOptions) -> tuple[Metric, ...]:
    """Fold weights into the logic: Verilog in the folder, checks, proofs; metrics of the netlist if it is made.

    Raises
    ------
    ValueError
        The weights do not fit the design.
    FileExistsError
        If the folder holds something else.
    """
    weights = frozen_weights(options.model, design.spec)
    name = frozen_name(weights.spec)
    _write(weights, folder, journal, options.model)
    if options.crossings:
        verify_frozen(weights, journal, crossings=options.crossings, seed=options.seed)
    if options.proofs:
        with journal.step(f"{name}: proofs of every output"):
            done = list(prove_frozen(weights))
        open_ = [proof for proof in done if proof.status is not Status.PROVED]
        journal.check(
            Check(
                name=f"{name}: every output of both layers is the formula, for every input", passed=not open_,
                compared=len(done), unit="outputs", detail=f"{open_[0].name} {open_[0].status}" if open_ else "",
            )
        )  # fmt: skip
    return _synthesise(design, weights, folder, journal, options.model) if options.synth else ()


def _write(weights: Weights, folder: Path, journal: Journal, model: str) -> None:
    spec, name = weights.spec, frozen_name(weights.spec)
    with journal.step(f"{name}: Amaranth to Verilog"):
        component = hardware(weights)
        pins = ports(component)
        verilog = to_verilog(component, name)
    about = {"name": name, "model": Path(model).name, "latency_clocks": component.latency, "clock_period_ns": 25.0}
    with fresh_folder(folder, marker="design.json") as work:
        (work / f"{name}.v").write_text(verilog)
        (work / "spec.toml").write_text(spec.to_toml())
        weights.save(work / "weights.hex")
        write_ports(work, pins)
        (work / "design.json").write_text(json.dumps(about, indent=1) + "\n")
    journal.console.print(f"{verilog.count(chr(10)):,} lines of Verilog, latency {component.latency} clocks: {folder}")


def _synthesise(design: Design, weights: Weights, folder: Path, journal: Journal, model: str) -> tuple[Metric, ...]:
    """Netlist in a folder beside, judged."""
    name = frozen_name(weights.spec)
    with journal.step("cell library"):
        cells = design.cells
    with journal.step(f"synthesis of {name} onto {cells.name}"):
        result = synthesise(
            to_rtlil(hardware(weights), name), top=name, library=cells, out_dir=folder.parent / f"{name}_synthesis",
            keep=KEEP,
            command=design.command("freeze", shlex.quote(model), f"--synth --library {design.library_argument}"),
        )  # fmt: skip
    judge_netlist(journal, result, cells.name)
    journal.console.print(f"{result.area_um2:,.0f} um2, {result.gate_equivalents / 1000:,.1f} kGE")
    return result.metrics
