"""Linear readout of spike counts in fixed point, without a bias.

The published readout sees counts divided by their sum, and has a bias. The sum of a sample scales all its scores alike:
``argmax(W c / |c| + b)`` is ``argmax((W + b 1^T) c)``. So the bias is part of the weights, and the chip divides
nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.fixed_point import IntArray, check_range

__all__ = ["Readout"]


class Readout:
    """``score[o] = sum over j of count[j] * weights[o, j]``; the class is the first largest score.

    Parameters
    ----------
    spec : AstrocyteSpec
    weights : array_like of int, shape (outputs, neurons)
        Two's complement, `spec.readout_weight_bits` bits.

    Raises
    ------
    TypeError
        If weights are not integers.
    ValueError
        If the shape is wrong or a value out of range; the message names its index.
    """

    def __init__(self, spec: AstrocyteSpec, weights: npt.ArrayLike) -> None:
        self.spec = spec
        limit = spec.readout_weight_max
        self.weights = check_range(weights, -limit - 1, limit, "readout weight")
        if self.weights.shape != (spec.outputs, spec.neurons):
            raise ValueError(
                f"readout weights: expected the shape {(spec.outputs, spec.neurons)}, got {self.weights.shape}"
            )

    def scores(self, counts: npt.ArrayLike) -> IntArray:
        """Scores of shape (n, outputs) for counts of shape (n, neurons).

        Raises
        ------
        ValueError
            If the shape is wrong or a count is out of range.
        """
        checked = check_range(counts, 0, self.spec.count_max, "spike count")
        if checked.ndim != 2 or checked.shape[1] != self.spec.neurons:
            raise ValueError(f"spike counts: expected the shape (n, {self.spec.neurons}), got {checked.shape}")
        scores: IntArray = checked @ self.weights.T
        return scores

    def classify(self, counts: npt.ArrayLike) -> IntArray:
        """Class of each sample, shape (n,); the lowest index wins a tie."""
        classes: IntArray = np.argmax(self.scores(counts), axis=1)
        return classes
