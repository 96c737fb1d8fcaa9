"""Rates in beam: simulated Poisson arrivals against closed formulas; selective protection against counting."""

import math
from pathlib import Path

import numpy as np
import pytest

from flows.campaign.beam import Beam, Store, corrupted_fraction, loss_rate_hz, shift_rate, simulate
from flows.campaign.selective import bit_cost_um2, bits_for, pareto
from flows.common.metrics import read_metrics
from hw.common.scheme import Scheme
from sim.hgcal_encoder.spec import ECON_T

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


def test_defaults_are_econ_d() -> None:
    value, low, high = Beam().rates_hz
    # 2e7 cm-2 s-1 times 2.3e-14 cm2
    assert value == pytest.approx(4.6e-7)
    assert (low, high) == pytest.approx((4e-7, 5.2e-7))
    with pytest.raises(ValueError, match="low <= value <= high"):
        Beam(cross_section_cm2=1e-14)


def test_one_plain_bit_follows_the_closed_formula() -> None:
    rate, time, harm = 3.0, 0.4, 0.7
    # mean over the time of harm * P(odd number of flips)
    expected = harm / 2 * (1 - (1 - math.exp(-2 * rate * time)) / (2 * rate * time))
    store = Store(harm=np.array([harm]))
    assert corrupted_fraction([store], rate, time) == pytest.approx(expected, rel=1e-6)
    assert shift_rate(np.array([harm]), rate, time) == pytest.approx(expected, rel=1e-9)
    # few flips: half of the time is left on average
    assert corrupted_fraction([store], 1e-5, 1.0) == pytest.approx(harm * 1e-5 / 2, rel=1e-4)
    assert shift_rate(np.array([harm]), 1e-9, 1.0) == pytest.approx(harm * 1e-9 / 2, rel=1e-6)


@pytest.mark.parametrize(
    ("flip_flops", "corrects", "pairs"), [(3, 1, 3), (13, 1, 78)], ids=["three copies", "code word"]
)
def test_losses_of_corrected_words_are_pairs_between_scrubbings(flip_flops: int, corrects: int, pairs: int) -> None:
    store = Store(harm=np.ones(1), flip_flops=flip_flops, corrects=corrects, scrub_s=3.3e-6)
    rate = 4.6e-7
    # small rates: pairs * (rate * time)^2 per time
    assert loss_rate_hz(store, rate) == pytest.approx(pairs * rate**2 * 3.3e-6, rel=1e-4)


@pytest.mark.parametrize("scheme", ["plain", "three copies", "code word", "mixed"])
def test_simulated_arrivals_give_the_analytic_rate(scheme: str) -> None:
    """At a flux far above any, so that words are lost while one looks."""
    rng = np.random.default_rng(5)
    harm = rng.random(60)
    scrub = 132 * 25e-9
    stores = {
        "plain": [Store(harm=harm)],
        "three copies": [Store(harm=harm, flip_flops=3, corrects=1, scrub_s=scrub)],
        "code word": [Store(harm=harm, flip_flops=13, corrects=1, scrub_s=scrub)],
        "mixed": [Store(harm=harm / 30), Store(harm=harm, flip_flops=3, corrects=1, scrub_s=scrub)],
    }[scheme]
    rate = {"plain": 20.0, "three copies": 3000.0, "code word": 500.0, "mixed": 1500.0}[scheme]
    reload_s, reloads = 300 * scrub, 400
    expected = corrupted_fraction(stores, rate, reload_s)
    assert 0.005 < expected < 0.8
    seen = [simulate(stores, rate, reload_s=reload_s, reloads=reloads // 8, seed=seed) for seed in range(8)]
    fractions = np.array([run.fraction for run in seen])
    error = fractions.std(ddof=1) / math.sqrt(len(fractions))
    # losses count from the scrubbing on: half a scrubbing of 300 late, hence the small shift
    assert fractions.mean() == pytest.approx(expected, abs=4 * error + 0.01 * expected)
    upsets = sum(run.upsets for run in seen)
    flip_flops = sum(len(s.harm) * s.flip_flops for s in stores)
    assert upsets == pytest.approx(rate * flip_flops * reload_s * reloads, rel=0.05)


def test_nothing_is_corrupted_without_beam_or_harm() -> None:
    store = Store(harm=np.zeros(5))
    assert corrupted_fraction([store], 1.0, 10.0) == 0
    assert simulate([store], 0.0, reload_s=1e-3, reloads=1, seed=1).upsets == 0
    with pytest.raises(ValueError, match="one fraction per word"):
        Store(harm=np.array([1.5]))
    with pytest.raises(ValueError, match="corrects < flip_flops"):
        Store(harm=np.ones(1), corrects=1)
    with pytest.raises(ValueError, match="at least 1"):
        simulate([store], 1.0, reload_s=1.0, reloads=0, seed=1)


def test_selective_protection_counts_what_is_left() -> None:
    corruption = np.array([1.0, 4.0, 0.0, 5.0])
    best = pareto(corruption, corruption, 10.0, points=5)
    assert best.bits.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(best.area_um2, [0, 10, 20, 30, 40])
    np.testing.assert_allclose(best.left, [1, 0.5, 0.1, 0, 0], atol=1e-12)
    worst = pareto(corruption, -corruption, 10.0, points=5)
    np.testing.assert_allclose(worst.left, [1, 1, 0.9, 0.5, 0], atol=1e-12)
    assert [bits_for(corruption, corruption, part) for part in (0, 0.5, 0.51, 0.9, 1)] == [0, 1, 2, 2, 3]
    with pytest.raises(ValueError, match="0 to 1, got 2"):
        bits_for(corruption, corruption, 2)


def test_cost_of_a_bit_is_the_difference_of_the_stores() -> None:
    metrics = read_metrics(RESULTS / "protection.json")
    by_name = {metric.name: metric.value for metric in metrics}
    difference = by_name["store__area__case:tmr_registers_direct"] - by_name["store__area__case:none_direct"]  # type: ignore[operator]
    # 12,864 weight bits and 1,024 of settings
    assert bit_cost_um2(ECON_T, metrics, Scheme.TMR_REGISTERS) == pytest.approx(difference / 13888)
