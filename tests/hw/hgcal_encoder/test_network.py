"""Convolution and dense layer: hardware against the golden model, on specs that differ in every rule."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from hw.common.requantise import rectify
from hw.hgcal_encoder.convolution import Convolution, static_activations
from hw.hgcal_encoder.dense import Dense
from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.spec import CELLS, ECON_T, OVERFLOWS, ROUNDINGS, TNS_2021
from tests.hw.driving import ODD, PADDED, evaluate, pack
from tests.hw.driving import unpack as elements
from tests.specs import SMALL

NARROW = replace(SMALL, name="NARROW", conv_sum_width=8, dense_sum_width=9)
SPECS = pytest.mark.parametrize("spec", [SMALL, ODD, PADDED, NARROW], ids=lambda spec: spec.name)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260727)


class Rectified(Component):
    def __init__(self, width: int, fraction: int, target: FixedPoint):
        self._fraction = fraction
        self._target = target
        super().__init__({"value": In(signed(width)), "stored": Out(target.width)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        value = Signal(signed(len(self.value)))
        m.d.comb += [value.eq(self.value), self.stored.eq(rectify(m, value, self._fraction, self._target))]
        return m


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("fraction", "target"), [(5, 2), (4, 4), (2, 5), (9, 0), (7, -1), (8, -1), (12, 0), (1, 0)])
def test_rectify_is_relu_and_requantisation(fraction, target, rounding, overflow):
    form = FixedPoint(width=4, fraction=target, signed=False, rounding=rounding, overflow=overflow)
    values = np.arange(-256, 256)
    got = evaluate(Rectified(9, fraction, form), value=values)["stored"]
    assert got == list(form.requantise(np.maximum(values, 0), fraction))


def test_rectify_refuses_what_it_cannot_store():
    m = Module()
    with pytest.raises(ValueError, match="signed value"):
        rectify(m, Signal(4), 0, ECON_T.latent)
    with pytest.raises(ValueError, match="unsigned format"):
        rectify(m, Signal(signed(4)), 0, ECON_T.weight)


def codes(rng, form, shape):
    """Random codes of a format, with many extremes."""
    values = rng.integers(form.min_code, form.max_code + 1, shape)
    extreme = rng.choice([form.min_code, form.max_code, 0], shape)
    return np.where(
        rng.random(shape) < rng.choice([0.0, 0.3, 0.9], (shape[0], *[1] * (len(shape) - 1))), extreme, values
    )


@SPECS
def test_convolution_follows_the_model(spec, rng):
    rows = 40
    pixels = codes(rng, spec.pixel, (rows, CELLS))
    kernel = codes(rng, spec.weight, (rows, *spec.kernel, spec.grid[2], spec.filters))
    bias = codes(rng, spec.weight, (rows, spec.filters))
    width = spec.weight.width
    got = evaluate(
        Convolution(spec=spec),
        pixels=pack(pixels, spec.pixel.width),
        kernel=pack(kernel, width),
        bias=pack(bias, width),
    )["activations"]
    want = [convolve(to_grid(pixels[i : i + 1], spec), kernel[i], bias[i], spec).reshape(-1) for i in range(rows)]
    assert np.array_equal(elements(got, spec.activation.width, spec.activations), np.array(want))
    assert np.any(want)


@SPECS
def test_dense_layer_follows_the_model(spec, rng):
    rows = 30
    activations = codes(rng, spec.activation, (rows, spec.activations))
    weights = codes(rng, spec.weight, (rows, spec.latents, spec.activations))
    bias = codes(rng, spec.weight, (rows, spec.latents))
    width = spec.weight.width
    got = evaluate(
        Dense(spec=spec),
        activations=pack(activations, spec.activation.width),
        weights=pack(weights, width),
        bias=pack(bias, width),
    )["latents"]
    want = [dense(activations[i : i + 1], weights[i].T, bias[i], spec)[0] for i in range(rows)]
    assert np.array_equal(elements(got, spec.latent.width, spec.latents), np.array(want))
    assert np.any(want)


@pytest.mark.parametrize(("spec", "positions"), [(ECON_T, [10, 11, 14, 15]), (TNS_2021, []), (SMALL, [])])
def test_static_activations_see_nothing_but_padding(spec, positions):
    assert static_activations(spec) == {8 * position + filter_ for position in positions for filter_ in range(8)}
