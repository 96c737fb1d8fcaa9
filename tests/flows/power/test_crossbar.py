"""A small mapped crossbar chip between its macro and its weight memory, against RTL and golden model."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.common.metrics import find, read_metrics
from flows.designs.catalogue import design
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import netlist_from_json
from flows.physical.mapped import Mapped
from flows.power.crossbar import Surroundings, crossbar_activity, load_settings
from flows.power.measure import measure_power
from flows.power.run import PowerOptions
from flows.simulation.crossbar import CrossbarBench, crossbar_verilog
from flows.stimulus.recordings import CrossbarStimulus, recorded_stimulus
from flows.synthesis.synthesise import synthesise
from hw.common.export import to_rtlil
from hw.lsm_crossbar.threshold_memory import offset_bytes, threshold_word_bytes
from sim.lsm_crossbar.example_specs import stacked_spec
from sim.lsm_crossbar.homeostat import NeuronHomeostat, balanced_ratios
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.spec import OFFSET_FRACTION, CrossbarSpec, HomeostatParameters
from tests.crossbars import SMALL_CROSSBAR, random_image
from tests.flows.conftest import library_or_skip

SPEC = SMALL_CROSSBAR
ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def synthesised(
    tmp_path_factory: pytest.TempPathFactory, *, clock_gating: bool = False, spec: CrossbarSpec = SPEC
) -> Mapped:
    library = library_or_skip("nangate45")
    folder = tmp_path_factory.mktemp("report") / spec.name
    folder.mkdir()
    rtlil = to_rtlil(design(spec).component(), spec.name)
    synthesise(rtlil, top=spec.name, library=library, out_dir=folder / "synthesis", clock_gating=clock_gating)
    return Mapped(folder=folder)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    return synthesised(tmp_path_factory)


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    return synthesised(tmp_path_factory, clock_gating=True)


@pytest.fixture(scope="module")
def stimulus() -> CrossbarStimulus:
    """Seven streams, ADCs with gains and offsets, every feature weighted."""
    rng = np.random.default_rng(11)
    limit = SPEC.readout_weight_max
    image, spikes = random_image(SPEC, rng, ideal=False), rng.random((7, SPEC.steps, SPEC.inputs)) < 0.5
    weights = rng.integers(-limit - 1, limit + 1, (SPEC.outputs, SPEC.windows, SPEC.neurons))
    counts = Liquid(SPEC, image).counts(spikes)
    # biases that leave no class ahead of the others
    bias = -Readout(SPEC, weights, np.zeros(SPEC.outputs, np.int64)).scores(counts).mean(axis=0).astype(np.int64)
    return CrossbarStimulus(
        spec=SPEC, conductances=image, readout=Readout(SPEC, weights, bias), spikes=spikes, source="test"
    )


def loaded(mapped: Mapped, stimulus: CrossbarStimulus) -> GateSimulator:
    simulator = GateSimulator(mapped.netlist, mapped.library, words=1)
    load_settings(simulator, stimulus)
    return simulator


def test_every_neuron_has_a_clock_gate(mapped: Mapped, gated: Mapped) -> None:
    """Its potential, of more than four bits, stands under an enable of its own."""
    gates = [
        find(
            read_metrics(netlist.folder / "synthesis" / "metrics.json"), "design__instance__count__class:clock_gate"
        ).value
        for netlist in (mapped, gated)
    ]
    assert gates[0] == 0
    assert SPEC.membrane_width >= 4
    assert int(gates[1]) >= SPEC.neurons


@pytest.mark.parametrize("variant", ["mapped", "gated"])
def test_netlist_equals_rtl_clock_by_clock(
    request: pytest.FixtureRequest, variant: str, stimulus: CrossbarStimulus
) -> None:
    mapped = request.getfixturevalue(variant)
    timing = stimulus.timing(0)
    clocks = int(timing.classes[-1]) + 1
    run = crossbar_activity(loaded(mapped, stimulus), stimulus, clocks=clocks)
    bench = CrossbarBench(crossbar_verilog(SPEC, stimulus.conductances))
    played = bench.run(stimulus.conductances, stimulus.readout, stimulus.spikes)
    result = {name: [row[1:] for row in rows if row[0] == 0] for name, rows in run.result.items()}
    assert [clock for clock, _ in result["spikes"]] == played.spike_clocks.tolist()
    np.testing.assert_array_equal([value for _, value in result["spikes"]], played.spikes.astype(int))
    assert [value for _, value in result["counts"]] == played.counts.tolist()
    assert [value for _, value in result["scores"]] == played.scores.tolist()
    assert result["classes"] == list(zip(played.class_clocks.tolist(), played.classes.tolist(), strict=True))
    assert 0 < played.spikes.mean() < 1
    assert len(set(played.classes.tolist())) > 1
    assert run.compared["spikes"] >= 7 * 6 * SPEC.steps * SPEC.neurons
    assert run.activity.clocks == 7 * (clocks - 1)
    assert run.activity.annotated.all()


def test_thresholds_of_neurons_in_gates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The gates leave in the homeostat's memory what the golden model says, to the last fraction."""
    spec = replace(SPEC, name="OWN", homeostat=HomeostatParameters(per="neuron"))
    mapped = synthesised(tmp_path_factory, spec=spec)
    stimulus = recorded_stimulus(spec, streams=3, seed=4)
    spikes = np.random.default_rng(4).random(stimulus.spikes.shape) < 0.4
    stimulus = replace(stimulus, spikes=spikes)
    simulator = loaded(mapped, stimulus)
    around = Surroundings(simulator, stimulus)
    clock = 0
    while sum(stream == 1 for stream, _, _ in around.result["classes"]) < 2:
        around.drive(simulator, clock)
        simulator.settle()
        around.watch(simulator, clock)
        simulator.step()
        clock += 1
        assert clock < 5_000
    ratios = balanced_ratios(stimulus.golden.counts, int(spikes.sum()))
    homeostat = NeuronHomeostat(spec, ratios, rate=8)
    Liquid(spec, stimulus.conductances).regulated(spikes[[1, 2]], homeostat)
    words = around.thresholds.words[1] @ (1 << np.arange(8 * threshold_word_bytes(spec)))
    bits = spec.offset_width + OFFSET_FRACTION
    offsets = words & ((1 << bits) - 1)
    np.testing.assert_array_equal(offsets - ((offsets >> (bits - 1)) << bits), homeostat.offsets)
    np.testing.assert_array_equal(words >> 8 * offset_bytes(spec), ratios)
    assert len(set(homeostat.offsets.tolist())) > 3


def test_a_stuck_output_is_found(mapped: Mapped, stimulus: CrossbarStimulus) -> None:
    simulator = loaded(mapped, stimulus)
    net = mapped.netlist.ports["spikes"].nets[2]
    one, zero = np.full((1, 1), ONES), np.zeros((1, 1), np.uint64)
    simulator.fault([int(net)], keep=zero, put=one, flip=zero)
    with pytest.raises(ValueError, match=r"stream \d, spikes number \d+: the netlist tells"):
        crossbar_activity(simulator, stimulus)


def test_rules_of_the_macro_are_checked(mapped: Mapped, stimulus: CrossbarStimulus) -> None:
    simulator = loaded(mapped, stimulus)
    zero = np.zeros((1, 1), np.uint64)
    # samples while word lines are being set, in the last stream only
    simulator.fault(
        [int(mapped.netlist.ports["macro.sample"].nets[0])],
        keep=~zero,
        put=zero,
        flip=np.full((1, 1), 1 << 6, np.uint64),
    )
    with pytest.raises(ValueError, match="stream 6, clock .*: macro contract: word lines change"):
        crossbar_activity(simulator, stimulus)


def test_more_streams_than_lanes(mapped: Mapped, stimulus: CrossbarStimulus) -> None:
    simulator = GateSimulator(mapped.netlist, mapped.library, words=1)
    many = CrossbarStimulus(
        spec=SPEC, conductances=stimulus.conductances, readout=stimulus.readout,
        spikes=np.zeros((65, SPEC.steps, SPEC.inputs), bool), source="test",
    )  # fmt: skip
    with pytest.raises(ValueError, match="at most 64 streams, got 65"):
        Surroundings(simulator, many)


def test_stimulus_of_a_model_runs_on_its_macro(tmp_path: Path) -> None:
    """A model in a file, of another seed than the shipped one: its draw, its readout."""
    shipped = TrainedCrossbar.load("n_mnist")
    spec = shipped.spec
    other = replace(shipped, seed=4, conductances_sha256=draw(spec, 4).sha256)
    other.save(tmp_path / "model.npz")
    stimulus = recorded_stimulus(spec, streams=2, seed=1, weights=tmp_path / "model.npz")
    assert stimulus.conductances.sha256 == draw(spec, 4).sha256
    assert stimulus.source.startswith("model on the macro of seed 4: 2 ")
    assert recorded_stimulus(spec, streams=2, seed=1).conductances.sha256 == shipped.conductances_sha256
    with pytest.raises(ValueError, match=rf"model\.npz was trained for another spec than {SPEC.name}"):
        recorded_stimulus(SPEC, streams=2, weights=tmp_path / "model.npz")


def test_power_of_whole_inferences(mapped: Mapped) -> None:
    summary, result, metrics = measure_power(mapped, design(SPEC), PowerOptions(recordings=5, glitch_clocks=4))
    stimulus = recorded_stimulus(SPEC, streams=5, seed=1)
    clocks = np.mean([stimulus.timing(stream).classes[0] + 1 for stream in range(5)])
    assert result["clocks_per_inference"] == pytest.approx(clocks)
    assert result["energy_per_inference_pj"] == pytest.approx(summary.total_uw * 1e-3 * SPEC.clock_period_ns * clocks)
    assert find(metrics, "energy__per_inference").value == pytest.approx(result["energy_per_inference_pj"])
    assert result["period_ns"] == SPEC.clock_period_ns
    assert set(result["stages_uw"]) >= {"input", "row_driver", "adc", "neuron", "counter", "readout"}
    assert result["stages_uw"].keys().isdisjoint({"macro", "weight_memory"})
    operations = stimulus.golden.row_activations.sum() / 5 * SPEC.neurons
    assert result["synaptic_operations"] == pytest.approx(operations)
    assert read_metrics(mapped.folder / "power" / "metrics.json") == metrics
    kept = json.loads((mapped.folder / "power" / "power.json").read_text())
    assert kept["design"] == SPEC.name
    assert kept["conductances"] == draw(SPEC, 1).file_name


def test_pins_of_black_boxes_are_ports() -> None:
    """A box's output enters the netlist, its input leaves it; pins on top-level wires are neither."""

    def port(direction: str, *bits: int) -> dict[str, object]:
        return {"direction": direction, "bits": list(bits)}

    def cell(kind: str, **pins: list[int]) -> dict[str, object]:
        return {"type": kind, "connections": pins}

    data = {"modules": {
        "top": {
            "attributes": {"top": "1"},
            "ports": {"a": port("input", 2), "y": port("output", 5)},
            "cells": {
                "u": cell("INV", A=[3], Y=[5]), "v": cell("INV", A=[4], Y=[6]),
                "ram": cell("RAM", q=[3, 4], d=[6, 5], clk=[2]),
            },
            "netnames": {},
        },
        "RAM": {
            "attributes": {"blackbox": "1"}, "cells": {}, "netnames": {},
            "ports": {"q": port("output", 2, 3), "d": port("input", 4, 5), "clk": port("input", 6)},
        },
    }}  # fmt: skip
    netlist = netlist_from_json(data)
    assert netlist.cells == 2
    assert {name: p.direction for name, p in netlist.ports.items()} == {
        "a": "input", "y": "output", "ram.q": "input", "ram.d": "output",
    }  # fmt: skip
    group = netlist.groups["INV"]
    assert sorted(group.pin("A").tolist()) == sorted(netlist.ports["ram.q"].nets.tolist())
    assert sorted(group.pin("Y").tolist()) == sorted(netlist.ports["ram.d"].nets.tolist())
    assert netlist.ports["y"].nets[0] == netlist.ports["ram.d"].nets[1]


def test_a_tile_of_macros_in_gates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Rows of one macro of each column are set and read, and its codes are the tile's: in value and clock, the model.

    What each of the twelve boxes gets is checked by its contract.
    """
    spec = stacked_spec()
    stimulus = recorded_stimulus(spec, streams=5, seed=2)
    spikes = np.random.default_rng(2).random(stimulus.spikes.shape) < 0.3
    stimulus = replace(stimulus, spikes=spikes)
    run = crossbar_activity(loaded(synthesised(tmp_path_factory, spec=spec), stimulus), stimulus)
    assert min(run.compared.values()) > 0
    spiking = stimulus.golden.spikes
    assert 0.05 < spiking.mean() < 0.95
    # steps whose rows lie in several macros, inputs' and neurons'
    starts = np.cumsum((0, *spec.tile_rows[:-1]))
    active = np.concatenate([spikes[:, 1:], spiking[:, :-1]], axis=2)
    assert (np.add.reduceat(active, starts, axis=2) > 0).sum(axis=2).max() == 4


def test_two_macros_on_gates(tmp_path: Path) -> None:
    """Each macro has pins of its own; spikes, counts, scores and classes are those of both liquids."""
    spec = replace(SPEC, name="TWO_MACROS", macros=2)
    folder = tmp_path / spec.name
    folder.mkdir()
    rtlil = to_rtlil(design(spec).component(), spec.name)
    synthesise(rtlil, top=spec.name, library=library_or_skip("nangate45"), out_dir=folder / "synthesis")
    stimulus = recorded_stimulus(spec, streams=4)
    run = crossbar_activity(loaded(Mapped(folder=folder), stimulus), stimulus)
    assert min(run.compared.values()) > 0
    assert run.compared["spikes"] >= 4 * spec.steps * 2 * SPEC.neurons
    first, second = (stimulus.conductances.macro(number).codes for number in range(2))
    assert (first != second).any()
