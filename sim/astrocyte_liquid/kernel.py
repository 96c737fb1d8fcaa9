# mypy: disallow-untyped-decorators=False
# (numba's decorators have no types)
"""Compiled kernels of the liquid, event by event: floating point as published, and the chip's integers.

Only synapses of a neuron that spikes are touched: those that leave it (current, depression), and those that enter it
(potentiation). The published current of a synapse, its weight times exp(-age), is kept as one number for each neuron:
it decays as a whole, a new spike of a source replaces what is left of its last one, and a change of a weight adds what
is left of the source's spike times the change. That is exact but for rounding.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["poisson_events", "run_chip", "run_published"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(cache=True)
def _mixed(value: Any) -> Any:
    """Finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(cache=True)
def poisson_events(probability: npt.NDArray[np.float64], steps: int, seed: int) -> npt.NDArray[np.uint8]:
    """Events of input neurons: each step, each with its own probability; shape (steps, inputs).

    An event is a function of seed, step and input alone, whatever is drawn before it.
    """
    inputs = len(probability)
    events = np.zeros((steps, inputs), np.uint8)
    key = _mixed(np.uint64(seed) * _GOLDEN + _GOLDEN)
    scale = 1.0 / 9007199254740992.0
    for n in range(inputs):
        if probability[n] > 0:
            for t in range(steps):
                number = _mixed(key + np.uint64(t * inputs + n + 1) * _GOLDEN)
                if np.float64(number >> np.uint64(11)) * scale < probability[n]:
                    events[t, n] = 1
    return events


@numba.njit(cache=True, nogil=True)
def _entering(
    events: Any, trace: Any, incoming_start: Any, incoming: Any, incoming_source: Any, inputs: Any
) -> tuple[Any, Any, Any]:
    """The lists of entering synapses without those of inputs that are silent in the whole sample.

    Their trace is 0 from the first step to the last, so no spike of a neuron changes their weights: of a digit, most
    inputs. To sort them out costs as much as some ten steps; a short sample keeps all.
    """
    if len(events) < 50:
        return incoming_start, incoming, incoming_source
    live = trace != 0
    live[inputs:] = True
    for t in range(len(events)):
        for n in range(inputs):
            if events[t, n]:
                live[n] = True
    start, kept, source = np.empty_like(incoming_start), np.empty_like(incoming), np.empty_like(incoming_source)
    number = 0
    for j in range(len(incoming_start) - 1):
        start[j] = number
        for place in range(incoming_start[j], incoming_start[j + 1]):
            if live[incoming_source[place]]:
                kept[number] = incoming[place]
                source[number] = incoming_source[place]
                number += 1
    start[-1] = number
    return start, kept, source


@numba.njit(cache=True, nogil=True)
def run_published(
    events: Any, start: Any, target: Any, incoming_start: Any, incoming: Any, incoming_source: Any, inputs: Any,
    first_neuron: Any, inhibitory: Any, constants: Any, w: Any, trace: Any, plastic: Any, fades: Any, counts: Any,
    raster: Any,
) -> Any:  # fmt: skip
    """One sample in floating point; arrays as `sim.astrocyte_liquid.liquid` has them. Changes w, trace, counts."""
    threshold, leak, refractory_steps, limit, step_up, trace_decay, current_decay, a_plus, w_a, b_a, per_tau, fade = (
        constants
    )
    steps = events.shape[0]
    sources, neurons = len(trace), len(counts)
    v, i, extra = np.zeros(neurons), np.zeros(neurons), np.zeros(neurons)
    k = np.zeros(sources)
    refractory = np.zeros(sources, np.int32)
    fired = np.zeros(sources, np.uint8)
    pending = np.zeros(inputs, np.uint8)
    spikes = np.zeros(sources, np.int32)
    a_minus = b_a
    entering_start, entering, entering_source = incoming_start, incoming, incoming_source
    if plastic:
        entering_start, entering, entering_source = _entering(
            events, trace, incoming_start, incoming, incoming_source, inputs
        )
    for t in range(steps):
        number = 0
        for n in range(inputs):
            if pending[n] and refractory[n] == 0:
                pending[n] = 0
                fired[n] = 1
                spikes[number] = n
                number += 1
        from_inputs = number
        for j in range(neurons):
            if v[j] >= threshold and refractory[first_neuron + j] == 0:
                v[j] = 0.0
                counts[j] += 1
                raster[t % len(raster), j] += 1
                fired[first_neuron + j] = 1
                spikes[number] = first_neuron + j
                number += 1
        for at in range(number):
            p = spikes[at]
            left = 1.0 - k[p]
            k[p] = 1.0
            sign = -1.0 if p >= inhibitory else 1.0
            low = 0.0 if first_neuron <= p < inhibitory else -limit
            high = 0.0 if p >= inhibitory else limit
            up = a_plus * trace[p]
            for s in range(start[p], start[p + 1]):
                j = target[s]
                weight = w[s]
                i[j] += weight * left
                if plastic:
                    q = first_neuron + j
                    change = -a_minus * trace[q]
                    if fired[q]:
                        change += up
                    new = min(max(weight + sign * change, low), high)
                    extra[j] += new - weight
                    w[s] = new
        if plastic:
            for at in range(from_inputs, number):
                q = spikes[at]
                j = q - first_neuron
                gained = 0.0
                for place in range(entering_start[j], entering_start[j + 1]):
                    s = entering[place]
                    p = entering_source[place]
                    if fired[p]:
                        continue
                    change = a_plus * trace[p]
                    weight = w[s]
                    if p >= inhibitory:
                        new = min(max(weight - change, -limit), 0.0)
                    elif p >= first_neuron:
                        new = min(max(weight + change, 0.0), limit)
                    else:
                        new = min(max(weight + change, -limit), limit)
                    gained += (new - weight) * k[p]
                    w[s] = new
                extra[j] += gained
        for j in range(neurons):
            v[j] += i[j] - v[j] * leak
            i[j] = (i[j] + extra[j]) * current_decay
            extra[j] = 0.0
        for n in range(inputs):
            if events[t, n]:
                pending[n] = 1
        for p in range(sources):
            k[p] *= current_decay
            trace[p] *= trace_decay
            if refractory[p]:
                refractory[p] -= 1
        for at in range(number):
            p = spikes[at]
            refractory[p] = refractory_steps
            trace[p] += trace_decay * step_up
            fired[p] = 0
        a_minus += (w_a * (number - 2 * from_inputs) + b_a - a_minus) * per_tau
        if fades:
            a_plus *= fade
            a_minus *= fade
            w_a *= fade
            b_a *= fade
    return a_minus


@numba.njit(cache=True, inline="always")
def _round(value: Any, shift: Any) -> Any:
    return (value + (np.int64(1) << (shift - 1))) >> shift


@numba.njit(cache=True, nogil=True)
def run_chip(
    events: Any, start: Any, target: Any, incoming_start: Any, incoming: Any, incoming_source: Any, inputs: Any,
    first_neuron: Any, inhibitory: Any, constants: Any, w: Any, trace: Any, plastic: Any, fades: Any, counts: Any,
    raster: Any,
) -> Any:  # fmt: skip
    """One sample in the chip's integers; arrays as `run_published`."""
    threshold, leak_shift, refractory_steps, limit, step_up, guard, change_shift, v_max, rate_max, a_plus, w_a, b_a = (
        constants
    )
    steps = events.shape[0]
    sources, neurons = len(trace), len(counts)
    v, i = np.zeros(neurons, np.int64), np.zeros(neurons, np.int64)
    up, down = np.zeros(sources, np.int64), np.zeros(neurons, np.int64)
    refractory = np.zeros(sources, np.int32)
    fired = np.zeros(sources, np.uint8)
    pending = np.zeros(inputs, np.uint8)
    spikes = np.zeros(sources, np.int32)
    a_minus = b_a
    entering_start, entering, entering_source = incoming_start, incoming, incoming_source
    if plastic:
        entering_start, entering, entering_source = _entering(
            events, trace, incoming_start, incoming, incoming_source, inputs
        )
    for t in range(steps):
        number = 0
        for n in range(inputs):
            if pending[n] and refractory[n] == 0:
                pending[n] = 0
                fired[n] = 1
                spikes[number] = n
                number += 1
        from_inputs = number
        for j in range(neurons):
            if v[j] >= threshold and refractory[first_neuron + j] == 0:
                v[j] = 0
                counts[j] += 1
                raster[t % len(raster), j] += 1
                fired[first_neuron + j] = 1
                spikes[number] = first_neuron + j
                number += 1
        if plastic:
            for p in range(sources):
                up[p] = _round((a_plus >> guard) * trace[p], change_shift)
            for j in range(neurons):
                down[j] = _round((a_minus >> guard) * trace[first_neuron + j], change_shift)
        for at in range(number):
            p = spikes[at]
            sign = -1 if p >= inhibitory else 1
            low = 0 if first_neuron <= p < inhibitory else -limit
            high = 0 if p >= inhibitory else limit
            for s in range(start[p], start[p + 1]):
                j = target[s]
                weight = np.int64(w[s])
                i[j] += weight
                if plastic:
                    change = -down[j]
                    if fired[first_neuron + j]:
                        change += up[p]
                    w[s] = min(max(weight + sign * change, low), high)
        if plastic:
            for at in range(from_inputs, number):
                j = spikes[at] - first_neuron
                for place in range(entering_start[j], entering_start[j + 1]):
                    s = entering[place]
                    p = entering_source[place]
                    if fired[p]:
                        continue
                    sign = -1 if p >= inhibitory else 1
                    low = 0 if first_neuron <= p < inhibitory else -limit
                    high = 0 if p >= inhibitory else limit
                    w[s] = min(max(w[s] + sign * up[p], low), high)
        for j in range(neurons):
            v[j] = min(max(v[j] - _round(v[j], leak_shift) + i[j], -v_max - 1), v_max)
            i[j] = _round(3 * i[j], 3)
        for n in range(inputs):
            if events[t, n]:
                pending[n] = 1
        for p in range(sources):
            if refractory[p]:
                refractory[p] -= 1
            total = trace[p]
            if fired[p]:
                refractory[p] = refractory_steps
                total += step_up
                fired[p] = 0
            trace[p] = total - _round(3 * total, 5)
        target_rate = w_a * (number - 2 * from_inputs) + b_a
        a_minus = min(max(a_minus + _round(5 * (target_rate - a_minus), 9), -rate_max - 1), rate_max)
        if fades:
            a_plus -= _round(5 * a_plus, 9)
            a_minus -= _round(5 * a_minus, 9)
            w_a -= _round(5 * w_a, 9)
            b_a -= _round(5 * b_a, 9)
    return a_minus
