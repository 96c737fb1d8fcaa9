"""Result folders that appear complete or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flows.common.scratch import locked_folder


@contextmanager
def fresh_folder(out_dir: Path, *, marker: str) -> Iterator[Path]:
    """Work in an empty folder beside `out_dir` that takes its place when the block ends without an exception.

    What a run left there that was killed is removed first. A block that fails leaves no folder that was not there.

    Parameters
    ----------
    out_dir : Path
        Absent, empty, or an earlier result, which is then replaced.
    marker : str
        File that tells an earlier result of the same step from anything else.

    Yields
    ------
    Path
        Folder to write into.

    Raises
    ------
    FileExistsError
        If `out_dir` is something else: nothing of the user's is ever replaced.
    OSError
        If the disk is full; it names `out_dir`, never the folder beside it.
    """
    out_dir = Path(out_dir).absolute()
    if out_dir.exists() and not (out_dir.is_dir() and (not any(out_dir.iterdir()) or (out_dir / marker).is_file())):
        raise FileExistsError(f"{out_dir} exists and is no earlier result of this step; name another folder")
    new = [folder for folder in out_dir.parents if not folder.exists()]
    try:
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        with locked_folder(out_dir.parent, f".{out_dir.name}-liquidcal-") as work:
            work.chmod(0o755)
            yield work
            if out_dir.exists():
                old = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}-old-", dir=out_dir.parent))
                out_dir.rename(old / "result")
                work.rename(out_dir)
                shutil.rmtree(old)
            else:
                work.rename(out_dir)
    except BaseException as error:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, error.strerror, str(out_dir)) from None
        raise
