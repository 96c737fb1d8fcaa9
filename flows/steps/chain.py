"""The chain of steps of a design, as one list; a step whose inputs are unchanged is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from flows.common.journal import Journal
from flows.designs.design import Design
from flows.steps.placement import PLACEMENT, PlacementOptions
from flows.steps.power import POWER, PowerOptions
from flows.steps.step import Step
from flows.steps.synthesis import SYNTHESIS
from flows.steps.timing import TIMING
from flows.steps.verification import VERIFICATION, VerificationOptions

__all__ = ["CHAIN", "chain", "flow_options", "run_chain", "summary"]

CHAIN: tuple[Step, ...] = (
    SYNTHESIS,
    PLACEMENT,
    TIMING,
    POWER,
    VERIFICATION,
)
"""What every kind of chip goes through."""


def chain(design: Design) -> tuple[Step, ...]:
    """Steps of a design: those of its kind alone that come before and after `CHAIN`, and these."""
    if "steps" not in design.rooms:
        return CHAIN
    own = design.room("steps")
    return (*own.before(design), *CHAIN, *own.after(design))


def run_chain(
    design: Design,
    folder: Path,
    journal: Journal,
    options: Mapping[str, Any] | None = None,
    *,
    without: Collection[str] = (),
) -> dict[str, bool]:
    """Every step in order.

    Parameters
    ----------
    design : Design
    folder : Path
        Result folder of the design.
    journal : Journal
        Receives steps and checks, of kept results too.
    options : mapping of str to options, optional
        By the name of a step; its defaults where left out.
    without : collection of str
        Names of steps to leave out.

    Returns
    -------
    dict of str to bool
        Which of them ran; those that the design does not have are not in it.
    """
    ran: dict[str, bool] = {}
    for step in chain(design):
        if step.name in without:
            continue
        if reason := step.skipped(design):
            journal.console.print(f"  {reason}")
            continue
        ran[step.name] = step.keep(design, folder, journal, (options or {}).get(step.name))
    return ran


def flow_options(
    design: Design,
    folder: Path,
    *,
    seed: int = 1,
    repair: bool = False,
    streams: int = 256,
    recordings: int = 32,
    crossings: int | None = None,
    mutants: int = 0,
    proofs: bool = True,
    weights: Path | None = None,
    conductances: Path | None = None,
    sources: Any = None,
) -> dict[str, Any]:
    """Options of every step from the few choices that a whole chain leaves: one seed, sizes, what is checked.

    Power and verification run the trained model that an earlier step leaves in the folder, if there is one.

    Parameters
    ----------
    design : Design
    folder : Path
        Its result folder.
    seed : int
        Of all random choices.
    repair : bool
        See `flows.steps.placement.PlacementOptions`.
    streams, recordings : int
        See `flows.power.run.PowerOptions`.
    weights : Path, optional
        Trained model that runs in power and verification, in place of one that an earlier step leaves.
    conductances : Path, optional
        Measured conductances of a crossbar, instead of those of the seed.
    sources : flows.steps.association_demo.Sources, optional
        Clips and recordings to learn from, of a design that learns.
    crossings, mutants, proofs : optional
        See `flows.verification.options.VerificationOptions`; as many crossings as `Design.crossings_in_flow` if None.
    """
    made = design.trained_model(folder)
    if weights is not None and made is not None:
        raise ValueError(f"weights: {design.name} makes its own, of the seed; expected none")
    weights = weights or made
    if conductances is not None and not design.measured_macro:
        raise ValueError(f"--conductances are those of the macro of a crossbar; {design.name} takes none")
    if sources is not None and not design.learns:
        raise ValueError(f"--clips, --events and --labels are those of a chip that learns; {design.name} does not")
    power = PowerOptions(streams=streams, recordings=recordings, seed=seed, weights=weights)
    own: dict[str, Any] = {}
    if "steps" in design.rooms:
        more = {"sources": sources, "power": power} if design.learns else {}
        own = design.room("steps").options(seed, conductances, **more)
    return own | {
        PLACEMENT.name: PlacementOptions(repair=repair),
        POWER.name: power,
        VERIFICATION.name: VerificationOptions(
            crossings=crossings or design.crossings_in_flow, mutants=mutants, random_specs=0, seed=seed, proofs=proofs,
            weights=weights,
        ),
    }  # fmt: skip


def summary(design: Design, folder: Path) -> tuple[dict[str, Any], str] | None:
    """What the steps of a kind of chip of its own made of it, as plain types and in words; None if it has none."""
    if "steps" not in design.rooms:
        return None
    found: tuple[dict[str, Any], str] = design.room("steps").summary(folder)
    return found
