"""RTLIL text as yosys writes it: the one module that knows how it looks.

`parse_rtlil` reads modules, wires, cells and connections down to single bits: enough to edit a design cell by cell
(flows/verification/mutation.py), to argue about its structure (flows/formal/encoder.py), and to find the names of its
nets (flows/campaign/netlist.py). `split_rtlil` only takes a design apart into the texts of its modules, processes
included (flows/synthesis/merge.py). Bits are strings: ``"0"``, ``"1"``, ``"x"`` for constants, ``"\\name [3]"`` for bit
3 of a wire; lists of bits start with the least significant one. Format: yosys manual, appendix "RTLIL text
representation".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

__all__ = ["Cell", "ModuleText", "RtlilModule", "Wire", "constant", "parse_rtlil", "sigspec", "split_rtlil"]

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
                width, _, digits = token.partition("'")
                # digits that are left out are zeros, or all as an undefined first one
                first = digits[0] if digits and digits[0] not in "01" else "0"
                result = list(reversed(digits.rjust(int(width), first)))
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

    def aliases(self) -> dict[str, list[str]]:
        """Public names of each net of the module, bit by bit, that connections give it beside its own."""
        found: dict[str, list[str]] = {}
        for left, right in self.connections:
            for name, net in zip(self.bits(left), self.bits(right), strict=True):
                if name.startswith("\\") and not constant(net):
                    found.setdefault(net, []).append(name)
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


def parse_rtlil(text: str, kinds: re.Pattern[str] | None = None) -> dict[str, RtlilModule]:
    """Modules of a design without processes (run ``proc`` first), by name.

    Parameters
    ----------
    text : str
    kinds : Pattern, optional
        Types of the cells to read, from their first character on, the backslash included; all if left out. Whole chips
        have millions of cells, of which some questions need few.

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
                if kinds is not None and not kinds.match(kind):
                    pending = []
                    for _, inner in lines:
                        if inner == "  end":
                            break
                    continue
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


# --- texts of modules -------------------------------------------------------------------------------------------------

_PRIVATE = re.compile(r"(?<!\S)\$\S+")
_DEFINES = re.compile(r"^\s*(?:wire|cell|memory|process)\b.*?(\S+)$")
_CELL = re.compile(r"^(\s*cell )(\S+)( \S+)$")


@dataclass
class ModuleText:
    """The text of a module.

    Attributes
    ----------
    name : str
        As written, with backslash.
    header : list of str
        Its attributes, which stand in front of it.
    body : list of str
        Lines between ``module`` and ``end``.
    """

    name: str
    header: list[str]
    body: list[str]

    @property
    def lines(self) -> list[str]:
        """The module as it stands in a design."""
        return [*self.header, f"module {self.name}", *self.body, "end"]

    def cell_types(self) -> Iterator[tuple[int, str]]:
        """Line number in `body` and type of each cell."""
        for index, line in enumerate(self.body):
            if cell := _CELL.match(line):
                yield index, cell.group(2)

    def set_cell_type(self, index: int, kind: str) -> None:
        """Give the cell in a line of `body` another type."""
        self.body[index] = _CELL.sub(lambda cell: f"{cell.group(1)}{kind}{cell.group(3)}", self.body[index])

    def content(self) -> str:
        """What the module is, whatever its name: source locations left out, private (``$``) names numbered anew."""
        private: dict[str, str] = {}
        for line in self.body:
            if (defined := _DEFINES.match(line)) and defined.group(1).startswith("$"):
                private.setdefault(defined.group(1), f"${len(private)}")
        return "\n".join(
            _PRIVATE.sub(lambda match: private.get(match.group(), match.group()), line)
            for line in [*self.header, *self.body]
            if not line.lstrip().startswith(("attribute \\src ", "attribute \\hdlname "))
        )


def split_rtlil(text: str) -> tuple[list[str], list[ModuleText]]:
    """Lines that precede the modules of a design, and the modules in order.

    Raises
    ------
    ValueError
        The text ends inside a module.
    """
    preamble: list[str] = []
    modules: list[ModuleText] = []
    header: list[str] = []
    current: ModuleText | None = None
    for line in text.splitlines():
        if current is not None:
            if line == "end":
                modules.append(current)
                current = None
            else:
                current.body.append(line)
        elif line.startswith("module "):
            current = ModuleText(line.split(" ", 1)[1].strip(), header, [])
            header = []
        elif line.startswith("attribute "):
            header.append(line)
        elif line.strip() and not line.startswith("#"):
            preamble.append(line)
    if current is not None:
        raise ValueError(f"RTLIL text ends inside module {current.name}")
    return preamble, modules
