"""The house rules that a machine can hold: the table of CONTRIBUTING, floors, what may be in the repository."""

import re
import subprocess
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
