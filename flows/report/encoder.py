"""What the report shows of an encoder beside the sections that both chips have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flows.designs.encoder import EncoderDesign
from flows.estimates.published import systems
from flows.estimates.translation import energy_range
from flows.report import drawing
from flows.report.campaign import campaign_sections
from flows.report.document import Key, Picture, Report, Section, collect, folder_origins, read_json, table
from flows.report.sections import implementation_sections
from sim.files import replacing
from sim.foreign_files import read_npz
from sim.hgcal_encoder.learning.metric import BINS
from sim.hgcal_encoder.spec import EncoderSpec

PICTURES = 5
"""Events shown."""
PICTURE_ROWS = {"true": "charges", "decoded": "decoded", "difference": "difference"}
"""Kinds of module pictures, with their titles."""


def chip_report(folder: Path, design: EncoderDesign) -> Report:
    """Report of an encoder; leaves ``events.svg`` in the folder where the demo left events."""
    spec = design.spec
    implementation = implementation_sections(folder)
    events = dict(read_npz(folder / "events.npz")) if (folder / "events.npz").is_file() else None
    power = read_json(folder / "power" / "power.json")
    sections = [_data_path(spec)]
    if events is not None:
        result = (read_json(folder / "journal.json").get("origin"),)
        sections += [replace(s, origins=tuple(filter(None, result))) for s in _events(events, spec, folder)]
    lead = (
        "Encoder of the CMS high-granularity calorimeter: 48 trigger-cell charges of one module become a few bits"
        " every 25 ns."
    )
    beside = [replace(_beside_others(power, spec), origins=folder_origins(folder / "power"))] if power else []
    upsets = campaign_sections(folder, design)
    return collect(folder, spec.name, lead, [*sections, *beside, *implementation, *upsets])


def _data_path(spec: EncoderSpec) -> Section:
    return Section(
        title="Data path",
        pictures=(Picture(markup=drawing.data_path_svg(spec)),),
        notes=(
            (
                f"Network in green: {spec.multiplies:,} multiplications that are not by a constant zero,"
                f" {spec.parameters:,} parameters of {spec.weight.width} bits ({spec.weight_bits:,} weight bits). Every"
                " product is rounded on its own, as on the chip. One inference per clock; convolution and dense layer"
                " take two clocks."
            ),
        ),
    )


def _beside_others(power: dict[str, Any], spec: EncoderSpec) -> Section:
    """Energy of an inference: ours native and translated, others as published."""
    native_nj = power["energy_per_clock_pj"] * 1e-3
    leakage_nj = power["power_uw"]["leakage"] * power["period_ns"] * 1e-6
    rows = [(f"{spec.name}, as measured", native_nj, f"native, {power['library']} at {power['voltage_v']:g} V")]
    try:
        translated = energy_range(
            library=power["library"], voltage_v=power["voltage_v"], dynamic_pj=1e3 * (native_nj - leakage_nj)
        )
    except ValueError as error:
        notes: tuple[str, ...] = (f"Not translated: {error}.",)
    else:
        rows += [
            (f"{spec.name}, {translated.node}, {end}", estimate.value * 1e-3, f"translated, {estimate.method}")
            for end, estimate in (
                ("low", min(translated.estimates, key=lambda e: e.value)),
                ("high", max(translated.estimates, key=lambda e: e.value)),
            )
        ]
        notes = ("Only translated figures compare with those of 65 nm; they leave leakage out.",)
    for key in ("econ_t", "econ_t_earlier", "memristive_vae"):
        system = systems()[key]
        node = "" if system.node == "none" else f"{system.node}, "
        rows.append((system.name, system.figures["energy_nj"], f"{node}{system.kind}: {system.citation}"))
    return Section(
        title="Energy per inference beside others",
        pictures=(Picture(markup=drawing.bars_svg([(name, value, f"{value:.2f} nJ") for name, value, _ in rows])),),
        tables=(table(["system", ">nJ", "node, method, source"], [[n, f"{v:.2f}", how] for n, v, how in rows]),),
        notes=(
            "Ours is estimated from the netlist; the published one is the whole protected macro with its weight store.",
            *notes,
        ),
    )


def _events(data: dict[str, Any], spec: EncoderSpec, folder: Path) -> list[Section]:
    occupancy, charges, decoded = data["occupancy"], data["charges"], data["decoded"]
    usable = np.flatnonzero(np.isfinite(data["emd"]))
    by_occupancy = usable[np.argsort(occupancy[usable], kind="stable")]
    chosen = by_occupancy[(np.linspace(0.1, 1.0, PICTURES) * (len(by_occupancy) - 1)).astype(int)].tolist()
    columns = []
    for row in chosen:
        top = float(charges[row].max())
        pictures = [
            drawing.module_svg(charges[row], top),
            drawing.module_svg(decoded[row], top),
            drawing.module_svg(decoded[row] - charges[row], top, signed=True),
        ]
        columns.append((f"BX {row}, {occupancy[row]} cells, EMD {data['emd'][row]:.2f}", pictures))
    picture = drawing.events_svg(columns, tuple(PICTURE_ROWS.values()))
    with replacing(folder / "events.svg") as file:
        file.write(drawing.standalone(picture))
    bins = []
    for low, high in BINS:
        inside = data["emd"][usable][(occupancy[usable] >= low) & (occupancy[usable] <= high)]
        figures = [f"{np.median(inside):.3f}", f"{inside.mean():.3f}"] if len(inside) else ["", ""]
        bins.append([f"{low} to {high}", len(inside), *figures])
    etx_count = int(data["etx_count"])
    shown = chosen[-1]
    top = float(charges[shown].max())
    before_and_after = Section(
        title="A module before and after",
        lead=(
            f"{len(charges)} consecutive bunch crossings of one low-density module in simulated ttbar events at pile-up"
            f" {int(data['pile_up'])} (silicon layer {int(data['layer'])}, pseudorapidity {float(data['eta']):.2f});"
            f" shown are {PICTURES} of them, from few to many trigger cells above zero. Upper row: what the chip"
            f" received. Middle: what the decoder makes of the {etx_count} eLink words of the RTL. Lower: the"
            " difference."
        ),
        pictures=(
            Picture(markup=picture.replace("<svg", '<svg class="wide"', 1)),
            Picture(markup=drawing.colour_bar_svg(top, "calibrated counts (rightmost event)")),
        ),
        tables=(table(["trigger cells above zero", ">bunch crossings", ">median EMD", ">mean EMD"], bins),),
        notes=(
            (
                "Charges in calibrated counts; each event has its own scale up to its largest trigger cell, difference"
                " in red (too much) and blue (too little). EMD: Earth Mover's Distance between the two normalised maps,"
                " in units of one sensor cell of 12.08 mm. Showers: Geant4 with synthetic low-energy tables in a"
                " simplified geometry, not CMS simulation."
            ),
        ),
    )
    words = Section(
        title="The words of one bunch crossing",
        lead=f"Bunch crossing {shown}, module sum {int(data['sums'][shown]):,}.",
        keys=tuple(
            Key(colour=colour, name=name)
            for colour, name in (
                ("#f3c98b", "5-bit counter"),
                ("#a9c7ee", "9-bit sum code"),
                ("#b9ddb9", f"latents {spec.latents - 1} to 0"),
                ("#eceff3", "unused"),
            )
        ),
        pictures=(
            Picture(
                markup=drawing.frame_svg(
                    data["frames"][shown].tolist(), spec, etx_count, int(data["kept_bits"]) * spec.latents
                )
            ),
        ),
    )
    return [before_and_after, words]
