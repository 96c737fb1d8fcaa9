"""Results kept by content: a result is found again while everything that it was made from is the same."""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from sim.files import replacing

__all__ = ["ContentCache", "content_key", "imported", "source_hash"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "hw", "sim")


def content_key(**parts: Any) -> str:
    """SHA-256 of named parts that JSON can express; the order of names does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def source_hash(*names: str) -> str:
    """SHA-256 of our own sources, by content.

    Parameters
    ----------
    *names : str
        Folders or files below the packages' parent, such as ``hw`` or ``flows/synthesis/synthesise.py``; data files of
        a package count, too.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    """
    digest = hashlib.sha256()
    for name in names:
        top = ROOT / name
        if not top.exists():
            raise FileNotFoundError(f"no source {top}")
        for path in sorted(_files(top)):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def imported(*names: str) -> tuple[str, ...]:
    """Files of our own that modules import, directly or not, inside functions too; themselves included.

    What a result depends on is then no list that somebody has to keep: an edit of any of these files makes it stale.
    Programs that are run by path, and data, are not imports and have to be named beside it.

    Parameters
    ----------
    *names : str
        Modules as files below the packages' parent, such as ``flows/synthesis/synthesise.py``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    found: set[str] = set()
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        path = ROOT / name
        if not path.is_file():
            raise FileNotFoundError(f"no source {path}")
        found.add(name)
        ahead += [file for module in _modules(path) if (file := _module_file(module))]
    return tuple(sorted(found))


@cache
def _modules(path: Path) -> tuple[str, ...]:
    """Names in the import statements of a file; of ``from a import b`` both ``a`` and ``a.b``."""
    named: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(named)


def _module_file(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    for path in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
        if (ROOT / path).is_file():
            return str(path)
    return None


def _files(top: Path) -> Iterable[Path]:
    if top.is_file():
        return [top]
    return (path for path in top.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


class ContentCache:
    """JSON results in a folder, one file per key.

    Parameters
    ----------
    folder : Path
        Made when the first result is kept.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def get(self, key: str) -> dict[str, Any] | None:
        """The result of a key, or None. A file that is damaged counts as absent."""
        try:
            content = json.loads((self._folder / f"{key}.json").read_text())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) else None

    def put(self, key: str, result: dict[str, Any]) -> None:
        """Keep a result, complete or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with replacing(self._folder / f"{key}.json") as file:
            json.dump(result, file, indent=1)
            file.write("\n")


def cache_directory() -> Path:
    """Folder for fetched files: ``$LIQUIDCAL_CACHE``, else ``~/.cache/liquidcal`` (``$XDG_CACHE_HOME`` honoured)."""
    if chosen := os.environ.get("LIQUIDCAL_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "liquidcal"
