"""Placement, timing and power of a synthesised design: steps on its folder of results, each with metrics.

``report/NAME/synthesis`` -> ``placement`` -> ``timing``, ``power``. Every step reads what the one before it left,
checks that it belongs to the same netlist, and appears complete or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.common.metrics import Metric, now
from flows.common.stored import read_json, read_stored
from flows.designs.design import INTERNAL_CLOCK
from flows.library.catalogue import cell_library
from flows.library.lef import Lef, read_lef
from flows.library.liberty_file import LibraryError
from flows.library.library import CellLibrary
from flows.library.pdks import FAMILIES, corner_files
from flows.library.power_library import PowerLibrary, read_power_library
from flows.library.wires import WireUnit, wire_unit
from flows.netlist.delays import estimated_wires, wire_load
from flows.netlist.netlist import Netlist, netlist_from_json
from flows.netlist.view import Wires
from flows.physical.place import Placement
from flows.physical.repair import Repair, load_repairs, repaired

__all__ = ["Mapped", "clocks_of"]

Floats = npt.NDArray[np.float64]

PERIOD_NS = 25.0
"""Clock of the detector: 40 MHz."""
STATIC_STAGES = ("registers", "registers_0", "registers_1", "registers_2", "shadow")
"""Children of the top module whose registers are written before data flows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapped:
    """A synthesised design as its folder has it when this object is made; a later placement does not change it.

    Attributes
    ----------
    folder : Path
        Folder of results; ``synthesis`` below it.
    placement : Placement or None
        The placement of this very netlist, if there is one. `with_placement` gives the design after another one.
    """

    folder: Path
    placement: Placement | None = field(init=False)
    _repairs: tuple[Repair, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        path = self.folder / "placement"
        placed = (path / "placement.npz").is_file() and (self.folder / "synthesis" / "netlist.json").is_file()
        if placed:
            placed = read_stored(path / "placement.json")["netlist_sha256"] == self.netlist_sha256
        repairs = path / "repair.json"
        object.__setattr__(self, "placement", Placement.load(path / "placement.npz") if placed else None)
        object.__setattr__(self, "_repairs", load_repairs(repairs) if placed and repairs.is_file() else ())

    def with_placement(self) -> Mapped:
        """The design as the folder has it now: after a placement, with its positions and repairs."""
        fresh = Mapped(folder=self.folder)
        if fresh.netlist_sha256 == self.netlist_sha256:
            # what only depends on the synthesis is not read twice
            kept = ("_tables", "cells", "library", "lef", "synthesised")
            fresh.__dict__.update({name: self.__dict__[name] for name in kept if name in self.__dict__})
        return fresh

    @cached_property
    def _tables(self) -> dict[str, Any]:
        path = self.folder / "synthesis" / "modules.json"
        if not path.is_file():
            raise FileNotFoundError(f"{self.folder} holds no synthesis: run `liquidcal synth` first")
        return read_stored(path)

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
        return netlist_from_json(read_json(self.folder / "synthesis" / "netlist.json"), top=top)

    @cached_property
    def netlist(self) -> Netlist:
        """The same after placement: with larger cells and buffers, if they were repaired there."""
        return repaired(self.synthesised, self.library, self._repairs) if self._repairs else self.synthesised

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

    def wires(self, placement: Placement | None = None) -> Wires:
        """Wires as they are placed, or as another placement has them; else by the library's wire load, else none."""
        unit, placed = self.wire_unit, placement or self.placement
        if placed is not None:
            return Wires(
                ff=placed.wire_ff(unit.ff_per_um), ohm=placed.wire_ohm(unit.ohm_per_um), ff_per_um=unit.ff_per_um,
                core_um2=placed.area_um2, source=f"placement, {unit.text}",
            )  # fmt: skip
        estimate = wire_load(self.cells.liberty[0])
        if estimate is None:
            ff = ohm = np.zeros(self.netlist.nets)
            source = "none: no placement, no wire load"
        else:
            ff, ohm, source = estimated_wires(self.netlist, self.library, estimate, unit)
            source += "; no placement of this netlist"
        return Wires(
            ff=ff, ohm=ohm, ff_per_um=unit.ff_per_um, core_um2=self.cell_area_um2 / 0.7, source=source
        )  # fmt: skip

    @cached_property
    def wire_unit(self) -> WireUnit:
        """A micrometre of wire of its process."""
        return wire_unit(self.cells.liberty, self.lef if self.cells.lef else None)


def cell_area_um2(netlist: Netlist, cells: CellLibrary) -> float:
    """Sum of cell areas."""
    return sum(cells.area_um2(group.type) * len(group.cells) for group in netlist.groups.values())


def mapped_metric(mapped: Mapped, tool: str, version: str, command: str) -> Callable[..., Metric]:
    date = now()

    def metric(name: str, value: int | float | str, unit: str, method: str) -> Metric:
        return Metric(
            name=name, value=value, unit=unit, tool=tool, tool_version=version, library=mapped.cells.name,
            library_sha256=mapped.cells.sha256, method=method, command=command, date=date,
        )  # fmt: skip

    return metric


def clocks_of(mapped: Mapped, internal: Mapping[str, int]) -> tuple[str, ...]:
    """Clock ports of a design: the crossings' first, then its internal ones (`Design.internal_clocks`).

    Raises
    ------
    ValueError
        The netlist was made with another factor: 1 has no internal clock, all others have.
    """
    for name in {INTERNAL_CLOCK: 1} | dict(internal):
        if (name in mapped.netlist.ports) != (name in internal):
            has = "no internal clock" if name in internal else "an internal clock"
            factor = internal.get(name, 1)
            raise ValueError(f"{mapped.folder} has {has} ({name}), which does not go with a reuse of {factor}")
    return ("clk", *internal)
