"""Settings and weights behind a byte-wide write port."""

from collections.abc import Callable, Sequence
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.storage_cell import StorageCell

__all__ = ["RegisterField", "RegisterFile"]

_COLUMN_BITS = 4
"""Low address bits that pick a byte within a row."""


class RegisterField(Protocol):
    """What `RegisterFile` reads of a field of a register map."""

    name: str
    index: int
    address: int
    lsb: int
    width: int
    reset: int


class RegisterFile(Component):
    """Bytes of flip-flops at the addresses of a register map; written byte by byte, read all at once.

    A write at a clock edge with `write_enable` shows at the outputs after that edge. Addresses and bits that belong
    to no field are ignored. There is no read-back.

    The address is decoded in two levels, rows of 16 bytes and bytes within a row, so that a byte costs one AND gate.
    Each byte is a `cell` of its own, which is where schemes of protection against upsets go.

    Throughput one write per clock, no flow control: every write is taken. Reset: the reset value of every field,
    asynchronous.

    Parameters
    ----------
    fields : sequence of RegisterField
        Fields; several may share a byte. Those of one name form a group, ordered by index.
    address_width : int
        Bits of an address.
    cell : class of Component
        Storage of one byte: `StorageCell` or a component with the same ports and constructor.

    Members
    -------
    write_address : In(address_width)
        Byte address.
    write_data : In(8)
        Byte.
    write_enable : In(1)
        Write at the next clock edge.
    <group> : Out(width of all fields of the group)
        Stored values of the group ``group``, the field with the lowest index in the lowest bits.

    Raises
    ------
    ValueError
        If there is no field, fields overlap, or an address or reset value does not fit.
    """

    latency = 1

    def __init__(
        self,
        *,
        fields: Sequence[RegisterField],
        address_width: int = 16,
        cell: Callable[..., Component] = StorageCell,
    ):
        if not fields:
            raise ValueError("a register file needs at least one field")
        self._address_width = address_width
        self._cell = cell
        self._groups: dict[str, list[RegisterField]] = {}
        for field in sorted(fields, key=lambda field: field.index):
            self._groups.setdefault(field.name, []).append(field)
        # for each byte, for each bit that a field uses: its reset value
        self._bytes: dict[int, dict[int, int]] = {}
        for field in fields:
            label = f"{field.name}[{field.index}]"
            if not 0 <= field.reset < 1 << field.width:
                raise ValueError(f"{label}: reset value {field.reset:#x} exceeds {field.width} bits")
            for bit, (address, position) in enumerate(_places(field)):
                if not 0 <= address < 1 << address_width:
                    raise ValueError(f"{label}: address {address:#x} exceeds {address_width} bits")
                bits = self._bytes.setdefault(address, {})
                if position in bits:
                    raise ValueError(f"{label}: bit {position} of {address:#x} belongs to two fields")
                bits[position] = field.reset >> bit & 1
        members = {name: Out(sum(field.width for field in group)) for name, group in sorted(self._groups.items())}
        super().__init__({"write_address": In(address_width), "write_data": In(8), "write_enable": In(1), **members})

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, as of the output ports."""
        return tuple(self._groups)

    @property
    def bits(self) -> int:
        """Flip-flops of an unprotected file."""
        return sum(map(len, self._bytes.values()))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row_address = self.write_address[_COLUMN_BITS:]
        column = Signal(1 << _COLUMN_BITS)
        m.d.comb += column.eq(Cat(self.write_address[:_COLUMN_BITS] == i for i in range(len(column))))
        rows = {}
        for row in sorted({address >> _COLUMN_BITS for address in self._bytes}):
            rows[row] = Signal(name=f"row_{row:03x}")
            m.d.comb += rows[row].eq(self.write_enable & (row_address == Const(row, len(row_address))))
        stored = {}
        for address, bits in sorted(self._bytes.items()):
            positions = sorted(bits)
            reset = sum(bits[position] << i for i, position in enumerate(positions))
            cell = place(m, platform, f"byte_{address:04x}", self._cell, width=len(positions), reset=reset)
            m.d.comb += [
                cell.enable.eq(rows[address >> _COLUMN_BITS] & column[address % len(column)]),
                cell.data.eq(Cat(self.write_data[position] for position in positions)),
            ]
            stored |= {(address, position): cell.value[i] for i, position in enumerate(positions)}
        for name, group in self._groups.items():
            m.d.comb += getattr(self, name).eq(Cat(stored[place_] for field in group for place_ in _places(field)))
        return m


def _places(field: RegisterField) -> list[tuple[int, int]]:
    """Address and position in its byte of each bit of a field, least significant first."""
    return [(field.address + (field.lsb + bit) // 8, (field.lsb + bit) % 8) for bit in range(field.width)]
