"""The update onto the module sum: closed form of the conditional normal distribution, a QP solver, KKT conditions."""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.hgcal_encoder.learning import conservation
from sim.hgcal_encoder.learning.conservation import conserve, relative_covariance, sum_variance
from sim.hgcal_encoder.learning.features import sum_of_code
from sim.hgcal_encoder.normalise import sum_code


def _covariance(rng, singular=False):
    factors = rng.normal(size=(48, 60))
    if singular:
        factors -= factors.mean(axis=0)  # errors that always add up to 0, as a softmax makes them
    return factors @ factors.T / 60


def _solver(mean, precision, total, dead, noise=0.0):
    """The same problem by SLSQP (scipy), from an interior point."""
    free = np.flatnonzero(~dead)

    def full(x):
        out = np.zeros(48)
        out[free] = x
        return out

    def cost(x):
        d = full(x) - mean
        return d @ precision @ d / 2 + ((total - x.sum()) ** 2 / (2 * noise) if noise else 0.0)

    def slope(x):
        d = (precision @ (full(x) - mean))[free]
        return d + ((x.sum() - total) / noise if noise else 0.0)

    equality = [] if noise else [{"type": "eq", "fun": lambda x: x.sum() - total, "jac": lambda x: np.ones(len(x))}]
    start = np.full(len(free), total / len(free))
    found = scipy.optimize.minimize(
        cost, start, jac=slope, bounds=[(0, None)] * len(free), constraints=equality, method="SLSQP",
        options={"maxiter": 300, "ftol": 1e-12},
    )  # fmt: skip
    return full(found.x), lambda x: cost(x[free])


def test_equals_the_conditional_mean_in_closed_form():
    """Without bounds in play: E[x | 1'x + e = b], by block conditioning of the joint normal distribution."""
    rng = np.random.default_rng(0)
    mean = rng.uniform(50, 100, (20, 48))
    total = mean.sum(axis=1) * rng.uniform(0.97, 1.03, 20)
    sigma = _covariance(rng)
    ones = np.ones((48, 1))
    for noise in (0.0, 30.0):
        joint = np.block([[sigma, sigma @ ones], [ones.T @ sigma, ones.T @ sigma @ ones + noise]])
        gain = joint[:48, 48:] @ np.linalg.inv(joint[48:, 48:])
        expected = mean + (total - mean.sum(axis=1))[:, None] * gain.ravel()
        assert expected.min() > 0
        assert np.allclose(conserve(mean, total, covariance=sigma, total_variance=noise), expected)
        diagonal = np.diag(np.diag(sigma))
        found = conserve(mean, total, variances=np.diag(sigma), total_variance=noise)
        gain = np.diag(sigma) / (np.diag(sigma).sum() + noise)
        assert np.allclose(found, mean + (total - mean.sum(axis=1))[:, None] * gain)
        assert np.allclose(found, conserve(mean, total, covariance=diagonal, total_variance=noise))


def test_two_cells_by_hand():
    mean, variance = np.zeros((3, 48)), np.zeros(48)
    mean[:, 0], mean[:, 1] = 10.0, 2.0
    variance[0], variance[1] = 1.0, 3.0
    found = conserve(mean, [16.0, 4.0, 0.0], variances=variance)
    # +4 shared 1:3; -8 shared 1:3 would give (8, -4): cell 1 stays at 0 and cell 0 takes the rest; nothing at all
    assert np.allclose(found[:, :2], [[11.0, 5.0], [4.0, 0.0], [0.0, 0.0]])
    assert not found[:, 2:].any()
    # a noisy sum: precision 1/(r + 4) of 4 missing, r = 4 -> half of it
    assert np.allclose(conserve(mean[:1], [16.0], variances=variance, total_variance=4.0)[0, :2], [10.5, 3.5])


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 5.0]), st.booleans())
def test_independent_cells_against_a_qp_solver(seed, noise, dead_cells):
    rng = np.random.default_rng(seed)
    mean = rng.gamma(0.4, 10.0, (1, 48))
    variance = rng.uniform(0.1, 5.0, 48)
    total = mean.sum() * rng.uniform(0.2, 1.6)
    dead = (rng.random(48) < 0.15) & dead_cells
    found = conserve(mean, [total], variances=variance, masked=dead, total_variance=noise)[0]
    prior = np.where(dead, 0.0, mean[0])
    other, cost = _solver(prior, np.diag(1 / variance), total, dead, noise)
    assert cost(found) <= cost(other) + 1e-6 * max(cost(other), 1)
    assert np.allclose(found, other, atol=2e-3 * total)
    if not noise:
        assert found.sum() == pytest.approx(total)
    assert (found >= 0).all()
    assert not found[dead].any()


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 20.0]), st.booleans())
def test_correlated_cells_against_a_qp_solver(seed, noise, dead_cells):
    rng = np.random.default_rng(seed)
    mean = rng.gamma(0.5, 3.0, (6, 48))
    sigma = _covariance(rng)
    total = mean.sum(axis=1) * rng.uniform(0.5, 1.5, 6)
    dead = (rng.random((6, 48)) < 0.1) & dead_cells
    found = conserve(mean, total, covariance=sigma, masked=dead, total_variance=noise)
    assert (found >= -1e-12).all()
    assert not found[dead].any()
    if not noise:
        assert np.allclose(found.sum(axis=1), total)
    other, cost = _solver(mean[0], np.linalg.inv(sigma), total[0], dead[0], noise)
    assert cost(found[0]) <= cost(other) * (1 + 1e-5) + 1e-9


def test_optimality_conditions_of_many_images():
    """Stationarity of Karush, Kuhn and Tucker, image by image, for the exchange of active sets."""
    rng = np.random.default_rng(3)
    mean = rng.gamma(0.3, 5.0, (400, 48))
    total = mean.sum(axis=1) * rng.uniform(0.4, 1.6, 400)
    sigma = _covariance(rng)
    found = conserve(mean, total, covariance=sigma)
    assert np.allclose(found.sum(axis=1), total)
    gradient = (found - mean) @ np.linalg.inv(sigma)  # lambda on free cells, at least lambda on clamped ones
    free = found > 1e-9
    assert (~free).any(axis=1).mean() > 0.9
    lam = np.where(free, gradient, 0).sum(axis=1) / free.sum(axis=1)
    assert np.allclose(np.where(free, gradient - lam[:, None], 0), 0, atol=1e-6)
    assert (np.where(free, 0, gradient - lam[:, None]) > -1e-6).all()


@pytest.mark.parametrize("noise", [0.0, 40.0])
def test_least_squares_with_bounds_agrees(monkeypatch, noise):
    """The way out for sets that alternate, taken for all images."""
    rng = np.random.default_rng(8)
    mean = rng.gamma(0.5, 3.0, (20, 48))
    total = mean.sum(axis=1) * rng.uniform(0.5, 1.5, 20)
    sigma, dead = _covariance(rng), rng.random((20, 48)) < 0.1
    expected = conserve(mean, total, covariance=sigma, masked=dead, total_variance=noise)
    monkeypatch.setattr(conservation, "_EXCHANGES", 0)
    found = conserve(mean, total, covariance=sigma, masked=dead, total_variance=noise)
    assert np.allclose(found, expected, atol=1e-4 * total.max())
    assert not np.array_equal(found, expected)


def test_default_scales_the_image():
    rng = np.random.default_rng(4)
    image = rng.gamma(0.3, 50, (30, 48))
    total = image.sum(axis=1) * rng.uniform(0.5, 2, 30)
    assert np.allclose(conserve(image, total), image * (total / image.sum(axis=1))[:, None])
    dead = rng.random(48) < 0.2
    working = np.where(dead, 0, image)
    assert np.allclose(conserve(image, total, masked=dead), working * (total / working.sum(axis=1))[:, None])
    # nothing that could be scaled: an empty image stays empty
    assert not conserve(np.zeros((1, 48)), [5.0]).any()
    assert not conserve(image[:1], [5.0], masked=np.ones(48, bool)).any()
    assert not conserve(image[:1], [5.0], masked=np.ones(48, bool), covariance=np.eye(48)).any()


def test_known_cells_and_a_residual():
    """Best choice in this picture: cells sent are certain, the rest shares what is missing."""
    kept = np.zeros((2, 48))
    kept[:, :9] = 10.0
    found = conserve(kept, [129.0, 60.0], variances=(kept == 0).astype(float))
    assert np.allclose(found[0, 9:], 1.0)
    assert np.allclose(found[:, :9], 10.0)
    assert np.allclose(found[1, 9:], 0.0)  # less than what is certain: nothing below 0


def test_singular_covariance_of_shares():
    rng = np.random.default_rng(5)
    sigma = _covariance(rng, singular=True)
    mean = rng.uniform(50, 60, (10, 48))
    dead = np.zeros(48, bool)
    dead[7] = True
    found = conserve(mean, mean.sum(axis=1), covariance=sigma, masked=dead)
    assert np.allclose(found.sum(axis=1), mean.sum(axis=1))
    # the conditional mean on x7 = 0 conserves the sum by itself
    expected = mean - mean[:, 7:8] * sigma[7] / sigma[7, 7]
    expected[:, 7] = 0
    assert np.allclose(found[(expected >= 0).all(axis=1)], expected[(expected >= 0).all(axis=1)], rtol=1e-3, atol=0.05)


def test_relative_covariance_is_the_second_moment_of_shares():
    rng = np.random.default_rng(6)
    truth = rng.gamma(0.5, 10, (4000, 48)) + 1e-3
    errors = rng.normal(size=(4000, 48)) * 0.01
    decoded = np.maximum(truth + errors * truth.sum(axis=1, keepdims=True), 0)
    unclipped = decoded > 0
    cells = unclipped.all(axis=0)
    found = relative_covariance(truth, decoded)
    assert np.allclose(found, found.T)
    if cells.any():
        assert np.allclose(np.diag(found)[cells], 1e-4, rtol=0.15)
    by_hand = sum(np.outer(d, d) for d in ((decoded - truth) / truth.sum(axis=1, keepdims=True))[:5]) / 5
    assert np.allclose(relative_covariance(truth[:5], decoded[:5]), by_hand)


def test_variance_of_a_sum_code_by_enumeration():
    sums = np.arange(1, 40000)
    codes = sum_code(sums)
    for code in np.unique(codes)[:-1]:
        inside = sums[codes == code]
        assert sum_variance([code])[0] == pytest.approx(inside.var())
        assert sum_of_code(code) == pytest.approx(inside.mean())


def test_wrong_arguments_are_named():
    good = np.ones((3, 48))
    bad = good.copy()
    bad[2, 7] = -1
    with pytest.raises(ValueError, match=r"decoded\[2, 7\]"):
        conserve(bad, [1, 1, 1])
    with pytest.raises(ValueError, match=r"totals: expected shape \(3,\)"):
        conserve(good, [1, 1])
    with pytest.raises(ValueError, match=r"totals\[1\]"):
        conserve(good, [1, np.nan, 1])
    with pytest.raises(ValueError, match=r"variances\[2, 7\]"):
        conserve(good, [1, 1, 1], variances=bad)
    with pytest.raises(ValueError, match="got both"):
        conserve(good, [1, 1, 1], variances=good, covariance=np.eye(48))
    with pytest.raises(ValueError, match="least eigenvalue"):
        conserve(good, [1, 1, 1], covariance=np.diag([-1.0, *np.ones(47)]))
    with pytest.raises(ValueError, match="symmetric"):
        conserve(good, [1, 1, 1], covariance=np.triu(np.ones((48, 48))))
    with pytest.raises(ValueError, match="shape"):
        conserve(good, [1, 1, 1], covariance=np.eye(47))
    with pytest.raises(ValueError, match=r"truth\[0\]"):
        relative_covariance(np.zeros((1, 48)), np.zeros((1, 48)))
    with pytest.raises(ValueError, match="sum codes: expected 0 to 511, got 512"):
        sum_variance([512])
