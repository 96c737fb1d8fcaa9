"""Energy of a query to the association chip, without its digital part: ``python -m benchmarks.lsm_association_energy``.

Array, ADCs and memories of `DIGITS_8BIT` at 40 nm by published models, on 105 spoken queries of known speakers and 105
seen ones (real N-MNIST), one draw of both macros, all 128 entries in use. Writes
``benchmarks/results/lsm_association_energy.json``.
"""

from __future__ import annotations

from benchmarks.lsm_association import SEEN, image_spikes, known_speakers, speech
from benchmarks.lsm_data import RESULTS
from benchmarks.measured import record
from flows.common.metrics import write_metrics
from flows.estimates.association_energy import query_terms
from sim.lsm_crossbar.association.spec import DIGITS_8BIT, MODALITIES
from sim.lsm_crossbar.energy import inference_energy
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw

COMMAND = "python -m benchmarks.lsm_association_energy"
QUERIES = 105


def main() -> None:
    """Write the figures."""
    spec, metrics = DIGITS_8BIT, []
    test = known_speakers()[2]
    heard = speech().spikes[test][[digit in SEEN for digit in speech().digit[test]]]
    seen, labels = image_spikes(spec.vision.steps, spec.vision.inputs)["real"]
    spikes = (seen[[label in SEEN for label in labels]][:QUERIES], heard[:QUERIES])
    for modality, name in enumerate(MODALITIES):
        crossbar = spec.crossbars[modality]
        image = draw(crossbar, 0)
        activity = Liquid(crossbar, image).run(spikes[modality])
        terms = query_terms(spec, modality, inference_energy(crossbar, image, activity), spec.entries)
        total = {end: sum(getattr(term.estimate, end) for term in terms) for end in ("low", "nominal", "high")}
        rows = [(term.name, {end: getattr(term.estimate, end) for end in total}, term.method) for term in terms]
        for part, ends, method in [*rows, ("together", total, "sum, without the digital part")]:
            for end, value in ends.items():
                metrics.append(record(
                    f"query__energy__{end}__case:{name}_{part.replace(' ', '_')}", round(value * 1e-3, 3), "nJ", method,
                    command=COMMAND,
                ))  # fmt: skip
    write_metrics(RESULTS / "lsm_association_energy.json", metrics)
    print([(m.name, m.value) for m in metrics if "nominal" in m.name])


if __name__ == "__main__":
    main()
