"""Networks against the published probabilities, and the lists of lanes against the synapses."""

import numpy as np
import pytest

from sim.astrocyte_liquid.lanes import lane_tables
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import NALSM_216, NALSM_1000, AstrocyteSpec


def test_a_draw_has_the_published_numbers_of_synapses() -> None:
    """C exp(-(D/3)^2) summed over all pairs of a 10 x 10 x 10 grid is 16,720; 784 x 1000 x 0.15 inputs are 117,600."""
    axis = np.arange(10)
    line = np.exp(-((axis[:, None] - axis) ** 2) / 9)
    pairs = line.sum() ** 3 - 1000
    expected = pairs * (0.8 * (0.8 * 0.2 + 0.2 * 0.1) + 0.2 * (0.8 * 0.3 + 0.2 * 0.05))
    assert round(expected) == 16_720
    for seed in range(2):
        network = draw(NALSM_1000, seed)
        recurrent = network.source >= 784
        assert abs(recurrent.sum() - expected) < 5 * expected**0.5
        assert abs((~recurrent).sum() - 117_600) < 5 * 117_600**0.5
        excitatory = recurrent & (network.source < 784 + 800)
        assert abs(excitatory.sum() - 12_411) < 5 * 12_411**0.5


def test_no_neuron_projects_to_itself_and_far_ones_hardly() -> None:
    network = draw(NALSM_1000, 3)
    recurrent = network.source >= 784
    source, target = network.source[recurrent] - 784, network.target[recurrent]
    assert (source != target).all()
    distance = ((network.position[source] - network.position[target]) ** 2).sum(axis=1)
    # of a synapse at D, exp(-D^2 / 9); that many are this far in the sum over the grid
    axis = np.arange(10)
    square = (axis[:, None] - axis).reshape(-1) ** 2
    near = np.add.outer(np.add.outer(square, square), square) / 9
    weight = np.exp(-near) * (near > 0)
    for limit in (3, 9, 27):
        share = weight[near * 9 > limit].sum() / weight.sum()
        assert abs((distance > limit).mean() - share) < 0.02
    assert len(np.unique(network.source.astype(np.int64) * 1000 + network.target)) == len(network)
    assert set(network.sign[network.source < 784]) == {-1, 1}
    assert set(network.sign[recurrent & (network.source < 1584)]) == {1}
    assert set(network.sign[network.source >= 1584]) == {-1}


@pytest.mark.parametrize("spec", [NALSM_216, NALSM_1000], ids=lambda spec: spec.name)
def test_lanes_hold_every_synapse_once(spec: AstrocyteSpec) -> None:
    network = draw(spec, 1)
    seen = np.zeros(len(network), np.int64)
    for lane in range(spec.lanes):
        tables = lane_tables(network, lane)
        seen[tables.synapses] += 1
        source = int(network.source[tables.synapses[0]])
        mine = tables.synapses[tables.first[source] : tables.first[source] + tables.count[source]]
        assert set(network.source[mine]) == {source}
        neuron = 3
        start = tables.incoming_first[neuron]
        entering = tables.synapses[tables.incoming[start : start + tables.incoming_count[neuron]]]
        assert sorted(entering) == sorted(np.flatnonzero(network.target == neuron * spec.lanes + lane))
    assert (seen == 1).all()
    with pytest.raises(ValueError, match="lane: expected 0 to"):
        lane_tables(network, spec.lanes)


def test_a_network_that_does_not_fit_is_refused() -> None:
    fields = {"name": "SMALL", "grid": (3, 3, 3), "inputs": 20, "outputs": 2, "input_density": 0.5, "lanes": 2}
    with pytest.raises(ValueError, match="a neuron has .* synapses; fan_in_max is 5"):
        draw(AstrocyteSpec(**fields, fan_in_max=5, lane_synapses=500), 1)
    with pytest.raises(ValueError, match="a lane has .* synapses; lane_synapses is 50"):
        draw(AstrocyteSpec(**fields, lane_synapses=50), 1)
