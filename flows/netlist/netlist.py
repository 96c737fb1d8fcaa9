"""A mapped netlist as arrays: cells by type with one net number per pin, flat, with hierarchical names.

Simulation, power and placement walk hundreds of thousands of cells; they want matrices, not objects. `read_netlist`
takes structural Verilog (through yosys, with any Liberty library), RTLIL, or the JSON that yosys writes, hierarchical
or flat, and flattens it. Black boxes with pins of several bits (macros, memories) are no cells: what they drive enters
the netlist by ports, what they read leaves by ports, named ``instance.pin``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.common.errors import FlowError
from flows.library.liberty_file import read_liberty_file, unpacked
from flows.tools.yosys import YosysError, quote, run_yosys
from sim.foreign_files import parse_json
from sim.messages import shown

__all__ = ["CellGroup", "Instance", "Lot", "Netlist", "NetlistError", "Port", "join_lots", "netlist_from_json",
           "read_netlist"]  # fmt: skip

Ids = npt.NDArray[np.int32]
Lot = tuple[tuple[str, ...], Ids, Ids]
"""Cells of one type: pins, numbers, nets by cell and pin."""


class NetlistError(FlowError):
    """The file is no mapped netlist of the library. The message names the first cell or net at fault."""


@dataclass(frozen=True, kw_only=True)
class Port:
    """A port of the top module: its nets, least significant bit first."""

    name: str
    direction: str
    nets: Ids


@dataclass(frozen=True, kw_only=True, eq=False)
class CellGroup:
    """All cells of one type.

    Attributes
    ----------
    type : str
    pins : tuple of str
    cells : ndarray of int32, shape (n,)
        Number of each cell in the netlist.
    nets : ndarray of int32, shape (n, len(pins))
        Net at each pin; -1 where nothing is connected.
    """

    type: str
    pins: tuple[str, ...]
    cells: Ids
    nets: Ids

    def pin(self, name: str) -> Ids:
        """Nets at one pin; all -1 where no cell connects it."""
        if name in self.pins:
            return np.asarray(self.nets[:, self.pins.index(name)], np.int32)
        return np.full(len(self.cells), -1, np.int32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Instance:
    """A module instance: its path from the top (empty for the top), and its nets by local number."""

    path: tuple[str, ...]
    module: str
    first_cell: int
    cell_names: tuple[str, ...]
    names: Mapping[str, Ids]
    """Net numbers of each named wire, least significant bit first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Netlist:
    """A flat netlist. Net 0 is constant 0, net 1 constant 1.

    Attributes
    ----------
    top : str
    groups : dict of str to CellGroup
        By cell type.
    ports : dict of str to Port
    instances : tuple of Instance
        Every module instance, top first; its cells are numbered in a row from `first_cell`.
    cells, nets : int
        How many.
    left_out : dict of str to int
        Cells by type that no library describes and no signal reaches: taps, fillers. They are not counted in `cells`.
    """

    top: str
    groups: Mapping[str, CellGroup]
    ports: Mapping[str, Port]
    instances: tuple[Instance, ...]
    cells: int
    nets: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    split: tuple[str, ...] = ()
    """Children of the top module whose own children are stages, named ``child.grandchild``: chips within a chip."""

    @cached_property
    def cell_instance(self) -> Ids:
        """Index into `instances` for each cell."""
        counts = [len(instance.cell_names) for instance in self.instances]
        return np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages: direct children of the top module, and last the top's own cells under its name."""
        found = dict.fromkeys(self._stage_of(instance) for instance in self.instances if instance.path)
        return (*found, self.top)

    @cached_property
    def cell_stage(self) -> Ids:
        """Index into `stages` for each cell."""
        number = {name: index for index, name in enumerate(self.stages)}
        stage = np.array([number[self._stage_of(instance)] for instance in self.instances], np.int32)
        return np.asarray(stage[self.cell_instance], np.int32)

    def _stage_of(self, instance: Instance) -> str:
        """Stage of an instance; what was flattened into its parent has names with dots of its own."""
        if not instance.path:
            return self.top
        if instance.path[0] in self.split and len(instance.path) > 1:
            return f"{instance.path[0]}.{instance.path[1].partition('.')[0]}"
        return instance.path[0]

    def cell_name(self, cell: int) -> str:
        """Hierarchical name, levels separated by a dot."""
        instance = self.instances[self.cell_instance[cell]]
        return ".".join((*instance.path, instance.cell_names[cell - instance.first_cell]))

    @cached_property
    def net_names(self) -> tuple[str, ...]:
        """A name for each net: the highest in the hierarchy, then the shortest; bits of vectors as ``name[3]``."""
        names = [f"net{number}" for number in range(self.nets)]
        rank = np.full(self.nets, 1 << 30)
        names[0], names[1] = "0", "1"
        rank[:2] = -1
        for instance in self.instances:
            prefix = ".".join(instance.path) + "." if instance.path else ""
            for name, nets in instance.names.items():
                # private names of yosys only where nothing else is there
                value = 1000 * len(instance.path) + len(name) + (1 << 20) * name.startswith("$")
                for bit, net in enumerate(nets):
                    if value < rank[net]:
                        rank[net] = value
                        names[net] = f"{prefix}{name}[{bit}]" if len(nets) > 1 else prefix + name
        return tuple(names)

    @cached_property
    def used_nets(self) -> npt.NDArray[np.bool_]:
        """Nets that a pin or a port touches, constants left out."""
        used = np.zeros(self.nets, np.bool_)
        for group in self.groups.values():
            used[group.nets[group.nets >= 0]] = True
        for port in self.ports.values():
            used[port.nets] = True
        used[:2] = False
        return used


@dataclass
class _Template:
    """A module of the JSON netlist with local net numbers."""

    nets: int
    ports: dict[str, tuple[str, Ids]]
    cell_names: tuple[str, ...]
    groups: dict[str, Lot]
    children: list[tuple[str, str, dict[str, Ids]]]
    boxes: list[tuple[str, str, Ids]]
    """Pins of black boxes: name, direction, nets."""
    names: dict[str, Ids]


def _template(name: str, body: Mapping[str, Any], modules: Mapping[str, Any], boxes: Mapping[str, Any]) -> _Template:
    numbers: dict[Any, int] = {"0": 0, "1": 1, "x": 0, "z": -1}

    def net(bit: Any) -> int:
        return numbers.setdefault(bit, len(numbers) - 2)

    def bits(values: Sequence[Any]) -> Ids:
        return np.array([net(bit) for bit in values], np.int32)

    ports = {port: (str(p["direction"]), bits(p["bits"])) for port, p in body["ports"].items()}
    collected: dict[tuple[str, tuple[str, ...]], tuple[list[int], list[list[int]]]] = {}
    children: list[tuple[str, str, dict[str, Ids]]] = []
    box_pins: list[tuple[str, str, Ids]] = []
    cell_names: list[str] = []
    for cell, content in body["cells"].items():
        kind, pins = str(content["type"]), content["connections"]
        if kind in boxes:
            directions = {pin: str(port["direction"]) for pin, port in boxes[kind]["ports"].items()}
            box_pins += [(f"{cell}.{pin}", directions[pin], bits(values)) for pin, values in pins.items()]
            continue
        if kind in modules:
            children.append((cell, kind, {pin: bits(values) for pin, values in pins.items()}))
            continue
        if kind == "$scopeinfo":
            continue
        if kind.startswith("$"):
            raise NetlistError(f"cell {cell} of module {name} is a generic {kind}: map the design to a library first")
        row = []
        for pin, values in pins.items():
            if len(values) > 1:
                raise NetlistError(f"pin {pin} of cell {cell} ({kind}) has {len(values)} bits; flat pins are expected")
            row.append(net(values[0]) if values else -1)
        numbers_, rows = collected.setdefault((kind, tuple(pins)), ([], []))
        numbers_.append(len(cell_names))
        rows.append(row)
        cell_names.append(cell)
    names = {wire: bits(content["bits"]) for wire, content in body["netnames"].items()}
    lots: dict[str, list[Lot]] = {}
    for (kind, pin_names), (members, rows) in collected.items():
        cells, nets = np.array(members, np.int32), np.array(rows, np.int32).reshape(len(members), len(pin_names))
        lots.setdefault(kind, []).append((pin_names, cells, nets))
    groups = {kind: join_lots(parts) for kind, parts in lots.items()}
    return _Template(len(numbers) - 2, ports, tuple(cell_names), groups, children, box_pins, names)


def join_lots(lots: Sequence[Lot]) -> Lot:
    """Lots of one cell type, which may connect different pins, as one."""
    pins = tuple(dict.fromkeys(pin for lot in lots for pin in lot[0]))
    nets = np.full((sum(len(lot[1]) for lot in lots), len(pins)), -1, np.int32)
    first = 0
    for names, cells, matrix in lots:
        nets[first : first + len(cells), [pins.index(pin) for pin in names]] = matrix
        first += len(cells)
    return pins, np.concatenate([lot[1] for lot in lots]), nets


def netlist_from_json(data: Mapping[str, Any], *, top: str | None = None) -> Netlist:
    """Flatten what yosys' ``write_json`` wrote.

    Parameters
    ----------
    data : mapping
        The parsed JSON.
    top : str, optional
        Top module; the one marked so, or the only one that nothing instantiates.

    Raises
    ------
    NetlistError
        No or several tops, generic cells, a net tied to both constants.
    """
    modules = {n: b for n, b in data["modules"].items() if not _flagged(b, "blackbox", "whitebox")}
    boxes = {
        n: b
        for n, b in data["modules"].items()
        if n not in modules and any(len(port["bits"]) > 1 for port in b["ports"].values())
    }
    flat = _Flattening(modules, boxes)
    flat.expand(_top_module(modules, top))
    return flat.joined()


def _flagged(body: Mapping[str, Any], *names: str) -> bool:
    """Whether a module has one of these attributes, and not at 0."""
    attributes = body.get("attributes", {})
    return any(int(str(attributes.get(name, "0")), 2) for name in names)


def _top_module(modules: Mapping[str, Any], top: str | None) -> str:
    """Name of the top module, found where it is not given."""
    if top is None:
        inside = {cell["type"] for body in modules.values() for cell in body["cells"].values()}
        tops = [n for n, b in modules.items() if _flagged(b, "top")] or [n for n in modules if n not in inside]
        if len(tops) != 1:
            raise NetlistError(
                f"expected one top module, found {shown(', '.join(tops) or 'none', quoted=False)}: name it"
            )
        top = tops[0]
    if top not in modules:
        raise NetlistError(
            f"no module {shown(top)} in the netlist; modules: {shown(', '.join(list(modules)[:8]), quoted=False)}"
        )
    return top


class _Flattening:
    """A hierarchy that becomes one netlist.

    Each instance gets net numbers of its own for what no port connects (`expand`); where wires join two of them, they
    are made one at the end (`joined`). Nets 0 and 1 are the constants, -1 is no net.
    """

    def __init__(self, modules: Mapping[str, Any], boxes: Mapping[str, Any]) -> None:
        self._modules, self._boxes = modules, boxes
        self._templates: dict[str, _Template] = {}
        self._instances: list[Instance] = []
        self._lots: dict[str, list[Lot]] = {}
        self._pairs: list[tuple[int, int]] = []
        self._box_ports: list[tuple[str, str, Ids]] = []
        self._nets = 2
        self._cells = 0

    def expand(self, top: str) -> None:
        """All instances from the top module down, a parent before its children, these in the order of the source."""
        self._top = top
        self._top_map = np.zeros(0, np.int32)
        stack: list[tuple[tuple[str, ...], str, dict[str, Ids]]] = [((), top, {})]
        while stack:
            path, module, connections = stack.pop()
            template = self._templates.get(module)
            if template is None:
                template = _template(module, self._modules[module], self._modules, self._boxes)
                self._templates[module] = template
            mapping = self._numbered(path, module, template, connections)
            if not path:
                self._top_map = mapping
            self._place(path, module, template, mapping)
            for cell, kind, ports in reversed(template.children):
                stack.append(((*path, cell), kind, {port: mapping[bits] for port, bits in ports.items()}))

    def _numbered(self, path: tuple[str, ...], module: str, template: _Template, connections: Mapping[str, Ids]) -> Ids:
        """Net of the whole for each net of an instance: those of its parent at its ports, else new ones."""
        mapping = np.full(template.nets + 1, -2, np.int32)
        mapping[0], mapping[1], mapping[-1] = 0, 1, -1
        for port, outer in connections.items():
            if port not in template.ports:
                raise NetlistError(f"instance {'.'.join(path)}: module {module} has no port {port}")
            for local, parent in zip(template.ports[port][1], outer, strict=False):
                if parent < 0 or local < 0:
                    continue
                if mapping[local] == -2:
                    mapping[local] = parent
                elif mapping[local] != parent:
                    self._pairs.append((int(mapping[local]), int(parent)))
        fresh = np.flatnonzero(mapping == -2)
        mapping[fresh] = np.arange(self._nets, self._nets + len(fresh), dtype=np.int32)
        self._nets += len(fresh)
        return mapping

    def _place(self, path: tuple[str, ...], module: str, template: _Template, mapping: Ids) -> None:
        """Cells and names of an instance, by the numbers of the whole."""
        for kind, (pins, members, matrix) in template.groups.items():
            self._lots.setdefault(kind, []).append((pins, members + np.int32(self._cells), mapping[matrix]))
        self._box_ports += [(".".join((*path, pin)), direction, mapping[b]) for pin, direction, b in template.boxes]
        names = {name: mapping[bits] for name, bits in template.names.items()}
        self._instances.append(
            Instance(path=path, module=module, first_cell=self._cells, cell_names=template.cell_names, names=names)
        )
        self._cells += len(template.cell_names)

    def joined(self) -> Netlist:
        """The netlist, with one number for nets that wires join."""
        root = _unite(self._pairs, self._nets)
        groups = {}
        for kind, lots in self._lots.items():
            pins, members, matrix = join_lots(lots)
            groups[kind] = CellGroup(
                type=kind, pins=pins, cells=members, nets=np.where(matrix >= 0, root[matrix], -1).astype(np.int32)
            )
        renamed = tuple(
            replace(i, names={n: np.where(b >= 0, root[b], 0).astype(np.int32) for n, b in i.names.items()})
            for i in self._instances
        )
        return Netlist(
            top=self._top, groups=groups, ports=self._ports(root), instances=renamed, cells=self._cells,
            nets=int(root.max()) + 1,
        )  # fmt: skip

    def _ports(self, root: Ids) -> dict[str, Port]:
        """Ports of the top module, then the pins of black boxes."""
        ports = {
            name: Port(name=name, direction=direction, nets=root[self._top_map[bits]].astype(np.int32))
            for name, (direction, bits) in self._templates[self._top].ports.items()
        }
        outside = {0, 1, *(int(net) for port in ports.values() if port.direction == "input" for net in port.nets)}
        for name, direction, bits in self._box_ports:
            pin = np.where(bits >= 0, root[bits], -1).astype(np.int32)
            # a pin without a net, or on a wire from a port or a constant, neither drives nor is driven
            if len(pin) and not outside.intersection(pin.tolist()) and (pin >= 0).all():
                ports[name] = Port(name=name, direction="input" if direction == "output" else "output", nets=pin)
        return ports


def _unite(pairs: Sequence[tuple[int, int]], nets: int) -> Ids:
    """Number of each net after nets that wires join are made one; constants keep 0 and 1."""
    parent: dict[int, int] = {}

    def find(net: int) -> int:
        while (above := parent.get(net, net)) != net:
            net = above
        return net

    for a, b in pairs:
        low, high = sorted((find(a), find(b)))
        if (low, high) == (0, 1):
            raise NetlistError("a net is tied to constant 0 and to constant 1")
        if low != high:
            parent[high] = low
    root = np.arange(nets, dtype=np.int32)
    for net in parent:
        root[net] = find(net)
    # close the gaps
    used, dense = np.unique(root, return_inverse=True)
    assert used[0] == 0
    assert used[1] == 1
    return np.asarray(dense, np.int32)


_SUPPLIES = frozenset(("VDD", "VSS", "VCC", "GND", "VPWR", "VGND", "VPB", "VNB", "VNW", "VPW", "VDDPE", "VSSE"))


def _without_signals(modules: Mapping[str, Any], liberty: Sequence[Path]) -> dict[str, int]:
    """Take out cells that no library describes where nothing but supplies is connected, and count them by type.

    Raises
    ------
    NetlistError
        A signal reaches a cell that no library describes.
    """
    known = {name for path in liberty for name in read_liberty_file(path).cells}
    found: dict[str, int] = {}
    for name, body in modules.items():
        for cell, content in list(body["cells"].items()):
            kind = str(content["type"])
            if kind in modules or kind in known or kind.startswith("$"):
                continue
            if signals := [pin for pin in content["connections"] if pin.upper() not in _SUPPLIES]:
                files = ", ".join(path.name for path in liberty)
                raise NetlistError(
                    f"cell {shown(cell, quoted=False)} of module {shown(name, quoted=False)}, pin "
                    f"{shown(signals[0], quoted=False)}: no cell {shown(kind, quoted=False)} in {files}"
                )
            del body["cells"][cell]
            found[kind] = found.get(kind, 0) + 1
    return found


def read_netlist(source: Path, *, liberty: Sequence[Path], top: str | None = None, timeout_s: float = 600.0) -> Netlist:
    """Read a mapped netlist.

    Parameters
    ----------
    source : Path
        Structural Verilog (``.v``, ``.sv``; ``.gz`` too), RTLIL (``.il``) or yosys JSON (``.json``).
    liberty : sequence of Path
        Libraries that its cells come from.
    top : str, optional
        Top module where it is not evident.

    Raises
    ------
    FileNotFoundError
        No such file.
    NetlistError
        It is no mapped netlist, or a cell that signals reach is in no library.
    YosysError
        yosys cannot read it.
    """
    if not source.is_file():
        raise FileNotFoundError(f"no netlist {source}")
    if source.suffix == ".json":
        try:
            data = parse_json(source.read_bytes(), str(source))
        except ValueError as error:
            raise NetlistError(str(error)) from None
        if not isinstance(data, dict) or "modules" not in data:
            raise NetlistError(f"{source} is no netlist of yosys: it holds no modules")
        try:
            return netlist_from_json(data, top=top)
        except NetlistError as error:
            raise NetlistError(f"{source}: {error}") from None
        except (KeyError, TypeError, AttributeError, IndexError, ValueError, OverflowError) as error:
            what = f"{shown(error.args[0])} is missing" if isinstance(error, KeyError) else shown(error, quoted=False)
            raise NetlistError(f"{source} is no netlist of yosys: {what}") from None
    plain = unpacked(source).resolve()
    # SystemVerilog reserves words that netlists use as names
    verilog = "read_verilog -sv" if plain.suffix == ".sv" else "read_verilog"
    read = f"{'read_rtlil' if plain.suffix in ('.il', '.rtlil') else verilog} {quote(plain)}"
    with tempfile.TemporaryDirectory(prefix="liquidcal-netlist-") as folder:
        lines = [f"read_liberty -lib -overwrite -ignore_miss_func {quote(unpacked(p).resolve())}" for p in liberty]
        lines += [
            read,
            f"hierarchy -top \\{top}" if top else "hierarchy -auto-top",
            "proc",
            # what drives nothing stands on the chip all the same
            "setattr -set keep 1 t:* t:$* %d",
            "opt_clean",
            "write_json netlist.json",
        ]
        try:
            run_yosys("\n".join(lines) + "\n", directory=Path(folder), name="netlist", timeout_s=timeout_s)
            data = json.loads((Path(folder) / "netlist.json").read_text())
            left_out = _without_signals(data["modules"], liberty)
            return replace(netlist_from_json(data, top=top), left_out=left_out)
        except YosysError as error:
            raise YosysError(f"{source}: {shown(error, quoted=False)}", error.log) from None
        except NetlistError as error:
            raise NetlistError(f"{source}: {error}") from None
