"""How near a liquid is to the edge of chaos: branching factor, spectral radius, growth of a disturbance, memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.liquid import Arithmetic, Events, Liquid
from sim.liquid_health import (
    BRANCHING_WINDOW,
    fading_memory,
    growth,
    memory_capacity,
    separation,
    spectral_radius,
)

__all__ = ["EDGE", "Criticality", "branching_factor", "criticality"]

EDGE = 25
"""Steps at both ends of a sample whose spikes are left out, and a window more."""
MEMORY_SAMPLES = 100
"""Samples from which the memory is measured: half of them fit as many weights as there are neurons."""


def branching_factor(spikes: npt.NDArray[np.integer], connected: npt.NDArray[np.bool_]) -> float:
    """Branching factor of one sample, averaged as the published code does.

    For each spike of a neuron: spikes of the neurons it projects to in the next four steps, over those of the neurons
    that project to it in the last four, the latter at least 1. The mean is over a neuron's spikes first, then over the
    neurons that spiked. Spikes within `EDGE` steps and a window of the ends are left out.

    Parameters
    ----------
    spikes : ndarray, shape (steps, neurons)
    connected : ndarray of bool, shape (neurons, neurons)
        From, to.

    Returns
    -------
    float
        0 if no spike is left.
    """
    fired = spikes.astype(np.float64)
    edge = EDGE + BRANCHING_WINDOW
    total = np.cumsum(np.pad(fired, ((1, 0), (0, 0))), axis=0)
    at = np.arange(edge, len(fired) - edge)
    if not len(at):
        return 0.0
    after = (total[at + BRANCHING_WINDOW + 1] - total[at + 1]) @ connected.T
    before = (total[at] - total[at - BRANCHING_WINDOW]) @ connected
    ratio = after / np.maximum(before, 1.0)
    inner = fired[at]
    count = inner.sum(axis=0)
    active = count > 0
    if not active.any():
        return 0.0
    return float(((ratio * inner).sum(axis=0)[active] / count[active]).mean())


@dataclass(frozen=True, kw_only=True)
class Criticality:
    """A liquid on labelled samples, frozen.

    Attributes
    ----------
    branching_factor : float
        Mean over the samples.
    radius : float
        Spectral radius of the recurrent weights in units of the threshold.
    rate : float
        Spikes per neuron and step.
    separation : float
        Of the spike counts, see `sim.liquid_health.separation`.
    growth : float
        Of the effect of one missing event in ten steps, see `sim.liquid_health.growth`; mean effect of an event in each
        of three places of a sample.
    memory : float
        Steps of a random signal that the spikes of one step tell of, see `sim.liquid_health.memory_capacity`. The
        signal, uniform from 0 to 1, is the probability of each event of a step to be shown.
    """

    branching_factor: float
    radius: float
    rate: float
    separation: float
    growth: float
    memory: float


def criticality(liquid: Liquid, events: Events, labels: npt.NDArray[np.integer], seed: int = 0) -> Criticality:
    """All of `Criticality`.

    Parameters
    ----------
    liquid : Liquid
    events : ndarray of uint8, shape (n, steps, inputs)
    labels : ndarray of int, shape (n,)
    seed : int
        Of the signal, and of what is shown of the events.

    Raises
    ------
    ValueError
        Samples of fewer than 80 steps: the effect of an event is followed for 30.
    """
    spec, network = liquid.spec, liquid.network
    recurrent = network.source >= spec.first_neuron
    connected = np.zeros((spec.neurons, spec.neurons), bool)
    matrix = np.zeros((spec.neurons, spec.neurons))
    place = network.source[recurrent] - spec.first_neuron, network.target[recurrent]
    threshold = spec.threshold_code if liquid.arithmetic is Arithmetic.CHIP else spec.spike_threshold
    connected[place] = True
    matrix[place] = liquid.weights[recurrent] / threshold
    activity = liquid.run(events, plastic=False, spikes=True)
    signal, shown = _thinned(events, seed)
    states = liquid.run(shown, plastic=False, spikes=True).spikes
    return Criticality(
        branching_factor=float(np.mean([branching_factor(sample, connected) for sample in activity.spikes])),
        radius=spectral_radius(matrix),
        rate=float(activity.spikes.mean()),
        separation=separation(activity.counts, labels),
        growth=growth(_effect(liquid, events, activity.spikes)),
        memory=float(memory_capacity(states, signal).sum()),
    )


def _effect(liquid: Liquid, events: Events, spikes: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Distance by step from a missing event on, mean over events a fifth, two and three fifths into each sample."""
    length = events.shape[1] // 5
    courses = []
    for step in (length, 2 * length, 3 * length):
        fewer = events.copy()
        fewer[np.arange(len(events)), step, events[:, step].argmax(axis=1)] = 0
        distance = fading_memory(spikes, liquid.run(fewer, plastic=False, spikes=True).spikes)
        courses.append(distance[step : step + 2 * length])
    return np.mean(courses, axis=0)


def _thinned(events: Events, seed: int) -> tuple[npt.NDArray[np.float32], Events]:
    """A random signal, and the samples, one after another, of whose events it decides how many are shown."""
    rng = np.random.default_rng([seed, 0x51])
    samples, steps, inputs = events.shape
    signal = rng.random((MEMORY_SAMPLES, steps), np.float32)
    shown = [
        events[row % samples] * (rng.random((steps, inputs), np.float32) < strength[:, None])
        for row, strength in enumerate(signal)
    ]
    return signal, np.array(shown, np.uint8)
