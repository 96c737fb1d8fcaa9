"""Reading a Liberty file: cells, pins, areas and kinds."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flows.common.content_cache import cache_directory
from flows.common.errors import FlowError
from sim.files import replacing

__all__ = ["LibertyCell", "LibraryError", "LibraryMissingError", "Pin", "read_liberty"]


CellKind = Literal["combinational", "flip_flop", "latch", "clock_gate", "tristate", "tie", "physical"]


class LibraryError(FlowError):
    """A cell library could not be fetched, is corrupt, or lacks a needed cell. The message says what to do."""


class LibraryMissingError(LibraryError):
    """A cell library is not on this machine and could not be fetched."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One signal pin of a cell.

    Attributes
    ----------
    name : str
        Pin name.
    direction : str
        ``input``, ``output``, ``inout`` or ``internal``.
    function : str or None
        Liberty Boolean function of an output pin.
    capacitance_ff : float or None
        Input capacitance in femtofarad.
    clock : bool
        True on a clock pin.
    """

    name: str
    direction: str
    function: str | None
    capacitance_ff: float | None
    clock: bool


@dataclass(frozen=True, kw_only=True)
class LibertyCell:
    """One cell as its Liberty group describes it: area in square micrometres, kind, signal pins."""

    name: str
    area_um2: float
    kind: CellKind
    dont_use: bool
    pins: tuple[Pin, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input pins."""
        return tuple(pin.name for pin in self.pins if pin.direction == "input")

    @property
    def functions(self) -> dict[str, str]:
        """Boolean function by output pin name."""
        return {pin.name: pin.function for pin in self.pins if pin.direction == "output" and pin.function is not None}


# --- Liberty files --------------------------------------------------------------------------------------------------


def _value(group: Any, attribute: str) -> str | None:
    for child in group.children:
        if child.id == attribute and child.value:
            return str(child.value).strip().strip('"')
    return None


def unpacked(path: Path) -> Path:
    """The file itself, or what a ``.gz`` file holds, unpacked once into `cache_directory` under the hash of its bytes.

    Raises
    ------
    LibraryError
        The file is no gzip file.
    """
    if path.suffix != ".gz":
        return path
    folder = cache_directory() / "unpacked" / file_sha256(path)[:24]
    target = folder / path.stem
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with gzip.open(path, "rb") as packed, replacing(target, "wb") as plain:
                shutil.copyfileobj(packed, plain)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise LibraryError(f"{path} is no gzip file: {error}") from error
    return target


def liberty_ast(path: Path) -> Any:
    """Syntax tree of a Liberty file (``.gz`` too), from libparse: nodes with `id`, `args`, `value`, `children`.

    Raises
    ------
    LibraryError
        The file is no Liberty file.
    """
    from libparse import LibertyParser

    try:
        with unpacked(path).open() as file:
            ast = LibertyParser(file).ast
    except OSError:
        raise
    except Exception as error:
        raise LibraryError(f"{path} is no Liberty file that libparse can read: {error}") from error
    if ast is None or ast.id != "library":
        raise LibraryError(f"{path} is no Liberty file: it holds no library group")
    return ast


def _kind(group: Any, pins: Sequence[Pin]) -> CellKind:
    groups = {child.id for child in group.children}
    if "clock_gating_integrated_cell" in groups:
        return "clock_gate"
    if "ff" in groups or "ff_bank" in groups:
        return "flip_flop"
    if "latch" in groups or "latch_bank" in groups or "statetable" in groups:
        return "latch"
    if any(child.id == "pin" and _value(child, "three_state") is not None for child in group.children):
        return "tristate"
    outputs = [pin for pin in pins if pin.direction == "output"]
    if not outputs:
        return "physical"
    if not any(pin.direction == "input" for pin in pins):
        return "tie"
    return "combinational"


def read_liberty(path: Path) -> tuple[dict[str, LibertyCell], dict[str, float]]:
    """Cells and nominal operating point of a Liberty file, read with libparse (yosys' Liberty parser).

    Parameters
    ----------
    path : Path
        Liberty file, plain text.

    Returns
    -------
    cells : dict of str to LibertyCell
        All cells in file order.
    nominal : dict of str to float
        ``voltage_v`` and ``temperature_c`` where the file gives them.

    Raises
    ------
    LibraryError
        The file is no Liberty file, or a cell has no area.
    """
    ast = liberty_ast(path)
    to_ff = 1.0
    nominal: dict[str, float] = {}
    for child in ast.children:
        if child.id == "capacitive_load_unit" and len(child.args) == 2:
            to_ff = float(child.args[0]) * {"ff": 1.0, "pf": 1000.0}[child.args[1].strip().strip('"').lower()]
        elif child.id == "nom_voltage":
            nominal["voltage_v"] = float(child.value)
        elif child.id == "nom_temperature":
            nominal["temperature_c"] = float(child.value)
    cells: dict[str, LibertyCell] = {}
    for group in ast.children:
        if group.id != "cell":
            continue
        name = group.args[0].strip('"')
        area = _value(group, "area")
        if area is None:
            raise LibraryError(f"cell {name} in {path} has no area")
        pins = []
        for child in group.children:
            if child.id != "pin":
                continue
            capacitance = _value(child, "capacitance")
            pins.append(
                Pin(
                    name=child.args[0].strip('"'),
                    direction=_value(child, "direction") or "inout",
                    function=_value(child, "function"),
                    capacitance_ff=None if capacitance is None else float(capacitance) * to_ff,
                    clock=_value(child, "clock") == "true",
                )
            )
        cells[name] = LibertyCell(
            name=name,
            area_um2=float(area),
            kind=_kind(group, pins),
            dont_use=_value(group, "dont_use") == "true",
            pins=tuple(pins),
        )
    if not cells:
        raise LibraryError(f"{path} holds no cells")
    return cells, nominal


def file_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
