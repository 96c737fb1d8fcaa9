"""Small specs for tests and verification: random legal ones, and one with all that an encoder can have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.spec import CELLS, ECON_T, OVERFLOWS, ROUNDINGS, EncoderSpec, WordOrder

__all__ = ["campaign_spec", "random_spec"]


def random_spec(rng: np.random.Generator, name: str = "RANDOM") -> EncoderSpec:
    """A small legal spec with odd geometry, widths and rounding rules; builds in seconds."""
    while True:
        rows, columns, channels = (int(rng.integers(2, 5)), int(rng.integers(2, 5)), int(rng.integers(1, 3)))
        kernel = (int(rng.integers(1, min(rows, 3) + 1)), int(rng.integers(1, min(columns, 3) + 1)))
        size = rows * columns * channels
        cells = np.where(rng.random(size) < 0.15, -1, rng.integers(0, CELLS, size))
        weight_width = int(rng.integers(3, 8))
        weight = FixedPoint(width=weight_width, fraction=weight_width - 1 - int(rng.integers(0, 2)), signed=True)
        pixel_width = int(rng.integers(4, 10))
        pixel = FixedPoint(width=pixel_width, fraction=pixel_width - 1, signed=False)
        try:
            activation, latent = _unsigned(rng, 4, 10), _unsigned(rng, 4, 11)
            return EncoderSpec(
                name=name, grid=(rows, columns, channels), cell_map=tuple(int(cell) for cell in cells), kernel=kernel,
                filters=int(rng.integers(1, 4)), stride=int(rng.integers(1, 3)),
                padding=(
                    int(rng.integers(0, kernel[0])), int(rng.integers(0, kernel[0])),
                    int(rng.integers(0, kernel[1])), int(rng.integers(0, kernel[1])),
                ),
                latents=int(rng.integers(1, 5)), weight=weight, pixel=pixel,
                conv_product_fraction=int(rng.integers(weight.fraction, pixel.fraction + weight.fraction + 1)),
                dense_product_fraction=int(rng.integers(weight.fraction, activation.fraction + weight.fraction + 1)),
                conv_product_rounding=ROUNDINGS[int(rng.integers(3))],
                dense_product_rounding=ROUNDINGS[int(rng.integers(3))],
                activation=activation, latent=latent, word_order=list(WordOrder)[int(rng.integers(2))],
            )  # fmt: skip
        except ValueError:
            continue  # an illegal draw, for instance no output position: draw again


def _unsigned(rng: np.random.Generator, low: int, high: int) -> FixedPoint:
    width = int(rng.integers(low, high))
    return FixedPoint(
        width=width, fraction=width - int(rng.integers(0, 3)), signed=False,
        rounding=ROUNDINGS[int(rng.integers(3))], overflow=OVERFLOWS[int(rng.integers(2))],
    )  # fmt: skip


def campaign_spec() -> EncoderSpec:
    """ECON_T with one filter and two latents, for mutation: all stages and all 48 cells, built in a minute."""
    return replace(ECON_T, name="CAMPAIGN", filters=1, latents=2)
