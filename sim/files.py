"""Writing files so that an interrupted run leaves either the old file or the new one, never half of one."""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:  # the command line writes files before it needs arrays
    from numpy.typing import NDArray

_SETTLED_S = 60.0
"""Age from which an unlocked temporary file is nobody's: a younger one may be about to be locked."""


def hold(path: Path) -> int | None:
    """Lock a file or folder until the descriptor is closed or the process ends; None where that cannot be done."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove what begins with `prefix` in a folder and is locked by no living process."""
    for path in [path for path in folder.iterdir() if path.name.startswith(prefix)] if folder.is_dir() else ():
        try:
            old = time.time() - path.lstat().st_mtime > _SETTLED_S
        except OSError:
            continue  # gone meanwhile
        if not old or path.is_symlink() or (lock := hold(path)) is None:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        os.close(lock)


@contextmanager
def replacing(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its place when the block ends without an exception.

    What a process left there that was killed is removed first.

    Parameters
    ----------
    path : Path
        File to write; its folder must exist.
    mode : str
        ``"w"`` for text (UTF-8), ``"wb"`` for bytes.

    Raises
    ------
    OSError
        If there is no such folder, or the disk is full; it names `path`, never the temporary file.
    """
    path = Path(path)
    prefix = f".{path.name}.liquidcal-"
    try:
        remove_abandoned(path.parent, prefix)
        descriptor, name = tempfile.mkstemp(prefix=prefix, dir=path.parent)
    except OSError as error:
        raise _about(path, error) from None
    lock = hold(Path(name))
    try:
        with os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException as error:
        Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, name):
            raise _about(path, error) from None
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _about(path: Path, error: OSError) -> OSError:
    """The same error of the operating system, with the name that the user gave."""
    return OSError(error.errno, error.strerror, str(path))


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a compressed ``.npz``, complete or not at all; the same arrays give the same bytes."""
    import numpy as np

    with replacing(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue())
