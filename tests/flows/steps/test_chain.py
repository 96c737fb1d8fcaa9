"""The chain in one command: what has not changed is kept and said so, what has changed runs again."""

import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from flows.common.content_cache import imported, module_file
from flows.common.metrics import read_metrics
from flows.designs.catalogue import design
from flows.designs.design import Design
from flows.steps import step as module
from flows.steps.chain import CHAIN, chain
from flows.steps.crossbar import DRAW, ENERGY_STEP, GENERATE
from flows.steps.placement import PlacementOptions
from flows.steps.power import POWER, PowerOptions
from flows.steps.step import Step
from flows.steps.synthesis import SYNTHESIS
from flows.steps.verification import VERIFICATION
from flows.synthesis.recipe import BUFFERED
from sim.lsm_crossbar.spec import N_MNIST
from tests.flows.command_line import call
from tests.flows.conftest import library_or_skip
from tests.specs import SMALL


def fields_changed(options: Any, tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """The options with one field changed, for every field."""
    file = tmp_path / "file"
    file.write_text("x")
    for field in fields(options):
        value = getattr(options, field.name)
        other: Any = file if "Path" in str(field.type) else 7
        if isinstance(value, bool):
            other = not value
        elif isinstance(value, int | float):
            other = value + 1
        elif isinstance(value, str):
            other = value + "x"
        elif isinstance(value, tuple):
            other = ((file, file, file),)
        yield field.name, replace(options, **{field.name: other})


@pytest.mark.parametrize("step", [*CHAIN, DRAW, GENERATE, ENERGY_STEP], ids=lambda step: step.name)
def test_every_option_input_and_tool_is_in_the_key(step: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library_or_skip("nangate45")
    monkeypatch.setattr(module, "versions", lambda tools: dict.fromkeys(tools, "1"))
    chosen, folder = design("N_MNIST", library="nangate45"), tmp_path / "results"
    for name in step.reads:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name.replace("*", "x")).write_text("before")
    known = {"as it is": step.key(chosen, folder)}
    for name, options in fields_changed(step.options(), tmp_path):
        known[f"option {name}"] = step.key(chosen, folder, options)
    for name in step.reads:
        file = folder / name.replace("*", "x")
        file.write_text("after")
        known[f"input {name}"] = step.key(chosen, folder)
        file.write_text("before")
    for tool in step.tools:
        monkeypatch.setattr(module, "versions", lambda tools, new=tool: dict.fromkeys(tools, "1") | {new: "2"})
        known[f"version of {tool}"] = step.key(chosen, folder)
    monkeypatch.setattr(module, "versions", lambda tools: dict.fromkeys(tools, "1"))
    known["spec"] = step.key(design(replace(N_MNIST, threshold=41), library="nangate45"), folder)
    known["clock gating"] = step.key(design("N_MNIST", library="nangate45", clock_gating=True), folder)
    if step.mapped:
        monkeypatch.setattr(Design, "recipe", BUFFERED)
        known["recipe"] = step.key(chosen, folder)
        monkeypatch.undo()
    twice = [name for name, key in known.items() if list(known.values()).count(key) > 1]
    assert not twice, twice


def test_a_file_among_options_counts_by_its_content(tmp_path: Path) -> None:
    model = tmp_path / "model.npz"
    model.write_text("one")
    before = POWER.key(design("N_MNIST"), tmp_path, PowerOptions(weights=model))
    assert POWER.key(design("N_MNIST"), tmp_path, PowerOptions(weights=model)) == before
    model.write_text("two")
    assert POWER.key(design("N_MNIST"), tmp_path, PowerOptions(weights=model)) != before
    with pytest.raises(TypeError, match="power: expected PowerOptions, got PlacementOptions"):
        POWER.key(design("N_MNIST"), tmp_path, PlacementOptions())


def test_the_key_of_a_step_covers_what_it_imports_and_runs() -> None:
    def covered(step: Step) -> set[str]:
        encoder = design("ECON_T")
        return set(imported(module_file(step.work.__module__), *encoder.code(*step.rooms)))

    assert covered(SYNTHESIS) >= {
        "flows/steps/synthesis.py", "flows/synthesis/synthesise.py", "flows/library/library.py",
        "flows/designs/design.py", "flows/tools/_yosys_child.py",
        "hw/hgcal_encoder/chip.py", "sim/hgcal_encoder/spec.py",
    }  # fmt: skip
    assert covered(POWER) >= {"flows/power/summary.py", "flows/netlist/gate_simulation.py", "flows/power/encoder.py"}
    assert covered(VERIFICATION) >= {
        "flows/verification/encoder.py",
        "flows/formal/encoder.py",
        "flows/simulation/harness.cpp",
    }


def test_a_chain_is_a_list_of_declared_steps() -> None:
    assert [step.name for step in chain(design("ECON_T"))] == ["synth", "place", "time", "power", "verify"]
    crossbar = ["draw", "generate", "synth", "place", "time", "power", "verify", "energy"]
    assert [step.name for step in chain(design("N_MNIST"))] == crossbar
    # what a step reads below the folder an earlier one left there
    for kind in ("ECON_T", "N_MNIST"):
        left: set[str] = set()
        for step in chain(design(kind)):
            assert {name for name in step.reads if name != "placement/repair.json"} <= left, step.name
            left |= set(step.writes)


def test_the_chain_on_a_small_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library_or_skip("nangate45")
    (tmp_path / "small.toml").write_text(SMALL.to_toml())
    arguments = (str(tmp_path / "small.toml"), "--out", str(tmp_path), "--library", "nangate45", "--streams", "64")
    first = call(monkeypatch, capsys, *arguments, "--no-verify")
    assert first["ran"] == {"synth": True, "place": True, "time": True, "power": True}
    assert first["passed"]
    folder = tmp_path / SMALL.name
    power = read_metrics(folder / "power" / "metrics.json")
    second = call(monkeypatch, capsys, *arguments, "--no-verify")
    assert second["ran"] == {"synth": False, "place": False, "time": False, "power": False}
    assert second["checks"] == first["checks"]
    assert read_metrics(folder / "power" / "metrics.json") == power
    report = json.loads((folder / "report.json").read_text())
    (times,) = (s for s in report["sections"] if s["title"] == "Time and memory of the flow")
    rows = times["tables"][0]["rows"]
    assert [row[0] for row in rows][:2] == ["cell library", f"synthesis of {SMALL.name} onto nangate45"]
    assert all(row[2] and row[3] for row in rows[:-1]), "every step has its processor time and memory"
    assert rows[1][4].startswith("kept, 2")
