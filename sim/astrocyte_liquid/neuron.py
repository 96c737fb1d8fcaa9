"""Neurons of the chip at the end of a step: potential, current, trace, refractory counter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.spec import CURRENT_DECAY, TRACE_DECAY, AstrocyteSpec
from sim.fixed_point import IntArray

__all__ = ["Swept", "input_spikes", "rounded", "sweep", "trace_after"]


def rounded(value: IntArray, shift: int) -> IntArray:
    """``value / 2**shift``, rounded to nearest, halves upwards."""
    return (value + (1 << (shift - 1))) >> shift


def trace_after(trace: IntArray, fired: npt.NDArray[np.bool_], spec: AstrocyteSpec) -> IntArray:
    """Traces after a step: a spike adds, then all decay; ``x <- m (x + 0.1 S)``."""
    total = trace + spec.trace_step_code * fired
    return total - rounded(TRACE_DECAY[0] * total, TRACE_DECAY[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Swept:
    """Neurons after a step.

    Attributes
    ----------
    membrane, current, refractory : ndarray of int64, shape (neurons,)
    fires : ndarray of bool, shape (neurons,)
        Which of them spike in the next step.
    """

    membrane: IntArray
    current: IntArray
    refractory: IntArray
    fires: npt.NDArray[np.bool_]


def sweep(
    membrane: IntArray, current: IntArray, refractory: IntArray, fired: npt.NDArray[np.bool_], spec: AstrocyteSpec
) -> Swept:
    """End of a step.

    A neuron that fired starts from 0. Then every potential leaks and takes its current, ``v <- v - v/64 + i``, and
    saturates; the current decays; a neuron that fired is blocked for `spec.refractory_steps`. A neuron fires in the
    next step if its potential has reached the threshold and it is not blocked.

    Parameters
    ----------
    membrane, refractory : ndarray of int64, shape (neurons,)
    current : ndarray of int64, shape (neurons,)
        With what this step's spikes added.
    fired : ndarray of bool, shape (neurons,)
    spec : AstrocyteSpec
    """
    rest = np.where(fired, 0, membrane)
    potential = np.clip(rest - rounded(rest, spec.leak_shift) + current, -spec.membrane_max - 1, spec.membrane_max)
    blocked = np.where(fired, spec.refractory_steps, np.maximum(refractory - 1, 0))
    return Swept(
        membrane=potential,
        current=rounded(CURRENT_DECAY[0] * current, CURRENT_DECAY[1]),
        refractory=blocked,
        fires=(potential >= spec.threshold_code) & (blocked == 0),
    )


def input_spikes(events: npt.NDArray[np.uint8], spec: AstrocyteSpec) -> npt.NDArray[np.uint8]:
    """Spikes of the input neurons for their events; shapes (steps, inputs).

    An event lifts an input neuron far above the threshold, where it stays until it fires: in the next step in which it
    is not blocked.
    """
    spikes = np.zeros_like(events)
    pending = np.zeros(events.shape[1], bool)
    blocked = np.zeros(events.shape[1], np.int64)
    for step, kicked in enumerate(events):
        fired = pending & (blocked == 0)
        spikes[step] = fired
        pending = (pending & ~fired) | kicked.astype(bool)
        blocked = np.where(fired, spec.refractory_steps, np.maximum(blocked - 1, 0))
    return spikes
