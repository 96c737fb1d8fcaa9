"""EMD against POT's documented solver, closed forms and linear programming; the rest against direct formulas."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from sim.hgcal_encoder.detector.geometry import ground_distance, module_geometry, trigger_cell_uv
from sim.hgcal_encoder.learning import metric as m


def _pairs(n, seed):
    """Pairs of all kinds: sparse, dense, equal in part, single cells."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(0.3, 50, (n, 48)) * (rng.random((n, 48)) < rng.uniform(0.05, 1.0, (n, 1)))
    truth[:, 0] += truth.sum(axis=1) == 0
    other = np.where(rng.random((n, 48)) < 0.5, truth, rng.permutation(truth, axis=1))
    other[:, 47] += other.sum(axis=1) == 0
    truth[: n // 10] = np.eye(48)[rng.integers(0, 48, n // 10)]
    return np.rint(truth * 8), np.rint(other * 8) + (rng.random((n, 1)) < 0.3) * rng.random((n, 48))


@pytest.fixture(scope="module")
def pairs():
    return _pairs(300, 1)


def test_fast_path_equals_pot(pairs):
    fast = m.earth_movers_distance(*pairs)
    assert np.isfinite(fast).all()
    assert fast.max() > 3
    np.testing.assert_allclose(fast, m.earth_movers_reference(*pairs), rtol=1e-9, atol=1e-9)


def test_transport_is_optimal_by_linear_programming(pairs):
    """An independent solver (HiGHS) on the full transport problem."""
    distance = ground_distance()
    for truth, decoded in zip(pairs[0][::60], pairs[1][::60], strict=True):
        p, q = truth / truth.sum(), decoded / decoded.sum()
        rows = np.concatenate([np.kron(np.eye(48), np.ones(48)), np.kron(np.ones(48), np.eye(48))])
        lp = scipy.optimize.linprog(distance.ravel(), A_eq=rows[:-1], b_eq=np.concatenate([p, q])[:-1])
        assert m.earth_movers_distance(truth[None], decoded[None])[0] == pytest.approx(lp.fun, abs=1e-7)


def test_one_cell_to_another_costs_their_distance():
    cells = np.eye(48)
    distance = ground_distance()
    for shift in (1, 5, 23):
        emd = m.earth_movers_distance(cells * 7.0, np.roll(cells, shift, axis=1) * 0.1)
        moved = np.roll(np.arange(48), -shift)
        assert np.allclose(np.sort(emd), np.sort(distance[np.arange(48), np.argsort(moved)]))
    assert not m.earth_movers_distance(cells, cells).any()


def test_potentials_are_the_derivative(pairs):
    truth, decoded = pairs[0][:60], pairs[1][:60]
    emd, potential = m.earth_movers_potentials(truth, decoded)
    p = truth / truth.sum(axis=1, keepdims=True)
    q = decoded / decoded.sum(axis=1, keepdims=True)
    # duality: the potential attains the distance and is 1-Lipschitz
    assert np.allclose((potential * (q - p)).sum(axis=1), emd, atol=1e-9)
    steep = np.abs(potential[:, :, None] - potential[:, None]) - ground_distance()
    assert steep.max() < 1e-9
    # subgradient: no other image is better than the tangent says
    other = np.roll(q, 1, axis=0)
    tangent = emd + (potential * (other - q)).sum(axis=1)
    assert (m.earth_movers_distance(p, other) >= tangent - 1e-9).all()


def test_empty_images_have_no_distance():
    images = np.array([[0.0] * 48, [1.0] + [0.0] * 47])
    assert np.isnan(m.earth_movers_distance(images, images[::-1])).all()
    assert np.isnan(m.earth_movers_reference(images, images[::-1])).all()
    assert np.isnan(m.module_energy_response(images, images)[0])
    assert np.isnan(m.position_shift(images, images)[0]).all()


def test_wrong_images_are_named():
    good = np.ones((3, 48))
    bad = good.copy()
    bad[2, 7] = -1.0
    with pytest.raises(ValueError, match=r"decoded\[2, 7\].*-1\.0"):
        m.earth_movers_distance(good, bad)
    bad[2, 7] = np.nan
    with pytest.raises(ValueError, match=r"truth\[2, 7\]"):
        m.earth_movers_distance(bad, good)
    with pytest.raises(ValueError, match=r"shape \(n, 48\), got \(3, 47\)"):
        m.earth_movers_distance(good[:, :47], good)
    with pytest.raises(ValueError, match="equal shapes"):
        m.earth_movers_distance(good, good[:2])
    with pytest.raises(ValueError, match=r"distance: expected shape \(48, 48\)"):
        m.earth_movers_distance(good, good, distance=np.zeros((3, 3)))


def test_telescoping_windows_are_the_published_ones():
    """36 windows of four; weights as in the published training (telescope of 9 squares and seams)."""
    windows, weights, blocks = m.telescoping_matrices()
    assert windows.shape == (48, 36)
    assert (windows.sum(axis=0) == 4).all()
    assert (blocks.sum(axis=0) == 16).all()
    values, counts = np.unique(np.round(weights, 12), return_counts=True)
    published = [0.25, 0.25 + 1 / 12, 0.375, 0.25 + 1 / 6, 0.5625]
    assert np.allclose(values, published)
    assert counts.tolist() == [12, 3, 15, 3, 3]
    found = {tuple(np.flatnonzero(w).tolist()): weight for w, weight in zip(windows.T, weights, strict=True)}
    assert found[(0, 1, 4, 5)] == pytest.approx(0.375)
    assert found[(8, 9, 12, 13)] == pytest.approx(0.5625)
    assert found[(2, 3, 19, 23)] == pytest.approx(0.25 + 1 / 6)
    assert found[(17, 18, 39, 43)] == pytest.approx(0.25)
    # every window is a compact patch of the module
    distance = ground_distance()
    for cells in found:
        assert distance[np.ix_(cells, cells)].max() < 5.6


def test_telescoping_distance_by_hand():
    one, other = np.zeros((1, 48)), np.zeros((1, 48))
    one[0, 5] = 2.0
    other[0, 5] = 1.0
    windows, weights, _ = m.telescoping_matrices()
    in_windows = weights[windows[5] == 1].sum()
    expected = 4 * 2.0 / 48 + 2 * 2.0 * in_windows / 36 + 2.0 / 3
    assert m.telescoping_distance(one, other)[0] == pytest.approx(expected)


def test_response_and_shift():
    rng = np.random.default_rng(2)
    charges = rng.integers(0, 100, (20, 48))
    assert np.allclose(m.module_energy_response(charges, charges * 1.25), 1.25)
    assert np.allclose(m.position_shift(charges, charges * 3), 0)
    cells = np.eye(48)
    shift = m.position_shift(cells[:1], cells[15:16])[0]
    u, v = trigger_cell_uv()[15] - trigger_cell_uv()[0]
    pitch = 2 * module_geometry("low").cell_pitch_mm
    assert shift == pytest.approx([pitch * v * math.sqrt(3) / 2, pitch * (u - v / 2)])


def test_summary_counts_every_image_once(pairs):
    truth, decoded = pairs
    occupied = m.occupancy(truth)
    emd = m.earth_movers_distance(truth, decoded)
    for bins in (m.BINS, m.FINE_BINS):
        assert [low for low, _ in bins] == [1, *(high + 1 for _, high in bins[:-1])]
        assert bins[-1][1] == 48
        summary = m.summarise(emd, occupied, bins)
        assert sum(b.count for b in summary) == len(truth)
        for b in summary:
            inside = emd[(occupied >= b.lowest) & (occupied <= b.highest)]
            if b.count:
                assert b.median == np.median(inside)
                assert b.mean == pytest.approx(inside.mean())
    empty = m.summarise(emd, occupied, [(49, 50)])[0]
    assert empty.count == 0
    assert math.isnan(empty.median)
    with pytest.raises(ValueError, match="lowest exceeds"):
        m.summarise(emd, occupied, [(3, 2)])
    with pytest.raises(ValueError, match="equal vectors"):
        m.summarise(np.ones((2, 2)), np.ones((2, 2), int))


def test_any_charge_above_zero_occupies_a_cell():
    charges = np.zeros((2, 48))
    charges[1, [3, 40]] = 0.25, 1.0
    assert m.occupancy(charges).tolist() == [0, 2]


def test_error_of_the_median_covers_it():
    """For a normal distribution the standard error of the median is sqrt(pi / 2n)."""
    rng = np.random.default_rng(3)
    n = 400
    errors = [m.summarise(rng.normal(size=n), np.full(n, 5), [(1, 48)])[0].median_error for _ in range(200)]
    assert np.mean(errors) == pytest.approx(math.sqrt(math.pi / 2 / n), rel=0.1)


def test_width_is_one_standard_deviation_of_a_normal_distribution():
    rng = np.random.default_rng(4)
    values = rng.normal(1.1, 0.25, 20000)
    summary = m.summarise(values, np.full(len(values), 5), [(1, 48)])[0]
    assert summary.width == pytest.approx(0.25, rel=0.02)
    # exact for a short list: quantiles of 0, 1, ..., 100 are a hundred times the probability
    short = m.summarise(np.arange(101.0), np.full(101, 5), [(1, 48)])[0]
    assert short.width == pytest.approx(50 * (scipy.stats.norm.cdf(1) - scipy.stats.norm.cdf(-1)))
    # ranks n/2 +- sqrt(n)/2 of a median lie one standard error of a binomial count off the middle
    assert short.median_error == pytest.approx(100 * 0.5 / math.sqrt(101))


def test_pseudorapidity_splits_every_occupancy_bin(pairs):
    truth, decoded = pairs
    eta = np.random.default_rng(5).uniform(1.5, 3.1, len(truth))
    eta[:20] = 1.8  # an edge belongs to the bin above it
    hits, emd = m.occupancy(truth), m.earth_movers_distance(truth, decoded)
    split = m.summarise(emd, hits, m.BINS, etas=eta)
    assert len(split) == len(m.BINS) * len(m.ETA_BINS)
    for whole, parts in zip(m.summarise(emd, hits), np.reshape(split, (len(m.BINS), -1)), strict=True):
        assert whole.eta_lowest is None
        assert sum(part.count for part in parts) == whole.count
        assert [(p.eta_lowest, p.eta_highest) for p in parts] == list(m.ETA_BINS)
        for part in parts:
            inside = (hits >= part.lowest) & (hits <= part.highest)
            inside &= (eta >= part.eta_lowest) & (eta < part.eta_highest)
            assert part.median == np.median(emd[inside])
    with pytest.raises(ValueError, match=r"pseudorapidity bin \(2.0, 2.0\)"):
        m.summarise(emd, hits, etas=eta, eta_bins=[(2.0, 2.0)])
    with pytest.raises(ValueError, match="values and etas"):
        m.summarise(emd, hits, etas=eta[1:])


def test_comparison_holds_every_quantity(pairs):
    truth, decoded = pairs[0][:80], pairs[1][:80]
    found = m.compare(truth, decoded, etas=np.full(80, 2.0))
    assert np.array_equal(found.emd, m.earth_movers_distance(truth, decoded))
    assert np.allclose(found.response, decoded.sum(axis=1) / truth.sum(axis=1))
    assert np.allclose(found.shift_mm, np.hypot(*m.position_shift(truth, decoded).T))
    row = 7
    power = 2.0 ** math.floor(math.log2(truth[row].sum()))
    one = m.telescoping_distance(truth[row : row + 1] / power, decoded[row : row + 1] / power)
    assert found.telescoping[row] == pytest.approx(one[0])
    tables = found.summarise(by_eta=True, eta_bins=[(1.5, 2.0), (2.0, 3.0)])
    assert tuple(tables) == m.QUANTITIES
    assert all(not s.count for table in tables.values() for s in table[::2])
    assert sum(s.count for s in tables["emd"]) == 80
    assert [s.eta_lowest for s in found.summarise()["emd"]] == [None] * len(m.BINS)
    with pytest.raises(ValueError, match="no pseudorapidity"):
        m.compare(truth, decoded).summarise(by_eta=True)
    with pytest.raises(ValueError, match=r"occupancies: expected shape \(80,\)"):
        m.compare(truth, decoded, occupancies=[1, 2])
    empty = m.compare(np.zeros((1, 48)), np.ones((1, 48)))
    assert np.isnan([empty.emd[0], empty.telescoping[0], empty.response[0], empty.shift_mm[0]]).all()
