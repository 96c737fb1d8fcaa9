"""The homeostat against its rule in rationals, sample by sample, and on a liquid whose currents change."""

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest

from sim.lsm_crossbar.homeostat import Homeostat, NeuronHomeostat, balanced_ratio, balanced_ratios
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import CrossbarSpec, HomeostatParameters
from tests.crossbars import SMALL_CROSSBAR, random_crossbar, random_image, scalar_run


def _with(spec: CrossbarSpec, **fields: Any) -> CrossbarSpec:
    return replace(spec, homeostat=HomeostatParameters(**fields))


@pytest.mark.parametrize("seed", range(6))
def test_thresholds_are_the_rule_in_rationals(seed: int) -> None:
    """The scalar definition of the chip, whose threshold is moved by the sentence of the data sheet."""
    rng = np.random.default_rng(seed)
    spec = _with(random_crossbar(rng, noise_scale=None), samples=int(rng.integers(2, 4)))
    spec = replace(spec, threshold=int(rng.integers(2, max(4, spec.adc_max))))
    image = random_image(spec, rng)
    inputs = rng.random((14, spec.steps, spec.inputs)) < rng.choice([0.2, 0.5])
    ratio, band = int(rng.integers(0, 400)), int(rng.integers(0, 3))
    threshold, thresholds, spikes, balance = spec.threshold, [], [], Fraction(0)
    for number, sample in enumerate(inputs):
        thresholds.append(threshold)
        run = scalar_run(replace(spec, threshold=threshold), image, sample.tolist(), None, 0)
        spikes.append(run.spikes)
        balance += sum(map(sum, run.spikes)) - Fraction(ratio, 256) * int(sample.sum())
        if (number + 1) % spec.homeostat.samples == 0:  # type: ignore[union-attr]
            step = (balance > band) - (balance < -band)
            threshold = min(max(threshold + step, spec.threshold // 2), 2 * spec.threshold, spec.threshold_max)
            balance = Fraction(0)
    for engine in ("numpy", "numba"):
        homeostat = Homeostat(spec, ratio=ratio, band=band)
        liquid = Liquid(spec, image, engine)
        # in two pieces that do not end with a window: it goes on where it stands
        parts = [liquid.regulated(inputs[rows], homeostat) for rows in (slice(0, 5), slice(5, None))]
        assert np.concatenate([moved for _, moved in parts]).tolist() == thresholds
        assert np.concatenate([activity.spikes for activity, _ in parts]).tolist() == spikes
        assert homeostat.threshold == threshold
        assert liquid.threshold == spec.threshold


def test_it_finds_the_threshold_of_scaled_currents() -> None:
    """All conductances halved, converters without loss: near half the threshold the liquid is as busy as before."""
    chip = replace(SMALL_CROSSBAR, threshold=24, adc_bits=7, adc_shift=0, conductance_bits=5)
    spec = _with(chip, samples=40)
    rng = np.random.default_rng(8)
    codes = 2 * rng.integers(0, 16, (spec.rows, spec.columns))
    inputs = rng.random((1200, spec.steps, spec.inputs)) < 0.5
    fresh = int(Liquid(spec, Conductances.of(spec, codes)).run(inputs).spikes.sum())
    halved = Liquid(spec, Conductances.of(spec, codes // 2))
    assert halved.run(inputs).spikes.sum() < 0.4 * fresh
    homeostat = Homeostat(spec, ratio=balanced_ratio(fresh, int(inputs.sum())))
    activity, thresholds = halved.regulated(inputs, homeostat)
    # as many windows as there are steps, then it stays
    assert set(thresholds[40 * 12 :].tolist()) <= {12, 13, 14}
    assert activity.spikes[40 * 12 :].sum() == pytest.approx(0.6 * fresh, rel=0.1)
    assert (homeostat.low, homeostat.high) == (12, 48)


@pytest.mark.parametrize(("ratio", "end"), [(0, 48), (4095, 12)])
def test_it_stops_at_half_and_twice_the_register(ratio: int, end: int) -> None:
    spec = _with(replace(SMALL_CROSSBAR, threshold=24), samples=2)
    homeostat = Homeostat(spec, ratio=ratio)
    for _ in range(60):
        homeostat.after(6, 6, 2)
    assert homeostat.threshold == end


def test_a_band_and_silence_leave_it_alone() -> None:
    homeostat = Homeostat(_with(SMALL_CROSSBAR, samples=2, ratio=256, band=5))
    for liquid, inputs, want in ((0, 0, 4), (10, 5, 4), (11, 5, 5), (0, 5, 5), (0, 6, 4)):
        homeostat.after(liquid, inputs, 2)
        assert homeostat.threshold == want


def test_spec_round_trip_and_bad_values() -> None:
    spec = _with(SMALL_CROSSBAR, samples=3, ratio=77, band=9)
    assert CrossbarSpec.from_toml(spec.to_toml()) == spec
    assert "homeostat" not in SMALL_CROSSBAR.to_toml()
    for text, found in (("samples = 1", "samples"), ("ratio = 5000", "ratio"), ("x = 1", "x")):
        with pytest.raises(ValueError, match=f"homeostat.{found}"):
            CrossbarSpec.from_toml(SMALL_CROSSBAR.to_toml() + f"[homeostat]\n{text}\n")
    with pytest.raises(ValueError, match="expected a table"):
        CrossbarSpec.from_toml("homeostat = 3\n" + SMALL_CROSSBAR.to_toml())
    with pytest.raises(ValueError, match="has no homeostat"):
        Homeostat(SMALL_CROSSBAR)
    with pytest.raises(ValueError, match="homeostat band: expected 0"):
        Homeostat(spec, band=1 << 24)
    with pytest.raises(ValueError, match="expected 1 to the 3 of the window, got 4"):
        Homeostat(spec).after(0, 0, 4)
    with pytest.raises(ValueError, match="out of balance"):
        balanced_ratio(0, 10)


@pytest.mark.parametrize("seed", range(6))
def test_own_thresholds_are_the_rule_in_rationals(seed: int) -> None:
    """The scalar definition of the chip, each threshold moved by the sentence of the data sheet."""
    rng = np.random.default_rng(seed)
    rate = int(rng.integers(0, 9))
    spec = replace(random_crossbar(rng, noise_scale=None), refractory_steps=seed % 2)
    spec = _with(replace(spec, threshold=int(rng.integers(2, max(4, spec.adc_max)))), per="neuron", rate=rate)
    image = random_image(spec, rng)
    inputs = rng.random((10, spec.steps, spec.inputs)) < rng.choice([0.2, 0.5])
    ratios = rng.integers(0, 1 << 16, spec.neurons) // rng.choice([1, 4, 16], spec.neurons)
    # what the offsets of a chip of this spec can say: one bit of sign, the bits of the threshold
    reach = 1 << spec.threshold.bit_length()
    low = max(spec.threshold // 2, spec.threshold - reach)
    high = min(2 * spec.threshold, spec.threshold + reach - 1, spec.threshold_max)
    exact = [spec.threshold + Fraction(1, 2)] * spec.neurons
    thresholds, spikes = [], []
    for sample in inputs:
        thresholds.append([floor(value) for value in exact])
        run = scalar_run(spec, image, sample.tolist(), None, 0, thresholds[-1])
        spikes.append(run.spikes)
        for window, counts in enumerate(run.counts):
            length = spec.steps // spec.windows
            came = int(sample[window * length : (window + 1) * length].sum())
            for neuron, count in enumerate(counts):
                wanted = Fraction(floor(int(ratios[neuron]) * came / Fraction(256)), 256)
                step = min(max((count - wanted) / 2**rate, Fraction(-1)), Fraction(1))
                exact[neuron] = min(max(exact[neuron] + step, Fraction(low)), Fraction(high))
    for engine in ("numpy", "numba"):
        homeostat = NeuronHomeostat(spec, ratios)
        liquid = Liquid(spec, image, engine)
        parts = [liquid.regulated(inputs[rows], homeostat) for rows in (slice(0, 3), slice(3, None))]
        assert np.concatenate([moved for _, moved in parts]).tolist() == thresholds
        assert np.concatenate([activity.spikes for activity, _ in parts]).tolist() == spikes
        assert homeostat.threshold.tolist() == [floor(value) for value in exact]
        assert homeostat.moved == sum(floor(value) - spec.threshold for value in exact)


def test_each_neuron_finds_its_own_threshold() -> None:
    """Half of the neurons get half of the current, their inputs alone: those go to half the threshold, the others stay.

    No neuron projects to another one, so that each has its own course.
    """
    chip = replace(SMALL_CROSSBAR, threshold=24, adc_bits=7, adc_shift=0, conductance_bits=5)
    spec = _with(chip, per="neuron", rate=5)
    rng = np.random.default_rng(8)
    codes = 2 * rng.integers(0, 16, (spec.rows, spec.columns))
    codes[spec.inputs :] = 0
    inputs = rng.random((2500, spec.steps, spec.inputs)) < 0.5
    fresh = Liquid(spec, Conductances.of(spec, codes)).counts(inputs)
    half = np.arange(spec.neurons) % 2 == 0
    weak = codes.copy()
    weak[:, np.flatnonzero(np.repeat(half, 2))] //= 2
    homeostat = NeuronHomeostat(spec, balanced_ratios(fresh, int(inputs.sum())))
    activity, thresholds = Liquid(spec, Conductances.of(spec, weak)).regulated(inputs, homeostat)
    busy = fresh.sum(axis=(0, 1)) > 500
    assert (busy & half).any()
    assert (busy & ~half).any()
    late = thresholds[1500:].mean(axis=0)
    assert np.abs(late[busy & half] - 12).max() <= 2
    assert np.abs(late[busy & ~half] - 24).max() <= 1.5
    share = activity.counts[1500:].sum(axis=(0, 1)) / fresh[1500:].sum(axis=(0, 1)).clip(1)
    assert np.abs(share[busy] - 1).max() < 0.1


def test_own_thresholds_refuse() -> None:
    spec = _with(SMALL_CROSSBAR, per="neuron", rate=3)
    assert CrossbarSpec.from_toml(spec.to_toml()) == spec
    for text, found in (
        ("per = 'column'", "homeostat.per: expected 'layer' or 'neuron', got 'column'"),
        ("per = 'neuron'\nrate = 9", "homeostat.rate"),
        ("per = 'neuron'\nband = 3", "homeostat.band: expected none with per = 'neuron'"),
        ("rate = 3", "homeostat.rate: expected none with per = 'layer'"),
    ):
        with pytest.raises(ValueError, match=found):
            CrossbarSpec.from_toml(SMALL_CROSSBAR.to_toml() + f"[homeostat]\n{text}\n")
    ratios = np.zeros(spec.neurons, int)
    with pytest.raises(ValueError, match="has no homeostat of one threshold"):
        Homeostat(spec)
    with pytest.raises(ValueError, match="has no homeostat with a threshold for each neuron"):
        NeuronHomeostat(_with(SMALL_CROSSBAR), ratios)
    with pytest.raises(ValueError, match=f"expected {spec.neurons}, got the shape"):
        NeuronHomeostat(spec, ratios[1:])
    with pytest.raises(ValueError, match="homeostat ratio: expected 0 to 65535, got 65536"):
        NeuronHomeostat(spec, ratios + 65536)
    with pytest.raises(ValueError, match="expected one, got 2"):
        NeuronHomeostat(spec, ratios).observe(np.zeros((2, 1, spec.neurons), int), np.zeros((2, 1), int))
