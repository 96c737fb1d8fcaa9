"""Random legal encoder specs, and a scalar definition of the encoder to compare models with.

The definition is written from the formulas of the data sheet in exact rationals, one number at a time, and shares no
code with the models.
"""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.spec import ECON_T, PRESETS, EncoderSpec, WordOrder

SMALL = EncoderSpec(
    name="SMALL",
    grid=(4, 4, 1),
    cell_map=tuple(range(16)),
    kernel=(2, 2),
    filters=2,
    stride=2,
    padding=(0, 0, 0, 0),
    latents=3,
    weight=ECON_T.weight,
    pixel=ECON_T.pixel,
    conv_product_fraction=7,
    dense_product_fraction=8,
    activation=ECON_T.activation,
    latent=ECON_T.latent,
)
"""A network that builds in seconds."""


def random_spec(rng: np.random.Generator, name: str = "RANDOM") -> EncoderSpec:
    """A small legal spec with odd geometry, widths and rounding rules."""

    def pick(options):  # type: ignore[no-untyped-def]
        return options[int(rng.integers(len(options)))]

    while True:
        rows, columns, channels = (int(v) for v in (rng.integers(2, 6), rng.integers(2, 6), rng.integers(1, 3)))
        kernel = (int(rng.integers(1, min(rows, 3) + 1)), int(rng.integers(1, min(columns, 3) + 1)))
        positions = rows * columns * channels
        cells = np.where(rng.random(positions) < 0.15, -1, rng.integers(0, 48, positions))
        weight_width = int(rng.integers(3, 8))
        weight = FixedPoint(width=weight_width, fraction=weight_width - 1 - int(rng.integers(0, 2)), signed=True)
        pixel_width = int(rng.integers(4, 10))
        pixel = FixedPoint(width=pixel_width, fraction=pixel_width - 1, signed=False)

        def unsigned(low: int, high: int) -> FixedPoint:
            width = int(rng.integers(low, high))
            return FixedPoint(
                width=width,
                fraction=max(width - int(rng.integers(0, 3)), 0),
                signed=False,
                rounding=pick(list(Rounding)),
                overflow=pick(list(Overflow)),
            )

        activation, latent = unsigned(4, 10), unsigned(4, 11)
        try:
            return EncoderSpec(
                name=name,
                grid=(rows, columns, channels),
                cell_map=tuple(int(cell) for cell in cells),
                kernel=kernel,
                filters=int(rng.integers(1, 5)),
                stride=int(rng.integers(1, 3)),
                padding=tuple(int(rng.integers(0, size)) for size in (kernel[0], kernel[0], kernel[1], kernel[1])),
                latents=int(rng.integers(1, 7)),
                weight=weight,
                pixel=pixel,
                conv_product_fraction=int(rng.integers(weight.fraction, pixel.fraction + weight.fraction + 1)),
                dense_product_fraction=int(rng.integers(weight.fraction, activation.fraction + weight.fraction + 1)),
                conv_product_rounding=pick(list(Rounding)),
                dense_product_rounding=pick(list(Rounding)),
                activation=activation,
                latent=latent,
                word_order=pick(list(WordOrder)),
            )
        except ValueError:
            continue  # an illegal draw, for instance no output position: draw again


def published_variants() -> list[EncoderSpec]:
    """The presets, and ECON_T with rules that the vectors leave open."""
    wrapping = replace(ECON_T.latent, overflow=Overflow.WRAP)
    return [*PRESETS.values(), replace(ECON_T, name="WRAPPING", latent=wrapping)]


def scalar_round(value: Fraction, rounding: Rounding) -> int:
    if rounding is Rounding.TRN:
        return math.floor(value)
    return math.floor(value + Fraction(1, 2)) if rounding is Rounding.RND else round(value)


def scalar_store(value: Fraction, form: FixedPoint) -> int:
    code = scalar_round(max(value, Fraction(0)) * 2**form.fraction, form.rounding)
    return min(code, 2**form.width - 1) if form.overflow is Overflow.SAT else code % 2**form.width


def scalar_latents(charges: list[int], codes: list[int], spec: EncoderSpec) -> list[int]:
    """Latents of one image: `codes` are all weights in the order of the image."""
    total = sum(charges)
    m = min(total.bit_length() - 1, 21) if total else 0
    pixels = [math.floor(Fraction(charge) / 2**m * 2**spec.pixel.fraction) for charge in charges]
    rows, columns, channels = spec.grid
    unit = Fraction(1, 2**spec.weight.fraction)
    values = iter(codes)
    kernel = {
        (r, c, h, f): next(values) * unit
        for r in range(spec.kernel[0])
        for c in range(spec.kernel[1])
        for h in range(channels)
        for f in range(spec.filters)
    }
    kernel_bias = [next(values) * unit for _ in range(spec.filters)]
    top, bottom, left, right = spec.padding
    activations = []
    for r in range(0, rows + top + bottom - spec.kernel[0] + 1, spec.stride):
        for c in range(0, columns + left + right - spec.kernel[1] + 1, spec.stride):
            for f in range(spec.filters):
                value = kernel_bias[f]
                for (kr, kc, h, kf), weight in kernel.items():
                    y, x = r + kr - top, c + kc - left
                    if kf != f or not (0 <= y < rows and 0 <= x < columns):
                        continue
                    cell = spec.cell_map[(y * columns + x) * channels + h]
                    if cell < 0:
                        continue
                    product = weight * pixels[cell] / 2**spec.pixel.fraction
                    scale = 2**spec.conv_product_fraction
                    value += Fraction(scalar_round(product * scale, spec.conv_product_rounding), scale)
                activations.append(scalar_store(value, spec.activation))
    dense = [[next(values) * unit for _ in activations] for _ in range(spec.latents)]
    latents = []
    for row in dense:
        value = next(values) * unit
        scale = 2**spec.dense_product_fraction
        for weight, activation in zip(row, activations, strict=True):
            product = weight * activation / 2**spec.activation.fraction
            value += Fraction(scalar_round(product * scale, spec.dense_product_rounding), scale)
        latents.append(scalar_store(value, spec.latent))
    return latents
