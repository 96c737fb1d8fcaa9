"""Lists of files in the READMEs of rooms, from the files' own first sentences: ``python scripts/rooms.py``.

The block between ``<!-- files -->`` and ``<!-- /files -->`` names every file of the folder with what its docstring (or,
of a file in another language, its first comment) says first. With ``--check`` nothing is written, and the exit code is
1 if a README differs from the sources.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"<!-- files -->\n.*?<!-- /files -->", re.DOTALL)
KINDS = (".py", ".cpp", ".v", ".toml", ".tcl", ".ys", ".j2")
"""Endings of files that are listed."""


def files(room: Path) -> list[Path]:
    """Files of a room that its README lists, those of folders without a README of their own included."""
    below = (path for path in room.rglob("*") if path.suffix in KINDS and path.name != "__init__.py")
    return sorted(path for path in below if _room_of(path.parent) == room)


def _room_of(folder: Path) -> Path:
    while not (folder / "README.md").is_file() and folder != ROOT:
        folder = folder.parent
    return folder


def about(path: Path) -> str:
    """What a file says about itself first, as one line.

    Raises
    ------
    ValueError
        It has no docstring, or does not begin with a comment.
    """
    text = path.read_text()
    if path.suffix == ".py":
        tree = ast.parse(text)
        said = (ast.get_docstring(tree) or "").partition("\n\n")[0]
        if re.fullmatch(r"``[^`]*``\.", said):  # the file of a command: its function says what it does
            functions = (node for node in tree.body if isinstance(node, ast.FunctionDef) and ast.get_docstring(node))
            said = next(((ast.get_docstring(node) or "").partition("\n\n")[0] for node in functions), said)
    else:
        comment = re.match(r"((?:(?:#|//)[^\n]*\n)+)|/\*(.*?)\*/|\{#-?(.*?)-?#\}", text, re.DOTALL)
        said = re.sub(r"^(?:#|//) ?", "", comment[1] or comment[2] or comment[3], flags=re.M) if comment else ""
    said = re.split(r"(?<=[a-z)`\"])\.\s", " ".join(said.split()) + " ")[0].strip().rstrip(".")
    if not said:
        raise ValueError(f"{path.relative_to(ROOT)}: expected a docstring or a comment at the top")
    return said.replace("``", "`") + ("" if said.endswith("?") else ".")


def listed(readme: Path) -> str:
    """The text of a README with its block as the sources give it."""
    room = readme.parent
    lines = "".join(f"- `{path.relative_to(room)}`: {about(path)}\n" for path in files(room))
    return BLOCK.sub(lambda _: f"<!-- files -->\n{lines}<!-- /files -->", readme.read_text())


def readmes() -> list[Path]:
    """READMEs that list their files."""
    found = (path for top in ("flows", "sim", "hw") for path in (ROOT / top).rglob("README.md"))
    return sorted(path for path in found if BLOCK.search(path.read_text()))


def main(arguments: Sequence[str]) -> int:
    """Command line; returns the exit code."""
    stale = [readme for readme in readmes() if listed(readme) != readme.read_text()]
    for readme in stale:
        if "--check" in arguments:
            print(f"{readme.relative_to(ROOT)}: not what its files say; run make figures", file=sys.stderr)
        else:
            readme.write_text(listed(readme))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
