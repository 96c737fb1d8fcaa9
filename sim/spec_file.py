"""Specifications as TOML text, and by name: what the specs of all chips share."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

from sim.messages import shown

__all__ = ["check_fields", "check_integer", "check_name", "check_real", "load_preset", "parse_toml", "toml_value"]

Spec = TypeVar("Spec")

MOST_LETTERS = 64
"""Letters of a name: it becomes part of names of files and modules."""
# IEEE 1364-2005, annex B, and the words that IEEE 1800-2017 adds and tools refuse as names of modules
_WORDS = """
    always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign default defparam
    design disable edge else end endcase endconfig endfunction endgenerate endmodule endprimitive endspecify endtable
    endtask event for force forever fork function generate genvar highz0 highz1 if ifnone incdir include initial inout
    input instance integer join large liblist library localparam macromodule medium module nand negedge nmos nor
    noshowcancelled not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release repeat rnmos rpmos rtran rtranif0 rtranif1
    scalared showcancelled signed small specify specparam strong0 strong1 supply0 supply1 table task time tran tranif0
    tranif1 tri tri0 tri1 triand trior trireg unsigned use uwire vectored wait wand weak0 weak1 while wire wor xnor xor
    accept_on alias always_comb always_ff always_latch assert assume before bind bins binsof bit break byte chandle
    checker class clocking const constraint context continue cover covergroup coverpoint cross dist do endchecker
    endclass endclocking endgroup endinterface endpackage endprogram endproperty endsequence enum eventually expect
    export extends extern final first_match foreach forkjoin global iff ignore_bins illegal_bins implements implies
    import inside int interconnect interface intersect join_any join_none let local logic longint matches modport
    nettype new nexttime null package packed priority program property protected pure rand randc randcase randsequence
    ref reject_on restrict return s_always s_eventually s_nexttime s_until s_until_with sequence shortint shortreal
    soft solve static string strong struct super sync_accept_on sync_reject_on tagged this throughout timeprecision
    timeunit type typedef union unique unique0 until until_with untyped var virtual void wait_order weak wildcard with
    within
"""
VERILOG_WORDS = frozenset(_WORDS.split())


def check_name(name: object) -> str:
    """The name of a design, which names files and Verilog modules.

    Raises
    ------
    ValueError
        If it is not letters, digits and underscores after a letter, is too long, or is a word of Verilog.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"name must be an identifier (it names files and modules), got {shown(name)}")
    if len(name) > MOST_LETTERS:
        raise ValueError(f"name: expected at most {MOST_LETTERS} letters, got {len(name)}")
    if name in VERILOG_WORDS:
        raise ValueError(f"name: {name} is a word of Verilog and cannot name a module")
    return name


def check_integer(name: str, value: object, low: int, high: int) -> int:
    """A whole number of a spec.

    Raises
    ------
    ValueError
        If it is another kind of value (a truth value is), or outside ``low..high``.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name}: expected an integer, got {shown(value)}")
    if not low <= value <= high:
        raise ValueError(f"{name}: expected {low} to {high}, got {shown(value)}")
    return value


def check_real(name: str, value: object, low: float, high: float, expected: str) -> float:
    """A physical quantity of a spec, whole or not; `expected` says in a message what it has to be.

    Raises
    ------
    ValueError
        If it is no number (a truth value is none), infinite, not a number, or outside ``low..high``.
    """
    number = math.nan
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{name}: expected {expected}, got {shown(value)}")
    return number


def parse_toml(text: str) -> dict[str, Any]:
    """Content of a TOML text.

    Raises
    ------
    ValueError
        If it is no TOML, or nests too deep.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("not a TOML file: nested too deep") from None
    except ValueError as error:
        raise ValueError(f"not a TOML file: {shown(error, quoted=False)}") from None


def check_fields(table: Iterable[str], kind: type[Any], prefix: str = "") -> None:
    """The names in a table are fields of a dataclass; `prefix` stands before those that are none.

    Raises
    ------
    ValueError
        If some are not.
    """
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(table) - known):
        names = shown(", ".join(prefix + name for name in unknown), quoted=False)
        raise ValueError(f"unknown fields {names}; expected {', '.join(sorted(known))}")


def toml_value(value: object) -> str:
    """A number, a truth value, a text or a tuple of them as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple():
            return "[" + ", ".join(map(toml_value, value)) + "]"
        case _:
            return str(value)


def load_preset(name: str, presets: Mapping[str, Spec], from_toml: Callable[[str], Spec]) -> Spec:
    """A preset by name, or a spec from a TOML file.

    Parameters
    ----------
    name : str
        Name of a preset, or path of a file.
    presets : mapping of str to spec
    from_toml : callable
        Spec from the text of a file; raises ValueError.

    Raises
    ------
    ValueError
        If there is neither such a preset nor such a file, or the file is not a spec; the message names the file.
    """
    if name in presets:
        return presets[name]
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"no preset and no TOML file named {name!r}; presets: {', '.join(presets)}")
    try:
        return from_toml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
