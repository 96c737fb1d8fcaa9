"""A chip that no file of the project knows goes from spec to report: it is one entry, and a module for each room."""

import json
import shutil
from pathlib import Path

import pytest

from flows.common.content_cache import imported
from flows.common.metrics import find, read_metrics
from flows.designs.catalogue import KINDS, design, load_design, presets
from flows.power.run import PowerOptions
from flows.report.write import write_report
from flows.steps.chain import chain, flow_options, run_chain
from flows.steps.power import POWER
from flows.steps.sweep import Axis, measures, points
from tests.flows.conftest import library_or_skip, need, quiet
from tests.flows.steps.adder import AdderDesign, AdderSpec


@pytest.fixture(autouse=True)
def entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, AdderDesign.kind, AdderDesign)


def test_a_new_kind_of_chip_is_known_by_name_file_and_folder(tmp_path: Path) -> None:
    assert "ADDER" in presets()
    assert design("ADDER", clock_gating=True).name == "ADDER_gated"
    (tmp_path / "wide.toml").write_text(AdderSpec(name="WIDE", addend_bits=12).to_toml())
    wide = design(str(tmp_path / "wide.toml"))
    assert wide.spec == AdderSpec(name="WIDE", addend_bits=12)
    wide.save(tmp_path)
    assert load_design(tmp_path) == wide
    assert set(measures(wide)) == {"area", "energy"}
    found = points(wide, [Axis(name="addend_bits", values=(4, 5))])
    assert [point.design.spec.addend_bits for point in found] == [4, 5]
    with pytest.raises(ValueError, match="ADDER is of the kind adder, which has no choice of reuse"):
        design("ADDER", reuse=2)
    with pytest.raises(ValueError, match="ADDER is of the kind adder, which has no demo"):
        design("ADDER").room("demo")


def test_a_new_kind_of_chip_goes_from_spec_to_report(tmp_path: Path) -> None:
    library_or_skip("nangate45")
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    chosen, folder = design("ADDER", library="nangate45"), tmp_path / "ADDER"
    options = flow_options(chosen, folder)
    assert [step.name for step in chain(chosen)] == ["synth", "place", "time", "power", "verify"]
    journal = quiet()
    assert run_chain(chosen, folder, journal, options) == dict.fromkeys(options | {"synth": 0, "time": 0}, True)
    assert journal.passed
    # 2 x 8 bits of operands and 9 of the sum
    synthesis = read_metrics(folder / "synthesis" / "metrics.json")
    assert find(synthesis, "design__instance__count__class:flip_flop").value == 25
    assert find(synthesis, "design__instance__area").command == "liquidcal synth ADDER --library nangate45"
    power = json.loads((folder / "power" / "power.json").read_text())
    assert power["sums_compared"] == 64 * (24 - 2)
    command = read_metrics(folder / "power" / "metrics.json")[0].command
    assert command == "liquidcal power ADDER --crossings 24 --seed 1"
    page = write_report(folder, chosen).read_text()
    assert "Adds two numbers of 8 bits." in page
    assert "PASS: " in page
    # and a second time everything is kept
    assert not any(run_chain(chosen, folder, quiet(), options).values())


def test_its_own_file_is_in_its_keys_and_other_chips_are_not() -> None:
    assert "tests/flows/steps/adder.py" in imported(*design("ADDER").code(*POWER.rooms))
    assert POWER.key(design("ADDER"), Path("none")) != POWER.key(design("ADDER"), Path("none"), PowerOptions(seed=2))
    own = set(imported(*design("ADDER").code(*POWER.rooms)))
    assert "flows/power/encoder.py" not in own
