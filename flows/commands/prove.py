"""``liquidcal prove``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import AsJson, Out, Preset, Reuse, finish

if TYPE_CHECKING:
    from flows.formal.solver import Proof


def prove(
    preset: Preset = "ECON_T",
    about: Annotated[
        list[str] | None,
        typer.Option(
            help="protection (cells, I2C, loading, scrubber), code_words (at their real width), frozen (constant "
            "weights), loadable (dot products), folded (each constant neuron against the loadable one: hours). May be "
            "repeated; all but folded if left out."
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Weights of frozen and folded: a shipped model's name, a model (.npz), a weight image.")
    ] = "econ_t_5elinks",
    reuse: Reuse = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Prove what simulation cannot exhaust: protection, loading, code words, constant weights. Half an hour.

    Proofs of single stages against their formulas are part of `verify`. Exit code 1 if one does not close.
    """
    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.proofs import ProofOptions, prove_design

    chosen = design(preset, reuse=reuse)
    journal = Journal()
    done: list[dict[str, Any]] = []

    def show(proof: Proof) -> None:
        done.append(
            {"name": proof.name, "status": str(proof.status), "seconds": proof.wall_s, "statement": proof.statement}
        )
        if not as_json:
            print(f"{proof.name:24} {proof.status:10} {proof.wall_s:6.1f} s  {proof.statement}", flush=True)

    options = ProofOptions(about=tuple(about or ()), model=model)
    prove_design(chosen, out / chosen.name, journal, options, show=show)
    finish(journal, {"proofs": done}, as_json)
