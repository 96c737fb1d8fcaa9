"""The crossbar chip in the native harness against its golden model, its proofs, and whether mutants are killed."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module

from flows.formal.crossbar import (
    prove_crossbar,
    prove_homeostat,
    prove_homeostat_loaded,
    prove_homeostat_settles,
    prove_membrane,
    prove_readout,
    prove_row_driver,
    prove_threshold_settles,
    prove_threshold_step,
    prove_thresholds_loaded,
)
from flows.formal.solver import Status, prove_always
from flows.formal.state import cut_state
from flows.simulation.crossbar import CrossbarBench, crossbar_verilog
from flows.stimulus.recordings import event_words, random_spikes
from flows.verification.crossbar import check_directed, check_mutants, check_recordings, check_volume, load_recordings
from flows.verification.crossbar_stimulus import IMAGES, make_segment, random_adcs, random_image, random_readout
from hw.lsm_crossbar.homeostat import Homeostat
from hw.lsm_crossbar.row_driver import RowDriver
from hw.lsm_crossbar.threshold_step import ThresholdStep
from sim.lsm_crossbar.example_specs import campaign_spec, random_spec, regulated_spec, stacked_spec, tiled_spec
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec, HomeostatParameters
from tests.conftest import long, need

SPEC = regulated_spec()
SEED = int(os.environ.get("LIQUIDCAL_SEED", "2105"))


@pytest.fixture(scope="module")
def bench() -> CrossbarBench:
    rng = np.random.default_rng(5)
    return CrossbarBench(crossbar_verilog(SPEC, random_image(SPEC, rng, "zero", random_adcs(SPEC, rng))))


def test_random_and_corner_images(bench: CrossbarBench) -> None:
    check = check_volume(bench, SEED, 1200)
    assert check.passed, check.detail
    assert check.compared >= 1200


@pytest.mark.parametrize("number", range(2))
def test_random_specs(number: int) -> None:
    rng = np.random.default_rng((SEED, number))
    spec = random_spec(rng, f"RANDOM_{number}")
    print(f"LIQUIDCAL_SEED={SEED}: {spec}")
    own = CrossbarBench(crossbar_verilog(spec, random_image(spec, rng, "zero", random_adcs(spec, rng))))
    check = check_volume(own, SEED, 400)
    assert check.passed, check.detail


@pytest.mark.parametrize(
    "spec",
    [regulated_spec("layer"), regulated_spec("neuron"), tiled_spec(), stacked_spec()],
    ids=lambda spec: spec.name,
)
def test_settings_reset_status(spec: CrossbarSpec) -> None:
    """Three macros, too, whose steps end at different times; and a tile, whose reads end with each macro."""
    check = check_directed(spec, SEED)
    assert check.passed, check.detail


def test_a_wrong_model_is_detected(bench: CrossbarBench) -> None:
    """What is compared depends on every part of the model: image, threshold, weights, noise."""
    rng = np.random.default_rng(3)
    adcs = {"adc_gain": np.array(bench.design.gains), "adc_offset": np.array(bench.design.offsets)}
    image, readout = random_image(SPEC, rng, "mixed", adcs), random_readout(SPEC, rng)
    spikes = random_spikes(SPEC, rng, 4)
    right = check_recordings(bench, image, readout, spikes, "right")
    assert right.passed, right.detail
    got = bench.run(image, readout, spikes)
    same = make_segment("same", SPEC, image, readout, spikes, noise_seed=0).played
    assert np.array_equal(got.spikes, same.spikes)
    other = random_image(SPEC, rng, "uniform", adcs)
    for segment in (
        make_segment("image", SPEC, other, readout, spikes, noise_seed=0),
        make_segment("threshold", SPEC, image, readout, spikes, noise_seed=0, threshold=SPEC.threshold // 2),
        make_segment("noise", SPEC, image, readout, spikes, noise_seed=1),
    ):
        assert not np.array_equal(got.spikes, segment.played.spikes), segment.name
    assert not np.array_equal(
        got.scores, make_segment("readout", SPEC, image, random_readout(SPEC, rng), spikes, noise_seed=0).played.scores
    )


def test_image_of_other_adcs_is_refused(bench: CrossbarBench, tmp_path: Path) -> None:
    image = random_image(SPEC, np.random.default_rng(1), "uniform")
    with pytest.raises(ValueError, match="not those of the design"):
        bench.model(image, tmp_path)


def test_events_of_a_step() -> None:
    spikes = np.zeros((1, SPEC.steps, SPEC.inputs), bool)
    spikes[0, 1, [3, 7]] = True
    words, counts = event_words(SPEC, spikes)
    end = 1 << SPEC.row_bits
    assert words.tolist() == [end, 3, 7, *[end] * (SPEC.steps - 1)]
    assert counts.tolist() == [[0, 2, 0, 0, 0, 0]]
    shuffled, more = event_words(SPEC, spikes, np.random.default_rng(1))
    assert set(shuffled[shuffled < end].tolist()) == {3, 7}
    assert (shuffled >= end).sum() == SPEC.steps
    assert more[0, 1] >= 2


def test_kinds_of_images() -> None:
    rng, top = np.random.default_rng(1), SPEC.code_max
    images = {kind: random_image(SPEC, rng, kind).codes for kind in IMAGES}
    assert images["zero"].max() == 0
    assert images["max"].min() == top
    assert sorted(set(images["column"].sum(axis=0).tolist())) == [0, top * SPEC.rows]
    assert (images["plus"][:, 0::2] == top).all()
    assert (images["plus"][:, 1::2] == 0).all()
    with pytest.raises(ValueError, match="kind of image"):
        random_image(SPEC, rng, "unknown")


@pytest.fixture(scope="session")
def recordings(shared_data: Path) -> Path:
    folder = shared_data / "lsm" / "nmnist_train1000"
    need(folder.is_dir(), f"N-MNIST recordings at {folder}")
    return folder


def test_recordings_on_a_part_of_the_chip(recordings: Path) -> None:
    """Real recordings on all inputs, steps and timing of the preset, with 32 of its neurons: built in seconds."""
    spec = replace(N_MNIST, name="PART", neurons=32, columns=64, rows=288)
    image, found = load_recordings(spec, recordings, None, 4)
    own = CrossbarBench(crossbar_verilog(spec, image))
    for name, readout, spikes in found:
        assert spikes.any()
        check = check_recordings(own, image, readout, spikes, name)
        assert check.passed, check.detail
        assert check.compared == 4 * spec.steps


@long
@pytest.mark.timeout(1800)
def test_recordings_on_the_preset(recordings: Path) -> None:
    image, found = load_recordings(N_MNIST, recordings, None, 20)
    own = CrossbarBench(crossbar_verilog(N_MNIST, image))
    for name, readout, spikes in found:
        check = check_recordings(own, image, readout, spikes, name)
        assert check.passed, check.detail


def test_proofs() -> None:
    proofs = list(prove_crossbar(SPEC))
    assert len(proofs) == 9
    for proof in proofs:
        assert proof.status is Status.PROVED, (proof.name, proof.counterexample)


class _Narrow(CrossbarSpec):
    """A spec whose membranes are one bit too narrow."""

    @property
    def membrane_width(self) -> int:
        return super().membrane_width - 1


def test_a_membrane_one_bit_too_narrow_is_refuted() -> None:
    small = replace(SPEC, columns_per_adc=2, columns=20)
    narrow = _Narrow(**{f: getattr(small, f) for f in small.__dataclass_fields__})
    proof = prove_membrane(narrow)
    assert proof.status is Status.REFUTED
    assert proof.counterexample


class _NarrowScores(CrossbarSpec):
    """A spec whose scores are one bit too narrow."""

    @property
    def score_width(self) -> int:
        return super().score_width - 1


def test_sums_of_signs_never_overflow() -> None:
    """With weights of 1 bit scores hold sums of counts; with one bit less the proof fails."""
    signs = replace(SPEC, readout_weight_bits=1)
    assert signs.score_width < SPEC.score_width
    assert prove_readout(signs).status is Status.PROVED
    narrow = _NarrowScores(**{f: getattr(signs, f) for f in signs.__dataclass_fields__})
    assert prove_readout(narrow).status is Status.REFUTED


class _Forgetful(RowDriver):
    """A row driver for one row less a batch than the specification says."""

    def __init__(self, *, spec: CrossbarSpec) -> None:
        super().__init__(spec=replace(spec, rows_per_read=spec.rows_per_read - 1))


def test_a_row_driver_with_short_batches_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.formal.crossbar.RowDriver", _Forgetful)
    assert prove_row_driver(SPEC).status is Status.REFUTED


class _Wide(RowDriver):
    """A row driver that takes two macros of a tile for one."""

    def __init__(self, *, spec: CrossbarSpec) -> None:
        super().__init__(spec=replace(spec, macro_rows=2 * spec.macro_rows))


def test_the_row_driver_of_a_tile_keeps_macros_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prove_row_driver(stacked_spec()).status is Status.PROVED
    monkeypatch.setattr("flows.formal.crossbar.RowDriver", _Wide)
    assert prove_row_driver(stacked_spec()).status is Status.REFUTED


class _Hasty(Homeostat):
    """A homeostat that moves after a sample less than the specification says."""

    def __init__(self, *, spec: CrossbarSpec) -> None:
        super().__init__(spec=replace(spec, homeostat=HomeostatParameters(samples=3)))


class _Overflowing(CrossbarSpec):
    """A spec whose balance is one bit too narrow."""

    @property
    def balance_width(self) -> int:
        return super().balance_width - 1


def test_wrong_homeostats_are_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = _Overflowing(**{f: getattr(SPEC, f) for f in SPEC.__dataclass_fields__})
    assert prove_homeostat(narrow).status is Status.REFUTED
    spec = replace(SPEC, homeostat=HomeostatParameters(samples=4))
    monkeypatch.setattr("flows.formal.crossbar.Homeostat", _Hasty)
    assert prove_homeostat(spec).status is Status.REFUTED
    assert prove_homeostat_settles(spec).status is Status.REFUTED


class _Unlimited(ThresholdStep):
    """A step of a neuron's threshold that knows neither the range nor the limit of one."""

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += self.after.eq(self.before + ((self.excess << 8) >> self.rate[:3]))
        return m


def test_own_thresholds_settle(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = regulated_spec("neuron")
    for prove in (prove_threshold_step, prove_threshold_settles, prove_thresholds_loaded, prove_homeostat_loaded):
        assert prove(spec).status is Status.PROVED
    monkeypatch.setattr("flows.formal.crossbar.ThresholdStep", _Unlimited)
    for prove in (prove_threshold_step, prove_threshold_settles):
        assert prove(spec).status is Status.REFUTED


def test_proofs_of_claims() -> None:
    always = "module claim(input [3:0] a, output ok); assign ok = a + 1 > a; endmodule"
    assert prove_always("always", "", always, [], 10).status is Status.PROVED
    never = "module claim(input [3:0] a, output ok); wire [3:0] b = a + 1; assign ok = b > a; endmodule"
    proof = prove_always("never", "", never, [], 10)
    assert proof.status is Status.REFUTED
    assert proof.counterexample["a"] == 15


def test_cut_state_names_registers() -> None:
    design = cut_state(RowDriver(spec=SPEC), "row_driver")
    groups = {f"pending_{first}": min(16, SPEC.used_rows - first) for first in range(0, SPEC.used_rows, 16)}
    assert design.registers == {**groups, "busy": 1, "count": 3, "settle": 1}
    assert design.resets == "0" * sum(design.registers.values())
    assert "dff" not in design.rtlil


def test_mutants_are_killed() -> None:
    check, result = check_mutants(campaign_spec(), SEED, 48)
    assert len(result.mutants) == 48
    assert {mutant.stage for mutant in result.mutants} >= {"row_driver", "macro", "adc", "neuron", "counter", "readout"}
    assert check.passed, check.detail
