"""LEF files: sizes and pins of cells, the placement site, routing layers with pitch and capacitance.

Only what placement and wire estimates need (LEF/DEF 5.8 Language Reference, Cadence): macros of class core, one site,
routing layers. Lengths in micrometres, capacitance in fF.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flows.common.errors import FlowError
from flows.library.liberty_file import unpacked
from sim.messages import shown

__all__ = ["Layer", "Lef", "LefError", "Macro", "read_lef"]


class LefError(FlowError):
    """A LEF file lacks what is needed; the message says what."""


@dataclass(frozen=True, kw_only=True)
class Macro:
    """A cell: size, and the centre of each pin's shapes from the lower left corner."""

    name: str
    width_um: float
    height_um: float
    pins: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A routing layer, with what a micrometre of a wire of its width has: capacitance to ground (area and both edges),
    resistance; None where the file states none."""

    name: str
    horizontal: bool
    pitch_um: float
    width_um: float
    ff_per_um: float | None
    ohm_per_um: float | None = None


@dataclass(frozen=True, kw_only=True)
class Lef:
    """Contents of one or several LEF files."""

    macros: Mapping[str, Macro]
    layers: tuple[Layer, ...]
    site_um: tuple[float, float]
    site_name: str
    units_per_um: int


@dataclass
class _State:
    macros: dict[str, Macro] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    sites: dict[str, tuple[float, float]] = field(default_factory=dict)
    units: int = 1000


def read_lef(files: Sequence[Path]) -> Lef:
    """Read LEF files (plain or ``.gz``), technology first.

    Raises
    ------
    LefError
        No macro, no site, a macro without a size, or a number that is none.
    FileNotFoundError
    """
    state = _State()
    for path in files:
        if not path.is_file():
            raise FileNotFoundError(f"no LEF file {path}")
        # comments end at the line's end; a statement ends with a semicolon that stands alone
        text = re.sub(r"#[^\n]*", "", unpacked(path).read_text(errors="replace"))
        # one blank is as good as a thousand, and patterns need not look for the longest run of them
        text = "\n".join(" ".join(words) for line in text.split("\n") if (words := line.split()))
        try:
            _read(text, state, path)
        except ValueError as error:
            raise LefError(f"{path}: {error}") from None
    if not state.macros:
        raise LefError(f"no macro in {', '.join(str(path) for path in files)}")
    if state.sites:
        # the core site is the one that most cells are as high as
        heights = [macro.height_um for macro in state.macros.values()]
        name = max(state.sites, key=lambda s: sum(abs(height - state.sites[s][1]) < 1e-6 for height in heights))
    else:
        raise LefError(f"no SITE of class core in {', '.join(str(path) for path in files)}")
    return Lef(
        macros=state.macros, layers=tuple(state.layers), site_um=state.sites[name], site_name=name,
        units_per_um=state.units,
    )  # fmt: skip


def _read(text: str, state: _State, path: Path) -> None:
    if units := re.search(r"(?<!\S)DATABASE\s+MICRONS\s+(\d+)\s*;", text):
        state.units = max(state.units, int(units[1]))
    for kind, name, body in _groups(text, ("MACRO", "SITE", "LAYER")):
        if kind == "MACRO":
            state.macros[name] = _macro(name, body, path)
        elif kind == "SITE":
            size = re.search(r"(?<!\S)SIZE\s+([\d.]+)\s+BY\s+([\d.]+)\s*;", body)
            if size and not re.search(r"(?<!\S)CLASS\s+PAD\b", body, re.IGNORECASE):
                state.sites[name] = (_length(size[1], f"site {name}"), _length(size[2], f"site {name}"))
        elif re.search(r"(?<!\S)TYPE\s+ROUTING\s*;", body):
            state.layers.append(_layer(name, body))


def _groups(text: str, kinds: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Kind, name and body of each group, from a line ``KIND NAME`` to the next ``END NAME``, not of those in a body.

    A line for which there is no such end begins nothing. Time grows with the size of the text.
    """
    lines = text.split("\n")
    ends: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        if line.startswith("END "):
            ends.setdefault(line[4:], []).append(number)
    after = 0
    for number, line in enumerate(lines):
        kind, _, name = line.partition(" ")
        if number < after or kind not in kinds or name not in ends:
            continue
        if (place := bisect_right(ends[name], number)) < len(ends[name]):
            end = ends[name][place]
            yield kind, name, "\n".join(lines[number + 1 : end])
            after = end + 1


def _length(text: str, where: str) -> float:
    """A length above 0."""
    if not (value := _number(text, where)) > 0:
        raise ValueError(f"{where}: expected a length above 0, got {text}")
    return value


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{where}: expected a number, got {shown(text)}")
    return value


def _layer(name: str, body: str) -> Layer:
    pitch = re.search(r"(?<!\S)PITCH\s+([\d.]+)", body)
    width = re.search(r"^\s*WIDTH\s+([\d.]+)\s*;", body, re.MULTILINE)
    area = re.search(r"(?<!\S)CAPACITANCE\s+CPERSQDIST\s+([-\d.eE+]+)", body)
    edge = re.search(r"(?<!\S)EDGECAPACITANCE\s+([-\d.eE+]+)", body)
    square = re.search(r"(?<!\S)RESISTANCE\s+RPERSQ\s+([-\d.eE+]+)", body)
    where = f"layer {shown(name, quoted=False)}"
    width_um = _length(width[1], where) if width else 0.0
    # LEF counts in pF per square micrometre and per micrometre of edge
    capacitance = None
    if area or edge:
        capacitance = 1000 * (
            (_number(area[1], where) * width_um if area else 0.0) + 2 * (_number(edge[1], where) if edge else 0.0)
        )
        if not 0 <= capacitance < math.inf:
            raise ValueError(f"{where}: expected a capacitance of at least 0, got {capacitance:g} fF")
    resistance = None
    if square and width_um:
        resistance = _number(square[1], where) / width_um
        if not 0 <= resistance < math.inf:
            raise ValueError(f"{where}: expected a resistance of at least 0, got {resistance:g} ohm")
    return Layer(
        name=name, horizontal=bool(re.search(r"(?<!\S)DIRECTION\s+HORIZONTAL\b", body)),
        pitch_um=_length(pitch[1], where) if pitch else 2 * width_um, width_um=width_um, ff_per_um=capacitance or None,
        ohm_per_um=resistance or None,
    )  # fmt: skip


def _macro(name: str, body: str, path: Path) -> Macro:
    size = re.search(r"(?<!\S)SIZE\s+([\d.]+)\s+BY\s+([\d.]+)\s*;", body)
    if size is None:
        raise LefError(f"{path}: macro {shown(name, quoted=False)} has no SIZE")
    where = f"macro {shown(name, quoted=False)}"
    width, height = _length(size[1], where), _length(size[2], where)
    pins: dict[str, tuple[float, float]] = {}
    for _, pin, shapes in _groups(body, ("PIN",)):
        xs: list[float] = []
        ys: list[float] = []
        for shape in re.finditer(r"(?<!\S)(RECT|POLYGON)\s+(?:MASK\s+\d+\s+)?([-\d.\s]+);", shapes):
            numbers = [_number(part, f"{where}, pin {shown(pin, quoted=False)}") for part in shape[2].split()]
            if len(numbers) % 2:
                raise ValueError(f"{where}, pin {shown(pin, quoted=False)}: expected pairs of coordinates")
            xs += numbers[0::2]
            ys += numbers[1::2]
        if xs:
            pins[pin] = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
    return Macro(name=name, width_um=width, height_um=height, pins=pins)
