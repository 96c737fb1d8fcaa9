"""Losses of training: differences at several scales of the module, squared or as an Earth Mover's Distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from sim.hgcal_encoder.detector.geometry import N_TRIGGER_CELLS, ground_distance, module_geometry
from sim.hgcal_encoder.learning.metric import earth_movers_potentials, telescoping_matrices
from sim.hgcal_encoder.learning.network import Network
from sim.hgcal_encoder.learning.training_images import Float32, Float64

__all__ = ["LOSSES", "multiscale_matrices"]


LOSSES = ("emd", "telescoping")

#: Multiscale substitute of the EMD of two share images, d their difference: sum over scales of
#: weight * |G d|_1, G a Gaussian blur of that width (units of the ground distance, 0 for none), plus SHIFT_WEIGHT times
#: the displacement of the mean position.  Non-negative least squares to exact EMDs of blurred, thinned and noisy copies
#: of simulated images; correlation with the exact distance 0.97, median deviation 8 %.
MULTISCALE: tuple[tuple[float, float], ...] = ((0.0, 0.485), (1.5, 0.472), (2.0, 1.417), (3.0, 0.795))
SHIFT_WEIGHT = 0.251


def multiscale_matrices() -> tuple[Float64, Float64]:
    """What `MULTISCALE` sums over.

    Returns
    -------
    blur : ndarray of float64, shape (48, 48 * scales)
        Column blocks are the weighted blurs: the substitute is ``abs(d @ blur).sum()`` plus the shift term.
    positions : ndarray of float64, shape (48, 2)
        Weighted trigger cell positions: the shift term is the Euclidean norm of ``d @ positions``.
    """
    distance = ground_distance()
    columns = []
    for width, weight in MULTISCALE:
        kernel = np.exp(-0.5 * (distance / width) ** 2) if width else np.eye(N_TRIGGER_CELLS)
        columns.append(weight * (kernel / kernel.sum(axis=1, keepdims=True)).T)
    geometry = module_geometry("low")
    return np.concatenate(columns, axis=1), SHIFT_WEIGHT * geometry.centers_mm / geometry.cell_pitch_mm


class Losses:
    """The losses of the module's text, by kind, as TensorFlow scalars."""

    def __init__(self, network: Network) -> None:
        self.tf, self.network = network.tf, network
        constant = self.tf.constant
        self._blur, self._positions = (constant(m, self.tf.float32) for m in multiscale_matrices())
        self._windows, self._weights, self._blocks = (constant(m, self.tf.float32) for m in telescoping_matrices())

    def __call__(self, kind: str, outputs: Any, shares: Any, sums: Any) -> Any:
        tf = self.tf
        decoded = self.network.shares(outputs)
        if kind == "emd":
            emd, potential = tf.numpy_function(self._potentials, [shares, decoded], [tf.float32, tf.float32])
            surrogate = tf.reduce_sum(tf.stop_gradient(tf.reshape(potential, tf.shape(shares))) * decoded, axis=1)
            return tf.reduce_mean(surrogate + tf.stop_gradient(tf.reshape(emd, [-1]) - surrogate))
        if kind == "multiscale":
            difference = decoded - shares
            shift = tf.sqrt(tf.reduce_sum((difference @ self._positions) ** 2, axis=1) + 1e-6)
            return tf.reduce_mean(tf.reduce_sum(tf.abs(difference @ self._blur), axis=1) + shift)
        if kind == "telescoping":
            # charges over the power of two below their sum, as the published training has them
            scale = 1.0 + sums[:, :1]
            return self._telescoping(shares * scale, decoded * scale)
        if self.network.decoder == "mlp":
            return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(shares, outputs))
        return -tf.reduce_mean(tf.reduce_sum(shares * tf.math.log(decoded + 1e-7), axis=1))

    def _telescoping(self, truth: Any, decoded: Any) -> Any:
        tf = self.tf
        out = 0.0
        for factor, weight, matrix in (
            (4.0, 1.0, None), (2.0, self._weights, self._windows), (1.0, 1.0, self._blocks)
        ):  # fmt: skip
            x, y = (truth, decoded) if matrix is None else (truth @ matrix, decoded @ matrix)
            out += factor * tf.reduce_mean(weight * (x - y) ** 2 * tf.maximum(x, y), axis=1)
        return tf.reduce_mean(out)

    @staticmethod
    def _potentials(truth: Float32, decoded: Float32) -> tuple[Float32, Float32]:
        emd, potential = earth_movers_potentials(truth, decoded)
        return emd.astype(np.float32), (potential - potential.mean(axis=1, keepdims=True)).astype(np.float32)
