"""Step: verification of a design's RTL against its golden model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.common.journal import Journal
from flows.designs.design import Spec
from sim.hgcal_encoder.spec import EncoderSpec
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["run_verification"]


def run_verification(
    journal: Journal,
    spec: Spec,
    folder: Path,
    *,
    preset: str,
    crossings: int | None = None,
    mutants: int = 100,
    random_specs: int = 2,
    proofs: bool = True,
    seed: int = 1,
    vectors: Sequence[tuple[Path, Path, Path]] = (),
    recordings: Path | None = None,
    weights: Path | None = None,
    count: int = 10,
) -> None:
    """Check the RTL of a spec; leaves ``verification.json`` and its metrics in the folder, steps and checks in both."""
    from flows.common.metrics import write_metrics
    from flows.verification.encoder import verify as run
    from flows.verification.result import verification_metrics

    own = Journal(console=journal.console)
    if isinstance(spec, EncoderSpec):
        crossings = crossings or 100_000
        run(
            spec,
            journal=own,
            seed=seed,
            crossings=crossings,
            vectors=vectors,
            random_specs=random_specs,
            mutants=mutants,
            proofs=proofs,
        )
    else:
        crossings = crossings or 2_000
        _crossbar(spec, own, seed, crossings, random_specs, mutants, proofs, recordings, weights, count)
    own.save(folder / "verification.json")
    command = f"liquidcal verify {preset} --crossings {crossings} --mutants {mutants} --seed {seed}"
    command += "" if proofs else " --no-proofs"
    command += "" if weights is None else f" --weights {weights.name}"
    command += "" if recordings is None else f" --recordings {recordings.name} --count {count}"
    write_metrics(folder / "verification_metrics.json", verification_metrics(own, command))
    journal.steps += own.steps
    journal.checks += own.checks


def _crossbar(
    spec: CrossbarSpec,
    journal: Journal,
    seed: int,
    steps: int,
    random_specs: int,
    mutants: int,
    proofs: bool,
    recordings: Path | None,
    weights: Path | None,
    count: int,
) -> None:
    from flows.verification.crossbar import load_recordings, verify

    with journal.step(f"{spec.name}: conductances and recordings"):
        conductances, samples = load_recordings(spec, recordings, weights, count, seed)
    verify(
        spec,
        conductances,
        journal=journal,
        seed=seed,
        steps=steps,
        recordings=samples,
        random_specs=random_specs,
        mutants=mutants,
        proofs=proofs,
    )
