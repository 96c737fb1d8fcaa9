"""Metrics: their shape is enforced, they survive JSON, gates fail on what is missing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flows.common.metrics import (
    GateError,
    Metric,
    now,
    package_version,
    read_metrics,
    require,
    require_equal,
    write_metrics,
)


def _metric(**changes: object) -> Metric:
    values: dict[str, object] = {
        "name": "design__instance__area",
        "value": 12.5,
        "unit": "um2",
        "tool": "yosys",
        "tool_version": "0.70",
        "library": "nangate45",
        "library_sha256": "0f" * 32,
        "method": "sum of cell areas",
        "command": "synthesise(top='t')",
        "date": "2026-11-23T12:00:00Z",
    }
    return Metric(**{**values, **changes})  # type: ignore[arg-type]


def test_json_round_trip(tmp_path: Path) -> None:
    metrics = (_metric(), _metric(name="design__instance__count", value=3, unit=""))
    path = tmp_path / "metrics.json"
    write_metrics(path, metrics)
    assert read_metrics(path) == metrics
    rows = json.loads(path.read_text())
    assert rows[0]["value"] == 12.5
    assert rows[0]["unit"] == "um2"
    assert isinstance(rows[1]["value"], int)
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Design Area"},
        {"name": ""},
        {"value": float("nan")},
        {"value": float("inf")},
        {"tool": ""},
        {"tool_version": ""},
        {"library": ""},
        {"library_sha256": ""},
        {"date": "yesterday"},
    ],
)
def test_malformed_metric_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        _metric(**changes)


@pytest.mark.parametrize("changes", [{"value": True}, {"value": None}, {"unit": 3}])
def test_wrong_type_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        _metric(**changes)


def test_two_metrics_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="occurs twice"):
        write_metrics(tmp_path / "metrics.json", [_metric(), _metric(value=1)])
    assert not list(tmp_path.iterdir())


def test_unknown_or_missing_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    row = _metric().to_dict()
    path.write_text(json.dumps([{**row, "extra": 1}]))
    with pytest.raises(ValueError, match="extra"):
        read_metrics(path)
    del row["tool_version"]
    path.write_text(json.dumps([row]))
    with pytest.raises(ValueError, match="tool_version"):
        read_metrics(path)


def test_gates() -> None:
    metrics = (_metric(), _metric(name="design__instance__count", value=3, unit=""))
    assert require(metrics, "design__instance__area", 12.5).value == 12.5
    with pytest.raises(GateError, match=r"12\.5 um2, limit 12\.4"):
        require(metrics, "design__instance__area", 12.4)
    assert require_equal(metrics, "design__instance__count", 3).value == 3
    with pytest.raises(GateError, match="expected 2"):
        require_equal(metrics, "design__instance__count", 2)


def test_missing_metric_fails_the_gate() -> None:
    for gate in (require, require_equal):
        with pytest.raises(GateError, match="missing"):
            gate((_metric(),), "power__total", 1.0)
        with pytest.raises(GateError, match="missing"):
            gate((), "design__instance__area", 1.0)


def test_text_fails_a_numeric_gate() -> None:
    with pytest.raises(GateError, match="text"):
        require((replace(_metric(), value="12"),), "design__instance__area", 20)


def test_date_and_version_come_from_the_machine() -> None:
    assert _metric(date=now()).date.endswith("Z")
    assert package_version("pytest") == pytest.__version__
