"""The liquid: events of the input neurons to spikes, counts and weights; as published or as the chip computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.astrocyte import Rates
from sim.astrocyte_liquid.kernel import run_chip, run_published
from sim.astrocyte_liquid.network import Network
from sim.astrocyte_liquid.neuron import sweep, trace_after
from sim.astrocyte_liquid.published import run_dense
from sim.astrocyte_liquid.synapse import change, changed
from sim.engine import Engine
from sim.fixed_point import IntArray
from sim.messages import shown

__all__ = ["Activity", "Arithmetic", "Liquid"]

Events = npt.NDArray[np.uint8]


class Arithmetic(StrEnum):
    """In what numbers a liquid computes."""

    PUBLISHED = "published"
    """Floating point, the published constants."""
    CHIP = "chip"
    """The integers of an `AstrocyteSpec`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """What a liquid did.

    Attributes
    ----------
    counts : ndarray of int64, shape (n, neurons)
    spikes : ndarray of uint8, shape (n, steps, neurons)
        Empty, shape (n, 0, neurons), unless asked for.
    weights : ndarray, shape (synapses,)
        After the last sample.
    trace : ndarray, shape (sources,)
        After the last sample.
    depression : float
        A- after the last sample; in the chip's steps, where that is the arithmetic.
    """

    counts: IntArray
    spikes: npt.NDArray[np.uint8]
    weights: npt.NDArray[Any]
    trace: npt.NDArray[Any]
    depression: float


class Liquid:
    """A network with its stored weights and traces.

    Parameters
    ----------
    network : Network
    arithmetic : Arithmetic or str
    engine : Engine or str
        `Engine.NUMPY` is the readable definition, all synapses in every step; `Engine.NUMBA` works event by event.
    weights : ndarray, optional
        Stored weights: float64, or int64 codes of the chip; left out, all have the largest magnitude.

    Attributes
    ----------
    weights, trace : ndarray
        What `initialise` leaves, and what each sample of `run` starts from; traces of `run` start at 0.
    """

    def __init__(
        self,
        network: Network,
        arithmetic: Arithmetic | str = Arithmetic.CHIP,
        engine: Engine | str = Engine.NUMBA,
        weights: npt.NDArray[Any] | None = None,
    ) -> None:
        self.network, self.spec = network, network.spec
        self.arithmetic, self.engine = Arithmetic(arithmetic), Engine(engine)
        chip = self.arithmetic is Arithmetic.CHIP
        kind: Any = np.int64 if chip else np.float64
        limit = self.spec.weight_code_max if chip else self.spec.weight_max
        if weights is None:
            weights = network.sign * kind(limit)
        if weights.shape != (len(network),):
            raise ValueError(f"weights: expected the shape ({len(network)},), got {weights.shape}")
        low, high = network.limits
        if not np.all((weights >= low * limit) & (weights <= high * limit)):
            wrong = int(np.argmax((weights < low * limit) | (weights > high * limit)))
            raise ValueError(f"weight of synapse {wrong}: {weights[wrong]} is outside the range of its class")
        self.weights = weights.astype(kind)
        self.trace = np.zeros(self.spec.sources, kind)

    def initialise(self, events: Events, *, spikes: bool = False) -> tuple[IntArray, npt.NDArray[np.uint8]]:
        """Tune the stored weights: samples one after another, weights and traces carried on, rates never fade.

        Parameters
        ----------
        events : ndarray of uint8, shape (n, steps, inputs)
        spikes : bool
            Keep the spikes of every step.

        Returns
        -------
        counts : ndarray of int64, shape (n, neurons)
        spikes : ndarray of uint8, shape (n, steps, neurons)
            Empty, shape (n, 0, neurons), unless asked for.
        """
        self._check(events)
        n, neurons = len(events), self.spec.neurons
        counts = np.zeros((n, neurons), np.int64)
        kept = np.zeros((n, events.shape[1] if spikes else 0, neurons), np.uint8)
        for number, sample in enumerate(events):
            _, self.weights, self.trace, _ = self._one(
                sample, self.weights, self.trace, counts[number], plastic=True, fades=False,
                spikes=kept[number] if spikes else None,
            )  # fmt: skip
        return counts, kept

    def run(self, events: Events, *, plastic: bool = True, spikes: bool = False) -> Activity:
        """Samples that each start from the stored weights; where they are `plastic`, rates fade.

        Parameters
        ----------
        events : ndarray of uint8, shape (n, steps, inputs)
        plastic : bool
            Whether weights change within a sample; else the liquid is frozen.
        spikes : bool
            Keep the spikes of every step.
        """
        self._check(events)
        n, steps, neurons = len(events), events.shape[1], self.spec.neurons
        counts = np.zeros((n, neurons), np.int64)
        kept = np.zeros((n, steps if spikes else 0, neurons), np.uint8)
        if self.engine is Engine.NUMBA and n > 1 and not spikes:
            run = run_chip if self.arithmetic is Arithmetic.CHIP else run_published
            _run_all(run, events, *self._arrays(), self.weights, np.zeros_like(self.trace), plastic, plastic, counts)
            return Activity(counts=counts, spikes=kept, weights=self.weights, trace=self.trace, depression=math.nan)
        weights, trace, depression = self.weights, self.trace, math.nan
        for number, sample in enumerate(events):
            _, weights, trace, depression = self._one(
                sample, self.weights, np.zeros_like(self.trace), counts[number], plastic=plastic, fades=plastic,
                spikes=kept[number] if spikes else None,
            )  # fmt: skip
        return Activity(counts=counts, spikes=kept, weights=weights, trace=trace, depression=depression)

    def _one(
        self, events: Events, weights: npt.NDArray[Any], trace: npt.NDArray[Any], counts: IntArray, *, plastic: bool,
        fades: bool, spikes: npt.NDArray[np.uint8] | None,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any], npt.NDArray[Any], float]:  # fmt: skip
        """One sample; fills `counts` and, where given, `spikes`."""
        if self.engine is Engine.NUMPY:
            dense = self._dense if self.arithmetic is Arithmetic.CHIP else self._published
            found = dense(events, weights, trace, plastic, fades)
            counts[:] = found[0].sum(axis=0)
            if spikes is not None:
                spikes[:] = found[0]
            return found
        run = run_chip if self.arithmetic is Arithmetic.CHIP else run_published
        w, x = weights.copy(), trace.copy()
        raster = np.zeros((1, self.spec.neurons), np.uint8) if spikes is None else spikes
        depression = run(events, *self._arrays(), w, x, plastic, fades, counts, raster)
        return raster, w, x, float(depression)

    def _published(
        self, events: Events, weights: npt.NDArray[Any], trace: npt.NDArray[Any], plastic: bool, fades: bool
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any], npt.NDArray[Any], float]:
        return run_dense(self.network, events, weights, trace, plastic=plastic, fades=fades)

    def _dense(
        self, events: Events, weights: npt.NDArray[Any], trace: npt.NDArray[Any], plastic: bool, fades: bool
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any], npt.NDArray[Any], float]:
        """One sample of the chip, stage by stage."""
        spec, network = self.spec, self.network
        first = spec.first_neuron
        low, high = (network.matrix(limit) for limit in network.limits)
        sign = np.where(np.arange(spec.sources) >= first + spec.excitatory, -1, 1)
        w, x = network.matrix(weights).astype(np.int64), trace.copy()
        membrane, current = np.zeros(spec.neurons, np.int64), np.zeros(spec.neurons, np.int64)
        refractory = np.zeros(spec.sources, np.int64)
        pending = np.zeros(first, bool)
        fires = np.zeros(spec.neurons, bool)
        rates = Rates.first(spec)
        spikes = np.zeros((len(events), spec.neurons), np.uint8)
        for step, kicked in enumerate(events):
            from_inputs = pending & (refractory[:first] == 0)
            fired = np.concatenate([from_inputs, fires])
            spikes[step] = fires
            current = current + fired.astype(np.int64) @ w
            if plastic:
                potentiation = change(rates.potentiation, x, spec)
                depression = change(rates.depression, x[first:], spec)
                w = changed(w, low, high, sign, fired, potentiation, depression, spec)
            swept = sweep(membrane, current, refractory[first:], fires, spec)
            membrane, current = swept.membrane, swept.current
            pending &= ~from_inputs
            pending[: spec.inputs] |= kicked.astype(bool)
            refractory = np.where(fired, spec.refractory_steps, np.maximum(refractory - 1, 0))
            x = trace_after(x, fired, spec)
            rates = rates.after(int(fires.sum()), int(from_inputs.sum()), fades, spec)
            fires = swept.fires
        return spikes, w[network.source, network.target], x, float(rates.depression)

    def _arrays(self) -> tuple[Any, ...]:
        """What the kernels know of network and constants."""
        spec, network = self.spec, self.network
        if self.arithmetic is Arithmetic.CHIP:
            constants: tuple[Any, ...] = (
                spec.threshold_code, spec.leak_shift, spec.refractory_steps, spec.weight_code_max, spec.trace_step_code,
                spec.rate_guard, spec.change_shift, spec.membrane_max, spec.rate_max, spec.potentiation_code,
                spec.astrocyte_code, spec.bias_code,
            )  # fmt: skip
        else:
            constants = (
                spec.spike_threshold, 2.0**-spec.leak_shift, spec.refractory_steps, spec.weight_max, spec.trace_step,
                math.exp(-0.1), math.exp(-1), spec.potentiation, spec.astrocyte_weight, spec.astrocyte_bias, 0.01, 0.99,
            )  # fmt: skip
        return (
            network.start, network.target, network.incoming_start, network.incoming, network.incoming_source,
            spec.inputs, spec.first_neuron, spec.first_neuron + spec.excitatory, constants,
        )  # fmt: skip

    def _check(self, events: Events) -> None:
        if events.ndim != 3 or events.shape[2] != self.spec.inputs:
            raise ValueError(f"events: expected the shape (n, steps, {self.spec.inputs}), got {events.shape}")
        if events.dtype != np.uint8:
            raise TypeError(f"events: expected uint8, got {shown(events.dtype, quoted=False)}")


@numba.njit(parallel=True, cache=True)  # type: ignore[untyped-decorator]
def _run_all(
    run: Callable[..., Any], events: Any, start: Any, target: Any, incoming_start: Any, incoming: Any,
    incoming_source: Any, inputs: Any,
    first_neuron: Any, inhibitory: Any, constants: Any, weights: Any, trace: Any, plastic: Any, fades: Any,
    counts: Any,
) -> None:  # fmt: skip
    """Samples on all cores, each with weights and traces of its own."""
    for number in numba.prange(len(events)):
        raster = np.zeros((1, counts.shape[1]), np.uint8)
        run(
            events[number], start, target, incoming_start, incoming, incoming_source, inputs, first_neuron, inhibitory,
            constants, weights.copy(), trace.copy(), plastic, fades, counts[number], raster,
        )  # fmt: skip
