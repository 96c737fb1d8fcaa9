"""The write port of a netlist in gate simulation: bytes into registers, each stream its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from flows.netlist.gate_simulation import GateSimulator

__all__ = ["Words", "evaluate_only", "same_bits", "write_through_port"]

Words = npt.NDArray[np.uint64]


def evaluate_only(simulator: GateSimulator, prefix: str) -> None:
    """Evaluate only what the stages with this prefix need."""
    netlist = simulator.netlist
    wanted = [number for number, stage in enumerate(netlist.stages) if stage.startswith(prefix)]
    inside = np.isin(netlist.cell_stage[simulator.storage_cells], wanted)
    simulator.restrict(np.flatnonzero(inside).tolist())


def same_bits(value: int, width: int, words: int) -> Words:
    """A number on `width` nets, the same in all streams."""
    bits = np.array([value >> bit & 1 for bit in range(width)], np.uint64)
    return np.broadcast_to((np.uint64(0) - bits)[:, None], (width, words))


def write_through_port(simulator: GateSimulator) -> Callable[[int, Words], None]:
    """Writing a byte through the write port of a design."""
    simulator.set_port("write_enable", same_bits(1, 1, simulator.words))

    def write(address: int, data: Words) -> None:
        simulator.set_port("write_address", same_bits(address, 16, simulator.words))
        simulator.set_port("write_data", data)
        simulator.step()

    return write
