"""Results kept by content: a result is found again while everything that it was made from is the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from sim.files import replacing

__all__ = ["ContentCache", "content_key", "source_hash"]

ROOT = Path(__file__).resolve().parent.parent


def content_key(**parts: Any) -> str:
    """SHA-256 of named parts that JSON can express; the order of names does not matter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def source_hash(*names: str) -> str:
    """SHA-256 of our own sources, by content.

    Parameters
    ----------
    *names : str
        Folders or files below the packages' parent, such as ``hw`` or ``flows/synthesis.py``; data files of a package
        count, too.

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
