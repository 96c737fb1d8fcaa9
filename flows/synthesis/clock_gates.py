"""Clock gates in front of clock gates: where many of a module seldom open, their own clock stands still, too.

A gate of few flip-flops costs the energy of its clock pin, and of the tree up to it, in every clock. Gates of one clock
and module get a common one that opens with any of them. Every flip-flop sees the same pulses as before: a gate behind
another holds its enable while the clock is high, and both open for the same clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import count
from math import ceil
from typing import Any

from flows.library.cells import LibertyCell
from flows.synthesis.result import is_design

__all__ = ["nest_clock_gates"]

FEWEST, MOST = 4, 16
"""Gates behind a common one."""


def nest_clock_gates(modules: Mapping[str, dict[str, Any]], cells: Mapping[str, LibertyCell]) -> int:
    """Put clock gates in front of those of each module that have one clock, up to 16 behind each.

    Parameters
    ----------
    modules : mapping
        Modules of a JSON netlist of yosys, with clock gates of the library; changed in place.
    cells : mapping of str to LibertyCell
        Of the library.

    Returns
    -------
    int
        How many were added.
    """
    roles = {
        name: {pin.gate_role: pin.name for pin in cell.pins.values() if pin.gate_role is not None}
        for name, cell in cells.items()
    }
    added = 0
    for body in modules.values():
        if not is_design(body):
            continue
        groups: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        for gate in body["cells"].values():
            pins = roles.get(gate["type"], {})
            if {"clock", "enable", "out"} <= pins.keys():
                groups[gate["type"], str(gate["connections"][pins["clock"]])].append(gate)
        large = [(kind, gates) for (kind, _), gates in groups.items() if len(gates) >= FEWEST]
        if not large:
            continue
        free = count(_free_net(body))
        for kind, gates in large:
            parts = ceil(len(gates) / MOST)
            for number in range(parts):
                children = gates[number * len(gates) // parts : (number + 1) * len(gates) // parts]
                _put_in_front(body, roles[kind], children, free)
                added += 1
    return added


def _put_in_front(
    body: dict[str, Any], pins: Mapping[str, str], children: list[dict[str, Any]], free: Iterator[int]
) -> None:
    """A gate in front of some of a module, with the OR of their enables."""
    enable, clock = next(free), next(free)
    enables = [gate["connections"][pins["enable"]][0] for gate in children]
    connections = {pin: list(bits) for pin, bits in children[0]["connections"].items()}
    connections |= {pins["enable"]: [enable], pins["out"]: [clock]}
    name = f"$nested_clock_gate${len(body['cells'])}"
    body["cells"][name] = {**children[0], "connections": connections, "attributes": {}}
    body["cells"][f"{name}$any"] = {
        "hide_name": 1, "type": "$reduce_or", "attributes": {},
        "parameters": {"A_SIGNED": f"{0:032b}", "A_WIDTH": f"{len(enables):032b}", "Y_WIDTH": f"{1:032b}"},
        "port_directions": {"A": "input", "Y": "output"}, "connections": {"A": enables, "Y": [enable]},
    }  # fmt: skip
    for gate in children:
        gate["connections"][pins["clock"]] = [clock]


def _free_net(body: dict[str, Any]) -> int:
    """The number from which on a module has no net."""
    nets = [net["bits"] for net in (*body["ports"].values(), *body["netnames"].values())]
    nets += [bits for cell in body["cells"].values() for bits in cell["connections"].values()]
    return 1 + max((bit for bits in nets for bit in bits if isinstance(bit, int)), default=1)
