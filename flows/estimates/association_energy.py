"""Energy of a query to an association chip, and area, in array, ADCs and memories at 40 nm, by published models.

Models and their sources are those of `flows.estimates.crossbar_energy`. A query runs one liquid and its projection, and
reads every word of the embedding memory that holds an entry of the other modality once. The digital part (neurons,
lanes, match) is not estimated: it has to be measured on its netlist.
"""

from __future__ import annotations

from dataclasses import replace

from flows.estimates.crossbar_energy import NODE_NM, SRAM_CELL_F2, SRAM_PJ_PER_BIT, Term, area_terms, macro_terms
from sim.lsm_crossbar.association.spec import AssociationSpec
from sim.lsm_crossbar.energy import Estimate, InferenceEnergy

__all__ = ["EMBEDDINGS", "PROJECTION", "memory_terms", "query_terms"]

PROJECTION, EMBEDDINGS = "projection weight memory", "embedding memory"
_READOUT = "readout weight memory"


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
