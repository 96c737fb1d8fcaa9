"""Metrics: their shape is enforced, they survive JSON, gates fail on what is missing."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from flows.common.metrics import (
    QUANTITIES,
    GateError,
    Metric,
    label,
    now,
    package_version,
    quantity,
    read_metrics,
    require,
    require_equal,
    write_metrics,
)
from tests.conftest import REPOSITORY


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
    twice = _metric(name="design__instance__count", unit="")
    with pytest.raises(ValueError, match="metric design__instance__count occurs twice"):
        write_metrics(tmp_path / "metrics.json", [_metric(), twice, replace(twice, value=1)])
    assert not list(tmp_path.iterdir())


def test_metrics_are_written_one_field_a_line(tmp_path: Path) -> None:
    write_metrics(tmp_path / "m.json", [_metric()])
    text = (tmp_path / "m.json").read_text()
    assert text.startswith('[\n {\n  "name": "design__instance__area",\n')
    assert text.endswith("\n }\n]\n")


def test_messages_stay_short(tmp_path: Path) -> None:
    row = _metric().to_dict()
    for wrong in ({**row, "x" * 5000: 1}, {**row, "date": "9" * 5000}, ["y" * 5000]):
        (tmp_path / "m.json").write_text(json.dumps([wrong]))
        with pytest.raises(ValueError, match="holds no list of metrics") as error:
            read_metrics(tmp_path / "m.json")
        assert len(str(error.value)) < len(str(tmp_path)) + 300


def test_unknown_or_missing_field_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    row = _metric().to_dict()
    path.write_text(json.dumps([{**row, "extra": 1}]))
    with pytest.raises(ValueError, match="metric fields extra are unknown or missing"):
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


def test_a_metric_is_called_as_the_registry_says() -> None:
    assert _metric().label == "area"
    assert _metric(name="design__instance__count__class:flip_flop", unit="").label == "flip-flops"
    assert label("design__instance__area__module:ECON_T_conv") == "area: module ECON_T_conv"
    assert label("energy__per_inference__bound:low") == "energy of an inference: bound low"
    assert label("verification__compared__check:random_crossings__spec:ECON_T") == (
        "compared: check random crossings, spec ECON_T"
    )
    assert label("not__in_the_registry__case:a_b") == "not in the registry: case a b"
    assert quantity("timing__fmax__case:x").better == "higher"
    assert quantity("not__in_the_registry") is None


def test_a_registered_quantity_stands_in_its_own_units() -> None:
    with pytest.raises(
        ValueError, match=r"design__instance__area: expected a unit of \('um2', 'mm2', 'kGE'\), got 'ns'"
    ):
        _metric(unit="ns")


def test_the_label_is_written_and_follows_from_the_name_when_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    row = _metric().to_dict()
    assert row["label"] == "area"
    for stored in ({**row, "label": "as it was called before"}, {k: v for k, v in row.items() if k != "label"}):
        path.write_text(json.dumps([stored]))
        assert read_metrics(path) == (_metric(),)


def test_registered_names_are_metric_names_with_units_and_a_label() -> None:
    for name, known in QUANTITIES.items():
        assert _metric(name=name, unit=known.units[0]).label == known.label
        assert known.label
        assert known.label[0].islower() or known.label.startswith("EMD")


def test_every_metric_of_a_step_is_registered() -> None:
    """Names that `flows` writes, as they stand in its sources; modules, cases and kinds are modifiers."""
    text = "".join(path.read_text() for path in (REPOSITORY / "flows").rglob("*.py") if path.name != "metrics.py")
    written = re.findall(r'"((?:design|route|timing|power|energy|flow|verification|fpga)__[a-z_]+[a-z]):?', text)
    modified = re.findall(r'"([a-z]+__[a-z_]+[a-z]):', text)
    names = {name.rpartition("__")[0] if name in modified else name for name in written}
    assert len(names) > 30
    assert {name for name in names if quantity(name) is None} == set()
