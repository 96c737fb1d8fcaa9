"""Verilog text: ports of a module, modules of a file and what they instantiate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Port", "read_ports", "split_modules"]


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


def closure(modules: Mapping[str, str], top: str) -> list[str]:
    """`top` and every module below it."""
    children = instances(modules)
    found = [top]
    for name in found:
        found += [child for child in dict.fromkeys(children[name]) if child not in found]
    return found


def _short(verilog: str) -> str:
    """Write a bit that is repeated as ``{8{bit}}``: yosys spells it out, and Verilator would shift every copy."""
    return re.sub(
        r"\{ (\w+(?:\[\d+\])?)((?:, \1)+) \}",
        lambda found: f"{{{1 + found.group(2).count(',')}{{{found.group(1)}}}}}",
        verilog,
    )
