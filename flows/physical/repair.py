"""Repair of drivers after placement: cells of the size that their nets ask for, buffers where no size is enough.

Synthesis sees one module at a time and no wires; what leaves a small gate for thirty loads across the core is slow
there. `plan` finds the nets that are more than their driver may drive, `Repair.apply` gives the netlist with
larger cells and buffers, `flows.physical.place.legalise` makes room for them. Nets are judged by the library's own
limits (``max_capacitance`` and ``max_transition``, Liberty User Guide 2017.06), not by paths: timing is OpenSTA's
afterwards. The transition time is that at the pins after the wire, whose resistance adds to what the driver makes
(`flows.netlist.delays.propagate`).

After clock gates cells only change their size, since buffers there belong to the clock's tree. What ports drive, clock
and reset above all, is left alone. Nets of over `flows.netlist.delays.MAX_PINS` pins, which placement ignores, become
trees.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.common.stored import read_json
from flows.library.liberty_file import LibraryError
from flows.library.library import CellLibrary
from flows.library.power_library import PowerCell, PowerLibrary
from flows.netlist.delays import MAX_PINS, elmore_ns, net_loads, wire_transition_ns
from flows.netlist.gate_simulation import topological_levels
from flows.netlist.netlist import CellGroup, Instance, Lot, Netlist, Port, join_lots
from flows.physical.place import Placement, wire_factor
from sim.files import replacing
from sim.messages import shown

__all__ = ["Buffer", "Repair", "drive_limits", "largest_loads", "load_repairs", "overloaded", "plan", "repaired",
           "save_repairs"]  # fmt: skip

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]

_MARGIN = 2.0
"""Groups of sinks that get a buffer of their own take this part of what the largest one may drive: it stays fast."""
_LEVELS = 12
"""Buffers on the way to a sink, at most."""
_WAY = (0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Shares of the way to the driver at which a buffer for a far sink may stand, the best first."""


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """A buffer that was not there: its type, the nets at input and output, and where it stands.

    `stage` is the index into `Netlist.stages` of what it belongs to: that of the driver.
    """

    type: str
    stage: int
    source: int
    target: int
    x_um: float
    y_um: float


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Changes to one netlist; what it computes stays the same.

    Attributes
    ----------
    cells, nets : int
        Of the netlist that it belongs to.
    resized : tuple of (cell, type)
    buffers : tuple of Buffer
        Ascending by stage: their cells are numbered from `cells`, in this order.
    moved_pins : tuple of (cell, pin, net)
        Inputs that a buffer drives from now on.
    moved_ports : tuple of (port, bit, net)
        Output ports that do.
    left : int
        Nets that stay above the limit.
    """

    cells: int
    nets: int
    resized: tuple[tuple[int, str], ...] = ()
    buffers: tuple[Buffer, ...] = ()
    moved_pins: tuple[tuple[int, str, int], ...] = ()
    moved_ports: tuple[tuple[str, int, int], ...] = ()
    left: int = 0

    def apply(self, netlist: Netlist, library: PowerLibrary) -> Netlist:
        """The netlist with the changes: numbers of cells and nets stay, those of buffers come after them.

        Raises
        ------
        ValueError
            The changes belong to another netlist.
        """
        if (netlist.cells, netlist.nets) != (self.cells, self.nets):
            raise ValueError(
                f"a repair of {self.cells} cells and {self.nets} nets is none of {netlist.top} with {netlist.cells} "
                f"and {netlist.nets}"
            )
        rows: dict[str, list[Lot]] = {}
        moved = {(cell, pin): net for cell, pin, net in self.moved_pins}
        touched = {cell for cell, _ in moved}
        new_type = np.zeros(netlist.cells, np.int32)
        types = ["", *dict.fromkeys(kind for _, kind in self.resized)]
        for cell, kind in self.resized:
            new_type[cell] = types.index(kind)
        for group in netlist.groups.values():
            nets = group.nets.copy()
            for row in np.flatnonzero(np.isin(group.cells, np.fromiter(touched, np.int64, len(touched)))):
                for column, pin in enumerate(group.pins):
                    nets[row, column] = moved.get((int(group.cells[row]), pin), nets[row, column])
            kinds = new_type[group.cells]
            for kind in np.unique(kinds):
                mine = kinds == kind
                rows.setdefault(types[kind] or group.type, []).append((group.pins, group.cells[mine], nets[mine]))
        for number, buffer in enumerate(self.buffers):
            pins = library[buffer.type]
            rows.setdefault(buffer.type, []).append(
                ((pins.inputs[0], pins.outputs[0]), np.array([netlist.cells + number], np.int32),
                 np.array([[buffer.source, buffer.target]], np.int32))
            )  # fmt: skip
        ports = dict(netlist.ports)
        for name in {name for name, _, _ in self.moved_ports}:
            bits = ports[name].nets.copy()
            for other, bit, net in self.moved_ports:
                if other == name:
                    bits[bit] = net
            ports[name] = Port(name=name, direction=ports[name].direction, nets=bits)
        joined = {kind: join_lots(lots) for kind, lots in rows.items()}
        groups = {kind: CellGroup(type=kind, pins=p, cells=c, nets=n) for kind, (p, c, n) in joined.items()}
        return replace(
            netlist, groups=groups, ports=ports,
            instances=(*netlist.instances, *self._instances(netlist)), cells=netlist.cells + len(self.buffers),
            nets=netlist.nets + len(self.buffers),
        )  # fmt: skip

    def _instances(self, netlist: Netlist) -> tuple[Instance, ...]:
        """One for the buffers of each stage."""
        found = []
        stages = np.array([buffer.stage for buffer in self.buffers], np.int32)
        for stage in np.unique(stages):
            mine = np.flatnonzero(stages == stage)
            name = netlist.stages[stage]
            names = {f"repaired_{k}": np.array([self.buffers[k].target], np.int32) for k in mine}
            found.append(
                Instance(
                    path=() if name == netlist.top else (name, "repair"), module="repair",
                    first_cell=netlist.cells + int(mine[0]), cell_names=tuple(f"buffer_{k}" for k in mine), names=names,
                )
            )  # fmt: skip
        return tuple(found)

    def starts(self, placement: Placement) -> tuple[Floats, Floats]:
        """Where `flows.physical.place.legalise` begins: cells where they are, buffers where they are wanted."""
        x, y = ([getattr(buffer, axis) for buffer in self.buffers] for axis in ("x_um", "y_um"))
        return np.concatenate([placement.x_um, x]), np.concatenate([placement.y_um, y])


def save_repairs(path: Path, repairs: Sequence[Repair]) -> None:
    """Write rounds of repair, first to last, as JSON."""
    with replacing(path) as file:
        file.write(json.dumps([asdict(repair) for repair in repairs]) + "\n")


def load_repairs(path: Path) -> tuple[Repair, ...]:
    """Read what `save_repairs` wrote; ValueError names a file that is something else."""
    content = read_json(path)
    try:
        return tuple(
            Repair(
                cells=row["cells"], nets=row["nets"], left=row["left"],
                resized=tuple((int(cell), str(kind)) for cell, kind in row["resized"]),
                buffers=tuple(Buffer(**buffer) for buffer in row["buffers"]),
                moved_pins=tuple((int(cell), str(pin), int(net)) for cell, pin, net in row["moved_pins"]),
                moved_ports=tuple((str(port), int(bit), int(net)) for port, bit, net in row["moved_ports"]),
            )
            for row in content
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: expected rounds of repair: {shown(error, quoted=False)}") from None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Drive:
    """What one output of a cell may drive.

    Attributes
    ----------
    most_ff : float
        Its ``max_capacitance``; infinite where the library states none.
    load_ff, transition_ns : ndarray
        Longest transition time that it makes of loads, ascending both, for an input transition of half of the
        library's ``max_transition``; no times where the library states none. The last load, without a time, is
        infinite.
    """

    most_ff: float
    load_ff: Floats
    transition_ns: Floats

    def limits(self, transition_ns: npt.ArrayLike) -> Floats:
        """Largest loads in fF for which its transition time stays within others."""
        first = np.searchsorted(self.transition_ns, transition_ns, side="right")
        return np.asarray(np.minimum(self.most_ff, self.load_ff[first]))


def _drive(cell: PowerCell, pin: str, max_transition_ns: float | None) -> _Drive:
    most = cell.pins[pin].max_capacitance_ff
    tables = [table for arc in cell.timing if arc.pin == pin for table in arc.transition if table is not None]
    load = slowest = np.zeros(0)
    if max_transition_ns is not None and tables:
        load = np.linspace(0, 2 * max(float(table.load_ff[-1]) for table in tables), 201)
        slew = np.full(load.shape, max_transition_ns / 2)
        slowest = np.maximum.accumulate(np.max([table.at(slew, load) for table in tables], axis=0))
    most = np.inf if most is None else most
    return _Drive(most_ff=most, load_ff=np.append(load, np.inf), transition_ns=slowest)


def drive_limits(cell: PowerCell, max_transition_ns: float | None) -> dict[str, float]:
    """Largest load in fF that each output may have without a wire: its ``max_capacitance``, and where its transition
    time reaches the library's ``max_transition`` for an input transition of half of that.

    Infinite where the library states neither.
    """
    most = np.inf if max_transition_ns is None else max_transition_ns
    return {pin: float(_drive(cell, pin, max_transition_ns).limits(most)) for pin in cell.outputs}


def largest_loads(cell: PowerCell, pin: str, max_transition_ns: float | None, wire_ns: npt.ArrayLike) -> Floats:
    """Largest loads in fF that an output may have before wires that make transition times of their own, in ns."""
    return _drive(cell, pin, max_transition_ns).limits(_left_ns(max_transition_ns, wire_ns))


def _left_ns(max_transition_ns: float | None, wire_ns: npt.ArrayLike) -> Floats:
    """Transition time that a driver may make before a wire that adds its own, as squares; -1 where none is left."""
    if max_transition_ns is None:
        return np.full(np.shape(wire_ns), np.inf)
    square = max_transition_ns**2 - np.square(wire_ns)
    return np.where(square > 0, np.sqrt(np.maximum(square, 0)), -1.0)


def _family(cell: PowerCell) -> tuple[Any, ...]:
    """What cells of different size have in common: pins, functions, storage."""
    return (
        tuple(sorted(cell.inputs)), tuple(sorted((pin, repr(cell.pins[pin].function)) for pin in cell.outputs)),
        repr(cell.storage),
    )  # fmt: skip


@dataclass(frozen=True)
class _Piece:
    """A net as its driver sees it: load in fF, and the transition time in ns that its wire makes."""

    load_ff: float
    wire_ns: float


class _Sizes:
    """Limits, families and buffers of a library, read when first asked for."""

    def __init__(self, cells: CellLibrary, library: PowerLibrary) -> None:
        self.library = library
        usable = [name for name in cells.cells if name not in cells.dont_use and name in library]
        self._by_family: dict[tuple[Any, ...], list[str]] = {}
        for name in sorted(usable, key=lambda name: (library[name].area_um2, name)):
            if library[name].outputs:
                self._by_family.setdefault(_family(library[name]), []).append(name)
        self._drives: dict[tuple[str, str], _Drive] = {}
        self.buffers = self._by_family[_family(library[cells.buffer[0]])]
        self.buffer_pins = cells.buffer[1], cells.buffer[2]
        if not np.isfinite(self.limit(cells.buffer[0], cells.buffer[2])):
            raise LibraryError(f"library {cells.name} states no largest load of its cells: nothing to repair by")

    def limit(self, kind: str, pin: str, wire_ns: float = 0.0) -> float:
        """Largest load of an output in fF, before a wire that makes a transition time of its own."""
        if (kind, pin) not in self._drives:
            self._drives[kind, pin] = _drive(self.library[kind], pin, self.library.max_transition_ns)
        return float(self._drives[kind, pin].limits(_left_ns(self.library.max_transition_ns, wire_ns)))

    def smallest(self, kinds: Sequence[str], pin: str, piece: _Piece) -> str | None:
        """The smallest of some types that may drive a net."""
        return next((kind for kind in kinds if self.limit(kind, pin, piece.wire_ns) >= piece.load_ff), None)

    def buffer(self, piece: _Piece) -> str | None:
        """The smallest buffer that may drive a net."""
        return self.smallest(self.buffers, self.buffer_pins[1], piece)

    def family(self, kind: str) -> Sequence[str]:
        """Types that may take the place of one, by area."""
        return self._by_family.get(_family(self.library[kind]), [kind])

    def area(self, kind: str) -> float:
        """In square micrometres."""
        return self.library[kind].area_um2

    def input_ff(self, kind: str) -> float:
        """Input capacitance of a buffer."""
        return self.library[kind].pins[self.buffer_pins[0]].capacitance_ff


def _drivers(netlist: Netlist, library: PowerLibrary) -> tuple[Ids, list[tuple[int, str]]]:
    """Index of each net's driver among (cell, output pin); -1 for ports."""
    driver = np.full(netlist.nets, -1, np.int32)
    found: list[tuple[int, str]] = []
    for group in netlist.groups.values():
        for pin in library[group.type].outputs:
            nets = group.pin(pin)
            have = np.flatnonzero(nets >= 0)
            driver[nets[have]] = np.arange(len(found), len(found) + len(have))
            found += [(int(cell), pin) for cell in group.cells[have]]
    return driver, found


def _gated_clocks(netlist: Netlist, cells: CellLibrary) -> npt.NDArray[np.bool_]:
    """Nets after clock gates, through whatever has one input."""
    found = np.zeros(netlist.nets, np.bool_)
    simple = []
    for group in netlist.groups.values():
        kind = cells.cells[group.type]
        outputs = [pin.name for pin in kind.pins.values() if pin.direction == "output"]
        if kind.kind == "clock_gate":
            for pin in outputs:
                found[group.pin(pin)[group.pin(pin) >= 0]] = True
        elif len(kind.inputs) == 1 and len(outputs) == 1:
            simple.append((group.pin(kind.inputs[0]), group.pin(outputs[0])))
    while True:
        before = int(found.sum())
        for source, target in simple:
            found[target[(source >= 0) & (target >= 0) & found[source]]] = True
        if int(found.sum()) == before:
            return found


def overloaded(
    netlist: Netlist,
    library: PowerLibrary,
    placement: Placement,
    *,
    ff_per_um: float,
    ohm_per_um: float = 0.0,
    port_load_ff: float = 0.0,
) -> int:
    """How many nets ask for more than their driving cell may drive; those of a port have none."""
    wire_ff = placement.wire_ff(ff_per_um)
    load = net_loads(netlist, library, wire_ff=wire_ff, port_load_ff=port_load_ff)
    wire_ns = wire_transition_ns(library, elmore_ns(load, wire_ff, placement.wire_ohm(ohm_per_um)))
    limit = np.full(netlist.nets, np.inf)
    for group in netlist.groups.values():
        cell = library[group.type]
        for pin in cell.outputs:
            nets = group.pin(pin)[group.pin(pin) >= 0]
            limit[nets] = largest_loads(cell, pin, library.max_transition_ns, wire_ns[nets])
    return int((load > limit).sum())


@dataclass(frozen=True, kw_only=True)
class _Sink:
    """What a net drives: the input of a cell, of a buffer that is planned, or an output port."""

    at: tuple[Any, ...]
    load_ff: float
    x_um: float
    y_um: float


class _Planner:
    """One round of repair."""

    def __init__(
        self, netlist: Netlist, library: PowerLibrary, cells: CellLibrary, placement: Placement, *, ff_per_um: float,
        ohm_per_um: float, port_load_ff: float,
    ) -> None:  # fmt: skip
        self.netlist, self.library, self.placement = netlist, library, placement
        self.ff_per_um, self.ohm_per_um, self.port_load_ff = ff_per_um, ohm_per_um, port_load_ff
        self.sizes = _Sizes(cells, library)
        self.driver, self.outputs = _drivers(netlist, library)
        self.gated = _gated_clocks(netlist, cells)
        self.wire_ff, self.wire_ohm = placement.wire_ff(ff_per_um), placement.wire_ohm(ohm_per_um)
        self.load = net_loads(netlist, library, wire_ff=self.wire_ff, port_load_ff=port_load_ff)
        self.per_elmore = float(wire_transition_ns(library, 1.0))
        self.type: list[str] = [""] * netlist.cells
        self.inputs: list[list[tuple[str, int]]] = [[] for _ in range(netlist.cells)]
        for group in netlist.groups.values():
            pins = [(pin, group.pin(pin).tolist()) for pin in library[group.type].inputs]
            for row, cell in enumerate(group.cells.tolist()):
                self.type[cell] = group.type
                self.inputs[cell] = [(pin, nets[row]) for pin, nets in pins if nets[row] >= 0]
        self.resized: dict[int, str] = {}
        self.buffers: list[Buffer] = []
        self.moved_pins: dict[tuple[int, str], int] = {}
        self.moved_ports: dict[tuple[str, int], int] = {}
        self.left = 0

    def run(self) -> Repair:
        """From the outputs to the inputs, so that what a larger cell asks of its drivers is seen."""
        level = topological_levels(self.netlist, self.library)
        cell_of = np.array([cell for cell, _ in self.outputs] or [0])
        driven = np.flatnonzero(self.driver >= 0)
        order = driven[np.argsort(-level[cell_of[self.driver[driven]]], kind="stable")]
        for net in order.tolist():
            cell, pin = self.outputs[self.driver[net]]
            piece = self._net(net)
            if piece.load_ff > self.sizes.limit(self.type[cell], pin, piece.wire_ns):
                self._mend(net, cell, pin, piece)
        return self._result()

    def _net(self, net: int) -> _Piece:
        """A net as it is, with the cells that have been made larger."""
        load = float(self.load[net])
        return self._with_wire(load, float(self.wire_ff[net]), float(self.wire_ohm[net]))

    def _with_wire(self, load_ff: float, wire_ff: float, wire_ohm: float) -> _Piece:
        return _Piece(load_ff, self.per_elmore * 1e-6 * wire_ohm * (load_ff - wire_ff / 2))

    def _mend(self, net: int, cell: int, pin: str, piece: _Piece) -> None:
        sizes = self.sizes
        larger = sizes.smallest(sizes.family(self.type[cell]), pin, piece)
        if self.gated[net]:
            if larger is None:
                self.left += 1
                larger = sizes.family(self.type[cell])[-1]
            self._resize(cell, larger)
            return
        buffer = sizes.buffer(piece)
        if (larger is None and buffer is None) or self.placement.pins[net] > MAX_PINS:
            self._split(net, cell, pin)
            return
        cost = np.inf if larger is None else sizes.area(larger) - sizes.area(self.type[cell])
        if buffer is None or cost <= sizes.area(buffer):
            assert larger is not None
            self._resize(cell, larger)
            return
        self._beside(net, cell, pin, self._sinks(net), buffer)

    def _beside(self, net: int, cell: int, pin: str, sinks: Sequence[_Sink], kind: str) -> None:
        """All sinks after one buffer next to the driver."""
        self._insert(net, cell, sinks, kind, self._centre(cell))
        self._drive(cell, pin, _Piece(self.sizes.input_ff(kind), 0.0))

    def _split(self, net: int, cell: int, pin: str) -> None:
        """More than any cell can drive: sinks in groups by place with a buffer for each, these again in groups, until
        the driver, or a buffer next to it, can drive what is left."""
        sizes, start = self.sizes, self._centre(cell)
        ends = self._sinks(net)
        for _ in range(_LEVELS):
            ends = self._heads(net, cell, ends, start)
            piece = self._piece(ends, start)
            if sizes.smallest(sizes.family(self.type[cell]), pin, piece) is not None:
                break
            if (buffer := sizes.buffer(piece)) is not None:
                self._beside(net, cell, pin, ends, buffer)
                return
        self._drive(cell, pin, piece)

    def _heads(self, net: int, cell: int, sinks: Sequence[_Sink], start: tuple[float, float]) -> list[_Sink]:
        """What is left for a net's driver once buffers drive groups of its sinks; those alone in reach stay as they
        are. Where no two go together, what is out of reach gets a buffer on the way."""
        groups = self._groups(sinks)
        alone = all(len(group) == 1 for group in groups)
        heads: list[_Sink] = []
        for group in groups:
            if len(group) == 1 and not (alone and not self._reached(group, start)):
                heads += group
                continue
            x, y = self._nearest(group, start)
            kind = self.sizes.buffer(self._piece(group, (x, y))) or self.sizes.buffers[-1]
            number = self._insert(net, cell, group, kind, (x, y))
            heads.append(_Sink(at=("buffer", number), load_ff=self.sizes.input_ff(kind), x_um=x, y_um=y))
        return heads

    def _groups(self, sinks: Sequence[_Sink]) -> list[list[_Sink]]:
        """Sinks by place, each group within what the largest buffer may drive, with a margin."""
        groups, open_ = [], [list(sinks)]
        while open_:
            group = open_.pop()
            if len(group) == 1 or self._reached(group, None):
                groups.append(group)
                continue
            axis = "x_um" if _span(group, "x_um") >= _span(group, "y_um") else "y_um"
            ordered = sorted(group, key=lambda sink: getattr(sink, axis))
            open_ += [ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]]
        return groups

    def _reached(self, sinks: Sequence[_Sink], start: tuple[float, float] | None) -> bool:
        """Whether the largest buffer drives these with half of its limits."""
        piece = self._piece(sinks, start)
        limit = self.sizes.limit(self.sizes.buffers[-1], self.sizes.buffer_pins[1], _MARGIN * piece.wire_ns)
        return _MARGIN * piece.load_ff <= limit

    def _nearest(self, group: Sequence[_Sink], start: tuple[float, float]) -> tuple[float, float]:
        """Where the buffer of a group stands: at the point of its box that is nearest to the driver, a single sink's as
        far on the way to the driver as it reaches."""
        x, y = (
            float(np.clip(value, min(getattr(s, axis) for s in group), max(getattr(s, axis) for s in group)))
            for value, axis in zip(start, ("x_um", "y_um"), strict=True)
        )
        if len(group) > 1:
            return x, y
        ways = ((x + share * (start[0] - x), y + share * (start[1] - y)) for share in _WAY)
        return next((place for place in ways if self._reached(group, place)), (x, y))

    def _drive(self, cell: int, pin: str, piece: _Piece) -> None:
        """Size of a driver whose sinks are buffers now; what is left is for the next round."""
        family = self.sizes.family(self.type[cell])
        if piece.load_ff > self.sizes.limit(self.type[cell], pin, piece.wire_ns):
            fitting = self.sizes.smallest(family, pin, piece)
            self.left += fitting is None
            self._resize(cell, fitting or family[-1])

    def _resize(self, cell: int, kind: str) -> None:
        before = self.library[self.type[cell]]
        # never smaller: another output of the cell may have asked for its size
        if self.library[kind].area_um2 <= before.area_um2:
            return
        for pin, net in self.inputs[cell]:
            self.load[net] += self.library[kind].pins[pin].capacitance_ff - before.pins[pin].capacitance_ff
        self.type[cell] = self.resized[cell] = kind

    def _insert(self, net: int, cell: int, sinks: Sequence[_Sink], kind: str, place: tuple[float, float]) -> int:
        """Let a new buffer drive sinks; its number."""
        target = self.netlist.nets + len(self.buffers)
        stage = int(self.netlist.cell_stage[cell])
        self.buffers.append(Buffer(type=kind, stage=stage, source=net, target=target, x_um=place[0], y_um=place[1]))
        for sink in sinks:
            if sink.at[0] == "buffer":
                self.buffers[sink.at[1]] = replace(self.buffers[sink.at[1]], source=target)
            elif sink.at[0] == "pin":
                self.moved_pins[sink.at[1:]] = target
            else:
                self.moved_ports[sink.at[1:]] = target
        return len(self.buffers) - 1

    def _centre(self, cell: int) -> tuple[float, float]:
        placed = self.placement
        return float(placed.x_um[cell] + placed.width_um[cell] / 2), float(placed.y_um[cell])

    @cached_property
    def _readers(self) -> dict[int, list[tuple[Any, ...]]]:
        """Inputs and output ports on each net."""
        found: dict[int, list[tuple[Any, ...]]] = {}
        for cell, inputs in enumerate(self.inputs):
            for pin, net in inputs:
                found.setdefault(net, []).append(("pin", cell, pin))
        for port in self.netlist.ports.values():
            if port.direction != "input":
                for bit, net in enumerate(port.nets.tolist()):
                    found.setdefault(net, []).append(("port", port.name, bit))
        return found

    def _sinks(self, net: int) -> list[_Sink]:
        found = []
        box = self.placement.boxes_um[net]
        for at in self._readers.get(net, []):
            if at[0] == "pin":
                x, y = self._centre(at[1])
                load = self.library[self.type[at[1]]].pins[at[2]].capacitance_ff
            else:
                # ports stand at the border; the net's box reaches there
                x, y, load = float(box[:2].mean()), float(box[2:].mean()), self.port_load_ff
            found.append(_Sink(at=at, load_ff=load, x_um=x, y_um=y))
        return found

    def _piece(self, sinks: Sequence[_Sink], start: tuple[float, float] | None) -> _Piece:
        """A net to these sinks, from a driver at `start` or within their box: pins and half-perimeter."""
        length = 0.0
        for axis, value in zip(("x_um", "y_um"), start or (None, None), strict=True):
            values = [getattr(sink, axis) for sink in sinks] + ([] if value is None else [value])
            length += max(values) - min(values)
        wire_ff = length * float(wire_factor(np.array([len(sinks) + 1]))[0]) * self.ff_per_um
        return self._with_wire(sum(sink.load_ff for sink in sinks) + wire_ff, wire_ff, length * self.ohm_per_um)

    def _result(self) -> Repair:
        """With buffers by stage, and nets numbered by that."""
        order = sorted(range(len(self.buffers)), key=lambda k: self.buffers[k].stage)
        number = {self.buffers[old].target: self.netlist.nets + new for new, old in enumerate(order)}
        made = [replace(b, source=number.get(b.source, b.source), target=number[b.target]) for b in self.buffers]
        return Repair(
            cells=self.netlist.cells, nets=self.netlist.nets, resized=tuple(sorted(self.resized.items())),
            buffers=tuple(made[k] for k in order),
            moved_pins=tuple((cell, pin, number[net]) for (cell, pin), net in sorted(self.moved_pins.items())),
            moved_ports=tuple((port, bit, number[net]) for (port, bit), net in sorted(self.moved_ports.items())),
            left=self.left,
        )  # fmt: skip


def _span(sinks: Sequence[_Sink], axis: str) -> float:
    values = [getattr(sink, axis) for sink in sinks]
    return float(max(values) - min(values))


def plan(
    netlist: Netlist,
    library: PowerLibrary,
    cells: CellLibrary,
    placement: Placement,
    *,
    ff_per_um: float,
    ohm_per_um: float = 0.0,
    port_load_ff: float = 0.0,
) -> Repair:
    """What it takes for every net to be within the limits of its driver.

    In turn: the smallest cell of the same function that may drive the net, or a buffer beside the driver if that is
    smaller; for more than any cell can drive, sinks in groups by place with a buffer for each, and on long ways buffers
    in between.

    Parameters
    ----------
    netlist : Netlist
    library : PowerLibrary
    cells : CellLibrary
        Says which types may be used, and which are buffers and clock gates.
    placement : Placement
        Of this netlist.
    ff_per_um, ohm_per_um : float
        Capacitance and resistance of wires.
    port_load_ff : float
        Load outside each output port.

    Raises
    ------
    LibraryError
        The library states no largest loads.
    """
    return _Planner(
        netlist, library, cells, placement, ff_per_um=ff_per_um, ohm_per_um=ohm_per_um, port_load_ff=port_load_ff
    ).run()


def repaired(netlist: Netlist, library: PowerLibrary, rounds: Sequence[Repair]) -> Netlist:
    """A netlist after several rounds."""
    for repair in rounds:
        netlist = repair.apply(netlist, library)
    return netlist
