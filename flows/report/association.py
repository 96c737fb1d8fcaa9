"""What the report shows of an association chip beside the sections that every chip has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.designs.association import AssociationDesign
from flows.estimates.association_energy import chip_area, query_split
from flows.report import drawing
from flows.report.association_drawing import curve_svg, space_svg
from flows.report.crossbar_drawing import confusion_svg, raster_svg
from flows.report.document import Picture, Report, Section, Tile, collect, read_json, table
from flows.report.sections import implementation_sections
from flows.synthesis.result import load_result
from sim.lsm_crossbar.association.spec import AssociationSpec

__all__ = ["chip_report"]

NAMES = {"audio": "spoken", "vision": "seen"}
ENDS = ("low_pj", "nominal_pj", "high_pj")


def chip_report(folder: Path, design: AssociationDesign) -> Report:
    """Report of an association chip."""
    spec = design.spec
    lead = (
        f"Association of seen and spoken words: two liquids on resistive-memory macros, {spec.vision.all_neurons} and "
        f"{spec.audio.all_neurons} neurons, projected into {spec.dimensions} dimensions, {spec.entries} stored entries "
        "of either kind."
    )
    sections = []
    found = read_json(folder / "retrieval.json")
    if found and (folder / "queries.npz").is_file():
        with np.load(folder / "queries.npz", allow_pickle=False) as arrays:
            data = {name: arrays[name] for name in arrays.files}
        sections += [_samples(data), _space(data), _retrieval(found), *_anchors(found)]
    if energy := read_json(folder / "energy.json"):
        sections.append(_energy(energy["queries"]))
    if (folder / "synthesis" / "modules.json").is_file():
        sections.append(_area(spec, folder))
    result = tuple(filter(None, (read_json(folder / "journal.json").get("origin"),)))
    sections = [replace(section, origins=result) for section in sections]
    return collect(folder, spec.name, lead, [*sections, *implementation_sections(folder)])


def _samples(data: dict[str, Any]) -> Section:
    pictures = []
    for modality, name in NAMES.items():
        inputs, spikes = data[f"{modality}_inputs"], data[f"{modality}_spikes"]
        caption = (
            f"A {name} {int(data[f'{modality}_labels'][0])}: {int(inputs.sum()):,} input spikes, "
            f"{int(spikes.sum()):,} spikes of its liquid."
        )
        pictures.append(Picture(markup=raster_svg(inputs, spikes), caption=caption))
    return Section(
        title="A spoken and a seen digit",
        lead="Each modality has a liquid of its own, whose synapses are as they came out of the fab.",
        pictures=tuple(pictures),
    )


def _space(data: dict[str, Any]) -> Section:
    return Section(
        title="The common space",
        lead=(
            "Only the two projections are trained. Embeddings of test recordings, on the two directions in which they "
            "spread most: a disc was seen, a square was heard, one colour is one digit."
        ),
        pictures=(
            Picture(markup=space_svg(
                [(data["vision_places"], data["vision_labels"]), (data["audio_places"], data["audio_labels"])]
            )),
        ),
        notes=("Two of the dimensions: what overlaps here may be apart in the others.",),
    )  # fmt: skip


def _retrieval(found: dict[str, Any]) -> Section:
    chance = 100 / len(found["classes"])
    pictures, tiles = [], []
    for way, name in (
        ("audio_to_image", "spoken queries, images found"),
        ("image_to_audio", "seen queries, clips found"),
    ):
        matrix = np.array(found[way])
        right = 100 * np.trace(matrix) / max(matrix.sum(), 1)
        pictures.append(Picture(
            markup=confusion_svg(matrix),
            caption=f"{name}: {right:.1f} % of {int(matrix.sum())} find an entry of their class. A row is a digit.",
        ))  # fmt: skip
        tiles.append(Tile(value=f"{right:.1f} %", label=name))
    return Section(
        title="Retrieval",
        lead=(
            "Test recordings that nothing was chosen on; the best of all entries of the other modality. Chance is "
            f"{chance:.0f} %."
        ),
        pictures=tuple(pictures),
        notes=("Clips of a speech synthesiser and synthesised event recordings, unless a folder was given.",),
        tiles=tuple(tiles),
    )


def _anchors(found: dict[str, Any]) -> list[Section]:
    curve = found["anchors"]
    if not curve:
        return []
    rows = [[row["k"], f"{100 * row['audio_to_image']:.1f}", f"{100 * row['image_to_audio']:.1f}"] for row in curve]
    return [
        Section(
            title="New words from a few examples",
            lead=(
                "Two words at a time are kept from the projections. A few labelled pairs of them make entries of the "
                "memory; nothing is trained. Chance is 50 %."
            ),
            pictures=(Picture(markup=curve_svg(curve)),),
            tables=(table([">labelled pairs of a word", ">spoken queries, %", ">seen queries, %"], rows),),
        )
    ]


def _nj(value_pj: float) -> str:
    value = value_pj / 1000
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _energy(queries: dict[str, Any]) -> Section:
    tables, tiles, notes = [], [], []
    for modality, document in queries.items():
        total = {end: sum(term[end] for term in document["terms"]) for end in ENDS}
        rows = [[name, *(_nj(sums[end]) for end in ENDS)] for name, sums in query_split(document["terms"]).items()]
        rows.append(["together", *(_nj(total[end]) for end in ENDS)])
        title = f"{NAMES[modality]} query among {document['entries']} entries, 40 nm"
        tables.append(table([title, ">low, nJ", ">nominal, nJ", ">high, nJ"], rows))
        rows = [[term["name"], *(_nj(term[end]) for end in ENDS)] for term in document["terms"]]
        tables.append(table(["in detail", ">low, nJ", ">nominal, nJ", ">high, nJ"], rows))
        native = document.get("digital_native_pj")
        whole = (
            f"whole chip at 40 nm; digital part alone {_nj(native)} nJ on {document['library']}"
            if native is not None
            else "arrays, ADCs and memories at 40 nm; the digital part is not measured"
        )
        tiles.append(Tile(value=f"{_nj(total['nominal_pj'])} nJ", label=f"a {NAMES[modality]} query: {whole}"))
        if native is not None:
            notes.append(
                f"Digital part of a {NAMES[modality]} query: {document['activity']}, {document['clocks']:,.0f} clocks,"
                " the other liquid idle; measured on its netlist, then translated to 40 nm."
            )
    bars = [
        (f"{NAMES[modality]}: {name}", sums["nominal_pj"], f"{_nj(sums['nominal_pj'])} nJ")
        for modality, document in queries.items()
        for name, sums in query_split(document["terms"]).items()
    ]
    return Section(
        title="Energy of a query",
        lead="From the first event to the best entry, by part.",
        pictures=(Picture(markup=drawing.bars_svg(bars)),),
        tables=tuple(tables),
        notes=(
            (
                "Arrays, ADCs, memories: published models at 40 nm, activity of these queries, ranges of the models. "
                "The front end for sound and the camera stand before the chip."
            ),
            *notes,
        ),
        tiles=tuple(tiles),
    )


def _area(spec: AssociationSpec, folder: Path) -> Section:
    result = load_result(folder / "synthesis")
    terms = chip_area(
        spec, library=result.library, digital_um2=result.area_um2,
        gate_um2=result.area_um2 / result.gate_equivalents,
    )  # fmt: skip
    ends = [sum(getattr(term.estimate, end) for term in terms) for end in ("low", "nominal", "high")]
    rows = [
        [t.name, *(f"{getattr(t.estimate, end):.3f}" for end in ("low", "nominal", "high")), t.method] for t in terms
    ]
    rows.append(["together", *(f"{value:.3f}" for value in ends), ""])
    native = result.area_um2 * 1e-6
    return Section(
        title="Area of the whole chip",
        tables=(table(["part, 40 nm", ">low, mm²", ">nominal, mm²", ">high, mm²", "method"], rows),),
        tiles=(
            Tile(
                value=f"{ends[1]:.2f} mm²",
                label=f"whole chip at 40 nm; digital cells alone {native:.3f} mm² on {result.library}",
            ),
        ),
    )
