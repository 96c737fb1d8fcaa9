"""The chain in one command: what has not changed is kept and said so, what has changed runs again."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from flows.commands import flow as command
from flows.common import content_cache
from flows.common.content_cache import content_key, imported, source_hash
from flows.common.journal import Check, Journal
from flows.common.metrics import read_metrics
from flows.common.step_cache import StepCache, file_hash
from flows.steps import chain
from tests.flows.command_line import call
from tests.flows.conftest import library_or_skip
from tests.specs import SMALL


def quiet() -> Journal:
    return Journal(console=Console(file=io.StringIO()))


class Steps:
    """A folder with one step that writes a file and counts its runs."""

    def __init__(self, folder: Path):
        self.folder, self.runs, self.passes = folder, 0, True

    def run(self, key: str = "k") -> tuple[bool, Journal]:
        journal = quiet()

        def work() -> None:
            self.runs += 1
            with journal.step("work"):
                (self.folder / "result").write_text("made")
            journal.check(Check(name="c", passed=self.passes, compared=3, unit="things"))

        ran = StepCache(self.folder, journal).run("s", key=content_key(key=key), outputs=("result",), work=work)
        return ran, journal


def test_an_unchanged_step_is_kept_with_its_times_and_checks(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    ran, first = steps.run()
    again, second = steps.run()
    assert (ran, again, steps.runs) == (True, False, 1)
    assert second.checks == first.checks
    assert second.steps[0].seconds == first.steps[0].seconds
    assert second.steps[0].kept
    assert not first.steps[0].kept
    assert "inputs unchanged since" in second.console.file.getvalue()  # type: ignore[attr-defined]


def test_a_step_runs_again_for_other_inputs_or_another_result_or_after_a_failure(tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.run()
    assert steps.run("other")[0]
    (tmp_path / "result").write_text("edited")
    assert steps.run("other")[0]
    (tmp_path / "result").unlink()
    assert steps.run("other")[0]
    (tmp_path / ".steps" / "s.json").write_text("{")
    assert steps.run("other")[0]
    assert not steps.run("other")[0]
    steps.passes = False
    assert steps.run("third")[0]
    assert steps.run("third")[0], "a step that failed is not kept"
    assert file_hash(tmp_path / "nothing") == ""


def test_the_key_of_a_step_covers_what_it_imports_and_runs() -> None:
    root = Path(command.__file__).resolve().parents[2]
    covered = {}
    for step, sources in chain._STEP_SOURCES.items():
        assert all((root / source).exists() for source in sources), sources
        covered[step] = {*imported(*(name for name in sources if name.endswith(".py"))), *sources}
    assert covered["synth"] >= {
        "flows/steps/synthesis.py", "flows/synthesis/synthesise.py", "flows/library/library.py",
        "flows/designs/design.py", "flows/tools/_yosys_child.py",
        "hw/hgcal_encoder/chip.py", "sim/hgcal_encoder/spec.py",
    }  # fmt: skip
    assert covered["power"] >= {"flows/power/summary.py", "flows/netlist/gate_simulation.py", "flows/power/encoder.py"}
    assert covered["verify"] >= {
        "flows/verification/encoder.py",
        "flows/formal/encoder.py",
        "flows/simulation/harness.cpp",
    }


def test_an_edit_of_any_imported_file_changes_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "flows/step.py": "def work():\n    from sim.model import run\n    return run()\n",
        "sim/model.py": "import sim.formats, numpy\nfrom hw import parts\n",
        "sim/formats.py": "", "hw/__init__.py": "", "hw/parts.py": "", "flows/other.py": "",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(content_cache, "ROOT", tmp_path)
    found = imported.__wrapped__("flows/step.py")
    assert set(found) == {"flows/step.py", "sim/model.py", "sim/formats.py", "hw/__init__.py", "hw/parts.py"}
    before = source_hash.__wrapped__(*found)
    (tmp_path / "flows/other.py").write_text("x = 1\n")
    assert source_hash.__wrapped__(*found) == before
    (tmp_path / "hw/parts.py").write_text("x = 1\n")
    assert source_hash.__wrapped__(*found) != before
    with pytest.raises(FileNotFoundError, match="no source"):
        imported.__wrapped__("flows/none.py")


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
    assert all(row[2] for row in rows[:-1]), "every step has its memory"
    assert rows[1][3].startswith("kept, 2")
