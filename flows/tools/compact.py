"""Verilog text, as yosys writes it, that does the same and takes a C++ compiler less time once Verilator has it.

Verilator writes the logic of an instance out wherever the instance stands, and a reduction of a thousand bits as an
expression a thousand parentheses deep; compilers take much longer over both than a simulation does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from flows.tools.verilog import count_instances

__all__ = ["divide_reductions", "share_logic", "whole_columns"]

_ASSIGN = re.compile(r"^  assign (\w+) = ([^;]+);\n", re.MULTILINE)
_DECLARED = re.compile(
    r"^  (input|output|wire|reg) (?:\[(\d+):0\] )?(\w+)(?: /\*[^;]*\*/)?(?: = [^;]+)?;\n", re.MULTILINE
)
_NAME = re.compile(r"(?<![\w'.\\])[A-Za-z_]\w*")
_COPY = re.compile(r"\w+(?:\[[\d:]+\])?")
_SAVED_BYTES = 20_000
"""Text that a function must save."""
_ARGUMENTS = 8
"""Stored signals that a function may depend on: those of a cell, not of a whole store."""
_REDUCED = 32
"""Bits of a part of a long reduction."""


def share_logic(modules: Mapping[str, str]) -> dict[str, str]:
    """Modules with a function for the logic that depends on stored values alone, where many instances share it.

    A decoder behind the flip-flops of a cell, for instance. Logic that an input takes part in stays as it is, so that
    it is evaluated on its own: inputs change at other times than stored values do.
    """
    shared = {}
    for name, count in count_instances(modules).items():
        if (count - 1) * len(modules[name]) > _SAVED_BYTES:
            function, rest = _with_function(name, modules[name])
            if (count - 1) * len(function) > _SAVED_BYTES:
                shared[name] = function + rest
    return {name: shared.get(name, text) for name, text in modules.items()}


def _with_function(name: str, text: str) -> tuple[str, str]:
    """A function and the module that calls it; an empty text and the module as it is where there is nothing to do."""
    width: dict[str, int] = {}
    ports: dict[str, set[str]] = {"input": set(), "output": set()}
    for kind, high, signal in _DECLARED.findall(text):
        width[signal] = int(high) + 1 if high else 1
        ports.get(kind, set()).add(signal)
    value = dict(_ASSIGN.findall(text))
    used = {target: list(dict.fromkeys(_NAME.findall(value[target]))) for target in value}
    try:
        order = list(
            TopologicalSorter({target: [n for n in used[target] if n in value] for target in value}).static_order()
        )
    except CycleError:
        return "", text
    sources: dict[str, set[str]] = {}
    for target in order:
        sources[target] = set().union(*(sources[name] if name in value else {name} for name in used[target]))
    inside = [
        target for target, found in sources.items()
        # what is declared in another way, with a sign for instance, is no argument
        if found and found <= width.keys() - ports["input"] and target in width and "\\" not in value[target]
    ]  # fmt: skip
    # a copy of a part costs nothing where it is
    copies = {target for target in inside if _COPY.fullmatch(value[target])} - {
        name for t in inside for name in used[t]
    }
    inside = [target for target in inside if target not in copies]
    arguments = sorted(set().union(*(sources[target] for target in inside)))
    if not inside or len(arguments) > _ARGUMENTS:
        return "", text
    taken = set(inside)
    rest = _ASSIGN.sub(lambda found: "" if found[1] in taken else found[0], text)
    outside = set(_NAME.findall(_DECLARED.sub("", rest))) | ports["output"]
    results = [target for target in inside if target in outside]
    hidden = taken.difference(results)
    rest = _DECLARED.sub(lambda found: "" if found[3] in hidden else found[0], rest)
    total = sum(width[target] for target in results)
    function = "".join([
        f"function automatic {_range(total)}{name}__logic(",
        ", ".join(f"input {_range(width[argument])}{argument}" for argument in arguments),
        "); /*verilator no_inline_task*/\n",
        *(f"  reg {_range(width[target])}{target};\n" for target in inside),
        "  begin\n",
        *(f"    {target} = {value[target]};\n" for target in inside),
        f"    {name}__logic = {{ {', '.join(reversed(results))} }};\n  end\nendfunction\n",
    ])  # fmt: skip
    lines = [f"  wire {_range(total)}logic__;\n  assign logic__ = {name}__logic({', '.join(arguments)});\n"]
    low = 0
    for target in results:
        part = f"[{low + width[target] - 1}:{low}]" if total > 1 else ""
        lines.append(f"  assign {target} = logic__{part};\n")
        low += width[target]
    return function, rest.replace("endmodule", "".join(lines) + "endmodule")


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def divide_reductions(text: str) -> str:
    """One module, with reductions of very many signals divided into parts that Verilator keeps as variables."""
    parts = 0

    def divided(found: re.Match[str]) -> str:
        nonlocal parts
        target, operator, body = found.groups()
        signals = re.split(r",\s*", body)
        if len(signals) < 3 * _REDUCED:
            return found[0]
        lines, names = [], []
        for first in range(0, len(signals), _REDUCED):
            name = f"reduced_{parts}__"
            parts += 1
            names.append(name)
            some = ", ".join(signals[first : first + _REDUCED])
            lines.append(f"  wire {name} /*verilator public_flat_rd*/;\n  assign {name} = {operator} {{ {some} }};\n")
        return "".join(lines) + f"  assign {target} = {operator} {{ {', '.join(names)} }};\n"

    return _REDUCTION.sub(divided, text)


_REDUCTION = re.compile(r"^  assign (\w+(?:\[\d+\])?) = ([|&^]) \{ ([^;{}]+) \};\n", re.MULTILINE)


def whole_columns(text: str) -> str:
    """The read port of a store with a column of bytes as one variable, not bit by bit.

    A column is ``column_<digit>_<bit>``, a disjunction of bits of stored bytes with one row each. Columns that are
    written in another way stay as they are.
    """
    terms = {term: (row, byte, int(bit)) for term, row, byte, bit in _SELECTED.findall(text)}
    columns: dict[str, dict[tuple[str, str], dict[int, int]]] = {}
    own: dict[str, set[str]] = {}
    left: set[str] = set()
    for column, position, body in _COLUMN.findall(text):
        for term in re.split(r",\s*", body):
            if term not in terms:
                left.add(column)
                continue
            row, byte, bit = terms[term]
            columns.setdefault(column, {}).setdefault((row, byte), {})[int(position)] = bit
            own.setdefault(column, set()).add(term)
    mentioned = Counter(re.findall(r"\b_\d+_\b", text))  # where it is declared, assigned, and taken by the column
    lines: list[str] = []
    gone: set[str] = set()
    for column, parts in columns.items():
        vectors = [_selected_part(row, byte, bits) for (row, byte), bits in parts.items()]
        if column in left or None in vectors:
            left.add(column)
            continue
        gone |= {term for term in own[column] if mentioned[term] == 3}
        joined = "\n    | ".join(str(vector) for vector in vectors)
        lines.append(
            f"  wire [7:0] {column}__byte /*verilator public_flat_rd*/;\n  assign {column}__byte = {joined};\n"
        )
    if not lines:
        return text
    text = _SELECTED.sub(lambda found: "" if found[1] in gone else found[0], text)
    text = re.sub(r"^  wire (_\d+_);\n", lambda found: "" if found[1] in gone else found[0], text, flags=re.MULTILINE)
    text = _COLUMN.sub(
        lambda found: (
            found[0] if found[1] in left else f"  assign {found[1]}_{found[2]} = {found[1]}__byte[{found[2]}];\n"
        ),
        text,
    )
    return text.replace("endmodule", "".join(lines) + "endmodule")


_SELECTED = re.compile(r"^  assign (_\d+_) = (\w+) & (\w+)\[(\d+)\];\n", re.MULTILINE)
_COLUMN = re.compile(r"^  assign (column_[0-9a-f])_(\d) = \| \{ ([^;{}]+) \};\n", re.MULTILINE)


def _selected_part(row: str, byte: str, bits: Mapping[int, int]) -> str | None:
    """The bits of a stored signal in their places of the byte where its row is selected; None if they are apart."""
    low, high = min(bits), max(bits)
    shift = bits[low] - low
    if any(bits.get(position) != position + shift for position in range(low, high + 1)):
        return None
    above = f"{7 - high}'h0, " if high < 7 else ""
    below = f", {low}'h0" if low else ""
    return f"{{8{{{row}}}}} & {{ {above}{byte}[{high + shift}:{low + shift}]{below} }}"
