"""Health of a liquid: separation, memory, growth of disturbances, spectral radius, branching factor.

Functions take plain arrays, so that any liquid can be judged.

Sources: W. Maass, T. Natschlaeger and H. Markram, "Real-time computing without stable states", Neural Comput. 14 (2002)
2531 (separation and fading memory as properties); H. Jaeger, "Short term memory in echo state networks", GMD Report 152
(2001) (memory capacity); N. Bertschinger and T. Natschlaeger, "Real-time computation at the edge of chaos in recurrent
neural networks", Neural Comput. 16 (2004) 1413 (growth of a disturbance); D. Norton and D. Ventura, "Improving liquid
state machines through iterative refinement of the reservoir", Neurocomputing 73 (2010) 2893 (separation as a number);
V. A. Ivanov and K. P. Michmizos, "Increasing liquid state machine performance with edge-of-chaos dynamics organized by
astrocyte-modulated plasticity", NeurIPS 2021 (branching factor).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BRANCHING_WINDOW",
    "branching_factor",
    "fading_memory",
    "growth",
    "memory_capacity",
    "memory_steps",
    "separation",
    "spectral_radius",
]

BRANCHING_WINDOW = 4
"""Steps before and after a spike in which the branching factor counts."""
RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Penalties of a reconstruction, in units of the sum of squares of a feature in the fit, mean over the features."""


def spectral_radius(weights: NDArray[Any]) -> float:
    """Largest magnitude of an eigenvalue of a square matrix.

    Raises
    ------
    ValueError
        If the matrix is not square.
    """
    weights = np.asarray(weights, np.float64)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1]:
        raise ValueError(f"weights: expected a square matrix, got shape {weights.shape}")
    return float(np.abs(np.linalg.eigvals(weights)).max())


def separation(states: NDArray[Any], labels: NDArray[Any]) -> float:
    """Separation of classes in state space (Norton and Ventura, 2010, equations 1 to 3).

    ``c_d / (c_v + 1)`` with ``c_d = sum over class pairs |centre_a - centre_b| / classes**2`` and ``c_v`` the mean over
    the classes of the mean distance of a state from its class's centre.

    Parameters
    ----------
    states : array_like, shape (n, ...)
        Liquid states, for instance spike counts; all axes but the first are one vector.
    labels : array_like of int, shape (n,)

    Raises
    ------
    ValueError
        No sample, or not one label for each.
    """
    flat = np.asarray(states, np.float64).reshape(len(states), -1)
    classes = np.asarray(labels)
    if classes.shape != (len(flat),) or not len(flat):
        raise ValueError(f"expected one label for each of at least one state, got {classes.shape} for {len(flat)}")
    present = np.unique(classes)
    centres = np.stack([flat[classes == label].mean(axis=0) for label in present])
    between = np.linalg.norm(centres[:, None] - centres[None], axis=2).sum() / len(present) ** 2
    within = np.mean(
        [
            np.linalg.norm(flat[classes == label] - centre, axis=1).mean()
            for label, centre in zip(present, centres, strict=True)
        ]
    )
    return float(between / (within + 1))


def fading_memory(spikes: NDArray[Any], disturbed: NDArray[Any]) -> NDArray[np.float64]:
    """Distance of two courses of the liquid by step: fraction of neurons that differ, mean over the samples.

    Parameters
    ----------
    spikes, disturbed : array_like of 0 and 1, shape (n, steps, neurons)
        The liquid's spikes for inputs, and for the same inputs disturbed in early steps.

    Returns
    -------
    ndarray of float64, shape (steps,)
        It falls to 0 where the liquid forgets the disturbance.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    first, second = np.asarray(spikes, bool), np.asarray(disturbed, bool)
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(f"expected two arrays of shape (n, steps, neurons), got {first.shape} and {second.shape}")
    distance: NDArray[np.float64] = (first != second).mean(axis=(0, 2))
    return distance


def memory_steps(distance: NDArray[np.float64], last_disturbed: int, remains: float = 0.1) -> int | None:
    """Steps after the last disturbed one until the distance stays below `remains` of its largest value.

    None if it never does: the liquid does not forget within the sample. 0 if there is no distance at all.
    """
    limit = remains * distance.max()
    if limit == 0:
        return 0
    above = np.flatnonzero(distance >= limit)
    end = int(above[-1]) + 1
    return None if end >= len(distance) else max(end - 1 - last_disturbed, 0)


def growth(distance: NDArray[np.float64], step: int = 0, span: int = 10) -> float:
    """Factor by which the effect of a disturbance grows in `span` steps: above 1 it spreads, below 1 it is forgotten.

    Parameters
    ----------
    distance : ndarray, shape (steps,)
        Of `fading_memory`, for a disturbance so small that its effect has room to grow.
    step : int
        Of the disturbance. In the first `span` steps after it neurons take it up; the mean over the third `span` steps
        is divided by that over the second.
    span : int

    Returns
    -------
    float
        0 if the disturbance has no effect.

    Raises
    ------
    ValueError
        If there are fewer steps.
    """
    if len(distance) <= step + 3 * span:
        raise ValueError(f"expected more than {step + 3 * span} steps, got {len(distance)}")
    _, second, third = distance[step + 1 : step + 1 + 3 * span].reshape(3, span).mean(axis=1)
    return float(third / second) if second else 0.0


def memory_capacity(states: NDArray[Any], signal: NDArray[Any], delays: int = 20) -> NDArray[np.float64]:
    """How well the liquid's state tells what an input signal was some steps ago; the sum is the capacity in steps.

    By delay, the squared correlation of the signal with its best linear reconstruction from the states (Jaeger, 2001).
    The first half of the samples fits it, the third quarter chooses its penalty among `RIDGES`, the last is scored.

    Parameters
    ----------
    states : array_like, shape (n, steps, features)
    signal : array_like, shape (n, steps)
        Random, every step independent of all others.
    delays : int
        Delays of 0 to `delays` - 1 steps.

    Returns
    -------
    ndarray of float64, shape (delays,)

    Raises
    ------
    ValueError
        Shapes that do not fit, fewer than four samples, or samples not longer than `delays`.
    """
    seen, sent = np.asarray(states, np.float64), np.asarray(signal, np.float64)
    if seen.ndim != 3 or sent.shape != seen.shape[:2]:
        raise ValueError(f"expected states (n, steps, features) and (n, steps), got {seen.shape} and {sent.shape}")
    samples, steps, features = seen.shape
    if samples < 4 or steps <= delays:
        raise ValueError(f"expected at least 4 samples of more than {delays} steps, got {samples} of {steps}")
    past = np.stack([sent[:, delays - 1 - delay : steps - delay] for delay in range(delays)], axis=-1)
    parts = (slice(0, samples // 2), slice(samples // 2, samples * 3 // 4), slice(samples * 3 // 4, samples))
    x = [seen[part, delays - 1 :].reshape(-1, features) for part in parts]
    y = [past[part].reshape(-1, delays) for part in parts]
    x, y = [one - x[0].mean(axis=0) for one in x], [one - y[0].mean(axis=0) for one in y]
    values, vectors = np.linalg.eigh(x[0].T @ x[0])
    along = vectors.T @ (x[0].T @ y[0])
    unit = max(values.mean(), 1e-30)

    def score(ridge: float, part: int) -> NDArray[np.float64]:
        """Squared correlations in a part."""
        found = x[part] @ (vectors @ (along / (np.maximum(values, 0)[:, None] + ridge * unit)))
        found, target = found - found.mean(axis=0), y[part] - y[part].mean(axis=0)
        both = (found**2).sum(axis=0) * (target**2).sum(axis=0)
        squared = np.zeros(delays)
        np.divide((found * target).sum(axis=0) ** 2, both, out=squared, where=both > 0)
        return squared

    return score(max(RIDGES, key=lambda ridge: float(score(ridge, 1).sum())), 2)


def branching_factor(
    spikes: NDArray[Any], connected: NDArray[Any], *, window: int = BRANCHING_WINDOW, edge: int = 0
) -> float:
    """Mean over the liquid's spikes of later postsynaptic over earlier presynaptic spikes (Ivanov and Michmizos, 2021).

    For a spike of neuron j at step t it is the number of spikes of neurons that j projects to, in steps t+1 to
    t+window, over the number of spikes of neurons that project to j, in steps t-window to t-1, the latter at least 1.

    Parameters
    ----------
    spikes : array_like of 0 and 1, shape (n, steps, neurons)
    connected : array_like of bool, shape (neurons, neurons)
        Connections, to and from.
    window : int
        Steps before and after.
    edge : int
        Steps at either end of a sample whose spikes are not averaged (their windows may be cut).

    Returns
    -------
    float
        0 if no spike is left to average over.

    Raises
    ------
    ValueError
        Shapes that do not fit, or a window below 1.
    """
    fired, mask = np.asarray(spikes, np.float64), np.asarray(connected, np.float64)
    if fired.ndim != 3 or mask.shape != (fired.shape[2], fired.shape[2]):
        raise ValueError(f"expected spikes (n, steps, neurons) and a square matrix, got {fired.shape} and {mask.shape}")
    if window < 1 or edge < 0:
        raise ValueError(f"window must be at least 1 and edge at least 0, got {window} and {edge}")
    steps = fired.shape[1]
    total = np.cumsum(np.pad(fired, ((0, 0), (1, 0), (0, 0))), axis=1)
    at = np.arange(steps)
    after = total[:, np.minimum(at + window, steps - 1) + 1] - total[:, at + 1]
    before = total[:, at] - total[:, np.maximum(at - window, 0)]
    ratio = (after @ mask) / np.maximum(before @ mask.T, 1.0)
    inner = slice(edge, steps - edge)
    count = fired[:, inner].sum()
    return float((ratio[:, inner] * fired[:, inner]).sum() / count) if count else 0.0
