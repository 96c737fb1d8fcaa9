"""Equal modules of a design become one before synthesis."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["merge_identical_modules"]


# --- equal modules --------------------------------------------------------------------------------------------------

_PRIVATE = re.compile(r"(?<!\S)\$\S+")
_DEFINES = re.compile(r"^\s*(?:wire|cell|memory|process)\b.*?(\S+)$")
_CELL = re.compile(r"^(\s*cell )(\S+)( \S+)$")


@dataclass
class _Module:
    name: str
    header: list[str]
    body: list[str]


def _split_modules(rtlil: str) -> tuple[list[str], list[_Module]]:
    """Split RTLIL text into what precedes the modules and the modules, each with its attributes as header."""
    preamble: list[str] = []
    modules: list[_Module] = []
    header: list[str] = []
    current: _Module | None = None
    for line in rtlil.splitlines():
        if current is not None:
            if line == "end":
                modules.append(current)
                current = None
            else:
                current.body.append(line)
        elif line.startswith("module "):
            current = _Module(line.split(" ", 1)[1].strip(), header, [])
            header = []
        elif line.startswith("attribute "):
            header.append(line)
        elif line.strip() and not line.startswith("#"):
            preamble.append(line)
    if current is not None:
        raise ValueError(f"RTLIL text ends inside module {current.name}")
    return preamble, modules


def merge_identical_modules(rtlil: str) -> tuple[str, dict[str, str]]:
    """Merge modules of equal content, children first, so that each distinct module stays once.

    Two modules are equal when their text is, source locations and the numbering of private (``$``) names aside, with
    children compared by what they were merged into. Names of ports and public wires count.

    Parameters
    ----------
    rtlil : str
        A design as RTLIL text.

    Returns
    -------
    merged : str
        The same design with the copies removed.
    representative : dict of str to str
        For each removed module the one that stands for it, names as in RTLIL (with backslash).

    Raises
    ------
    ValueError
        The text is no RTLIL, or its modules instantiate each other in a circle.
    """
    preamble, modules = _split_modules(rtlil)
    if not modules:
        raise ValueError("RTLIL text without a module")
    by_name = {module.name: module for module in modules}
    if len(by_name) != len(modules):
        raise ValueError("RTLIL text with two modules of one name")
    representative: dict[str, str] = {}
    seen: dict[str, str] = {}
    state: dict[str, int] = {}

    def visit(name: str) -> None:
        if state.get(name) == 2:
            return
        if state.get(name) == 1:
            raise ValueError(f"module {name} contains itself")
        state[name] = 1
        module = by_name[name]
        for index, line in enumerate(module.body):
            if (cell := _CELL.match(line)) and cell.group(2) in by_name:
                visit(cell.group(2))
                target = representative.get(cell.group(2), cell.group(2))
                module.body[index] = f"{cell.group(1)}{target}{cell.group(3)}"
        private: dict[str, str] = {}
        for line in module.body:
            if (defined := _DEFINES.match(line)) and defined.group(1).startswith("$"):
                private.setdefault(defined.group(1), f"${len(private)}")
        text = "\n".join(
            _PRIVATE.sub(lambda match: private.get(match.group(), match.group()), line)
            for line in [*module.header, *module.body]
            if not line.lstrip().startswith(("attribute \\src ", "attribute \\hdlname "))
        )
        first = seen.setdefault(text, name)
        if first != name:
            representative[name] = first
        state[name] = 2

    for module in modules:
        visit(module.name)
    lines = list(preamble)
    for module in modules:
        if module.name not in representative:
            lines += [*module.header, f"module {module.name}", *module.body, "end"]
    return "\n".join(lines) + "\n", representative
