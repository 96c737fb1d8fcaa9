"""Lowest supplies of the whole chips: what they depend on, and the committed figures as today's code gives them."""

from dataclasses import replace

import pytest

from benchmarks.measured import RESULTS, record
from benchmarks.supply import supplies
from flows.common.metrics import find, read_metrics
from flows.library.catalogue import cell_library


def test_a_faster_chip_takes_a_lower_supply() -> None:
    """Energy goes with the polynomial of 65 nm LP (3.755, -4.398, 1.975 of Stillmaker and Baas, 2017)."""
    rows = [
        record(f"{name}__case:ours_isolated", value, unit, "m", command="c", library=cell_library("nangate45"))
        for name, value, unit in (("energy", 2.0, "nJ"), ("least_period", 7.0, "ns"))
    ]
    slower = [replace(row, value=9.0) if row.name.startswith("least") else row for row in rows]
    (fast, late) = ({m.name: float(m.value) for m in supplies(r)} for r in (rows, slower))
    case = "__case:ours_isolated_slow"
    assert fast[f"supply{case}"] < late[f"supply{case}"]
    for found in (fast, late):
        at, most = ((3.755 * v - 4.398) * v + 1.975 for v in (found[f"supply{case}"], 1.2))
        assert found[f"energy{case}"] == pytest.approx(2.0 * at / most)


def test_committed_supplies_are_todays() -> None:
    stored = read_metrics(RESULTS / "supply.json")
    found = supplies(read_metrics(RESULTS / "target.json"))
    assert [metric.name for metric in found] == [metric.name for metric in stored]
    for metric in found:
        assert metric.value == pytest.approx(find(stored, metric.name).value)
