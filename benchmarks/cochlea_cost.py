"""What a digital front end for sound would cost beside the association chip: ``python -m benchmarks.cochlea_cost``.

Counted, not synthesised: 64 gammatone filters of fourth order at 8 kHz are four second-order sections each, with five
multiplications and two words of state. Energies are those of M. Horowitz, "Computing's energy problem (and what we can
do about it)", ISSCC 2014, at 45 nm: a multiplication of 32 x 32 bits takes 3.1 pJ, one of 16 x 24 bits less in
proportion to its partial products; 64 bits of an 8 KB memory take 10 pJ. Each section reads and writes its state and
reads its coefficients once per sample. Writes ``benchmarks/results/cochlea_cost.json``.
"""

from __future__ import annotations

from benchmarks.lsm_data import RESULTS
from benchmarks.measured import record
from flows.common.metrics import write_metrics
from flows.estimates.crossbar_energy import NODE_NM, SRAM_CELL_F2, SRAM_PJ_PER_BIT

COMMAND = "python -m benchmarks.cochlea_cost"
CHANNELS, SECTIONS, PRODUCTS, STATES = 64, 4, 5, 2
RATE_HZ, WORD_BITS, COEFFICIENT_BITS = 8_000, 24, 16
CLIP_S = 0.5
MULTIPLY_PJ = 3.1 * WORD_BITS * COEFFICIENT_BITS / 32**2


def main() -> None:
    """Write the figures."""
    sections = CHANNELS * SECTIONS * RATE_HZ
    multiply = sections * PRODUCTS * MULTIPLY_PJ
    memory = sections * (2 * STATES * WORD_BITS + PRODUCTS * COEFFICIENT_BITS) * SRAM_PJ_PER_BIT
    bits = CHANNELS * SECTIONS * (STATES * WORD_BITS + PRODUCTS * COEFFICIENT_BITS)
    area = bits * SRAM_CELL_F2 * (NODE_NM * 1e-3) ** 2 * 1e-6 / 0.5
    how = f"word of {CLIP_S:g} s, counted operations, Horowitz 2014"
    metrics = [
        record(name, value, unit, method, command=COMMAND)
        for name, value, unit, method in (
            ("multiplications", round(sections * PRODUCTS * 1e-6, 1), "million per s", "64 x 4 x 5 at 8 kHz"),
            ("multiplications__energy", round(multiply * CLIP_S * 1e-6, 2), "uJ", how),
            ("memory__energy", round(memory * CLIP_S * 1e-6, 2), "uJ", how),
            ("front_end__energy", round((multiply + memory) * CLIP_S * 1e-6, 1), "uJ", how),
            ("memory__bits", bits, "bit", "states and coefficients"),
            ("memory__area", round(area, 4), "mm2", "40 nm, 146 F^2 per bit, half of it cells"),
        )
    ]
    write_metrics(RESULTS / "cochlea_cost.json", metrics)
    print([(metric.name, metric.value) for metric in metrics])


if __name__ == "__main__":
    main()
