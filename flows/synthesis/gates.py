"""Clock gates of a library in a JSON netlist of yosys: their pins, and a gate in front of some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Any, TypeVar

from flows.library.cells import LibertyCell

__all__ = ["FEWEST", "GatePins", "any_of", "common_gate", "free_nets", "gate_pins", "parts"]

Item = TypeVar("Item")

FEWEST, MOST = 4, 16
"""Gates behind a common one."""


@dataclass(frozen=True, kw_only=True)
class GatePins:
    """Names of the pins of a clock gate."""

    clock: str
    enable: str
    out: str


def gate_pins(cells: Mapping[str, LibertyCell]) -> dict[str, GatePins]:
    """Pins of each clock gate of a library, by cell."""
    found = {}
    for name, cell in cells.items():
        roles = {pin.gate_role: pin.name for pin in cell.pins.values() if pin.gate_role is not None}
        if {"clock", "enable", "out"} <= roles.keys():
            found[name] = GatePins(clock=roles["clock"], enable=roles["enable"], out=roles["out"])
    return found


def parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """What stands behind one gate each: at most 16, as equal in number as can be."""
    number = ceil(len(items) / MOST)
    for part in range(number):
        yield items[part * len(items) // number : (part + 1) * len(items) // number]


def common_gate(body: dict[str, Any], pins: GatePins, gates: Sequence[dict[str, Any]], free: Iterator[int]) -> int:
    """A gate that opens with any of some gates of one clock, which stand behind it from now on; its clock."""
    (enable, clock), first = (next(free), next(free)), gates[0]
    connections = {**first["connections"], pins.enable: [enable], pins.out: [clock]}
    body["cells"][f"$common_clock_gate${clock}"] = {**first, "connections": connections, "attributes": {}}
    any_of(body, [gate["connections"][pins.enable][0] for gate in gates], enable)
    for gate in gates:
        gate["connections"][pins.clock] = [clock]
    return clock


def any_of(body: dict[str, Any], nets: Sequence[Any], result: int) -> None:
    """The OR of some nets as a generic cell."""
    body["cells"][f"$any_enable${result}"] = {
        "hide_name": 1, "type": "$reduce_or", "attributes": {},
        "parameters": {"A_SIGNED": f"{0:032b}", "A_WIDTH": f"{len(nets):032b}", "Y_WIDTH": f"{1:032b}"},
        "port_directions": {"A": "input", "Y": "output"}, "connections": {"A": list(nets), "Y": [result]},
    }  # fmt: skip


def free_nets(body: Mapping[str, Any]) -> Iterator[int]:
    """Numbers of nets that a module does not have yet."""
    nets = [net["bits"] for net in (*body["ports"].values(), *body["netnames"].values())]
    nets += [bits for cell in body["cells"].values() for bits in cell["connections"].values()]
    return count(1 + max((bit for bits in nets for bit in bits if isinstance(bit, int)), default=1))
