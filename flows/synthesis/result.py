"""What synthesis returns: areas per stage, gates on the netlist, metrics."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from flows.common.errors import FlowError
from flows.common.metrics import Metric, find, read_metrics, require_equal
from flows.common.stored import read_stored
from flows.library.library import CellLibrary

__all__ = ["ModuleArea", "Stage", "SynthesisError", "SynthesisResult", "gate_synthesis", "load_result"]


class SynthesisError(FlowError):
    """The design cannot be synthesised as asked, or two independent counts of the result disagree."""


@dataclass(frozen=True, kw_only=True)
class ModuleArea:
    """One module of the netlist: how often it occurs, and one occurrence with everything below it.

    Areas in square micrometres; `gate_equivalents` in areas of the smallest two-input NAND.
    """

    module: str
    instances: int
    area_um2: float
    gate_equivalents: float
    flip_flops: int
    cells: int
    own_area_um2: float
    own_cells: int


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of the stage table: all direct instances of one module in the top module, together.

    The last row has the top module's own name and no instances: cells that belong to the top module itself.
    """

    module: str
    instances: tuple[str, ...]
    area_um2: float
    gate_equivalents: float
    flip_flops: int
    cells: int


@dataclass(frozen=True, kw_only=True)
class SynthesisResult:
    """Where the outputs are and what they measure.

    Attributes
    ----------
    directory : Path
        Holds everything below and the scripts and logs of each yosys run.
    top : str
        Top module.
    netlist_verilog, netlist_json, netlist_rtlil : Path
        The mapped netlist, hierarchical.
    source_rtlil : Path
        The design as read, equal modules merged: the reference for `equivalence`.
    modules : tuple of ModuleArea
        Every module of the netlist, top first.
    stages : tuple of Stage
        Direct children of the top module, largest first, then the top module's own cells.
    metrics : tuple of Metric
        All figures with their origin.
    """

    directory: Path
    top: str
    netlist_verilog: Path
    netlist_json: Path
    netlist_rtlil: Path
    source_rtlil: Path
    modules: tuple[ModuleArea, ...]
    stages: tuple[Stage, ...]
    metrics: tuple[Metric, ...]

    @cached_property
    def values(self) -> Mapping[str, int | float | str]:
        """Metric values by name."""
        return {metric.name: metric.value for metric in self.metrics}

    @property
    def library(self) -> str:
        """Name of the cell library that the design was mapped to."""
        return find(self.metrics, "design__instance__area").library

    @property
    def library_sha256(self) -> str:
        """SHA-256 of that library's file."""
        return find(self.metrics, "design__instance__area").library_sha256

    @property
    def area_um2(self) -> float:
        """Cell area of the whole design in square micrometres."""
        return float(self.values["design__instance__area"])

    @property
    def gate_equivalents(self) -> float:
        """`area_um2` over the area of the smallest two-input NAND."""
        return float(self.values["design__instance__area__gate_equivalent"])

    @property
    def flip_flops(self) -> int:
        """Number of flip-flops."""
        return int(self.values["design__instance__count__class:flip_flop"])


# --- netlist --------------------------------------------------------------------------------------------------------


def public_name(name: str) -> str:
    return name.removeprefix("\\")


def count_cells(
    netlist: Mapping[str, Any], top: str, library: CellLibrary, black_boxes: Collection[str] = ()
) -> tuple[tuple[ModuleArea, ...], tuple[Stage, ...], Counter[str], Counter[str]]:
    """Areas and counts from the netlist itself: modules, stages, library cells by type, cells of no library by type.

    Black boxes of the source are nobody's cells: they have no area and are not counted.
    """
    hierarchy = _Hierarchy(netlist, top, library)
    instances: Counter[str] = Counter({top: 1})
    mapped: Counter[str] = Counter()
    unmapped: Counter[str] = Counter()
    for name in hierarchy.order:
        for kind, number in hierarchy.own[name].items():
            if kind in hierarchy.modules:
                instances[kind] += number * instances[name]
            elif kind in library.cells:
                mapped[kind] += number * instances[name]
            elif kind not in black_boxes:
                unmapped[kind] += number * instances[name]
    rows = tuple(hierarchy.module_area(name, instances[name]) for name in hierarchy.order)
    return rows, hierarchy.stages(), mapped, unmapped


class _Size(NamedTuple):
    """Area in square micrometres, library cells, flip-flops among them."""

    area_um2: float
    cells: int
    flip_flops: int


class _Hierarchy:
    """Modules of a netlist and what is in them.

    Attributes
    ----------
    modules : dict
        Bodies by name, black boxes aside.
    own : dict of str to Counter
        Cells and instances that a module itself has, by type.
    order : list of str
        Modules in use, each before those that it instantiates.
    """

    def __init__(self, netlist: Mapping[str, Any], top: str, library: CellLibrary) -> None:
        self.top, self.library = top, library
        self.modules = {name: body for name, body in netlist["modules"].items() if name == top or is_design(body)}
        self.own = {
            name: Counter(str(cell["type"]) for cell in body["cells"].values()) for name, body in self.modules.items()
        }
        self._flip_flops = set(library.flip_flops)
        self._totals: dict[str, _Size] = {}
        self.order: list[str] = []
        self._visit(top)
        self.order.reverse()

    def _visit(self, name: str) -> None:
        """Note a module after all that it instantiates, with its size."""
        if name in self._totals:
            return
        area, cells, flip_flops = 0.0, 0, 0
        for kind, number in self.own[name].items():
            if kind in self.modules:
                self._visit(kind)
                below = self._totals[kind]
                area += number * below.area_um2
                cells += number * below.cells
                flip_flops += number * below.flip_flops
            elif kind in self.library.cells:
                area += number * self.library.cells[kind].area_um2
                cells += number
                flip_flops += number * (kind in self._flip_flops)
        self._totals[name] = _Size(area, cells, flip_flops)
        self.order.append(name)

    def _own_size(self, name: str) -> _Size:
        """Of a module without what it instantiates."""
        cells = {kind: number for kind, number in self.own[name].items() if kind in self.library.cells}
        return _Size(
            math.fsum(number * self.library.cells[kind].area_um2 for kind, number in cells.items()),
            sum(cells.values()),
            sum(number for kind, number in cells.items() if kind in self._flip_flops),
        )

    def module_area(self, name: str, instances: int) -> ModuleArea:
        """Row of a module that occurs so often."""
        total, own = self._totals[name], self._own_size(name)
        return ModuleArea(
            module=name, instances=instances, area_um2=total.area_um2,
            gate_equivalents=self.library.gate_equivalents(total.area_um2), flip_flops=total.flip_flops,
            cells=total.cells, own_area_um2=own.area_um2, own_cells=own.cells,
        )  # fmt: skip

    def stages(self) -> tuple[Stage, ...]:
        """Children of the top module, largest first, then its own cells."""
        children: dict[str, list[str]] = {}
        for instance, cell in self.modules[self.top]["cells"].items():
            if cell["type"] in self.modules:
                children.setdefault(cell["type"], []).append(instance)
        found = []
        for kind, names in children.items():
            one, number = self._totals[kind], len(names)
            size = _Size(number * one.area_um2, number * one.cells, number * one.flip_flops)
            found.append(self._stage(kind, tuple(sorted(names)), size))
        found.sort(key=lambda stage: (-stage.area_um2, stage.module))
        return (*found, self._stage(self.top, (), self._own_size(self.top)))

    def _stage(self, module: str, instances: tuple[str, ...], size: _Size) -> Stage:
        return Stage(
            module=module, instances=instances, area_um2=size.area_um2,
            gate_equivalents=self.library.gate_equivalents(size.area_um2), flip_flops=size.flip_flops,
            cells=size.cells,
        )  # fmt: skip


def is_design(body: Mapping[str, Any]) -> bool:
    attributes = body.get("attributes", {})
    return not any(int(str(attributes.get(key, "0")), 2) for key in ("blackbox", "whitebox"))


def load_result(directory: Path) -> SynthesisResult:
    """Read back what `synthesise` left in a directory."""
    path = directory / "modules.json"
    if not path.is_file() or not (directory / "metrics.json").is_file():
        raise FileNotFoundError(f"{directory} holds no synthesis result")
    tables = read_stored(path)
    return SynthesisResult(
        directory=directory,
        top=tables["top"],
        netlist_verilog=directory / "netlist.v",
        netlist_json=directory / "netlist.json",
        netlist_rtlil=directory / "netlist.il",
        source_rtlil=directory / "source.il",
        modules=tuple(ModuleArea(**row) for row in tables["modules"]),
        stages=tuple(Stage(**{**row, "instances": tuple(row["instances"])}) for row in tables["stages"]),
        metrics=read_metrics(directory / "metrics.json"),
    )


def gate_synthesis(metrics: Sequence[Metric], *, flip_flops: int | None = None) -> tuple[Metric, ...]:
    """Gate: all cells mapped, no latch by accident, no loop, nothing undriven, the flip-flop count as expected.

    Parameters
    ----------
    metrics : sequence of Metric
        What `synthesise` measured.
    flip_flops : int or None
        Expected number of flip-flops, or None for no expectation.

    Returns
    -------
    tuple of Metric
        The metrics that were judged.

    Raises
    ------
    GateError
        The first gate that fails, or a metric that is missing.
    """
    judged = [
        require_equal(metrics, "design__instance_unmapped__count", 0),
        require_equal(metrics, "design__combinational_loop__count", 0),
        require_equal(metrics, "design__check_problem__count", 0),
        require_equal(metrics, "design__stray_latch__count", 0),
    ]
    if flip_flops is not None:
        judged.append(require_equal(metrics, "design__instance__count__class:flip_flop", flip_flops))
    return tuple(judged)
