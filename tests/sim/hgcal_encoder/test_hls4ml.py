"""The golden network against hls4ml's C++ of the same network, code for code.

hls4ml (another team's code, Vitis back end, compiled with g++) shares nothing with the golden model. Its accumulator
type rounds each product before it is added, which is why the chip, whose RTL came out of hls4ml, truncates product by
product. So the chip's own rule, exact products and rounded products are all compared on equal terms. Two limits of
hls4ml are respected: images enter on the pixel grid (normalisation is not part of its network), and result types are
set on every layer, since a quantiser behind the last layer is dropped silently.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.fixed_point import Overflow, Rounding
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from tests.conftest import need_module
from tests.specs import SMALL

ROUNDED = replace(
    SMALL,
    name="ROUNDED",
    kernel=(3, 3),
    stride=1,
    padding=(1, 1, 1, 1),
    conv_product_fraction=8,
    conv_product_rounding=Rounding.RND_CONV,
    dense_product_fraction=9,
    dense_product_rounding=Rounding.RND,
    activation=replace(SMALL.activation, width=6, fraction=6, rounding=Rounding.RND, overflow=Overflow.SAT),
    latent=replace(SMALL.latent, width=7, fraction=6, rounding=Rounding.RND_CONV, overflow=Overflow.WRAP),
)
"""Every rule that the chip does not use: products and results rounded both ways, latents that wrap."""
EXACT = replace(
    SMALL,
    name="EXACT",
    conv_product_fraction=12,
    dense_product_fraction=12,
    activation=replace(SMALL.activation, rounding=Rounding.RND_CONV, overflow=Overflow.WRAP),
    latent=replace(SMALL.latent, rounding=Rounding.RND, overflow=Overflow.SAT),
)
"""Products kept whole."""


def images(spec: EncoderSpec, rng: np.random.Generator) -> np.ndarray:
    """At least 2000 images of pixel codes: sparse, full, and the corners."""
    top = spec.pixel.max_code
    shape = (1000, *spec.grid)
    full = rng.integers(0, top + 1, shape)
    sparse = np.where(rng.random(shape) < 0.2, full[::-1], 0)
    extreme = rng.choice([0, 1, top - 1, top], (200, *spec.grid))
    single = np.eye(int(np.prod(spec.grid)), dtype=np.int64).reshape(-1, *spec.grid) * top
    return np.concatenate([full, sparse, extreme, single, np.zeros_like(single[:1]), np.full_like(single[:1], top)])


@pytest.mark.parametrize("spec", [ECON_T, EXACT, ROUNDED], ids=lambda spec: spec.name)
def test_every_latent_equals_hls4ml(spec: EncoderSpec, tmp_path: Path) -> None:
    need_module("tensorflow", "train")
    need_module("hls4ml", "train")
    from flows.learning.conversion import Hls4mlNetwork

    rng = np.random.default_rng(20260123)
    weights = Weights.random(spec, rng)
    weights.dense[:, 0] = np.abs(weights.dense[:, 0]) // 2  # one latent that surely reaches the top of its range
    image = images(spec, rng)
    assert len(image) >= 2000
    activations = convolve(image, weights.kernel, weights.kernel_bias, spec).reshape(len(image), -1)
    expected = dense(activations, weights.dense, weights.dense_bias, spec)
    found = Hls4mlNetwork(weights, tmp_path / spec.name).latents(image)
    wrong = np.argwhere(found != expected)
    assert len(wrong) == 0, f"{len(wrong)} codes differ, first at (image, latent) {wrong[0]}"
    # the comparison must have seen zeros, the top of the range and much between
    assert expected.min() == 0
    assert expected.max() == spec.latent.max_code
    assert len(np.unique(expected)) > spec.latent.max_code // 2
