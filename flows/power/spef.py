"""Wire capacitance from a SPEF file (IEEE 1481)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.common.units import capacitance_ff
from flows.library.liberty_file import unpacked
from flows.library.power_library import PowerLibrary
from flows.netlist.delays import pin_loads
from flows.netlist.netlist import Netlist

__all__ = ["read_spef"]

Floats = npt.NDArray[np.float64]
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def read_spef(path: Path, netlist: Netlist, library: PowerLibrary) -> tuple[Floats, float]:
    """Wire capacitance of each net in fF from the totals of a SPEF file, and the share of nets it names.

    A total counts what the file's ``*DESIGN_FLOW`` says; totals include the pins where ``PIN_CAP`` is not ``NONE``, and
    then the pins of `library` are taken off.

    Raises
    ------
    ValueError
        The file is no SPEF, is cut or malformed (the message names the line), or names no net of the netlist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no SPEF file {path}")
    content = _Content(path)
    number = {_spelling(name): net for net, name in enumerate(netlist.net_names)}
    pins = pin_loads(netlist, library)
    wires = np.zeros(netlist.nets)
    seen = 0
    for name, total_ff in content.totals_ff.items():
        net = number.get(_spelling(name.replace(content.divider, ".")))
        if net is not None:
            seen += 1
            wires[net] = max(total_ff - (pins[net] if content.with_pins else 0.0), 0.0)
    if not seen:
        raise ValueError(f"{path} names no net of {netlist.top}")
    return wires, seen / max(int(netlist.used_nets.sum()), 1)


@dataclass
class _Content:
    """What of a SPEF file is read: total capacitance by net name, hierarchy divider, whether totals hold pins."""

    path: Path
    totals_ff: dict[str, float] = field(default_factory=dict)
    divider: str = "."
    with_pins: bool = False

    def __post_init__(self) -> None:
        unit_ff: float | None = None
        names: dict[str, str] = {}
        section, open_net = "", 0
        for line, words in self._lines():
            where = f"{self.path}, line {line}"
            keyword = words[0].upper()
            if keyword == "*C_UNIT":
                try:
                    unit_ff = capacitance_ff(*words[1:]) if len(words) == 3 else capacitance_ff("", "")
                except ValueError as error:
                    raise ValueError(f"{where}: *C_UNIT: {error}") from None
            elif keyword == "*DIVIDER" and len(words) == 2:
                self.divider = words[1]
            elif keyword == "*DESIGN_FLOW":
                pins = re.search(r"\bPIN_CAP\s+(\w+)", " ".join(words[1:]))
                self.with_pins = self.with_pins or (pins is not None and pins[1] != "NONE")
            elif keyword in ("*D_NET", "*R_NET"):
                if open_net:
                    raise ValueError(f"{where}: the net of line {open_net} has no *END")
                if unit_ff is None:
                    raise ValueError(f"{where}: no *C_UNIT before the first net")
                if len(words) < 3 or _NUMBER.fullmatch(words[2]) is None:
                    raise ValueError(f"{where}: expected {keyword} NAME CAPACITANCE, got {' '.join(words[1:3])[:60]!r}")
                name = words[1]
                if name.startswith("*"):
                    if name not in names:
                        raise ValueError(f"{where}: *NAME_MAP has no {name[:40]}")
                    name = names[name]
                if name in self.totals_ff:
                    raise ValueError(f"{where}: net {name[:60]} comes twice")
                total_ff = float(words[2]) * unit_ff
                if not 0 <= total_ff < math.inf:
                    raise ValueError(f"{where}: expected a capacitance of at least 0, got {words[2][:60]}")
                self.totals_ff[name] = total_ff
                open_net = line
            elif keyword == "*END":
                open_net = 0
            elif re.fullmatch(r"\*\d+", words[0]) and section == "*NAME_MAP":
                if len(words) != 2:
                    raise ValueError(f"{where}: expected an index and a name, got {' '.join(words)[:60]!r}")
                names[words[0]] = words[1]
            elif re.fullmatch(r"\*[A-Z_]+", keyword):
                section = keyword
        if unit_ff is None:
            raise ValueError(f"{self.path} is no SPEF file: it has no *C_UNIT")
        if open_net:
            raise ValueError(f"{self.path}: the file ends inside of the net of line {open_net}: it was cut")

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Lines that are not empty, by number, as words without comments."""
        begun = 0
        with unpacked(self.path).open(errors="replace") as file:
            for number, line in enumerate(file, 1):
                text, rest = "", line
                while rest:
                    if begun:
                        _, closed, rest = rest.partition("*/")
                        begun = 0 if closed else begun
                        text += " "
                        continue
                    before, mark, rest = rest.partition("/")
                    text += before
                    if rest[:1] == "*" and mark:
                        begun, rest = number, rest[1:]
                    elif rest[:1] == "/" and mark:
                        break
                    else:
                        text += mark
                if words := text.split():
                    yield number, words
        if begun:
            raise ValueError(f"{self.path}, line {begun}: a comment begins that does not end: the file was cut")


def _spelling(name: str) -> str:
    return name.replace("\\", "").replace("/", ".")
