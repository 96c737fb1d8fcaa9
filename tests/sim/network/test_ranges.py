"""Ranges of elements against values of the golden model: none is outside, and where they can be exact they are."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from flows.verification.network import samples
from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.network.example_specs import every_kind
from sim.network.model import Network
from sim.network.nodes import Dense, Store
from sim.network.ranges import code_ranges
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights


def ranges_of(weights: NetworkWeights) -> dict[str, np.ndarray]:
    constants = {
        name: type("Constants", (), {"weights": weights.weights[name], "biases": weights.biases[name]})
        for name in weights.spec.layers
    }
    return code_ranges(weights.spec, constants)


@pytest.mark.parametrize("seed", range(4))
def test_no_value_of_any_kind_of_layer_leaves_its_range(seed: int) -> None:
    spec = every_kind()
    rng = np.random.default_rng(seed)
    weights = NetworkWeights.random(spec, rng)
    found = ranges_of(weights)
    for name, values in Network(weights).trace(samples(spec, 3000, rng)).items():
        low, high = found[name].T
        assert np.all((low <= values) & (values <= high)), name


def small(accumulator: FixedPoint, most: int | None) -> NetworkSpec:
    narrow = FixedPoint(width=3, fraction=1, signed=True)
    wide = FixedPoint(width=12, fraction=1, signed=True)
    return NetworkSpec(
        name="SMALL", input_shape=(3,), input=narrow, outputs=("kept",),
        nodes={
            "sums": Dense(inputs=(INPUT,), units=4, weight=narrow, bias=narrow, accumulator=accumulator, result=wide),
            "kept": Store(inputs=("sums",), result=wide, relu=True, most=most),
        },
    )  # fmt: skip


EXACT = FixedPoint(width=12, fraction=2, signed=True)


@pytest.mark.parametrize(
    ("accumulator", "most"),
    [
        (EXACT, None),
        (EXACT, 1),
        (replace(EXACT, fraction=1, rounding=Rounding.RND), 2),
        (replace(EXACT, fraction=1), 3),
    ],
)
def test_ranges_of_a_first_layer_are_those_of_all_inputs(accumulator: FixedPoint, most: int | None) -> None:
    spec = small(accumulator, most)
    weights = NetworkWeights.random(spec, np.random.default_rng(3))
    every = np.array(list(product(range(-4, 4), repeat=3)))
    traced = Network(weights).trace(every)
    found = ranges_of(weights)
    for name in spec.nodes:
        assert np.array_equal(found[name], np.stack([traced[name].min(axis=0), traced[name].max(axis=0)], axis=1))


def test_what_may_wrap_has_the_range_of_its_format() -> None:
    spec = small(FixedPoint(width=4, fraction=2, signed=True), None)
    weights = NetworkWeights(
        spec=spec, weights={"sums": np.array([3, 0, 0, 3] * 3)}, biases={"sums": np.array([0, 1, -4, 3])}
    )
    found = ranges_of(weights)["sums"]
    assert [tuple(row) for row in found] == [(-4, 3), (1, 1), (-4, -4), (-4, 3)]


@pytest.mark.parametrize(("overflow", "wanted"), [(Overflow.SAT, (0, 1)), (Overflow.SAT_ZERO, (-2, 1))])
def test_only_clipping_keeps_the_order_of_values(overflow: Overflow, wanted: tuple[int, int]) -> None:
    """``x / 2 + 3 / 2`` is between 1/2 and 2, of which two bits hold 0 and 1."""
    spec = small(EXACT, None)
    result = FixedPoint(width=2, fraction=0, signed=True, overflow=overflow)
    spec = replace(spec, nodes=spec.nodes | {"kept": Store(inputs=("sums",), result=result)})
    weights = NetworkWeights(
        spec=spec, weights={"sums": np.array([1] + [0] * 11)}, biases={"sums": np.array([3, 0, 0, 0])}
    )
    found = ranges_of(weights)
    assert tuple(found["sums"][0]) == (1, 4)
    assert tuple(found["kept"][0]) == wanted
