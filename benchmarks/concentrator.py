"""Cost of each algorithm of a concentrator: ``python -m benchmarks.concentrator bits`` and ``... area``.

``bits``: payload per crossing at pile-up 200, mean and largest, and the share of crossings that the output buffer
truncates (threshold sum, T1 = 24 n words on n links), into ``concentrator_bits.json``. ``area``: blocks of
ECON_T_PRODUCTION on NanGate 45 as ``liquidcal synth ECON_T_PRODUCTION --out report`` left them, with the latency of
each algorithm, into ``concentrator_area.json``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows
from flows.common.metrics import find, read_metrics, write_metrics
from flows.designs.catalogue import design
from flows.stimulus.showers import shower_stimulus
from sim.hgcal_encoder.algorithms.best_choice import BestChoice
from sim.hgcal_encoder.algorithms.output_buffer import Admission
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.algorithms.threshold_sum import ThresholdSum
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, AlgorithmNumber
from sim.hgcal_encoder.front_end import front_end
from sim.hgcal_encoder.spec import ECON_T

STREAMS, CROSSINGS, SEED = 96, 600, 5
LINKS = (2, 3, 4, 5)
PARTS = {
    "front_end": ("words", "multiplex", "decode", "calibrate"),
    "cell_codes": ("cell_codes",),
    "threshold_sum": ("threshold_sum",),
    "super_trigger_cell": ("super_trigger_cells",),
    "best_choice": ("best_choice",),
    "autoencoder": ("autoencoder", "frame"),
    "formatter": ("formatter",),
    "output_buffer": ("output_buffer_16",),
    "etx_words": ("etx_words_13",),
    "settings": ("register_file_16",),
}
"""Modules of each part. Codes of cells serve threshold sum, best choice and repeater, which has nothing else."""


def bits() -> None:
    """Payload and truncation, in showers at pile-up 200."""
    rows = Rows("python -m benchmarks.concentrator bits", version=LIQUIDCAL)
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


def area(folder: Path) -> None:
    """Blocks of the synthesised chip, and latencies."""
    metrics = read_metrics(folder / "synthesis" / "metrics.json")
    known = {metric.name: metric for metric in metrics}
    rows = Rows("python -m benchmarks.concentrator area", "yosys", find(metrics, "design__instance__area").tool_version)
    whole = design("ECON_T_PRODUCTION").component()
    whole._MustUse__silence = True
    total = float(find(metrics, "design__instance__area").value)
    left, left_ge = total, float(find(metrics, "design__instance__area__gate_equivalent").value)
    for name, modules in PARTS.items():
        found = [known[f"design__instance__area__module:ECON_T_PRODUCTION_{module}"] for module in modules]
        equivalents = [
            known[f"design__instance__area__gate_equivalent__module:ECON_T_PRODUCTION_{module}"] for module in modules
        ]
        um2, ge = (sum(float(metric.value) for metric in group) for group in (found, equivalents))
        left, left_ge = left - um2, left_ge - ge
        _area_rows(rows, name, um2, ge, f"cells of {', '.join(modules)}; NanGate 45, unplaced")
    _area_rows(rows, "pipeline_registers", left, left_ge, "what is outside the blocks: registers and isolation")
    _area_rows(rows, "all", total, float(find(metrics, "design__instance__area__gate_equivalent").value),
               "all cells; NanGate 45, unplaced")  # fmt: skip
    for number in AlgorithmNumber:
        if ECON_T_PRODUCTION.has(number):
            rows.add(f"latency__clocks__case:{number.label}", whole.latency_of(number), "clocks",
                     "eRx words at the pins to eTx words at the pins, 25 ns each", "liquidcal", LIQUIDCAL)  # fmt: skip
    write_metrics(RESULTS / "concentrator_area.json", rows)


def _area_rows(rows: Rows, name: str, um2: float, ge: float, how: str) -> None:
    rows.add(f"area__um2__case:{name}", round(um2), "um2", how)
    rows.add(f"area__kge__case:{name}", round(ge / 1000, 1), "kGE", how)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("what", choices=("bits", "area"))
    parser.add_argument("--out", type=Path, default=Path("report"))
    options = parser.parse_args()
    if options.what == "bits":
        bits()
    else:
        area(options.out / "ECON_T_PRODUCTION")


if __name__ == "__main__":
    main()
