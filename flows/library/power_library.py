"""What a Liberty file says about power and delay, in fixed units and with every table the same way round.

`read_power_library` keeps what an energy needs and synthesis does not: state-dependent leakage, internal energy by pin,
related pin, state and edge, pin capacitances, non-linear delay tables, and how flip-flops, latches and clock gates
store. Units inside: ns, fF, V, fJ, nW. Source of the semantics: Liberty User Guides and Reference Manual Suite, version
2017.06, chapters "Modeling power and electromigration" and "Timing arcs".

What is settled here, once:

* Rows and columns of a table follow ``variable_1``/``variable_2`` of its template, which libraries order both ways.
* ``related_pin`` may name several pins; groups for several supply pins (``related_pg_pin``) add up.
* Energies may be negative (charge that a falling output returns): they are kept as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from flows.common.content_cache import file_sha256
from flows.library.cells import LibertyCell, Pin, cell_of_group, pin_names
from flows.library.functions import Expression, parse_function
from flows.library.liberty_file import Group, LibertyFile, LibraryError, read_liberty_file
from sim.messages import shown

__all__ = ["LeakageState", "PowerArc", "PowerCell", "PowerLibrary", "Storage", "Table", "TimingArc",
           "read_power_library"]  # fmt: skip

Floats = npt.NDArray[np.float64]

_SLEW = {"input_transition_time", "input_net_transition", "related_pin_transition"}
_LOAD = {"total_output_net_capacitance"}


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
class PowerCell(LibertyCell):
    """A cell with everything that simulation, delay and energy need."""

    storage: Storage | None
    default_leakage_nw: float | None
    leakage: tuple[tuple[LeakageState, ...], ...]
    """Groups of states; each group belongs to one supply pin, and the groups add up."""
    power: tuple[PowerArc, ...]
    timing: tuple[TimingArc, ...]


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
    _groups: Mapping[str, tuple[Group, _Tables]] = field(repr=False)
    _cells: dict[str, PowerCell] = field(default_factory=dict, repr=False)

    def __contains__(self, name: str) -> bool:
        return name in self._groups

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __getitem__(self, name: str) -> PowerCell:
        if name not in self._groups:
            raise LibraryError(f"no cell {name!r} in {', '.join(path.name for path in self.files)}")
        if name not in self._cells:
            group, tables = self._groups[name]
            try:
                self._cells[name] = _cell(group, tables)
            except LibraryError:
                raise
            except ValueError as error:
                where = f"{tables.file.path}: cell {shown(name, quoted=False)}"
                raise LibraryError(f"{where}: {shown(error, quoted=False)}") from None
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tables:
    """A Liberty file with the templates of its tables: axes and default points by name."""

    file: LibertyFile
    templates: Mapping[str, tuple[tuple[str, ...], tuple[Floats | None, ...]]]
    default_leakage_nw: float | None


def read_power_library(files: Sequence[Path]) -> PowerLibrary:
    """Read Liberty files (plain or ``.gz``).

    Raises
    ------
    LibraryError
        A file is no Liberty file, has no supply voltage or an unknown unit; a cell stands in two files.
    """
    return _read(tuple((path, file_sha256(path) if path.is_file() else "") for path in files))


# every step of a flow asks for the same library; reading its tables takes seconds
@lru_cache(maxsize=2)
def _read(known: tuple[tuple[Path, str], ...]) -> PowerLibrary:
    """A library by its files and their hashes."""
    files = [path for path, _ in known]
    groups: dict[str, tuple[Group, _Tables]] = {}
    voltage: float | None = None
    transition: float | None = None
    thresholds, derate = (0.2, 0.8), 1.0
    for path in files:
        file = read_liberty_file(path)
        library, units = file.library, file.units
        tables = _tables(file)
        for name, group in file.cells.items():
            if name in groups:
                raise LibraryError(f"{path} describes cell {shown(name, quoted=False)} a second time")
            groups[name] = (group, tables)
        nominal = library.number("nom_voltage")
        voltage = voltage if nominal is None else nominal * units.voltage_v
        most = library.number("default_max_transition")
        transition = transition if most is None else most * units.time_ns
        low, high = (library.number(f"slew_{side}_threshold_pct_rise") for side in ("lower", "upper"))
        if low is not None and high is not None:
            thresholds = (low / 100, high / 100)
        derate = library.number("slew_derate_from_library") or derate
    if voltage is None:
        raise LibraryError(f"{files[0] if files else 'a library'} states no nom_voltage")
    return PowerLibrary(
        files=tuple(files), voltage_v=voltage, max_transition_ns=transition, slew_thresholds=thresholds,
        slew_derate=derate, _groups=groups,
    )  # fmt: skip


def _tables(file: LibertyFile) -> _Tables:
    templates: dict[str, tuple[tuple[str, ...], tuple[Floats | None, ...]]] = {}
    for group in file.library.groups("lu_table_template", "power_lut_template"):
        axes, indices = [], []
        for number in (1, 2, 3):
            if (variable := group.text(f"variable_{number}")) is not None:
                axes.append(variable)
                indices.append(_index(group, number))
        templates[group.name] = (tuple(axes), tuple(indices))
    default = file.library.number("default_cell_leakage_power")
    return _Tables(
        file=file, templates=templates,
        default_leakage_nw=None if default is None else default * file.units.leakage_nw,
    )  # fmt: skip


def _index(group: Group, number: int) -> Floats | None:
    found = group.numbers(f"index_{number}")
    return None if found is None else np.array(found)


def _table(group: Group, tables: _Tables, unit: float) -> Table:
    """A table in any order of axes, as slew by load; further axes (a second output's load) at their first point."""
    path, units = tables.file.path, tables.file.units
    template = group.names[0] if group.names else "scalar"
    values = group.numbers("values")
    if values is None:
        raise LibraryError(f"{path}: a table {shown(template)} without values")
    data = np.array(values) * unit
    one = np.zeros(1)
    if data.size == 1 and template not in tables.templates:
        return Table(slew_ns=one, load_ff=one, values=data.reshape(1, 1))
    if template not in tables.templates:
        raise LibraryError(f"{path}: table template {shown(template)} is unknown")
    axes, defaults = tables.templates[template]
    indices = []
    for number in range(len(axes)):
        own = _index(group, number + 1)
        index = defaults[number] if own is None else own
        if index is None:
            raise LibraryError(f"{path}: table {shown(template)} has no index_{number + 1}, nor has its template")
        indices.append(index)
    sizes = [len(index) for index in indices]
    if data.size != np.prod(sizes):
        raise LibraryError(f"{path}: table {shown(template)} has {data.size} values, expected {sizes}")
    data = data.reshape(sizes)
    slew, load = one, one
    order: list[int] = []
    for axis, name in enumerate(axes):
        if name in _SLEW and not any(axes[k] in _SLEW for k in order):
            slew = indices[axis] * units.time_ns
        elif name in _LOAD:
            load = indices[axis] * units.capacitance_ff
        else:
            data = np.take(data, [0], axis=axis)
            continue
        order.append(axis)
    if len(order) == 2 and axes[order[0]] in _LOAD:
        data = np.swapaxes(data, *order)
    return Table(slew_ns=slew, load_ff=load, values=data.reshape(len(slew), len(load)))


def _condition(group: Group) -> Expression | None:
    text = group.text("when")
    return parse_function(text) if text else None


def _arcs(pin: Group, name: str, tables: _Tables) -> Iterator[PowerArc]:
    for group in pin.groups("internal_power"):
        energy = tables.file.units.energy_fj
        found = {
            child.kind: _table(child, tables, energy) for child in group.groups("rise_power", "fall_power", "power")
        }
        both = found.get("power")
        related = group.text("related_pin")
        yield PowerArc(
            pin=name, related=tuple(related.split()) if related else (), when=_condition(group),
            supply=group.text("related_pg_pin") or "",
            rise=found.get("rise_power", both), fall=found.get("fall_power", both),
        )  # fmt: skip


def _delays(pin: Group, name: str, tables: _Tables) -> Iterator[TimingArc]:
    for group in pin.groups("timing"):
        related = group.text("related_pin")
        if related is None:
            continue
        found = {
            child.kind: _table(child, tables, tables.file.units.time_ns)
            for child in group.groups("cell_rise", "cell_fall", "rise_transition", "fall_transition")
        }
        if not found:
            continue  # a constraint
        for other in related.split():
            yield TimingArc(
                pin=name, related=other, sense=group.text("timing_sense") or "non_unate",
                kind=group.text("timing_type") or "combinational", when=_condition(group),
                delay=(found.get("cell_rise"), found.get("cell_fall")),
                transition=(found.get("rise_transition"), found.get("fall_transition")),
            )  # fmt: skip


def _storage(group: Group) -> Storage | None:
    """What an ``ff`` or ``latch`` group says; None for other cells."""
    for child in group.groups("ff", "latch"):
        clock = child.text("clocked_on") or child.text("enable")
        data = child.text("next_state") or child.text("data_in")
        if clock is None or data is None or len(child.names) < 2:
            raise ValueError(f"group {child.kind} lacks its clock, its data or the names of its state")
        state, inverse = child.names[:2]
        clear, preset = child.text("clear"), child.text("preset")
        value = (child.text("clear_preset_var1") or "L").upper()
        return Storage(
            kind="flip_flop" if child.kind == "ff" else "latch", state=state, inverse=inverse,
            data=parse_function(data), clock=parse_function(clock),
            clear=parse_function(clear) if clear else None, preset=parse_function(preset) if preset else None,
            both="1" if value == "H" else "0",
        )  # fmt: skip
    return None


def _clock_gate(group: Group, pins: Iterable[Pin]) -> tuple[Storage, str, str] | None:
    """The latch of an integrated clock gate, its output pin and the function of that; None for other cells.

    Liberty names the kind of a clock gate and the role of its pins, and leaves its logic to the manual.
    """
    gate = group.text("clock_gating_integrated_cell")
    if gate is None or not gate.startswith(("latch_posedge", "latch_negedge")):
        return None
    roles = {pin.gate_role: pin.name for pin in pins if pin.gate_role is not None}
    if not {"clock", "enable", "out"} <= roles.keys():
        return None
    clock, enable = roles["clock"], roles["enable"]
    asked: Expression = ("|", enable, roles["test"]) if "test" in roles else enable
    positive = gate.startswith("latch_posedge")
    latch = Storage(
        kind="latch", state="IQ", inverse="IQN", data=asked, clock=("!", clock) if positive else clock,
        clear=None, preset=None,
    )  # fmt: skip
    return latch, roles["out"], f"IQ & {clock}" if positive else f"!IQ | {clock}"


def _cell(group: Group, tables: _Tables) -> PowerCell:
    cell = cell_of_group(group, tables.file)
    for bus in group.groups("bus", "bundle"):
        raise LibraryError(
            f"{tables.file.path}: cell {shown(cell.name, quoted=False)} has a {bus.kind}; flat pins are expected"
        )
    pins = dict(cell.pins)
    power: list[PowerArc] = []
    timing: list[TimingArc] = []
    for pin in group.groups("pin"):
        for name in pin_names(pin):
            if name in pins:  # no internal pin
                power += _arcs(pin, name, tables)
                timing += _delays(pin, name, tables)
    storage = _storage(group)
    if storage is None and (gate := _clock_gate(group, cell.pins.values())) is not None:
        storage, output, function = gate
        pins[output] = replace(pins[output], text=function)
    leakage_nw = tables.file.units.leakage_nw
    whole = group.number("cell_leakage_power")
    states: dict[str, list[LeakageState]] = {}
    for state in group.groups("leakage_power"):
        if (value := state.number("value")) is not None:
            supply = state.text("related_pg_pin") or ""
            states.setdefault(supply, []).append(LeakageState(when=_condition(state), leakage_nw=value * leakage_nw))
    return PowerCell(
        name=cell.name, area_um2=cell.area_um2, kind=cell.kind, dont_use=cell.dont_use, pins=pins, storage=storage,
        leakage=tuple(map(tuple, states.values())),
        default_leakage_nw=tables.default_leakage_nw if whole is None else whole * leakage_nw,
        power=tuple(power), timing=tuple(timing),
    )  # fmt: skip
