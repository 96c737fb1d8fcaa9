"""Stage 7: convolution. Every product is rounded on its own, then summed, biased, rectified."""

from __future__ import annotations

import numpy as np

from sim.fixed_point import IntArray, round_shift, wrap
from sim.hgcal_encoder.spec import EncoderSpec


def convolve(image: IntArray, kernel: IntArray, bias: IntArray, spec: EncoderSpec) -> IntArray:
    """Convolution layer on integer codes.

    Parameters
    ----------
    image : ndarray of int64, shape (n, rows, columns, channels)
        Codes of ``spec.pixel``.
    kernel : ndarray of int64, shape (kernel rows, kernel columns, channels, filters)
        Codes of ``spec.weight``.
    bias : ndarray of int64, shape (filters,)
        Codes of ``spec.weight``.
    spec : EncoderSpec

    Returns
    -------
    ndarray of int64, shape (n, output rows, output columns, filters)
        Codes of ``spec.activation``.
    """
    top, bottom, left, right = spec.padding
    padded = np.pad(image, ((0, 0), (top, bottom), (left, right), (0, 0)))
    rows, columns = spec.output_shape
    drop = spec.pixel.fraction + spec.weight.fraction - spec.conv_product_fraction
    total = np.zeros((len(image), rows, columns, spec.filters), np.int64)
    total += bias << (spec.conv_product_fraction - spec.weight.fraction)
    for row in range(spec.kernel[0]):
        for column in range(spec.kernel[1]):
            window = padded[
                :,
                row : row + rows * spec.stride : spec.stride,
                column : column + columns * spec.stride : spec.stride,
            ][:, :rows, :columns]
            for channel in range(spec.grid[2]):
                product = window[..., channel, None] * kernel[row, column, channel]
                total += round_shift(product, drop, spec.conv_product_rounding)
    total = wrap(total, spec.conv_sum_width)
    return spec.activation.requantise(np.maximum(total, 0), spec.conv_product_fraction)
