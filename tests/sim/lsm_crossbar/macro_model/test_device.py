"""Cells and array against measurements, textbook circuits and badcrossbar."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from sim.lsm_crossbar.macro_model import device as cells
from sim.lsm_crossbar.macro_model.array import column_currents, ir_drop_factors, limited, relaxed_column_currents
from sim.lsm_crossbar.noise import NOISE_SIGMA
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec, DeviceParameters

DEVICE = DeviceParameters()


@pytest.fixture(scope="module")
def fitted() -> cells.Fit:
    return cells.fit(cells.measured(), np.random.default_rng(0), simulations=200)


def test_measurements_are_all_there() -> None:
    data = cells.measured()
    assert data.conductances_us.shape == (2900,)
    assert data.formed_us.shape == (1430,)
    assert data.breakdown_v.shape == (400,)


def test_defaults_are_the_fit(fitted: cells.Fit) -> None:
    assert abs(fitted.formed_fraction - 0.4931) < 1e-4
    assert abs(fitted.log_mean - DEVICE.log_mean) < 1e-4
    assert abs(fitted.log_sigma - DEVICE.log_sigma) < 2e-4
    assert abs(fitted.breakdown_mean_v - DEVICE.breakdown_mean_v) < 1e-3
    assert abs(fitted.breakdown_sigma_v - DEVICE.breakdown_sigma_v) < 1e-3
    assert abs(cells.formed_fraction(DEVICE) - fitted.formed_fraction) < 0.002


def test_lognormal_fits_and_normal_does_not(fitted: cells.Fit) -> None:
    assert fitted.lognormal_p > 0.05
    assert fitted.normal_p < 0.02
    assert fitted.breakdown_p > 0.02
    # the textbook statistic, as published for these arrays: 0.65 and 0.006
    formed = cells.measured().formed_us
    published = [
        scipy.stats.kstest((values - values.mean()) / values.std(), "norm").pvalue
        for values in (np.log(formed), formed)
    ]
    assert abs(published[0] - 0.65) < 0.01
    assert abs(published[1] - 0.006) < 0.001


def test_drawn_cells_cannot_be_told_from_measured_ones() -> None:
    g = cells.form((512, 512), DEVICE, np.random.default_rng(1), np.random.default_rng(2))
    formed = g[g > 1]
    data = cells.measured()
    assert scipy.stats.ks_2samp(formed[:20000], data.formed_us).pvalue > 0.05
    share = len(data.formed_us) / len(data.conductances_us)
    assert abs(len(formed) / g.size - share) < 4 * np.sqrt(share * (1 - share) / 2900)
    assert np.unique(g[g < 1]).tolist() == [0.1]
    # a normal of the same mean and deviation can be told
    normal = np.random.default_rng(3).normal(formed.mean(), formed.std(), 20000)
    assert scipy.stats.ks_2samp(normal, data.formed_us).pvalue < 0.01


def test_voltage_sets_how_many_form_and_compliance_how_well() -> None:
    def drawn(**fields: float) -> np.ndarray:
        return cells.form((300, 300), replace(DEVICE, **fields), np.random.default_rng(1), np.random.default_rng(2))

    previous = np.zeros((300, 300), bool)
    for fraction in (0.1, 0.3, 0.5, 0.9):
        voltage = cells.programming_voltage_v(fraction, DEVICE)
        formed = drawn(programming_voltage_v=voltage) > 1
        assert abs(formed.mean() - fraction) < 4 * np.sqrt(fraction * (1 - fraction) / 90000)
        assert (formed >= previous).all()
        previous = formed
    # one standard deviation above the mean of breakdown voltages: 84.1 %
    assert abs(cells.formed_fraction(replace(DEVICE, programming_voltage_v=3.433 + 0.114)) - 0.8413) < 1e-4
    low, high = drawn(), drawn(compliance_ua=10.0)
    assert np.allclose(high[low > 1], 2 * low[low > 1])
    # below the leakage of a pristine cell, 3.4 V / 10 Mohm, nothing can form
    assert cells.cell_voltage_v(replace(DEVICE, compliance_ua=0.3)) == pytest.approx(3.0)
    assert (drawn(compliance_ua=0.25) <= 0.1).all()
    assert (drawn() == 0).sum() == 0
    ideal = cells.form(
        (300, 300), replace(DEVICE, pristine_resistance_mohm=None), np.random.default_rng(1), np.random.default_rng(2)
    )
    assert ((ideal == 0) == (low < 1)).all()
    with pytest.raises(ValueError, match="formed fraction"):
        cells.programming_voltage_v(1.0, DEVICE)


def test_effects_have_their_size_and_none_is_ideal() -> None:
    g = np.full((400, 400), 12.0)
    n = g.size
    wrong = cells.misprogram(g, 0.05, np.random.default_rng(0)) / g
    assert abs(wrong.mean() - 1) < 4 * 0.05 / np.sqrt(n)
    assert abs(wrong.std() - 0.05) < 4 * 0.05 / np.sqrt(2 * n)
    noisy = cells.read_noise(g, 0.02, np.random.default_rng(0)) / g
    assert abs(noisy.std() - 0.02) < 4 * 0.02 / np.sqrt(2 * n)
    stuck = cells.stick(g, 0.03, 0.1, 20.0, np.random.default_rng(0))
    assert abs((stuck == 20).mean() - 0.03) < 4 * np.sqrt(0.03 * 0.97 / n)
    assert abs((stuck == 0).mean() - 0.1) < 4 * np.sqrt(0.1 * 0.9 / n)
    # 0.1 per decade of time: after 100 reference times 10^-0.2
    old = replace(DEVICE, drift_exponent=0.1, drift_time_s=200.0, drift_reference_s=2.0)
    assert np.allclose(cells.drift(g, old, np.random.default_rng(0)), 12 * 10**-0.2)
    assert np.allclose(cells.drift(g, old, np.random.default_rng(0), time_s=2000.0), 12 * 10**-0.3)
    spread = cells.drift(g, replace(old, drift_exponent_sigma=0.02), np.random.default_rng(0))
    exponents = -np.log(spread / 12) / np.log(100)
    assert abs(exponents.mean() - 0.1) < 4 * 0.02 / np.sqrt(n)
    assert abs(exponents.std() - 0.02) < 4 * 0.02 / np.sqrt(2 * n)
    rng = np.random.default_rng(0)
    for same in (
        cells.misprogram(g, None, rng),
        cells.read_noise(g, None, rng),
        cells.stick(g, None, None, 20.0, rng),
        cells.drift(g, DEVICE, rng),
    ):
        assert same is g


def test_a_macro_without_any_spread_is_ideal_but_for_its_voltage() -> None:
    """All cells at exp(2.5016) uS: code 39 of steps of 20/63 uS; just below the common breakdown voltage none."""
    ideal = replace(DEVICE, breakdown_sigma_v=None, log_sigma=None, pristine_resistance_mohm=None)
    for voltage, code, fraction in ((3.44, round(np.exp(2.5016) * 63 / 20), 1.0), (3.43, 0, 0.0)):
        spec = replace(N_MNIST, device=replace(ideal, programming_voltage_v=voltage))
        assert CrossbarSpec.from_toml(spec.to_toml()) == spec
        assert np.unique(cells.draw(spec, 3).codes).tolist() == [code]
        assert cells.formed_fraction(spec.device) == fraction
    with pytest.raises(ValueError, match="all cells form or none"):
        cells.programming_voltage_v(0.5, ideal)


def test_integer_noise_stands_for_the_noise_of_the_cells() -> None:
    """2 % of each of 16 cells, half of them formed, by brute force; a step of the generator is 0.144 codes."""
    spec = replace(N_MNIST, rows_per_read=16, conductance_bits=6, g_max_us=20.0)
    rng = np.random.default_rng(0)
    g = cells.form((16, 20000), replace(DEVICE, pristine_resistance_mohm=None), rng, rng)
    noise = (cells.read_noise(g, 0.02, rng) - g).sum(axis=0) / spec.g_lsb_us
    scale = cells.noise_scale(spec, 0.02)
    assert scale is not None
    assert abs(scale * NOISE_SIGMA / 64 - noise.std()) < 0.144
    assert cells.noise_scale(spec, None) is None


def test_one_seed_one_macro() -> None:
    spec = replace(N_MNIST, gain_spread=0.02, offset_spread=0.5)
    first, again, other = cells.draw(spec, 7), cells.draw(spec, 7), cells.draw(spec, 8)
    assert first.sha256 == again.sha256 != other.sha256
    assert first.file_name.startswith("N_MNIST-seed7-")
    same = (first.codes == other.codes).mean()
    assert 0.2 < same < 0.35  # both pristine a quarter of the time, rarely the same code
    assert abs(first.adc_gain.std() / 64 - 0.02) < 0.01
    assert abs(first.adc_offset.std() / (1 << spec.conversion_shift) - 0.5) < 0.2
    ideal = cells.draw(N_MNIST, 7)
    assert np.array_equal(ideal.codes, first.codes)
    assert np.unique(ideal.adc_gain).tolist() == [64]
    assert not ideal.adc_offset.any()
    # effects have streams of their own: a programming error does not move the cells that form
    worse = replace(N_MNIST, device=replace(DEVICE, programming_error=0.1))
    moved = cells.draw(worse, 7).codes
    assert np.array_equal(moved > 5, ideal.codes > 5)
    assert (moved != ideal.codes).mean() > 0.3
    with pytest.raises(ValueError, match="seed"):
        cells.draw(N_MNIST, -1)


def test_codes_are_rounded_conductances() -> None:
    lsb = 20 / 63
    assert cells.quantise([0.0, 0.49 * lsb, 0.51 * lsb, 12.34, 20.0, 25.0], N_MNIST).tolist() == [0, 0, 1, 39, 63, 63]


def test_single_cell_is_a_series_circuit() -> None:
    """1 x 1: source segment, cell, bit segment in series."""
    current = column_currents([[10.0]], [0.2], 1000.0, 3000.0)
    assert current == pytest.approx([0.2 / (1e5 + 4000) * 1e6], rel=1e-12)
    assert column_currents([[10.0]], [0.2], None, None) == pytest.approx([2.0])
    assert column_currents([[10.0]], [0.2], None, 5000.0) == pytest.approx([0.2 / 1.05e5 * 1e6])


def test_row_of_cells_is_a_ladder() -> None:
    """1 x N: from the far end, each cell with its bit segment in parallel with the rest, in series with a segment."""
    g, source, bit, volts = np.array([3.0, 12.0, 0.1, 9.0, 15.0]), 800.0, 2000.0, 0.15
    branches = 1e6 / g + bit
    seen = np.inf  # resistance to the right of each node
    rights = []
    for branch in branches[::-1]:
        rights.append(seen)
        seen = source + 1 / (1 / branch + 1 / seen)
    expected, node = [], volts
    for branch, right in zip(branches, rights[::-1], strict=True):
        node *= (total := 1 / (1 / branch + 1 / right)) / (source + total)
        expected.append(node / branch * 1e6)
    assert column_currents(g[None], [volts], source, bit) == pytest.approx(expected, rel=1e-10)


def test_two_by_two_by_kirchhoff() -> None:
    """Eight nodes, current law written out node by node and solved densely."""
    g = np.array([[10.0, 5.0], [8.0, 12.0]]) * 1e-6
    s, b, v = 1 / 500.0, 1 / 900.0, np.array([0.2, 0.1])
    matrix, right = np.zeros((8, 8)), np.zeros(8)  # w00 w01 w10 w11 b00 b01 b10 b11
    for r in range(2):
        w0, w1 = 2 * r, 2 * r + 1
        matrix[w0, w0], matrix[w0, w1], matrix[w0, 4 + w0] = 2 * s + g[r, 0], -s, -g[r, 0]
        right[w0] = s * v[r]
        matrix[w1, w1], matrix[w1, w0], matrix[w1, 4 + w1] = s + g[r, 1], -s, -g[r, 1]
    for c in range(2):
        top, bottom = 4 + c, 6 + c
        matrix[top, top], matrix[top, bottom], matrix[top, c] = b + g[0, c], -b, -g[0, c]
        matrix[bottom, bottom], matrix[bottom, top], matrix[bottom, 2 + c] = 2 * b + g[1, c], -b, -g[1, c]
    solution = np.linalg.solve(matrix, right)
    assert column_currents(g * 1e6, v, 500.0, 900.0) == pytest.approx(solution[6:] * b * 1e6, rel=1e-10)


GRID = np.array([[12.0, 0.1, 9.0, 15.0], [0.1, 14.0, 11.0, 0.1], [8.0, 10.0, 0.1, 13.0]])


@pytest.mark.parametrize(
    ("source", "bit", "microamperes"),
    [
        # badcrossbar 1.1.0, numpy 2.4.6: compute(v, 1 / (g * 1e-6), r_i=100).currents.output * 1e6, v = 0.1 V thrice
        (100.0, 100.0, [1.99633576, 2.38986163, 1.98702131, 2.77267485]),
        # the same with r_i_word_line=30, r_i_bit_line=200
        (30.0, 200.0, [1.99419966, 2.39081060, 1.98822313, 2.77792633]),
    ],
)
def test_badcrossbar_finds_the_same(source: float, bit: float, microamperes: list[float]) -> None:
    assert column_currents(GRID, np.full(3, 0.1), source, bit) == pytest.approx(microamperes, rel=1e-8)


@pytest.mark.parametrize(("source", "bit"), [(None, 20.0), (5.0, None), (5.0, 20.0)])
def test_relaxation_converges_to_the_exact_solution(source: float | None, bit: float | None) -> None:
    rng = np.random.default_rng(0)
    g = cells.form((40, 48), DEVICE, rng, rng) * (rng.random((40, 1)) < 0.5)
    exact = column_currents(g, np.full(40, 0.1), source, bit)
    assert relaxed_column_currents(g, np.full(40, 0.1), source, bit) == pytest.approx(exact, rel=1e-9)
    rough = relaxed_column_currents(g, np.full(40, 0.1), source, bit, sweeps=1)
    assert rough == pytest.approx(exact, rel=0.05)
    assert (exact < 0.1 * g.sum(axis=0)).all()


def test_mean_drop_stands_for_the_drop_of_random_reads() -> None:
    """Factors of a 96 x 64 array against exact solutions of random reads of 12 rows."""
    rng = np.random.default_rng(0)
    g = cells.form((96, 64), DEVICE, rng, rng)
    source, bit = 2.0, 30.0
    factors = ir_drop_factors(g, 12, source, bit)
    assert ((factors > 0) & (factors < 1)).all()
    errors, drops = [], []
    for _ in range(12):
        active = np.zeros((96, 1))
        active[rng.choice(96, 12, replace=False)] = 1
        exact = column_currents(g * active, np.full(96, 0.1), source, bit)
        errors.append(0.1 * (g * factors * active).sum(axis=0) / exact - 1)
        drops.append(1 - exact / (0.1 * (g * active).sum(axis=0)))
    # the mean drop is right to a tenth of itself; what is left is the choice of the other rows
    assert np.mean(drops) > 0.05
    assert abs(np.mean(errors)) < 0.1 * np.mean(drops)
    assert np.std(errors) < 0.3 * np.mean(drops)
    # one active row: the factor is exact, cell by cell
    alone = ir_drop_factors(g, 1, source, bit, sweeps=8)
    only = np.zeros((96, 1))
    only[50] = 1
    exact = column_currents(g * only, np.full(96, 0.1), source, bit)
    assert 0.1 * (g * alone)[50] == pytest.approx(exact, rel=1e-6)
    assert (ir_drop_factors(g, 12, None, None) == 1).all()
    with pytest.raises(ValueError, match="active rows of a read: expected 1 to 96, got 97"):
        ir_drop_factors(g, 97, source, bit)


def test_ir_drop_reaches_the_codes() -> None:
    spec = replace(N_MNIST, device=replace(DEVICE, bit_line_ohm=5.0))
    plain, dropped = cells.draw_conductances_us(N_MNIST, 3), cells.draw_conductances_us(spec, 3)
    ratio = dropped / plain
    assert ratio[0].mean() < ratio[-1].mean() < 1
    assert cells.draw(spec, 3).codes.sum() < cells.draw(N_MNIST, 3).codes.sum()


def test_current_limit_and_bad_networks() -> None:
    assert limited([1.0, 5.0], 3.0).tolist() == [1.0, 3.0]
    assert limited([1.0, 5.0], None).tolist() == [1.0, 5.0]
    with pytest.raises(ValueError, match="one voltage per row"):
        column_currents(GRID, [0.1], 1.0, 1.0)
    with pytest.raises(ValueError, match=r"got -1.0 at index \(0, 1\)"):
        column_currents([[1.0, -1.0]], [0.1], 1.0, 1.0)
