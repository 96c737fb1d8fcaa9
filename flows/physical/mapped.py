"""Placement, timing and power of a synthesised design: steps on its folder of results, each with metrics.

``report/NAME/synthesis`` -> ``placement`` -> ``timing``, ``power``. Every step reads what the one before it left,
checks that it belongs to the same netlist, and appears complete or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.common.metrics import Metric, now
from flows.designs.design import INTERNAL_CLOCK
from flows.library.catalogue import cell_library
from flows.library.lef import Lef, read_lef
from flows.library.liberty_file import LibraryError
from flows.library.library import CellLibrary
from flows.library.pdks import FAMILIES, corner_files
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.delays import MAX_PINS, WireLoad, fanouts, wire_load
from flows.netlist.netlist import Netlist, netlist_from_json
from flows.physical.place import Placement
from flows.physical.repair import load_repairs, repaired

__all__ = ["Mapped", "clocks_of", "wire_ff_per_um"]

Floats = npt.NDArray[np.float64]

PERIOD_NS = 25.0
"""Clock of the detector: 40 MHz."""
STATIC_STAGES = ("registers", "registers_0", "registers_1", "registers_2", "shadow")
"""Children of the top module whose registers are written before data flows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapped:
    """A synthesised design, read once.

    Attributes
    ----------
    folder : Path
        Folder of results; ``synthesis`` below it.
    """

    folder: Path

    @cached_property
    def _tables(self) -> dict[str, Any]:
        path = self.folder / "synthesis" / "modules.json"
        if not path.is_file():
            raise FileNotFoundError(f"{self.folder} holds no synthesis: run `liquidcal synth` first")
        tables: dict[str, Any] = json.loads(path.read_text())
        return tables

    @cached_property
    def cells(self) -> CellLibrary:
        """The library that the netlist is mapped to.

        Raises
        ------
        ValueError
            The library at hand is another version.
        """
        cells = cell_library(self._tables["library"])
        if cells.sha256 != self._tables["library_sha256"]:
            raise ValueError(f"{self.folder} was mapped to another version of {cells.name}: synthesise again")
        return cells

    @cached_property
    def library(self) -> PowerLibrary:
        """Its tables."""
        return read_power_library(self.cells.liberty)

    @cached_property
    def lef(self) -> Lef:
        """Its LEF files."""
        if not self.cells.lef:
            raise ValueError(f"library {self.cells.name} has no LEF files: nothing can be placed")
        return read_lef(self.cells.lef)

    @cached_property
    def netlist_sha256(self) -> str:
        """Hash of the netlist file."""
        return hashlib.sha256((self.folder / "synthesis" / "netlist.json").read_bytes()).hexdigest()

    @cached_property
    def synthesised(self) -> Netlist:
        """The netlist of synthesis, flat."""
        top = self._tables["top"]
        return netlist_from_json(json.loads((self.folder / "synthesis" / "netlist.json").read_text()), top=top)

    @cached_property
    def netlist(self) -> Netlist:
        """The same behind placement: with larger cells and buffers, if they were repaired there."""
        path = self.folder / "placement" / "repair.json"
        if not path.is_file() or not self._placed:
            return self.synthesised
        return repaired(self.synthesised, self.library, load_repairs(path))

    @cached_property
    def cell_area_um2(self) -> float:
        """Sum of cell areas."""
        return cell_area_um2(self.netlist, self.cells)

    def corner(self, name: str) -> tuple[Path, ...] | None:
        """Liberty files of the library's ``slow`` or ``fast`` corner; None where it has none here."""
        kit = self.cells.name.partition(":")[0]
        if kit not in FAMILIES:
            return None
        try:
            return corner_files(kit, name)
        except LibraryError:
            return None

    @property
    def _placed(self) -> bool:
        """Whether there is a placement, and of this very synthesis."""
        path = self.folder / "placement"
        if not (path / "placement.npz").is_file():
            return False
        result = json.loads((path / "placement.json").read_text())
        return bool(result["netlist_sha256"] == self.netlist_sha256)

    def placement(self) -> Placement | None:
        """The placement of this very netlist, if there is one."""
        return Placement.load(self.folder / "placement" / "placement.npz") if self._placed else None

    def wires(self) -> tuple[Floats, float, float, str]:
        """Wire capacitance of each net in fF, per micrometre, core area, and where they come from."""
        per_um, source = wire_ff_per_um(self.cells, self.lef)
        placed = self.placement()
        if placed is not None:
            return placed.wire_ff(per_um), per_um, placed.area_um2, f"placement, {per_um:.3g} fF/um ({source})"
        estimate = wire_load(self.cells.liberty[0])
        if estimate is None:
            return np.zeros(self.netlist.nets), per_um, self.cell_area_um2 / 0.7, "none: no placement, no wire load"
        return (
            estimated_wires(self.netlist, self.library, estimate), per_um, self.cell_area_um2 / 0.7,
            f"wire load {estimate.name} of the library: no placement of this netlist",
        )  # fmt: skip


def cell_area_um2(netlist: Netlist, cells: CellLibrary) -> float:
    """Sum of cell areas."""
    return sum(cells.area_um2(group.type) * len(group.cells) for group in netlist.groups.values())


def estimated_wires(netlist: Netlist, library: PowerLibrary, estimate: WireLoad) -> Floats:
    """Wires by fan-out; none on nets that get a tree of buffers."""
    count = fanouts(netlist, library)
    wires = estimate.of(count)
    wires[count > MAX_PINS] = 0
    return wires


def wire_ff_per_um(cells: CellLibrary, lef: Lef | None) -> tuple[float, str]:
    """Wire capacitance per micrometre and its source.

    The library's wire load holds it where there is one (neighbours included, as extracted); LEF layers give the
    capacitance to ground alone; 0.2 fF/um is what minimum-pitch wires have in any node.
    """
    estimate = wire_load(cells.liberty[0])
    if estimate is not None:
        return estimate.capacitance_ff, f"wire load {estimate.name}"
    known = [layer.ff_per_um for layer in (lef.layers[1:5] if lef is not None else ()) if layer.ff_per_um is not None]
    if known:
        return float(np.mean(known)), "LEF, to ground, metals 2 to 5"
    return 0.2, "assumed"


def mapped_metric(mapped: Mapped, tool: str, version: str, command: str) -> Callable[..., Metric]:
    date = now()

    def metric(name: str, value: int | float | str, unit: str, method: str) -> Metric:
        return Metric(
            name=name, value=value, unit=unit, tool=tool, tool_version=version, library=mapped.cells.name,
            library_sha256=mapped.cells.sha256, method=method, command=command, date=date,
        )  # fmt: skip

    return metric


def clocks_of(mapped: Mapped, reuse: int) -> tuple[str, ...]:
    """Clock ports of a design: the crossings' first, then the internal one of a design that reuses multipliers.

    Raises
    ------
    ValueError
        The netlist was made with another factor: 1 has no internal clock, all others have.
    """
    internal = INTERNAL_CLOCK in mapped.netlist.ports
    if internal != (reuse > 1):
        has = "an internal clock" if internal else "no internal clock"
        raise ValueError(f"{mapped.folder} has {has} ({INTERNAL_CLOCK}), which does not go with a reuse of {reuse}")
    return ("clk", INTERNAL_CLOCK) if internal else ("clk",)
