"""Event-camera recordings: readers, and their encoding as input spikes of the liquid.

A recording is a list of events (`Events`): column, row, polarity and time of each. Readers for

- N-MNIST (``.bin``, ``.bs2``): five bytes per event, bits 39-32 column, 31-24 row, 23 polarity (1 = ON),
  22-0 time in us, most significant byte first;
- AEDAT 2.0 and 3.1 (``.aedat``), and AEDAT 4 (``.aedat4``) through the library `aedat`;
- DAT (``.dat``), EVT 2.0 and EVT 3.0 (``.raw``), see `sim.lsm_crossbar.recordings.event_files`;
- NumPy containers (``.npz``, ``.npy``).

An `Encoding` says which part of the sensor drives which word line of the crossbar; `encode` cuts time into steps and
gives one bit per step and word line: events of one pixel within a step merge.

Sources: G. Orchard et al., "Converting static image datasets to spiking neuromorphic datasets using saccades",
Front. Neurosci. 9 (2015) 437 (N-MNIST); iniVation, "AEDAT file formats" (AEDAT 2.0, 3.1, 4.0).
"""

from __future__ import annotations

import importlib
import re
import struct
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.files import replacing
from sim.foreign_files import read_npy, read_npz
from sim.lsm_crossbar.recordings.event_files import read_dat, read_raw
from sim.messages import shown

__all__ = [
    "ENCODINGS",
    "NMNIST_SENSOR",
    "Encoding",
    "Events",
    "encode",
    "encode_all",
    "find_encoding",
    "find_recordings",
    "find_sensor",
    "labelled_recordings",
    "read_aedat",
    "read_labels",
    "read_nmnist",
    "read_numpy",
    "read_prophesee",
    "read_recording",
    "write_nmnist",
]

NMNIST_SENSOR = (34, 34)
"""Columns and rows of an N-MNIST recording."""
_MOST = 2.0**53
"""Above, floating-point numbers are no longer all whole numbers."""
NMNIST_DURATION_US = 320_000
"""Time that an N-MNIST recording may span: three saccades, at 0, 105 and 210 ms."""

_NMNIST_FIELDS = ("x", "y", "polarity and t_us", "t_us", "t_us")
_FIELDS = ("x", "y", "polarity", "t_us")


@dataclass(frozen=True, kw_only=True, eq=False)
class Events:
    """One recording of an event camera.

    Attributes
    ----------
    x, y : ndarray of uint16, shape (n,)
        Column from the left and row from the top.
    on : ndarray of bool, shape (n,)
        Polarity: the brightness rose.
    t_us : ndarray of int64, shape (n,)
        Time in us, not descending.
    sensor : tuple of int
        Columns and rows of the sensor.

    Raises
    ------
    ValueError
        Arrays of different lengths, an event outside the sensor, a negative time, or a time before the one of the
        event ahead; the message names the first such event (counted from 0) and its field.
    """

    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    on: NDArray[np.bool_]
    t_us: NDArray[np.int64]
    sensor: tuple[int, int] = NMNIST_SENSOR

    def __post_init__(self) -> None:
        n = len(self.x)
        for name in ("y", "on", "t_us"):
            if getattr(self, name).shape != (n,):
                raise ValueError(
                    f"{name}: expected one entry for each of the {n} events, got {getattr(self, name).shape}"
                )
        for name, limit in (("x", self.sensor[0]), ("y", self.sensor[1])):
            bad = np.flatnonzero((getattr(self, name) < 0) | (getattr(self, name) >= limit))
            if bad.size:
                found = int(getattr(self, name)[bad[0]])
                raise ValueError(
                    f"event {bad[0]}: {name} = {found} is outside the sensor of {self.sensor[0]} columns and "
                    f"{self.sensor[1]} rows"
                )
        if n and self.t_us[0] < 0:
            raise ValueError(f"event 0: t_us = {self.t_us[0]} is negative")
        bad = np.flatnonzero(np.diff(self.t_us) < 0)
        if bad.size:
            event = int(bad[0]) + 1
            raise ValueError(
                f"event {event}: t_us = {self.t_us[event]} comes after {self.t_us[event - 1]} of the event before it; "
                "times must not descend"
            )
        for name, dtype in (("x", np.uint16), ("y", np.uint16), ("on", np.bool_), ("t_us", np.int64)):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=dtype))

    def __len__(self) -> int:
        return len(self.x)

    def from_start(self) -> Events:
        """The same recording with its first event at time 0, as streams of a running camera need."""
        shift = self.t_us[0] if len(self) else 0
        return Events(x=self.x, y=self.y, on=self.on, t_us=self.t_us - shift, sensor=self.sensor)


# ---------------------------------------------------------------------------------------------------- readers
def read_recording(path: Path, *, sensor: tuple[int, int] = NMNIST_SENSOR) -> Events:
    """Read a recording; the suffix tells the format (see the module).

    Parameters
    ----------
    path : Path
        ``.bin``, ``.bs2``, ``.aedat``, ``.aedat4``, ``.npz``, ``.npy``, ``.dat`` or ``.raw``.
    sensor : tuple of int
        Columns and rows; events outside are an error.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        An unknown suffix, or what the reader of the format finds wrong; the message begins with the path.
    """
    path = Path(path)
    reader = _readers().get(path.suffix.lower())
    if reader is None:
        raise ValueError(
            f"{path}: expected a recording ending in {', '.join(_readers())}, got {path.suffix or 'no suffix'!r}"
        )
    return reader(path, sensor=sensor)


def _readers() -> dict[str, Callable[..., Events]]:
    """Readers by suffix."""
    return {
        ".bin": read_nmnist,
        ".bs2": read_nmnist,
        ".aedat": read_aedat,
        ".aedat4": read_aedat,
        ".npz": read_numpy,
        ".npy": read_numpy,
        ".dat": read_prophesee,
        ".raw": read_prophesee,
    }


def read_nmnist(path: Path, *, sensor: tuple[int, int] = NMNIST_SENSOR) -> Events:
    """Read five-byte events (N-MNIST and its relatives); an empty file is a recording without events.

    Raises
    ------
    ValueError
        A file that ends inside an event, an event outside the sensor, or times that descend.
    """
    path = Path(path)
    raw = np.fromfile(path, np.uint8)
    events, rest = divmod(len(raw), 5)
    if rest:
        raise ValueError(f"{path}: truncated: event {events} has {rest} of its 5 bytes, {_NMNIST_FIELDS[rest]} missing")
    word = raw.reshape(-1, 5).astype(np.int64)
    t_us = (word[:, 2] & 0x7F) << 16 | word[:, 3] << 8 | word[:, 4]
    return _events(path, word[:, 0], word[:, 1], word[:, 2] >> 7, t_us, sensor)


def write_nmnist(path: Path, events: Events) -> None:
    """Write five-byte events, complete or not at all.

    Raises
    ------
    ValueError
        A coordinate above 255 or a time above 2^23 - 1 us, which the format cannot hold.
    """
    for name, limit in (("x", 1 << 8), ("y", 1 << 8), ("t_us", 1 << 23)):
        bad = np.flatnonzero(getattr(events, name) >= limit)
        if bad.size:
            raise ValueError(f"event {bad[0]}: {name} = {getattr(events, name)[bad[0]]} needs more than the format has")
    raw = np.empty((len(events), 5), np.uint8)
    raw[:, 0], raw[:, 1] = events.x, events.y
    raw[:, 2] = (events.on.astype(np.int64) << 7) | (events.t_us >> 16)
    raw[:, 3], raw[:, 4] = events.t_us >> 8 & 0xFF, events.t_us & 0xFF
    with replacing(path, "wb") as file:
        file.write(raw.tobytes())


def read_numpy(path: Path, *, sensor: tuple[int, int] = NMNIST_SENSOR) -> Events:
    """Read a NumPy container.

    ``.npz`` holds arrays ``x``, ``y``, ``t`` (us) and ``p`` (0 or 1, or -1 and 1); ``.npy`` is a structured array with
    fields of these names, or a table of four columns x, y, t, p.

    Raises
    ------
    ValueError
        Not such a container, a polarity other than 0 and 1, or -1 and 1, an event outside the sensor, or times that
        descend.
    """
    path = Path(path)
    columns = _columns(path)
    for name, column in columns.items():
        if column.ndim != 1 or len(column) != len(columns["x"]):
            raise ValueError(f"{path}: {name}: expected one entry per event, got shape {column.shape}")
        if column.dtype.kind not in "iufb":
            raise ValueError(f"{path}: {name}: expected whole numbers, got {column.dtype}")
        whole = np.isfinite(column) & (column == np.floor(column)) if column.dtype.kind == "f" else np.True_
        bad = np.flatnonzero(~(whole & (np.abs(column.astype(np.float64)) < _MOST)))
        if bad.size:
            raise ValueError(f"{path}: event {bad[0]}: {name}: expected a whole number, got {column[bad[0]]}")
    # some write OFF as 0, others as -1; a file with both means something else
    lowest = -1 if (columns["p"].astype(np.float64) == -1).any() else 0
    bad = np.flatnonzero((columns["p"].astype(np.float64) != lowest) & (columns["p"].astype(np.float64) != 1))
    if bad.size:
        expected = "-1 or 1, as other events have it" if lowest else "0 or 1"
        raise ValueError(f"{path}: event {bad[0]}: polarity must be {expected}, got {columns['p'][bad[0]]}")
    x, y, on, t_us = (columns[name].astype(np.int64) for name in "xypt")
    return _events(path, x, y, on, t_us, sensor)


def _columns(path: Path) -> Mapping[str, NDArray[Any]]:
    """Columns x, y, t and p of a NumPy container."""
    if path.suffix.lower() == ".npz":
        arrays: Mapping[str, NDArray[Any]] = read_npz(path)
        names = tuple(arrays)
    else:
        table = read_npy(path)
        if table.dtype.names is None:
            if table.ndim != 2 or table.shape[1] != 4:
                raise ValueError(f"{path}: expected a table of 4 columns x, y, t, p, got shape {table.shape}")
            return dict(zip("xytp", table.T, strict=True))
        names = table.dtype.names
        arrays = {name: table[name] for name in names}
    if missing := [name for name in "xytp" if name not in names]:
        found = shown(", ".join(names), quoted=False)
        raise ValueError(f"{path}: expected arrays x, y, t and p, {', '.join(missing)} missing (found {found})")
    return {name: arrays[name] for name in "xytp"}


def read_prophesee(path: Path, *, sensor: tuple[int, int] = NMNIST_SENSOR) -> Events:
    """Read a DAT or RAW file. Errors as the readers of `sim.lsm_crossbar.recordings.event_files`, and as `Events`."""
    path = Path(path)
    x, y, on, t_us = (read_dat if path.suffix.lower() == ".dat" else read_raw)(path)
    return _events(path, x, y, on, t_us, sensor)


def read_aedat(path: Path, *, sensor: tuple[int, int] = NMNIST_SENSOR) -> Events:
    """Read the polarity events of an AEDAT 2.0, 3.1 or 4.0 file; frames, IMU samples and special events are skipped.

    AEDAT 2.0 is big-endian, eight bytes per event (address, time); the header line ``# AEChip:`` tells the address
    layout, DVS128 (bits 14-8 row, 7-1 column, 0 polarity; bit 15 marks an external event) or DAVIS (bit 31 clear,
    30-22 row, 21-12 column, 11 polarity, 10 external). Where it is absent, an address beyond 16 bits says DAVIS, with
    a warning, since no DVS128 has one; else it is DVS128. Rows count from the bottom and are turned here, by the
    sensor's height. AEDAT 3.1 is little-endian packets of a 28-byte header and events of eight
    bytes (31-17 column, 16-2 row, 1 polarity, 0 valid; time), and time continues above 2^31 us by the header's
    overflow counter. AEDAT 4.0 is decoded by the library `aedat` (MIT), a compressed format of its own.

    Raises
    ------
    ValueError
        An unknown version, a file that ends inside an event or packet, an event outside the sensor, or times that
        descend.
    ModuleNotFoundError
        AEDAT 4.0 without the library `aedat`.
    """
    path = Path(path)
    raw = path.read_bytes()
    found = re.match(rb"#!AER-DAT(\d\.\d)\r?\n", raw)
    if not found:
        raise ValueError(f"{path}: expected the header line #!AER-DAT2.0, 3.1 or 4.0, got {raw[:16]!r}")
    version = found[1].decode()
    if version == "2.0":
        return _read_aedat2(path, raw, sensor)
    if version == "3.1":
        return _read_aedat3(path, raw, sensor)
    if version == "4.0":
        return _read_aedat4(path, sensor)
    raise ValueError(f"{path}: AEDAT {version}: versions 2.0, 3.1 and 4.0 are read")


_HEADER_LINE = re.compile(rb"#[^\x00-\x08\x0b\x0c\x0e-\x1f\r\n]*\r?\n")
"""Text: an event whose first byte is that of '#' has zeros in its time, or other bytes that no text has."""


def _read_aedat2(path: Path, raw: bytes, sensor: tuple[int, int]) -> Events:
    start, chip = 0, ""
    while line := _HEADER_LINE.match(raw, start):
        start = line.end()
        text = line[0].decode("latin-1").strip()
        if text.startswith("# AEChip:"):
            chip = text.partition(":")[2].strip().rpartition(".")[2]
        if text.lower().startswith("#end of ascii header"):
            break
    count, rest = divmod(len(raw) - start, 8)
    if rest:
        field = "address" if rest < 4 else "t_us"
        raise ValueError(f"{path}: truncated: event {count} has {rest} of its 8 bytes, {field} is incomplete")
    words = np.frombuffer(raw, ">u4", count * 2, start).reshape(-1, 2).astype(np.int64)
    address, t_us = words[:, 0], words[:, 1]
    if not chip and (wide := np.flatnonzero(address >> 16)).size:
        warnings.warn(
            f"{path}: no line '# AEChip:', and the address {address[wide[0]]:#x} of event {wide[0]} is none of DVS128:"
            " read as DAVIS",
            stacklevel=2,
        )
        chip = "DAVIS"
    if chip.upper().startswith("DAVI"):
        keep = address & 0x8000_0400 == 0
        x, y, on = address >> 12 & 0x3FF, address >> 22 & 0x1FF, address >> 11 & 1
    elif chip in ("", "DVS128"):
        keep = address & 0x8000 == 0
        x, y, on = address >> 1 & 0x7F, address >> 8 & 0x7F, address & 1
    else:
        raise ValueError(f"{path}: AEChip {shown(chip, quoted=False)}: address layouts of DVS128 and DAVIS are known")
    y = sensor[1] - 1 - y
    return _events(path, x[keep], y[keep], on[keep], t_us[keep], sensor)


def _read_aedat3(path: Path, raw: bytes, sensor: tuple[int, int]) -> Events:
    mark = re.search(rb"^#!END-HEADER\r?\n", raw, re.MULTILINE)
    if not mark:
        raise ValueError(f"{path}: AEDAT 3.1 header without its last line #!END-HEADER")
    position, packet, count = mark.end(), 0, 0
    parts: list[NDArray[np.int64]] = []
    while position < len(raw):
        if position + 28 > len(raw):
            raise ValueError(
                f"{path}: truncated: packet {packet} has {len(raw) - position} of its header's 28 bytes, "
                f"after {count} events"
            )
        kind, _, size, offset, overflow, _, number, _ = struct.unpack_from("<hhiiiiii", raw, position)
        position += 28
        if size < 1 or number < 0:
            raise ValueError(f"{path}: packet {packet}: event size {size} and number {number} make no packet")
        if position + size * number > len(raw):
            whole, rest = divmod(len(raw) - position, size)
            raise ValueError(
                f"{path}: truncated: event {count + whole} has {rest} of its {size} bytes "
                f"(event {whole} of {number} in packet {packet})"
            )
        if kind == 1:
            if size != 8 or offset != 4:
                raise ValueError(
                    f"{path}: packet {packet}: a polarity event has 8 bytes with its time at byte 4, "
                    f"got {size} bytes with its time at byte {offset}"
                )
            words = np.frombuffer(raw, "<u4", number * 2, position).reshape(-1, 2).astype(np.int64)
            words[:, 1] |= overflow << 31
            parts.append(words[words[:, 0] & 1 == 1])
            count += number
        position += size * number
        packet += 1
    words = np.concatenate(parts) if parts else np.empty((0, 2), np.int64)
    data = words[:, 0]
    return _events(path, data >> 17 & 0x7FFF, data >> 2 & 0x7FFF, data >> 1 & 1, words[:, 1], sensor)


def _read_aedat4(path: Path, sensor: tuple[int, int]) -> Events:
    try:
        importlib.import_module("aedat")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{path}: AEDAT 4.0 is read by the library aedat, which is not installed") from None
    with tempfile.TemporaryDirectory(prefix="liquidcal-aedat-") as folder:
        table = Path(folder) / "events.npy"
        try:
            done = subprocess.run(
                [sys.executable, "-c", _DECODE, str(path), str(table)], capture_output=True, text=True,
                errors="replace", timeout=_DECODE_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise ValueError(f"{path}: not a complete AEDAT 4.0 file: no end after {_DECODE_S} s") from None
        if done.returncode or not table.is_file():
            said = (done.stderr.strip().splitlines() or [f"the decoder ended with code {done.returncode}"])[-1]
            raise ValueError(f"{path}: not a complete AEDAT 4.0 file: {shown(said, quoted=False)}")
        x, y, on, t_us = np.load(table)
    return _events(path, x, y, on, t_us, sensor)


_DECODE_S = 600
_DECODE = """
import os, resource, sys
import aedat, numpy
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = size + (1 << 30) + 64 * os.path.getsize(sys.argv[1])
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
packets = [packet["events"] for packet in aedat.Decoder(sys.argv[1]) if "events" in packet]
columns = [numpy.concatenate([packet[name] for packet in packets] or [[]]) for name in ("x", "y", "on", "t")]
numpy.save(sys.argv[2], numpy.array(columns, numpy.int64))
"""
"""The library ends the process, or takes what memory there is, on damaged files: it works in a process of its own, with
1 GiB more than it begins with, and what the events of an intact file take."""


def _events(
    path: Path,
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    on: NDArray[np.int64],
    t_us: NDArray[np.int64],
    sensor: tuple[int, int],
) -> Events:
    """Checked events; what is wrong is said with the path in front."""
    try:
        return Events(x=x, y=y, on=on == 1, t_us=t_us, sensor=sensor)  # type: ignore[arg-type]  # cast after the checks
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read_labels(path: Path) -> dict[int, int]:
    """Read a label file: lines ``index label``, ``#`` starts a comment.

    Returns
    -------
    dict
        Label of each recording index, in the file's order.

    Raises
    ------
    ValueError
        A line that is not two whole numbers at least 0, an index that occurs twice, or no line at all.
    """
    path = Path(path)
    labels: dict[int, int] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected a text file of lines 'index label'") from None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) <= 18 for word in words):
            got = shown(line.strip())
            raise ValueError(f"{path}, line {number}: expected 'index label', two whole numbers, got {got}")
        index, label = map(int, words)
        if index in labels:
            raise ValueError(f"{path}, line {number}: index {index} occurs twice")
        labels[index] = label
    if not labels:
        raise ValueError(f"{path}: expected lines 'index label', found none")
    return labels


def find_recordings(folder: Path) -> dict[int, Path]:
    """Recordings of a folder that are named by index, ``k.bin`` or any other that `read_recording` reads, ascending.

    Folders in it that are named by a number, as N-MNIST has one for each class, are searched, too.

    Raises
    ------
    FileNotFoundError
        No such folder, or none such file in it.
    ValueError
        Two files of one index.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected a folder of recordings")
    found: dict[int, Path] = {}
    for path in sorted([*folder.iterdir(), *(path for inner in _class_folders(folder) for path in inner.iterdir())]):
        if path.suffix.lower() in _readers() and path.stem.isascii() and path.stem.isdigit():
            index = int(path.stem)
            if index in found:
                first, second = (one.relative_to(folder) for one in (found[index], path))
                raise ValueError(f"{folder}: {first} and {second} have the same index {index}")
            found[index] = path
    if not found:
        raise FileNotFoundError(f"{folder}: expected recordings named by index (1.bin, 2.bs2 ...), found none")
    return dict(sorted(found.items()))


def labelled_recordings(folder: Path, labels: Path | None) -> tuple[dict[int, Path], dict[int, int]]:
    """Recordings by index, and the label of each: of a file, in its order, or of the class folder that it lies in.

    Raises
    ------
    FileNotFoundError
        As `find_recordings`, or no recording of an index that has a label.
    ValueError
        As `find_recordings` and `read_labels`, or no label file, and no folders named by class.
    """
    paths = find_recordings(folder)
    if labels is None:
        classes = {inner: int(inner.name) for inner in _class_folders(folder)}
        table = {index: classes[path.parent] for index, path in paths.items() if path.parent in classes}
        if len(table) < len(paths):
            raise ValueError(f"{folder}: expected a label file (--labels), or a folder for each class, named by number")
        return paths, table
    table = read_labels(labels)
    if missing := [index for index in table if index not in paths]:
        raise FileNotFoundError(
            f"{folder}: no recording {missing[0]}.bin or {missing[0]}.bs2 for the index {missing[0]} of {labels}"
            + (f", and {len(missing) - 1} more are missing" if len(missing) > 1 else "")
        )
    return paths, table


def _class_folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir() and path.name.isascii() and path.name.isdigit()]


# --------------------------------------------------------------------------------------------------- encodings
@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Which part of the sensor drives which word line.

    A window of the sensor is cut into square fields of `pool` x `pool` pixels; an event in a field is a spike on the
    field's word line. Word lines count fields by row, then column; with ``polarity="split"`` the fields of ON events
    come first and those of OFF events after them.

    Attributes
    ----------
    name : str
        Name by which a model remembers its encoding.
    left, top : int
        First column and row of the window; may be negative: fields outside the sensor stay silent.
    columns, rows : int
        Fields of the window.
    pool : int
        Side of a field in pixels.
    polarity : {"on", "off", "both", "split"}
        Which events count; ``"both"`` merges them, ``"split"`` gives each polarity fields of its own.

    Raises
    ------
    ValueError
        A window without fields, a pool below 1, or an unknown polarity.
    """

    name: str
    left: int
    top: int
    columns: int
    rows: int
    pool: int = 1
    polarity: Literal["on", "off", "both", "split"] = "on"

    def __post_init__(self) -> None:
        if min(self.columns, self.rows, self.pool) < 1:
            raise ValueError(
                f"encoding {self.name}: columns, rows and pool must be at least 1, got "
                f"{self.columns}, {self.rows} and {self.pool}"
            )
        if self.polarity not in ("on", "off", "both", "split"):
            raise ValueError(f"encoding {self.name}: polarity must be on, off, both or split, got {self.polarity!r}")

    @property
    def inputs(self) -> int:
        """Word lines that the encoding drives."""
        return self.columns * self.rows * (2 if self.polarity == "split" else 1)

    def lines(self, events: Events) -> NDArray[np.int64]:
        """Word line of each event, -1 where it drives none; shape (n,)."""
        column = (events.x.astype(np.int64) - self.left) // self.pool
        row = (events.y.astype(np.int64) - self.top) // self.pool
        inside = (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)
        if self.polarity in ("on", "off"):
            inside &= events.on == (self.polarity == "on")
        line = row * self.columns + column
        if self.polarity == "split":
            line += np.where(events.on, 0, self.columns * self.rows)
        return np.where(inside, line, -1)


ENCODINGS = {
    encoding.name: encoding
    for encoding in (
        Encoding(name="centre_crop", left=9, top=9, columns=16, rows=16),
        Encoding(name="pooled_2x2", left=1, top=1, columns=16, rows=16, pool=2, polarity="both"),
        Encoding(name="pooled_2x2_on", left=1, top=1, columns=16, rows=16, pool=2, polarity="on"),
        Encoding(name="pooled_3x3_split", left=1, top=1, columns=11, rows=11, pool=3, polarity="split"),
    )
}
"""Encodings by name, for a sensor of 34 x 34 pixels.

``centre_crop`` is the input of the resistive-memory liquid (S. Wang et al., Nat. Comput. Sci. 5 (2025) 37): the
central 16 x 16 pixels, one polarity. The others see the whole digit: 2 x 2 pixels per word line with both polarities
merged or ON alone, and 3 x 3 pixels per word line with the polarities apart (242 word lines).
"""


def find_encoding(text: str) -> Encoding:
    """An encoding by its name in `ENCODINGS`, or spelled out: ``LEFT,TOP,COLUMNS,ROWS,POOL,POLARITY``.

    ``8,8,16,16,7,split`` is 16 x 16 fields of 7 x 7 pixels from column 8 and row 8 on, polarities apart.

    Raises
    ------
    ValueError
        Neither of both.
    """
    if text in ENCODINGS:
        return ENCODINGS[text]
    words = text.split(",")
    if len(words) != 6 or not all(re.fullmatch(r"-?\d{1,5}", word) for word in words[:5]):
        known = ", ".join(ENCODINGS)
        raise ValueError(f"encoding: expected {known}, or LEFT,TOP,COLUMNS,ROWS,POOL,POLARITY, got {shown(text)}")
    left, top, columns, rows, pool = map(int, words[:5])
    return Encoding(
        name=text, left=left, top=top, columns=columns, rows=rows, pool=pool,
        polarity=words[5],  # type: ignore[arg-type]  # checked by the class
    )  # fmt: skip


def find_sensor(text: str) -> tuple[int, int]:
    """Columns and rows of a sensor, ``346x260``. Raises ValueError if the text is none."""
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not found:
        raise ValueError(f"sensor: expected COLUMNSxROWS such as 346x260, got {shown(text)}")
    return int(found[1]), int(found[2])


def encode(
    events: Events, encoding: Encoding, *, steps: int, step_us: int, inputs: int | None = None
) -> NDArray[np.bool_]:
    """Input spikes of a recording.

    Parameters
    ----------
    events : Events
        A recording; its times count from 0.
    encoding : Encoding
        Which events drive which word line.
    steps, step_us : int
        Steps and their length. Events from ``steps * step_us`` on are not seen.
    inputs : int, optional
        Word lines of the chip, at least those of the encoding; further ones stay silent.

    Returns
    -------
    ndarray of bool, shape (steps, inputs)

    Raises
    ------
    ValueError
        `steps` or `step_us` below 1, or more word lines than `inputs`.
    """
    if steps < 1 or step_us < 1:
        raise ValueError(f"steps and step_us must be at least 1, got {steps} and {step_us}")
    inputs = encoding.inputs if inputs is None else inputs
    if inputs < encoding.inputs:
        raise ValueError(f"encoding {encoding.name} drives {encoding.inputs} word lines, the chip has {inputs}")
    spikes = np.zeros((steps, inputs), np.bool_)
    line = encoding.lines(events)
    step = events.t_us // step_us
    seen = (line >= 0) & (step < steps)
    spikes[step[seen], line[seen]] = True
    return spikes


def encode_all(
    recordings: Iterable[Events], encoding: Encoding, *, steps: int, step_us: int, inputs: int | None = None
) -> NDArray[np.bool_]:
    """Input spikes of many recordings; shape (recordings, steps, inputs). Parameters and errors as `encode`."""
    spikes = [encode(events, encoding, steps=steps, step_us=step_us, inputs=inputs) for events in recordings]
    return np.stack(spikes) if spikes else np.zeros((0, steps, inputs or encoding.inputs), np.bool_)
