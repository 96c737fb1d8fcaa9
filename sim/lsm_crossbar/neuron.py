"""Leaky integrate-and-fire neurons in integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.lsm_crossbar.spec import CrossbarSpec

BoolArray = npt.NDArray[np.bool_]


def leak(membrane: IntArray, terms: tuple[int, ...]) -> IntArray:
    """Shift-add decay of potentials: ``u`` plus ``u >> s`` for a term ``s > 0``, minus ``u >> -s`` for ``s < 0``.

    Shifts are arithmetic (floor), so a potential of -1 decays to 0, and a small positive one can stop decaying.
    """
    result = membrane.copy()
    for term in terms:
        result += membrane >> term if term > 0 else -(membrane >> -term)
    return result


@dataclass(frozen=True, kw_only=True, eq=False)
class Fired:
    """End of a step.

    Attributes
    ----------
    spikes : ndarray of bool, shape (neurons,)
    membrane : ndarray of int64, shape (neurons,)
        Potential that the next step starts from.
    refractory : ndarray of int64, shape (neurons,)
        Further steps in which the neuron cannot spike.
    """

    spikes: BoolArray
    membrane: IntArray
    refractory: IntArray


def fire(membrane: IntArray, refractory: IntArray, threshold: int | IntArray, spec: CrossbarSpec) -> Fired:
    """Compare, reset or leak.

    A neuron spikes if its potential exceeds the threshold and it is not refractory; then its potential is 0. The others
    leak. ``u(t) = decay * u(t-1) * (1 - s(t-1)) + input(t)`` of Lin et al., Nat. Comput. Sci. 5 (2025) 37, with the
    decay applied when the potential is stored.

    Parameters
    ----------
    membrane, refractory : ndarray of int64, shape (neurons,)
        Potential after the last batch of the step; steps in which the neuron still cannot spike, 0: it can.
    threshold : int or ndarray of int64, shape (neurons,)
    spec : CrossbarSpec
    """
    spikes = (membrane > threshold) & (refractory == 0)
    return Fired(
        spikes=spikes,
        membrane=np.where(spikes, 0, leak(membrane, spec.leak)),
        refractory=np.where(spikes, spec.refractory_steps, np.maximum(refractory - 1, 0)),
    )
