"""A modelled clock tree: buffers and wires that no netlist holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np

from flows.library.power_library import PowerCell, PowerLibrary

__all__ = ["ClockTree", "clock_tree"]


TREE_LENGTH = 0.82
"""Length of a rectilinear minimal spanning tree of n random points in area A, over sqrt(n A). That the length grows as
sqrt(n A): J. Beardwood, J. H. Halton, J. M. Hammersley, The shortest path through many points, 1959; the constant is
what tests/flows/power/test_power.py measures."""


# --- clock tree -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ClockTree:
    """A tree of buffers from one root to all clock pins.

    Attributes
    ----------
    buffer : str
    levels : tuple of int
        Buffers per level, leaves first.
    sinks : int
    sinks_per_buffer : int
        Of the leaf level.
    wire_um : float
    wire_ff, pin_ff : float
        Wire; clock pins of sinks and buffers.
    energy_fj : float
        Per clock: C V^2 of everything, and two transitions of every buffer.
    leakage_nw : float
    area_um2 : float
    """

    buffer: str
    levels: tuple[int, ...]
    sinks: int
    sinks_per_buffer: int
    wire_um: float
    wire_ff: float
    pin_ff: float
    energy_fj: float
    leakage_nw: float
    area_um2: float

    @property
    def buffers(self) -> int:
        """All buffers."""
        return sum(self.levels)


def buffers_of(library: PowerLibrary, usable: Sequence[str]) -> list[PowerCell]:
    """Non-inverting cells of one input and one output."""
    found = []
    for name in usable:
        cell = library[name]
        single = cell.storage is None and len(cell.inputs) == 1 and len(cell.outputs) == 1
        if single and cell.pins[cell.outputs[0]].function == cell.inputs[0]:
            found.append(cell)
    return found


def _drive(cell: PowerCell, slew_ns: float) -> float:
    """Largest load in fF that a buffer moves within a transition time, from its tables; at most its maximum."""
    most = cell.pins[cell.outputs[0]].max_capacitance_ff or np.inf
    tables = [table for arc in cell.timing for table in arc.transition if table is not None]
    if not tables:
        return 0.0
    limit = min(most, max(float(table.load_ff[-1]) for table in tables))

    def slowest(load: float) -> float:
        return max(float(table.at(slew_ns, load)) for table in tables)

    if slowest(limit) <= slew_ns:
        return limit
    low, high = 0.0, limit
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if slowest(middle) <= slew_ns else (low, middle)
    return low


def clock_tree(
    library: PowerLibrary,
    *,
    sinks: int,
    sink_ff: float,
    area_um2: float,
    wire_ff_per_um: float,
    slew_ns: float,
    usable: Sequence[str],
    fill: float = 0.8,
    voltage_v: float | None = None,
) -> ClockTree:
    """The cheapest tree of one kind of buffer that meets a transition time.

    A buffer drives k sinks of its level, and the wire to them: `TREE_LENGTH` * sqrt(k * k area / n), k / n being its
    share of the area. Levels are added until one buffer is left. Balancing wires for equal delay is not modelled.

    Parameters
    ----------
    library : PowerLibrary
    sinks : int
        Clock pins.
    sink_ff : float
        Mean capacitance of one.
    area_um2 : float
        Area over which they are spread.
    wire_ff_per_um : float
    slew_ns : float
        Transition time to meet at every pin.
    usable : sequence of str
        Cells that may be chosen.
    fill : float
        Share of a buffer's drive that clusters fill on average.
    voltage_v : float, optional
        The library's own otherwise.

    Raises
    ------
    ValueError
        No buffer can drive even two sinks.
    """
    volt = library.voltage_v if voltage_v is None else voltage_v
    best: ClockTree | None = None
    for cell in buffers_of(library, usable):
        drive = fill * _drive(cell, slew_ns)
        pin = cell.pins[cell.inputs[0]]
        arcs = [arc for arc in cell.power if arc.pin == cell.outputs[0]]
        levels: list[int] = []
        count, each = sinks, sink_ff
        wire_um = pin_ff = energy = 0.0
        first = 0
        while not levels or levels[-1] > 1:
            span = TREE_LENGTH * sqrt(area_um2 / count)
            # a load that is exactly what a buffer drives does not fall to the last digit of a unit
            per_buffer = int(drive / (each + span * wire_ff_per_um) * (1 + 1e-9)) if count > 1 else 1
            if per_buffer < 2 and count > 1:
                break
            first = first or per_buffer
            number = ceil(count / per_buffer)
            load = count / number * (each + span * wire_ff_per_um)
            wire_um += count * span
            pin_ff += count * each
            energy += 2 * number * sum(float(arc.energy(slew_ns, load)) for arc in arcs)
            levels.append(number)
            count, each = number, pin.capacitance_ff
        else:
            wire_ff = wire_um * wire_ff_per_um
            energy += (wire_ff + pin_ff) * volt * volt
            leakage = sum(levels) * _mean_leakage(cell)
            tree = ClockTree(
                buffer=cell.name, levels=tuple(levels), sinks=sinks, sinks_per_buffer=first, wire_um=wire_um,
                wire_ff=wire_ff, pin_ff=pin_ff, energy_fj=energy, leakage_nw=leakage,
                area_um2=sum(levels) * cell.area_um2,
            )  # fmt: skip
            if best is None or tree.energy_fj < best.energy_fj:
                best = tree
    if best is None:
        raise ValueError(f"no buffer of the library drives two clock pins of {sink_ff:g} fF within {slew_ns:g} ns")
    return best


def _mean_leakage(cell: PowerCell) -> float:
    if cell.default_leakage_nw is not None:
        return cell.default_leakage_nw
    return float(sum(np.mean([state.leakage_nw for state in states]) for states in cell.leakage))


def tree_spread(
    library: PowerLibrary, slew_ns: float, tree: ClockTree, options: Mapping[str, Any]
) -> tuple[float, float]:
    """Energy per clock in fJ of a lean and a generous tree, less that of the tree."""
    lean = clock_tree(library, slew_ns=slew_ns, **{**options, "wire_ff_per_um": 0.0, "fill": 1.0})
    wide = clock_tree(
        library, slew_ns=slew_ns, **{**options, "wire_ff_per_um": 1.5 * options["wire_ff_per_um"], "fill": 0.5}
    )
    return lean.energy_fj - tree.energy_fj, wide.energy_fj - tree.energy_fj
