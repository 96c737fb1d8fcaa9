"""The house rules that a machine can hold: the table of CONTRIBUTING, floors, what may be in the repository."""

import ast
import re
import subprocess
import sys
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
    places = set(re.findall(r"`([a-z_./]+)`", table))
    assert len(places) > 15
    for place in places:
        path = REPOSITORY / place
        assert path.is_dir() if place.endswith("/") else path.is_file(), place


def test_every_folder_of_code_has_its_place() -> None:
    """Nothing grows beside the table: each Python file lies in a folder that the table names."""
    table = (REPOSITORY / "CONTRIBUTING.md").read_text()
    folders = {place.rstrip("/") for place in re.findall(r"`([a-z_/]+/)`", table)}
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
        if package not in ("flows", "sim", "hw"):
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
