"""What a Liberty file says about power and delay, in fixed units and with every table the same way round.

`read_power_library` keeps what an energy needs and synthesis does not: state-dependent leakage, internal energy by pin,
related pin, state and edge, pin capacitances, non-linear delay tables, and how flip-flops, latches and clock gates
store. Units inside: ns, fF, V, fJ, nW. Source of the semantics: Liberty User Guides and Reference Manual Suite, version
2017.06, chapters "Modeling power and electromigration" and "Timing arcs".

What is settled here, once:

* The energy unit of ``internal_power`` is voltage unit squared times capacitance unit.
* Rows and columns of a table follow ``variable_1``/``variable_2`` of its template, which libraries order both ways.
* ``related_pin`` may name several pins; groups for several supply pins (``related_pg_pin``) add up.
* Energies may be negative (charge that a falling output returns): they are kept as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from flows.library.functions import Expression, parse_function, pins_of
from flows.library.liberty_file import LibraryError, liberty_ast

__all__ = ["LeakageState", "LibertyPin", "PowerArc", "PowerCell", "PowerLibrary", "Storage", "Table", "TimingArc",
           "read_power_library"]  # fmt: skip

Floats = npt.NDArray[np.float64]

_SLEW = {"input_transition_time", "input_net_transition", "related_pin_transition"}
_LOAD = {"total_output_net_capacitance"}
_PREFIX = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """A look-up table over input transition time and load.

    Attributes
    ----------
    slew_ns, load_ff : ndarray of float64, shape (s,) and (l,)
        Ascending; length 1 where the table does not depend on it.
    values : ndarray of float64, shape (s, l)
    """

    slew_ns: Floats
    load_ff: Floats
    values: Floats

    def at(self, slew_ns: npt.ArrayLike, load_ff: npt.ArrayLike) -> Floats:
        """Bilinear interpolation; outside the axes the border's slope continues, as timing tools do it."""
        i, u = _position(self.slew_ns, np.asarray(slew_ns, float))
        j, v = _position(self.load_ff, np.asarray(load_ff, float))
        k, m = np.minimum(i + 1, len(self.slew_ns) - 1), np.minimum(j + 1, len(self.load_ff) - 1)
        t = self.values
        return np.asarray((1 - u) * ((1 - v) * t[i, j] + v * t[i, m]) + u * ((1 - v) * t[k, j] + v * t[k, m]))


def _position(axis: Floats, x: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
    """Lower grid point and fraction of the way to the next one."""
    if len(axis) == 1:
        return np.zeros(x.shape, np.intp), np.zeros(x.shape)
    low = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return low, (x - axis[low]) / (axis[low + 1] - axis[low])


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerArc:
    """An ``internal_power`` group: energy in fJ of one transition of `pin`.

    Attributes
    ----------
    pin : str
    related : tuple of str
        Inputs that cause it; empty where the group names none.
    when : Expression or None
        State in which it holds.
    rise, fall : Table or None
        None counts as zero.
    """

    pin: str
    related: tuple[str, ...]
    when: Expression | None
    rise: Table | None
    fall: Table | None
    supply: str = ""
    """Supply pin; groups of several supply pins add up."""

    def energy(self, slew_ns: npt.ArrayLike, load_ff: npt.ArrayLike) -> Floats:
        """Mean of rise and fall in fJ: rises and falls of a net alternate, so this holds for any number of toggles."""
        shape = np.broadcast(np.asarray(slew_ns), np.asarray(load_ff)).shape
        total = np.zeros(shape)
        for table in (self.rise, self.fall):
            if table is not None:
                total = total + table.at(slew_ns, load_ff)
        return total / 2


@dataclass(frozen=True, kw_only=True, eq=False)
class TimingArc:
    """A delay arc from `related` to output `pin`; tables in ns.

    `sense` is ``positive_unate``, ``negative_unate`` or ``non_unate``; `kind` the ``timing_type`` (``combinational``,
    ``rising_edge``, ``falling_edge``, ``clear``, ``preset``, ...).
    """

    pin: str
    related: str
    sense: str
    kind: str
    when: Expression | None
    delay: tuple[Table | None, Table | None]
    """Of rise and fall."""
    transition: tuple[Table | None, Table | None]
    """Of rise and fall."""


@dataclass(frozen=True, kw_only=True)
class LeakageState:
    """A ``leakage_power`` group: nW in the states of `when`, or in all others where `when` is None."""

    when: Expression | None
    leakage_nw: float


@dataclass(frozen=True, kw_only=True)
class LibertyPin:
    """A signal pin: capacitance in fF as the mean of rise and fall, function of an output."""

    name: str
    direction: str
    capacitance_ff: float
    function: Expression | None
    clock: bool
    max_capacitance_ff: float | None


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How a sequential cell stores one bit.

    Attributes
    ----------
    kind : {"flip_flop", "latch"}
    state, inverse : str
        Names of the state and its complement in output functions.
    data, clock : Expression
        Flip-flop: next state, taken when `clock` rises. Latch: data, passed while `clock` is 1.
    clear, preset : Expression or None
    both : str
        State while clear and preset hold: ``0`` or ``1``.
    """

    kind: Literal["flip_flop", "latch"]
    state: str
    inverse: str
    data: Expression
    clock: Expression
    clear: Expression | None
    preset: Expression | None
    both: str = "0"


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerCell:
    """A cell with everything that simulation, delay and energy need. Pins in file order."""

    name: str
    area_um2: float
    pins: Mapping[str, LibertyPin]
    storage: Storage | None
    default_leakage_nw: float | None
    leakage: tuple[tuple[LeakageState, ...], ...]
    """Groups of states; each group belongs to one supply pin, and the groups add up."""
    power: tuple[PowerArc, ...]
    timing: tuple[TimingArc, ...]

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Input pins."""
        return tuple(pin.name for pin in self.pins.values() if pin.direction == "input")

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Output pins."""
        return tuple(pin.name for pin in self.pins.values() if pin.direction in ("output", "inout"))


@dataclass(frozen=True, kw_only=True, eq=False)
class PowerLibrary:
    """Cells of one or several Liberty files, read when first asked for.

    Attributes
    ----------
    files : tuple of Path
    voltage_v : float
        Nominal supply.
    max_transition_ns : float or None
    slew_thresholds : tuple of float
        Lower and upper threshold of transition times, as fractions.
    slew_derate : float
    """

    files: tuple[Path, ...]
    voltage_v: float
    max_transition_ns: float | None
    slew_thresholds: tuple[float, float]
    slew_derate: float
    _groups: Mapping[str, tuple[Any, _Scale]] = field(repr=False)
    _cells: dict[str, PowerCell] = field(default_factory=dict, repr=False)

    def __contains__(self, name: str) -> bool:
        return name in self._groups

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __getitem__(self, name: str) -> PowerCell:
        if name not in self._groups:
            raise LibraryError(f"no cell {name!r} in {', '.join(path.name for path in self.files)}")
        if name not in self._cells:
            self._cells[name] = _cell(*self._groups[name])
        return self._cells[name]

    def gaps(self, names: Sequence[str]) -> tuple[str, ...]:
        """What these cells lack for a power figure, in words; empty if nothing."""
        cells = [self[name] for name in names]
        active = [cell for cell in cells if cell.inputs and cell.outputs]
        found = []
        if bare := [cell.name for cell in active if not cell.power]:
            found.append(f"no internal power tables in {len(bare)} of {len(active)} cell types ({', '.join(bare[:4])})")
        if dark := [cell.name for cell in active if cell.default_leakage_nw is None and not cell.leakage]:
            found.append(f"no leakage in {len(dark)} of {len(active)} cell types ({', '.join(dark[:4])})")
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """Factors onto ns, fF, fJ, nW; templates; defaults of one file."""

    time: float
    capacitance: float
    energy: float
    leakage: float
    templates: Mapping[str, tuple[tuple[str, ...], tuple[Floats, ...]]]
    default_leakage: float | None
    default_input_ff: float
    path: Path


def read_power_library(files: Sequence[Path]) -> PowerLibrary:
    """Read Liberty files (plain or ``.gz``).

    Raises
    ------
    LibraryError
        A file is no Liberty file, has no supply voltage or an unknown unit; a cell stands in two files.
    """
    groups: dict[str, tuple[Any, _Scale]] = {}
    voltage: float | None = None
    transition: float | None = None
    thresholds, derate = (0.2, 0.8), 1.0
    for path in files:
        library = liberty_ast(path)
        scale = _scale(library, path)
        for node in library.children:
            if node.id == "cell":
                name = _text(node.args[0])
                if name in groups:
                    raise LibraryError(f"{path} describes cell {name} a second time")
                groups[name] = (node, scale)
        nominal = _number(library, "nom_voltage", None)
        voltage = (
            voltage if nominal is None else nominal * _unit(_attribute(library, "voltage_unit") or "1V", "V", path)
        )
        most = _number(library, "default_max_transition", None)
        transition = transition if most is None else most * scale.time
        low, high = (_number(library, f"slew_{side}_threshold_pct_rise", None) for side in ("lower", "upper"))
        if low is not None and high is not None:
            thresholds = (low / 100, high / 100)
        derate = _number(library, "slew_derate_from_library", None) or derate
    if voltage is None:
        raise LibraryError(f"{files[0] if files else 'a library'} states no nom_voltage")
    return PowerLibrary(
        files=tuple(files), voltage_v=voltage, max_transition_ns=transition, slew_thresholds=thresholds,
        slew_derate=derate, _groups=groups,
    )  # fmt: skip


def _text(value: Any) -> str:
    return str(value).strip().strip('"').strip()


def _attribute(group: Any, name: str) -> str | None:
    for child in group.children:
        if child.id == name and child.value:
            return _text(child.value)
    return None


def _number(group: Any, name: str, default: float | None) -> float | None:
    found = _attribute(group, name)
    return default if found is None else float(found)


def _unit(text: str, base: str, path: Path) -> float:
    """Factor of a unit such as ``1ns`` or ``100ps`` onto the SI base unit."""
    found = re.fullmatch(rf"([0-9.eE+-]*)\s*([fpnumk]?){base}", text, re.IGNORECASE)
    if found is None:
        raise LibraryError(f"{path}: unit {text!r} is not one of {base}")
    return float(found[1] or 1) * _PREFIX[found[2].lower()]


def _scale(library: Any, path: Path) -> _Scale:
    time = _unit(_attribute(library, "time_unit") or "1ns", "s", path)
    volt = _unit(_attribute(library, "voltage_unit") or "1V", "V", path)
    leakage = _unit(_attribute(library, "leakage_power_unit") or "1nW", "W", path)
    farad = 1e-12
    templates: dict[str, tuple[tuple[str, ...], tuple[Floats, ...]]] = {}
    for node in library.children:
        if node.id == "capacitive_load_unit":
            farad = float(_text(node.args[0])) * _unit(_text(node.args[1]), "F", path)
        elif node.id in ("lu_table_template", "power_lut_template"):
            axes, indices = [], []
            for number in (1, 2, 3):
                if (variable := _attribute(node, f"variable_{number}")) is not None:
                    axes.append(variable)
                    indices.append(_index(node, number))
            templates[_text(node.args[0])] = (tuple(axes), tuple(i for i in indices if i is not None))
    default = _number(library, "default_cell_leakage_power", None)
    return _Scale(
        time=time / 1e-9, capacitance=farad / 1e-15, energy=volt * volt * farad / 1e-15, leakage=leakage / 1e-9,
        templates=templates, default_leakage=None if default is None else default * leakage / 1e-9,
        default_input_ff=(_number(library, "default_input_pin_cap", 0.0) or 0.0) * farad / 1e-15, path=path,
    )  # fmt: skip


def _numbers(text: str) -> list[float]:
    return [float(part) for part in re.split(r"[\s,\\\"]+", text) if part]


def _index(group: Any, number: int) -> Floats | None:
    for child in group.children:
        if child.id == f"index_{number}":
            return np.array([x for arg in child.args for x in _numbers(str(arg))])
    return None


def _table(group: Any, scale: _Scale, unit: float) -> Table:
    """A table in any order of axes, as slew by load; further axes (a second output's load) at their first point."""
    template = _text(group.args[0]) if group.args else "scalar"
    values = next((c for c in group.children if c.id == "values"), None)
    if values is None:
        raise LibraryError(f"{scale.path}: a table {template!r} without values")
    data = np.array([x for arg in values.args for x in _numbers(str(arg))]) * unit
    one = np.zeros(1)
    if data.size == 1 and template not in scale.templates:
        return Table(slew_ns=one, load_ff=one, values=data.reshape(1, 1))
    if template not in scale.templates:
        raise LibraryError(f"{scale.path}: table template {template!r} is unknown")
    axes, defaults = scale.templates[template]
    indices = []
    for number in range(len(axes)):
        own = _index(group, number + 1)
        indices.append(defaults[number] if own is None else own)
    sizes = [len(index) for index in indices]
    if data.size != np.prod(sizes):
        raise LibraryError(f"{scale.path}: table {template!r} has {data.size} values, expected {sizes}")
    data = data.reshape(sizes)
    slew, load = one, one
    order: list[int] = []
    for axis, name in enumerate(axes):
        if name in _SLEW and not any(axes[k] in _SLEW for k in order):
            slew = indices[axis] * scale.time
        elif name in _LOAD:
            load = indices[axis] * scale.capacitance
        else:
            data = np.take(data, [0], axis=axis)
            continue
        order.append(axis)
    if len(order) == 2 and axes[order[0]] in _LOAD:
        data = np.swapaxes(data, *order)
    return Table(slew_ns=slew, load_ff=load, values=data.reshape(len(slew), len(load)))


def _condition(group: Any) -> Expression | None:
    text = _attribute(group, "when")
    return parse_function(text) if text else None


def _arcs(pin: Any, name: str, scale: _Scale) -> Iterator[PowerArc]:
    for group in pin.children:
        if group.id == "internal_power":
            tables: dict[str, Table] = {}
            for child in group.children:
                if child.id in ("rise_power", "fall_power", "power"):
                    tables[child.id] = _table(child, scale, scale.energy)
            both = tables.get("power")
            related = _attribute(group, "related_pin")
            yield PowerArc(
                pin=name, related=tuple(related.split()) if related else (), when=_condition(group),
                supply=_attribute(group, "related_pg_pin") or "",
                rise=tables.get("rise_power", both), fall=tables.get("fall_power", both),
            )  # fmt: skip


def _delays(pin: Any, name: str, scale: _Scale) -> Iterator[TimingArc]:
    for group in pin.children:
        related = _attribute(group, "related_pin") if group.id == "timing" else None
        if related is None:
            continue
        tables = {
            child.id: _table(child, scale, scale.time)
            for child in group.children
            if child.id in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
        }
        if not tables:
            continue  # a constraint
        for other in related.split():
            yield TimingArc(
                pin=name, related=other, sense=_attribute(group, "timing_sense") or "non_unate",
                kind=_attribute(group, "timing_type") or "combinational", when=_condition(group),
                delay=(tables.get("cell_rise"), tables.get("cell_fall")),
                transition=(tables.get("rise_transition"), tables.get("fall_transition")),
            )  # fmt: skip


def _storage(group: Any, name: str, functions: dict[str, Expression], clock_pins: Mapping[str, str]) -> Storage | None:
    for child in group.children:
        if child.id not in ("ff", "latch"):
            continue
        clock = _attribute(child, "clocked_on") or _attribute(child, "enable")
        data = _attribute(child, "next_state") or _attribute(child, "data_in")
        state, inverse = _text(child.args[0]), _text(child.args[1])
        if clock is None or data is None:
            raise LibraryError(f"cell {name}: group {child.id} lacks its clock or its data")
        clear, preset = _attribute(child, "clear"), _attribute(child, "preset")
        value = (_attribute(child, "clear_preset_var1") or "L").upper()
        return Storage(
            kind="flip_flop" if child.id == "ff" else "latch", state=state, inverse=inverse,
            data=parse_function(data), clock=parse_function(clock),
            clear=parse_function(clear) if clear else None, preset=parse_function(preset) if preset else None,
            both="1" if value == "H" else "0",
        )  # fmt: skip
    gate = _attribute(group, "clock_gating_integrated_cell")
    if gate is None:
        return None
    clock, enable, output = clock_pins.get("clock"), clock_pins.get("enable"), clock_pins.get("out")
    if clock is None or enable is None or output is None or not gate.startswith(("latch_posedge", "latch_negedge")):
        return None
    test = clock_pins.get("test")
    asked: Expression = enable if test is None else ("|", enable, test)
    positive = gate.startswith("latch_posedge")
    functions[output] = ("&", "IQ", clock) if positive else ("|", ("!", "IQ"), clock)
    return Storage(
        kind="latch", state="IQ", inverse="IQN", data=asked, clock=("!", clock) if positive else clock,
        clear=None, preset=None,
    )  # fmt: skip


def _cell(group: Any, scale: _Scale) -> PowerCell:
    name = _text(group.args[0])
    pins: dict[str, LibertyPin] = {}
    functions: dict[str, Expression] = {}
    power: list[PowerArc] = []
    timing: list[TimingArc] = []
    clock_pins: dict[str, str] = {}
    for node in group.children:
        if node.id in ("bus", "bundle"):
            raise LibraryError(f"{scale.path}: cell {name} has a {node.id}; flat pins are expected")
        if node.id != "pin":
            continue
        direction = _attribute(node, "direction") or "inout"
        if direction == "internal":
            continue
        for pin in (part for arg in node.args for part in _text(arg).replace(",", " ").split()):
            for role in ("clock", "enable", "test", "out"):
                if _attribute(node, f"clock_gate_{role}_pin") == "true":
                    clock_pins[role] = pin
            if text := _attribute(node, "function"):
                functions[pin] = parse_function(text)
            both = [_number(node, f"{edge}_capacitance", None) for edge in ("rise", "fall")]
            if any(value is None for value in both):
                one = _number(node, "capacitance", None)
                default = scale.default_input_ff / scale.capacitance if direction == "input" else 0.0
                both = [default if one is None else one] * 2
            most = _number(node, "max_capacitance", None)
            pins[pin] = LibertyPin(
                name=pin, direction=direction, capacitance_ff=sum(float(c or 0) for c in both) / 2 * scale.capacitance,
                function=None, clock=_attribute(node, "clock") == "true",
                max_capacitance_ff=None if most is None else most * scale.capacitance,
            )  # fmt: skip
            power += _arcs(node, pin, scale)
            timing += _delays(node, pin, scale)
    storage = _storage(group, name, functions, clock_pins)
    for pin, function in functions.items():
        pins[pin] = LibertyPin(**{**vars(pins[pin]), "function": function})
    whole = _number(group, "cell_leakage_power", None)
    states: dict[str, list[LeakageState]] = {}
    for node in group.children:
        if node.id == "leakage_power" and (value := _number(node, "value", None)) is not None:
            supply = _attribute(node, "related_pg_pin") or ""
            states.setdefault(supply, []).append(
                LeakageState(when=_condition(node), leakage_nw=value * scale.leakage)
            )  # fmt: skip
    area = _number(group, "area", 0.0)
    return PowerCell(
        name=name, area_um2=area or 0.0, pins=pins, storage=storage,
        default_leakage_nw=scale.default_leakage if whole is None else whole * scale.leakage,
        leakage=tuple(map(tuple, states.values())), power=tuple(power), timing=tuple(timing),
    )  # fmt: skip


def names_in(*expressions: Expression | None) -> set[str]:
    """All names in some parsed functions."""
    return {name for expression in expressions if expression is not None for name in pins_of(expression)}
