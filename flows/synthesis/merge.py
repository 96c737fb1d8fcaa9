"""Equal modules of a design become one before synthesis."""

from __future__ import annotations

from flows.tools.rtlil import split_rtlil

__all__ = ["merge_identical_modules"]


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
    preamble, modules = split_rtlil(rtlil)
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
        for index, kind in module.cell_types():
            if kind in by_name:
                visit(kind)
                module.set_cell_type(index, representative.get(kind, kind))
        first = seen.setdefault(module.content(), name)
        if first != name:
            representative[name] = first
        state[name] = 2

    for module in modules:
        visit(module.name)
    lines = list(preamble)
    for module in modules:
        if module.name not in representative:
            lines += module.lines
    return "\n".join(lines) + "\n", representative
