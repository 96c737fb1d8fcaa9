"""Cells of a Liberty file: pins with function and capacitance, area, kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from flows.library.functions import Expression, parse_function
from flows.library.liberty_file import Group, LibertyFile, LibraryError, read_liberty_file

__all__ = ["CellKind", "LibertyCell", "Pin", "cell_of_group", "read_liberty"]


CellKind = Literal["combinational", "flip_flop", "latch", "clock_gate", "tristate", "tie", "physical"]


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One signal pin of a cell.

    Attributes
    ----------
    name : str
        Pin name.
    direction : str
        ``input``, ``output`` or ``inout``.
    text : str or None
        Boolean function of an output, as Liberty writes it.
    capacitance_ff : float
        Mean of the capacitances that the file states for rise and fall, else its one capacitance, else its default for
        input pins, in femtofarad.
    stated_capacitance_ff : float or None
        The one capacitance that the file states, in femtofarad.
    max_capacitance_ff : float or None
        Largest load of an output, in femtofarad.
    clock : bool
        True on a clock pin.
    gate_role : str or None
        Of a clock gate: ``clock``, ``enable``, ``test`` or ``out``.
    """

    name: str
    direction: str
    text: str | None
    capacitance_ff: float
    stated_capacitance_ff: float | None
    max_capacitance_ff: float | None
    clock: bool
    gate_role: str | None = None

    @cached_property
    def function(self) -> Expression | None:
        """The function, parsed; of a cell that stores, in terms of its state."""
        return parse_function(self.text) if self.text else None


@dataclass(frozen=True, kw_only=True)
class LibertyCell:
    """One cell as its Liberty group describes it: area in square micrometres, kind, signal pins in file order."""

    name: str
    area_um2: float
    kind: CellKind
    dont_use: bool
    pins: Mapping[str, Pin]

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input pins."""
        return tuple(pin.name for pin in self.pins.values() if pin.direction == "input")

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the output pins, bidirectional ones too."""
        return tuple(pin.name for pin in self.pins.values() if pin.direction in ("output", "inout"))

    @cached_property
    def functions(self) -> dict[str, str]:
        """Boolean function by output pin name, as Liberty writes it."""
        return {pin.name: pin.text for pin in self.pins.values() if pin.direction == "output" and pin.text is not None}


def cell_of_group(group: Group, file: LibertyFile) -> LibertyCell:
    """The cell that a Liberty group describes; buses are left out, an area that is not stated is 0."""
    pins: dict[str, Pin] = {}
    for pin in group.groups("pin"):
        if (pin.text("direction") or "inout") == "internal":
            continue
        for name in pin_names(pin):
            pins[name] = _pin(name, pin, file)
    return LibertyCell(
        name=group.name, area_um2=group.number("area") or 0.0, kind=_kind(group, pins),
        dont_use=group.text("dont_use") == "true", pins=pins,
    )  # fmt: skip


def pin_names(group: Group) -> tuple[str, ...]:
    """Pins that a pin group describes; it may name several."""
    return tuple(name for names in group.names for name in names.replace(",", " ").split())


def _pin(name: str, group: Group, file: LibertyFile) -> Pin:
    direction = group.text("direction") or "inout"
    stated, most = group.number("capacitance"), group.number("max_capacitance")
    rise, fall = group.number("rise_capacitance"), group.number("fall_capacitance")
    if rise is None or fall is None:
        default = file.library.number("default_input_pin_cap") or 0.0 if direction == "input" else 0.0
        rise = fall = default if stated is None else stated
    unit = file.units.capacitance_ff
    roles = (role for role in ("clock", "enable", "test", "out") if group.text(f"clock_gate_{role}_pin") == "true")
    return Pin(
        name=name, direction=direction, text=group.text("function"), capacitance_ff=(rise + fall) / 2 * unit,
        stated_capacitance_ff=None if stated is None else stated * unit,
        max_capacitance_ff=None if most is None else most * unit, clock=group.text("clock") == "true",
        gate_role=next(roles, None),
    )  # fmt: skip


def _kind(group: Group, pins: Mapping[str, Pin]) -> CellKind:
    inside = group.kinds
    if "clock_gating_integrated_cell" in inside:
        return "clock_gate"
    if inside & {"ff", "ff_bank"}:
        return "flip_flop"
    if inside & {"latch", "latch_bank", "statetable"}:
        return "latch"
    if any(pin.text("three_state") is not None for pin in group.groups("pin")):
        return "tristate"
    directions = {pin.direction for pin in pins.values()}
    if "output" not in directions:
        return "physical"
    return "combinational" if "input" in directions else "tie"


def read_liberty(path: Path) -> tuple[dict[str, LibertyCell], dict[str, float]]:
    """Cells and nominal operating point of a Liberty file.

    Parameters
    ----------
    path : Path
        Liberty file, plain or ``.gz``.

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
    file = read_liberty_file(path)
    nominal: dict[str, float] = {}
    if (voltage := file.library.number("nom_voltage")) is not None:
        nominal["voltage_v"] = voltage * file.units.voltage_v
    if (temperature := file.library.number("nom_temperature")) is not None:
        nominal["temperature_c"] = temperature
    for name, group in file.cells.items():
        if group.text("area") is None:
            raise LibraryError(f"cell {name} in {path} has no area")
    if not file.cells:
        raise LibraryError(f"{path} holds no cells")
    return {name: cell_of_group(group, file) for name, group in file.cells.items()}, nominal
