"""Power of anyone's mapped netlist: Verilog, Liberty and a VCD in, a dictionary out (keys: docs/method/power.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flows.library.power_library import PowerLibrary, read_power_library
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
        Clocks replayed with delays. A recording that has glitches itself (with delays annotated) needs none.
    utilisation : float
        Cell area over core area, for the wires of the clock tree.

    Returns
    -------
    dict
        Plain types; keys in docs/method/power.md.
    """
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
    try:
        summary = summarise(
            simulator, activity, view, usable=list(library),
            glitch_clocks=glitch_clocks if activity.annotated[netlist.used_nets].mean() > 0.9 else 0,
        )  # fmt: skip
    except ActivityError as error:
        raise ActivityError(f"{vcd}: {error}") from None
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
        **summary.to_dict(),
    }


def _wires(netlist: Netlist, library: PowerLibrary, liberty: Path, spef: Path | None, utilisation: float) -> Wires:
    """Wires from SPEF, else by the wire load of the library, else none."""
    area_um2 = sum(len(group.cells) * library[kind].area_um2 for kind, group in netlist.groups.items())
    estimate = wire_load(liberty)
    if spef is not None:
        ff, share = read_spef(spef, netlist, library)
        source = f"SPEF {spef.name}, {100 * share:.1f} % of the nets"
    elif estimate is not None:
        ff, source = estimated_wires(netlist, library, estimate), f"wire load {estimate.name} of the library"
    else:
        ff, source = np.zeros(netlist.nets), "none: neither SPEF nor a wire load of the library"
    return Wires(
        ff=ff, ff_per_um=0.0 if estimate is None else estimate.capacitance_ff,
        core_um2=max(area_um2, 1.0) / utilisation, source=source,
    )  # fmt: skip
