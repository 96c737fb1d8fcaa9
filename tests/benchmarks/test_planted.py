"""Planted faults: each still fits its module, and the committed run detected them all."""

import json
from pathlib import Path

import pytest

from benchmarks import planted
from benchmarks.measured import REPOSITORY

FAULTS = planted.planted()


def test_every_fault_fits_its_module_and_names_tests() -> None:
    """A fault goes or is written anew when its line changes."""
    assert len({fault.what for fault in FAULTS}) == len(FAULTS) >= 19
    for fault in FAULTS:
        source = (REPOSITORY / fault.module).read_text()
        compile(changed := fault.apply(source), fault.module, "exec")
        assert changed != source
        assert fault.tests
        for test in fault.tests:
            file, _, name = test.partition("::")
            assert f"def {name}(" in (REPOSITORY / file).read_text(), test


def test_the_committed_run_detected_every_fault() -> None:
    """Of each kind at least one; a fault that was not tried yet has no row."""
    (table,) = json.loads(planted.RESULT.read_text())["tables"]
    known = {(fault.kind, fault.what, f"`{fault.module}`"): fault for fault in FAULTS}
    for row in table["rows"]:
        assert row[3].strip("`") in known[row[0], row[1], row[2]].tests
    assert {row[0] for row in table["rows"]} == {fault.kind for fault in FAULTS}
    assert len(table["rows"]) >= len({fault.kind for fault in FAULTS})


def test_a_fault_that_does_not_fit_is_refused() -> None:
    for source, count in (("", 0), (FAULTS[0].was * 2, 2)):
        with pytest.raises(ValueError, match=f"once, found it {count} times"):
            FAULTS[0].apply(source)


def test_the_first_test_that_fails_is_named(tmp_path: Path) -> None:
    bad = "@pytest.mark.parametrize('x', ['a b'])\ndef test_bad(x): assert 0\n"
    (tmp_path / "test_a.py").write_text(f"import pytest\ndef test_good(): pass\n{bad}def test_worse(): assert 0\n")
    assert planted.first_failed(tmp_path, ["test_a.py"]) == "test_a.py::test_bad"
    (tmp_path / "test_b.py").write_text("def test_good(): pass\n")
    assert planted.first_failed(tmp_path, ["test_b.py"]) == ""
    with pytest.raises(RuntimeError, match="pytest ended with"):
        planted.first_failed(tmp_path, ["test_b.py", "-k", "none"])
