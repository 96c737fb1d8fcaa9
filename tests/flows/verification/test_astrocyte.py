"""The astrocyte liquid in the native harness against its golden model, its proofs, and whether mutants are killed."""

import os
from dataclasses import replace

import numpy as np
import pytest

from flows.formal.astrocyte import (
    loaded_registers,
    loaded_stages,
    prove_astrocyte,
    prove_neuron,
    prove_stage_loaded,
    prove_synapse,
)
from flows.formal.loaded import prove_reset_values
from flows.formal.solver import Status, prove_reset
from flows.simulation.astrocyte import AstrocyteBench
from flows.verification.astrocyte import (
    MODES,
    Segment,
    check_mutants,
    check_volume,
    dead_ends,
    full_list,
    make_segments,
    play,
    random_readout,
    random_weights,
)
from hw.astrocyte_liquid.astrocyte_liquid import AstrocyteLiquid
from hw.common.export import to_rtlil
from sim.astrocyte_liquid.example_specs import campaign_spec, random_spec, seeded_spec
from sim.astrocyte_liquid.lanes import lane_contents
from sim.astrocyte_liquid.network import Network, draw
from sim.astrocyte_liquid.spec import NALSM_1000, NALSM_1000_SEEDED, AstrocyteSpec
from sim.engine import Engine
from tests.conftest import long

SPEC = campaign_spec()
SEED = int(os.environ.get("LIQUIDCAL_SEED", "2105"))


@pytest.fixture(scope="module")
def bench() -> AstrocyteBench:
    return AstrocyteBench(SPEC)


def test_spikes_and_weights_in_all_modes(bench: AstrocyteBench) -> None:
    check = check_volume(SPEC, SEED, 1_000)
    assert check.passed, check.detail
    assert check.compared >= 1_000


def test_a_wrong_model_is_detected(bench: AstrocyteBench) -> None:
    """What is compared depends on a single weight, and on the mode that samples run in."""
    rng = np.random.default_rng(3)
    network = draw(SPEC, 3)
    weights, readout = random_weights(network, rng), random_readout(SPEC, rng)
    segments = make_segments(network, weights, rng, 3, Engine.NUMPY)
    changed = [int((segment.working != weights).sum()) for segment in segments]
    assert min(changed[:2]) > len(network) // 20

    def run(**other: object) -> str:
        given = {"weights": weights, "segments": segments} | other
        with bench.model() as model:
            return play(network, given["weights"], readout, given["segments"], model)

    assert run() == ""
    # one that no sample moves, away from its limits: nothing hides what was loaded
    stays = np.all([segment.stored == weights for segment in segments], axis=0)
    place = int(np.flatnonzero(stays & (weights != 0) & (abs(weights) < SPEC.weight_code_max))[0])
    moved = np.where(np.arange(len(weights)) == place, weights - np.sign(weights), weights)
    assert f"synapse {place}" in run(weights=moved)
    first: Segment = segments[0]
    wrong = [Segment(**vars(first) | {"keep": False}), *segments[1:]]
    assert run(segments=wrong) != ""
    late = np.where(np.arange(len(first.walked)) == 5, first.walked + 1, first.walked)
    assert "step 5: expected to end in clock" in run(segments=[Segment(**vars(first) | {"walked": late})])
    assert len(segments) == len(MODES)


def test_a_neuron_of_all_sources_has_a_list_of_every_bit(bench: AstrocyteBench) -> None:
    """The longest list there is, as `check_mutants` plays it beside networks whose lists are short."""
    full, rng = full_list(draw(SPEC, SEED)), np.random.default_rng(SEED)
    fan_in = np.bincount(full.target)
    assert fan_in.max() == SPEC.inputs + SPEC.neurons - 1 == SPEC.fan_in_max
    assert len(np.unique(full.source.astype(np.int64) * SPEC.neurons + full.target)) == len(full)
    weights = random_weights(full, rng)
    segments = make_segments(full, weights, rng, 1, Engine.NUMPY)
    with bench.model() as model:
        assert play(full, weights, random_readout(SPEC, rng), segments, model) == ""


def test_neurons_that_lead_nowhere_are_walked_back(bench: AstrocyteBench) -> None:
    """The last neuron of each lane: empty lists forward, long ones backward, as `check_mutants` plays them."""
    ends, rng = dead_ends(draw(SPEC, SEED)), np.random.default_rng(SEED)
    first = SPEC.neurons - SPEC.lanes
    assert (ends.source < SPEC.first_neuron + first).all()
    assert (np.bincount(ends.target)[first:] == SPEC.inputs + first).all()
    weights = random_weights(ends, rng)
    segments = make_segments(ends, weights, rng, 1, Engine.NUMPY)
    assert all(segment.spikes[:, first:].any(axis=0).all() for segment in segments[:2])
    with bench.model() as model:
        assert play(ends, weights, random_readout(SPEC, rng), segments, model) == ""


def test_working_weights_that_no_sample_walks_stay() -> None:
    """A sample that keeps its weights restores none: what the sample before left stays where nothing fires."""
    spec, seed = random_spec(np.random.default_rng((2105, 0)), "RANDOM_0"), 2105
    rng = np.random.default_rng(seed)
    network = draw(spec, seed)
    weights = random_weights(network, rng)
    random_readout(spec, rng)  # as `check_volume` draws
    segments = make_segments(network, weights, rng, 7, Engine.NUMPY)
    before, last = segments[-2:]
    place = np.flatnonzero(last.working != last.stored)
    assert len(place) == 10
    assert (last.working[place] == before.working[place]).all()
    assert (last.stored[place] == before.stored[place]).all()
    assert (last.working[71], last.stored[71]) == (1, 0)
    check = check_volume(spec, seed, 400)
    assert check.passed, check.detail


def test_regenerated_connectivity_spike_for_spike_and_weight_for_weight() -> None:
    """Inputs in three blocks, slots without synapse, what a slot leads to beyond the last neuron; then all slots."""
    spec = seeded_spec()
    assert spec.input_blocks == 3
    assert spec.neuron_groups < 1 << spec.ring_bits
    check = check_volume(spec, SEED, 400)
    assert check.passed, check.detail
    full, rng = full_list(draw(spec, SEED)), np.random.default_rng(SEED)
    assert len(np.unique(full.table.slot(full.source, full.target))) == spec.slots
    weights = random_weights(full, rng)
    segments = make_segments(full, weights, rng, 1, Engine.NUMPY)
    with AstrocyteBench(spec).model() as model:
        assert play(full, weights, random_readout(spec, rng), segments, model) == ""


@pytest.mark.parametrize(
    ("memory", "word", "bit"), [("slots", 0, 0), ("slots", 30, 0), ("slots", 30, 4), ("lists", 0, 6)]
)
def test_another_word_of_a_slot_is_detected(memory: str, word: int, bit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One bit of an offset, of a step, of what is left of it below a group, and of the length of a list."""
    spec = seeded_spec()
    rng = np.random.default_rng(4)
    network = draw(spec, 4)
    weights, readout = random_weights(network, rng), random_readout(spec, rng)
    segments = make_segments(network, weights, rng, 2, Engine.NUMPY)[:2]

    def wrong(network: Network, lane: int) -> dict[str, np.ndarray]:
        contents = lane_contents(network, lane)
        contents[memory][word] ^= 1 << bit
        return contents

    monkeypatch.setattr("sim.astrocyte_liquid.registers.lane_contents", wrong)
    with AstrocyteBench(spec).model() as model:
        assert "expected" in play(network, weights, readout, segments, model)


def test_proofs() -> None:
    for prove in (prove_synapse, prove_neuron, prove_astrocyte):
        proof = prove(SPEC)
        assert proof.status is Status.PROVED, f"{proof.name}: {proof.counterexample}"
    rtlil = to_rtlil(AstrocyteLiquid(spec=SPEC), SPEC.name)
    assert prove_reset(rtlil, loaded=loaded_registers(SPEC)).status is Status.PROVED
    assert prove_reset(rtlil).status is Status.REFUTED


def test_reset_values_of_what_is_loaded_first_do_not_matter() -> None:
    stages = [(SPEC, stage) for stage in loaded_stages(SPEC)]
    for spec, stage in [*stages, (seeded_spec(), "walker")]:
        proof = prove_stage_loaded(spec, stage)
        assert proof.status is Status.PROVED, f"{proof.name}: {proof.counterexample}"


def test_a_reset_value_that_matters_is_refuted() -> None:
    """The length of a list decides when its walk ends; rates that were never loaded reach the neurons."""
    make, loaded = loaded_stages(SPEC)["walker"]
    never = replace(loaded, registers={**loaded.registers, "left": "1'b0"})
    assert prove_reset_values("x", "x", make(), never).status is Status.REFUTED
    make, loaded = loaded_stages(SPEC)["astrocyte"]
    always = replace(loaded, outputs={}, split=False)
    assert prove_reset_values("x", "x", make(), always).status is Status.REFUTED
    with pytest.raises(ValueError, match="expected registers of"):
        prove_reset_values("x", "x", make(), replace(loaded, registers={"none": "1'b1"}))
    with pytest.raises(ValueError, match="expected a condition of"):
        prove_reset_values("x", "x", make(), replace(loaded, invariants=("{none}",)))


def test_a_trace_without_its_invariant_is_refuted() -> None:
    """A proof can fail: one bit less for the current, and the ranges do not hold."""

    class Narrow(type(SPEC)):  # type: ignore[misc]
        @property
        def current_max(self) -> int:
            return super().current_max - 40

    fields = {name: getattr(SPEC, name) for name in SPEC.__dataclass_fields__}
    assert prove_neuron(Narrow(**fields)).status is Status.REFUTED


@long
@pytest.mark.parametrize("number", range(2))
def test_random_specs(number: int) -> None:
    spec = random_spec(np.random.default_rng((SEED, number)), f"RANDOM_{number}")
    print(f"LIQUIDCAL_SEED={SEED}: {spec}")
    check = check_volume(spec, SEED, 400)
    assert check.passed, check.detail


@long
@pytest.mark.timeout(1800)
def test_mutants_are_killed() -> None:
    """At least as many as `liquidcal verify` asks for; the seed of the data sheet."""
    check, result = check_mutants(SPEC, 2105, 60)
    assert result.kill_rate >= 0.95, check.detail
    assert len(result.mutants) >= 60


@long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("spec", [NALSM_1000, NALSM_1000_SEEDED], ids=lambda spec: spec.name)
def test_the_published_size(spec: AstrocyteSpec) -> None:
    """Whole samples in every mode, busy and with an event of every input; small specs see the other densities."""
    check = check_volume(spec, SEED, 600, samples=2)
    assert check.passed, check.detail
    assert check.compared >= 2 * spec.steps * 3
