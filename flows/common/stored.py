"""Files that a step left in a result folder, read back: what is wrong with one is a line that names it.

Steps write them complete or not at all, so one that is cut or lacks an entry was damaged, or is another version's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from sim.foreign_files import read_npz
from sim.messages import shown

__all__ = ["StoredTable", "read_json", "read_stored", "read_stored_arrays"]


class StoredTable(dict[str, Any]):
    """A JSON object of a file; asking for an entry that it lacks is a ValueError that names both."""

    def __init__(self, entries: Mapping[str, Any] | Iterable[tuple[str, Any]], path: Path) -> None:
        super().__init__(entries)
        self._path = path

    def __missing__(self, entry: str) -> NoReturn:
        raise ValueError(f"{self._path}: expected an entry {entry!r}; run the step again")


def read_json(path: Path) -> Any:
    """Content of a JSON file, as plain types.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no JSON.
    """
    return _read(path)


def read_stored(path: Path) -> StoredTable:
    """The JSON object of a file; all objects in it are a `StoredTable`, too.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no JSON, or no object.
    """
    content = _read(path, object_hook=lambda entries: StoredTable(entries, path))
    if not isinstance(content, StoredTable):
        raise ValueError(f"{path}: expected a JSON object, got {shown(content)}")
    return content


def _read(path: Path, **options: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), **options)
    except ValueError as error:
        raise ValueError(f"{path}: not a JSON file: {shown(error, quoted=False)}") from None
    except RecursionError:
        raise ValueError(f"{path}: not a JSON file: nested too deep") from None


def read_stored_arrays(path: Path, names: Iterable[str]) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an ``.npz`` archive, of these names and no other.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such archive, lacks an array or has another, or one holds what is no number, or an infinite one.
    """
    arrays, expected = read_npz(path), set(names)
    if missing := expected ^ set(arrays):
        name = sorted(missing)[0]
        what = "lacks" if name in expected else "has"
        raise ValueError(f"{path}: {what} the array {shown(name)}; run the step again")
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or np.isinf(array).any():
            raise ValueError(f"{path}: {name}: expected finite numbers, got {array.dtype} of shape {array.shape}")
    return dict(arrays)
