"""Settings and weights behind a byte-wide write port."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.registered import described
from hw.common.secded_cell import check_values
from hw.common.storage_cell import StorageCell

__all__ = ["RegisterField", "RegisterFile", "Role", "places_of", "stored_bits"]

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


class Role(StrEnum):
    """Where a register file stands."""

    STORE = "store"
    """Written byte by byte, read by the data path."""
    SHADOW = "shadow"
    """Written byte by byte, copied as a whole."""
    ACTIVE = "active"
    """Loaded from a shadow bank, read by the data path."""


def stored_bits(fields: Sequence[RegisterField]) -> tuple[tuple[int, int], ...]:
    """Address and position in its byte of every bit that fields use, ascending: the order of an image."""
    return tuple(sorted(place_ for field in fields for place_ in places_of(field)))


class RegisterFile(Component):
    """Bytes of flip-flops at the addresses of a register map; written byte by byte, read all at once.

    A write at a clock edge with `write_enable` shows at the outputs after that edge. Addresses and bits that belong
    to no field are ignored. Read-back is an option.

    The address is decoded in two levels, rows of 16 bytes and bytes within a row, so that a byte costs one AND gate.
    Each byte is a `cell` of its own, which is where schemes of protection against upsets go: what ports a cell has
    beyond those of `StorageCell` decides what further ports the file has. A cell with a port `checks` gets the check
    bits of its data.

    Throughput one write per clock, no flow control: every write is taken. Reset: the reset value of every field,
    asynchronous.

    Parameters
    ----------
    fields : sequence of RegisterField
        Fields; several may share a byte. Those of one name form a group, ordered by index.
    address_width : int
        Bits of an address.
    cell : class of Component
        Storage of one byte: `StorageCell` or a component with its ports, its constructor and further ports.
    role : Role
        Where the file stands.
    readable : bool
        With a read port.
    parts : sequence of int
        For `Role.ACTIVE`: for each bit of the image the bit of `swap` that loads it; empty: all 0. A byte of which
        parts are loaded at different times becomes several cells.
    blocks : sequence of sequence of str
        Names of groups whose errors are counted together; empty: all groups together.

    Members
    -------
    write_address : In(address_width)
        Byte address, of reads as well. (`Role.ACTIVE`: `read_address`, only if readable.)
    write_data : In(8)
        Byte.
    write_enable : In(1)
        Write at the next clock edge.
    <group> : Out(width of all fields of the group)
        Stored values of the group ``group``, the field with the lowest index in the lowest bits. (Not of a shadow.)
    image : Out(bits), for a shadow; In(bits), for an active bank
        All bits in the order of `stored_bits`.
    swap : In
        For an active bank: load the bits of a part from `image` at the next clock edge.
    read_data : Out(8)
        If readable: byte at the address, 0 where there is none.
    mapped : Out(1)
        If readable: there is a byte at the address.
    scrub_row : In(address_width - 4)
        If cells have `scrub`: number of the row of 16 bytes that is scrubbed.
    errors, doubles : Out(number of blocks)
        If cells have `error`, `double`: one of the block has it.
    mark : In(1), bad : Out(1)
        If cells have them: to all, one of all.
    raw : Out(bits), peers : In(2 * bits)
        If cells have them, in the order of `stored_bits`.

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
        role: Role = Role.STORE,
        readable: bool = False,
        parts: Sequence[int] = (),
        blocks: Sequence[Sequence[str]] = (),
    ):
        if not fields:
            raise ValueError("a register file needs at least one field")
        self._address_width = address_width
        self._cell, self._role, self._readable = cell, role, readable
        self._groups: dict[str, list[RegisterField]] = {}
        for field in sorted(fields, key=lambda field: field.index):
            self._groups.setdefault(field.name, []).append(field)
        # for each bit, by address and position in the byte: its reset value and its group
        bits: dict[tuple[int, int], tuple[int, str]] = {}
        for field in fields:
            label = f"{field.name}[{field.index}]"
            if not 0 <= field.reset < 1 << field.width:
                raise ValueError(f"{label}: reset value {field.reset:#x} exceeds {field.width} bits")
            for bit, (address, position) in enumerate(places_of(field)):
                if not 0 <= address < 1 << address_width:
                    raise ValueError(f"{label}: address {address:#x} exceeds {address_width} bits")
                if (address, position) in bits:
                    raise ValueError(f"{label}: bit {position} of {address:#x} belongs to two fields")
                bits[address, position] = (field.reset >> bit & 1, field.name)
        self._bits = {place_: bits[place_] for place_ in sorted(bits)}
        if parts and len(parts) != len(bits):
            raise ValueError(f"parts: expected one for each of {len(bits)} bits, got {len(parts)}")
        self._parts = dict(zip(self._bits, parts, strict=True)) if parts else dict.fromkeys(self._bits, 0)
        self._blocks = [set(block) for block in blocks] or [set(self._groups)]
        covered = [name for block in self._blocks for name in block]
        if sorted(covered) != sorted(self._groups):
            raise ValueError(f"blocks: expected each of {sorted(self._groups)} once, got {sorted(covered)}")
        super().__init__(self._ports(described(cell, width=1, reset=0).signature.members))

    def _ports(self, cell: object) -> dict[str, object]:
        """Ports, by role and by those of a cell."""
        size = self.bits
        groups = {name: Out(sum(field.width for field in group)) for name, group in sorted(self._groups.items())}
        address = In(self._address_width)
        if self._role is Role.ACTIVE:
            ports = {"image": In(size), "swap": In(1 + max(self._parts.values())), **groups}
            ports |= {"read_address": address} if self._readable else {}
        else:
            ports = {"write_address": address, "write_data": In(8), "write_enable": In(1)}
            ports |= {"image": Out(size)} if self._role is Role.SHADOW else groups
        ports |= {"read_data": Out(8), "mapped": Out(1)} if self._readable else {}
        further = {
            "scrub": {"scrub_row": In(self._address_width - _COLUMN_BITS)},
            "error": {"errors": Out(len(self._blocks))},
            "double": {"doubles": Out(len(self._blocks))},
            "mark": {"mark": In(1)},
            "bad": {"bad": Out(1)},
            "raw": {"raw": Out(size)},
            "peers": {"peers": In(2 * size)},
        }
        self._further = [name for name in further if name in cell]  # type: ignore[operator]
        self._encoded = "checks" in cell  # type: ignore[operator]
        for name in self._further:
            ports |= further[name]
        return ports

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, as of the output ports."""
        return tuple(self._groups)

    @property
    def bits(self) -> int:
        """Flip-flops of an unprotected file."""
        return len(self._bits)

    @property
    def rows(self) -> tuple[int, int]:
        """Lowest and highest row of 16 bytes in use."""
        addresses = [address for address, _ in self._bits]
        return min(addresses) >> _COLUMN_BITS, max(addresses) >> _COLUMN_BITS

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rows, columns = self._decoded(m)
        written: dict[int, Signal] = {}
        if self._role is not Role.ACTIVE:
            for row, selected in rows.items():
                written[row] = Signal(name=f"write_{row:03x}")
                m.d.comb += written[row].eq(self.write_enable & selected)
        scrubbed = {}
        if "scrub" in self._further:
            for row in sorted({address >> _COLUMN_BITS for address, _ in self._bits}):
                scrubbed[row] = Signal(name=f"scrub_{row:03x}")
                m.d.comb += scrubbed[row].eq(self.scrub_row == Const(row, len(self.scrub_row)))
        number = {place_: i for i, place_ in enumerate(self._bits)}
        cells: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for place_ in self._bits:
            cells.setdefault((place_[0], self._parts[place_]), []).append(place_)
        first: dict[int, tuple[int, int]] = {}
        for place_ in self._bits:
            first.setdefault(place_[0], place_)
        stored: dict[tuple[int, int], Value] = {}
        flags: dict[str, list[list[Value]]] = {
            name: [[] for _ in self._blocks] for name in ("error", "double", "bad") if name in self._further
        }
        raw: dict[int, Value] = {}
        encoded: dict[tuple[int, ...], Signal] = {}
        for (address, part), places in cells.items():
            reset = sum(self._bits[place_][0] << i for i, place_ in enumerate(places))
            name = f"byte_{address:04x}" if places[0] == first[address] else f"byte_{address:04x}_part_{part}"
            cell = place(m, platform, name, self._cell, width=len(places), reset=reset)
            if self._role is Role.ACTIVE:
                data = Cat(self.image[number[place_]] for place_ in places)
                m.d.comb += [cell.enable.eq(self.swap[part]), cell.data.eq(data)]
                if self._encoded:
                    m.d.comb += cell.checks.eq(Cat(check_values(data)))
            else:
                m.d.comb += [
                    cell.enable.eq(written[address >> _COLUMN_BITS] & columns[address % len(columns)]),
                    cell.data.eq(Cat(self.write_data[position] for _, position in places)),
                ]
                if self._encoded:
                    # one encoder for all bytes that use these bits
                    positions = tuple(position for _, position in places)
                    if positions not in encoded:
                        checks = check_values(Cat(self.write_data[position] for position in positions))
                        encoded[positions] = Signal(
                            len(checks), name=f"checks_{sum(1 << position for position in positions):02x}"
                        )
                        m.d.comb += encoded[positions].eq(Cat(checks))
                    m.d.comb += cell.checks.eq(encoded[positions])
            if "scrub" in self._further:
                m.d.comb += cell.scrub.eq(scrubbed[address >> _COLUMN_BITS])
            if "mark" in self._further:
                m.d.comb += cell.mark.eq(self.mark)
            if "peers" in self._further:
                others = [number[place_] + copy * self.bits for copy in range(2) for place_ in places]
                m.d.comb += cell.peers.eq(Cat(self.peers[i] for i in others))
                raw |= {number[place_]: cell.raw[i] for i, place_ in enumerate(places)}
            block = next(i for i, names in enumerate(self._blocks) if self._bits[places[0]][1] in names)
            for flag, blocks in flags.items():
                blocks[block].append(getattr(cell, flag))
            stored |= {place_: cell.value[i] for i, place_ in enumerate(places)}
        for flag, port in (("error", "errors"), ("double", "doubles")):
            if flag in flags:
                m.d.comb += getattr(self, port).eq(Cat(Cat(block).any() for block in flags[flag]))
        if "bad" in flags:
            m.d.comb += self.bad.eq(Cat(flag for block in flags["bad"] for flag in block).any())
        if raw:
            m.d.comb += self.raw.eq(Cat(raw[i] for i in range(self.bits)))
        if self._role is Role.SHADOW:
            m.d.comb += self.image.eq(Cat(stored[place_] for place_ in self._bits))
        else:
            for name, group in self._groups.items():
                m.d.comb += getattr(self, name).eq(
                    Cat(stored[place_] for field in group for place_ in places_of(field))
                )
        if self._readable:
            self._read(m, rows, columns, stored)
        return m

    def _decoded(self, m: Module) -> tuple[dict[int, Signal], Signal]:
        """One signal per row and column of the address."""
        rows: dict[int, Signal] = {}
        columns = Signal(1 << _COLUMN_BITS)
        if self._role is Role.ACTIVE and not self._readable:
            return rows, columns
        address = self.read_address if self._role is Role.ACTIVE else self.write_address
        high = address[_COLUMN_BITS:]
        m.d.comb += columns.eq(Cat(address[:_COLUMN_BITS] == i for i in range(len(columns))))
        for row in sorted({address >> _COLUMN_BITS for address, _ in self._bits}):
            rows[row] = Signal(name=f"row_{row:03x}")
            m.d.comb += rows[row].eq(high == Const(row, len(high)))
        return rows, columns

    def _read(self, m: Module, rows: dict[int, Signal], columns: Signal, stored: dict[tuple[int, int], Value]) -> None:
        """Byte at the address: all rows of a column, then the column."""
        found: list[list[Value]] = [[] for _ in range(8)]
        mapped = []
        for column in range(len(columns)):
            by_bit: list[list[Value]] = [[] for _ in range(8)]
            here = dict.fromkeys(row << _COLUMN_BITS | column for row in rows)
            for (address, position), value in stored.items():
                if address in here:
                    by_bit[position].append(rows[address >> _COLUMN_BITS] & value)
            used = sorted({address for address, _ in stored if address in here})
            if used:
                mapped.append(columns[column] & Cat(rows[address >> _COLUMN_BITS] for address in used).any())
            for position, values in enumerate(by_bit):
                if values:
                    chosen = Signal(name=f"column_{column:x}_{position}")
                    m.d.comb += chosen.eq(Cat(values).any())
                    found[position].append(columns[column] & chosen)
        m.d.comb += [
            self.read_data.eq(Cat(Cat(values).any() if values else Const(0, 1) for values in found)),
            self.mapped.eq(Cat(mapped).any()),
        ]


def places_of(field: RegisterField) -> list[tuple[int, int]]:
    """Address and position in its byte of each bit of a field, least significant first."""
    return [(field.address + (field.lsb + bit) // 8, (field.lsb + bit) % 8) for bit in range(field.width)]
