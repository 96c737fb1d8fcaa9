"""Places that results go to, checked before any work is done: a run of minutes must not end at a missing folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

__all__ = ["free_file", "output_file", "output_folder"]


def output_file(path: Path, inputs: Iterable[Path | str | None] = ()) -> Path:
    """A file that will be written.

    Parameters
    ----------
    path : Path
    inputs : iterable of Path, str or None
        Files that the command reads; None: an option that was left out.

    Raises
    ------
    IsADirectoryError, FileNotFoundError, NotADirectoryError, PermissionError
        If it is a folder, or its folder is not there or cannot be written to.
    ValueError
        If it is one of the inputs, under whatever name.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file to write")
    folder = path.parent
    if not folder.exists():
        raise FileNotFoundError(f"{path}: there is no folder {folder}")
    _writable(folder, f"{path}: ")
    if path.exists():
        for name in inputs:
            if name is not None and os.path.exists(name) and os.path.samefile(path, name):
                raise ValueError(f"{path} is an input of this command; name another file to write")
    return path


def output_folder(path: Path) -> Path:
    """A folder that will be made, with those above it, or is there.

    Raises
    ------
    NotADirectoryError, PermissionError
        If the first of them that is there is a file, or cannot be written to.
    """
    there = path.absolute()
    while not os.path.lexists(there):
        there = there.parent
    _writable(there if there != path.absolute() else path, "" if there == path.absolute() else f"{path}: ")
    return path


def free_file(path: Path, overwrite: bool) -> Path:
    """A result file that is not there yet, or may be replaced.

    Raises
    ------
    FileExistsError
        If it is there, and may not.
    """
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} is there already: --overwrite replaces it, or name another folder (--out)")
    return path


def _writable(folder: Path, prefix: str) -> None:
    if not folder.is_dir():
        raise NotADirectoryError(f"{prefix}{folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{prefix}no permission to write into {folder}")
