"""Health of a quantised liquid: separation, fading memory, spectral radius, branching factor.

All of it is of the liquid as the chip computes it: conductance codes, ADC steps, integer membranes. What these figures
are, and where they come from: `sim.liquid_health`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from sim.liquid_health import (
    BRANCHING_WINDOW,
    branching_factor,
    fading_memory,
    memory_steps,
    separation,
    spectral_radius,
)
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "Health",
    "branching_factor",
    "fading_memory",
    "liquid_health",
    "memory_steps",
    "recurrent_weights",
    "separation",
    "spectral_radius",
]


def recurrent_weights(spec: CrossbarSpec, conductances: Conductances) -> NDArray[np.float64]:
    """Recurrent weights in units of the threshold; shape (all neurons, all neurons), to, from.

    A spike of neuron k moves the potential of neuron j by ``(plus - minus code) / 2**adc_shift`` ADC steps, if it is
    alone in its read and the ADCs are ideal; this is that, over the threshold.
    """
    conductances.check(spec)
    blocks = []
    for number in range(spec.macros):
        own = conductances.macro(number).codes[spec.inputs : spec.used_rows, : 2 * spec.neurons].astype(np.float64)
        blocks.append((own[:, 0::2] - own[:, 1::2]).T)
    # no neuron sees the spikes of another macro
    differential: NDArray[np.float64] = block_diag(*blocks)
    weights: NDArray[np.float64] = differential / (2**spec.adc_shift * max(spec.threshold, 1))
    return weights


@dataclass(frozen=True, kw_only=True)
class Health:
    """Health of a liquid on labelled samples.

    Attributes
    ----------
    rate : float
        Spikes per neuron and step.
    silent : float
        Fraction of neurons that never spike.
    separation : float
        Of the spike counts, see `separation`.
    input_separation : float
        The same of the input spikes summed over each counting window: what the liquid starts from.
    spectral_radius : float
        Of the recurrent weights in units of the threshold.
    branching_factor : float
        See `branching_factor`.
    memory_steps : int or None
        Steps until a tenth remains of a disturbance in the first fifth of the sample; None: more than that remains.
    memory_left : float
        What remains of the disturbance in the last fifth of the sample, as a fraction of its largest distance.
    """

    rate: float
    silent: float
    separation: float
    input_separation: float
    spectral_radius: float
    branching_factor: float
    memory_steps: int | None
    memory_left: float


def liquid_health(liquid: Liquid, spikes: NDArray[Any], labels: NDArray[Any]) -> Health:
    """All of `Health` for a liquid and labelled input spikes of shape (n, steps, inputs).

    The disturbance for the fading memory replaces the first fifth of each sample by that of the sample after it.
    """
    spec = liquid.spec
    inputs = np.asarray(spikes)
    activity = liquid.run(inputs)
    early = max(1, spec.steps // 5)
    disturbed = inputs.copy()
    disturbed[:, :early] = np.roll(inputs, 1, axis=0)[:, :early]
    distance = fading_memory(activity.spikes, liquid.run(disturbed).spikes)
    weights = recurrent_weights(spec, liquid.conductances)
    windows = inputs.reshape(len(inputs), spec.windows, spec.window_length, spec.inputs).sum(axis=2)
    return Health(
        rate=float(activity.spikes.mean()),
        silent=float(np.mean(~activity.spikes.any(axis=(0, 1)))),
        separation=separation(activity.counts, labels),
        input_separation=separation(windows, labels),
        spectral_radius=spectral_radius(weights),
        branching_factor=branching_factor(activity.spikes, weights != 0, edge=BRANCHING_WINDOW),
        memory_steps=memory_steps(distance, early - 1),
        memory_left=float(distance[-early:].mean() / distance.max()) if distance.any() else 0.0,
    )
