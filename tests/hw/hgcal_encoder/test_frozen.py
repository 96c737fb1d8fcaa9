"""Layers with weights folded in: the graph against plain matrix products, the hardware against the golden model."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from hw.common.constant_matrix import share, signed_digits, smallest_graph
from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.frozen_network import (
    FrozenNetwork,
    FrozenWeights,
    convolution_layer,
    dense_layer,
    frozen_activations,
)
from sim.fixed_point import Rounding
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.spec import CELLS, OVERFLOWS
from sim.hgcal_encoder.weights import Weights
from tests.hw.driving import ODD, PADDED, evaluate, pack
from tests.hw.driving import unpack as elements
from tests.specs import SMALL

WHOLE = replace(
    SMALL,
    name="WHOLE",
    conv_product_fraction=12,
    dense_product_fraction=12,
    activation=replace(SMALL.activation, rounding=Rounding.RND_CONV),
    latent=replace(SMALL.latent, rounding=Rounding.RND_CONV),
)
NEAREST = replace(ODD, name="NEAREST", conv_product_rounding=Rounding.RND)
ROOMY = replace(PADDED, name="ROOMY", dense_product_rounding=Rounding.TRN)


def test_signed_digits_are_canonic():
    for constant in range(-300, 301):
        digits = signed_digits(constant)
        assert sum(-(1 << place) if negative else 1 << place for place, negative in digits) == constant
        places = [place for place, _ in digits]
        assert all(b - a > 1 for a, b in pairwise(places)), "no two digits are neighbours"


@pytest.mark.parametrize("seed", [0, 1])
def test_a_graph_is_its_matrix_and_shares(seed):
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-32, 32, (20, 12))
    highs = rng.integers(1, 256, 20).tolist()
    columns = [[(i, int(matrix[i, j])) for i in range(20)] for j in range(12)]
    graph = share(highs, columns, seed=seed)
    for _ in range(20):
        x = rng.integers(0, np.array(highs) + 1)
        assert graph.evaluate(x.tolist()) == (x @ matrix).tolist()
    digits = sum(len(signed_digits(int(w))) for w in matrix.ravel())
    additions = len(graph.sums) + sum(len(terms) - 1 for terms in graph.outputs)
    assert additions < 0.6 * (digits - 12)


@pytest.mark.parametrize(("constants", "part"), [((-1, 1), 0.9), (tuple(range(-32, 32)), 1.0)])
def test_outputs_that_are_formed_from_others_are_the_matrix_in_fewer_bits(constants, part):
    rng = np.random.default_rng(5)
    matrix = rng.choice(constants, (16, 24))
    highs = rng.integers(1, 256, 16).tolist()
    columns = [[(i, int(matrix[i, j])) for i in range(16)] for j in range(24)]
    widths = [1 + sum(high * abs(c) for high, (_, c) in zip(highs, column, strict=True)).bit_length()
              for column in columns]  # fmt: skip
    graph = smallest_graph(highs, columns, widths)
    for _ in range(20):
        x = rng.integers(0, np.array(highs) + 1)
        assert graph.evaluate(x.tolist()) == (x @ matrix).tolist()
    assert sorted(graph.order) == list(range(24))
    assert graph.bits(widths) <= part * share(highs, columns).bits()
    assert any(graph.parents)


def test_an_input_may_stand_more_than_once_in_an_output():
    graph = share([7, 7], [[(0, 3), (0, 5), (1, 1)], [(0, 3), (0, -3)], [(1, 2), (1, 2), (1, -1)]])
    assert graph.evaluate([5, 2]) == [42, 0, 6]


def random_network(spec, rng):
    weights = Weights.random(spec, rng)
    pixels = rng.integers(0, spec.pixel.max_code + 1, (30, CELLS))
    pixels[0], pixels[1] = 0, spec.pixel.max_code
    image = to_grid(pixels, spec)
    activations = convolve(image, weights.kernel, weights.kernel_bias, spec).reshape(len(pixels), -1)
    return weights, pixels, activations, dense(activations, weights.dense, weights.dense_bias, spec)


@pytest.mark.parametrize("spec", [SMALL, WHOLE, NEAREST, ROOMY], ids=lambda spec: spec.name)
def test_a_frozen_network_is_the_golden_model(spec):
    rng = np.random.default_rng(20261123)
    weights, pixels, activations, latents = random_network(spec, rng)
    network = FrozenNetwork(spec=spec, weights=FrozenWeights.of(weights))
    result = evaluate(network, pixels=pack(pixels, spec.pixel.width))
    found = elements(result["activations"], spec.activation.width, spec.activations)
    np.testing.assert_array_equal(found, activations)
    np.testing.assert_array_equal(elements(result["latents"], spec.latent.width, spec.latents), latents)


@pytest.mark.parametrize("overflow", OVERFLOWS)
def test_ranges_hold_and_constants_are_found(overflow):
    spec = replace(PADDED, name="BOUNDS", activation=replace(PADDED.activation, overflow=overflow))
    spec = replace(spec, dense_product_rounding=Rounding.TRN)
    weights = random_network(spec, np.random.default_rng(3))[0]
    # a filter whose weights are all negative never leaves 0
    kernel = weights.kernel.copy()
    kernel[..., 0] = -1
    bias = np.array([-1, *weights.kernel_bias[1:]])
    weights = Weights(spec=spec, kernel=kernel, kernel_bias=bias, dense=weights.dense, dense_bias=weights.dense_bias)
    frozen = FrozenWeights.of(weights)
    ranges = dense_layer(spec, frozen).ranges
    assert set(range(0, spec.activations, spec.filters)) <= frozen_activations(spec, frozen)
    rng = np.random.default_rng(4)
    pixels = rng.choice([0, spec.pixel.max_code, 17], (500, CELLS))
    found = convolve(to_grid(pixels, spec), kernel, bias, spec).reshape(500, -1)
    for number, (low, high) in enumerate(ranges):
        assert low <= found[:, number].min() <= found[:, number].max() <= high


def test_what_cannot_be_frozen_is_refused():
    weights = FrozenWeights.of(Weights.random(ODD, np.random.default_rng(0)))
    with pytest.raises(ValueError, match="nearest even"):
        convolution_layer(ODD, weights)
    with pytest.raises(ValueError, match="sum exactly"):
        FrozenNetwork(spec=replace(ODD, conv_sum_width=20), weights=weights)
    short = replace(weights, kernel_bias=weights.kernel_bias[1:])
    with pytest.raises(ValueError, match="kernel_bias: ODD needs 1 rows of 3 codes"):
        FrozenNetwork(spec=ODD, weights=short)
    wide = replace(weights, dense_bias=(16, *weights.dense_bias[1:]))
    with pytest.raises(ValueError, match=r"dense_bias\[0\]\[0\]: expected -16 to 15, got 16"):
        FrozenNetwork(spec=ODD, weights=wide)


def test_an_encoder_that_reuses_multipliers_cannot_be_frozen():
    spec = replace(SMALL, reuse=4)
    weights = Weights.random(spec, np.random.default_rng(0))
    with pytest.raises(ValueError, match="frozen weights leave none"):
        Encoder(spec=spec, frozen=FrozenWeights.of(weights))
