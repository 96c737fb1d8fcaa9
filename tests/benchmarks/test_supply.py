"""Lowest supplies of the whole chips: periods by hand, and the committed figures as today's code gives them."""

import pytest

from benchmarks.measured import RESULTS
from benchmarks.supply import least_period_ns, supplies
from benchmarks.target import CHIPS
from flows.common.metrics import find, read_metrics
from flows.designs.encoder import EncoderDesign
from sim.hgcal_encoder.spec import ECON_T


def test_periods_by_hand() -> None:
    designs = dict(CHIPS)
    # 7.72 of 25 ns between registers; 4.26 of 6.25 ns of the internal clock, which is a quarter of the chip's
    assert least_period_ns(designs["ours_least_energy"], 17.28) == pytest.approx(7.72)
    assert least_period_ns(designs["ours_smallest"], 1.99) == pytest.approx(25 * 4.26 / 6.25)
    # latches open in the middle: 4.65 of 12.5 ns
    assert least_period_ns(EncoderDesign(spec=ECON_T, isolation=True), 7.85) == pytest.approx(25 * 4.65 / 12.5)


def test_committed_supplies_are_todays() -> None:
    stored = read_metrics(RESULTS / "supply.json")
    found = supplies(read_metrics(RESULTS / "target.json"))
    assert [metric.name for metric in found] == [metric.name for metric in stored]
    for metric in found:
        assert metric.value == pytest.approx(find(stored, metric.name).value)
