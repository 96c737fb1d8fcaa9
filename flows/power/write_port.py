"""Bytes into the registers of a netlist in gate simulation, each stream its own: through a port, or into its banks.

Of a chip behind a bus the write ports of its banks are held from outside, since the bus would take some hundred clocks
for each byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import Instance, Netlist

__all__ = [
    "Words", "banks_of", "evaluate_only", "free_ports", "hold_ports", "same_bits", "swap_all", "write_into_banks",
    "write_through_port",
]  # fmt: skip

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


def banks_of(netlist: Netlist, prefix: str) -> list[Instance]:
    """Children of the top module by the beginning of their names."""
    return [i for i in netlist.instances if len(i.path) == 1 and i.path[0].startswith(prefix)]


def hold_ports(simulator: GateSimulator, banks: Sequence[Instance], **values: Words) -> None:
    """One clock with these ports of all banks held from outside, as copies of a bank need it."""
    held = [(name, bank.names[name]) for bank in banks for name in values]
    nets, first = np.unique(np.concatenate([found for _, found in held]), return_index=True)
    put = np.concatenate([values[name] for name, _ in held])[first]
    none = np.zeros((len(nets), simulator.words), np.uint64)
    simulator.fault(nets.tolist(), keep=none, put=put, flip=none)
    simulator.step()


def free_ports(simulator: GateSimulator) -> None:
    """Nothing is held any longer."""
    nothing = np.zeros((0, simulator.words), np.uint64)
    simulator.fault([], keep=nothing, put=nothing, flip=nothing)


def write_into_banks(simulator: GateSimulator, banks: Sequence[Instance]) -> Callable[[int, Words], None]:
    """Writing a byte at the write ports of the banks, all copies at once.

    Raises
    ------
    ValueError
        If a bank has no such port.
    """
    if missing := [name for name in ("write_address", "write_enable", "write_data") if name not in banks[0].names]:
        raise ValueError(f"bank {banks[0].path[0]} has no port {missing[0]}")

    def write(address: int, data: Words) -> None:
        hold_ports(
            simulator, banks, write_address=same_bits(address, 16, simulator.words),
            write_enable=same_bits(1, 1, simulator.words), write_data=data,
        )  # fmt: skip

    return write


def swap_all(simulator: GateSimulator) -> None:
    """All parts of the shadow bank into the banks, in one clock: nothing is on its way."""
    banks = banks_of(simulator.netlist, "registers")
    parts = len(banks[0].names["swap"])
    evaluate_only(simulator, "registers")
    hold_ports(simulator, banks, swap=same_bits((1 << parts) - 1, parts, simulator.words))
