"""Upsets of weights against the golden model of the network with that very weight changed."""

import numpy as np
import pytest

from flows.campaign.beam import Beam
from flows.campaign.network import weight_upsets
from sim.fixed_point import FixedPoint
from sim.network.example_specs import campaign_spec, every_kind
from sim.network.model import Network
from sim.network.nodes import Dense
from sim.network.spec import NetworkSpec
from sim.network.weights import NetworkWeights


@pytest.mark.parametrize("spec", [campaign_spec(), every_kind()], ids=lambda spec: spec.name)
def test_every_flip_is_the_network_with_that_bit_changed(spec: NetworkSpec) -> None:
    """The user's own measure, a sum in which no change cancels; shared weights, rounded products, wraps."""
    rng = np.random.default_rng(2)
    weights = NetworkWeights.random(spec, rng)
    data = spec.input.decode(rng.integers(spec.input.min_code, spec.input.max_code + 1, (6, *spec.input_shape)))
    plain = Network(weights).predict(data)
    factors = np.arange(1, plain.shape[1] + 1) ** 0.5

    def harm(before: np.ndarray, after: np.ndarray) -> float:
        assert np.array_equal(before, plain)
        return float(np.abs((after - before) * factors).sum())

    found = weight_upsets(weights, data, harm, limit=40)
    assert found.stored == spec.weight_bits
    assert len(found.harm) == 40 < spec.weight_bits
    for name, number, bit, value in zip(found.layers, found.numbers, found.bits, found.harm, strict=True):
        arrays = {
            "weights": {k: v.copy() for k, v in weights.weights.items()},
            "biases": {k: v.copy() for k, v in weights.biases.items()},
        }
        count = len(weights.weights[name])
        what, place = ("weights", number) if number < count else ("biases", number - count)
        form = getattr(spec.layers[name], {"weights": "weight", "biases": "bias"}[what])
        # two's complement in words: the sign bit weighs minus what its place does
        step = -(1 << bit) if bit == form.width - 1 else 1 << bit
        old = int(arrays[what][name][place])
        arrays[what][name][place] = old + (-step if (old >> bit) & 1 else step)
        changed = Network(NetworkWeights(spec=spec, **arrays)).predict(data)
        assert value == pytest.approx(np.abs((changed - plain) * factors).sum(), abs=1e-12), (name, number, bit)
    assert (found.harm > 0).sum() > 12
    assert set(found.by_layer()) <= set(spec.layers)


def test_measures_by_name_and_rates() -> None:
    """One weight of two bits, by hand: inputs 1 and -1, classes by the sign of the product."""
    form = FixedPoint(width=2, fraction=0, signed=True)
    wide = FixedPoint(width=6, fraction=0, signed=True)
    node = Dense(inputs=("input",), units=2, weight=form, bias=form, accumulator=wide, result=wide)
    spec = NetworkSpec(name="ONE", input_shape=(1,), input=form, nodes={"fc": node}, outputs=("fc",))
    # outputs x * 1 and 0: class 0 for x = 1 (and for 0), class 1 for x = -1
    weights = NetworkWeights(spec=spec, weights={"fc": np.array([1, 0])}, biases={"fc": np.array([0, 0])})
    data = [[1.0], [-1.0]]
    found = weight_upsets(weights, data, "class")
    at = {(int(n), int(b)): float(h) for n, b, h in zip(found.numbers, found.bits, found.harm, strict=True)}
    assert at[0, 0] == 0.5  # weight 0: outputs are equal, the first counts, so x = -1 changes its class
    assert at[0, 1] == 1.0  # weight 1 - 2 = -1: both change
    # errors by hand: 1 becomes 0: 1 in one of two outputs; bias 0 becomes 1, or -2
    errors = weight_upsets(weights, data, "error")
    assert [float(h) for h in errors.harm] == [0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0]
    assert (errors.mean, errors.error_of_mean, errors.harmless, errors.stored) == (0.75, 0.0, 0.0, 8)
    beam = Beam(flux_per_cm2_s=1e7, cross_section_cm2=1e-14, low_cm2=1e-14, high_cm2=1e-14)
    assert errors.upsets_per_day(beam) == pytest.approx(8 * 1e-7 * 86400)
    assert errors.harm_in_beam(beam, reload_s=100.0) == pytest.approx(8 * 1e-7 * 50 * 0.75)
    for words, message in (
        ({"measure": "loss"}, "measure: expected class or error or a function, got 'loss'"),
        ({"limit": 0}, "limit: expected at least 1 bit, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            weight_upsets(weights, data, **words)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="data: expected at least one sample, got none"):
        weight_upsets(weights, np.zeros((0, 1)))
