"""Fields of a register map: what the register files of both chips are generated from."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Field"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a register map. Addresses count bytes; bits go upwards, least significant byte first.

    Attributes
    ----------
    name : str
        Group of the field.
    index : int
        Place in its group.
    address : int
        Byte address of the lowest bit.
    lsb : int
        Bit of that byte where the field starts.
    width : int
        Bits.
    reset : int
        Value after reset.
    """

    name: str
    index: int = 0
    address: int
    lsb: int = 0
    width: int
    reset: int = 0

    @property
    def size(self) -> int:
        """Bytes that the field touches."""
        return -(-(self.lsb + self.width) // 8)
