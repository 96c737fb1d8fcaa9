"""The liquid: compiled kernels against the readable definitions, and both against the published equations by hand."""

import math

import numpy as np
import pytest

from sim.astrocyte_liquid.example_specs import campaign_spec, random_spec
from sim.astrocyte_liquid.kernel import poisson_events
from sim.astrocyte_liquid.learning.images import image_events, probabilities
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import Network, draw
from sim.astrocyte_liquid.neuron import input_spikes
from sim.astrocyte_liquid.spec import NALSM_1000, AstrocyteSpec
from sim.digits import mnist_digits
from sim.engine import Engine

LIVELY = AstrocyteSpec(
    name="LIVELY", grid=(3, 3, 3), inputs=21, outputs=3, steps=60, lanes=4, lane_synapses=200, input_density=0.5,
    excitatory_fraction=0.7, astrocyte_weight=0.1,
)  # fmt: skip


def events_of(spec: AstrocyteSpec, samples: int, density: float = 0.15) -> np.ndarray:
    return np.stack([poisson_events(np.full(spec.inputs, density), spec.steps, seed) for seed in range(samples)])


@pytest.mark.parametrize("arithmetic", Arithmetic)
@pytest.mark.parametrize("spec", [LIVELY, campaign_spec(), random_spec(np.random.default_rng(4))], ids=lambda s: s.name)
def test_engines_agree(spec: AstrocyteSpec, arithmetic: Arithmetic) -> None:
    network, events = draw(spec, 1), events_of(spec, 4, 0.3)
    slow, fast = (Liquid(network, arithmetic, engine) for engine in Engine)
    for plastic in (True, False):
        one, other = (liquid.run(events, plastic=plastic, spikes=True) for liquid in (slow, fast))
        assert (one.spikes == other.spikes).all()
        assert np.allclose(one.weights, other.weights, rtol=0, atol=1e-12)
        assert np.allclose(one.trace, other.trace, rtol=0, atol=1e-12)
        assert math.isclose(one.depression, other.depression, abs_tol=1e-12)
        assert (fast.run(events, plastic=plastic).counts == one.counts).all()
    assert (slow.initialise(events)[0] == fast.initialise(events)[0]).all()
    assert np.allclose(slow.weights, fast.weights, rtol=0, atol=1e-12)
    assert np.allclose(slow.trace, fast.trace, rtol=0, atol=1e-12)
    assert (slow.weights != network.sign * slow.weights.max()).any()


def one_synapse(weight_sign: int = 1) -> Network:
    """One input neuron that projects to neuron 0 of two."""
    spec = AstrocyteSpec(name="PAIR", grid=(2, 1, 1), inputs=2, outputs=2, lanes=2, lane_synapses=8, weight_max=30)
    whole = draw(spec, 0)
    return Network(
        spec=spec, seed=0, source=np.array([0], np.int32), target=np.array([0], np.int32),
        sign=np.array([weight_sign], np.int8), position=whole.position,
    )  # fmt: skip


@pytest.mark.parametrize("engine", Engine)
def test_one_synapse_by_hand(engine: Engine) -> None:
    """An event in step 0 fires the input in step 1; w exp(-age) with w = 30 lifts the neuron over 20 at once: it fires
    in step 2, and by what is left of the current, 11.04 and 4.06, not again. A+ = 0.15, A- = 0.15 at first."""
    network = one_synapse()
    events = np.zeros((1, 12, 2), np.uint8)
    events[0, 0, 0] = 1
    liquid = Liquid(network, Arithmetic.PUBLISHED, engine)
    found = liquid.run(events, spikes=True, plastic=True)
    assert np.argwhere(found.spikes[0]).tolist() == [[2, 0]]
    # the source's trace when the neuron fires: 0.1 of step 1, decayed once; A+ has faded twice
    change = 0.15 * 0.99**2 * (math.exp(-0.1) * 0.1)
    assert math.isclose(found.weights[0], min(30.0, 30.0 + change))
    start = Liquid(network, Arithmetic.PUBLISHED, engine, weights=np.array([25.0]))
    assert math.isclose(start.run(events, spikes=True).weights[0], 25.0 + change)
    trace = start.run(events, spikes=True).trace
    assert math.isclose(trace[0], 0.1 * math.exp(-0.1) ** 11)
    assert math.isclose(trace[2], 0.1 * math.exp(-0.1) ** 10)


@pytest.mark.parametrize("engine", Engine)
def test_a_source_that_fires_after_its_neuron_is_depressed(engine: Engine) -> None:
    network = one_synapse()
    events = np.zeros((1, 12, 2), np.uint8)
    events[0, [0, 5], 0] = 1
    liquid = Liquid(network, Arithmetic.PUBLISHED, engine, weights=np.array([25.0]))
    found = liquid.run(events, spikes=True)
    assert np.argwhere(found.spikes[0])[:2].tolist() == [[2, 0], [7, 0]]
    a_plus, a_minus, w_a, b_a = 0.15, 0.15, 0.015, 0.15
    weight, x_in, x_out = 25.0, 0.0, 0.0
    for step in range(12):
        source, neuron = step in (1, 6), step in (2, 7)
        weight += a_plus * x_in * neuron - a_minus * x_out * source
        x_in, x_out = (math.exp(-0.1) * (x + 0.1 * s) for x, s in ((x_in, source), (x_out, neuron)))
        a_minus += (w_a * (neuron - source) + b_a - a_minus) / 100
        a_plus, a_minus, w_a, b_a = (0.99 * rate for rate in (a_plus, a_minus, w_a, b_a))
    assert math.isclose(found.weights[0], weight)
    assert math.isclose(found.depression, a_minus)


def test_inputs_fire_at_most_every_third_step() -> None:
    spikes = input_spikes(np.ones((30, 1), np.uint8), LIVELY)
    assert np.flatnonzero(spikes[:, 0]).tolist() == list(range(1, 30, 3))
    late = np.zeros((10, 1), np.uint8)
    late[[0, 2]] = 1  # the second event waits until the neuron is free
    assert np.flatnonzero(input_spikes(late, LIVELY)[:, 0]).tolist() == [1, 4]


def test_events_are_of_their_probability() -> None:
    events = poisson_events(np.array([0.0, 0.2, 1.0]), 20_000, 7)
    assert events[:, 0].sum() == 0
    assert events[:, 2].all()
    assert abs(events[:, 1].mean() - 0.2) < 5 * (0.16 / 20_000) ** 0.5
    assert (poisson_events(np.array([0.0, 0.2, 1.0]), 20_000, 8) != events).any()
    assert (poisson_events(np.array([0.5, 0.2, 1.0]), 20_000, 7)[:, 1:] == events[:, 1:]).all()


def test_rates_of_the_prototype() -> None:
    """1,000 neurons on MNIST: about 20 events a step, far more spikes of the liquid, about 35 once it is tuned."""
    digits = mnist_digits()
    _, scale = probabilities(digits.images, NALSM_1000)
    probability, _ = probabilities(digits.images[::50], NALSM_1000, scale)
    assert 18 < probability.sum(axis=1).mean() < 26
    liquid = Liquid(draw(NALSM_1000, 0))
    counts, _ = liquid.initialise(image_events(probability, 20, np.arange(200)))
    assert counts[0].sum() / 20 > 100
    tuned = liquid.run(image_events(probability[:4], 250, np.arange(4))).counts.sum() / 1000
    assert 25 < tuned < 55


def test_bad_input_is_refused() -> None:
    liquid = Liquid(draw(LIVELY, 1))
    with pytest.raises(ValueError, match=r"events: expected the shape \(n, steps, 21\), got \(2, 60, 20\)"):
        liquid.run(np.zeros((2, 60, 20), np.uint8))
    with pytest.raises(TypeError, match="events: expected uint8, got int64"):
        liquid.run(np.zeros((2, 60, 21), np.int64))
    with pytest.raises(ValueError, match="weight of synapse 0: .* is outside the range of its class"):
        Liquid(liquid.network, weights=np.full(len(liquid.network), 193))
