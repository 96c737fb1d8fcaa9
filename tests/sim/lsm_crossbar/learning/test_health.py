"""Health of a liquid against cases that are known by hand or by a theorem."""

import numpy as np
import pytest

from sim.lsm_crossbar.learning.health import (
    branching_factor,
    fading_memory,
    liquid_health,
    memory_steps,
    recurrent_weights,
    separation,
    spectral_radius,
)
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec

SMALL = CrossbarSpec(
    name="SMALL", inputs=2, neurons=3, steps=10, outputs=2, threshold=4, leak=(-1,), rows=8, columns=8,
    columns_per_adc=4, adc_shift=0, rows_per_read=8,
)  # fmt: skip


def test_spectral_radius_by_hand() -> None:
    """Diagonal, permutation, rotation and scaling, nilpotent."""
    assert spectral_radius(np.diag([1.0, -3.0, 2.0])) == pytest.approx(3)
    assert spectral_radius(np.roll(np.eye(7), 1, axis=0)) == pytest.approx(1)
    assert spectral_radius(1.5 * np.array([[0, -1], [1, 0]])) == pytest.approx(1.5)
    assert spectral_radius(np.triu(np.ones((5, 5)), 1)) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="square"):
        spectral_radius(np.zeros((2, 3)))


def test_recurrent_weights_and_circular_law() -> None:
    """The order of rows and pairs by hand; a drawn macro has the radius of the circular law, sigma sqrt(n)."""
    codes = np.zeros((8, 8), int)
    codes[2 + 1, 2 * 0] = 12  # from neuron 1 to neuron 0, plus
    codes[2 + 0, 2 * 2 + 1] = 20  # from neuron 0 to neuron 2, minus
    codes[1, 0] = codes[7, 0] = codes[3, 6] = 63  # an input row, a row never driven, a pair without neuron
    weights = recurrent_weights(SMALL, Conductances.of(SMALL, codes))
    expected = np.zeros((3, 3))
    expected[0, 1], expected[2, 0] = 3, -5
    assert weights == pytest.approx(expected)
    weights = recurrent_weights(N_MNIST, draw(N_MNIST, 7))
    formed, mean, square = 0.493, np.exp(2.5016 + 0.1475**2 / 2), np.exp(2 * 2.5016 + 2 * 0.1475**2)
    sigma = np.sqrt(2 * (formed * square - (formed * mean) ** 2)) / N_MNIST.g_lsb_us
    expected_radius = sigma * np.sqrt(200) / 2**N_MNIST.adc_shift / N_MNIST.threshold
    assert spectral_radius(weights) == pytest.approx(expected_radius, rel=0.12)


def test_separation_by_hand() -> None:
    """Two classes 6 apart: c_d = 2*6/4, and spreads of 0 and of 1 (mean 1/2) around the centres."""
    states = np.array([[0, 0], [0, 0], [6, 1], [6, -1]])
    assert separation(states, np.array([4, 4, 7, 7])) == pytest.approx(3 / 1.5)
    assert separation(states[:2], np.array([0, 1])) == 0
    assert separation(states.reshape(4, 2, 1), np.array([4, 4, 7, 7])) == pytest.approx(2)
    with pytest.raises(ValueError, match="one label"):
        separation(states, np.array([0]))


def test_fading_memory_by_hand() -> None:
    first = np.zeros((2, 5, 4), bool)
    second = first.copy()
    second[0, 0] = second[1, 0, :2] = True  # 6 of 8
    second[1, 2, 0] = True  # 1 of 8
    distance = fading_memory(first, second)
    assert distance.tolist() == [0.75, 0, 0.125, 0, 0]
    assert memory_steps(distance, 0) == 2
    assert memory_steps(distance, 1, remains=0.2) == 0
    assert memory_steps(np.zeros(5), 0) == 0
    assert memory_steps(np.array([0.5, 0.4, 0.3]), 0) is None
    with pytest.raises(ValueError, match="two arrays of shape"):
        fading_memory(first, second[:1])


def chain(neurons: int, fan: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """An avalanche down a tree: neuron j projects to fan*j+1 .. fan*j+fan, each layer one step later."""
    connected = np.zeros((neurons, neurons), bool)
    for child in range(1, neurons):
        connected[child, (child - 1) // fan] = True
    spikes = np.zeros((1, steps, neurons), bool)
    layer, step = [0], 5
    while layer:
        spikes[0, step, layer] = True
        layer = [c for j in layer for c in range(fan * j + 1, fan * j + fan + 1) if c < neurons]
        step += 1
    return spikes, connected


def test_branching_factor_by_hand() -> None:
    """A chain has 1, a tree its fan-out, without the leaves; silence and unconnected neurons have 0."""
    spikes, connected = chain(12, 1, 30)
    assert branching_factor(spikes, connected) == pytest.approx(11 / 12)
    for fan in (2, 3):
        neurons = sum(fan**k for k in range(5))
        spikes, connected = chain(neurons, fan, 30)
        leaves = fan**4
        assert branching_factor(spikes, connected) == pytest.approx(fan * (neurons - leaves) / neurons)
    assert branching_factor(np.zeros_like(spikes), connected) == 0
    assert branching_factor(np.ones((2, 9, 3), bool), np.zeros((3, 3), bool)) == 0
    # two presynaptic spikes in the window halve the ratio; beyond the window nothing counts; edges are left out
    spikes = np.zeros((1, 12, 3), bool)
    spikes[0, [1, 3], 0] = spikes[0, 5, 1] = spikes[0, 6, 2] = True
    connected = np.zeros((3, 3), bool)
    connected[1, 0] = connected[2, 1] = True
    assert branching_factor(spikes, connected, window=4) == pytest.approx((1 + 1 + 1 / 2 + 0) / 4)
    assert branching_factor(spikes, connected, window=2) == pytest.approx((0 + 1 + 1 + 0) / 4)
    assert branching_factor(spikes, connected, window=4, edge=4) == pytest.approx((1 / 2 + 0) / 2)
    with pytest.raises(ValueError, match="square matrix"):
        branching_factor(spikes, connected[:2])
    with pytest.raises(ValueError, match="window must be at least 1"):
        branching_factor(spikes, connected, window=0)


def test_liquid_health_of_a_relay() -> None:
    """Input 0 fires neuron 0, which fires neuron 1, and so on: rate, radius, branching and memory by hand."""
    codes = np.zeros((8, 8), int)
    codes[0, 0] = 5  # input 0 -> neuron 0
    codes[2 + 0, 2] = codes[2 + 1, 4] = 5  # 0 -> 1 -> 2
    liquid = Liquid(SMALL, Conductances.of(SMALL, codes))
    inputs = np.zeros((2, 10, 2), np.uint8)
    inputs[0, 0, 0] = 1
    health = liquid_health(liquid, inputs, np.array([0, 1]))
    assert health.rate == pytest.approx(3 / 60)
    assert health.silent == 0
    assert health.spectral_radius == pytest.approx(0, abs=1e-9)
    # spikes in steps 0, 1, 2 of ten; of them only those outside the edges of 4 steps would be averaged: none
    assert health.branching_factor == 0
    # the first two steps of the samples are exchanged: they differ in steps 0, 1 and 2, the last one after step 1
    assert health.memory_steps == 1
    assert health.memory_left == 0
    assert health.separation == pytest.approx(2 * np.sqrt(3) / 4)
    assert health.input_separation == pytest.approx(2 * 1 / 4)


def test_a_latch_does_not_forget() -> None:
    """A neuron that fires itself goes on for ever: spectral radius above 1, no fading, one spike per step."""
    codes = np.zeros((8, 8), int)
    codes[0, 0] = codes[2 + 0, 0] = 5  # input 0 -> neuron 0 -> neuron 0
    liquid = Liquid(SMALL, Conductances.of(SMALL, codes))
    inputs = np.zeros((2, 10, 2), np.uint8)
    inputs[0, 0, 0] = 1
    health = liquid_health(liquid, inputs, np.array([0, 1]))
    assert health.spectral_radius == pytest.approx(5 / 4)
    assert health.memory_steps is None
    assert health.memory_left == pytest.approx(1)
    assert health.rate == pytest.approx(10 / 60)
    assert health.branching_factor == pytest.approx(1)
