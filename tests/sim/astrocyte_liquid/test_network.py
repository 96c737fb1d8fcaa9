"""Networks against the published probabilities, and the lists of lanes against the synapses."""

import numpy as np
import pytest

from sim.astrocyte_liquid.example_specs import seeded_spec
from sim.astrocyte_liquid.lanes import lane_contents, lane_tables, lane_weights
from sim.astrocyte_liquid.network import Network, draw
from sim.astrocyte_liquid.spec import NALSM_216, NALSM_216_SEEDED, NALSM_1000, NALSM_1000_SEEDED, AstrocyteSpec


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


def walked(network: Network, weights: np.ndarray) -> tuple[list[tuple], list[tuple]]:
    """Source, neuron and weight of all synapses as a lane finds them from the words of its memories: from the sources
    by their lists, and from the neurons by all slots. Written from the text of `sim.astrocyte_liquid.slots` alone."""
    spec = network.spec
    ring, width, groups = 2**spec.ring_bits, spec.ring_bits, spec.neurons // spec.lanes
    high_bits = max(1, (spec.input_blocks - 1).bit_length(), (spec.lanes - 1).bit_length())

    def turned(number: int) -> int:
        return int(f"{number:0{width}b}"[::-1], 2)

    forward, backward = [], []
    for lane in range(spec.lanes):
        contents, codes = lane_contents(network, lane), lane_weights(network, weights, lane)
        slots = [(w % ring, w // ring % 2**high_bits, w // ring // 2**high_bits) for w in contents["slots"].tolist()]
        bits = (len(slots) - 1).bit_length()
        for source in range(spec.sources):
            number = source - spec.first_neuron
            which = source // ring if number < 0 else spec.input_blocks + number % spec.lanes
            first, count = contents["lists"][which] % 2**bits, contents["lists"][which] >> bits
            for place in range(first, first + count):
                low, high, liquid = slots[place]
                if liquid:
                    neuron = (number + low * spec.lanes + high) % spec.neurons
                    assert neuron % spec.lanes == lane
                    group = neuron // spec.lanes
                else:
                    assert high == source // ring
                    group = (turned(source % ring) + low) % ring
                if group < groups and codes[place * groups + group] != spec.absent_code:
                    forward.append((source, group * spec.lanes + lane, int(codes[place * groups + group])))
        for group in range(groups):
            for place, (low, high, liquid) in enumerate(slots):
                if codes[place * groups + group] == spec.absent_code:
                    continue
                if liquid:
                    source = (group * spec.lanes + lane - low * spec.lanes - high) % spec.neurons + spec.first_neuron
                else:
                    source = high * ring + turned((group - low) % ring)
                backward.append((source, group * spec.lanes + lane, int(codes[place * groups + group])))
    return forward, backward


@pytest.mark.parametrize("spec", [seeded_spec(), seeded_spec("ALONE", lanes=1), NALSM_216_SEEDED], ids=lambda s: s.name)
def test_lists_are_regenerated_from_either_end(spec: AstrocyteSpec) -> None:
    network = draw(spec, 2)
    weights = np.random.default_rng(2).integers(1, spec.weight_code_max + 1, len(network)) * network.sign
    wanted = sorted(zip(network.source.tolist(), network.target.tolist(), weights.tolist(), strict=True))
    forward, backward = walked(network, weights)
    assert sorted(forward) == wanted
    assert sorted(backward) == wanted
    assert len({pair[:2] for pair in wanted}) == len(wanted)


def test_a_seeded_draw_keeps_the_published_probability_of_the_distance() -> None:
    """P = C exp(-(D/3)^2) by classes and distance: over draws no cell of the table is off by 4 standard errors."""
    spec = NALSM_216_SEEDED
    kind = np.arange(spec.neurons) >= spec.excitatory
    published = {(0, 0): 0.2, (0, 1): 0.1, (1, 0): 0.3, (1, 1): 0.05}
    excess = []
    for seed in range(60):
        network = draw(spec, seed)
        distance = ((network.position[:, None] - network.position[None]) ** 2).sum(axis=2)
        there = network.matrix(np.ones(len(network)))[spec.first_neuron :]
        cells = [
            (kind[:, None] == a) & (kind[None] == b) & (distance > low) & (distance <= high)
            for a, b in published for low, high in ((0, 2), (2, 6), (6, 12), (12, 99))
        ]  # fmt: skip
        expected = [scale * np.exp(-distance[cells[4 * k + n]] / 9).sum()
                    for k, scale in enumerate(published.values()) for n in range(4)]  # fmt: skip
        excess.append([there[cell].sum() - want for cell, want in zip(cells, expected, strict=True)])
    found = np.array(excess)
    assert (np.abs(found.mean(axis=0)) < 4 * found.std(axis=0) / len(found) ** 0.5).all()
    network, other = draw(NALSM_1000_SEEDED, 0), draw(NALSM_1000_SEEDED, 1)
    assert sorted(map(tuple, network.position.tolist())) == list(np.ndindex(10, 10, 10))
    assert len(network.table.steps) <= NALSM_1000_SEEDED.recurrent_slots == 45
    # 19 of 128 neurons for each input, and no input has a favourite
    inputs = network.source < 784
    assert abs(inputs.sum() / 784_000 - 19 / 128) < 0.002
    assert np.ptp(np.bincount(network.source[inputs])) < 15
    assert (network.table.offsets != other.table.offsets).any()
    assert set(network.sign[inputs]) == {-1, 1}


def test_a_seeded_chip_that_cannot_be_is_refused() -> None:
    fields = {"name": "SMALL", "grid": (3, 3, 3), "inputs": 20, "outputs": 2, "lanes": 2, "connectivity": "seeded"}
    with pytest.raises(ValueError, match="lanes: 27 neurons are no multiple of 2 lanes"):
        AstrocyteSpec(**fields)
    with pytest.raises(ValueError, match="lane_synapses: expected at least 22,250, 178 slots of 125 neurons, got 200"):
        AstrocyteSpec(name="SMALL", grid=(10, 10, 10), inputs=784, outputs=2, connectivity="seeded", lane_synapses=200)
    with pytest.raises(ValueError, match="connectivity: expected lists or seeded, got 'random'"):
        AstrocyteSpec(**fields | {"connectivity": "random"})
    assert "connectivity" not in NALSM_216.to_toml()
    assert 'connectivity = "seeded"' in NALSM_216_SEEDED.to_toml()
