"""The versions that set-up installs: complete, well-formed, and the same as what pyproject.toml and README say."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from benchmarks.tested_versions import PACKAGES, pythons, read_constraints, versions_table
from tests.conftest import REPOSITORY

FILES = pythons(REPOSITORY / "constraints")
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
EXTRAS = ("train", "files", "fpga", "test")
"""What `make test` installs; `pools` is only for those who ask for it."""


@pytest.mark.parametrize("python", FILES)
def test_each_line_is_a_released_version_and_no_host_is_named(python: str) -> None:
    text = FILES[python].read_text()
    lines = text.splitlines()
    assert len(read_constraints(FILES[python])) == len(lines) - 1 > 100
    assert lines[0].startswith(f"# Versions tested together on Python {python},")
    assert "make constraints" in lines[0]
    assert not re.search(r"://|--|@|index|\bfile\b", "\n".join(lines[1:]))
    for version in read_constraints(FILES[python]).values():
        assert not Version(version).is_devrelease
        assert Version(version).local is None


@pytest.mark.parametrize("python", FILES)
def test_every_dependency_has_its_tested_version(python: str) -> None:
    versions = read_constraints(FILES[python])
    environment = {**default_environment(), "python_version": python, "extra": ""}
    wanted = [*PROJECT["dependencies"], *(line for extra in EXTRAS for line in PROJECT["optional-dependencies"][extra])]
    assert len(wanted) > 35
    for line in wanted:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            assert name not in versions, f"{name} is pinned, but not asked for on Python {python}"
            continue
        assert name in versions, f"{name} is missing on Python {python}: make constraints"
        assert Version(versions[name]) in requirement.specifier, f"{line}, but {versions[name]} was tested"


def test_the_quick_part_tries_the_oldest_numpy_that_is_promised() -> None:
    """numpy's own rule for binaries: what was built for 2 runs on 1.26; it is promised, so it is tried."""
    oldest = next(iter(FILES))
    versions = read_constraints(REPOSITORY / "constraints" / "quick" / f"{oldest}.txt")
    requirements = {
        canonicalize_name(requirement.name): requirement
        for requirement in map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]])
    }
    assert all(Version(versions[name]) in requirement.specifier for name, requirement in requirements.items())
    promised = re.search(r">=([\d.]+)", str(requirements["numpy"].specifier))
    assert promised is not None
    assert versions["numpy"].startswith(f"{promised[1]}.")
    assert "tensorflow" not in versions


def test_pyproject_promises_the_pythons_that_were_tested() -> None:
    kind = "Programming Language :: Python :: 3."
    told = {line.removeprefix("Programming Language :: Python :: ") for line in PROJECT["classifiers"] if kind in line}
    assert told == set(FILES)
    oldest = next(iter(FILES))
    assert PROJECT["requires-python"] == f">={oldest}"
    assert all(SpecifierSet(PROJECT["requires-python"]).contains(python) for python in FILES)


def test_every_dependency_has_its_reason() -> None:
    """A comment on the line, or for a group on its first line."""
    text = (REPOSITORY / "pyproject.toml").read_text()
    lists = re.findall(r"^(?:dependencies|train|files|pools|test) = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert len(lists) == 5
    obvious = ("mypy", "pytest>=", "ruff", "types-PyYAML")
    for line in "".join(lists).splitlines():
        assert "# " in line or line.strip().strip('"').startswith(obvious), line


# ----------------------------------------------------------------------------------------------- the table of README
def test_the_table_has_a_column_per_python(tmp_path: Path) -> None:
    (tmp_path / "3.9.txt").write_text("# old\nnumpy==1.26.4\n")
    (tmp_path / "3.13.txt").write_text("numpy==2.5.5\ntf_keras==2.21.0\nanything==1\n")
    assert versions_table(tmp_path) == (
        "| tested together | Python 3.9 | Python 3.13 |\n"
        "| --- | --- | --- |\n"
        "| numpy | 1.26.4 | 2.5.5 |\n"
        "| tf-keras | not there | 2.21.0 |\n"
    )
    real = versions_table(REPOSITORY / "constraints")
    assert real.count("\n") == 2 + len(PACKAGES)
    assert "not there" not in real


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("3.13.txt", "numpy==2.5.5\nnumpy>=2\n", "line 2: expected name==version, got 'numpy>=2'"),
        ("3.13.txt", "--index-url x\n", "line 1: expected name==version, got '--index-url x'"),
        ("3.13.txt", "liquidcal @ file:///x\n", "line 1: expected name==version"),
        ("3.13.txt", "tf_keras==1\nTF-Keras==2\n", "line 2: tf-keras comes twice"),
        ("new.txt", "", "expected the name of a version of Python, such as 3.13.txt"),
        ("README.md", "", "expected files such as 3.13.txt, found none"),
    ],
)
def test_what_is_malformed_is_told_by_file_and_line(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=re.escape(told)):
        versions_table(tmp_path)
