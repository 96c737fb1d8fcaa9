"""Convolution and dense layer with weights folded into the logic."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.frozen_layer import FrozenFormat, FrozenLayer
from hw.common.hierarchy import place
from sim.hgcal_encoder.spec import CELLS, EncoderSpec

__all__ = ["FrozenNetwork", "FrozenWeights", "convolution_layer", "dense_layer", "frozen_activations"]


@dataclass(frozen=True, kw_only=True)
class FrozenWeights:
    """Weights as constants of the hardware.

    Attributes
    ----------
    kernel : tuple of tuple of int
        Kernel[tap][filter]; tap = (row * kernel columns + column) * channels + channel.
    kernel_bias : tuple of int
    dense : tuple of tuple of int
        Dense[activation][latent].
    dense_bias : tuple of int
    """

    kernel: tuple[tuple[int, ...], ...]
    kernel_bias: tuple[int, ...]
    dense: tuple[tuple[int, ...], ...]
    dense_bias: tuple[int, ...]

    @classmethod
    def of(cls, weights: Any) -> "FrozenWeights":
        """From arrays by these names, such as `sim.hgcal_encoder.weights.Weights`."""
        kernel = weights.kernel.reshape(-1, weights.kernel.shape[-1])
        return cls(
            kernel=_rows(kernel),
            kernel_bias=tuple(int(code) for code in weights.kernel_bias),
            dense=_rows(weights.dense),
            dense_bias=tuple(int(code) for code in weights.dense_bias),
        )

    def check(self, spec: EncoderSpec) -> None:
        """Raise ValueError if shapes or codes are not those of a spec, or its sums wrap."""
        if (spec.conv_sum_width, spec.dense_sum_width) != (None, None):
            raise ValueError(f"{spec.name}: frozen layers sum exactly; conv_sum_width and dense_sum_width must be None")
        for name, rows, shape in (
            ("kernel", self.kernel, (spec.kernel_taps, spec.filters)),
            ("kernel_bias", (self.kernel_bias,), (1, spec.filters)),
            ("dense", self.dense, (spec.activations, spec.latents)),
            ("dense_bias", (self.dense_bias,), (1, spec.latents)),
        ):
            if len(rows) != shape[0] or {len(row) for row in rows} != {shape[1]}:
                raise ValueError(f"{name}: {spec.name} needs {shape[0]} rows of {shape[1]} codes")
            for number, row in enumerate(rows):
                for place_, code in enumerate(row):
                    if not spec.weight.min_code <= code <= spec.weight.max_code:
                        raise ValueError(
                            f"{name}[{number}][{place_}]: expected {spec.weight.min_code} to {spec.weight.max_code}, "
                            f"got {code}"
                        )


def _rows(array: Any) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(code) for code in row) for row in array)


@cache
def convolution_layer(spec: EncoderSpec, weights: FrozenWeights) -> FrozenFormat:
    """The convolution: pixels by trigger cell, activations in their order."""
    weights.check(spec)
    return FrozenFormat(
        width=spec.pixel.width,
        ranges=((0, spec.pixel.max_code),) * CELLS,
        rows=tuple(
            tuple((cell, weights.kernel[tap][filter_]) for cell, tap in taps if weights.kernel[tap][filter_])
            for taps in spec.taps
            for filter_ in range(spec.filters)
        ),
        bias=tuple(code << (spec.conv_product_fraction - spec.weight.fraction) for code in weights.kernel_bias)
        * spec.positions,
        shift=spec.pixel.fraction + spec.weight.fraction - spec.conv_product_fraction,
        rounding=spec.conv_product_rounding,
        fraction=spec.conv_product_fraction,
        output=spec.activation,
    )


@cache
def dense_layer(spec: EncoderSpec, weights: FrozenWeights) -> FrozenFormat:
    """The dense layer.

    Activations that the convolution leaves constant are constants of this layer, too.
    """
    before = convolution_layer(spec, weights)
    return FrozenFormat(
        width=spec.activation.width,
        ranges=tuple(before.stored_bounds(number) for number in range(spec.activations)),
        rows=tuple(
            tuple((source, row[latent]) for source, row in enumerate(weights.dense) if row[latent])
            for latent in range(spec.latents)
        ),
        bias=tuple(code << (spec.dense_product_fraction - spec.weight.fraction) for code in weights.dense_bias),
        shift=spec.activation.fraction + spec.weight.fraction - spec.dense_product_fraction,
        rounding=spec.dense_product_rounding,
        fraction=spec.dense_product_fraction,
        output=spec.latent,
    )


def frozen_activations(spec: EncoderSpec, weights: FrozenWeights) -> frozenset[int]:
    """Indices of activations that have one value only."""
    ranges: Sequence[tuple[int, int]] = dense_layer(spec, weights).ranges
    return frozenset(number for number, (low, high) in enumerate(ranges) if low == high)


class FrozenNetwork(Component):
    """Pixels to latents with constant weights. Combinational.

    Parameters
    ----------
    spec : EncoderSpec
    weights : FrozenWeights

    Members
    -------
    pixels : In(spec.pixel.width) x 48
        Normalised charges by trigger cell.
    activations : Out(spec.activation.width) x activations
    latents : Out(spec.latent.width) x latents
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec, weights: FrozenWeights):
        weights.check(spec)
        self._spec, self._weights = spec, weights
        super().__init__(
            {
                "pixels": In(ArrayLayout(spec.pixel.width, CELLS)),
                "activations": Out(ArrayLayout(spec.activation.width, spec.activations)),
                "latents": Out(ArrayLayout(spec.latent.width, spec.latents)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        conv = place(
            m, platform, "convolution", FrozenLayer, label="conv", layer=convolution_layer(self._spec, self._weights)
        )
        dense = place(m, platform, "dense", FrozenLayer, label="dense", layer=dense_layer(self._spec, self._weights))
        m.d.comb += [
            conv.x.eq(self.pixels),
            self.activations.eq(conv.y),
            dense.x.eq(conv.y),
            self.latents.eq(dense.y),
        ]
        return m
