"""Stage 8: dense layer to the latents. Every product is rounded on its own, then summed, biased, rectified."""

from __future__ import annotations

import numpy as np

from sim.fixed_point import IntArray, round_shift, wrap
from sim.hgcal_encoder.spec import EncoderSpec


def dense(activations: IntArray, weights: IntArray, bias: IntArray, spec: EncoderSpec) -> IntArray:
    """Dense layer on integer codes.

    Parameters
    ----------
    activations : ndarray of int64, shape (n, activations)
        Codes of ``spec.activation``; index = (row * columns + column) * filters + filter.
    weights : ndarray of int64, shape (activations, latents)
        Codes of ``spec.weight`` (the layout of Keras).
    bias : ndarray of int64, shape (latents,)
        Codes of ``spec.weight``.
    spec : EncoderSpec

    Returns
    -------
    ndarray of int64, shape (n, latents)
        Codes of ``spec.latent``.
    """
    drop = spec.activation.fraction + spec.weight.fraction - spec.dense_product_fraction
    total = np.zeros((len(activations), spec.latents), np.int64)
    total += bias << (spec.dense_product_fraction - spec.weight.fraction)
    for index in range(spec.activations):
        product = activations[:, index, None] * weights[index]
        total += round_shift(product, drop, spec.dense_product_rounding)
    total = wrap(total, spec.dense_sum_width)
    return spec.latent.requantise(np.maximum(total, 0), spec.dense_product_fraction)
