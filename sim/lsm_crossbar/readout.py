"""Linear readout of spike counts in fixed point: scores and the class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.lsm_crossbar.spec import CrossbarSpec


class Readout:
    """``score[o] = bias[o] + sum over w, j of count[w, j] * weights[o, w, j]``; the class is the first largest score.

    Parameters
    ----------
    spec : CrossbarSpec
    weights : array_like of int, shape (outputs, windows, all neurons)
        Two's complement, `spec.readout_weight_bits` bits; with 1 bit -1 and 1.
    bias : array_like of int, shape (outputs,)
        Two's complement, `spec.bias_width` bits, in the units of the products.

    Raises
    ------
    TypeError
        If weights or biases are not integers.
    ValueError
        If a shape is wrong or a value out of range; the message names its index.
    """

    def __init__(self, spec: CrossbarSpec, weights: npt.ArrayLike, bias: npt.ArrayLike) -> None:
        self.spec = spec
        self.weights = spec.checked_readout_weights(weights)
        self.bias = check_range(bias, -spec.bias_max - 1, spec.bias_max, "readout bias")
        for name, array, shape in (
            ("readout weights", self.weights, (spec.outputs, spec.windows, spec.all_neurons)),
            ("readout bias", self.bias, (spec.outputs,)),
        ):
            if array.shape != shape:
                raise ValueError(f"{name}: expected the shape {shape}, got {array.shape}")

    def scores(self, counts: npt.ArrayLike) -> IntArray:
        """Scores of shape (n, outputs) for counts of shape (n, windows, neurons).

        Raises
        ------
        ValueError
            If the shape is wrong or a count is out of range.
        """
        spec = self.spec
        checked = check_range(counts, 0, spec.count_max, "spike count")
        if checked.ndim != 3 or checked.shape[1:] != (spec.windows, spec.all_neurons):
            raise ValueError(
                f"spike counts: expected the shape (n, {spec.windows}, {spec.all_neurons}), got {checked.shape}"
            )
        flat = checked.reshape(len(checked), spec.features).astype(np.float64)
        # exact in double precision, which BLAS is fast in: every sum fits in `bias_width` bits, far below 2**53
        weighted = flat @ self.weights.reshape(spec.outputs, spec.features).T.astype(np.float64)
        scores: IntArray = self.bias + weighted.astype(np.int64)
        return scores

    def classify(self, counts: npt.ArrayLike) -> IntArray:
        """Class of each sample, shape (n,); the lowest index wins a tie."""
        classes: IntArray = np.argmax(self.scores(counts), axis=1)
        return classes
