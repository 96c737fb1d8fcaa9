"""Fetch the public files that tests compare with: ``python scripts/fetch_data.py [--to DIR] [--list]``.

They belong to others and are not part of liquidcal: `scripts/data.toml` has their repositories, hashes and licences.
Each is fetched at its commit, cut to the rows that tests use, and kept only if its hash is the one written there; a
server that is silent, slow, cut off or wrong costs one line, and a second run fetches what is lacking. Sets that no
such address is known of are named with the place of their publication; what was put below DIR by hand is compared with
its hash as well. Afterwards ``LIQUIDCAL_DATA=DIR make test`` checks what it skipped before.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import os
import sys
import time
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = Path(__file__).with_name("data.toml")
HOST = "https://raw.githubusercontent.com"
SILENT_S, LONGEST_S = 60.0, 600.0
"""Seconds without a byte, and of one file."""
MOST_BYTES = 1 << 28
"""Bytes of one file; the largest has a few million."""


def wanted(content: bytes, file: dict[str, Any]) -> bytes:
    """What tests use of a published file.

    Raises
    ------
    ValueError
        If it has another hash than expected.
    """
    if "rows" in file:
        content = b"".join(content.splitlines(keepends=True)[: file["rows"] + 1])
    found = hashlib.sha256(content).hexdigest()
    if found != file["sha256"]:
        raise ValueError(f"expected SHA-256 {file['sha256']}, got {found}")
    return content


def download(address: str, silent_s: float = SILENT_S, longest_s: float = LONGEST_S) -> bytes:
    """What an address answers, whole.

    Raises
    ------
    OSError, http.client.HTTPException
        If it cannot be reached, answers with an error, or breaks off.
    ValueError
        If the answer is too large, or takes too long.
    """
    until, content = time.monotonic() + longest_s, bytearray()
    with urllib.request.urlopen(address, timeout=silent_s) as answer:
        # as much as has come, so that a server that sends a byte a minute is seen
        while part := answer.read1(1 << 16):
            content += part
            if len(content) > MOST_BYTES:
                raise ValueError(f"expected at most {MOST_BYTES:,} bytes")
            if time.monotonic() > until:
                raise ValueError(f"not complete after {longest_s:g} s, {len(content):,} bytes came")
        promised = answer.headers.get("Content-Length")
    if promised is not None and len(content) < int(promised):
        raise ValueError(f"broke off: expected {int(promised):,} bytes, got {len(content):,}")
    return bytes(content)


def fetch(
    folder: Path, sources: list[dict[str, Any]], host: str = HOST, silent_s: float = SILENT_S,
    longest_s: float = LONGEST_S,
) -> list[str]:  # fmt: skip
    """Fetch what the folder lacks; a line for each file that could not be had, or is there and is another one.

    Raises
    ------
    OSError
        If the folder cannot be written: no other file could be, either.
    """
    missing = []
    for source in sources:
        for file in source["files"]:
            target = folder / file["to"]
            if target.is_file():
                if (got := hashlib.sha256(target.read_bytes()).hexdigest()) != file["sha256"]:
                    missing.append(f"{file['to']}: is there, with SHA-256 {got}; expected {file['sha256']}")
                continue
            address = f"{host}/{source['repository']}/{source['commit']}/{file['path']}"
            try:
                content = wanted(download(address, silent_s, longest_s), file)
            except (OSError, http.client.HTTPException, ValueError) as error:
                text = " ".join(str(error).split()) or type(error).__name__
                missing.append(f"{file['to']}: {address}: {text}")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            try:
                part.write_bytes(content)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            print(f"{file['to']}: {len(content):,} bytes", flush=True)
    return missing


def digest(folder: Path, files: list[str]) -> str:
    """SHA-256 of a set of files: of a line ``SHA-256  NAME`` for each, in the order of their names."""
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def by_hand(folder: Path, elsewhere: list[dict[str, Any]]) -> list[str]:
    """A line for each set that is not there, or is another one."""
    missing = []
    for found in elsewhere:
        place = folder / found["to"]
        names = found.get("names") or [path.name for path in place.glob("*") if path.is_file()]
        if not names or not all((place / name).is_file() for name in names):
            missing.append(f"{found['to']}: {found['what']}, {found['licence']}: {found['where']}")
        elif (got := digest(place, names)) != found["sha256"]:
            missing.append(f"{found['to']}: expected SHA-256 {found['sha256']} of {found['what']}, got {got}")
    return missing


def main() -> None:
    """Fetch or list."""
    parser = argparse.ArgumentParser(prog="scripts/fetch_data.py", description=(__doc__ or "").split("\n")[0])
    default = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data"))
    parser.add_argument("--to", type=Path, default=default, help="folder of the data, $LIQUIDCAL_DATA")
    parser.add_argument("--list", action="store_true", help="say what would be fetched, and under which licence")
    parser.add_argument("--host", default=HOST, help=argparse.SUPPRESS)
    options = parser.parse_args()
    content = tomllib.loads(SOURCES.read_text())
    sources, elsewhere = content["source"], content["elsewhere"]
    if options.list:
        for source in sources:
            print(f"{source['repository']} @{source['commit'][:7]}, {source['licence']}: {len(source['files'])} files")
        for found in elsewhere:
            print(f"by hand: {found['to']}: {found['what']}, {found['licence']}: {found['where']}")
        return
    try:
        missing = fetch(options.to, sources, options.host)
    except OSError as error:
        sys.exit(f"fetch_data: {error.filename or options.to}: {error.strerror}")
    for line in missing:
        print(f"fetch_data: {line}", file=sys.stderr)
    count = sum(len(source["files"]) for source in sources)
    print(f"{count - len(missing)} of {count} files are in {options.to}")
    for line in by_hand(options.to, elsewhere):
        print(f"by hand: {line}")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
