"""What the report shows of a crossbar beside the sections that both chips have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.designs.crossbar import CrossbarDesign
from flows.estimates.crossbar_energy import SPLIT
from flows.estimates.published import systems
from flows.report import drawing
from flows.report.crossbar_drawing import confusion_svg, histogram_svg, map_image, raster_svg
from flows.report.document import Picture, Report, Section, Tile, collect, read_json, table
from flows.report.sections import implementation_sections
from sim.fixed_point import IntArray
from sim.foreign_files import read_npz
from sim.lsm_crossbar.spec import CrossbarSpec


def _origin(seed: int) -> str:
    """Where conductances are from; a draw of measured ones leaves a negative seed."""
    return "Measured conductances" if seed < 0 else f"One draw of the electroforming, seed {seed}"


def chip_report(folder: Path, design: CrossbarDesign) -> Report:
    """Report of a crossbar."""
    spec = design.spec
    implementation = implementation_sections(folder)
    sections = []
    if (folder / "liquid.npz").is_file():
        sections += _liquid(dict(read_npz(folder / "liquid.npz")), spec)
    if energy := read_json(folder / "energy.json"):
        sections += [_energy(energy), _beside_others(energy, spec)]
    lead = (
        f"Liquid state machine on {_macros(spec)} of {spec.rows} x {spec.columns} cells: {spec.inputs} inputs,"
        f" {spec.all_neurons} leaky integrate-and-fire neurons, {spec.steps} steps, {spec.outputs} classes."
    )
    # the demo leaves both files and the journal that says how it ran
    result = tuple(filter(None, (read_json(folder / "journal.json").get("origin"),)))
    sections = [replace(section, origins=result) for section in sections]
    return collect(folder, spec.name, lead, [*sections, *implementation])


def _macros(spec: CrossbarSpec) -> str:
    if spec.macro_rows is not None:
        return f"a tile of resistive-memory macros of {spec.macro_rows} rows, together"
    return "a resistive-memory macro" if spec.macros == 1 else f"{spec.macros} resistive-memory macros side by side"


def _liquid(data: dict[str, Any], spec: CrossbarSpec) -> list[Section]:
    codes = data["codes"]
    formed = float(np.mean(codes > 0))
    digit = f"Digit {int(data['shown_label'])}, found" if "labels" in data else "Random spikes, found"
    sections = [
        Section(
            title="The array",
            lead=(
                f"{_origin(int(data['seed']))}: {100 * formed:.1f} % of the cells formed."
                f" Model, RTL and FPGA memory read the same file of codes ({data['memory_file']})."
            ),
            pictures=(
                Picture(
                    markup=map_image(codes, spec.code_max),
                    caption=(
                        f"Conductance of every cell: rows are word lines (0 to {spec.inputs - 1} inputs, then the"
                        " liquid's own spikes), columns are bit lines, two make a neuron. Dark: not formed."
                    ),
                ),
                Picture(
                    markup=drawing.colour_bar_svg(
                        spec.code_max * spec.g_lsb_us, "conductance, µS", colours="viridis", even=True
                    )
                ),
                Picture(markup=histogram_svg(codes, spec.g_lsb_us, spec.code_max)),
            ),
        ),
        Section(
            title="One sample through the liquid",
            lead=(
                f"{digit} {int(data['shown_class'])}:"
                f" {int(data['inputs'].sum()):,} input spikes, {int(data['spikes'].sum()):,} spikes of the liquid."
            ),
            pictures=(Picture(markup=raster_svg(data["inputs"], data["spikes"])),),
        ),
    ]
    if "labels" in data:
        sections.append(_classes(data["labels"], data["classes"], spec))
    return sections


def _classes(labels: IntArray, classes: IntArray, spec: CrossbarSpec) -> Section:
    right = float(np.mean(labels == classes))
    error = (right * (1 - right) / len(labels)) ** 0.5
    matrix = np.zeros((spec.outputs, spec.outputs), np.int64)
    np.add.at(matrix, (labels, classes), 1)
    return Section(
        title="Classes",
        lead=(
            f"{len(labels):,} N-MNIST-like recordings of digits that no readout was trained on,"
            f" {100 * right:.1f} % right (statistical error {100 * error:.1f} points), in the chip's own integers."
        ),
        pictures=(Picture(markup=confusion_svg(matrix)),),
        notes=("N-MNIST-like: events synthesised from MNIST images, not recordings of a camera.",),
        tiles=(Tile(value=f"{100 * right:.1f} %", label=f"right of {len(labels):,} recordings"),),
    )


def _three(value: float) -> str:
    """Three digits, at least to the unit."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _whole_chip(content: dict[str, Any]) -> bool:
    """Whether the digital part is among the terms: its power is measured after it was placed."""
    return any(term["name"] == "neurons" for term in content["terms"])


def _energy(content: dict[str, Any]) -> Section:
    terms, whole = content["terms"], _whole_chip(content)
    ends = ("low_pj", "nominal_pj", "high_pj")
    total = [sum(term[end] for term in terms) for end in ends]
    rows = [[t["name"], *(f"{t[end]:,.0f}" for end in ends)] for t in terms]
    rows.append(["together", *(f"{value:,.0f}" for value in total)])
    operations = content["synaptic_operations"]
    parts = {name: [0.0, 0.0, 0.0] for name in ("array", "ADCs", "neurons", "readout", "rest")}
    for term in terms:
        sums = parts[SPLIT.get(term["name"], "rest")]
        for place, end in enumerate(ends):
            sums[place] += term[end]
    split = [
        [name, *(_three(value / 1000) for value in sums), *(_three(value / operations) for value in sums)]
        for name, sums in (*parts.items(), ("together", total))
        if any(sums)
    ]
    return Section(
        title="Energy of one inference",
        lead=(
            f"{operations:,.0f} synaptic operations in {content['reads']:,.0f} reads:"
            f" {total[1] / operations:.2f} pJ each ({total[0] / operations:.2f} to {total[2] / operations:.2f})."
        ),
        pictures=(
            Picture(
                markup=drawing.bars_svg([(t["name"], t["nominal_pj"], f"{t['nominal_pj']:,.0f} pJ") for t in terms])
            ),
        ),
        tables=(
            table(
                ["part", ">low, nJ", ">nominal, nJ", ">high, nJ", ">low, pJ per operation", ">nominal", ">high"], split
            ),
            table(["part in detail", ">low, pJ", ">nominal, pJ", ">high, pJ"], rows),
        ),
        notes=tuple(content["notes"]),
        tiles=(
            Tile(
                value=f"{total[1] / 1000:.1f} nJ",
                label="energy of an inference, nominal" + ("" if whole else ", without the digital part"),
            ),
        ),
    )


def _beside_others(content: dict[str, Any], spec: CrossbarSpec) -> Section:
    """Energy of a synaptic operation: ours by models, others as published."""
    operations = content["synaptic_operations"]
    whole = _whole_chip(content)
    what = "40 nm, published models: " + ("the whole chip" if whole else "array, ADCs and weight memory alone")
    rows = []
    for end in ("low", "nominal", "high"):
        value = sum(term[f"{end}_pj"] for term in content["terms"]) / operations
        rows.append((f"{spec.name}, {end}", value, what))
    for key in ("spire", "odin", "reckon"):
        system = systems()[key]
        value = system.figures["pj_per_synaptic_operation"]
        rows.append((system.name, value, f"{system.node}, {system.kind}: {system.citation}"))
    return Section(
        title="Energy per synaptic operation beside others",
        pictures=(Picture(markup=drawing.bars_svg([(name, value, f"{value:.2f} pJ") for name, value, _ in rows])),),
        tables=(table(["system", ">pJ", "node, method, source"], [[n, f"{v:.2f}", how] for n, v, how in rows]),),
        notes=(
            *(
                ()
                if whole
                else ("Ours is without the digital part, theirs are whole chips: this does not compare yet.",)
            ),
            "Other chips do other tasks in other technologies: orders of magnitude, no ranking.",
        ),
    )
