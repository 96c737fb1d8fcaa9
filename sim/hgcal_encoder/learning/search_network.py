"""The network of an encoder as the search needs it: in exact arithmetic for one changed cell, and as a linear model.

Exact: tables of rounded products and of output codes by sum, so that a cell that takes another charge costs a few
hundred additions (`change`). Linear (`Linear`): filters are positive, so almost every unit of the convolution that sees
charge is active, and latents are nearly linear in the charges of the cells, but for what is lost in cutting off
products: a mean loss of each occupied cell, and one of each output position that sees charge at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, round_shift, wrap
from sim.hgcal_encoder.spec import CELLS, EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = [
    "Layer",
    "Linear",
    "change",
    "first_sums",
    "layers",
    "linear",
    "nearest",
    "nearest_from",
    "places",
    "residual",
    "seed",
    "uniform",
]

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

Layer = tuple[Int32, Int32, int, Int32]
"""Rounded products by (tap or input, code, output), biases, the least sum, and the output code of each sum from it."""

_TYPICAL = np.arange(2, 42)
"""Codes of pixels and activations over which the loss of a product is averaged."""
_ACTIVE = 0.05
"""Mean weight from which a filter is active where there is charge."""


def layers(weights: Weights) -> tuple[Layer, Layer]:
    """Both layers of the network in the arithmetic of its spec, as tables."""
    spec = weights.spec
    conv_drop, dense_drop = _drops(spec)
    kernel = weights.kernel.reshape(spec.kernel_taps, 1, spec.filters)
    conv = round_shift(np.arange(1 << spec.pixel.width)[:, None] * kernel, conv_drop, spec.conv_product_rounding)
    conv_bias = weights.kernel_bias << (spec.conv_product_fraction - spec.weight.fraction)
    conv_low, conv_sums = _range(conv, conv_bias)
    activations = spec.activation.requantise(
        np.maximum(wrap(conv_sums, spec.conv_sum_width), 0), spec.conv_product_fraction
    )
    codes = np.arange(1 << spec.activation.width)[:, None]
    dense = round_shift(codes * weights.dense[:, None], dense_drop, spec.dense_product_rounding)
    dense_bias = weights.dense_bias << (spec.dense_product_fraction - spec.weight.fraction)
    dense_low, dense_sums = _range(dense, dense_bias)
    kept = spec.latent.requantise(np.maximum(wrap(dense_sums, spec.dense_sum_width), 0), spec.dense_product_fraction)
    return (
        (conv.astype(np.int32), conv_bias.astype(np.int32), conv_low, activations.astype(np.int32)),
        (dense.astype(np.int32), dense_bias.astype(np.int32), dense_low, kept.astype(np.int32)),
    )


def _drops(spec: EncoderSpec) -> tuple[int, int]:
    """Bits of a product that are cut off in the convolution and in the dense layer."""
    return (
        spec.pixel.fraction + spec.weight.fraction - spec.conv_product_fraction,
        spec.activation.fraction + spec.weight.fraction - spec.dense_product_fraction,
    )


def _range(products: IntArray, bias: IntArray) -> tuple[int, IntArray]:
    """Least sum of a layer, and all sums from it to the largest."""
    low = int((bias + products.min(axis=1).sum(axis=0)).min())
    high = int((bias + products.max(axis=1).sum(axis=0)).max())
    return low, np.arange(low, high + 1)


def places(weights: Weights) -> tuple[IntArray, IntArray, IntArray]:
    """Output positions and taps that each input of the network meets, one input after the other."""
    met: list[list[tuple[int, int]]] = [[] for _ in range(CELLS)]
    for position, taps in enumerate(weights.spec.taps):
        for cell, tap in taps:
            met[cell].append((position, tap))
    flat = np.array([pair for pairs in met for pair in pairs], np.int64).reshape(-1, 2)
    ends = np.cumsum([0, *map(len, met)])
    return ends, np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1])


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Latents as a linear model of the pixels, in steps of a latent; a last column for the module sum is left 0.

    Attributes
    ----------
    slopes : ndarray of float64, shape (48, latents + 1)
        By a step of the pixel of each input.
    losses : ndarray of float64, shape (48, latents + 1)
        What an input with charge adds for itself, whatever its charge: mean of what cut products lack, so negative on
        the whole.
    covers : ndarray of float64, shape (positions, latents + 1)
        What an output position adds that sees charge.
    """

    slopes: Float64
    losses: Float64
    covers: Float64


def linear(weights: Weights) -> Linear:
    """The linear model of a network."""
    spec = weights.spec
    conv_drop, dense_drop = _drops(spec)
    kernel = weights.kernel.reshape(spec.kernel_taps, spec.filters)
    dense = weights.dense.reshape(spec.positions, spec.filters, spec.latents)
    weight, latent = 2.0**-spec.weight.fraction, 2.0**spec.latent.fraction
    lost = _lost(kernel, conv_drop, spec.conv_product_rounding) * 2.0**-spec.conv_product_fraction
    slopes, losses = np.zeros((CELLS, spec.latents + 1)), np.zeros((CELLS, spec.latents + 1))
    covers = np.zeros((spec.positions, spec.latents + 1))
    for position, taps in enumerate(spec.taps):
        for cell, tap in taps:
            slopes[cell, :-1] += kernel[tap] * weight @ (dense[position] * weight) * latent / 2.0**spec.pixel.fraction
            losses[cell, :-1] -= lost[tap] @ (dense[position] * weight) * latent
    active = kernel.mean(axis=0) * weight > _ACTIVE
    covers[:, :-1] = -_lost(dense, dense_drop, spec.dense_product_rounding)[:, active].sum(axis=1)
    covers *= latent * 2.0**-spec.dense_product_fraction
    return Linear(slopes=slopes, losses=losses, covers=covers)


def _lost(weights: IntArray, drop: int, rounding: object) -> Float64:
    """Mean that a product with each weight loses, in steps of the rounded product."""
    codes = _TYPICAL.reshape(-1, *(1,) * weights.ndim)
    out: Float64 = (codes * weights / 2.0**drop - round_shift(codes * weights, drop, rounding)).mean(axis=0)  # type: ignore[arg-type]
    return out


@numba.njit(cache=True, inline="always")
def nearest(charge, levels):  # type: ignore[no-untyped-def]
    """Code whose charge is nearest, the lower of two."""
    above = min(np.searchsorted(levels, charge), levels.size - 1)
    below = max(above - 1, 0)
    return below if charge - levels[below] <= levels[above] - charge else above


@numba.njit(cache=True, inline="always")
def nearest_from(charge, levels, code):  # type: ignore[no-untyped-def]
    """As `nearest`, sought from a code that is not far."""
    above = code
    while above < levels.size - 1 and levels[above] < charge:
        above += 1
    while above > 0 and levels[above - 1] >= charge:
        above -= 1
    below = max(above - 1, 0)
    return below if charge - levels[below] <= levels[above] - charge else above


@numba.njit(cache=True, inline="always")
def uniform(word):  # type: ignore[no-untyped-def]
    """Uniform in [0, 1): Marsaglia's xorshift."""
    value = word[0]
    value ^= value << np.uint64(13)
    value ^= value >> np.uint64(7)
    value ^= value << np.uint64(17)
    word[0] = value
    return (value >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def seed(word, low):  # type: ignore[no-untyped-def]
    """One seed for each frame, so that a frame decodes alike wherever it stands."""
    word[0] = np.uint64(0x9E3779B97F4A7C15)
    for latent in range(low.size):
        word[0] = (word[0] ^ np.uint64(low[latent] + 1)) * np.uint64(0x100000001B3)
    word[0] |= np.uint64(1)


@numba.njit(cache=True)
def first_sums(conv_layer, dense_layer, outputs):  # type: ignore[no-untyped-def]
    """Sums of the convolution and of the latents when every pixel is 0."""
    _, conv_bias, conv_low, activations = conv_layer
    dense, dense_bias, _, _ = dense_layer
    sums, totals = np.empty(outputs * conv_bias.size, np.int64), dense_bias.astype(np.int64)
    for index in range(sums.size):
        sums[index] = conv_bias[index % conv_bias.size]
        totals += dense[index, activations[sums[index] - conv_low]]
    return sums, totals


@numba.njit(cache=True)
def change(cell, code, network, state):  # type: ignore[no-untyped-def]
    """Give a cell another code."""
    shift, levels, places, conv_layer, dense_layer = network
    codes, pixels, sums, totals = state
    ends, positions, taps = places
    products, _, conv_low, activations = conv_layer
    dense = dense_layer[0]
    filters = products.shape[2]
    codes[cell] = code
    charge = levels[cell, code]
    pixel = min(charge >> shift if shift >= 0 else charge << -shift, products.shape[1] - 1)
    before = pixels[cell]
    pixels[cell] = pixel
    if pixel == before:
        return
    for place in range(ends[cell], ends[cell + 1]):
        first = positions[place] * filters
        new, old = products[taps[place], pixel], products[taps[place], before]
        for f in range(filters):
            step = new[f] - old[f]
            if step:
                index = first + f
                was = sums[index]
                sums[index] = was + step
                now, then = activations[was + step - conv_low], activations[was - conv_low]
                if now != then:
                    gain, loss = dense[index, now], dense[index, then]
                    for latent in range(totals.size):
                        totals[latent] += gain[latent] - loss[latent]


@numba.njit(cache=True, inline="always")
def residual(totals, charge, target, dense_layer, out):  # type: ignore[no-untyped-def]
    """What latents and module sum lack to what arrived, 0 where they fit; returns the sum of squares.

    `target`: least and largest latents, least and largest module sum, charge that counts as one step.
    """
    low, high, sum_low, sum_high, span = target
    kept, dense_low = dense_layer[3], dense_layer[2]
    square = 0.0
    for latent in range(totals.size):
        code = kept[totals[latent] - dense_low]
        lack = float(max(low[latent] - code, 0) - max(code - high[latent], 0))
        out[latent] = lack
        square += lack * lack
    lack = (max(sum_low - charge, 0.0) - max(charge - sum_high, 0.0)) / span
    out[totals.size] = lack
    return square + lack * lack
