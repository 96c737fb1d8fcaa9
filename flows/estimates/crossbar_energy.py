"""Energy and area of a whole crossbar chip: digital part as measured on its netlist; array, ADCs, memory by models.

The digital part comes from `liquidcal power`, in the node of its library, and is translated to 40 nm, for which the
array and the ADCs are estimated (`flows.estimates.translation` names the methods). The memory of the readout weights
is a black box too; its read is charged after M. Horowitz, "Computing's energy problem (and what we can do about it)",
ISSCC 2014, 10-14: 10 pJ for 64 bits of an 8 KB cache in 45 nm at 0.9 V, as quoted from its table in PubMed Central
PMC8934428, table 3; the paper itself was not seen. Its cell has 146 squares of the feature size, the SRAM cell of
NVSim (X. Dong et al., "NVSim", IEEE TCAD 31 (2012) 994) as NVMExplorer configures it, and cells are half of its area,
give or take.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.estimates.translation import NAND2_AREA_UM2, energy_range
from sim.lsm_crossbar.energy import Estimate, InferenceEnergy, adc_area_um2, array_area_um2
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "GROUPS", "NODE", "Term", "area_terms", "digital_terms", "energy_document", "group_of", "macro_terms",
    "memory_area_mm2", "memory_read_pj", "split", "term_rows", "with_digital_part",
]  # fmt: skip

NODE = "40nm LP"
NODE_NM = 40.0
GROUPS: Mapping[str, str] = {
    "input": "input", "row_driver": "row driver", "adc": "ADC control and subtraction", "neuron": "neurons",
    "counter": "counters", "router": "router", "readout": "readout", "sequencer": "control", "status": "control",
    "registers": "control",
}  # fmt: skip
"""Part of the chip that each stage belongs to; anything else, such as the top's own cells, is control."""
SPLIT: Mapping[str, str] = {
    "cells": "array", "word lines": "array", "ADCs": "ADCs", "ADC control and subtraction": "neurons",
    "neurons": "neurons", "readout": "readout", "counters": "readout", "readout weight memory": "readout",
}  # fmt: skip
"""Five parts that the split of an inference has: array, ADCs, neurons, readout, and for all others the rest."""
SRAM_PJ_PER_BIT = 10 / 64
"""Horowitz 2014, 8 KB in 45 nm."""
SRAM_CELL_F2 = 146.0


@dataclass(frozen=True, kw_only=True)
class Term:
    """One part of a sum: its name, its estimate, and how it arises."""

    name: str
    estimate: Estimate
    method: str


def group_of(stage: str) -> str:
    """Part of the chip that a stage belongs to; with several macros a stage's name ends in its number."""
    return GROUPS.get(re.sub(r"_\d+$", "", stage), "control")


def memory_read_pj(spec: CrossbarSpec) -> Estimate:
    """Energy of reading one word of readout weights, pJ, give or take a factor of two."""
    nominal = spec.outputs * spec.readout_weight_bits * SRAM_PJ_PER_BIT
    return Estimate(low=nominal / 2, nominal=nominal, high=2 * nominal)


def memory_area_mm2(spec: CrossbarSpec, node_nm: float = NODE_NM) -> Estimate:
    """Area of the memory of readout weights; cells are 0.7, 0.5 or 0.3 of it."""
    cells = spec.features * spec.outputs * spec.readout_weight_bits * SRAM_CELL_F2 * (node_nm * 1e-3) ** 2 * 1e-6
    return Estimate(low=cells / 0.7, nominal=cells / 0.5, high=cells / 0.3)


def macro_terms(spec: CrossbarSpec, energy: InferenceEnergy) -> list[Term]:
    """Array, ADCs and the memory of readout weights, pJ per inference in 40 nm."""
    return [
        Term(name="cells", estimate=energy.cells_pj, method="V^2 G t of the cells of active rows"),
        Term(name="word lines", estimate=energy.word_lines_pj, method="C V^2 of each row activation"),
        Term(name="ADCs", estimate=energy.adcs_pj,
             method=f"{energy.conversions:,.0f} conversions; bound, best fifth and mean of the Murmann survey"),
        Term(name="readout weight memory", estimate=memory_read_pj(spec) * spec.features,
             method=f"{spec.features:,} reads of {spec.outputs * spec.readout_weight_bits} bits, Horowitz 2014"),
    ]  # fmt: skip


def digital_terms(result: Mapping[str, Any], group: Callable[[str], str] = group_of) -> list[Term]:
    """The digital part in pJ per inference in 40 nm, by part, from the result of `liquidcal power`.

    Dynamic energy is translated: nominal by constant-field scaling, low and high the ends of all methods times the ends
    of the power estimate. No method translates leakage: it counts as the library has it (nominal, high) or not (low).

    Parameters
    ----------
    result : mapping
        Content of ``power/power.json`` of a crossbar.
    group : callable
        Part that a stage belongs to.
    """
    period_ns, clocks = float(result["period_ns"]), float(result["clocks_per_inference"])
    to_pj = period_ns * 1e-3 * clocks
    parts: dict[str, float] = {}
    leakage = 0.0
    for stage, kinds in result["stages_uw"].items():
        name = group(stage)
        parts[name] = parts.get(name, 0.0) + sum(uw for kind, uw in kinds.items() if kind != "leakage") * to_pj
        leakage += kinds["leakage"] * to_pj
    parts["clock tree"] = float(result["power_uw"]["clock_tree"]) * to_pj
    total = float(result["power_uw"]["total"])
    low, high = (1 + sum(row[end] - total for row in result["uncertainty"]) / total for end in ("low_uw", "high_uw"))
    terms = []
    for name, native_pj in parts.items():
        found = energy_range(library=result["library"], voltage_v=result["voltage_v"], dynamic_pj=native_pj, node=NODE)
        scaled = found.by("constant_field")
        nominal = scaled.value
        terms.append(
            Term(
                name=name,
                estimate=Estimate(
                    low=min(found.low * low, nominal), nominal=nominal, high=max(found.high * high, nominal)
                ),
                method=f"{native_pj:,.0f} pJ on {result['library']}; {scaled.method}",
            )
        )
    terms.append(
        Term(
            name="leakage", estimate=Estimate(low=0.0, nominal=leakage, high=leakage),
            method=f"of {result['library']} as it is, not translated; low end without it",
        )
    )  # fmt: skip
    return terms


def split(terms: Sequence[Term]) -> dict[str, Estimate]:
    """Sums by part: array, ADCs, neurons, readout, rest."""
    sums = {name: Estimate(low=0.0, nominal=0.0, high=0.0) for name in ("array", "ADCs", "neurons", "readout", "rest")}
    for term in terms:
        part = SPLIT.get(term.name, "rest")
        sums[part] = sums[part] + term.estimate
    return sums


def area_terms(
    spec: CrossbarSpec, *, library: str, stages_um2: Mapping[str, float], gate_um2: float, utilisation: float = 0.7
) -> list[Term]:
    """Area in mm2 in 40 nm: digital part by part, array, ADCs, memory of readout weights.

    Parameters
    ----------
    library : str
        Of the netlist.
    stages_um2 : mapping
        Cell area of each stage on that library.
    gate_um2 : float
        Its smallest two-input NAND.
    utilisation : float
        Cell area over core area that the digital part will have.
    """
    nand, source = NAND2_AREA_UM2[NODE]
    parts: dict[str, float] = {}
    for stage, area in stages_um2.items():
        name = group_of(stage)
        parts[name] = parts.get(name, 0.0) + area
    terms = []
    for name, area in parts.items():
        mm2 = area / gate_um2 * nand / utilisation * 1e-6
        native = area / utilisation * 1e-6
        terms.append(
            Term(
                name=name,
                estimate=Estimate(low=min(mm2, native), nominal=mm2, high=max(mm2, native)),
                method=f"{area:,.0f} um2 of {library} cells; {nand} um2 per gate ({source}), utilisation "
                f"{utilisation:g}; other end: as in the library's own node",
            )
        )
    array = spec.macros * array_area_um2(spec.rows, spec.columns, NODE_NM) * 1e-6
    adcs = adc_area_um2(spec, NODE_NM) * 1e-6
    return [
        *terms,
        Term(name="cells", estimate=Estimate(low=array, nominal=array, high=array),
             method="54 F^2 per cell, without drivers"),
        Term(name="ADCs", estimate=Estimate(low=adcs / 2, nominal=adcs, high=2 * adcs),
             method=f"{spec.all_adcs} ADCs by the regression on the Murmann survey, give or take a factor of two"),
        Term(name="readout weight memory", estimate=memory_area_mm2(spec), method="146 F^2 per bit, half of it cells"),
    ]  # fmt: skip


def energy_document(spec: CrossbarSpec, energy: InferenceEnergy) -> dict[str, Any]:
    """Energy of an inference in array, ADCs and weight memory as the report reads it.

    Parameters
    ----------
    energy : InferenceEnergy
        Of array and ADCs.
    """
    return {
        "terms": term_rows(macro_terms(spec, energy)),
        "synaptic_operations": energy.synaptic_operations,
        "reads": energy.reads,
        "notes": [
            "Array, ADCs, weight memory: published models at 40 nm, activity of these samples, ranges of the models.",
            "A synaptic operation is a spike that passes one synapse, formed or not.",
            f"{_WITHOUT} of this draw: liquidcal flow {spec.name} with the same seed measures it.",
        ],
    }


def with_digital_part(document: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """`energy_document` of a chip whose digital part was measured.

    Parameters
    ----------
    result : mapping
        Content of ``power/power.json`` of the same design.
    """
    notes = [note for note in document["notes"] if not note.startswith(_WITHOUT)]
    notes.append(
        f"Digital part: {result['library']}, {result['activity']}; {result['wires']}; translated to 40 nm. Clocks run"
        " only during inferences."
    )
    return {**document, "terms": [*document["terms"], *term_rows(digital_terms(result))], "notes": notes}


_WITHOUT = "Without the digital part"


def term_rows(terms: Sequence[Term]) -> list[dict[str, Any]]:
    """Terms as plain types."""
    return [
        {"name": t.name, "low_pj": t.estimate.low, "nominal_pj": t.estimate.nominal, "high_pj": t.estimate.high}
        for t in terms
    ]
