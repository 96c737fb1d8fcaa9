"""Steps that are kept: while inputs and results are the same, and every check passed; else they run again."""

import hashlib
import json
from pathlib import Path

import pytest

from flows.common.content_cache import content_key
from flows.common.journal import Check, Journal
from flows.common.step_cache import StepCache, file_hash
from tests.flows.conftest import quiet


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


def test_what_is_kept_of_a_step(tmp_path: Path) -> None:
    Steps(tmp_path).run()
    kept = json.loads((tmp_path / ".steps" / "s.json").read_text())
    assert kept["key"] == content_key(key="k")
    assert kept["outputs"] == {"result": hashlib.sha256(b"made").hexdigest()} == {
        "result": file_hash(tmp_path / "result")
    }  # fmt: skip
    assert [step["name"] for step in kept["steps"]] == ["work"]
    assert [(check["name"], check["compared"]) for check in kept["checks"]] == [("c", 3)]


def test_only_its_own_steps_and_checks_are_kept(tmp_path: Path) -> None:
    """A journal holds other steps before: they are neither kept with this one nor lost."""
    journal = quiet()
    journal.check(Check(name="earlier", passed=True, compared=1, unit="things"))
    with journal.step("earlier"):
        pass

    def work() -> None:
        with journal.step("late"):
            (tmp_path / "r").write_text("x")

    cache = StepCache(tmp_path, journal)
    assert cache.run("deep/s", key="k", outputs=("r",), work=work) is True
    kept = json.loads((tmp_path / ".steps" / "deep" / "s.json").read_text())
    assert ([step["name"] for step in kept["steps"]], kept["checks"]) == (["late"], [])
    assert cache.run("deep/s", key="k", outputs=("r",), work=work) is False
    assert [step.name for step in journal.steps] == ["earlier", "late", "late"]
    assert [check.name for check in journal.checks] == ["earlier"]
    seconds = sum(step["seconds"] for step in kept["steps"])
    assert f"took {seconds:.1f} s then" in journal.console.file.getvalue()  # type: ignore[attr-defined]


def test_a_failed_check_earlier_does_not_throw_a_result_away(tmp_path: Path) -> None:
    journal = quiet()
    journal.check(Check(name="earlier", passed=False, compared=1, unit="things"))
    runs = []

    def work() -> None:
        runs.append((tmp_path / "r").write_text("x"))

    for _ in range(2):
        StepCache(tmp_path, journal).run("s", key="k", outputs=("r",), work=work)
    assert len(runs) == 1


@pytest.mark.parametrize("outputs", [("a.txt", "*.csv"), ("*.csv",)])
def test_patterns_and_several_results(outputs: tuple[str, ...], tmp_path: Path) -> None:
    """Every file that a pattern finds counts; a pattern without a file is a result that is not there."""
    runs: list[int] = []

    def work(names: tuple[str, ...]) -> None:
        runs.append(1)
        for name in names:
            (tmp_path / name).write_text(name)

    def run(*names: str) -> bool:
        return StepCache(tmp_path, quiet()).run("s", key="k", outputs=outputs, work=lambda: work(names))

    assert run("a.txt")
    assert run("a.txt"), "without a file of the pattern nothing is kept"
    assert run("a.txt", "b.csv", "c.csv")
    assert not run()
    (tmp_path / "c.csv").write_text("edited")
    assert run()
    (tmp_path / "d.csv").write_text("new")
    assert run("b.csv")
    assert not run()
    (tmp_path / "b.csv").unlink()
    assert run()


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"key": 1}'])
def test_a_damaged_note_is_no_result(text: str, tmp_path: Path) -> None:
    steps = Steps(tmp_path)
    steps.run()
    (tmp_path / ".steps" / "s.json").write_text(text)
    assert steps.run()[0]
    assert not steps.run()[0]


def test_hash_of_a_file(tmp_path: Path) -> None:
    """SHA-256 of "abc" (FIPS 180-4, example); empty where there is none, and of a folder."""
    (tmp_path / "f").write_bytes(b"abc")
    assert file_hash(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert file_hash(tmp_path) == file_hash(tmp_path / "none") == ""
