"""Intervals of counted fractions against published tables, textbook formulas and exact sums."""

import math
from typing import Any

import pytest

from flows.campaign.statistics import Sample, clopper_pearson, stratified, upper_limit, wilson

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution (Abramowitz and Stegun 1964, table 26.1)."""


def test_clopper_pearson_against_published_intervals() -> None:
    """R. G. Newcombe, Statistics in Medicine 17 (1998) 857, table I: method 5 (Clopper-Pearson), method 3 (score)."""
    for hits, trials, exact, score in (
        (81, 263, (0.2527, 0.3676), (0.2553, 0.3662)),
        (15, 148, (0.0578, 0.1617), (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1684), (0.0, 0.1611)),
        (1, 29, (0.0009, 0.1776), (0.0061, 0.1718)),
    ):
        found = clopper_pearson(hits, trials)
        assert (round(found.low, 4), round(found.high, 4)) == exact
        found = wilson(hits, trials)
        assert (round(found.low, 4), round(found.high, 4)) == score


def test_the_limit_of_nothing_seen_is_the_rule_of_three() -> None:
    assert upper_limit(1000) == pytest.approx(3 / 1000, rel=0.01)
    assert upper_limit(20) == pytest.approx(1 - 0.05 ** (1 / 20))
    assert clopper_pearson(0, 20, 0.9).high == pytest.approx(upper_limit(20))


def test_strata_are_weighted_by_their_sizes() -> None:
    """W. G. Cochran, Sampling Techniques: the estimate is the weighted mean, a census has no error."""
    census = [Sample(hits=3, trials=10, population=10), Sample(hits=0, trials=30, population=30)]
    found = stratified(census)
    assert (found.value, found.low, found.high) == pytest.approx((0.075, 0.075, 0.075))
    sampled = [Sample(hits=50, trials=100, population=10**6), Sample(hits=10, trials=100, population=3 * 10**6)]
    found = stratified(sampled)
    assert found.value == pytest.approx(0.25 * 0.5 + 0.75 * 0.1)
    deviation = (0.25**2 * 0.5 * 0.5 / 99 + 0.75**2 * 0.1 * 0.9 / 99) ** 0.5
    assert found.high - found.value == pytest.approx(1.96 * deviation, rel=1e-3)
    assert stratified([Sample(hits=0, trials=100, population=10**6)]).high > 0.01


@pytest.mark.parametrize("arguments", [(1, 0), (5, 4), (-1, 4), (1, 4, 1.0)])
def test_impossible_counts_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        clopper_pearson(*arguments)
    with pytest.raises(ValueError, match="expected"):
        wilson(*arguments)


@pytest.mark.parametrize(("hits", "trials", "confidence"), [(3, 11, 0.95), (1, 7, 0.8), (6, 7, 0.99)])
def test_exact_limits_are_where_binomial_tails_are_half_of_what_is_left(
    hits: int, trials: int, confidence: float
) -> None:
    """By sums of binomial terms (Clopper and Pearson 1934), which the library's beta quantiles never form."""

    def at_least(fraction: float, count: int) -> float:
        return sum(
            math.comb(trials, k) * fraction**k * (1 - fraction) ** (trials - k) for k in range(count, trials + 1)
        )

    found = clopper_pearson(hits, trials, confidence)
    assert found.value == hits / trials
    assert at_least(found.low, hits) == pytest.approx((1 - confidence) / 2)
    assert 1 - at_least(found.high, hits + 1) == pytest.approx((1 - confidence) / 2)


def test_ends_of_the_range() -> None:
    """All or nothing of so many: one end is exact, both intervals stay between 0 and 1."""
    for interval in (clopper_pearson, wilson):
        assert (interval(0, 9).low, interval(9, 9).high) == (0.0, 1.0)
        assert interval(9, 9).low == pytest.approx(1 - interval(0, 9).high)
        assert (interval(0, 9).value, interval(9, 9).value) == (0.0, 1.0)
        assert 0 < interval(0, 1).high < 1
    # rounding alone would lead above 1 for some of them
    assert all(wilson(n, n).high <= 1 for n in range(1, 500))
    # one of one and none of one: the score interval by hand, z^2 / (1 + z^2)
    assert wilson(0, 1).high == pytest.approx(Z * Z / (1 + Z * Z))


def test_the_score_interval_solves_its_quadratic() -> None:
    """Wilson (1927): the ends are the fractions p with |x/n - p| = z sqrt(p (1 - p) / n)."""
    for hits, trials in ((2, 9), (40, 41), (5, 1000)):
        found = wilson(hits, trials)
        assert found.value == hits / trials
        for end in (found.low, found.high):
            assert abs(hits / trials - end) == pytest.approx(Z * math.sqrt(end * (1 - end) / trials))


def test_a_stratum_by_hand() -> None:
    """Cochran (1977), eq. 5.13: the finite population correction, n - 1, and the Wilson centre where all are alike."""
    # one stratum: 30 of 101 drawn from 401 units
    fraction, rest = 30 / 101, 1 - 101 / 401
    half = Z * math.sqrt(rest * fraction * (1 - fraction) / 100)
    found = stratified([Sample(hits=30, trials=101, population=401)])
    assert (found.value, found.low, found.high) == pytest.approx((fraction, fraction - half, fraction + half))
    # nothing of 50, and all of 50: symmetric, and never certain
    none = stratified([Sample(hits=0, trials=50, population=1000)])
    centre = (Z * Z / 2) / (50 + Z * Z)
    assert none.value == 0 == none.low
    assert none.high == pytest.approx(Z * math.sqrt((1 - 50 / 1000) * centre * (1 - centre) / 49))
    every = stratified([Sample(hits=50, trials=50, population=1000)])
    assert (every.value, every.high) == (1, 1)
    assert 1 - every.low == pytest.approx(none.high)
    # one draw of many: its variance is divided by 1, not by 0
    single = stratified([Sample(hits=1, trials=1, population=4)], confidence=0.5)
    z = 0.6744897501960817
    centre = (1 + z * z / 2) / (1 + z * z)
    assert 1 - single.low == pytest.approx(z * math.sqrt(0.75 * centre * (1 - centre)))


def test_strata_add_their_variances() -> None:
    strata = [Sample(hits=30, trials=101, population=401), Sample(hits=7, trials=20, population=200)]
    share = [401 / 601, 200 / 601]
    variance = sum(
        w * w * (1 - s.trials / s.population) * s.hits / s.trials * (1 - s.hits / s.trials) / (s.trials - 1)
        for w, s in zip(share, strata, strict=True)
    )
    found = stratified(strata)
    assert found.value == pytest.approx(share[0] * 30 / 101 + share[1] * 7 / 20)
    assert found.value - found.low == pytest.approx(Z * math.sqrt(variance))


def test_the_limit_of_none_is_exact() -> None:
    """(1 - p)^n = 1 - confidence."""
    for trials, confidence in ((1, 0.9), (7, 0.95), (10**6, 0.99)):
        assert (1 - upper_limit(trials, confidence)) ** trials == pytest.approx(1 - confidence)


def test_what_is_no_count_or_confidence_is_refused() -> None:
    for hits, trials in ((0, 0), (0, -1), (2, 1), (-1, 1)):
        with pytest.raises(ValueError, match="expected"):
            Sample(hits=hits, trials=trials, population=9)
    with pytest.raises(ValueError, match="population: expected at least 1, got 0"):
        Sample(hits=0, trials=1, population=0)
    assert Sample(hits=1, trials=1, population=1).population == 1
    for confidence in (0.0, 1.0, -0.1, 1.5):
        for function in (
            lambda c: stratified([Sample(hits=0, trials=1, population=2)], c),
            lambda c: upper_limit(5, c),
        ):
            with pytest.raises(ValueError, match="confidence: expected more than 0 and less than 1"):
                function(confidence)
    with pytest.raises(ValueError, match="strata: expected at least one"):
        stratified([])
    with pytest.raises(ValueError, match="trials: expected at least 1, got 0"):
        upper_limit(0)
