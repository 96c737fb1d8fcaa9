"""Synapses of the chip: currents, and spike-timing-dependent plasticity."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.neuron import rounded
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.fixed_point import IntArray

__all__ = ["change", "changed"]


def change(rate: int, trace: IntArray, spec: AstrocyteSpec) -> IntArray:
    """What a spike changes a weight by where the other side has this trace: rate times trace, in steps of a weight."""
    return rounded((rate >> spec.rate_guard) * trace, spec.change_shift)


def changed(
    weights: IntArray, low: IntArray, high: IntArray, sign: IntArray, fired: npt.NDArray[np.bool_],
    potentiation: IntArray, depression: IntArray, spec: AstrocyteSpec,
) -> IntArray:  # fmt: skip
    """Weights after a step, as a matrix.

    ``w + sign * (A+ x_pre S_post - A- x_post S_pre)``, both terms together, then clipped to the class of the synapse.

    Parameters
    ----------
    weights : ndarray of int64, shape (sources, neurons)
    low, high : ndarray of int64, shape (sources, neurons)
        Smallest and largest weight in units of the largest magnitude; both 0 where there is no synapse.
    sign : ndarray of int64, shape (sources,)
        -1 for inhibitory neurons, 1 for all other sources.
    fired : ndarray of bool, shape (sources,)
    potentiation : ndarray of int64, shape (sources,)
        `change` by A+ of each source's trace.
    depression : ndarray of int64, shape (neurons,)
        `change` by A- of each neuron's trace.
    spec : AstrocyteSpec
    """
    post = fired[spec.first_neuron :]
    moved = np.outer(potentiation, post) - np.outer(fired, depression)
    limit = spec.weight_code_max
    clipped: IntArray = np.clip(weights + sign[:, None] * moved, low * limit, high * limit)
    return clipped
