"""Glitches: transitions of a netlist with delays over those without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.netlist.delays import DelaySimulator, NetTiming
from flows.netlist.gate_simulation import GateSimulator, to_lanes
from flows.power.activity import Activity

__all__ = ["Glitches", "glitches"]


# --- glitches ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class Glitches:
    """Transitions with delays and without, of the same clocks.

    Attributes
    ----------
    delayed, settled : ndarray of int64, shape (rows,)
        Transitions over all sampled clocks, of nets that cells drive.
    clocks : int
    latest_ns : float
        Time of the last transition after the clock edge.
    """

    delayed: npt.NDArray[np.int64]
    settled: npt.NDArray[np.int64]
    clocks: int
    latest_ns: float


def glitches(
    simulator: GateSimulator, activity: Activity, timing: NetTiming, *, clocks: int = 24, scatter: float = 0.0,
    seed: int = 1,
) -> Glitches:  # fmt: skip
    """Replay some of the kept clocks with delays.

    Parameters
    ----------
    clocks : int
        Sample size; pairs are taken evenly from those kept.
    scatter : float
        Relative standard deviation of gate delays: shows how far the estimate hangs on exact delays.
    seed : int
        Of the scatter.
    """
    replay = DelaySimulator(simulator, timing, scatter=scatter, seed=seed, opens_ns=activity.opens_ns)
    lanes = np.flatnonzero(to_lanes(activity.mask))
    chosen = lanes[np.linspace(0, len(lanes) - 1, min(clocks, len(lanes))).astype(int)]
    delayed, settled = np.zeros(simulator.rows, np.int64), np.zeros(simulator.rows, np.int64)
    latest = 0
    for lane in chosen:
        word, bit = divmod(int(lane), 64)
        before, after = (
            (states[:, word] >> np.uint64(bit) & np.uint64(1)).astype(np.bool_)
            for states in (activity.before, activity.after)
        )
        delayed += replay.replay(before, after) * replay.switching
        settled += (before != after) & replay.switching
        latest = max(latest, replay.last_ps)
    return Glitches(delayed=delayed, settled=settled, clocks=len(chosen), latest_ns=latest / 1000)
