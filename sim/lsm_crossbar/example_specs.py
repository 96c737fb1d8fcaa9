"""Small specs for tests and verification: random legal ones, and one with all that a crossbar can have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.lsm_crossbar.spec import RATE_MAX, CrossbarSpec, HomeostatParameters

__all__ = ["campaign_spec", "random_spec", "regulated_spec", "stacked_spec", "tiled_spec"]


def random_spec(rng: np.random.Generator, name: str = "RANDOM") -> CrossbarSpec:
    """A small legal spec with odd sizes, widths and timing; builds in seconds."""
    while True:
        per_adc = int(rng.integers(1, 6))
        lanes = int(rng.integers(1, 4))
        pairs = per_adc * lanes
        neurons = int(rng.integers(max(1, pairs - per_adc), pairs + 1))
        inputs = int(rng.integers(3, 22))
        windows = int(rng.integers(1, 4))
        leak = [-int(rng.integers(1, 5))]
        if rng.random() < 0.5:
            leak.append(int(rng.choice([-1, 1])) * int(rng.integers(3, 7)))
        try:
            spec = CrossbarSpec(
                name=name, inputs=inputs, neurons=neurons, steps=windows * int(rng.integers(2, 5)),
                outputs=int(rng.integers(1, 5)), threshold=0, leak=tuple(leak),
                refractory_steps=int(rng.choice([0, 0, 1, 3])), windows=windows,
                readout_weight_bits=int(rng.integers(1, 9)), rows=inputs + neurons + int(rng.integers(0, 4)),
                columns=2 * pairs, rows_per_read=int(rng.integers(1, 7)), conductance_bits=int(rng.integers(2, 7)),
                column_current_limit_ua=None if rng.random() < 0.5 else float(rng.uniform(4, 12)),
                columns_per_adc=per_adc, adc_bits=int(rng.integers(3, 8)), adc_shift=int(rng.integers(0, 4)),
                gain_fraction=int(rng.integers(2, 7)), offset_bits=int(rng.integers(4, 10)),
                noise_scale=None if rng.random() < 0.5 else int(rng.integers(1, 40)),
                settle_clocks=int(rng.integers(1, 4)), convert_clocks=int(rng.integers(1, 5)),
            )  # fmt: skip
            spec = replace(spec, threshold=min(spec.threshold_max, 1 + spec.step_input_max // 8))
            if rng.random() < 0.5:
                return spec
            if rng.random() < 0.5:
                return replace(spec, homeostat=HomeostatParameters(per="neuron", rate=int(rng.integers(RATE_MAX + 1))))
            return replace(spec, homeostat=HomeostatParameters(samples=int(rng.integers(2, 4)), ratio=300, band=1))
        except ValueError:
            continue  # an illegal draw, for instance a decay of 1: draw again


def campaign_spec() -> CrossbarSpec:
    """A small chip with all that a chip can have, for mutation: noise, refractory steps, windows, uneven lanes."""
    return CrossbarSpec(
        name="CAMPAIGN", inputs=20, neurons=10, steps=6, outputs=3, threshold=25, leak=(-3, -5, 6), refractory_steps=1,
        windows=2, readout_weight_bits=5, rows=32, columns=24, rows_per_read=4, conductance_bits=4,
        column_current_limit_ua=75.2, read_voltage_v=2.0, columns_per_adc=4, adc_bits=5, adc_shift=0, gain_fraction=4,
        offset_bits=7, noise_scale=30, settle_clocks=2, convert_clocks=2,
    )  # fmt: skip


def regulated_spec(per: str = "layer") -> CrossbarSpec:
    """`campaign_spec` with a homeostat."""
    if per == "neuron":
        return replace(campaign_spec(), name="REGULATED_EACH", homeostat=HomeostatParameters(per=per, rate=2))
    return replace(campaign_spec(), name="REGULATED", homeostat=HomeostatParameters(samples=2, ratio=55, band=2))


def tiled_spec() -> CrossbarSpec:
    """`campaign_spec` with three macros, which have no noise."""
    return replace(campaign_spec(), name="TILED", macros=3, noise_scale=None)


def stacked_spec() -> CrossbarSpec:
    """`regulated_spec` as a tile: rows in four macros, in two of which both inputs and neurons have some, columns in
    three."""
    return replace(regulated_spec(), name="STACKED", macro_rows=8, macro_columns=8)
