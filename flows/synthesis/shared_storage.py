"""Words that are written one at a time: latches behind one common flip-flop, in place of a flip-flop for each bit.

A flip-flop is two latches. Where many of them take the same data, each under a clock gate of its own, the first of the
two does the same in all of them; here they share it, as the memories of standard cells do (A. Teman et al., Power, area
and performance optimization of standard cell memory arrays through controlled placement, ACM TODAES 21, 2016). A
flip-flop takes the data whenever one of the words is written. A latch for each word is open while its gated clock is
high, so that it has the data from the same edge on, and closed when the flip-flop moves again: for all that sees the
words nothing has changed. They leak half as much, and what the data do until they are right stays in front of the
flip-flop.

Latches have no reset here, so that flip-flops with one stay what they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from flows.library.cells import LibertyCell
from flows.synthesis.gates import FEWEST, GatePins, common_gate, free_nets, gate_pins, parts
from flows.synthesis.result import is_design

__all__ = ["share_storage"]


def share_storage(modules: Mapping[str, dict[str, Any]], cells: Mapping[str, LibertyCell]) -> int:
    """Turn flip-flops that share their data into latches, where at least four clock gates do not open together.

    Parameters
    ----------
    modules : mapping
        Modules of a JSON netlist of yosys, with clock gates of the library and generic flip-flops; changed in place.
    cells : mapping of str to LibertyCell
        Of the library.

    Returns
    -------
    int
        How many latches there are. None where the library has no latch.
    """
    if not any(cell.kind == "latch" and not cell.dont_use for cell in cells.values()):
        return 0
    pins = gate_pins(cells)
    return sum(_share(body, pins) for body in modules.values() if is_design(body))


def _share(body: dict[str, Any], pins: Mapping[str, GatePins]) -> int:
    """The same in one module."""
    gate_of = {
        cell["connections"][pins[cell["type"]].out][0]: cell for cell in body["cells"].values() if cell["type"] in pins
    }
    # words: the bits that stand behind one gate, by their data
    words: dict[int, dict[Any, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for cell in body["cells"].values():
        if cell["type"] == "$_DFF_P_" and cell["connections"]["C"][0] in gate_of:
            words[cell["connections"]["C"][0]][cell["connections"]["D"][0]].append(cell)
    # gates that write the same data from one clock
    groups: dict[Any, list[int]] = defaultdict(list)
    for clock, bits in words.items():
        gate = gate_of[clock]
        source = gate["connections"][pins[gate["type"]].clock][0]
        groups[gate["type"], source, frozenset(bits)].append(clock)
    free, latches = free_nets(body), 0
    for (kind, _, data), clocks in groups.items():
        if len(clocks) < FEWEST:
            continue
        for chosen in parts(clocks):
            written = common_gate(body, pins[kind], [gate_of[clock] for clock in chosen], free)
            for bit in sorted(data, key=str):
                latches += _behind_one(body, [cell for clock in chosen for cell in words[clock][bit]], written, free)
    return latches


def _behind_one(body: dict[str, Any], flip_flops: list[dict[str, Any]], clock: int, free: Iterator[int]) -> int:
    """Flip-flops of the same data become latches behind one at a clock; how many."""
    taken = next(free)
    first = flip_flops[0]
    body["cells"][f"$shared_storage${taken}"] = {
        **first, "attributes": {}, "connections": {**first["connections"], "C": [clock], "Q": [taken]},
    }  # fmt: skip
    for cell in flip_flops:
        connections = cell["connections"]
        cell["type"] = "$_DLATCH_P_"
        cell["port_directions"] = {"E": "input", "D": "input", "Q": "output"}
        cell["connections"] = {"E": connections["C"], "D": [taken], "Q": connections["Q"]}
    return len(flip_flops)
