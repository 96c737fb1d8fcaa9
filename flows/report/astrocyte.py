"""What the report shows of an astrocyte liquid beside the sections that every chip has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.designs.astrocyte import AstrocyteDesign
from flows.report.document import Picture, Report, Section, Tile, collect, read_json, table
from flows.report.drawing import bars_svg
from flows.report.rasters import two_rasters_svg
from flows.report.sections import implementation_sections
from sim.foreign_files import read_npz

__all__ = ["chip_report"]


def chip_report(folder: Path, design: AstrocyteDesign) -> Report:
    """Report of an astrocyte liquid."""
    spec = design.spec
    lead = (
        f"Neuron-astrocyte liquid: {spec.inputs} input and {spec.neurons} liquid neurons, plastic synapses in "
        f"{spec.lanes} lanes, one astrocyte that sets the rate of depression, {spec.outputs} classes."
    )
    sections = []
    if (folder / "tuning.npz").is_file():
        sections += _tuning(dict(read_npz(folder / "tuning.npz")), read_json(folder / "tuning.json"))
    return collect(folder, design.name, lead, [*sections, *implementation_sections(folder)])


def _tuning(data: dict[str, Any], facts: dict[str, Any]) -> list[Section]:
    rows = [
        [name, *(f"{facts[when][key]:.{digits}f}" for when in ("before", "after"))]
        for name, key, digits in (
            ("branching factor", "branching_factor", 2), ("spectral radius of the recurrent weights", "radius", 2),
            ("growth in 10 ms of the effect of one missing event", "growth", 2),
            ("spikes of a neuron per step", "rate", 3), ("separation of the classes", "separation", 2),
            ("memory of a random signal, ms", "memory", 2),
        )
    ]  # fmt: skip
    return [
        Section(
            title="Tuned by its astrocyte",
            lead=(
                f"{facts['snapshots']:,} short samples tune all {facts['synapses']:,} weights. The astrocyte compares "
                "spikes of the liquid with spikes of its input, and depresses synapses where the liquid fires more."
            ),
            pictures=(
                Picture(
                    markup=two_rasters_svg(data["before"], data["after"]),
                    caption="Spikes of the liquid for the same digit, before and after. A row is a neuron, time runs "
                    "from left to right.",
                ),
                Picture(
                    markup=bars_svg([
                        (f"{when} tuning", facts[when]["radius"], f"{facts[when]['radius']:.2f}")
                        for when in ("before", "after")
                    ]),
                    caption="Spectral radius of the recurrent weights in thresholds: above 1 activity can sustain "
                    "itself, far below it dies at once.",
                ),
            ),
            tables=(table(["", ">before", ">after"], rows),),
            notes=(
                (
                    "Growth compares the spikes that differ in the third 10 ms after an event that is left out with "
                    "those in the second: above 1 its effect spreads, below 1 the liquid forgets it, 1 is the edge of "
                    "chaos. Memory is how many steps of a random signal in the input the spikes of one step tell of."
                ),
                (
                    f"{facts['right_percent']:.1f} % of {facts['tested']:,} digits right after {facts['trained']:,} "
                    "training digits, in the chip's integers: a small liquid on pooled digits, no benchmark."
                ),
            ),
            tiles=(Tile(value=f"{facts['after']['radius']:.2f}", label="spectral radius after tuning"),),
        )
    ]  # fmt: skip
