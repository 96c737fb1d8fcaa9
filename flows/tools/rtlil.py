"""A small reader of RTLIL text as yosys writes it: modules, wires, cells, connections, down to single bits.

Enough to edit a design cell by cell (flows/verification/mutation.py) and to argue about its structure
(flows/formal/encoder.py). Bits are strings: ``"0"``, ``"1"``, ``"x"`` for constants, ``"\\name [3]"`` for bit 3 of a
wire; lists of bits start with the least significant one. Format: yosys manual, appendix "RTLIL text representation".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

__all__ = ["Cell", "RtlilModule", "Wire", "constant", "parse_rtlil", "sigspec"]

_TOKEN = re.compile(r"\{|\}|\[\d+(?::\d+)?\]|\d+'[01xzm-]*|[\\$]\S+|-?\d+")


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A wire: its name with the leading ``\\`` or ``$``, bits, and whether it is an input or output of the module."""

    name: str
    width: int
    input: bool
    output: bool


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell.

    Attributes
    ----------
    name, type : str
        With the leading ``\\`` or ``$``.
    attributes, parameters, connections : dict of str
        Texts as written; keys without the leading backslash.
    """

    name: str
    type: str
    attributes: dict[str, str]
    parameters: dict[str, str]
    connections: dict[str, str]

    @property
    def source(self) -> str:
        """Place in the generator that made the cell, ``file.py:line``, without folders; empty if unknown."""
        places = self.attributes.get("src", "").strip('"').split("|")
        return ", ".join(place.rsplit("/", 1)[-1] for place in places)

    def text(self) -> str:
        """The cell as RTLIL text."""
        lines = [f"  attribute \\{name} {value}" for name, value in self.attributes.items()]
        lines.append(f"  cell {self.type} {self.name}")
        lines += [f"    parameter \\{name} {value}" for name, value in self.parameters.items()]
        lines += [f"    connect \\{name} {value}" for name, value in self.connections.items()]
        return "\n".join([*lines, "  end", ""])

    def with_connections(self, name: str, **connections: str) -> Cell:
        """A copy under another name with some connections replaced."""
        return replace(self, name=name, connections=self.connections | connections)


@dataclass(kw_only=True)
class RtlilModule:
    """A module: `name` without the leading backslash, wires by name, cells, connections as (left, right) texts."""

    name: str
    attributes: list[str] = field(default_factory=list)
    wires: dict[str, Wire] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    connections: list[tuple[str, str]] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    wire_attributes: dict[str, list[str]] = field(default_factory=dict)

    def bits(self, spec: str) -> list[str]:
        """Bits of a sigspec text, least significant first.

        Raises
        ------
        ValueError
            If the text names an unknown wire or is not a sigspec.
        """
        tokens = _TOKEN.findall(spec)
        position = 0

        def one() -> list[str]:
            nonlocal position
            if position >= len(tokens):
                raise ValueError(f"module {self.name}: not a sigspec: {spec!r}")
            token = tokens[position]
            position += 1
            if token == "{":
                parts = []
                while position < len(tokens) and tokens[position] != "}":
                    parts.append(one())
                position += 1
                result = [bit for part in reversed(parts) for bit in part]
            elif token[0] in "\\$":
                if token not in self.wires:
                    raise ValueError(f"module {self.name}: unknown wire {token}")
                places = range(self.wires[token].width)
                if position < len(tokens) and tokens[position][0] == "[":
                    # not all bits of a wide wire for the sake of one
                    high, _, low = tokens[position][1:-1].partition(":")
                    places = places[int(low or high) : int(high) + 1]
                    position += 1
                result = [f"{token} [{bit}]" for bit in places]
            elif "'" in token:
                result = list(reversed(token.partition("'")[2]))
            else:
                result = [str(int(token) >> bit & 1) for bit in range(32)]
            while position < len(tokens) and tokens[position][0] == "[":
                high, _, low = tokens[position][1:-1].partition(":")
                result = result[int(low or high) : int(high) + 1]
                position += 1
            return result

        found = one()
        if position != len(tokens):
            raise ValueError(f"module {self.name}: not a sigspec: {spec!r}")
        return found

    def text(self) -> str:
        """The module as RTLIL text."""
        lines = [*self.attributes, f"module \\{self.name}"]
        number = 0
        for wire in self.wires.values():
            lines += self.wire_attributes.get(wire.name, [])
            direction = ""
            if wire.input or wire.output:
                number += 1
                direction = (
                    f"{'inout' if wire.input and wire.output else 'input' if wire.input else 'output'} {number} "
                )
            lines.append(f"  wire width {wire.width} {direction}{wire.name}")
        lines += self.other
        lines += [cell.text().rstrip("\n") for cell in self.cells]
        lines += [f"  connect {left} {right}" for left, right in self.connections]
        return "\n".join([*lines, "end", ""])


def sigspec(bits: Sequence[str]) -> str:
    """Sigspec text of bits, least significant first."""
    return "{ " + " ".join(f"1'{bit}" if len(bit) == 1 else bit for bit in reversed(bits)) + " }"


def constant(bit: str) -> bool:
    """Whether a bit is a constant."""
    return len(bit) == 1


def parse_rtlil(text: str) -> dict[str, RtlilModule]:
    """Modules of a design without processes (run ``proc`` first), by name.

    Raises
    ------
    ValueError
        If a line is not understood, or a module still holds a process.
    """
    modules: dict[str, RtlilModule] = {}
    module: RtlilModule | None = None
    pending: list[str] = []
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        match line.split():
            case [] | ["autoidx", *_]:
                continue
            case [first, *_] if first.startswith("#"):
                continue
            case ["attribute", *_]:
                pending.append(line)
            case ["module", name]:
                module = RtlilModule(name=name.removeprefix("\\"), attributes=pending)
                modules[module.name], pending = module, []
            case ["end"] if module is not None:
                module = None
            case ["wire", *options, name] if module is not None:
                width = int(options[options.index("width") + 1]) if "width" in options else 1
                if {"upto", "offset"} & set(options):
                    raise ValueError(f"line {number}: wires with `upto` or `offset` are not supported: {line.strip()}")
                module.wires[name] = Wire(
                    name=name, width=width, input="input" in options or "inout" in options,
                    output="output" in options or "inout" in options,
                )  # fmt: skip
                module.wire_attributes[name], pending = pending, []
            case ["cell", kind, name] if module is not None:
                cell = Cell(name=name, type=kind, attributes=_attributes(pending), parameters={}, connections={})
                pending = []
                for _, inner in lines:
                    words = inner.split(None, 2)
                    if words == ["end"]:
                        break
                    if words[0] == "parameter":
                        # `parameter signed \NAME value` carries the flag in front of the name
                        if words[1] in ("signed", "real"):
                            flag, (name_, value) = words[1], words[2].split(None, 1)
                            cell.parameters[f"{flag} {name_}"] = value
                        else:
                            cell.parameters[words[1].removeprefix("\\")] = words[2]
                    else:
                        cell.connections[words[1].removeprefix("\\")] = words[2] if len(words) > 2 else ""
                module.cells.append(cell)
            case ["connect", *_] if module is not None:
                left, right = _split_connect(line.strip().removeprefix("connect "))
                module.connections.append((left, right))
            case ["memory", *_] | ["parameter", *_] if module is not None:
                module.other += [*pending, line]
                pending = []
            case _:
                raise ValueError(f"RTLIL line {number} is not understood (processes are not supported): {line.strip()}")
    return modules


def _attributes(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        _, name, value = line.split(None, 2)
        found[name.removeprefix("\\")] = value
    return found


def _split_connect(text: str) -> tuple[str, str]:
    """Left and right sigspec of a connection."""
    depth = 0
    ends: list[int] = []
    for match in _TOKEN.finditer(text):
        token = match.group(0)
        depth += (token == "{") - (token == "}")
        if depth == 0:
            if token[0] == "[" and ends:
                ends[-1] = match.end()
            else:
                ends.append(match.end())
    if len(ends) != 2:
        raise ValueError(f"not a connection of two signals: {text!r}")
    return text[: ends[0]].strip(), text[ends[0] :].strip()
