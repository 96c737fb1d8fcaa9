"""Tables beside the Verilog of a design: ports, registers, and the writes that load a chip, as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from sim.register_map import Field

__all__ = ["write_ports", "write_registers", "write_writes"]


def write_ports(folder: Path, ports: Iterable[tuple[str, str, int]], stem: str = "ports") -> None:
    """``ports.csv``, or by another name: name, direction and width in bits of each port of a component, as
    `hw.common.export.ports` gives them."""
    _write(folder / f"{stem}.csv", ("name", "direction", "width"), ports)


def write_registers(folder: Path, fields: Iterable[Field], stem: str = "registers") -> None:
    """``registers.csv``, or by another name: each field of a register map with its address, its lowest bit there, width
    and reset value."""
    rows = ((f.name, f.index, f"{f.address:#06x}", f.lsb, f.width, f"{f.reset:#x}") for f in fields)
    _write(folder / f"{stem}.csv", ("name", "index", "address", "lsb", "width", "reset"), rows)


def write_writes(folder: Path, writes: Iterable[tuple[int, int]], *, digits: int, stem: str = "writes") -> None:
    """``writes.csv``, or by another name: addresses (hexadecimal, of so many digits) and bytes that load a chip."""
    rows = ((f"{address:#0{digits + 2}x}", f"{data:#04x}") for address, data in writes)
    _write(folder / f"{stem}.csv", ("address", "data"), rows)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
