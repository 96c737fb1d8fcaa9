"""Recordings of event cameras by Prophesee: DAT, EVT 2.0 and EVT 3.0 (``.dat``, ``.raw``).

All are little-endian behind a text header of lines that begin with ``%``.

- *DAT*: a byte with the type of the events (0 or 12: change detection), one with their size (8), then 32 bits time in
  us and 32 bits address: 13-0 column, 27-14 row, 28 polarity.
- *EVT 2.0*: words of 32 bits, type in 31-28. 0x8 TIME_HIGH carries bits 33-6 of the time in us; 0x0 CD_OFF and 0x1
  CD_ON carry its bits 5-0 in 27-22, the column in 21-11 and the row in 10-0.
- *EVT 3.0*: words of 16 bits, type in 15-12. 0x0 ADDR_Y: row 10-0. 0x2 ADDR_X: polarity 11, column 10-0, one event.
  0x3 VECT_BASE_X: polarity and first column of the vectors that follow; 0x4 VECT_12 and 0x5 VECT_8: a bit per column
  from there, and the first column moves on by 12 or 8. 0x6 TIME_LOW and 0x8 TIME_HIGH: bits 11-0 and 23-12 of the
  time, which wraps every 2^24 us and is continued here.

Other types (triggers, continued words, vendor's own) hold no event and are skipped. Source: Prophesee, "EVT 2.0
format", "EVT 3.0 format" and "DAT format", documentation of the Metavision SDK.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.messages import shown

__all__ = ["Columns", "read_dat", "read_raw"]

Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Column, row, polarity and time in us of every event."""
_WRAP = 1 << 24
"""Microseconds after which the time of EVT 3.0 begins again."""


def _header(path: Path, raw: bytes) -> tuple[dict[str, str], int]:
    """Fields of the header, and where it ends."""
    fields, position = {}, 0
    while raw[position : position + 1] == b"%":
        end = raw.find(b"\n", position)
        if end < 0:
            raise ValueError(f"{path}: the header has no end")
        words = raw[position + 1 : end].decode("latin-1").strip().split(None, 1)
        position = end + 1
        if words:
            fields[words[0].lower()] = words[1].strip() if len(words) > 1 else ""
            if words[0].lower() == "end":
                break
    return fields, position


def read_dat(path: Path) -> Columns:
    """Events of a DAT file.

    Raises
    ------
    ValueError
        Another type or size of events, or a file that ends inside an event.
    """
    raw = Path(path).read_bytes()
    _, start = _header(path, raw)
    if len(raw) < start + 2:
        raise ValueError(f"{path}: expected the type and size of the events behind the header, got the end of the file")
    kind, size = raw[start], raw[start + 1]
    if kind not in (0, 12) or size != 8:
        raise ValueError(f"{path}: expected events of type 0 or 12 with 8 bytes, got type {kind} with {size}")
    words = _words(path, raw[start + 2 :], "<u4", 8).reshape(-1, 2)
    address = words[:, 1]
    return address & 0x3FFF, address >> 14 & 0x3FFF, address >> 28 & 1, words[:, 0]


def read_raw(path: Path) -> Columns:
    """Events of a RAW file; its header says whether they are EVT 2.0 or 3.0.

    Raises
    ------
    ValueError
        A header that names neither, or a file that ends inside a word.
    """
    raw = Path(path).read_bytes()
    fields, start = _header(path, raw)
    form = fields.get("format", "").upper().split(";")[0] or "EVT" + fields.get("evt", "").split(".")[0]
    if form == "EVT2":
        return _evt2(_words(path, raw[start:], "<u4", 4))
    if form == "EVT3":
        return _evt3(_words(path, raw[start:], "<u2", 2))
    raise ValueError(f"{path}: expected the format EVT2 or EVT3 in the header, got {shown(form.removeprefix('EVT'))}")


def _words(path: Path, raw: bytes, dtype: str, size: int) -> NDArray[np.int64]:
    whole, rest = divmod(len(raw), size)
    if rest:
        raise ValueError(
            f"{path}: truncated: {'event' if size == 8 else 'word'} {whole} has {rest} of its {size} bytes"
        )
    return np.frombuffer(raw, dtype).astype(np.int64)


def _evt2(words: NDArray[np.int64]) -> Columns:
    kind = words >> 28
    high = kind == 8
    # the newest TIME_HIGH in front of each word; before the first one time is not known, and such words are no events
    newest = np.maximum.accumulate(np.where(high, np.arange(len(words)), -1)) if len(words) else words
    event = (kind <= 1) & (newest >= 0)
    word = words[event]
    time = (words[newest[event]] & 0x0FFF_FFFF) << 6 | (word >> 22 & 0x3F)
    return word >> 11 & 0x7FF, word & 0x7FF, word >> 28, time


def _evt3(words: NDArray[np.int64]) -> Columns:
    found: list[tuple[int, int, int, int]] = []
    row = polarity = base = low = high = wraps = 0
    known = False
    for word in words.tolist():
        kind, value = word >> 12, word & 0xFFF
        if kind == 0x8:
            wraps += known and value < high and high - value > 0x800
            high, known = value, True
        elif kind == 0x6:
            low = value
        elif kind == 0x0:
            row = value & 0x7FF
        elif kind == 0x3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind == 0x2 and known:
            found.append((value & 0x7FF, row, value >> 11, wraps * _WRAP + (high << 12 | low)))
        elif kind in (0x4, 0x5):
            width = 12 if kind == 0x4 else 8
            time = wraps * _WRAP + (high << 12 | low)
            if known:
                found += [(base + bit, row, polarity, time) for bit in range(width) if value >> bit & 1]
            base += width
    table = np.array(found, np.int64).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]
