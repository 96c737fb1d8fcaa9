"""Clock gates in front of clock gates: where many of a module seldom open, their own clock stands still, too.

A gate of few flip-flops costs the energy of its clock pin, and of the tree up to it, in every clock. Gates of one clock
and module get a common one that opens with any of them, and so do instances whose clock does nothing but feed gates,
unless they are replicas: what stops a common gate would stop all of them.
Every flip-flop sees the same pulses as before: a gate behind another holds its enable while the clock is high, and both
open for the same clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flows.library.cells import LibertyCell
from flows.synthesis.gates import FEWEST, GatePins, any_of, common_gate, free_nets, gate_pins, parts
from flows.synthesis.result import is_design

__all__ = ["nest_clock_gates"]

ASKED = "clock_wanted"
"""Output port of a module of which a gate outside asks whether one of the gates inside opens."""


def nest_clock_gates(
    modules: Mapping[str, dict[str, Any]], cells: Mapping[str, LibertyCell], *, apart: Collection[str] = ()
) -> int:
    """Put clock gates in front of those of each module that have one clock, and of instances that have but gates.

    Up to 16 stand behind each, at least four. Gates that stand behind one already are left as they are.

    Parameters
    ----------
    modules : mapping
        Modules of a JSON netlist of yosys, with clock gates of the library; changed in place.
    cells : mapping of str to LibertyCell
        Of the library.
    apart : collection of str
        Modules whose instances have no gate in common: replicas.

    Returns
    -------
    int
        How many were added.
    """
    pins = gate_pins(cells)
    asking: dict[str, _Asking] = {}
    added = 0
    for name in _children_first(modules):
        body = modules[name]
        free = free_nets(body)
        added += _in_front_of_instances(body, modules, asking, free)
        added += _in_front_of_gates(body, pins, free)
        if name not in apart and (found := _only_gates(body, pins)) is not None:
            asking[name] = found
    return added


def _children_first(modules: Mapping[str, dict[str, Any]]) -> list[str]:
    """Names of all modules with contents, each after those that it instantiates."""
    order: dict[str, None] = {}

    def walk(name: str) -> None:
        if name in order or not is_design(modules[name]):
            return
        for cell in modules[name]["cells"].values():
            if cell["type"] in modules:
                walk(cell["type"])
        order[name] = None

    for name in modules:
        walk(name)
    return list(order)


def _in_front_of_gates(body: dict[str, Any], pins: Mapping[str, GatePins], free: Iterator[int]) -> int:
    """Common gates in a module; how many."""
    gates = [cell for cell in body["cells"].values() if cell["type"] in pins]
    behind = {gate["connections"][pins[gate["type"]].out][0] for gate in gates}
    groups: dict[tuple[str, Any], list[dict[str, Any]]] = defaultdict(list)
    for gate in gates:
        clock = gate["connections"][pins[gate["type"]].clock][0]
        if clock not in behind:
            groups[gate["type"], clock].append(gate)
    added = 0
    for (kind, _), group in groups.items():
        if len(group) >= FEWEST:
            for part in parts(group):
                common_gate(body, pins[kind], part, free)
                added += 1
    return added


@dataclass(frozen=True, kw_only=True)
class _Asking:
    """A module whose clock feeds gates alone.

    Attributes
    ----------
    port : str
        Its clock.
    gate : dict
        One of the gates.
    pins : GatePins
        Of that gate.
    enables : list
        Nets of all their enables.
    """

    port: str
    gate: dict[str, Any]
    pins: GatePins
    enables: list[Any]


def _only_gates(body: Mapping[str, Any], pins: Mapping[str, GatePins]) -> _Asking | None:
    """What a module asks for whose clock feeds gates of one type alone; None for any other."""
    readers: dict[Any, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for cell in body["cells"].values():
        for pin, bits in cell["connections"].items():
            for bit in bits:
                readers[bit].append((cell, pin))
    if ASKED in body["ports"] or ASKED in body["netnames"]:
        return None
    passed_on = {bit for port in body["ports"].values() if port["direction"] != "input" for bit in port["bits"]}
    for name, port in body["ports"].items():
        if port["direction"] != "input" or len(port["bits"]) != 1 or port["bits"][0] in passed_on:
            continue
        found = readers[port["bits"][0]]
        kinds = {cell["type"] for cell, _ in found}
        if len(kinds) != 1 or not kinds <= pins.keys():
            continue
        own, gate = pins[kinds.pop()], found[0][0]
        others = gate["connections"].keys() - {own.clock, own.enable, own.out}
        constant = all(isinstance(bit, str) for pin in others for bit in gate["connections"][pin])
        if constant and all(pin == own.clock for _, pin in found):
            enables = [cell["connections"][own.enable][0] for cell, _ in found]
            return _Asking(port=name, gate=gate, pins=own, enables=enables)
    return None


def _in_front_of_instances(
    body: dict[str, Any], modules: Mapping[str, dict[str, Any]], asking: Mapping[str, _Asking], free: Iterator[int]
) -> int:
    """Gates in front of instances of modules that have gates alone; how many."""
    groups: dict[tuple[str, Any], list[dict[str, Any]]] = defaultdict(list)
    for cell in body["cells"].values():
        if (wants := asking.get(cell["type"])) is not None:
            groups[wants.gate["type"], cell["connections"][wants.port][0]].append(cell)
    added = 0
    for (kind, clock), instances in groups.items():
        if len(instances) < FEWEST:
            continue
        pins = asking[instances[0]["type"]].pins
        for part in parts(instances):
            enables = []
            for cell in part:
                wanted = next(free)
                _ask(modules[cell["type"]], asking[cell["type"]])
                cell.setdefault("port_directions", {})[ASKED] = "output"
                cell["connections"][ASKED] = [wanted]
                enables.append(wanted)
            enable, gated = next(free), next(free)
            any_of(body, enables, enable)
            gate = asking[part[0]["type"]].gate
            connections = {**gate["connections"], pins.clock: [clock], pins.enable: [enable], pins.out: [gated]}
            body["cells"][f"$common_clock_gate${gated}"] = {
                **gate, "type": kind, "connections": connections, "attributes": {},
            }  # fmt: skip
            for cell in part:
                cell["connections"][asking[cell["type"]].port] = [gated]
            added += 1
    return added


def _ask(body: dict[str, Any], wants: _Asking) -> None:
    """The output port of a module that says whether one of its gates opens."""
    if ASKED in body["ports"]:
        return
    wanted = next(free_nets(body))
    any_of(body, wants.enables, wanted)
    body["ports"][ASKED] = {"direction": "output", "bits": [wanted]}
    body["netnames"][ASKED] = {"hide_name": 0, "bits": [wanted], "attributes": {}}
