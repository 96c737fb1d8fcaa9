"""What the register maps of chips behind I2C have in common: fields, guarded loading, the checksum of an image."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sim.register_map import Field

__all__ = [
    "DEVICE_ADDRESS", "LOAD_BEGIN", "LOAD_COMMIT", "LOAD_STATUS", "Access", "ChipField", "Loading", "guarded_fields",
    "image_checksum", "masks_of",
]  # fmt: skip

DEVICE_ADDRESS = 0x20
"""7-bit I2C address of ECON-T."""
LOAD_BEGIN, LOAD_COMMIT = 1, 2
"""Bits of the register `load_command`."""
LOAD_STATUS = {
    0x00: "nothing was loaded since reset",
    0x01: "bytes are being written",
    0x02: "the image is being checked, swapped in or read back",
    0x03: "the image is in use",
    0x81: "refused: the image is incomplete",
    0x82: "refused: the checksum is wrong",
    0x83: "refused: a byte of the shadow bank changed by an upset",
    0x84: "swapped in, but the image reads back wrong: load again",
}
"""Meaning of the register `load_status`."""


class Loading(StrEnum):
    """How settings and weights reach the data path."""

    DIRECT = "direct"
    """A byte acts when it is written, as on ECON-T."""
    GUARDED = "guarded"
    """Bytes go to a shadow bank, which is checked and swapped in between two bunch crossings."""


class Access(StrEnum):
    """What the bus may do with a field."""

    READ_WRITE = "rw"
    READ_ONLY = "ro"
    COMMAND = "wo"
    """Writing acts at once; reads as 0."""


@dataclass(frozen=True, kw_only=True)
class ChipField(Field):
    """A field with what users need to know.

    Attributes
    ----------
    access : Access
    image : bool
        Belongs to the image that is loaded as a whole.
    about : str
        One sentence.
    """

    access: Access = Access.READ_WRITE
    image: bool = False
    about: str = ""


def guarded_fields(address: int) -> tuple[ChipField, ...]:
    """Registers of guarded loading, ten bytes from an address on."""
    return (
        ChipField(
            name="load_command", address=address, width=2, access=Access.COMMAND,
            about="1: begin an image, all bytes count as missing; 2: check and swap in.",
        ),
        ChipField(name="read_shadow", address=address + 1, width=1, about="Reads return the shadow bank."),
        ChipField(name="load_checksum", address=address + 4, width=32, about="CRC-32 that the image must have."),
        ChipField(
            name="load_status", address=address + 8, width=8, access=Access.READ_ONLY,
            about="; ".join(f"{code:#04x} {text}" for code, text in LOAD_STATUS.items()) + ".",
        ),
        ChipField(
            name="load_dropped", address=address + 9, width=1, access=Access.READ_ONLY,
            about="A write or command came while an image was being checked, and was dropped.",
        ),
    )  # fmt: skip


def masks_of(fields: Iterable[Field]) -> dict[int, int]:
    """Bits in use of every byte of some fields, ascending by address."""
    masks: dict[int, int] = {}
    for field in fields:
        for byte in range(field.size):
            bits = (((1 << field.width) - 1) << field.lsb) >> (8 * byte) & 0xFF
            masks[field.address + byte] = masks.get(field.address + byte, 0) | bits
    return dict(sorted(masks.items()))


def image_checksum(image: Mapping[int, int]) -> int:
    """CRC-32 (IEEE 802.3) of the bytes of an image, ascending by address: the checksum that the chip forms."""
    return zlib.crc32(bytes(image[address] for address in sorted(image)))
