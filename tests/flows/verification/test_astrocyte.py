"""The astrocyte liquid in the native harness against its golden model, its proofs, and whether mutants are killed."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.common.journal import Journal
from flows.designs.catalogue import design
from flows.formal.astrocyte import (
    loaded_registers,
    loaded_stages,
    prove_astrocyte,
    prove_neuron,
    prove_stage_loaded,
    prove_synapse,
    prove_walks,
)
from flows.formal.loaded import prove_reset_values
from flows.formal.solver import Status, prove_reset
from flows.simulation.astrocyte import AstrocyteBench, astrocyte_verilog
from flows.stimulus.astrocyte_samples import binned
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
    saturating_segments,
    slots_without_own,
    verify_design,
)
from flows.verification.options import VerificationOptions
from hw.astrocyte_liquid.arithmetic import saturated
from hw.astrocyte_liquid.astrocyte_liquid import AstrocyteLiquid
from hw.common.export import to_rtlil
from sim.astrocyte_liquid.example_specs import campaign_spec, random_spec, seeded_spec
from sim.astrocyte_liquid.lanes import lane_contents
from sim.astrocyte_liquid.network import Network, draw
from sim.astrocyte_liquid.neuron import sweep
from sim.astrocyte_liquid.spec import NALSM_216, NALSM_1000, NALSM_1000_EVENTS, NALSM_1000_SEEDED, AstrocyteSpec
from sim.engine import Engine
from sim.lsm_crossbar.recordings.events import Events
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


def potentials(spec: AstrocyteSpec, network: Network, segment: Segment) -> np.ndarray:
    """Potentials of all neurons after each step of a frozen sample, without the limits of a membrane."""
    weights = network.matrix(segment.stored)
    fired = np.zeros((len(segment.spikes), spec.sources), np.int64)
    fired[:, : spec.inputs], fired[:, spec.first_neuron :] = segment.input_spikes, segment.spikes
    membrane, current, refractory = (np.zeros(spec.neurons, np.int64) for _ in range(3))
    wide = replace(spec, membrane_bits=20)
    found = []
    for row in fired:
        after = sweep(membrane, current + row @ weights, refractory, row[spec.first_neuron :] > 0, wide)
        membrane, current, refractory = after.membrane, after.current, after.refractory
        found.append(membrane)
        membrane = np.clip(membrane, -spec.membrane_max - 1, spec.membrane_max)
    return np.array(found)


@pytest.mark.parametrize("nearer", ["lower", "upper"])
@pytest.mark.parametrize("spec", [SPEC, seeded_spec()], ids=lambda spec: spec.name)
def test_one_step_of_where_a_potential_saturates_is_detected(
    spec: AstrocyteSpec, nearer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the lists and in the seeded engine; the stimulus of one end does not see the other."""
    full, rng = full_list(draw(spec, SEED)), np.random.default_rng(SEED)
    segments = saturating_segments(full)
    lower, upper = (potentials(spec, full, segment) for segment in segments)
    assert lower.min() < -spec.membrane_max - 1
    assert upper.max() > spec.membrane_max

    def play_both(bench: AstrocyteBench) -> list[str]:
        readout, found = random_readout(spec, rng), []
        for segment in segments:
            with bench.model() as model:
                found.append(play(full, segment.stored, readout, [segment], model))
        return found

    assert play_both(AstrocyteBench(spec)) == ["", ""]
    by = {"lower": (1, 0), "upper": (0, -1)}[nearer]
    monkeypatch.setattr(
        "hw.astrocyte_liquid.neuron.saturated", lambda value, low, high: saturated(value, low + by[0], high + by[1])
    )
    told = play_both(AstrocyteBench(spec, astrocyte_verilog(spec)))
    assert ["expected spike" in text for text in told] == [nearer == "lower", nearer == "upper"]


def test_lists_of_no_slot_are_walked_back() -> None:
    """Where no source projects into its own lane, its list there is empty, and all slots are walked back."""
    spec = seeded_spec()
    without, rng = slots_without_own(draw(spec, SEED)), np.random.default_rng(SEED)
    for lane in range(spec.lanes):
        counts = without.table.lists(lane)[1][spec.input_blocks :]
        assert (counts == 0).tolist() == [number == lane for number in range(spec.lanes)]
    weights = random_weights(without, rng)
    segments = make_segments(without, weights, rng, 1, Engine.NUMPY)
    assert all(segment.spikes.any() for segment in segments)
    with AstrocyteBench(spec).model() as model:
        assert play(without, weights, random_readout(spec, rng), segments, model) == ""
    with pytest.raises(ValueError, match="expected a network with slots"):
        slots_without_own(draw(SPEC, SEED))


def test_recordings_are_samples_in_all_modes() -> None:
    """One after another; an event of pixel k of recording k in millisecond k tells which is where."""
    events = [
        Events(x=np.array([k]), y=np.array([0]), on=np.array([True]), t_us=np.array([1_000 * k])) for k in range(6)
    ]
    spec = replace(NALSM_1000_EVENTS, name="SENSOR", grid=(3, 3, 3), lanes=1, steps=30, lane_synapses=12_000)
    network, rng = draw(spec, 1), np.random.default_rng(1)
    segments = make_segments(network, random_weights(network, rng), rng, 2, Engine.NUMBA, stimuli=binned(events))
    for number, segment in enumerate(segments):
        shown = [(2 * number + k) % 6 for k in range(2)]
        assert np.argwhere(segment.events).tolist() == [[k, one, one] for k, one in enumerate(shown)]
    with pytest.raises(ValueError, match="has 196 inputs; recordings need 2,312"):
        verify_design(design(NALSM_216), Journal(), VerificationOptions(recordings=Path()))


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


def test_walkers_are_busy_only_while_lanes_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in (SPEC, seeded_spec()):
        assert prove_walks(spec).status is Status.PROVED
    monkeypatch.setattr("flows.formal.astrocyte.WALKING", 2)
    assert prove_walks(SPEC).status is Status.REFUTED


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
