"""The liquid in floating point as its authors wrote it: every synapse with its age, in the published order of a step.

The readable definition, for small networks: all synapses in every step. `sim.astrocyte_liquid.kernel` computes the same
event by event.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.network import Network

__all__ = ["INPUT_KICK", "OLD", "run_dense"]

INPUT_KICK = 100.0
"""What an event adds to the potential of its input neuron."""
OLD = 20
"""Age of a synapse, ms, whose source has not spiked: its current is gone."""
FloatArray = npt.NDArray[np.float64]


def run_dense(
    network: Network, events: npt.NDArray[np.uint8], weights: FloatArray, trace: FloatArray, *, plastic: bool,
    fades: bool,
) -> tuple[npt.NDArray[np.uint8], FloatArray, FloatArray, float]:  # fmt: skip
    """One sample.

    Parameters
    ----------
    network : Network
    events : ndarray of uint8, shape (steps, inputs)
    weights : ndarray of float64, shape (synapses,)
    trace : ndarray of float64, shape (sources,)
    plastic, fades : bool
        Whether weights change, and whether all rates lose a hundredth in every step.

    Returns
    -------
    spikes : ndarray of uint8, shape (steps, neurons)
    weights, trace : ndarray of float64
        After the sample.
    depression : float
        A- after the sample.
    """
    spec = network.spec
    first, inhibitory = spec.first_neuron, spec.first_neuron + spec.excitatory
    low, high = (network.matrix(limit.astype(np.float64)) * spec.weight_max for limit in network.limits)
    w, x = network.matrix(weights), trace.copy()
    sign = np.where(np.arange(spec.sources) >= inhibitory, -1.0, 1.0)
    v = np.zeros(spec.sources)
    refractory = np.zeros(spec.sources, np.int64)
    age = np.full(spec.sources, OLD)
    a_plus, a_minus, w_a, b_a = spec.potentiation, spec.astrocyte_bias, spec.astrocyte_weight, spec.astrocyte_bias
    spikes = np.zeros((len(events), spec.neurons), np.uint8)
    for step, kicked in enumerate(events):
        fired = (v >= spec.spike_threshold) & (refractory == 0)
        v[fired] = 0
        spikes[step] = fired[first:]
        age[fired] = 0
        current = np.where(age < OLD, np.exp(-age), 0.0) @ w
        v -= v / 2**spec.leak_shift
        v[first:] += current
        v[: spec.inputs] += INPUT_KICK * kicked
        age = np.minimum(age + 1, OLD)
        refractory = np.where(fired, spec.refractory_steps, np.maximum(refractory - 1, 0))
        if plastic:
            moved = np.outer(a_plus * x, fired[first:]) - np.outer(fired, a_minus * x[first:])
            w = np.clip(w + sign[:, None] * moved, low, high)
        x = math.exp(-0.1) * (x + spec.trace_step * fired)
        a_minus += (w_a * (int(fired[first:].sum()) - int(fired[: spec.inputs].sum())) + b_a - a_minus) / 100
        if fades:
            a_plus, a_minus, w_a, b_a = (0.99 * rate for rate in (a_plus, a_minus, w_a, b_a))
    return spikes, w[network.source, network.target], x, a_minus
