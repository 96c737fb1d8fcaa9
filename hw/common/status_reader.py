"""Read port of values that hardware drives: bytes at the addresses of a register map."""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from hw.common.register_file import RegisterField, places_of

__all__ = ["StatusReader"]


class StatusReader(Component):
    """Byte of read-only fields at an address, combinational.

    Parameters
    ----------
    fields : sequence of RegisterField
        Fields; those of one name form a group, ordered by index. None may overlap.
    constant : sequence of str
        Groups that nothing drives: they read the reset values of their fields.
    address_width : int
        Bits of an address.

    Members
    -------
    address : In(address_width)
    <group> : In
        Values of the group ``group``, the field with the lowest index in the lowest bits; not for `constant`.
    read_data : Out(8)
        Byte at the address, 0 where there is none.
    mapped : Out(1)
        A field lies in the byte at the address.

    Raises
    ------
    ValueError
        If there is no field, or a constant group does not exist.
    """

    latency = 0

    def __init__(self, *, fields: Sequence[RegisterField], constant: Sequence[str] = (), address_width: int = 16):
        self._groups: dict[str, list[RegisterField]] = {}
        for field in sorted(fields, key=lambda field: field.index):
            self._groups.setdefault(field.name, []).append(field)
        if not self._groups or set(constant) - set(self._groups):
            raise ValueError(f"expected fields, and constant groups among them, got {', '.join(constant)}")
        self._constant = frozenset(constant)
        ports = {
            name: In(sum(field.width for field in group))
            for name, group in sorted(self._groups.items())
            if name not in self._constant
        }
        super().__init__({"address": In(address_width), **ports, "read_data": Out(8), "mapped": Out(1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        bits: dict[int, dict[int, Value]] = {}
        for name, group in self._groups.items():
            low = 0
            for field in group:
                for number, (address, place) in enumerate(places_of(field)):
                    driven = name not in self._constant
                    value = getattr(self, name)[low + number] if driven else Const(field.reset >> number & 1, 1)
                    bits.setdefault(address, {})[place] = value
                low += field.width
        m.d.comb += self.read_data.eq(_tree(m, self.address, self._bytes(bits), ""))
        m.d.comb += self.mapped.eq(_tree(m, self.address, dict.fromkeys(bits, Const(1, 1)), "mapped_"))
        return m

    @staticmethod
    def _bytes(bits: Mapping[int, Mapping[int, Value]]) -> dict[int, Value]:
        return {address: Cat(places.get(place, Const(0, 1)) for place in range(8)) for address, places in bits.items()}


def _tree(m: Module, address: Value, values: Mapping[int, Value], prefix: str) -> Value:
    """Value at an address, 0 elsewhere: sixteen bytes of a row first, then the row."""
    width = len(next(iter(values.values())))
    rows: dict[int, dict[int, Value]] = {}
    for place, value in values.items():
        rows.setdefault(place >> 4, {})[place & 15] = value
    found = []
    for row, columns in rows.items():
        chosen = Signal(width, name=f"{prefix}row_{row:03x}")
        with m.Switch(address[:4]):
            for column, value in columns.items():
                with m.Case(column):
                    m.d.comb += chosen.eq(value)
        found.append(Mux(address[4:] == row, chosen, 0))
    total: Value = Const(0, width)
    for value in found:
        total = total | value
    return total
