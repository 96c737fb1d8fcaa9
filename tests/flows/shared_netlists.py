"""Netlists that several tests ask for in the same words: synthesised once in a run, by the worker that asks first.

What a test then gets is a copy of the folder. A test that asks for anything else, be it by a fault in what hands a
design on to synthesis, gets a netlist of its own.
"""

import fcntl
import hashlib
import inspect
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from flows.common.content_cache import content_key
from flows.common.folder import fresh_folder
from flows.library.library import CellLibrary
from flows.synthesis.result import SynthesisResult, load_result
from flows.synthesis.synthesise import synthesise

__all__ = ["asked", "folder_of_the_run", "synthesise_once"]

UNREAD = ("out_dir", "timeout_s", "command")
"""Arguments of a synthesis that its netlist does not depend on."""


def asked(source: str, *, library: CellLibrary, **options: Any) -> dict[str, Any]:
    """All that a call of `synthesise` makes a netlist from, by content, as `content_key` takes it."""
    call = inspect.signature(synthesise).bind(source, library=library, **options)
    call.apply_defaults()
    arguments = {name: value for name, value in call.arguments.items() if name not in UNREAD}
    return arguments | {
        "source": hashlib.sha256(source.encode()).hexdigest(), "library": library.sha256,
        "recipe": asdict(arguments["recipe"]),
    }  # fmt: skip


def folder_of_the_run(factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of a run share."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "netlists"
    folder.mkdir(exist_ok=True)
    return folder


def synthesise_once(kept: Path, source: str, *, library: CellLibrary, out_dir: Path, **options: Any) -> SynthesisResult:
    """As `synthesise`, from a folder of netlists where one of the same call is there.

    The command in its metrics is that of whoever asked first.
    """
    key = content_key(**asked(source, library=library, out_dir=out_dir, **options))
    with (kept / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (kept / key).exists():
            synthesise(source, library=library, out_dir=kept / key, **options)
    with fresh_folder(out_dir, marker="metrics.json") as work:
        shutil.copytree(kept / key, work, dirs_exist_ok=True)
    return load_result(out_dir)
