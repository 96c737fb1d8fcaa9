"""The specification: texts that read back, values that are refused, and the published constants in codes."""

from dataclasses import replace

import numpy as np
import pytest

from sim.astrocyte_liquid.example_specs import random_spec
from sim.astrocyte_liquid.spec import NALSM_1000, PRESETS, AstrocyteSpec, load_spec


def test_text_reads_back() -> None:
    for spec in (*PRESETS.values(), random_spec(np.random.default_rng(1))):
        assert AstrocyteSpec.from_toml(spec.to_toml()) == spec
    assert load_spec("NALSM_1000") is NALSM_1000


def test_codes_are_the_published_values() -> None:
    spec = NALSM_1000
    assert (spec.neurons, spec.excitatory, spec.first_neuron) == (1000, 800, 784)
    assert (spec.threshold_code / 64, spec.weight_code_max / 64, spec.weight_bits) == (20, 3, 9)
    for code, value in (
        (spec.potentiation_code, 0.15), (spec.bias_code, 0.15), (spec.astrocyte_code, 0.015),
    ):  # fmt: skip
        assert abs(code / 2**20 - value) < 2**-20
    # a neuron that spikes in every second step, in real numbers: m (m x + 0.1) = x with m = 29/32
    m = 29 / 32
    assert abs(spec.trace_max / 4096 - 0.1 * m / (1 - m * m)) < 0.002
    assert spec.count_max == 83


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": (10, 10)}, "grid: expected three integers"),
        ({"lanes": 6}, "lanes: expected a power of two, got 6"),
        ({"lanes": 64, "grid": (3, 3, 3)}, "lanes: 64 lanes for 27 neurons"),
        ({"input_density": 1.5}, "input_density: expected a fraction, 0 to 1, got 1.5"),
        ({"membrane_bits": 8}, "spike_threshold: 20.0 is 1280 steps"),
        ({"rate_bits": 10}, "rate_bits: 10 bits do not hold the rates"),
        ({"rate_guard": 12, "rate_fraction": 10}, "rate_guard: expected less than rate_fraction 10"),
        ({"steps": True}, "steps: expected an integer, got True"),
    ],
)
def test_what_is_no_chip_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(NALSM_1000, **change)


def test_text_that_is_no_spec_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown fields colour"):
        AstrocyteSpec.from_toml(NALSM_1000.to_toml() + 'colour = "red"\n')
    with pytest.raises(ValueError, match="not a spec of an astrocyte liquid"):
        AstrocyteSpec.from_toml('name = "A"\n')
    with pytest.raises(ValueError, match="not a TOML file"):
        AstrocyteSpec.from_toml("name = ")
