"""A tuned liquid in the crossbar: cell by cell, with the errors of the device, and as a user's command."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.common.journal import Journal
from flows.learning.astrocyte import LiquidTraining, train_liquid
from flows.learning.astrocyte_crossbar import chip_spec, digit_samples, target_conductances_us, written
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import NALSM_216, NALSM_1000, AstrocyteSpec
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.measured_file import read_measured
from sim.lsm_crossbar.spec import CrossbarSpec, DeviceParameters
from tests.flows.command_line import program

SMALL = AstrocyteSpec(
    name="SMALL", grid=(3, 3, 3), inputs=196, outputs=10, steps=40, input_density=0.3, lanes=4, lane_synapses=1_024
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("liquid") / "small.npz"
    trained, _ = train_liquid(SMALL, LiquidTraining(snapshots=20, training=30, validation=10, passes=5), Journal())
    trained.save(path)
    return path


def test_every_synapse_is_a_pair_and_every_other_cell_stays_empty() -> None:
    network = draw(SMALL, 3)
    weights = np.random.default_rng(1).integers(0, SMALL.weight_code_max + 1, len(network)) * network.sign
    spec = chip_spec(SMALL)
    targets = target_conductances_us(network, weights, spec)
    left = targets.copy()
    for source, target, weight in zip(network.source, network.target, weights, strict=True):
        row = source if source < SMALL.inputs else SMALL.inputs + source - SMALL.first_neuron
        plus, minus = targets[row, 2 * target : 2 * target + 2]
        assert plus - minus == pytest.approx(20.0 * weight / 192)
        assert min(plus, minus) == 0
        left[row, 2 * target : 2 * target + 2] = 0
    assert not left.any()
    # one input spike: what the converter sees of a weight is the weight, to a step of the cell and one of the converter
    image = written(targets, spec, 0)
    spikes = np.zeros((1, SMALL.steps, SMALL.inputs), bool)
    spikes[0, 0, network.source[0]] = True
    moved = Liquid(spec, image, "numpy").trace(spikes[0]).membrane[0]
    want = np.zeros(SMALL.neurons)
    first = network.source == network.source[0]
    want[network.target[first]] = weights[first] / 192 * 63 / 8
    assert np.abs(moved - want).max() <= 1.1
    assert spec.threshold == round(20 / 3 * 63 * 5 / 8 / 8)
    assert (spec.leak, spec.refractory_steps) == ((-6,), 2)


def test_what_is_written_has_the_errors_of_the_device() -> None:
    network = draw(SMALL, 3)
    spec = chip_spec(SMALL, DeviceParameters(pristine_resistance_mohm=0.5, programming_error=0.1))
    targets = target_conductances_us(network, network.sign.astype(np.int64) * 120, spec)
    codes = written(targets, spec, 5).codes.astype(float)
    there = targets > 0
    share = codes[there] * spec.g_lsb_us / targets[there]
    assert share.mean() == pytest.approx(1, abs=0.01)
    assert share.std() == pytest.approx(0.1, rel=0.1)
    # 2 uS of a pristine cell are 6.3 codes
    assert codes[~there].mean() == pytest.approx(6.3, abs=0.1)
    drifted = chip_spec(SMALL, DeviceParameters(
        pristine_resistance_mohm=None, drift_exponent=0.02, drift_time_s=1e8,
    ))  # fmt: skip
    later = written(targets, drifted, 5).codes.astype(float)
    assert later[there].mean() == pytest.approx(10**-0.16 * targets[there].mean() / spec.g_lsb_us, rel=0.02)
    assert not later[~there].any()
    with pytest.raises(ValueError, match=r"target conductances\[0, 0\]: expected 0 to 20 uS, got 21"):
        written(np.full(targets.shape, 21.0), spec, 0)
    with pytest.raises(ValueError, match="expected the shape"):
        written(targets[1:], spec, 0)


def test_a_liquid_that_no_macro_holds_takes_a_tile() -> None:
    """1,784 sources on 4 x 512 rows, 1,000 neurons on 4 x 256 pairs; a weight is read in the macro of its source."""
    assert (chip_spec(SMALL).name, chip_spec(SMALL).macro_rows) == ("SMALL_MACRO", None)
    tile = chip_spec(NALSM_1000)
    assert (tile.name, tile.rows, tile.columns, tile.macro_shape) == ("NALSM_1000_TILE", 2048, 2048, (512, 512))
    assert tile.tile_rows == (512, 512, 512, 248)
    # as much for a read of a tile as for one of a macro
    assert chip_spec(NALSM_1000, read_noise=0.02).noise_scale == chip_spec(SMALL, read_noise=0.02).noise_scale > 1
    with pytest.raises(ValueError, match="rows: expected 1 to 4096"):
        chip_spec(replace(NALSM_1000, grid=(15, 15, 15), lane_synapses=100_000))
    # two sources in two macros: the code of each is rounded by itself, in one macro the sum
    wide = replace(NALSM_1000, name="WIDE", grid=(3, 3, 3), steps=20, lane_synapses=10_000)
    network = draw(wide, 1)
    neuron = int(network.target[0])
    own = network.target == neuron
    below = int(network.source[own][0])
    above = int(network.source[own & (network.source >= 512) & (network.source < 784)][0])
    weights = np.where(np.isin(network.source, (below, above)), 40, 0)
    spec = chip_spec(wide)
    assert below < 512 == spec.macro_rows
    spikes = np.zeros((1, wide.steps, 784), bool)
    spikes[0, 0, [below, above]] = True
    image = written(target_conductances_us(network, weights, spec), spec, 0)
    code = round(63 * 40 / 192)
    assert Liquid(spec, image).trace(spikes[0]).membrane[0, neuron] == 2 * (code >> 3) == 2
    single = replace(spec, macro_rows=None)
    assert Liquid(single, image).trace(spikes[0]).membrane[0, neuron] == 2 * code >> 3 == 3


def test_no_digit_is_in_two_parts_and_no_test_digit_is_trained_on() -> None:
    samples = digit_samples(replace(NALSM_216, steps=10), (30, 10, 20), 4)
    assert [len(part) for part in samples.spikes] == [30, 10, 20]
    assert samples.spikes[0].shape == (30, 10, 196)
    # an input neuron rests for two steps after a spike
    three = samples.spikes[0][:, :-2] + samples.spikes[0][:, 1:-1].astype(int) + samples.spikes[0][:, 2:]
    assert three.max() == 1
    assert samples.spikes[0].any()
    with pytest.raises(ValueError, match="expected at most"):
        digit_samples(NALSM_216, (9_000, 10, 20), 4)


def test_command(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["transfer", str(model), "--out", str(tmp_path), "--images", "30", "--test", "20"]
    arguments += ["--programming-error", "0.05", "--read-noise", "0.02", "--seed", "2"]
    code, out, error = program(capsys, *arguments, "--json")
    assert code == 0, error
    found = json.loads(out)
    spec = CrossbarSpec.from_toml((tmp_path / "SMALL_MACRO.toml").read_text())
    assert (spec.threshold, spec.noise_scale is None) == (found["threshold"], False)
    assert 0 <= found["accuracy"] <= 1
    # the file is what --conductances of the other commands reads, code for code
    trained = TrainedLiquid.load(model)
    targets = target_conductances_us(trained.network, trained.weights, spec)
    assert (read_measured(tmp_path / "SMALL_MACRO.npz", spec).codes == written(targets, spec, 2).codes).all()
    with np.load(tmp_path / "SMALL_MACRO_readout.npz") as readout:
        assert readout["weights"].shape == (10, 1, 27)
    code, _, error = program(capsys, *arguments)
    assert code == 2
    assert "SMALL_MACRO.toml is there already" in error
