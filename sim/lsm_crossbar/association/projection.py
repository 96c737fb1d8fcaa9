"""Projection of a liquid's counts into the common space: scores of the readout, activation, shift, saturation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.spec import SHIFT_BITS, AssociationSpec
from sim.lsm_crossbar.readout import Readout

__all__ = ["Projection", "embed", "quantise_projection"]


def embed(scores: npt.ArrayLike, shift: int, spec: AssociationSpec) -> IntArray:
    """Embeddings of scores: ``saturate(activation(score) >> shift)``; binary: 0 for scores from 0 up, else -1.

    Parameters
    ----------
    scores : array_like of int, shape (..., dimensions)
    shift : int
        0 to ``2**SHIFT_BITS - 1``; towards minus infinity.
    spec : AssociationSpec

    Raises
    ------
    ValueError
        A shift outside its range.
    """
    if not 0 <= shift < 1 << SHIFT_BITS:
        raise ValueError(f"shift: expected 0 to {(1 << SHIFT_BITS) - 1}, got {shift}")
    shifted = spec.activation.integers(np.asarray(scores, np.int64)) >> shift
    found: IntArray = np.clip(shifted, -spec.embedding_max - 1, spec.embedding_max)
    return found


class Projection:
    """One modality's way into the common space.

    Parameters
    ----------
    spec : AssociationSpec
    readout : Readout
        Weights and biases, of a crossbar of `spec`.
    shift : int

    Raises
    ------
    ValueError
        A readout of another number of dimensions, or a shift outside its range.
    """

    def __init__(self, spec: AssociationSpec, readout: Readout, shift: int) -> None:
        if readout.spec not in spec.crossbars:
            raise ValueError(f"readout: expected one of a crossbar of {spec.name}, got one of {readout.spec.name}")
        embed(np.zeros(spec.dimensions, np.int64), shift, spec)
        self.spec, self.readout, self.shift = spec, readout, shift

    def embed(self, counts: npt.ArrayLike) -> IntArray:
        """Embeddings, shape (n, dimensions), of counts of shape (n, windows, neurons)."""
        return embed(self.readout.scores(counts), self.shift, self.spec)


def quantise_projection(
    weights: npt.NDArray[np.float64],
    bias: npt.NDArray[np.float64],
    counts: IntArray,
    modality: int,
    spec: AssociationSpec,
    *,
    clip: float = 1.0,
    saturated: float = 1e-3,
) -> Projection:
    """A projection in the chip's integers.

    Parameters
    ----------
    weights : ndarray of float64, shape (dimensions, features)
    bias : ndarray of float64, shape (dimensions,)
    counts : ndarray of int, shape (n, windows, neurons)
        Of training samples: the smallest shift is taken at which at most a share `saturated` of their components is
        saturated.
    modality : int
        Index into `MODALITIES`.
    spec : AssociationSpec
    clip : float
        Share of the largest weight that the largest integer stands for; larger weights saturate.
    saturated : float

    Raises
    ------
    ValueError
        Weights or a bias of another shape than the crossbar's, or a clip outside 0 to 1.
    """
    crossbar = spec.crossbars[modality]
    if weights.shape != (spec.dimensions, crossbar.features) or bias.shape != (spec.dimensions,):
        raise ValueError(
            f"expected weights of shape {(spec.dimensions, crossbar.features)} and as many biases as rows, "
            f"got {weights.shape} and {bias.shape}"
        )
    if not 0 < clip <= 1:
        raise ValueError(f"clip: expected above 0 up to 1, got {clip}")
    low, top = crossbar.readout_weight_min, crossbar.readout_weight_max
    signs = crossbar.readout_weight_bits == 1
    largest = np.abs(weights).mean() if signs else clip * np.abs(weights).max()
    scale = top / largest if largest > 0 else 1.0
    integers = np.where(weights < 0, low, top) if signs else np.clip(np.rint(weights * scale), low, top)
    readout = Readout(
        crossbar,
        integers.astype(np.int64).reshape(-1, crossbar.windows, crossbar.all_neurons),
        np.clip(np.rint(bias * scale), -crossbar.bias_max - 1, crossbar.bias_max).astype(np.int64),
    )
    if spec.binary:
        return Projection(spec, readout, 0)
    found = np.abs(spec.activation.integers(readout.scores(counts)))
    shift = 0
    while shift < (1 << SHIFT_BITS) - 1 and np.mean(found >> shift > spec.embedding_max) > saturated:
        shift += 1
    return Projection(spec, readout, shift)
