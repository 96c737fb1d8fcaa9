"""Verilog text as yosys writes it: ports, modules and what they instantiate; lines and clocks that are added."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "Port",
    "append_to_modules",
    "closure",
    "count_instances",
    "instances",
    "read_ports",
    "separate_clock",
    "split_modules",
]


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of a Verilog module.

    Attributes
    ----------
    name : str
        Without the backslash of an escaped identifier.
    width : int
        Bits.
    output : bool
        True for outputs.
    """

    name: str
    width: int
    output: bool

    @property
    def words(self) -> int:
        """32-bit words that the port takes in a row of the harness."""
        return -(-self.width // 32)


def read_ports(verilog: str, top: str) -> tuple[Port, ...]:
    """Ports of a module in Verilog text as yosys writes it, in the order of the text.

    Raises
    ------
    ValueError
        If there is no such module, or it has no ports.
    """
    body = re.search(rf"^module \\?{re.escape(top)} ?\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if body is None:
        raise ValueError(f"the Verilog text has no module {top!r}")
    # yosys writes some cells as functions, which have inputs of their own
    text = re.sub(r"^ *function .*?^ *endfunction", "", body.group(0), flags=re.MULTILINE | re.DOTALL)
    ports = []
    pattern = r"^ *(input|output) (?:wire |reg |signed )*(?:\[(\d+):0\] )?(\\\S+|\w+) *;"
    for direction, high, name in re.findall(pattern, text, re.MULTILINE):
        width = int(high) + 1 if high else 1
        ports.append(Port(name=name.removeprefix("\\"), width=width, output=direction == "output"))
    if not ports:
        raise ValueError(f"module {top!r} has no ports")
    return tuple(ports)


def split_modules(verilog: str) -> dict[str, str]:
    """Texts of the modules by name, with what stands in front of each."""
    verilog = _short(verilog)
    found = {}
    end = 0
    for match in re.finditer(r"^module \\?(\S+?) ?\(.*?^endmodule\n?", verilog, re.MULTILINE | re.DOTALL):
        found[match.group(1)] = verilog[end : match.end()]
        end = match.end()
    return found


def instances(modules: Mapping[str, str]) -> dict[str, list[str]]:
    """Modules that each module instantiates, once for each instance."""
    pattern = re.compile(r"^  \\?(\S+) \\?\S+ \($", re.MULTILINE)
    return {name: [child for child in pattern.findall(text) if child in modules] for name, text in modules.items()}


def count_instances(modules: Mapping[str, str]) -> Counter[str]:
    """Instances of each module in all of the design; 1 for a module that no other one instantiates."""
    children = instances(modules)
    inside = {child for names in children.values() for child in names}
    count: Counter[str] = Counter()
    pending = [name for name in modules if name not in inside]
    while pending:
        name = pending.pop()
        count[name] += 1
        pending += children[name]
    return count


def closure(modules: Mapping[str, str], top: str, children: Mapping[str, list[str]] | None = None) -> list[str]:
    """`top` and every module below it; `children` are those of `instances`, for who asks often."""
    children = instances(modules) if children is None else children
    found = [top]
    for name in found:
        found += [child for child in dict.fromkeys(children[name]) if child not in found]
    return found


def append_to_modules(verilog: str, lines: Mapping[str, str]) -> str:
    """The text with further lines at the end of some modules, by name; the rest stays as it is."""

    def appended(found: re.Match[str]) -> str:
        return found.group(0)[: -len("endmodule")] + lines.get(found.group(1), "") + "endmodule"

    return re.sub(r"^module \\?(\S+?) ?\(.*?^endmodule", appended, verilog, flags=re.MULTILINE | re.DOTALL)


def separate_clock(verilog: str, top: str, *, instances: str, clock: str, new: str) -> tuple[str, int]:
    """Give some instances in a module a clock input of their own.

    Parameters
    ----------
    verilog : str
        Text that holds the module `top` and no other of its name.
    top : str
        The module: it gets one more input, the first in its list of ports.
    instances : str
        Regular expression of the instances' names.
    clock : str
        Net and port that they have been clocked by.
    new : str
        Name of the new input.

    Returns
    -------
    verilog : str
    count : int
        Instances that were found.

    Raises
    ------
    ValueError
        The module has no list of ports.
    """
    found = re.compile(rf"(^  \S+ (?:{instances}) \((?:(?!\);).)*?\.{clock}\(){clock}\)", re.MULTILINE | re.DOTALL)
    verilog, count = found.subn(rf"\g<1>{new})", verilog)
    head = re.compile(rf"(^module \\?{re.escape(top)} ?)\((.*?)\);", re.MULTILINE | re.DOTALL)
    verilog, heads = head.subn(rf"\g<1>({new}, \g<2>);\n  input {new};", verilog, count=1)
    if heads != 1:
        raise ValueError(f"module {top!r} has no list of ports")
    return verilog, count


def _short(verilog: str) -> str:
    """Write a bit that is repeated as ``{8{bit}}``: yosys spells it out, and Verilator would shift every copy.

    Within a longer concatenation, only where it comes four times or more: masks of a word, signs.
    """
    verilog = _ALONE.sub(lambda found: f"{{{1 + found[2].count(',')}{{{found[1]}}}}}", verilog)
    return _WITHIN.sub(lambda found: f"{{{1 + found[2].count(',')}{{{found[1]}}}}}", verilog)


_BIT = r"(\w+(?:\[\d+\])?)"
_ALONE = re.compile(rf"\{{ {_BIT}((?:, \1)+) \}}")
_WITHIN = re.compile(rf"(?<=[{{,] ){_BIT}((?:, \1){{3,}})(?=,| \}})")
