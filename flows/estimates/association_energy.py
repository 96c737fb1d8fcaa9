"""Energy of a query to an association chip, and its area: digital part as measured, array, ADCs, memories by models.

Models and their sources are those of `flows.estimates.crossbar_energy`. A query runs one liquid and its projection, and
reads every word of the embedding memory that holds an entry of the other modality once. The digital part comes from
`liquidcal power` on the netlist of the whole chip, the other liquid idle, and is translated to 40 nm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flows.estimates.crossbar_energy import (
    NODE,
    NODE_NM,
    SRAM_CELL_F2,
    SRAM_PJ_PER_BIT,
    Term,
    area_terms,
    digital_terms,
    group_of,
    macro_terms,
    term_rows,
)
from flows.estimates.translation import NAND2_AREA_UM2
from sim.lsm_crossbar.association.spec import MODALITIES, AssociationSpec
from sim.lsm_crossbar.energy import Estimate, InferenceEnergy

__all__ = [
    "EMBEDDINGS", "IDLE", "PROJECTION", "SPLIT", "chip_area", "memory_terms", "query_document", "query_group",
    "query_split", "query_terms", "with_digital_part",
]  # fmt: skip

PROJECTION, EMBEDDINGS = "projection weight memory", "embedding memory"
_READOUT = "readout weight memory"
IDLE = "idle liquid"
SPLIT: Mapping[str, str] = {
    "cells": "array", "word lines": "array", "ADCs": "ADCs", "ADC control and subtraction": "neurons",
    "neurons": "neurons", "counters": "projection", "readout": "projection", PROJECTION: "projection",
    "projection": "projection", "match": "match", EMBEDDINGS: "match",
}  # fmt: skip
"""Parts of a query's split: array, ADCs, neurons, projection, match, and for all others the rest."""


def query_terms(spec: AssociationSpec, modality: int, energy: InferenceEnergy, entries: int) -> list[Term]:
    """Array, ADCs and memories, pJ per query in 40 nm.

    Parameters
    ----------
    spec : AssociationSpec
    modality : int
        Of the query; index into `sim.lsm_crossbar.association.spec.MODALITIES`.
    energy : InferenceEnergy
        Of array and ADCs of its liquid.
    entries : int
        In use of the other modality, 1 to `spec.entries`.

    Raises
    ------
    ValueError
        Another number of entries.
    """
    if not 1 <= entries <= spec.entries:
        raise ValueError(f"entries: expected 1 to {spec.entries}, got {entries}")
    terms = [
        replace(term, name=PROJECTION) if term.name == _READOUT else term
        for term in macro_terms(spec.crossbars[modality], energy)
    ]
    words = entries if spec.binary else -(-entries // spec.match_lanes) * spec.dimensions
    nominal = words * spec.word_bits * SRAM_PJ_PER_BIT
    return [
        *terms,
        Term(name=EMBEDDINGS, estimate=Estimate(low=nominal / 2, nominal=nominal, high=2 * nominal),
             method=f"{words:,} reads of {spec.word_bits} bits, Horowitz 2014"),
    ]  # fmt: skip


def query_group(stage: str, modality: str) -> str:
    """Part of the chip that a stage belongs to in a query of a modality."""
    own, _, inner = stage.partition(".")
    if own in MODALITIES:
        return group_of(inner) if own == modality else IDLE
    if own.endswith("_projection"):
        return "projection" if own == f"{modality}_projection" else IDLE
    return "match" if own == "match" else "control"


def query_split(terms: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Sums by part of `SPLIT`, pJ at each end."""
    sums: dict[str, dict[str, float]] = {}
    for term in terms:
        part = sums.setdefault(SPLIT.get(term["name"], "rest"), dict.fromkeys(("low_pj", "nominal_pj", "high_pj"), 0.0))
        for end in part:
            part[end] += term[end]
    return sums


def query_document(spec: AssociationSpec, modality: int, energy: InferenceEnergy, entries: int) -> dict[str, Any]:
    """Energy of a query without its digital part, as the report reads it; parameters as of `query_terms`."""
    return {
        "terms": term_rows(query_terms(spec, modality, energy, entries)),
        "reads": energy.reads,
        "entries": entries,
        "synaptic_operations": energy.synaptic_operations,
    }


def with_digital_part(document: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """`query_document` with the digital part.

    Parameters
    ----------
    document : mapping
    result : mapping
        Content of the ``power.json`` of queries of this modality, on the same macros.
    """
    modality = str(result["modality"])
    digital = digital_terms(result, lambda stage: query_group(stage, modality))
    return {
        **document,
        "terms": [*document["terms"], *term_rows(digital)],
        "digital_native_pj": float(result["energy_per_inference_pj"]),
        "library": result["library"],
        "clocks": float(result["clocks_per_inference"]),
        "activity": result["activity"],
    }


def memory_terms(spec: AssociationSpec) -> list[Term]:
    """Area of both macros, their ADCs, projection memories and the embedding memory, mm2 in 40 nm."""
    terms = []
    for crossbar in spec.crossbars:
        for term in area_terms(crossbar, library="none", stages_um2={}, gate_um2=1.0):
            name = PROJECTION if term.name == _READOUT else term.name
            terms.append(replace(term, name=f"{crossbar.name}: {name}"))
    cells = spec.memory_depth * spec.word_bits * SRAM_CELL_F2 * (NODE_NM * 1e-3) ** 2 * 1e-6
    return [
        *terms,
        Term(name=EMBEDDINGS, estimate=Estimate(low=cells / 0.7, nominal=cells / 0.5, high=cells / 0.3),
             method="146 F^2 per bit, half of it cells"),
    ]  # fmt: skip


def chip_area(
    spec: AssociationSpec, *, library: str, digital_um2: float, gate_um2: float, utilisation: float = 0.7
) -> list[Term]:
    """Area of the whole chip, mm2 in 40 nm: `memory_terms` and the digital part by its gates.

    Parameters
    ----------
    library : str
        Of the netlist.
    digital_um2 : float
        Cell area on it.
    gate_um2 : float
        Its smallest two-input NAND.
    utilisation : float
        Cell area over core area that the digital part will have.
    """
    nand, source = NAND2_AREA_UM2[NODE]
    mm2, native = digital_um2 / gate_um2 * nand / utilisation * 1e-6, digital_um2 / utilisation * 1e-6
    digital = Term(
        name="digital part",
        estimate=Estimate(low=min(mm2, native), nominal=mm2, high=max(mm2, native)),
        method=f"{digital_um2:,.0f} um2 of {library} cells; {nand} um2 per gate ({source}), utilisation "
        f"{utilisation:g}; other end: as in the library's own node",
    )
    return [digital, *memory_terms(spec)]
