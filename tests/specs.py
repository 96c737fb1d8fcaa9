"""Random legal encoder specs, and a scalar definition of the encoder to compare models with.

The definition is written from the formulas of the data sheet in exact rationals, one number at a time, and shares no
code with the models.
"""

import math
from dataclasses import replace
from fractions import Fraction

from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.concentrator_spec import (
    ConcentratorSpec,
    EqualLargest,
    MaskGaps,
    SpareAlgTypes,
    TruncatedFixed,
)
from sim.hgcal_encoder.example_specs import random_spec
from sim.hgcal_encoder.spec import ECON_T, PRESETS, EncoderSpec, WordOrder

__all__ = [
    "FEW_LINKS",
    "MINI",
    "OTHER_RULES",
    "SMALL",
    "published_variants",
    "random_spec",
    "scalar_latents",
    "scalar_round",
    "scalar_store",
]

FEW_LINKS = ConcentratorSpec(
    name="FEW_LINKS", algorithms=("threshold_sum",), etx_links=5, buffer_words=128, word_order=WordOrder.P1
)
"""A concentrator with the smallest algorithm: whoever needs a whole chip takes this one, whose Verilog is written once.
First silicon, whose settings most of the published files are."""

OTHER_RULES = ConcentratorSpec(
    name="OTHER_RULES", algorithms=("super_trigger_cell", "repeater"), etx_links=4, buffer_words=96,
    mask_gaps=MaskGaps.KEPT, truncated_fixed=TruncatedFixed.MARKED, spare_alg_types=SpareAlgTypes.ZEROS,
    equal_largest=EqualLargest.LOWEST, latent_overflow=Overflow.WRAP,
)  # fmt: skip
"""A concentrator in which nothing that no public source decides is as in the presets."""

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

MINI = replace(SMALL, name="MINI", grid=(2, 2, 1), cell_map=tuple(range(4)), filters=1, latents=2)
"""As few cells and weights as a network can have, for whole chips through synthesis and what follows."""


def published_variants() -> list[EncoderSpec]:
    """The presets, and ECON_T with rules that the vectors leave open."""
    wrapping = replace(ECON_T.latent, overflow=Overflow.WRAP)
    narrow = replace(ECON_T, name="NARROW_SUMS", conv_sum_width=8, dense_sum_width=11)
    return [*PRESETS.values(), replace(ECON_T, name="WRAPPING", latent=wrapping), narrow]


def scalar_round(value: Fraction, rounding: Rounding) -> int:
    if rounding is Rounding.TRN:
        return math.floor(value)
    return math.floor(value + Fraction(1, 2)) if rounding is Rounding.RND else round(value)


def scalar_store(value: Fraction, form: FixedPoint) -> int:
    code = scalar_round(max(value, Fraction(0)) * 2**form.fraction, form.rounding)
    return min(code, 2**form.width - 1) if form.overflow is Overflow.SAT else code % 2**form.width


def scalar_wrap(value: Fraction, fraction: int, width: int | None) -> Fraction:
    """Two's complement of `width` bits, the lowest of which counts ``2**-fraction``."""
    if width is None:
        return value
    period = Fraction(2**width, 2**fraction)
    return (value + period / 2) % period - period / 2


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
                value = scalar_wrap(value, spec.conv_product_fraction, spec.conv_sum_width)
                activations.append(scalar_store(value, spec.activation))
    dense = [[next(values) * unit for _ in activations] for _ in range(spec.latents)]
    latents = []
    for row in dense:
        value = next(values) * unit
        scale = 2**spec.dense_product_fraction
        for weight, activation in zip(row, activations, strict=True):
            product = weight * activation / 2**spec.activation.fraction
            value += Fraction(scalar_round(product * scale, spec.dense_product_rounding), scale)
        value = scalar_wrap(value, spec.dense_product_fraction, spec.dense_sum_width)
        latents.append(scalar_store(value, spec.latent))
    return latents
