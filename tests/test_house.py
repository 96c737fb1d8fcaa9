"""The house rules that a machine can hold: the table of CONTRIBUTING, floors, what may be in the repository."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FILES = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=REPOSITORY,
    capture_output=True,
    text=True,
    check=True,
).stdout.splitlines()


def test_where_new_code_goes_names_real_places() -> None:
    table = (REPOSITORY / "CONTRIBUTING.md").read_text().partition("## Where new code goes")[2].partition("\n## ")[0]
    places = set(re.findall(r"`([a-z0-9_./]+)`", table))
    assert len(places) > 15
    for place in places:
        path = REPOSITORY / place
        assert path.is_dir() if place.endswith("/") else path.is_file(), place


def test_every_folder_of_code_has_its_place() -> None:
    """Nothing grows beside the table: each Python file lies in a folder that the table names."""
    table = (REPOSITORY / "CONTRIBUTING.md").read_text()
    folders = {place.rstrip("/") for place in re.findall(r"`([a-z0-9_/]+/)`", table)}
    for name in FILES:
        if name.endswith(".py") and (REPOSITORY / name).exists():
            folder = str(Path(name).parent)
            parents = [folder, *map(str, Path(folder).parents)]
            assert folders & set(parents) or folder in ("sim", "hw", "flows", "tests", "scripts"), name


def test_model_and_hardware_of_a_stage_share_a_name() -> None:
    stages = ("words", "multiplex", "decode", "calibrate", "normalise", "convolution", "dense", "frame", "encoder")
    for stage in stages:
        assert (REPOSITORY / "sim" / "hgcal_encoder" / f"{stage}.py").is_file(), stage
        assert (REPOSITORY / "hw" / "hgcal_encoder" / f"{stage}.py").is_file(), stage


def test_component_files_keep_amaranth_annotations_alive() -> None:
    for path in (REPOSITORY / "hw").rglob("*.py"):
        assert "from __future__ import annotations" not in path.read_text(), path


@pytest.mark.parametrize("pattern", [r"pythonhosted|//pypi|npmjs|deb\.debian", r"/(work|farm|root)/"])
def test_no_registry_host_and_no_path_of_a_machine(pattern: str) -> None:
    for name in FILES:
        path = REPOSITORY / name
        if path == Path(__file__).resolve() or path.suffix in (".npz", ".png", ".svg") or not path.is_file():
            continue
        found = re.search(pattern, path.read_text(errors="ignore"))
        assert found is None, f"{name}: {found and found.group()}"


def test_nothing_large_and_nothing_of_the_shared_data_is_tracked() -> None:
    for name in FILES:
        path = REPOSITORY / name
        if path.is_file():
            assert path.stat().st_size < 8_000_000, name
            assert not re.search(r"testInput|testOutput|CALQ.*csv|\.bs2$|regmap", name), name


def test_every_package_says_what_it_is() -> None:
    """Each package folder has a docstring in its ``__init__``; each room of code has a README."""
    packages = sorted({str(Path(name).parent) for name in FILES if name.endswith("/__init__.py")})
    for package in packages:
        if package.startswith("tests"):
            continue
        init = (REPOSITORY / package / "__init__.py").read_text()
        assert ast.get_docstring(ast.parse(init)), package
        if "/" in package:
            assert (REPOSITORY / package / "README.md").is_file(), package


def test_readmes_of_rooms_name_their_files_and_nothing_else() -> None:
    """The list of files is that of ``scripts/rooms.py``; every name in code type is one that the sources have."""
    stale = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "rooms.py", "--check"], capture_output=True, text=True, check=False
    )
    assert stale.returncode == 0, stale.stderr
    texts = [path for name in FILES if (path := REPOSITORY / name).suffix in (".py", ".toml", ".cpp", ".v")]
    known = set(re.findall(r"\w+", "\n".join(path.read_text() for path in texts if path.is_file())))
    for top in ("flows", "sim", "hw"):
        for readme in (REPOSITORY / top).rglob("README.md"):
            if readme.parent.name == "data":
                continue
            assert "<!-- files -->" in readme.read_text(), readme
            prose = re.sub(r"<!-- files -->.*<!-- /files -->", "", readme.read_text(), flags=re.S)
            for code in re.findall(r"`([A-Za-z_][\w./]*)`", prose):
                if "/" in code and code.partition("/")[0] in ("flows", "sim", "hw", "tests"):
                    assert (REPOSITORY / code).exists(), (readme, code)
                elif code.endswith(".py"):
                    assert (readme.parent / code).is_file(), (readme, code)
                elif re.fullmatch(r"\w+(\.\w+)*", code) and "." not in code:
                    assert code in known, (readme, code)


def test_hardware_tests_need_no_flow() -> None:
    """Neither a hardware test nor what it shares with others imports `flows`; it compiles no C++ and runs no tool."""
    helpers = [REPOSITORY / "tests" / name for name in ("conftest.py", "specs.py", "crossbars.py")]
    files = [*(REPOSITORY / "tests" / "hw").rglob("*.py"), *helpers]
    assert len(files) > 15
    for path in files:
        found = re.search(r"^\s*(?:from|import) flows\b.*", path.read_text(), re.M)
        assert found is None, f"{path.relative_to(REPOSITORY)}: {found and found.group()}"


def test_only_the_conftest_skips() -> None:
    """What a test needs goes through `need`, so that CI cannot lose a test in silence."""
    for path in (REPOSITORY / "tests").rglob("*.py"):
        if (path.name == "conftest.py" and path.parent.name == "tests") or path == Path(__file__).resolve():
            continue
        found = re.search(r"importorskip|pytest\.skip\b|skipif|SkipTest", path.read_text())
        assert found is None, f"{path.relative_to(REPOSITORY)}: {found and found.group()}"


SKIPPING = """
import pytest
from tests.conftest import long, need, need_module

def test_tool(): need(False, "a tool")
def test_library(): need_module("no_such_library_x", "train")
def test_optional(): need_module("no_such_library_x", optional=True)
def test_bare(): pytest.skip("just so")
@long
def test_long(): pass
def test_broken(tmp_path, monkeypatch):
    (tmp_path / "broken_x.py").write_text("import no_such_library_x")
    monkeypatch.syspath_prepend(tmp_path)
    need_module("broken_x")
"""
MODULE = """
from tests.conftest import need_module
need_module("no_such_library_x")
def test_vanishes(): pass
"""


@pytest.mark.parametrize("ci", [False, True])
def test_skips_are_counted_and_ci_has_none(ci: bool, tmp_path: Path) -> None:
    """With CI=true nothing vanishes: each missing tool or library is a failure, for single tests and whole files."""
    shutil.copy(REPOSITORY / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    (tmp_path / "test_module.py").write_text(MODULE)
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "LIQUIDCAL_LONG")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            "0",
            "-p",
            "no:cacheprovider",
            "-q",
            "--rootdir",
            tmp_path,
            "--continue-on-collection-errors",
            tmp_path,
        ],
        cwd=REPOSITORY,
        env=environment | {"PYTHONPATH": str(REPOSITORY)} | ({"CI": "true"} if ci else {}),
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout + done.stderr
    # a library that is there but broken is an error everywhere
    assert re.search(r"^FAILED .*::test_broken\b", text, re.M), text
    lines = text.splitlines()
    if not ci:
        assert "1 failed, 6 skipped" in text, text
        assert "1 skipped: a tool is missing" in lines
        assert "1 skipped: library no_such_library_x (extra `train`) is missing" in lines
        assert "1 skipped: just so" in lines
        return
    assert "4 failed, 1 passed, 1 skipped, 1 error" in text, text
    for name in ("test_tool", "test_library", "test_bare"):
        assert re.search(rf"^FAILED .*::{name}\b", text, re.M), text
    assert re.search("^ERROR .*test_module.py", text, re.M), text
    assert "skipped in CI: just so" in text
    assert [line for line in lines if "skipped:" in line] == [
        "1 skipped: optional, also in CI: library no_such_library_x is missing"
    ]


def test_floors_of_the_readme_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c["type"] == "layers" and c.get("containers") == ["flows"])
    rows = re.findall(r"^\| [a-z ]+ \| (.*) \|$", (REPOSITORY / "flows" / "README.md").read_text(), flags=re.M)
    shown = [set(re.findall(r"\[(\w+)\]\(\1/README.md\)", row)) for row in rows[1:]]
    floors = [set(layer.split(" | ")) for layer in layers]
    assert shown == [(floors[0] | floors[1]) - {"cli"}, *floors[2:]]
