"""One base of errors: each tool's error derives from it, and each crosses the border of a process."""

import importlib
import pickle
import pkgutil
from pathlib import Path

import pytest

import flows
from flows import cli
from flows.common.errors import FlowError, ToolError, ToolTimeout
from flows.common.metrics import GateError


def _own_errors() -> dict[str, type[Exception]]:
    """Every exception class that is defined in flows, by name."""
    found: dict[str, type[Exception]] = {}
    for info in pkgutil.walk_packages(flows.__path__, "flows."):
        if info.name.rsplit(".", 1)[-1].startswith("_"):
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, type) and issubclass(value, Exception) and value.__module__.startswith("flows."):
                found[name] = value
    return found


def test_every_error_of_flows_has_the_base() -> None:
    errors = _own_errors()
    known = {
        "LibraryError",
        "LefError",
        "NetlistError",
        "SynthesisError",
        "ActivityError",
        "EngineError",
        "PlacementError",
    }
    assert known <= errors.keys()
    # a gate has its own exit code; `NotASumError` never leaves `flows.formal.frozen`;
    # a refused layer is for users of hls4ml
    others = {name for name, error in errors.items() if not issubclass(error, FlowError)}
    assert others == {"GateError", "NotASumError", "RefusedLayerError"}
    tools = {"YosysError", "SimulatorError", "OpenStaError", "FpgaError"}
    assert {name for name in tools if not issubclass(errors[name], ToolError)} == set()
    # no tool's failure passes for another tool's
    assert {(a, b) for a in tools for b in tools if a != b and issubclass(errors[a], errors[b])} == set()
    assert {name for name in tools if issubclass(errors[name], ToolTimeout)} == set()


@pytest.mark.parametrize("name", ["YosysError", "SimulatorError", "OpenStaError", "FpgaError"])
def test_errors_of_tools_cross_processes(name: str) -> None:
    error = pickle.loads(pickle.dumps(_own_errors()[name]("broke", "its log")))
    assert (str(error), error.log) == ("broke", "its log")


def test_a_timeout_says_whose() -> None:
    error = pickle.loads(pickle.dumps(ToolTimeout("sta", "sta was ended", "begun")))
    assert (str(error), error.tool, error.log) == ("sta was ended", "sta", "begun")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ToolTimeout("sta", "sta was ended"), 2),
        (FlowError("no kit"), 2),
        (GateError("an area"), 1),
        (OSError("disk"), 2),
    ],
)
def test_the_command_line_shows_one_line(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == status
    assert capsys.readouterr().err == f"liquidcal: {error}\n"


def test_the_command_line_knows_no_tool() -> None:
    """`flows.cli` maps the base class alone: no class of a room stands in its source."""
    text = Path(cli.__file__).read_text()
    assert sorted(name for name in _own_errors() if name in text) == ["FlowError", "GateError"]
