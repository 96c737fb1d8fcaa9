"""Ranking of weight bits by the Hessian of the loss, as FKeras does it, beside that by simulated upsets.

FKeras scores a parameter by the eigenvectors of the largest eigenvalues of the loss Hessian, sum over i of
``|lambda_i v_i|``, and orders bits either by that score times 2^place, or all most significant bits first, then the
next ones (O. Weng, A. Meza, Q. Bock, B. Hawks, J. Campos, N. Tran, J. Duarte, R. Kastner, "FKeras: A Sensitivity
Analysis Tool for Edge Neural Networks", ACM J. Auton. Transport. Syst. (2024), doi 10.1145/3665334). Both are computed
here on the shipped network, and a second-order Taylor estimate of the loss, which knows the step of every single flip.

The loss is the published one of this network, 4 L48 + 2 L36 + L3 (arXiv 2105.01683). The forward pass is the chip's
arithmetic; derivatives are those of the network without rounding, at the chip's operating point (straight-through
estimator). Which ReLU is open, which sum is clipped and which of two charges is the larger stays as it is there, as in
automatic differentiation; integer sums often stand exactly on such a kink. Products of the Hessian with a vector are
central differences of the exact gradient of that smooth function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, eigsh

from flows.campaign.physics import Sample, _Layers
from sim.fixed_point import IntArray
from sim.hgcal_encoder.learning.decoder import TrainedModel, truncate_latents
from sim.hgcal_encoder.learning.features import sum_features
from sim.hgcal_encoder.learning.metric import telescoping_matrices
from sim.hgcal_encoder.normalise import sum_code
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["HessianRanking", "LossGradient", "coverage", "hessian_ranking", "msb_first"]

Float64 = npt.NDArray[np.float64]

EIGENVECTORS = 8
"""Of the largest eigenvalues by magnitude."""
PROBES = 256
"""Random sign vectors of the estimate of the diagonal."""
_STEP = 1e-5


class LossGradient:
    """Loss of a model on a sample and its gradient by the weights of the encoder.

    Parameters
    ----------
    model : TrainedModel
        With a decoder of kind ``mlp``.
    sample : Sample

    Raises
    ------
    ValueError
        If the decoder is of another kind.
    """

    def __init__(self, model: TrainedModel, sample: Sample) -> None:
        if model.decoder.kind != "mlp":
            raise ValueError(f"expected a decoder of kind mlp, got {model.decoder.kind}")
        self.spec = spec = model.spec
        inputs = np.ascontiguousarray(sample.charges[:, model.multiplexer])
        layers = _Layers(model.weights, inputs)
        self._patches = layers.patches / 2.0**spec.pixel.fraction
        arrays = model.decoder.arrays
        self._decoder = [
            (arrays[f"weight{i}"].astype(float), arrays[f"bias{i}"].astype(float)) for i in range(model.decoder.layers)
        ]
        codes = sum_code(sample.charges.sum(axis=1))
        self._features = sum_features(codes, sample.pedestals.sum(axis=1)).astype(float)
        # charges over the power of two below their sum, as in the published training
        self._scale = 1.0 + self._features[:, :1]
        self._truth = sample.truth / sample.truth.sum(axis=1, keepdims=True) * self._scale
        windows, weights, blocks = telescoping_matrices()
        self._scales = ((4.0, np.ones(48), np.eye(48)), (2.0, weights, windows), (1.0, np.ones(3), blocks))
        self.start: Float64 = model.weights.to_codes() / 2.0**spec.weight.fraction
        self._cuts = np.cumsum([spec.kernel_taps * spec.filters, spec.filters, spec.activations * spec.latents])
        # slopes at the operating point, and what rounding adds there, stay as they are
        kernel, bias, dense, dense_bias = self._split(self.start)
        n = len(inputs)
        sums = (layers.conv_sums / 2.0**spec.conv_product_fraction).reshape(n, -1)
        active = layers.activations.reshape(n, -1) / 2.0**spec.activation.fraction
        self._conv_open = (sums > 0) & (sums <= spec.activation.max_code / 2.0**spec.activation.fraction)
        linear = (self._patches @ kernel + bias).reshape(n, -1)
        self._conv_rest = active - self._conv_open * linear
        sums = layers.dense_sums / 2.0**spec.dense_product_fraction
        self._dense_open = (sums > 0) & (sums <= spec.latent.max_code / 2.0**spec.latent.fraction)
        sent = truncate_latents(layers.latents, model.kept_bits, spec.latent.width) / 2.0**spec.latent.fraction
        self._dense_rest = sent - self._dense_open * (active @ dense + dense_bias)
        self._hidden_open: list[npt.NDArray[np.bool_]] = []
        hidden = np.concatenate([sent, self._features], axis=1)
        for weight, offset in self._decoder[:-1]:
            made = hidden @ weight + offset
            self._hidden_open.append(made > 0)
            hidden = np.maximum(made, 0.0) + (hidden if _passed_on(weight) else 0.0)
        decoded = model.decoder.shares(
            truncate_latents(layers.latents, model.kept_bits, spec.latent.width), codes, sample.pedestals
        )
        self._above = [decoded * self._scale @ matrix > self._truth @ matrix for _, _, matrix in self._scales]

    def _split(self, parameters: Float64) -> tuple[Float64, Float64, Float64, Float64]:
        """Kernel (taps, filters), its bias, dense (activations, latents), its bias; the order is that of the image."""
        spec = self.spec
        kernel, bias, dense, dense_bias = np.split(parameters, self._cuts)
        return (
            kernel.reshape(spec.kernel_taps, spec.filters), bias, dense.reshape(spec.latents, spec.activations).T,
            dense_bias,
        )  # fmt: skip

    def __call__(self, parameters: Float64) -> tuple[float, Float64]:
        """Loss and gradient, shape (parameters,), in the order of the weight image.

        Parameters
        ----------
        parameters : ndarray of float64, shape (parameters,)
            Values of the weights.
        """
        n, latents = len(self._patches), self.spec.latents
        kernel, bias, dense, dense_bias = self._split(parameters)
        conv = (self._patches @ kernel + bias).reshape(n, -1)
        active = self._conv_open * conv + self._conv_rest
        latent = self._dense_open * (active @ dense + dense_bias) + self._dense_rest
        hidden = [np.concatenate([latent, self._features], axis=1)]
        for (weight, offset), opened in zip(self._decoder[:-1], self._hidden_open, strict=True):
            hidden.append(opened * (hidden[-1] @ weight + offset) + (hidden[-1] if _passed_on(weight) else 0.0))
        weight, offset = self._decoder[-1]
        logits = hidden[-1] @ weight + offset
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        loss, slope = self._telescoping(shares * self._scale)
        slope *= self._scale / n
        back = shares * (slope - (slope * shares).sum(axis=1, keepdims=True))
        back = back @ self._decoder[-1][0].T
        for (weight, _), opened in zip(reversed(self._decoder[:-1]), reversed(self._hidden_open), strict=True):
            back = (back * opened) @ weight.T + (back if _passed_on(weight) else 0.0)
        back = back[:, :latents] * self._dense_open
        by_dense, by_dense_bias = active.T @ back, back.sum(axis=0)
        back = ((back @ dense.T) * self._conv_open).reshape(n, -1, self.spec.filters)
        by_kernel = np.tensordot(self._patches, back, axes=((0, 1), (0, 1)))
        gradient = np.concatenate([by_kernel.ravel(), back.sum(axis=(0, 1)), by_dense.T.ravel(), by_dense_bias])
        return loss, gradient

    def _telescoping(self, decoded: Float64) -> tuple[float, Float64]:
        """Mean loss, and n times its derivative by the decoded charges."""
        loss, slope = 0.0, np.zeros_like(decoded)
        for (factor, weight, matrix), above in zip(self._scales, self._above, strict=True):
            x, y = self._truth @ matrix, decoded @ matrix
            top, difference = np.where(above, y, x), y - x
            loss += factor * float((weight * difference**2 * top).mean())
            inner = weight * (2 * difference * top + difference**2 * above)
            slope += factor / matrix.shape[1] * inner @ matrix.T
        return loss, slope

    def hessian_product(self, vector: Float64) -> Float64:
        """Hessian at the stored weights times a vector."""
        length = float(np.linalg.norm(vector))
        if length == 0.0:
            return np.zeros_like(vector)
        step = _STEP / length * vector
        up, down = self(self.start + step)[1], self(self.start - step)[1]
        return (up - down) * (length / (2 * _STEP))


def _passed_on(weight: Float64) -> bool:
    """Whether a hidden layer's input goes on beside what it makes of it, as `Decoder` has it."""
    return bool(weight.shape[0] == weight.shape[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class HessianRanking:
    """Scores of weight bits from derivatives of the loss; arrays have one entry per bit of the weight image.

    Attributes
    ----------
    eigenvalues : ndarray of float64
        Largest of the Hessian by magnitude, in falling order.
    trace : float
        Estimate of the Hessian's trace.
    by_power : ndarray of float64
        FKeras: score of the parameter times 2^place.
    by_place : ndarray of float64
        FKeras: all most significant bits first, each lot by the score of the parameter.
    taylor : ndarray of float64
        ``|gradient * step + curvature * step**2 / 2|`` with the step of the flip and the diagonal of the Hessian.
    """

    eigenvalues: Float64
    trace: float
    by_power: Float64
    by_place: Float64
    taylor: Float64


def msb_first(scores: Float64, width: int) -> Float64:
    """Scores of bits whose order is: every most significant bit by the score of its parameter, then the next ones.

    Parameters
    ----------
    scores : ndarray of float64, shape (parameters,)
        Not negative.
    width : int
        Bits of a parameter.

    Returns
    -------
    ndarray of float64, shape (parameters * width,)
        Parameter by parameter, least significant bit first.
    """
    inside = scores / (2 * scores.max()) if scores.max() > 0 else scores
    return (inside[:, None] + np.arange(width)).ravel()


def flip_steps(codes: IntArray, spec: EncoderSpec) -> Float64:
    """Change of a weight's value by a flip of each of its bits, shape (parameters, width)."""
    flipped = spec.weight.fit(codes[:, None] ^ (1 << np.arange(spec.weight.width)))
    return (flipped - codes[:, None]) / 2.0**spec.weight.fraction


def hessian_ranking(
    model: TrainedModel, sample: Sample, *, eigenvectors: int = EIGENVECTORS, probes: int = PROBES, seed: int = 1
) -> HessianRanking:
    """Scores of every bit of the weight image.

    Parameters
    ----------
    model : TrainedModel
    sample : Sample
        Images of the loss.
    eigenvectors : int
    probes : int
        For the diagonal: mean of ``v * (H v)`` over random signs v (C. Bekas, E. Kokiopoulou, Y. Saad, "An estimator
        for the diagonal of a matrix", Appl. Numer. Math. 57 (2007) 1214).
    seed : int
        Of the probes and of the start of the iteration.
    """
    gradient = LossGradient(model, sample)
    rng, size, width = np.random.default_rng(seed), len(gradient.start), model.spec.weight.width
    operator = LinearOperator((size, size), matvec=gradient.hessian_product, dtype=np.float64)
    values, vectors = eigsh(operator, k=eigenvectors, which="LM", v0=rng.standard_normal(size), tol=1e-3)
    order = np.argsort(-np.abs(values))
    scores = np.abs(values * vectors).sum(axis=1)
    diagonal = np.zeros(size)
    for _ in range(probes):
        signs = rng.choice((-1.0, 1.0), size)
        diagonal += signs * gradient.hessian_product(signs) / probes
    steps = flip_steps(model.weights.to_codes(), model.spec)
    slope = gradient(gradient.start)[1]
    taylor = np.abs(slope[:, None] * steps + diagonal[:, None] * steps**2 / 2)
    return HessianRanking(
        eigenvalues=values[order], trace=float(diagonal.sum()),
        by_power=(scores[:, None] * 2.0 ** np.arange(width)).ravel(), by_place=msb_first(scores, width),
        taylor=taylor.ravel(),
    )  # fmt: skip


def coverage(corruption: Float64, scores: Float64, tops: Sequence[int]) -> Float64:
    """Part of the whole corruption that the highest-ranked bits hold.

    Parameters
    ----------
    corruption : ndarray of float64, shape (bits,)
        Not negative.
    scores : ndarray of float64, shape (bits,)
        Of the ranking; equal ones in the order of the image.
    tops : sequence of int
        Numbers of bits.
    """
    held = np.concatenate([[0.0], np.cumsum(corruption[np.argsort(-scores, kind="stable")])])
    return np.asarray(held[np.asarray(tops)] / held[-1])
