"""The script that fetches public data: right files are kept, others named; the hashes are those of the data here."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

_spec = importlib.util.spec_from_file_location("fetch_data", REPOSITORY / "scripts" / "fetch_data.py")
assert _spec is not None
assert _spec.loader is not None
fetch_data: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fetch_data)


def test_hashes_are_those_of_the_data(shared_data: Path) -> None:
    sources = fetch_data.tomllib.loads(fetch_data.SOURCES.read_text())["source"]
    files = [file for source in sources for file in source["files"]]
    assert len(files) > 45
    for file in files:
        content = (shared_data / file["to"]).read_bytes()
        assert fetch_data.wanted(content, file) == content


def test_sets_to_be_had_by_hand_are_those_of_the_data(shared_data: Path, tmp_path: Path) -> None:
    elsewhere = fetch_data.tomllib.loads(fetch_data.SOURCES.read_text())["elsewhere"]
    assert fetch_data.by_hand(shared_data, elsewhere) == []
    missing = fetch_data.by_hand(tmp_path, elsewhere)
    assert [line.partition(":")[0] for line in missing] == [found["to"] for found in elsewhere]
    assert all(
        found["licence"] in line and found["where"] in line for line, found in zip(missing, elsewhere, strict=True)
    )
    (tmp_path / "hgcal").mkdir()
    (tmp_path / "hgcal" / "tcRemap.csv").write_text("another")
    assert "expected SHA-256" in next(line for line in fetch_data.by_hand(tmp_path, elsewhere) if "tcRemap" not in line
                                      and line.startswith("hgcal"))  # fmt: skip


def test_the_hash_of_a_set_is_that_of_sha256sum(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    lines = subprocess.run(["sha256sum", "a", "b"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert fetch_data.digest(tmp_path, ["b", "a"]) == hashlib.sha256(lines).hexdigest()


def test_fetches_cuts_and_checks(tmp_path: Path) -> None:
    """A file of rows is cut, a wrong one is refused by name, one that is there stays; nothing half-written stays."""
    rows = [f"row {i}\n".encode() for i in range(5)]
    origin = tmp_path / "host" / "someone" / "vectors" / "abc"
    origin.mkdir(parents=True)
    (origin / "good.csv").write_bytes(b"".join(rows))
    (origin / "changed.csv").write_bytes(b"another")
    digest = hashlib.sha256(b"".join(rows[:3])).hexdigest()
    files = [
        {"to": "a/good.csv", "path": "good.csv", "rows": 2, "sha256": digest},
        {"to": "a/changed.csv", "path": "changed.csv", "sha256": digest},
        {"to": "a/gone.csv", "path": "gone.csv", "sha256": digest},
        {"to": "mine.csv", "path": "good.csv", "sha256": digest},
    ]
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "mine.csv").write_text("kept")
    sources = [{"repository": "someone/vectors", "commit": "abc", "licence": "none", "files": files}]
    missing = fetch_data.fetch(folder, sources, (tmp_path / "host").as_uri())
    assert (folder / "a" / "good.csv").read_bytes() == b"".join(rows[:3])
    assert [line.partition(":")[0] for line in missing] == ["a/changed.csv", "a/gone.csv"]
    assert f"expected SHA-256 {digest}, got " in missing[0]
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == ["good.csv", "mine.csv"]
    assert (folder / "mine.csv").read_text() == "kept"


@pytest.mark.parametrize(("chosen", "open_claims"), [("test_", 2), ("test_c", 0)])
def test_open_claims_are_counted(chosen: str, open_claims: int, tmp_path: Path) -> None:
    """A green run without the data says how many tests that leaves open, and how to get them."""
    shutil.copy(REPOSITORY / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_three.py").write_text(
        "def test_a(shared_data): pass\ndef test_b(econt_vectors): pass\ndef test_c(): pass\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "LIQUIDCAL_LONG")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-q", "--rootdir", tmp_path, "-k", chosen,
         tmp_path],
        cwd=REPOSITORY, env=environment | {"PYTHONPATH": str(REPOSITORY), "LIQUIDCAL_DATA": str(tmp_path / "none")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    line = f"{open_claims} claims about published data were NOT checked; `python scripts/fetch_data.py"
    assert (line in done.stdout) is (open_claims > 0)
    assert ("NOT checked" in done.stdout) is (open_claims > 0)
