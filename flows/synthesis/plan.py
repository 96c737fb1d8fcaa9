"""What synthesis sees in the netlist: boundaries that stay, adders of which one output is used, stray latches."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from flows.synthesis.result import is_design

__all__ = ["asked_for", "half_used_adders", "kept_modules", "single_inverters", "stray_latches"]

_WIDE_CELLS = ("$mul", "$macc", "$macc_v2", "$shiftx", "$pmux", "$mem_v2")
"""Word-level cells that become about eight gates for each bit."""


def kept_modules(
    modules: Mapping[str, Any], top: str, *, keep: Sequence[str], flatten: Sequence[str], min_keep_cells: int
) -> list[str]:
    """Names of the modules whose boundaries stay.

    Parameters
    ----------
    modules : mapping
        Modules of a JSON netlist of yosys, elaborated.
    top : str
        Top module.
    keep, flatten, min_keep_cells
        As of `flows.synthesis.synthesise.synthesise`.
    """
    modules = {name: body for name, body in modules.items() if is_design(body)}
    children = {
        name: Counter(cell["type"] for cell in body["cells"].values() if cell["type"] in modules)
        for name, body in modules.items()
    }
    instances: Counter[str] = Counter()

    def walk(name: str, times: int) -> None:
        instances[name] += times
        for child, number in children[name].items():
            walk(child, times * number)

    walk(top, 1)

    def size(name: str) -> int:
        own = 0
        for cell in modules[name]["cells"].values():
            if cell["type"] not in modules:
                bits = max((len(bits) for bits in cell["connections"].values()), default=1)
                own += bits * (8 if cell["type"] in _WIDE_CELLS else 1)
        return own + sum(number * size(child) for child, number in children[name].items())

    asked = asked_for(modules, keep)
    kept = []
    for name in instances:
        if name == top:
            continue
        if _matches(name, keep) or (
            not _matches(name, flatten)
            and (name in asked or name in children[top] or (instances[name] > 1 and size(name) >= min_keep_cells))
        ):
            kept.append(name)
    return kept


def asked_for(modules: Mapping[str, Any], keep: Iterable[str]) -> set[str]:
    """Names of the modules whose boundary the source asks for, by an attribute, or the user, by `keep`.

    Replicas are such: what stands outside of them, a clock gate too, is common to none.
    """
    return {
        name
        for name, body in modules.items()
        if _matches(name, keep) or bool(int(str(body.get("attributes", {}).get("keep_hierarchy", "0")), 2))
    }


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def half_used_adders(modules: Mapping[str, Any]) -> dict[str, list[str]]:
    """Full-adder boxes of which only the ``sum``, or only the ``carry``, is read: as ``module/cell`` selections."""
    found: dict[str, list[str]] = {"sum": [], "carry": []}
    for name, body in modules.items():
        if not is_design(body):
            continue
        used: set[Any] = set()
        for port in body["ports"].values():
            if port["direction"] != "input":
                used.update(port["bits"])
        boxes = {}
        for cell_name, cell in body["cells"].items():
            if cell["type"] == "_liquidcal_fa_":
                boxes[cell_name] = cell["connections"]
            directions = cell.get("port_directions", {})
            for pin, bits in cell["connections"].items():
                if directions.get(pin) != "output":
                    used.update(bits)
        for cell_name, pins in boxes.items():
            carry, total = pins["CO"][0] in used, pins["S"][0] in used
            if total != carry:
                found["sum" if total else "carry"].append(f"{name}/{cell_name}")
    return found


def stray_latches(modules: Mapping[str, Any]) -> int:
    """Latch cells outside the modules that are made of them, which have ``isolation_latch`` in their names.

    A latch anywhere else is one that the source did not mean: an assignment that is missing in one branch.
    """
    return sum(
        "latch" in cell["type"] and cell["type"].startswith("$")
        for name, body in modules.items()
        if "isolation_latch" not in name
        for cell in body["cells"].values()
    )


_FLIP_FLOP = re.compile(r"\$_DFF_[NP]([NP][01])?_")
"""Generic flip-flops that libraries have: without enable and synchronous reset, which are logic."""


def single_inverters(modules: Mapping[str, Any], library: Collection[str]) -> set[str]:
    """Names of the modules whose logic is inverters, one at most of each net and none after another."""
    return {name for name, body in modules.items() if _single_inverters(body, modules, library)}


def _single_inverters(body: Mapping[str, Any], modules: Collection[str], library: Collection[str]) -> bool:
    read: list[Any] = []
    driven: list[Any] = []
    for cell in body["cells"].values():
        kind = cell["type"]
        if kind == "$_NOT_":
            read += cell["connections"]["A"]
            driven += cell["connections"]["Y"]
        elif kind not in modules and kind not in library and not _FLIP_FLOP.fullmatch(kind):
            return False
    return len(set(read)) == len(read) and not set(read) & set(driven)
