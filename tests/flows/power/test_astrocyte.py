"""A small mapped astrocyte liquid between its memories, against the golden model."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.designs.catalogue import design
from flows.netlist.gate_simulation import GateSimulator
from flows.physical.mapped import Mapped
from flows.power.astrocyte import Stimulus, Surroundings, compare, load_settings, sample_stimulus, simulate
from flows.power.run import PowerOptions
from flows.synthesis.synthesise import synthesise
from flows.verification.astrocyte import random_weights
from hw.common.export import to_rtlil
from sim.astrocyte_liquid.example_specs import seeded_spec
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import NALSM_216, NALSM_1000_EVENTS
from sim.lsm_crossbar.recordings.events import Events, write_nmnist
from tests.flows.conftest import library_or_skip

SPEC = replace(seeded_spec(), name="POWER", inputs=9, grid=(3, 2, 2))
"""Slots, of which some have no synapse; the words of lists are those that `flows.verification` loads."""
OPTIONS = PowerOptions(recordings=5, clocks=400, seed=3)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    library = library_or_skip("nangate45")
    folder = tmp_path_factory.mktemp("report") / SPEC.name
    folder.mkdir()
    rtlil = to_rtlil(design(SPEC).component(), SPEC.name)
    synthesise(rtlil, top=SPEC.name, library=library, out_dir=folder / "synthesis")
    return Mapped(folder=folder)


@pytest.fixture(scope="module")
def stimulus() -> Stimulus:
    """Weights of every size, every second input in every step: most weights move."""
    rng = np.random.default_rng(3)
    network = draw(SPEC, 3)
    events = (rng.random((OPTIONS.recordings, SPEC.steps, SPEC.inputs)) < 0.5).astype(np.uint8)
    return Stimulus(network=network, weights=random_weights(network, rng), events=events, source="test")


def played(mapped: Mapped, stimulus: Stimulus, clocks: int, *, stuck: str = "") -> Surroundings:
    simulator = GateSimulator(mapped.netlist, mapped.library, words=1)
    load_settings(simulator, SPEC)
    if stuck:
        nothing, all_ = np.zeros((1, 1), np.uint64), np.full((1, 1), np.uint64(0xFFFF_FFFF_FFFF_FFFF))
        simulator.fault([int(mapped.netlist.ports[stuck].nets[2])], keep=nothing, put=all_, flip=nothing)
    around = Surroundings(simulator, stimulus)
    around.counts = True
    for clock in range(clocks):
        around.drive()
        simulator.settle()
        around.watch(simulator, clock)
        simulator.step()
    return around


def test_gates_equal_the_golden_model(mapped: Mapped, stimulus: Stimulus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spikes and weights in all streams; and what is counted on the way."""
    monkeypatch.setattr("flows.power.astrocyte.sample_stimulus", lambda *_: stimulus)
    run = simulate(mapped, design(SPEC), OPTIONS, lambda *_: nullcontext())
    assert run.result["compared"]["weights_moved"] > 20
    assert run.result["compared"]["spikes"] >= 5 * 10 * SPEC.sources
    accesses = run.result["memory_accesses"]
    # no weight is written that was not read; a spike's own synapses also move a current
    assert accesses["stored"]["reads"] >= accesses["stored"]["writes"] > 0
    assert accesses["working"]["reads"] == 0 < accesses["working"]["writes"] == accesses["stored"]["writes"]
    assert 0 < run.result["synaptic_operations"] < 0.95 * accesses["stored"]["reads"]
    # a sweep reads and writes the state of every group in every step
    per_sample = SPEC.steps * SPEC.groups * SPEC.lanes
    assert accesses["states"]["writes"] == pytest.approx(per_sample, rel=0.1)


def test_a_stuck_weight_is_found(mapped: Mapped, stimulus: Stimulus) -> None:
    around = played(mapped, stimulus, 300)
    compare(around, stimulus)
    # a synapse of a source or of a neuron that fires is one operation, a slot without synapse none; some are under way
    operations = np.bincount(stimulus.network.source, minlength=SPEC.sources)
    operations[SPEC.first_neuron :] += np.bincount(stimulus.network.target, minlength=SPEC.neurons)
    expected = sum(operations[source] for stream in around.spikes for _, source in stream)
    weights = [store for name, store in around.stores.items() if name.endswith("stored_memory")]
    assert 0.85 * expected < sum(store.reads - store.absent for store in weights) <= expected
    assert sum(store.absent for store in weights) > 0.1 * expected
    with pytest.raises(ValueError, match=r"stream \d, (weight|step) \d+"):
        compare(played(mapped, stimulus, 300, stuck="lane_0.stored_memory.write_data"), stimulus)
    with pytest.raises(ValueError, match="no step has ended"):
        compare(played(mapped, stimulus, 3), stimulus)


SENSOR = replace(
    NALSM_1000_EVENTS, name="SENSOR", grid=(4, 4, 4), lanes=4, lane_synapses=6_144, astrocyte_weight=0.1, steps=120
)
"""As many inputs as the sensor of N-MNIST has pixels and polarities."""


def test_a_liquid_of_a_sensor_is_shown_recordings_of_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A digit lies in the middle of the sensor, and a camera that jumps sees its edges in either polarity."""
    monkeypatch.setattr("flows.power.astrocyte.SNAPSHOTS", 60)
    stimulus = sample_stimulus(SENSOR, PowerOptions(recordings=4, seed=2))
    assert "recordings of digits" in stimulus.source
    assert stimulus.events.shape == (4, SENSOR.steps, SENSOR.inputs)
    seen = stimulus.events.sum(axis=(0, 1)).reshape(2, 34, 34)
    assert (seen[:, 10:24, 10:24].mean(axis=(1, 2)) > 10 * seen[:, :4].mean(axis=(1, 2))).all()
    assert len({sample.tobytes() for sample in stimulus.events}) == 4
    # tuned by them
    assert (abs(stimulus.weights) < SENSOR.weight_code_max).mean() > 0.02


def test_recordings_of_the_user_are_the_stimulus(tmp_path: Path) -> None:
    """Each stream is a window of one of them, which has an ON event of the pixel of its number in every millisecond."""
    for index in range(6):
        (tmp_path / str(index % 2)).mkdir(exist_ok=True)
        times = 1_000 * np.arange(300)
        events = Events(x=np.full(300, index), y=np.full(300, 7), on=np.ones(300, bool), t_us=times)
        write_nmnist(tmp_path / str(index % 2) / f"{index}.bin", events)
    stimulus = sample_stimulus(SENSOR, PowerOptions(recordings=5, events=tmp_path))
    pixels = []
    for sample in stimulus.events:
        (line,) = np.flatnonzero(sample.any(axis=0))
        length = int(sample[:, line].sum())
        # from its first step on, until the recording is over
        assert sample[:length, line].all()
        assert length >= 300 - 278
        pixels.append(line - 7 * 34)
    assert len(set(pixels)) == 5
    assert set(pixels) < set(range(6))
    with pytest.raises(ValueError, match="expected at most 6 streams"):
        sample_stimulus(SENSOR, PowerOptions(recordings=7, events=tmp_path))
    with pytest.raises(ValueError, match="196 inputs, for images"):
        sample_stimulus(NALSM_216, PowerOptions(recordings=2, events=tmp_path))
