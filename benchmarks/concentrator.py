"""Payload of each algorithm of a concentrator: ``python -m benchmarks.concentrator``.

Bits that a crossing asks for at pile-up 200, mean and largest, and the share of crossings that the output buffer
truncates (threshold sum, T1 = 24 n words on n links), into ``concentrator_bits.json``.
"""

from __future__ import annotations

import numpy as np

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows
from flows.common.metrics import write_metrics
from flows.stimulus.showers import shower_stimulus
from sim.hgcal_encoder.algorithms.best_choice import BestChoice
from sim.hgcal_encoder.algorithms.output_buffer import Admission
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.algorithms.threshold_sum import ThresholdSum
from sim.hgcal_encoder.front_end import front_end
from sim.hgcal_encoder.spec import ECON_T

STREAMS, CROSSINGS, SEED = 96, 600, 5
LINKS = (2, 3, 4, 5)


def main() -> None:
    """Measure and write."""
    rows = Rows("python -m benchmarks.concentrator", version=LIQUIDCAL)
    seen = shower_stimulus(ECON_T, streams=STREAMS, crossings=CROSSINGS, seed=SEED)
    charges = np.stack([front_end(words, settings).charges
                        for words, settings in zip(seen.words, seen.settings, strict=True)], axis=1)  # fmt: skip
    flat = charges.reshape(-1, charges.shape[-1])

    def add(case: str, mean: float, worst: int, truncated: float, how: str) -> None:
        where = f"{how}; {seen.source}, {STREAMS * CROSSINGS:,} crossings"
        rows.add(f"bits__mean__case:{case}", round(mean, 1), "bit", where)
        rows.add(f"bits__worst__case:{case}", worst, "bit", where)
        rows.add(f"truncated__share__case:{case}", round(100 * truncated, 2), "%", where)

    for links in LINKS:
        on = f"{links}_links"
        model = ThresholdSum(etx_count=links)
        lengths = model.words(flat)
        admissions = model.admit(lengths.reshape(charges.shape[:2])).ravel()
        payload = np.where(admissions == Admission.FULL, model.packet_bits(model.sent(flat).sum(axis=1)), 16)
        add(f"threshold_sum_{on}", float(payload.mean()), int(16 * lengths.max()),
            float((admissions != Admission.FULL).mean()),
            f"threshold 47 counts, T1 = {24 * links}; largest packet before truncation")  # fmt: skip
        fixed = {
            "best_choice": BestChoice(etx_count=links).bits,
            "super_trigger_cell_type_3": SuperTriggerCells(kind=SuperTriggerCellType.STC4_4E3M, etx_count=links).bits,
            "autoencoder": 14 + min(ECON_T.capacity(links), ECON_T.keep_bits),
        }
        for name, size in fixed.items():
            if size:  # super trigger cells of this type send nothing on more than 4 links
                add(f"{name}_{on}", size, size, 0.0, "fixed format")
    add("repeater_11_links", 341, 341, 0.0, "fixed format")
    write_metrics(RESULTS / "concentrator_bits.json", rows)


if __name__ == "__main__":
    main()
