"""An encoder's network as the arrays that the da4ml programs read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sim.hgcal_encoder.weights import Weights


def network_arrays(weights: Weights, pixels: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Arrays by the names that `da4ml_network.trace` explains, and the pixels to run on."""
    spec = weights.spec
    return {
        "positions": spec.positions,
        "taps": [(position, *tap) for position, taps in enumerate(spec.taps) for tap in taps],
        "kernel": weights.kernel.reshape(spec.kernel_taps, spec.filters),
        "kernel_bias": weights.kernel_bias,
        "dense": weights.dense,
        "dense_bias": weights.dense_bias,
        "weight_fraction": spec.weight.fraction,
        "product_fraction": (spec.conv_product_fraction, spec.dense_product_fraction),
        "pixels": pixels,
        "pixel": (spec.pixel.integer, spec.pixel.fraction),
        "activation": (spec.activation.integer, spec.activation.fraction),
        "latent": (spec.latent.integer, spec.latent.fraction),
    }
