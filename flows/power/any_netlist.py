"""Power of anyone's mapped netlist: Verilog, Liberty and a VCD in, a dictionary out (keys: docs/method/power.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from flows.library.power_library import PowerLibrary, read_power_library
from flows.library.wires import wire_unit
from flows.netlist.delays import estimated_wires, wire_load
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import Netlist, read_netlist
from flows.netlist.view import Wires, prepare
from flows.power.activity import ActivityError, complete
from flows.power.spef import read_spef
from flows.power.summary import summarise
from flows.power.vcd import read_vcd

__all__ = ["netlist_power"]


def netlist_power(
    netlist_file: Path,
    liberty: Sequence[Path],
    vcd: Path,
    *,
    top: str | None = None,
    scope: str | None = None,
    clock: str | None = None,
    period_ns: float | None = None,
    spef: Path | None = None,
    glitch_clocks: int = 16,
    utilisation: float = 0.7,
) -> dict[str, Any]:
    """Power of a netlist from a recording.

    Parameters
    ----------
    netlist_file, liberty, vcd : Path
    top, scope, clock : str, optional
        Where they are not evident.
    period_ns : float, optional
        Clock period; as recorded where left out. Needed for netlists without a clock.
    spef : Path, optional
        Wires; else the library's default wire load, else none, which the result says.
    glitch_clocks : int
        Clocks replayed with delays. Of a recording with delays none are: it has its glitches itself.
    utilisation : float
        Cell area over core area, for the wires of the clock tree.

    Returns
    -------
    dict
        Plain types; keys in docs/method/power.md.
    """
    if period_ns is not None and not 0 < period_ns < inf:
        raise ValueError(f"period: expected a number of ns above 0, got {period_ns:g}")
    library = read_power_library(liberty)
    netlist = read_netlist(netlist_file, liberty=liberty, top=top)
    if netlist.cells == 0:
        raise ValueError(f"{netlist_file} holds no cells")
    probe = GateSimulator(netlist, library, words=1, clock=clock)
    activity = read_vcd(vcd, netlist, library, scope=scope, clock=probe.clock, period_ns=period_ns)
    simulator = GateSimulator(netlist, library, words=activity.before.shape[1], clock=probe.clock)
    activity = complete(activity, simulator)
    wires = _wires(netlist, library, liberty[0], spef, utilisation)
    view = prepare(netlist, library, simulator.level, wires, trees=simulator.clocks)
    enough = activity.annotated[netlist.used_nets].mean() > 0.9
    try:
        summary = summarise(
            simulator, activity, view, usable=list(library),
            glitch_clocks=0 if activity.with_delays or not enough else glitch_clocks,
        )  # fmt: skip
    except ActivityError as error:
        raise ActivityError(f"{vcd}: {error}") from None
    result = summary.to_dict()
    if netlist.left_out:
        kinds = ", ".join(sorted(netlist.left_out)[:4])
        result["notes"].append(
            f"{sum(netlist.left_out.values()):,} cells without signals that no library describes are left out ({kinds})"
        )
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in liberty]
    return {
        "design": netlist.top,
        "library": ", ".join(path.name for path in liberty),
        "library_sha256": digests[0] if len(digests) == 1 else digests,
        "voltage_v": library.voltage_v,
        "activity": activity.source,
        "clocks": activity.clocks,
        "duration_ns": activity.duration_ns,
        "cells": netlist.cells,
        "wires": wires.source,
        **result,
    }


def _wires(netlist: Netlist, library: PowerLibrary, liberty: Path, spef: Path | None, utilisation: float) -> Wires:
    """Wires from SPEF, else by the wire load of the library, else none."""
    area_um2 = sum(len(group.cells) * library[kind].area_um2 for kind, group in netlist.groups.items())
    unit, estimate = wire_unit([liberty]), wire_load(liberty)
    ff = ohm = np.zeros(netlist.nets)
    if spef is not None:
        ff, share = read_spef(spef, netlist, library)
        source = f"SPEF {spef.name}, {100 * share:.1f} % of the nets, without its resistances"
    elif estimate is not None:
        ff, ohm, source = estimated_wires(netlist, library, estimate, unit)
    else:
        source = "none: neither SPEF nor a wire load of the library"
    per_um = unit.ff_per_um if unit.process or estimate is None else estimate.capacitance_ff
    return Wires(ff=ff, ohm=ohm, ff_per_um=per_um, core_um2=max(area_um2, 1.0) / utilisation, source=source)
