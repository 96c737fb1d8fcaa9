"""Image files: everything that is loaded into a chip, with a checksum, as text.

One line names the network, one the CRC-32 that the chip forms over the image, then bytes by address::

    # liquidcal image, ECON_T
    crc32 5b1e4f2a
    0x03b0 50 ff ff ff ...

A file that was cut off, edited, or belongs to another network is refused as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from sim.files import replacing
from sim.hgcal_encoder.configuration.chip_registers import image_checksum, image_masks
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["load_image", "save_image"]

_HEAD = "# liquidcal image, "
_BYTES = 16
"""Bytes in a line."""


def save_image(path: Path, spec: EncoderSpec, image: Mapping[int, int]) -> None:
    """Write an image; an interrupted run leaves the old file.

    Raises
    ------
    ValueError
        If the image is not one of this network: an address is missing or unknown, or a byte does not fit.
    """
    _check(spec, image)
    lines = [f"{_HEAD}{spec.name}", f"crc32 {image_checksum(image):08x}"]
    start, data = 0, b""
    for address in sorted(image):
        if data and (address != start + len(data) or len(data) == _BYTES):
            lines.append(f"{start:#06x} {data.hex(' ')}")
            data = b""
        if not data:
            start = address
        data += bytes([image[address]])
    lines.append(f"{start:#06x} {data.hex(' ')}")
    with replacing(Path(path)) as file:
        file.write("\n".join(lines) + "\n")


def load_image(path: Path, spec: EncoderSpec) -> dict[int, int]:
    """Read an image.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not an image of this network, is incomplete, or its checksum is wrong; the message names file
        and place.
    """
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        raise FileNotFoundError(f"no image at {path}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a text file") from None
    try:
        return _parse(text, spec)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _parse(text: str, spec: EncoderSpec) -> dict[int, int]:
    lines = text.splitlines()
    if not lines or not lines[0].startswith(_HEAD):
        raise ValueError(f"line 1: expected {_HEAD + spec.name!r}")
    if (name := lines[0].removeprefix(_HEAD)) != spec.name:
        raise ValueError(f"image of {name}, but the chip is {spec.name}")
    found = re.fullmatch(r"crc32 ([0-9a-f]{8})", lines[1]) if len(lines) > 1 else None
    if found is None:
        raise ValueError("line 2: expected 'crc32' and eight hexadecimal digits")
    image: dict[int, int] = {}
    for number, line in enumerate(lines[2:], 3):
        if not (match := re.fullmatch(r"(0x[0-9a-f]{4})((?: [0-9a-f]{2})+)", line)):
            raise ValueError(f"line {number}: expected an address and bytes, got {line[:40]!r}")
        for address, byte in enumerate(bytes.fromhex(match[2]), int(match[1], 16)):
            if address in image:
                raise ValueError(f"line {number}: {address:#06x} occurs twice")
            image[address] = byte
    _check(spec, image)
    if (checksum := image_checksum(image)) != int(found[1], 16):
        raise ValueError(f"checksum: expected {found[1]}, the bytes have {checksum:08x}")
    return image


def _check(spec: EncoderSpec, image: Mapping[int, int]) -> None:
    masks = image_masks(spec)
    if unknown := [address for address in image if address not in masks]:
        raise ValueError(f"{unknown[0]:#06x} is no address of {spec.name}")
    if missing := [address for address in masks if address not in image]:
        raise ValueError(f"{len(missing)} of {len(masks)} bytes are missing, the first at {missing[0]:#06x}")
    for address, byte in image.items():
        if not 0 <= byte <= 0xFF or byte & ~masks[address]:
            raise ValueError(f"{address:#06x}: bits beyond {masks[address]:#04x} are set in {byte:#04x}")
