"""Energy of a query to the association chip, by part: ``python -m benchmarks.lsm_association_energy [--out report]``.

Array, ADCs and memories of `DIGITS_8BIT` at 40 nm by published models, on 105 spoken queries of known speakers and 105
seen ones (real N-MNIST), one draw of both macros, all 128 entries in use. The digital part is what
``liquidcal flow DIGITS_8BIT`` (or ``synth`` and ``power``) left below ``--out``: measured on the netlist of the whole
chip, in its own node, and translated to 40 nm. Writes ``benchmarks/results/lsm_association_energy.json`` (by part),
``lsm_association_query.json`` (digital part in its own node, and the whole chip at 40 nm); with ``--clock-gating``
``lsm_association_gated_energy.json`` and ``lsm_association_gated_query.json``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.lsm_association import SEEN, image_parts, image_spikes, known_speakers, speech
from benchmarks.lsm_data import RESULTS
from benchmarks.measured import record
from flows.common.metrics import Metric, write_metrics
from flows.designs.association import AssociationDesign
from flows.estimates.association_energy import chip_area, query_document, query_split, with_digital_part
from flows.library.catalogue import cell_library
from flows.steps.association_demo import POWER
from flows.synthesis.result import load_result
from sim.lsm_crossbar.association.spec import DIGITS_8BIT, MODALITIES
from sim.lsm_crossbar.energy import inference_energy
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw

COMMAND = "python -m benchmarks.lsm_association_energy"
QUERIES = 105
ENDS = ("low", "nominal", "high")


def document(modality: int) -> dict[str, Any]:
    """Energy of queries of a modality without the digital part."""
    test = known_speakers()[2]
    if MODALITIES[modality] == "audio":
        spikes = speech().spikes[test][[digit in SEEN for digit in speech().digit[test]]]
    else:
        spikes = image_spikes(DIGITS_8BIT.vision.steps, DIGITS_8BIT.vision.inputs)["real"]
        spikes = spikes[[label in SEEN for label in image_parts()["real"].labels]]
    crossbar = DIGITS_8BIT.crossbars[modality]
    image = draw(crossbar, 0)
    activity = Liquid(crossbar, image).run(spikes[:QUERIES])
    return query_document(DIGITS_8BIT, modality, inference_energy(crossbar, image, activity), DIGITS_8BIT.entries)


def parts(name: str, content: dict[str, Any]) -> Iterator[Metric]:
    """Each part, and together, nJ in 40 nm."""
    whole = "digital_native_pj" in content
    rows = query_split(content["terms"])
    rows["together"] = {f"{end}_pj": sum(term[f"{end}_pj"] for term in content["terms"]) for end in ENDS}
    for part, sums in rows.items():
        for end in ENDS:
            yield record(
                f"query__energy__{end}__case:{name}_{part.replace(' ', '_')}", round(sums[f"{end}_pj"] * 1e-3, 3), "nJ",
                "40 nm; digital part translated" if whole else "40 nm, without the digital part", command=COMMAND,
            )  # fmt: skip


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--clock-gating", action="store_true", help="the variant with clock gates")
    options = parser.parse_args()
    folder = options.out / AssociationDesign(spec=DIGITS_8BIT, clock_gating=options.clock_gating).name
    stem = "lsm_association_gated" if options.clock_gating else "lsm_association"
    metrics: list[Metric] = []
    chip: list[Metric] = []
    for modality, name in enumerate(MODALITIES):
        content = document(modality)
        path = folder / POWER[name] / "power.json"
        if path.is_file():
            content = with_digital_part(content, json.loads(path.read_text()))
            library = cell_library(content["library"])
            for quantity, value, unit, method in (
                ("digital_part__energy", content["digital_native_pj"] * 1e-3, "nJ", "on its netlist, in its own node"),
                ("query__clocks", content["clocks"], "", "from the first event to the best entry, 128 entries"),
            ):
                chip.append(record(
                    f"{quantity}__case:{name}", round(value, 1), unit, f"{content['activity']}; {method}",
                    command=COMMAND, library=library,
                ))  # fmt: skip
        metrics += parts(name, content)
    write_metrics(RESULTS / f"{stem}_energy.json", metrics)
    if (folder / "synthesis" / "modules.json").is_file():
        result = load_result(folder / "synthesis")
        library = cell_library(result.library)
        chip.append(record(
            "digital_part__area__case:chip", round(result.area_um2 * 1e-6, 4), "mm2", "cells, in its own node",
            command=COMMAND, library=library,
        ))  # fmt: skip
        terms = chip_area(
            DIGITS_8BIT, library=result.library, digital_um2=result.area_um2,
            gate_um2=result.area_um2 / result.gate_equivalents,
        )  # fmt: skip
        for end in ENDS:
            value = sum(getattr(term.estimate, end) for term in terms)
            chip.append(record(
                f"chip__area__{end}__case:chip", round(value, 3), "mm2", "whole chip at 40 nm, published models",
                command=COMMAND,
            ))  # fmt: skip
    if chip:
        write_metrics(RESULTS / f"{stem}_query.json", chip)
    print([(m.name, m.value) for m in (*metrics, *chip) if "low" not in m.name and "high" not in m.name])


if __name__ == "__main__":
    main()
