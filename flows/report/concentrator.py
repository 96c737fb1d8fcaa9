"""What the report shows of a concentrator beside the sections that every chip has: one module, five algorithms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from flows.designs.concentrator import ConcentratorDesign
from flows.report import drawing
from flows.report.document import Picture, Report, Section, Tile, collect, read_json, table
from flows.report.sections import implementation_sections
from sim.foreign_files import read_npz
from sim.hgcal_encoder.learning.metric import BINS

__all__ = ["chip_report"]

PICTURES = 4
"""Events shown."""
FEW_LINKS = 5
"""Links that the best algorithm is chosen on."""


def chip_report(folder: Path, design: ConcentratorDesign) -> Report:
    """Report of a concentrator."""
    spec = design.spec
    lead = (
        "Concentrator of the CMS high-granularity calorimeter: 48 trigger cells of a module onto a few links, by "
        f"{', '.join(number.label.replace('_', ' ') for number in spec.numbers)}."
    )
    sections = []
    if (folder / "algorithms.npz").is_file():
        sections += _algorithms(dict(read_npz(folder / "algorithms.npz")), folder)
    return collect(folder, design.name, lead, [*sections, *implementation_sections(folder)])


def _algorithms(data: dict[str, Any], folder: Path) -> list[Section]:
    about = read_json(folder / "algorithms.json")
    names = list(about["algorithms"])
    charges, cells = data["charges"], data["occupancy"]
    usable = np.flatnonzero(np.isfinite(data[f"{names[0]}_emd"]))
    ordered = usable[np.argsort(cells[usable], kind="stable")]
    chosen = ordered[(np.linspace(0.1, 1.0, PICTURES) * (len(ordered) - 1)).astype(int)].tolist()
    columns = []
    for row in chosen:
        top = float(charges[row].max())
        images = [charges[row], *(data[f"{name}_decoded"][row] for name in names)]
        columns.append((f"BX {row}, {cells[row]} cells", [drawing.module_svg(image, top) for image in images]))
    rows = []
    # a module at high pile-up may have no crossing with so few cells
    inside = {(low, high): usable[(cells[usable] >= low) & (cells[usable] <= high)] for low, high in BINS}
    filled = {ends: places for ends, places in inside.items() if len(places)}
    for name in names:
        fact, emd = about["algorithms"][name], data[f"{name}_emd"]
        medians = [f"{np.median(emd[places]):.3f}" for places in filled.values()]
        rows.append([
            name.replace("_", " "), int(fact["links"]), f"{fact['bits']:.0f}", f"{fact['truncated_percent']:.1f}",
            int(fact["latency_clocks"]), *medians,
        ])  # fmt: skip
    titles = [f">median EMD, {low} to {high} cells" for low, high in filled]
    # the rows of the picture have room for short names
    short = (name.replace("super_trigger_cell", "STC").replace("_", " ") for name in names)
    picture = drawing.events_svg(columns, ("received", *short))
    few_label = f"least median EMD of this module on {FEW_LINKS} links or fewer"
    few = [name for name in names if about["algorithms"][name]["links"] <= FEW_LINKS] or names
    best = min(few, key=lambda name: float(about["algorithms"][name]["median_emd"]))
    return [
        Section(
            title="One module, five algorithms",
            lead=(
                f"{len(charges)} consecutive bunch crossings of one low-density module in simulated ttbar events at "
                f"pile-up {about['pile_up']} (silicon layer {about['layer']}, pseudorapidity {about['eta']:.2f}) "
                "through every algorithm of the chip. Upper row: what the chip received. Below: what a receiver makes "
                "of the words that each algorithm sends."
            ),
            pictures=(Picture(markup=picture.replace("<svg", '<svg class="wide"', 1)),),
            tables=(
                table(["algorithm", ">links", ">bits", ">truncated %", ">latency, clocks", *titles], rows),
            ),
            notes=(
                ("Links differ: super trigger cells fill four, the repeater needs eleven. Threshold 47 counts in all "
                "cells, one output buffer. The receiver of best choice spreads the sum of the rest evenly. EMD: Earth "
                "Mover's Distance to the charges before any encoding, in units of one sensor cell. One module: the "
                "tables of docs/results/algorithms.md are of the whole endcap."),
            ),
            tiles=(Tile(value=best.replace("_", " "), label=few_label),),
            origins=tuple(filter(None, (read_json(folder / "journal.json").get("origin"),))),
        )
    ]  # fmt: skip
