"""Energy and area of array and ADCs against figures worked out by hand and published ones."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sim.lsm_crossbar import energy
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import N_MNIST
from tests.crossbars import SMALL_CROSSBAR


def test_area_of_the_published_macro() -> None:
    """512 x 512 cells of 54 F^2 at 40 nm: 0.023 mm2."""
    assert energy.array_area_um2(512, 512, 40.0) == pytest.approx(512 * 512 * 54 * 0.0016)
    assert round(energy.array_area_um2(512, 512, 40.0) * 1e-6, 3) == 0.023


def test_cell_of_nvmexplorer() -> None:
    """0.4 V, 10 ns, 1 and 10 Mohm behind a transistor of 20 kohm; half the cells on, half the rows active: 0.43 fJ."""
    both = energy.cell_read_energy_fj([1 / 1.02, 1 / 10.02], 0.4, 10.0)
    assert both[0] == pytest.approx(0.4**2 / 1.02e6 * 10e-9 * 1e15)
    assert round(float(both.mean()) / 2, 2) == 0.43


@pytest.mark.parametrize(("bits", "picojoules"), [(5, 1.42), (6, 1.62), (8, 2.61)])
def test_survey_regression_at_40_nm(bits: int, picojoules: float) -> None:
    """Outputs of hwcomponents-adc 1.0.21 at 40 nm and 10 MS/s."""
    assert round(energy.survey_adc_energy_pj(bits, 40.0, 1e7), 2) == picojoules


def test_survey_area_at_40_nm() -> None:
    assert energy.survey_adc_area_um2(5, 40.0, 1e7) == pytest.approx(3068, abs=1)


def test_survey_regression_has_two_regimes() -> None:
    """Slow converters are bound by resolution, fast ones by rate, 2.87 dB for a factor e."""
    assert energy.survey_adc_energy_pj(8, 40.0, 1e6) == energy.survey_adc_energy_pj(8, 40.0, 1e7)
    fast = energy.survey_adc_energy_pj(8, 40.0, 2e10) / energy.survey_adc_energy_pj(8, 40.0, 1e10)
    assert fast == pytest.approx(10 ** (0.2871903 * math.log(2)), rel=1e-4)
    assert energy.survey_adc_energy_pj(2, 40.0, 1e7) == energy.survey_adc_energy_pj(4, 40.0, 1e7)
    assert energy.survey_adc_energy_pj(6, 65.0, 1e7) > energy.survey_adc_energy_pj(6, 40.0, 1e7)


def test_range_of_a_conversion() -> None:
    six = energy.adc_energy_pj(replace(N_MNIST, adc_bits=6))
    assert six.low == pytest.approx(0.604096)
    assert six.nominal == pytest.approx(1.62, abs=0.005)
    assert six.high == pytest.approx(six.nominal * math.exp(1.470202))


def test_word_line_by_hand() -> None:
    """Pitch sqrt(54) * 40 nm = 0.2939 um of 0.2 fF/um, gate of 0.24 um of 1 fF/um, 512 times, 1.21 V^2."""
    assert energy.word_line_energy_pj(512, 40.0, 1.1) == pytest.approx(512 * (0.058788 + 0.24) * 1.21e-3, rel=1e-4)


def test_inference_by_hand() -> None:
    """One input spike in each of two steps of the small chip, on a row of known conductance."""
    spec = replace(SMALL_CROSSBAR, threshold=200, g_max_us=15.0, read_voltage_v=0.1)
    codes = np.zeros((spec.rows, spec.columns), int)
    codes[2, :3] = 5  # 15 uS on columns of neurons 0 and 1
    codes[2, 15] = 9  # column 15 has no neuron and is not biased
    inputs = np.zeros((3, spec.steps, spec.inputs), bool)
    inputs[:, [1, 4], 2] = True
    image = Conductances.of(spec, codes)
    found = energy.inference_energy(spec, image, Liquid(spec, image).run(inputs))
    assert found.reads == 2
    assert found.row_activations == 2
    assert found.conversions == 2 * 4 * 4  # 2 reads, 4 selects, plus and minus of 2 lanes
    assert found.synaptic_operations == 2 * 6
    # 2 x 15 uS x 0.01 V^2 x 10 ns = 3 fJ
    assert found.cells_pj.nominal == pytest.approx(3e-3)
    assert found.cells_pj.high == pytest.approx(3e-3 * spec.read_clocks)
    line = energy.word_line_energy_pj(16, 40.0, 1.1)
    assert found.word_lines_pj.nominal == pytest.approx(2 * line)
    assert found.adcs_pj.nominal == pytest.approx(32 * energy.survey_adc_energy_pj(4, 40.0, 1e9 / 80))
    assert found.total_pj.nominal == pytest.approx(3e-3 + 2 * line + found.adcs_pj.nominal)
    assert found.per_synaptic_operation_pj.nominal == pytest.approx(found.total_pj.nominal / 12)
    for part in (found.cells_pj, found.word_lines_pj, found.adcs_pj, found.total_pj):
        assert 0 < part.low <= part.nominal <= part.high


def test_nothing_costs_nothing_and_no_sample_is_refused() -> None:
    spec = SMALL_CROSSBAR
    image = Conductances.of(spec, np.zeros((spec.rows, spec.columns), int))
    silent = Liquid(spec, image).run(np.zeros((1, spec.steps, spec.inputs), bool))
    assert energy.inference_energy(spec, image, silent).total_pj.high == 0
    assert energy.inference_energy(spec, image, silent).per_synaptic_operation_pj.high == 0
    none = Liquid(spec, image).run(np.zeros((0, spec.steps, spec.inputs), bool))
    with pytest.raises(ValueError, match="at least one sample"):
        energy.inference_energy(spec, image, none)
    with pytest.raises(ValueError, match="not a range"):
        energy.Estimate(low=2.0, nominal=1.0, high=3.0)
