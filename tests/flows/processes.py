"""Which processes work below a folder: to see that a flow leaves none behind (Linux)."""

import os
import time
from pathlib import Path


def working_below(folder: Path) -> list[str]:
    """Process numbers whose working directory is in the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if Path(os.readlink(entry / "cwd")).is_relative_to(folder.resolve()):
                    found.append(entry.name)
            except OSError:
                continue
    return found


def until_gone(folder: Path, seconds: float = 10) -> bool:
    """Whether no process works below the folder any more, within some seconds."""
    deadline = time.monotonic() + seconds
    while working_below(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not working_below(folder)
