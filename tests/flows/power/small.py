"""Netlists of a few cells of the toy library, and what their nets did."""

from pathlib import Path

import numpy as np

from flows.library.library import CellLibrary
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.gate_simulation import GateSimulator, from_lanes
from flows.netlist.netlist import Netlist, read_netlist
from flows.power.activity import Activity
from tests.flows.toy_library import TOY


def design(
    text: str, folder: Path, library: CellLibrary | None = None, cells: str = ""
) -> tuple[Netlist, PowerLibrary]:
    """A netlist of a library, or of the toy library with further cells."""
    if library is None:
        (folder / "toy.lib").write_text(TOY.rstrip().removesuffix("}") + cells + "}\n")
        files = [folder / "toy.lib"]
    else:
        files = list(library.liberty)
    (folder / "d.v").write_text(text)
    return read_netlist(folder / "d.v", liberty=files), read_power_library(files)


def activity_of(sim: GateSimulator, before: np.ndarray, after: np.ndarray, *, period_ns: float = 10.0) -> Activity:
    """64 pairs of settled states, bits of shape (ports' bits in order, 64); rates follow from the pairs."""
    rows = []
    nets = np.concatenate([p.nets for p in sim.netlist.ports.values() if p.direction == "input"])
    for bits in (before, after):
        sim.values[nets] = from_lanes(bits)
        sim.evaluate()
        rows.append(sim.values.copy())
    toggled = np.array([int(w[0]).bit_count() for w in rows[0] ^ rows[1]]) / 64
    return Activity(
        toggles_per_ns=toggled / period_ns, duty=np.full(sim.rows, 0.5), annotated=np.ones(sim.netlist.nets, bool),
        before=rows[0], after=rows[1], mask=np.full(1, 2**64 - 1, np.uint64),
        clock=None if sim.clock is None else int(sim.netlist.ports[sim.clock].nets[0]), period_ns=period_ns,
        clocks=64, duration_ns=640.0, source="test",
    )  # fmt: skip


def lanes(*shares: float) -> np.ndarray:
    """Bits whose share of ones is as given, independent enough for hand counts: the first share * 64 lanes."""
    return np.stack([np.arange(64) < round(64 * share) for share in shares])
