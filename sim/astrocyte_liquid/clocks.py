"""Clocks that the chip takes: when each step of a run ends, from the lists that its sources walk."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.lanes import lane_tables
from sim.astrocyte_liquid.network import Network
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.fixed_point import IntArray

__all__ = ["step_ends", "walk_clocks"]

PIPELINE = 2
"""Clocks in which a synapse is on its way after its number was issued."""
READOUT = 3
"""Clocks of the readout beyond one for each neuron and output."""


def walk_clocks(network: Network, spikes: npt.NDArray[np.uint8], *, plastic: bool) -> IntArray:
    """Clocks in which the lanes walk, by step.

    A lane takes its first source two clocks after the walk begins. A list takes a clock for each synapse, an empty one
    takes one, too, and a clock passes before the next. After a source whose neuron is not walked back, three clocks
    pass at least, as what the next one has to walk is read in two of them.

    Parameters
    ----------
    network : Network
    spikes : ndarray of uint8, shape (steps, sources)
    plastic : bool
        Neurons that fire are walked back.

    Returns
    -------
    ndarray of int64, shape (steps,)
        Without the first step of a sample that restores its weights, which `step_ends` knows.
    """
    spec = network.spec
    sources = np.arange(spikes.shape[1])
    fires = spikes.any(axis=1)
    last = spikes.shape[1] - 1 - spikes[:, ::-1].argmax(axis=1)
    found = np.ones(len(spikes), np.int64)
    for lane in range(spec.lanes):
        forward, back = _lengths(network, lane)
        walks_back = plastic & (sources >= spec.first_neuron) & (sources % spec.lanes == lane)
        until_back = np.maximum(forward, 1) + 1
        until_next = np.where(walks_back, until_back + np.maximum(back, 1) + 1, np.maximum(forward, 2) + 1)
        final = np.where(walks_back, back, forward)
        until_idle = np.where(walks_back, until_back, 0) + np.where(final > 0, final + PIPELINE, 1)
        busy = 2 + spikes.astype(np.int64) @ until_next - until_next[last] + until_idle[last]
        found = np.maximum(found, np.where(fires, busy + 1, 1))
    return found


def _lengths(network: Network, lane: int) -> tuple[IntArray, IntArray]:
    """Of each source the synapses, or slots, of its list in a lane, and of the list that enters it as a neuron."""
    spec = network.spec
    sources = np.arange(spec.sources)
    liquid = sources >= spec.first_neuron
    if network.table is not None:
        _, count = network.table.lists(lane)
        block = np.where(liquid, spec.input_blocks + sources % spec.lanes, sources >> spec.ring_bits)
        return count[block].astype(np.int64), np.where(liquid, spec.slots, 0)
    tables = lane_tables(network, lane)
    neuron = np.where(liquid, (sources - spec.first_neuron) // spec.lanes, 0)
    return tables.count[: spec.sources], np.where(liquid, tables.incoming_count[neuron], 0)


def step_ends(
    spec: AstrocyteSpec, walked: IntArray, words: npt.NDArray[np.integer], steps: int, *, restores: bool
) -> IntArray:
    """Clocks in which steps end, from the clock of the first event on, where events are offered without pause.

    A step takes one clock for each word of its events, then it walks, moves its rates in one clock, sweeps a group
    in each, and writes the last of them in two more. Events come meanwhile neither while it walks nor while it sweeps,
    but while the readout runs after the last step of a sample.

    Parameters
    ----------
    spec : AstrocyteSpec
    walked : ndarray of int64, shape (n * steps,)
        Of `walk_clocks`.
    words : ndarray of int, shape (n * steps,)
        Words of the event stream in each step, with the one that ends it.
    steps : int
        Steps of a sample.
    restores : bool
        Samples begin with their stored weights: then the first step walks through all of a lane, and nothing else.
    """
    found = np.zeros(len(walked), np.int64)
    end = -1
    for number, (walk, count) in enumerate(zip(walked.tolist(), words.tolist(), strict=True)):
        first = number % steps == 0
        closed = end + count + 1
        if first and number:
            closed = max(closed, end + spec.outputs * spec.neurons + READOUT + 1)
        if first and restores:
            walk = spec.lane_synapses + PIPELINE + 1
        end = closed + walk + 1 + spec.groups + 2
        found[number] = end
    return found
