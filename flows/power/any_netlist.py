"""Power of anyone's mapped netlist: Verilog, Liberty and a VCD in, a dictionary out (keys: docs/method/power.md)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.library.liberty_file import unpacked
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.delays import MAX_PINS, fanouts, pin_loads, propagate, wire_load
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import Netlist, read_netlist
from flows.power.activity import ActivityError, complete, read_vcd
from flows.power.summary import summarise

__all__ = ["netlist_power", "read_spef"]

Floats = npt.NDArray[np.float64]
_FARAD = {"FF": 1.0, "PF": 1e3, "NF": 1e6, "UF": 1e9}


def read_spef(path: Path, netlist: Netlist, library: PowerLibrary) -> tuple[Floats, float]:
    """Wire capacitance of each net in fF from the totals of a SPEF file (IEEE 1481), and the share of nets it names.

    A total counts what the file's ``*DESIGN_FLOW`` says; totals include the pins where ``PIN_CAP`` is not ``NONE``, and
    then the pins of `library` are taken off.

    Raises
    ------
    ValueError
        The file is no SPEF, or names no net of the netlist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no SPEF file {path}")
    text = unpacked(path).read_text(errors="replace")
    unit = re.search(r"^\*C_UNIT\s+([\d.eE+-]+)\s+(\w+)", text, re.MULTILINE)
    if unit is None or unit[2].upper() not in _FARAD:
        raise ValueError(f"{path} is no SPEF file: it has no *C_UNIT")
    scale = float(unit[1]) * _FARAD[unit[2].upper()]
    divider = (re.search(r"^\*DIVIDER\s+(\S)", text, re.MULTILINE) or [".", "."])[1]
    flow = re.search(r"^\*DESIGN_FLOW\s+(.*)$", text, re.MULTILINE)
    with_pins = flow is not None and "PIN_CAP" in flow[1] and "PIN_CAP NONE" not in flow[1]
    names = dict(re.findall(r"^(\*\d+)\s+(\S+)\s*$", text, re.MULTILINE))
    wires = np.zeros(netlist.nets)
    number = {_spelling(name): net for net, name in enumerate(netlist.net_names)}
    seen = 0
    pins = pin_loads(netlist, library)
    for token, total in re.findall(r"^\*D_NET\s+(\S+)\s+([\d.eE+-]+)", text, re.MULTILINE):
        name = names.get(token, token).replace(divider, ".")
        net = number.get(_spelling(name))
        if net is not None:
            seen += 1
            wires[net] = max(float(total) * scale - (pins[net] if with_pins else 0.0), 0.0)
    if not seen:
        raise ValueError(f"{path} names no net of {netlist.top}")
    return wires, seen / max(int(netlist.used_nets.sum()), 1)


def _spelling(name: str) -> str:
    return name.replace("\\", "").replace("/", ".")


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
    estimate = wire_load(liberty[0])
    wires = np.zeros(netlist.nets)
    source, per_um = "none: neither SPEF nor a wire load of the library", 0.0
    if estimate is not None:
        count = fanouts(netlist, library)
        wires = np.where(count > MAX_PINS, 0.0, estimate.of(count))
        source, per_um = f"wire load {estimate.name} of the library", estimate.capacitance_ff
    if spef is not None:
        wires, share = read_spef(spef, netlist, library)
        source = f"SPEF {spef.name}, {100 * share:.1f} % of the nets"
    slew = 0.25 if library.max_transition_ns is None else library.max_transition_ns / 2
    fixed = {} if simulator.clock is None else {int(netlist.ports[simulator.clock].nets[0]): slew}
    timing = propagate(
        netlist, library, simulator.level, wire_ff=wires, max_slew_ns=library.max_transition_ns, fixed_slew_ns=fixed
    )
    area = sum(len(group.cells) * library[kind].area_um2 for kind, group in netlist.groups.items())
    try:
        summary = summarise(
            simulator, activity, timing, area_um2=max(area, 1.0) / utilisation, wire_ff_per_um=per_um,
            usable=list(library), tree_slew_ns=slew, wire_ff=wires,
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
        "wires": source,
        **summary.to_dict(),
    }
