"""Step: proofs of a design by group, each with its verdict."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.common.journal import Journal
from flows.common.metrics import Metric, now, write_metrics
from flows.designs.design import Design
from flows.formal.solver import Proof
from flows.tools.yosys import yosys_version
from flows.verification.result import proof_check

__all__ = ["ProofOptions", "groups", "prove_design"]


@dataclass(frozen=True, kw_only=True)
class ProofOptions:
    """What is proved.

    Attributes
    ----------
    about : tuple of str
        Names of groups (`groups`); empty: all but ``folded``, which takes hours.
    model : str
        Weights that are folded into logic: a shipped model by name, a trained model or a weight image.
    """

    about: tuple[str, ...] = ()
    model: str = "econ_t_5elinks"


def groups(design: Design) -> dict[str, Callable[[Any, str], Iterator[Proof]]]:
    """Groups of proofs that there are for a kind of chip; what they show is their docstring.

    Raises
    ------
    ValueError
        If there are none beyond those of `liquidcal verify`.
    """
    found: dict[str, Callable[[Any, str], Iterator[Proof]]] = design.room("proofs").GROUPS
    return found


def prove_design(
    design: Design,
    folder: Path,
    journal: Journal,
    options: ProofOptions | None = None,
    *,
    show: Callable[[Proof], None] = lambda _: None,
) -> tuple[Metric, ...]:
    """Run proofs; ``proofs.json`` and ``proofs_metrics.json`` in the folder say what was proved.

    Parameters
    ----------
    design : Design
    folder : Path
        Result folder.
    journal : Journal
        Receives a check for each group, which fails if one of its proofs does not close.
    options : ProofOptions, optional
    show : callable
        Called with every proof as soon as it is done.

    Raises
    ------
    ValueError
        An unknown group.
    """
    options = options or ProofOptions()
    known = groups(design)
    if unknown := [name for name in options.about if name not in known]:
        raise ValueError(f"no proofs about {', '.join(unknown)}; there are {', '.join(known)}")
    design.save(folder)
    own, metrics = Journal(console=journal.console), []
    about = " ".join(f"--about {name}" for name in options.about)
    command = design.command("prove", about, f"--model {shlex.quote(options.model)}")
    for name in options.about or [name for name in known if name != "folded"]:
        done = []
        with own.step(f"{design.name}: proofs about {name.replace('_', ' ')}"):
            for proof in known[name](design, options.model):
                done.append(proof)
                show(proof)
        own.check(check := proof_check(f"{design.name}, {name.replace('_', ' ')}", done))
        metrics.append(
            Metric(
                name=f"proof__count__group:{name}", value=check.compared, unit="proofs", tool="yosys",
                tool_version=yosys_version(), library="", library_sha256="",
                method=f"{'all closed' if check.passed else check.detail}, for every input and state", command=command,
                date=now(),
            )
        )  # fmt: skip
    own.save(folder / "proofs.json")
    write_metrics(folder / "proofs_metrics.json", metrics)
    journal.steps += own.steps
    journal.checks += own.checks
    return tuple(metrics)
