"""Small specs for tests and verification: random legal ones, and one with all that a liquid can have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["campaign_spec", "random_spec", "seeded_spec"]


def random_spec(rng: np.random.Generator, name: str = "RANDOM") -> AstrocyteSpec:
    """A small legal spec with odd sizes and widths; builds in seconds."""
    while True:
        deep, wide, high = (int(axis) for axis in rng.integers(2, 4, 3))
        inputs = int(rng.integers(5, 30))
        try:
            return AstrocyteSpec(
                name=name, grid=(deep, wide, high), inputs=inputs, outputs=int(rng.integers(2, 5)),
                steps=int(rng.integers(12, 40)),
                excitatory_fraction=float(rng.choice([0.6, 0.8])), input_density=float(rng.uniform(0.3, 0.7)),
                leak_shift=int(rng.integers(3, 7)), refractory_steps=int(rng.integers(1, 4)),
                weight_max=float(rng.choice([2.0, 3.0, 5.0])), astrocyte_weight=float(rng.uniform(0.02, 0.3)),
                weight_fraction=int(rng.integers(4, 8)), membrane_bits=int(rng.integers(13, 18)),
                trace_fraction=int(rng.integers(8, 13)), rate_fraction=int(rng.integers(14, 21)),
                rate_bits=int(rng.integers(19, 24)), rate_guard=int(rng.integers(0, 7)), fan_in_max=64,
                lanes=int(rng.choice([1, 2, 4])), lane_synapses=700, readout_weight_bits=int(rng.integers(3, 9)),
            )  # fmt: skip
        except ValueError:
            continue  # an illegal draw: draw again


def campaign_spec() -> AstrocyteSpec:
    """A small liquid for mutation: strong coupling and fast plasticity, so that weights reach all their limits.

    A potential has no bit more than its threshold needs, so that it saturates at both ends.
    A neuron may have all sources but itself, so that a list reaches the highest bit of its length. There are enough
    inputs to drive A- to its lower end within a sample in which the liquid is silent.
    """
    return AstrocyteSpec(
        name="CAMPAIGN", grid=(3, 3, 2), inputs=27, outputs=3, steps=31, excitatory_fraction=0.6, input_density=0.5,
        leak_shift=4, astrocyte_weight=0.99, potentiation=0.9, astrocyte_bias=0.8, weight_fraction=5, membrane_bits=11,
        trace_fraction=9, rate_fraction=14, rate_bits=15, rate_guard=3, fan_in_max=44, lanes=2, lane_synapses=240,
        readout_weight_bits=5,
    )  # fmt: skip


def seeded_spec(name: str = "SEEDED", lanes: int = 2) -> AstrocyteSpec:
    """The same with slots: inputs in several blocks, the last of them and the ring filled in part."""
    groups = 18 // lanes
    spec = replace(campaign_spec(), name=name, inputs=37, lanes=lanes, fan_in_max=60)
    most = replace(spec, lane_synapses=100 * groups, connectivity="seeded")
    return replace(most, lane_synapses=most.slots * groups)
