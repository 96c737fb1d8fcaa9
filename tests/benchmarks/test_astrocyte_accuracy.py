"""Draws of the astrocyte liquid that were measured one by one have one mean."""

from statistics import stdev

import pytest

from benchmarks.astrocyte_liquid import add_accuracies
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
