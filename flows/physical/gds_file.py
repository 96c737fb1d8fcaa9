"""A placed netlist as GDSII (GDSII Stream Format Manual, Calma, release 6.0): the library's cells where they stand.

The structures of the library's own file are copied as they are, and one more is added that refers to them: what is
drawn in a cell is the library's, what is between them is empty, as nothing is routed. For viewers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flows.library.liberty_file import LibraryError
from flows.library.library import CellLibrary
from flows.netlist.netlist import Netlist
from flows.physical.place import Placement
from sim.files import replacing

__all__ = ["layout_of", "records", "write_gds"]

TOP = "flat"
"""Name of the structure with everything."""
_OUTLINE = 0
"""Layer of the outline of the core, which no cell of NanGate draws on."""
_UNITS, _END_OF_LIBRARY, _BEGIN, _END, _NAME = 0x0305, 0x0400, 0x0502, 0x0700, 0x0606
_BOUNDARY, _REFERENCE, _LAYER, _DATATYPE, _XY, _END_OF_ELEMENT, _OF, _TURNED = (
    0x0800, 0x0A00, 0x0D02, 0x0E02, 0x1003, 0x1100, 0x1206, 0x1A01,
)  # fmt: skip
_MIRRORED = 0x8000
_DATE = struct.pack(">12h", *[1970, 1, 1, 0, 0, 0] * 2)


def layout_of(cells: CellLibrary) -> Path | None:
    """The library's drawn cells: beside its LEF and of the same name; None where there are none."""
    files = [path.with_suffix(".gds") for path in cells.lef]
    return next((path for path in files if path.is_file()), None)


def records(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Records of a file: kind, content, position of the first byte.

    Raises
    ------
    ValueError
        If the data ends within a record, or a length is none.
    """
    at = 0
    while at < len(data):
        if len(data) - at < 4:
            return  # tapes were filled up with zeros
        size, kind = struct.unpack_from(">HH", data, at)
        if size == 0:
            return
        if size < 4 or at + size > len(data):
            raise ValueError(f"expected a GDSII record at byte {at}, got one of {size} bytes")
        yield kind, data[at + 4 : at + size], at
        at += size


def write_gds(path: Path, netlist: Netlist, placement: Placement, cells_gds: Path, *, row_um: float) -> None:
    """Write the library's structures and one with every cell of the netlist, rows turned as in the DEF.

    Parameters
    ----------
    path : Path
    netlist : Netlist
    placement : Placement
        Of this netlist.
    cells_gds : Path
        The library's drawn cells.
    row_um : float
        Height of a row.

    Raises
    ------
    ValueError
        The placement is of another netlist.
    LibraryError
        The file is no GDSII, or has no structure for a cell.
    """
    placement.check(netlist)
    library = cells_gds.read_bytes()
    try:
        found = list(records(library))
        end = next(at for kind, _, at in found if kind == _END_OF_LIBRARY)
        unit_um = 1e6 * _real(next(content for kind, content, _ in found if kind == _UNITS)[8:16])
    except (ValueError, StopIteration) as error:
        raise LibraryError(f"{cells_gds}: expected GDSII with units and an end: {error}") from None
    drawn = {content.rstrip(b"\0").decode("ascii", "replace") for kind, content, _ in found if kind == _NAME}
    if missing := sorted({group.type for group in netlist.groups.values()} - drawn):
        raise LibraryError(f"{cells_gds}: expected a structure for each cell, got none for {missing[0]}")
    with replacing(path, "wb") as file:
        file.write(library[:end])
        for part in _top(netlist, placement, unit_um, row_um):
            file.write(part)
        file.write(_record(_END_OF_LIBRARY))


def _top(netlist: Netlist, placement: Placement, unit_um: float, row_um: float) -> Iterator[bytes]:
    yield _record(_BEGIN, _DATE) + _record(_NAME, _text(TOP))
    width, height = (round(length / unit_um) for length in placement.core_um)
    corners = struct.pack(">10i", 0, 0, width, 0, width, height, 0, height, 0, 0)
    layer = _record(_LAYER, struct.pack(">h", _OUTLINE)) + _record(_DATATYPE, struct.pack(">h", 0))
    yield _record(_BOUNDARY) + layer + _record(_XY, corners) + _record(_END_OF_ELEMENT)
    row = np.rint(placement.y_um / row_um).astype(np.int64)
    x, y = (np.rint(v / unit_um).astype(np.int64) for v in (placement.x_um, placement.y_um))
    for group in netlist.groups.values():
        start = _record(_REFERENCE) + _record(_OF, _text(group.type))
        for cell in group.cells.tolist():
            mirrored = row[cell] % 2
            turned = _record(_TURNED, struct.pack(">H", _MIRRORED)) if mirrored else b""
            # mirrored top to bottom about its lower edge, and back up by its height
            up = round(placement.height_um[cell] / unit_um) if mirrored else 0
            place = _record(_XY, struct.pack(">2i", int(x[cell]), int(y[cell]) + up))
            yield start + turned + place + _record(_END_OF_ELEMENT)
    yield _record(_END)


def _record(kind: int, content: bytes = b"") -> bytes:
    return struct.pack(">HH", 4 + len(content), kind) + content


def _text(name: str) -> bytes:
    """A name, filled up to an even length."""
    return name.encode() + b"\0" * (len(name) % 2)


def _real(data: bytes) -> float:
    """Number of eight bytes: sign, exponent of 16 with an excess of 64, 56 bits of fraction."""
    fraction = int.from_bytes(data[1:], "big") / 2.0**56
    value = fraction * 16.0 ** ((data[0] & 0x7F) - 64)
    return -value if data[0] & 0x80 else value
