"""Clocks of the astrocyte liquid, counted by hand; the benches compare those of every step with the hardware."""

from dataclasses import replace

import numpy as np

from sim.astrocyte_liquid.clocks import step_ends, walk_clocks
from sim.astrocyte_liquid.example_specs import campaign_spec, seeded_spec
from sim.astrocyte_liquid.network import draw

SPEC = campaign_spec()
NEURON = SPEC.first_neuron


def walked(*fires: int, plastic: bool = False) -> int:
    """Two lanes: input 0 has three synapses in lane 0, input 1 has one in lane 1; all neurons lead nowhere."""
    network = replace(
        draw(SPEC, 1), source=np.array([0, 0, 0, 1], np.int32), target=np.array([0, 0, 2, 1], np.int32),
        sign=np.ones(4, np.int8),
    )  # fmt: skip
    spikes = np.zeros((1, SPEC.sources), np.uint8)
    spikes[0, list(fires)] = 1
    return int(walk_clocks(network, spikes, plastic=plastic)[0])


def test_clocks_of_a_walk() -> None:
    assert walked() == 1
    # two to read the list, three synapses, two until the last is written, and the clock that sees it
    assert walked(0) == 2 + 3 + 2 + 1
    # lane 1: the empty list of input 0 and what it takes to read the next
    assert walked(0, 1) == 2 + 3 + 1 + 2 + 1
    # neuron 0 has two synapses; its own list is empty
    assert walked(NEURON) == 2 + 1 + 1
    assert walked(NEURON, plastic=True) == 2 + 2 + 2 + 2 + 1
    # neuron 4 has none: two empty lists
    assert walked(NEURON + 4, plastic=True) == 2 + 2 + 1 + 1
    assert walked(0, NEURON, plastic=True) == 2 + 4 + 2 + 2 + 2 + 1


def test_seeded_chips_walk_all_slots_back() -> None:
    spec = seeded_spec()
    network = draw(spec, 1)
    spikes = np.zeros((1, spec.sources), np.uint8)
    spikes[0, spec.first_neuron] = 1
    assert network.table is not None
    forward = network.table.lists(0)[1][spec.input_blocks]
    assert walk_clocks(network, spikes, plastic=True) == 2 + forward + 1 + spec.slots + 2 + 1


def test_clocks_of_steps() -> None:
    """Events, walk, rates, sweep, two more; a sample waits for the readout of the one before."""
    walks, words = np.array([1, 8, 1, 8]), np.array([3, 1, 5, 1])
    step = 1 + SPEC.groups + 2
    ends = step_ends(SPEC, walks, words, 2, restores=False)
    readout = SPEC.outputs * SPEC.neurons + 3
    assert ends.tolist() == [
        3 + 1 + step,
        3 + 1 + step + 2 + 8 + step,
        3 + 1 + step + 2 + 8 + step + readout + 1 + 1 + step,
        3 + 1 + step + 2 + 8 + step + readout + 1 + 1 + step + 2 + 8 + step,
    ]
    restored = step_ends(SPEC, walks, words, 2, restores=True)
    assert (restored - ends).tolist() == [SPEC.lane_synapses + 2] * 2 + [2 * (SPEC.lane_synapses + 2)] * 2
