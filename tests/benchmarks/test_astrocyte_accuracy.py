"""Draws of the astrocyte liquid that were measured one by one have one mean."""

from statistics import pstdev, stdev

import numpy as np
import pytest

from benchmarks.astrocyte_liquid import add_accuracies, add_differences
from benchmarks.measured import Rows
from flows.common.metrics import Metric


def found(accuracies: dict[int, float], setting: str, earlier: list[Metric]) -> Rows:
    rows = Rows("test")
    add_accuracies(rows, {"frozen": accuracies}, "targets:one_hot", setting, earlier)
    return rows


def test_draws_of_two_runs_have_one_mean() -> None:
    first = found({0: 97.0}, "NALSM_8000", [])
    assert [metric.name for metric in first] == [
        "accuracy__targets:one_hot__draw:0__case:frozen", "accuracy__targets:one_hot__case:frozen",
    ]  # fmt: skip
    rows = {metric.name: metric for metric in found({1: 98.0, 2: 96.5}, "NALSM_8000", first)}
    mean = rows["accuracy__targets:one_hot__case:frozen"]
    assert mean.value == pytest.approx(97.17)
    assert "mean of 3 draws" in mean.method
    spread = rows["accuracy_spread__targets:one_hot__case:frozen"].value
    assert spread == pytest.approx(stdev([97.0, 98.0, 96.5]), abs=0.005)
    # a draw that is measured again counts once
    again = {metric.name: metric for metric in found({0: 96.0}, "NALSM_8000", first)}
    assert again["accuracy__targets:one_hot__case:frozen"].value == pytest.approx(96.0)


def test_draws_of_another_setting_do_not_count() -> None:
    first = found({0: 90.0}, "NALSM_1000", [])
    rows = {metric.name: metric for metric in found({1: 98.0}, "NALSM_8000", first)}
    mean = rows["accuracy__targets:one_hot__case:frozen"]
    assert mean.value == pytest.approx(98.0)
    assert "mean of 1 draws" in mean.method


def test_what_integers_cost_is_paired_and_of_all_draws() -> None:
    """By hand: of eight images two are lost and one is won in draw 0, one is lost in draw 1."""
    floats = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool)
    lost, won = floats.copy(), floats.copy()
    lost[:2], lost[6], won[0] = False, True, False
    earlier = Rows("test")
    add_differences(earlier, {"frozen": {0: floats}, "chip_frozen": {0: lost}}, "targets:one_hot", "SMALL", [])
    rows = Rows("test")
    add_differences(rows, {"frozen": {1: floats}, "chip_frozen": {1: won}}, "targets:one_hot", "SMALL", earlier)
    values = {metric.name: metric.value for metric in rows}
    assert values["difference__targets:one_hot__case:chip_frozen"] == -12.5
    errors = [100 * pstdev([-1, -1, 1, 0, 0, 0, 0, 0]) / 8**0.5, 100 * pstdev([-1, 0, 0, 0, 0, 0, 0, 0]) / 8**0.5]
    expected = (errors[0] ** 2 + errors[1] ** 2) ** 0.5 / 2
    assert values["difference_error__targets:one_hot__case:chip_frozen"] == pytest.approx(expected, abs=0.01)
    assert not any("integer" in name or "plastic" in name for name in values)
