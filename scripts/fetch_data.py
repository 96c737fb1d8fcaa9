"""Fetch the public files that tests compare with: ``python scripts/fetch_data.py [--to DIR] [--list]``.

They belong to others and are not part of liquidcal: `scripts/data.toml` has their repositories, hashes and licences.
Each is fetched at its commit, cut to the rows that tests use, and kept only if its hash is the one written there.
Sets that no such address is known of are named with the place of their publication; what was put below DIR by hand
is compared with its hash as well. Afterwards ``LIQUIDCAL_DATA=DIR make test`` checks what it skipped before.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = Path(__file__).with_name("data.toml")
HOST = "https://raw.githubusercontent.com"


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


def fetch(folder: Path, sources: list[dict[str, Any]], host: str = HOST) -> list[str]:
    """Fetch what the folder lacks; a line for each file that could not be had."""
    missing = []
    for source in sources:
        for file in source["files"]:
            target = folder / file["to"]
            if target.is_file():
                continue
            address = f"{host}/{source['repository']}/{source['commit']}/{file['path']}"
            try:
                with urllib.request.urlopen(address, timeout=60) as answer:
                    content = wanted(answer.read(), file)
            except (urllib.error.URLError, OSError, ValueError) as error:
                missing.append(f"{file['to']}: {address}: {error}")
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            part.write_bytes(content)
            part.replace(target)
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
    missing = fetch(options.to, sources, options.host)
    for line in missing:
        print(f"fetch_data: {line}", file=sys.stderr)
    count = sum(len(source["files"]) for source in sources)
    print(f"{count - len(missing)} of {count} files are in {options.to}")
    for line in by_hand(options.to, elsewhere):
        print(f"by hand: {line}")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
