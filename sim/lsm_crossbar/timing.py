"""When the chip does what, clock by clock: the timing that docs/chips/lsm_crossbar.md promises, benches demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Timing", "driven_rows", "readout_clocks", "sample_timing", "step_clocks"]


def step_clocks(spec: CrossbarSpec, rows: npt.ArrayLike) -> int:
    """Clocks from the start of a step to its spikes.

    The rows of the first batch are set one per clock; a read takes `spec.read_clocks`; meanwhile the rows of the next
    batch are set, from `spec.settle_clocks` on. Behind the last codes stand two registers. A step without active row
    passes each select of the neurons once.

    Parameters
    ----------
    spec : CrossbarSpec
    rows : int or array_like of int, shape (macros of a column of the tile,)
        Active rows of the step; of several macros those of the one with the most, of a tile those of each macro.
    """
    batches: list[int] = [
        min(spec.rows_per_read, count - first)
        for count in np.atleast_1d(np.asarray(rows, np.int64)).tolist()
        for first in range(0, count, spec.rows_per_read)
    ]
    if not batches:
        return spec.columns_per_adc + 3
    sample: int = 1 + batches[0]
    for batch in batches[1:]:
        sample += max(spec.read_clocks, spec.settle_clocks + batch)
    return sample + spec.read_clocks + 2


def readout_clocks(spec: CrossbarSpec, *, last: bool = True) -> int:
    """Clocks from the spikes of the last step of a window to the end of its readout; for the last window, the class."""
    return spec.all_neurons + 2 + (spec.outputs if last else 0)


def driven_rows(spec: CrossbarSpec, inputs: npt.ArrayLike, spikes: npt.ArrayLike) -> IntArray:
    """Active rows of each step: inputs, and spikes of the step before; of several macros the most that one has.

    Parameters
    ----------
    spec : CrossbarSpec
    inputs : array_like of bool, shape (n, steps, inputs)
    spikes : array_like of bool, shape (n, steps, all neurons)
        Of the liquid.

    Returns
    -------
    ndarray of int64, shape (n, steps), or of a tile (n, steps, macros of a column of it)
    """
    if spec.macro_rows is not None:
        quiet = np.zeros((len(np.asarray(spikes)), 1, spec.neurons), bool)
        before = np.concatenate([quiet, np.asarray(spikes, bool)[:, :-1]], axis=1)
        active = np.concatenate([np.asarray(inputs, bool), before], axis=2)
        starts = np.arange(len(spec.tile_rows)) * spec.macro_rows
        return np.add.reduceat(active, starts, axis=2, dtype=np.int64)
    own = np.asarray(spikes, bool).reshape(-1, spec.steps, spec.macros, spec.neurons).sum(axis=3).max(axis=2)
    rows: IntArray = np.asarray(inputs, bool).sum(axis=2)
    rows[:, 1:] += own[:, :-1]
    return rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Timing:
    """Clocks at which the chip tells something, counted from the first event of the first sample.

    Attributes
    ----------
    spikes : ndarray of int64, shape (n, steps)
        `spikes_valid` of each step.
    classes : ndarray of int64, shape (n,)
        `class_valid` of each sample.
    """

    spikes: IntArray
    classes: IntArray


def sample_timing(spec: CrossbarSpec, events: npt.ArrayLike, rows: Sequence[IntArray] | npt.ArrayLike) -> Timing:
    """Timing of samples whose events are offered without pause.

    Parameters
    ----------
    spec : CrossbarSpec
    events : array_like of int, shape (n, steps)
        Events of each step, without the end of step.
    rows : array_like of int, shape (n, steps) or (n, steps, macros of a column of a tile)
        Active rows of each step, as `driven_rows` counts them.
    """
    offered, active = np.asarray(events, np.int64), np.asarray(rows, np.int64)
    if offered.shape != active.shape[:2] or offered.ndim != 2 or offered.shape[1] != spec.steps:
        raise ValueError(f"expected two arrays of shape (n, {spec.steps}), got {offered.shape} and {active.shape}")
    spikes = np.zeros(offered.shape, np.int64)
    classes = np.zeros(len(offered), np.int64)
    open_, free = 0, 0
    for sample in range(len(offered)):
        for step in range(spec.steps):
            # events enter one per clock from `open_` on, the last one is the end of the step
            start = max(open_ + int(offered[sample, step]) + 1, free)
            done = start + step_clocks(spec, active[sample, step])
            spikes[sample, step] = done
            open_, free = start + 1, done + 1
            if (step + 1) % spec.window_length == 0:
                free += readout_clocks(spec, last=step == spec.steps - 1)
        classes[sample] = free - 1
    return Timing(spikes=spikes, classes=classes)
