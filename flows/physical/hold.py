"""Hold: buffers in front of registers whose data may come too soon at a fast corner.

Which those are OpenSTA says, on the placed netlist with its wires, and again after each round. A pin
gets as many of the library's smallest buffers as its slack asks for, beside its cell, so that no other pin is slower
for it. What that costs at setup, timing says afterwards.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.library.library import CellLibrary
from flows.library.power_library import PowerLibrary
from flows.netlist.netlist import Netlist
from flows.netlist.view import Wires
from flows.physical.place import Placement
from flows.physical.repair import Buffer, Repair
from flows.physical.timing import ClockPlan, constrained, derated, read_design
from flows.tools.opensta import run_sta

__all__ = ["HoldCorner", "hold_repair", "hold_slacks"]

_MOST = 30
"""Buffers in a row, at most; the next round finds what is left."""
_ENDS = [
    "foreach end [find_timing_paths -path_delay min -group_count 1000000 -slack_max 0] {",
    '  puts "hold_of [get_property [get_property $end endpoint] full_name] [get_property $end slack]"',
    "}",
]


@dataclass(frozen=True, kw_only=True)
class HoldCorner:
    """Where hold is judged.

    Attributes
    ----------
    liberty : tuple of Path
        Files of the fast corner, or of the typical one.
    early : float
        Factor of all their delays: below 1 where a fast corner is assumed.

    Raises
    ------
    ValueError
        The factor is not above 0, or above 1.
    """

    liberty: tuple[Path, ...]
    early: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.early <= 1:
            raise ValueError(f"early: expected above 0 to 1, got {self.early}")


def hold_slacks(
    netlist: Netlist, library: PowerLibrary, clocks: ClockPlan, corner: HoldCorner, wires: Wires, *,
    driving_cell: str | None = None, port_load_ff: float = 0.0, timeout_s: float = 900.0,
) -> dict[tuple[int, str], float]:  # fmt: skip
    """Negative hold slacks in ns by (cell, pin) of registers; ports are left to their surroundings."""
    with tempfile.TemporaryDirectory(prefix="liquidcal-hold-") as folder:
        work = Path(folder)
        lines = constrained(
            work, netlist, library, clocks, wire_ff=wires.ff, wire_ohm=wires.ohm, driving_cell=driving_cell,
            port_load_ff=port_load_ff,
        )  # fmt: skip
        lines = [*read_design(corner.liberty), *lines, *derated(corner.early)]
        result = run_sta(lines, reports={"hold": _ENDS}, directory=work, name="hold", timeout_s=timeout_s)
    found: dict[tuple[int, str], float] = {}
    for cell, pin, slack in re.findall(r"^hold_of c(\d+)/(\S+) (-?[\d.e+-]+)$", result["hold"], re.MULTILINE):
        at = int(cell), pin
        if float(slack) < 0:
            found[at] = min(found.get(at, 0.0), float(slack))
    return found


def buffer_ns(cells: CellLibrary, library: PowerLibrary) -> float:
    """Delay of the library's smallest buffer into another one, the faster edge, at a short transition."""
    cell, pin = library[cells.buffer[0]], cells.buffer[1]
    load = np.array([cell.pins[pin].capacitance_ff])
    slew = np.array([0.0])
    delays = [
        float(table.at(slew, load)[0])
        for arc in cell.timing
        if arc.pin == cells.buffer[2]
        for table in arc.delay
        if table is not None
    ]
    return min(delays)


def hold_repair(
    netlist: Netlist, cells: CellLibrary, library: PowerLibrary, placement: Placement,
    slacks: Mapping[tuple[int, str], float], corner: HoldCorner,
) -> Repair:  # fmt: skip
    """Buffers in front of pins whose slack is negative, so many that the faster edge of each makes up for it.

    Raises
    ------
    ValueError
        A pin is none of the netlist.
    """
    kind, each = cells.buffer[0], corner.early * buffer_ns(cells, library)
    nets = _nets_at(netlist, list(slacks))
    by_stage: dict[int, list[tuple[int, str]]] = {}
    for cell, pin in sorted(slacks):
        by_stage.setdefault(int(netlist.cell_stage[cell]), []).append((cell, pin))
    buffers: list[Buffer] = []
    moved: list[tuple[int, str, int]] = []
    for stage in sorted(by_stage):
        for cell, pin in by_stage[stage]:
            source = nets[cell, pin]
            for _ in range(min(_MOST, math.ceil(-slacks[cell, pin] / each))):
                target = netlist.nets + len(buffers)
                buffers.append(
                    Buffer(
                        type=kind, stage=stage, source=source, target=target, x_um=float(placement.x_um[cell]),
                        y_um=float(placement.y_um[cell]),
                    )
                )  # fmt: skip
                source = target
            moved.append((cell, pin, source))
    return Repair(cells=netlist.cells, nets=netlist.nets, buffers=tuple(buffers), moved_pins=tuple(moved))


def _nets_at(netlist: Netlist, pins: Sequence[tuple[int, str]]) -> dict[tuple[int, str], int]:
    wanted: dict[int, list[str]] = {}
    for cell, pin in pins:
        wanted.setdefault(cell, []).append(pin)
    found: dict[tuple[int, str], int] = {}
    for group in netlist.groups.values():
        for row in np.flatnonzero(np.isin(group.cells, np.fromiter(wanted, np.int64, len(wanted)))):
            cell = int(group.cells[row])
            found |= {(cell, pin): int(group.pin(pin)[row]) for pin in wanted[cell]}
    if missing := sorted(set(pins) - {at for at, net in found.items() if net >= 0}):
        raise ValueError(f"no cell {missing[0][0]} with a net at its pin {missing[0][1]}")
    return found
