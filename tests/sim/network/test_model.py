"""The golden model against networks in rationals, and against the encoder's."""

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.spec import ECON_T, ECON_T_EXACT, TNS_2021, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.network.example_specs import campaign_spec, every_kind
from sim.network.model import Network
from sim.network.nodes import Add, ArgMax, Convolution, Dense, Pool, Scale, Store, WeightedSum, Wire
from sim.network.spec import NetworkSpec
from sim.network.weights import NetworkWeights
from tests.sim.test_fixed_point import exact_store

Values = list[Fraction]
Pairs = list[list[tuple[int, Fraction]]]
"""For each output (number of the weight, input)."""


def stored(value: Fraction, form: FixedPoint) -> Fraction:
    return Fraction(exact_store(value, form)) / Fraction(2) ** form.fraction


def neighbours(node: Convolution, x: Values) -> list[list[tuple[int, Fraction]]]:
    """For each output of a convolution, by loops over what it is: (number of the weight, input)."""
    rows, columns, channels = node.shape
    image = {
        (r, c, k): x[(r * columns + c) * channels + k]
        for r, c, k in product(range(rows), range(columns), range(channels))
    }
    top, bottom, left, right = node.padding
    found = []
    for r in range(-top, rows + bottom - node.kernel[0] + 1, node.stride[0]):
        for c in range(-left, columns + right - node.kernel[1] + 1, node.stride[1]):
            for first in range(channels if node.depthwise else 1):
                for filter_ in range(node.filters):
                    seen = []
                    for i, j, k in product(range(node.kernel[0]), range(node.kernel[1]), range(channels)):
                        if not node.depthwise or k == first:
                            weight = ((i * node.kernel[1] + j) * channels + k) * node.filters + filter_
                            seen.append((weight, image.get((r + i, c + j, k), Fraction(0))))
                    found.append(seen)
    return found


def exact(weights: NetworkWeights, x: Values) -> dict[str, Values]:
    """A network in rationals, one number at a time."""
    spec, found = weights.spec, {"input": x}

    def summed(
        node: WeightedSum, name: str, pairs: list[list[tuple[int, Fraction]]], bias: Callable[[int], int]
    ) -> Values:
        codes = weights.weights[name].tolist(), weights.biases[name].tolist()
        w = [Fraction(code) / 2**node.weight.fraction for code in codes[0]]
        b = [Fraction(code) / 2**node.bias.fraction for code in codes[1]]
        sums = [
            sum((stored(w[number] * value, node.accumulator) for number, value in seen), b[bias(place)])
            for place, seen in enumerate(pairs)
        ]
        return [stored(stored(total, node.accumulator), node.result) for total in sums]

    for name, node in spec.nodes.items():
        a, *more = (found[read] for read in node.inputs)
        match node:
            case Dense():
                pairs = [[(i * node.units + unit, value) for i, value in enumerate(a)] for unit in range(node.units)]
                found[name] = summed(node, name, pairs, lambda place: place)
            case Convolution():
                sums = node.filters * (node.shape[2] if node.depthwise else 1)
                found[name] = summed(node, name, neighbours(node, a), lambda place, sums=sums: place % sums)
            case Scale():
                pairs = [[(i % node.channels, value)] for i, value in enumerate(a)]
                found[name] = summed(node, name, pairs, lambda place, node=node: place % node.channels)
            case Store():
                cut = [max(value, Fraction(0)) if node.relu else value for value in a]
                cut = [min(value, Fraction(node.most)) if node.most else value for value in cut]
                found[name] = [stored(value, node.result) for value in cut]
            case Wire():
                every = [*a, *(value for values in more for value in values)]
                found[name] = [every[source] if source >= 0 else Fraction(0) for source in node.sources]
            case Pool():
                windows = [[a[i] for i in window] for window in node.windows]
                whole = [sum(w) / Fraction(len(w)) if node.mean else max(w) for w in windows]
                found[name] = [stored(value, node.result) for value in whole]
            case Add():
                sign = -1 if node.subtract else 1
                found[name] = [stored(one + sign * other, node.result) for one, other in zip(a, more[0], strict=True)]
            case ArgMax():
                found[name] = [stored(Fraction(int(i == a.index(max(a)))), node.result) for i in range(len(a))]
    return found


@pytest.mark.parametrize("spec", [every_kind(), campaign_spec()], ids=lambda spec: spec.name)
def test_every_node_equals_rationals(spec: NetworkSpec) -> None:
    rng = np.random.default_rng(1)
    weights = NetworkWeights.random(spec, rng)
    size = int(np.prod(spec.input_shape))
    samples = rng.integers(spec.input.min_code, spec.input.max_code + 1, (25, size))
    samples[:2] = [[spec.input.min_code] * size, [spec.input.max_code] * size]
    traced = Network(weights).trace(samples)
    for number, codes in enumerate(samples):
        expected = exact(weights, [Fraction(int(code)) / 2**spec.input.fraction for code in codes])
        for name, values in expected.items():
            form = spec.tensors[name].form
            assert traced[name][number].tolist() == [value * Fraction(2) ** form.fraction for value in values], name
    assert len(np.unique(traced[spec.outputs[-1]])) > 20
    assert np.array_equal(
        Network(weights).codes(samples), np.concatenate([traced[name] for name in spec.outputs], axis=1)
    )


@pytest.mark.parametrize("rounding", Rounding)
def test_single_products_by_every_mode(rounding: Rounding) -> None:
    form = FixedPoint(width=7, fraction=4, signed=True)
    accumulator = FixedPoint(width=12, fraction=5, signed=True, rounding=rounding)
    node = Dense(inputs=("input",), units=3, weight=form, bias=form, accumulator=accumulator, result=accumulator)
    spec = NetworkSpec(name="ONE", input_shape=(6,), input=form, nodes={"fc": node}, outputs=("fc",))
    rng = np.random.default_rng(2)
    weights = NetworkWeights.random(spec, rng)
    samples = rng.integers(-64, 64, (60, 6))
    found = Network(weights).codes(samples)
    for codes, row in zip(samples, found, strict=True):
        expected = exact(weights, [Fraction(int(code), 16) for code in codes])["fc"]
        assert row.tolist() == [value * 32 for value in expected]


@pytest.mark.parametrize("spec", [ECON_T, TNS_2021, ECON_T_EXACT], ids=lambda spec: spec.name)
def test_an_encoder_is_a_network(spec: EncoderSpec) -> None:
    """The older model of the chip, which has published vectors to answer to, gives the latents."""
    rng = np.random.default_rng(3)
    weights = Weights.random(spec, rng)
    pixels = rng.integers(0, spec.pixel.max_code + 1, (300, 48)) * (rng.random((300, 48)) < 0.5)
    activations = convolve(to_grid(pixels, spec), weights.kernel, weights.kernel_bias, spec)
    expected = dense(activations.reshape(300, -1), weights.dense, weights.dense_bias, spec)
    network = spec.network
    assert network.multiplies <= spec.multiplies + 9 * spec.filters * spec.positions
    as_network = NetworkWeights(
        spec=network,
        weights={"convolution": weights.kernel.ravel(), "dense": weights.dense.ravel()},
        biases={"convolution": weights.kernel_bias, "dense": weights.dense_bias},
    )
    assert np.array_equal(Network(as_network).codes(pixels), expected)
    assert len(np.unique(expected)) > 20


def test_values_enter_and_leave_as_reals() -> None:
    spec = campaign_spec()
    network = Network(NetworkWeights.random(spec, np.random.default_rng(4)))
    reals = np.random.default_rng(5).normal(0, 2, (20, 2, 3, 1))
    codes = spec.input.encode(reals).reshape(20, 6)
    fraction = spec.tensors["fc"].form.fraction
    assert np.array_equal(network.predict(reals), network.codes(codes) / 2.0**fraction)
    with pytest.raises(ValueError, match=r"input: expected shape \(n, 2, 3, 1\), got \(20, 5\)"):
        network.predict(np.zeros((20, 5)))
    with pytest.raises(ValueError, match=r"input: expected codes of shape \(n, 6\), got \(6,\)"):
        network.codes(np.zeros(6, int))
    with pytest.raises(ValueError, match=r"input: expected -16 to 15, got 16 at index \(0, 0\)"):
        network.codes([[16, 0, 0, 0, 0, 0]])


@pytest.mark.parametrize("rounding", Rounding)
def test_stores_in_floating_point_are_those_of_rationals(rounding: Rounding) -> None:
    """Every code in formats with fewer and more bits at either end, by every overflow."""
    form = FixedPoint(width=7, fraction=3, signed=True)
    results = [
        FixedPoint(width=width, fraction=fraction, signed=signed, rounding=rounding, overflow=overflow)
        for width, fraction, signed in ((4, 1, True), (3, 1, False), (10, 5, True), (2, -4, True), (9, 3, False))
        for overflow in Overflow
    ]
    codes = np.arange(-64, 64)
    for result in results:
        for relu, most in ((False, None), (True, None), (True, 3)):
            store = Store(inputs=("input",), result=result, relu=relu, most=most)
            spec = NetworkSpec(name="ONE", input_shape=(128,), input=form, nodes={"s": store}, outputs=("s",))
            found = Network(NetworkWeights(spec=spec, weights={}, biases={})).codes(codes[None])[0]
            values = [Fraction(int(code), 8) for code in codes]
            values = [max(value, Fraction(0)) for value in values] if relu else values
            values = [min(value, Fraction(most)) for value in values] if most else values
            assert found.tolist() == [exact_store(value, result) for value in values], str(store)


@pytest.mark.parametrize("width", [10, 11, 12, 13, 24, 25, 26, 27, 30])
def test_sums_at_the_ends_of_floating_point(width: int) -> None:
    """Odd sums beside 2**24, 2**53 and beyond: Python's integers say what they are."""
    form = FixedPoint(width=width, fraction=0, signed=True)
    accumulator = FixedPoint(width=62, fraction=0, signed=True)
    node = Dense(inputs=("input",), units=2, weight=form, bias=form, accumulator=accumulator, result=accumulator)
    spec = NetworkSpec(name="ONE", input_shape=(5,), input=form, nodes={"fc": node}, outputs=("fc",))
    low, high = form.min_code, form.max_code
    weights = np.array([[low, high], [low, high], [low, high], [low, high], [1, -1]])
    biases = np.array([0, 1])
    network = Network(NetworkWeights(spec=spec, weights={"fc": weights.ravel()}, biases={"fc": biases}))
    for codes in ([low] * 4 + [1], [high] * 4 + [-1], [low, high, low, high, 3]):
        expected = [
            sum(int(x) * int(w) for x, w in zip(codes, weights[:, unit], strict=True)) + int(biases[unit])
            for unit in range(2)
        ]
        assert network.codes([codes])[0].tolist() == expected
